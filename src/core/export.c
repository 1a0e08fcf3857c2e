#include "evalsweep/export.h"

#include "core/csv.h"
#include "core/export_internal.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

enum { FLUSH_SIZE = 65536 };

static const char doing[] = "exporting";

static void put_key(const char *key, struct es_buf *line)
{
    es_buf_json_string(line, key, strlen(key));
    es_buf_putc(line, ':');
}

void es_export_put_text(enum es_export_format format, const char *key, const char *text,
                        struct es_buf *line)
{
    if (format == ES_EXPORT_CSV) {
        es_csv_put_text(line, text);
    } else {
        put_key(key, line);
        if (text[0])
            es_buf_json_string(line, text, strlen(text));
        else
            es_buf_puts(line, "null");
    }
    es_buf_putc(line, ',');
}

void es_export_put_double(enum es_export_format format, const char *key, double value,
                          struct es_buf *line)
{
    if (format == ES_EXPORT_CSV) {
        es_csv_put_double(line, value);
    } else {
        put_key(key, line);
        es_buf_json_double(line, value);
    }
    es_buf_putc(line, ',');
}

void es_export_begin_line(enum es_export_format format, struct es_buf *line)
{
    if (format == ES_EXPORT_JSONL)
        es_buf_putc(line, '{');
}

void es_export_end_line(enum es_export_format format, struct es_buf *line)
{
    if (line->failed)
        return;
    line->data[line->len - 1] = format == ES_EXPORT_JSONL ? '}' : '\n';
    if (format == ES_EXPORT_JSONL)
        es_buf_putc(line, '\n');
}

struct exporting {
    const struct es_export *request;
    struct es_units *units;
    struct es_units_columns table;
    struct es_export_choice choice;
    struct es_export_columns columns; /* of the wide table */
    struct es_buf front, back;        /* what every line of a unit begins and ends with */
    struct es_buf text;
};

static void put_unit(struct exporting *e, uint32_t id)
{
    const enum es_export_format format = e->request->format;
    const struct es_grid *grid = es_units_grid(e->units);
    const struct es_unit unit = es_grid_unit(grid, id);
    es_buf_reset(&e->front);
    es_export_begin_line(format, &e->front);
    es_export_put_text(format, "checkpoint", es_grid_checkpoint(grid, unit.checkpoint), &e->front);
    es_export_put_double(format, "step", es_grid_step(grid, unit.checkpoint), &e->front);
    es_export_put_double(format, "layer", es_grid_layer(grid, unit.layer), &e->front);
    es_export_put_text(format, "task", es_grid_task(grid, unit.task), &e->front);
    es_export_put_text(format, "status", "done", &e->front);
    es_buf_reset(&e->back);
    es_export_put_double(format, ES_EXPORT_MAIN_SCORE, e->table.main_score[id], &e->back);
    es_export_put_double(format, "evaluation_time_s", e->table.evaluation_time_s[id], &e->back);
}

static void put_header(struct exporting *e)
{
    static const char *const front[] = {"checkpoint", "step", "layer", "task", "status"};
    static const char *const row[] = {"split", "subset", "metric", "value"};
    static const char *const back[] = {ES_EXPORT_MAIN_SCORE, "evaluation_time_s"};
    if (e->request->format != ES_EXPORT_CSV)
        return;
    for (size_t i = 0; i < sizeof front / sizeof front[0]; i++)
        es_export_put_text(ES_EXPORT_CSV, NULL, front[i], &e->text);
    for (size_t i = 0; i < sizeof row / sizeof row[0] && !e->request->is_wide; i++)
        es_export_put_text(ES_EXPORT_CSV, NULL, row[i], &e->text);
    for (size_t i = 0; i < sizeof back / sizeof back[0]; i++)
        es_export_put_text(ES_EXPORT_CSV, NULL, back[i], &e->text);
    for (uint32_t i = 0; i < e->columns.triples.n; i++)
        es_export_put_text(ES_EXPORT_CSV, NULL, es_export_column_name(&e->columns, i), &e->text);
    es_export_end_line(ES_EXPORT_CSV, &e->text);
}

