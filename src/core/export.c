#include "evalsweep/export.h"

#include "core/csv.h"

enum { FLUSH_SIZE = 65536 };

/* What every line of a unit begins and ends with. */
static void put_unit(const struct es_grid *grid, const struct es_units_columns *columns,
                     uint32_t id, struct es_buf *front, struct es_buf *back)
{
    const struct es_unit unit = es_grid_unit(grid, id);
    es_buf_reset(front);
    es_csv_put_text(front, es_grid_checkpoint(grid, unit.checkpoint));
    es_buf_putc(front, ',');
    es_csv_put_double(front, es_grid_step(grid, unit.checkpoint));
    es_buf_printf(front, ",%d,", es_grid_layer(grid, unit.layer));
    es_csv_put_text(front, es_grid_task(grid, unit.task));
    es_buf_puts(front, ",done,");
    es_buf_reset(back);
    es_buf_putc(back, ',');
    es_csv_put_double(back, columns->main_score[id]);
    es_buf_putc(back, ',');
    es_csv_put_double(back, columns->evaluation_time_s[id]);
    es_buf_putc(back, '\n');
}

static void put_line(struct es_buf *text, const struct es_buf *front, const char *split,
                     const char *subset, const char *metric, double value,
                     const struct es_buf *back)
{
    es_buf_append(text, front->data, front->len);
    es_csv_put_text(text, split);
    es_buf_putc(text, ',');
    es_csv_put_text(text, subset);
    es_buf_putc(text, ',');
    es_csv_put_text(text, metric);
    es_buf_putc(text, ',');
    es_csv_put_double(text, value);
    es_buf_append(text, back->data, back->len);
}

static void put_lines(struct es_units *units, const struct es_units_columns *columns, uint32_t id,
                      const struct es_buf *front, const struct es_buf *back, struct es_buf *text)
{
    uint32_t first, n = es_units_rows_of(units, id, &first);
    if (n == 0)
        put_line(text, front, "", "", "main_score", columns->main_score[id], back);
    for (const struct es_metric_row *row = columns->rows + first; n; n--, row++)
        put_line(text, front, es_units_name(units, ES_NAME_SPLIT, row->split),
                 es_units_name(units, ES_NAME_SUBSET, row->subset),
                 es_units_name(units, ES_NAME_METRIC, row->metric), row->value, back);
}

int es_export_csv(struct es_units *units, es_export_write *write, void *ctx, struct es_err *err)
{
    static const char doing[] = "exporting";
    const struct es_units_columns columns = es_units_columns(units);
    struct es_buf text = {0}, front = {0}, back = {0};
    int rc = 0;
    es_buf_puts(&text, "checkpoint,step,layer,task,status,split,subset,metric,value,main_score,"
                       "evaluation_time_s\n");
    for (uint32_t id = 0; id <= columns.n_units && rc == 0; id++) {
        if (id < columns.n_units && columns.status[id] == ES_STATUS_DONE) {
            put_unit(es_units_grid(units), &columns, id, &front, &back);
            put_lines(units, &columns, id, &front, &back, &text);
        }
        if (text.failed || front.failed || back.failed) {
            rc = es_err_nomem(err, doing);
        } else if (text.len >= FLUSH_SIZE || (text.len && id == columns.n_units)) {
            if (write(ctx, text.data, text.len) < 0)
                rc = es_err_set(err, ES_ERR_IO, doing, NULL, "the output took no more");
            es_buf_reset(&text);
        }
    }
    es_buf_clear(&text);
    es_buf_clear(&front);
    es_buf_clear(&back);
    return rc;
}