static void put_line(struct exporting *e, const char *split, const char *subset, const char *metric,
                     double value)
{
    const enum es_export_format format = e->request->format;
    es_buf_append(&e->text, e->front.data, e->front.len);
    es_export_put_text(format, "split", split, &e->text);
    es_export_put_text(format, "subset", subset, &e->text);
    es_export_put_text(format, "metric", metric, &e->text);
    es_export_put_double(format, "value", value, &e->text);
    es_buf_append(&e->text, e->back.data, e->back.len);
    es_export_end_line(format, &e->text);
}

static void put_long(struct exporting *e, uint32_t id)
{
    uint32_t first, n = es_units_rows_of(e->units, id, &first);
    if (e->choice.wants_main_score || (n == 0 && !e->choice.wants))
        put_line(e, "", "", ES_EXPORT_MAIN_SCORE, e->table.main_score[id]);
    for (const struct es_metric_row *row = e->table.rows + first; n; n--, row++)
        if (!e->choice.wants || e->choice.wants[row->metric])
            put_line(e, es_units_name(e->units, ES_NAME_SPLIT, row->split),
                     es_units_name(e->units, ES_NAME_SUBSET, row->subset),
                     es_units_name(e->units, ES_NAME_METRIC, row->metric), row->value);
}

static void put_wide(struct exporting *e, uint32_t id)
{
    es_buf_append(&e->text, e->front.data, e->front.len);
    es_buf_append(&e->text, e->back.data, e->back.len);
    es_export_columns_put(&e->columns, e->request->format, e->units, &e->choice, id, &e->text);
    es_export_end_line(e->request->format, &e->text);
}

/* Finds the codes of the names that were asked for. */
static int choose(struct exporting *e, struct es_err *err)
{
    const uint32_t n_names = es_units_n_names(e->units, ES_NAME_METRIC);
    if (e->request->n_metrics == 0)
        return 0;
    e->choice.wants = es_mem_calloc(n_names, 1);
    if (!e->choice.wants)
        return es_err_nomem(err, doing);
    for (size_t i = 0; i < e->request->n_metrics; i++) {
        const char *name = e->request->metrics[i];
        uint32_t code = 0;
        if (strcmp(name, ES_EXPORT_MAIN_SCORE) == 0) {
            e->choice.wants_main_score = true;
            continue;
        }
        while (code < n_names && strcmp(es_units_name(e->units, ES_NAME_METRIC, code), name) != 0)
            code++;
        if (code < n_names)
            e->choice.wants[code] = 1;
        else if (n_names)
            return es_err_set(err, ES_ERR_USAGE, doing, name, "no unit has a metric of this name");
    }
    return 0;
}

static int put_table(struct exporting *e, es_export_write *write, void *ctx, struct es_err *err)
{
    put_header(e);
    for (uint32_t id = 0; id <= e->table.n_units; id++) {
        if (id < e->table.n_units && e->table.status[id] == ES_STATUS_DONE) {
            put_unit(e, id);
            if (e->request->is_wide)
                put_wide(e, id);
            else
                put_long(e, id);
        }
        if (e->text.failed || e->front.failed || e->back.failed)
            return es_err_nomem(err, doing);
        if (e->text.len >= FLUSH_SIZE || (e->text.len && id == e->table.n_units)) {
            if (write(ctx, e->text.data, e->text.len) < 0)
                return es_err_set(err, ES_ERR_IO, doing, NULL, "the output took no more");
            es_buf_reset(&e->text);
        }
    }
    return 0;
}

int es_export_table(const struct es_export *request, struct es_units *units, es_export_write *write,
                    void *ctx, struct es_err *err)
{
    struct exporting e = {.request = request, .units = units, .table = es_units_columns(units)};
    int rc = choose(&e, err);
    if (rc == 0 && request->is_wide && es_export_columns_find(units, &e.choice, &e.columns) < 0)
        rc = es_err_nomem(err, doing);
    if (rc == 0)
        rc = put_table(&e, write, ctx, err);
    es_buf_clear(&e.text);
    es_buf_clear(&e.front);
    es_buf_clear(&e.back);
    es_export_columns_clear(&e.columns);
    free(e.choice.wants);
    return rc;
}
