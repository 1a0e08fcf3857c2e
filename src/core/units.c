#include "evalsweep/units.h"

#include "core/attributes.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/strtab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct es_units {
    const struct es_grid *grid;
    struct es_units_columns columns;
    struct es_metric_row *rows;
    size_t rows_cap;
    size_t n_replaced; /* rows that belong to no unit any more */
    uint32_t *first_row;
    uint32_t *n_rows;
    struct es_try_row *tries;
    size_t n_tries, tries_cap;
    size_t n_tries_replaced;
    uint32_t *first_try; /* ES_GRID_NONE: the unit has no earlier ones */
    struct es_strtab names[ES_N_NAME_KINDS];
    uint32_t last_code[ES_N_NAME_KINDS]; /* that was asked for: mostly the next one too */
    struct es_buf attributes;            /* merged */
    uint32_t n_results;                  /* units whose status is that of a result */
};

/* What is known of the try that a result is of, and the codes of "", which are 0. */
static bool create_try_columns(struct es_units *units, uint32_t n)
{
    struct es_units_columns *columns = &units->columns;
    uint32_t code;
    columns->started_s = es_mem_calloc(n, sizeof *columns->started_s);
    columns->load_s = es_mem_calloc(n, sizeof *columns->load_s);
    columns->pass_s = es_mem_calloc(n, sizeof *columns->pass_s);
    columns->score_s = es_mem_calloc(n, sizeof *columns->score_s);
    columns->host = es_mem_calloc(n, sizeof *columns->host);
    columns->device = es_mem_calloc(n, sizeof *columns->device);
    columns->reason = es_mem_calloc(n, sizeof *columns->reason);
    units->first_try = es_mem_calloc(n, sizeof *units->first_try);
    for (int kind = ES_NAME_HOST; kind < ES_N_NAME_KINDS; kind++)
        if (es_strtab_add(&units->names[kind], "", 0, &code) < 0)
            return false;
    if (!units->first_try)
        return false;
    memset(units->first_try, 0xff, n * sizeof *units->first_try);
    return columns->started_s && columns->load_s && columns->pass_s && columns->score_s &&
           columns->host && columns->device && columns->reason;
}

int es_units_create(const struct es_grid *grid, struct es_units **ret_units, struct es_err *err)
{
    uint32_t n = es_grid_n_units(grid);
    struct es_units *units = es_mem_calloc(1, sizeof *units);
    if (!units)
        return es_err_nomem(err, "making the table of units");
    struct es_units_columns *columns = &units->columns;
    units->grid = grid;
    columns->n_units = n;
    columns->status = es_mem_calloc(n, sizeof *columns->status);
    columns->main_score = es_mem_calloc(n, sizeof *columns->main_score);
    columns->evaluation_time_s = es_mem_calloc(n, sizeof *columns->evaluation_time_s);
    columns->finished_s = es_mem_calloc(n, sizeof *columns->finished_s);
    columns->attempts = es_mem_calloc(n, sizeof *columns->attempts);
    columns->worker = es_mem_calloc(n, sizeof *columns->worker);
    columns->marker = es_mem_calloc(n, sizeof *columns->marker);
    bool has_tries = create_try_columns(units, n);
    units->first_row = es_mem_calloc(n, sizeof *units->first_row);
    units->n_rows = es_mem_calloc(n, sizeof *units->n_rows);
    if (!columns->status || !columns->main_score || !columns->evaluation_time_s ||
        !columns->finished_s || !columns->attempts || !columns->worker || !columns->marker ||
        !units->first_row || !units->n_rows || !has_tries) {
        es_units_free(units);
        return es_err_nomem(err, "making the table of units");
    }
    for (uint32_t id = 0; id < n; id++) {
        es_units_reset(units, id);
        if (es_grid_is_excluded(grid, id))
            columns->status[id] = ES_STATUS_EXCLUDED;
    }
    *ret_units = units;
    return 0;
}

void es_units_free(struct es_units *units)
{
    if (!units)
        return;
    free(units->columns.status);
    free(units->columns.main_score);
    free(units->columns.evaluation_time_s);
    free(units->columns.finished_s);
    free(units->columns.attempts);
    free(units->columns.worker);
    free(units->columns.marker);
    free(units->columns.started_s);
    free(units->columns.load_s);
    free(units->columns.pass_s);
    free(units->columns.score_s);
    free(units->columns.host);
    free(units->columns.device);
    free(units->columns.reason);
    free(units->tries);
    free(units->first_try);
    free(units->first_row);
    free(units->n_rows);
    free(units->rows);
    for (int i = 0; i < ES_N_NAME_KINDS; i++)
        es_strtab_clear(&units->names[i]);
    es_buf_clear(&units->attributes);
    free(units);
}

const struct es_grid *es_units_grid(const struct es_units *units)
{
    return units->grid;
}

struct es_units_columns es_units_columns(struct es_units *units)
{
    units->columns.rows = units->rows;
    return units->columns;
}

const char *es_units_name(const struct es_units *units, enum es_name_kind kind, uint32_t code)
{
    return units->names[kind].text[code];
}

uint32_t es_units_n_names(const struct es_units *units, enum es_name_kind kind)
{
    return units->names[kind].n;
}

uint32_t es_units_rows_of(const struct es_units *units, uint32_t unit_id, uint32_t *ret_first)
{
    *ret_first = units->first_row[unit_id];
    return units->n_rows[unit_id];
}

static void drop_rows(struct es_units *units, uint32_t unit_id)
{
    uint32_t first = units->first_row[unit_id];
    for (uint32_t i = 0; i < units->n_rows[unit_id]; i++)
        units->rows[first + i].unit = ES_GRID_NONE;
    units->n_replaced += units->n_rows[unit_id];
    units->n_rows[unit_id] = 0;
}

/* Closes the gaps that replaced rows left, once they are more than half. */
static void compact(struct es_units *units)
{
    size_t n_rows = units->columns.n_rows, to = 0;
    if (units->n_replaced * 2 <= n_rows)
        return;
    for (size_t from = 0; from < n_rows; from++) {
        struct es_metric_row row = units->rows[from];
        if (row.unit == ES_GRID_NONE)
            continue;
        if (from == units->first_row[row.unit])
            units->first_row[row.unit] = (uint32_t)to;
        units->rows[to++] = row;
    }
    units->columns.n_rows = to;
    units->n_replaced = 0;
}

static int code_of(struct es_units *units, enum es_name_kind kind, const struct es_result *result,
                   uint32_t offset, uint32_t *ret_code)
{
    const char *text = es_result_text(result, offset);
    return es_strtab_add(&units->names[kind], text, strlen(text), ret_code);
}

static int append_rows(struct es_units *units, uint32_t unit_id, const struct es_result *result)
{
    size_t n = units->columns.n_rows;
    void *rows = units->rows;
    if (n + result->n_metrics > UINT32_MAX ||
        es_mem_grow(&rows, &units->rows_cap, n + result->n_metrics, sizeof *units->rows) < 0)
        return ES_ERR_NOMEM;
    units->rows = rows;
    struct es_metric previous = {0};
    for (size_t i = 0; i < result->n_metrics; i++) {
        struct es_metric metric = result->metrics[i];
        struct es_metric_row *row = &units->rows[n + i];
        *row = i ? row[-1] : (struct es_metric_row){0};
        row->value = metric.value;
        row->unit = unit_id;
        if ((i == 0 || metric.split != previous.split) &&
            code_of(units, ES_NAME_SPLIT, result, metric.split, &row->split) < 0)
            return ES_ERR_NOMEM;
        if ((i == 0 || metric.subset != previous.subset) &&
            code_of(units, ES_NAME_SUBSET, result, metric.subset, &row->subset) < 0)
            return ES_ERR_NOMEM;
        if (code_of(units, ES_NAME_METRIC, result, metric.metric, &row->metric) < 0)
            return ES_ERR_NOMEM;
        previous = metric;
    }
    units->columns.n_rows = n + result->n_metrics;
    return 0;
}

/* --- The tries --- */

uint32_t es_units_earlier(const struct es_units *units, uint32_t unit_id,
                          const struct es_try_row **ret_rows)
{
    size_t first = units->first_try[unit_id], n = 0;
    *ret_rows = NULL;
    if (first == ES_GRID_NONE)
        return 0;
    while (first + n < units->n_tries && units->tries[first + n].unit == unit_id)
        n++;
    *ret_rows = units->tries + first;
    return (uint32_t)n;
}

static void drop_tries(struct es_units *units, uint32_t unit_id)
{
    const struct es_try_row *rows;
    uint32_t n = es_units_earlier(units, unit_id, &rows);
    for (uint32_t i = 0; i < n; i++)
        units->tries[units->first_try[unit_id] + i].unit = ES_GRID_NONE;
    units->n_tries_replaced += n;
    units->first_try[unit_id] = ES_GRID_NONE;
}

static void compact_tries(struct es_units *units)
{
    size_t to = 0;
    if (units->n_tries_replaced * 2 <= units->n_tries)
        return;
    for (size_t from = 0; from < units->n_tries; from++) {
        struct es_try_row row = units->tries[from];
        if (row.unit == ES_GRID_NONE)
            continue;
        if (from == units->first_try[row.unit])
            units->first_try[row.unit] = (uint32_t)to;
        units->tries[to++] = row;
    }
    units->n_tries = to;
    units->n_tries_replaced = 0;
}

/* Adds a text as the store can have it: the same whether it comes from a worker or from a marker.
 */
static int add_try_text(struct es_strtab *names, const char *text, uint32_t *ret_code)
{
    struct es_buf clean = {0};
    es_buf_puts_utf8(&clean, text);
    es_buf_putc(&clean, '\0');
    int rc = clean.failed ? ES_ERR_NOMEM
                          : es_strtab_add(names, clean.data,
                                          es_utf8_cut(clean.data, ES_TRY_TEXT_LIMIT), ret_code);
    es_buf_clear(&clean);
    return rc;
}

/* The code of a text of tries, mostly that of the one before. */
static int try_code(struct es_units *units, enum es_name_kind kind, const char *text,
                    uint32_t *ret_code)
{
    const struct es_strtab *names = &units->names[kind];
    uint32_t *last = &units->last_code[kind];
    if (strcmp(names->text[*last], text) != 0 && add_try_text(&units->names[kind], text, last) < 0)
        return ES_ERR_NOMEM;
    *ret_code = *last;
    return 0;
}

static int try_codes(struct es_units *units, const struct es_result *result,
                     const uint32_t offsets[3], uint32_t *const ret_codes[3])
{
    for (int i = 0; i < 3; i++)
        if (try_code(units, (enum es_name_kind)(ES_NAME_HOST + i),
                     es_result_text(result, offsets[i]), ret_codes[i]) < 0)
            return ES_ERR_NOMEM;
    return 0;
}

static int append_tries(struct es_units *units, uint32_t unit_id, const struct es_result *result)
{
    size_t n = units->n_tries;
    void *tries = units->tries;
    if (result->n_earlier == 0)
        return 0;
    if (n + result->n_earlier >= UINT32_MAX ||
        es_mem_grow(&tries, &units->tries_cap, n + result->n_earlier, sizeof *units->tries) < 0)
        return ES_ERR_NOMEM;
    units->tries = tries;
    for (size_t i = 0; i < result->n_earlier; i++) {
        const struct es_try *try = &result->earlier[i];
        struct es_try_row *row = &units->tries[n + i];
        *row = (struct es_try_row){.started_s = try->started_s,
                                   .finished_s = try->finished_s,
                                   .load_s = try->load_s,
                                   .pass_s = try->pass_s,
                                   .score_s = try->score_s,
                                   .unit = unit_id,
                                   .attempt = try->attempt,
                                   .worker = try->rank};
        if (try_codes(units, result, (const uint32_t[]){try->host, try->device, try->reason},
                      (uint32_t *const[]){&row->host, &row->device, &row->reason}) < 0)
            return ES_ERR_NOMEM;
    }
    return 0;
}

/* --- What evaluators say of themselves --- */

const char *es_units_attributes(const struct es_units *units)
{
    return units->attributes.len ? units->attributes.data : "";
}

int es_units_add_attributes(struct es_units *units, const char *attributes)
{
    struct es_buf merged = {0};
    if (es_attributes_are_merged(es_units_attributes(units), attributes))
        return 0;
    es_attributes_merge(es_units_attributes(units), attributes, &merged);
    if (merged.failed) {
        es_buf_clear(&merged);
        return ES_ERR_NOMEM;
    }
    es_buf_clear(&units->attributes);
    units->attributes = merged;
    return 0;
}

static bool has_result(const struct es_units *units, uint32_t unit_id)
{
    int8_t status = units->columns.status[unit_id];
    return status == ES_STATUS_DONE || status == ES_STATUS_FAILED;
}

/* Counts the units that have a result. With the last one goes what they said. */
static void count_result(struct es_units *units, bool had_one, bool has_one)
{
    if (has_one && !had_one)
        units->n_results++;
    else if (had_one && !has_one && units->n_results)
        units->n_results--;
    if (units->n_results == 0)
        es_buf_reset(&units->attributes);
}

int es_units_set_result(struct es_units *units, uint32_t unit_id, enum es_status status,
                        const struct es_result *result, const struct es_file_id *marker)
{
    size_t first_row = units->columns.n_rows;
    size_t first_try = units->n_tries;
    bool had_one = has_result(units, unit_id);
    uint32_t host, device, reason;
    if (es_units_add_attributes(units, es_result_text(result, result->attributes)) < 0 ||
        try_codes(units, result,
                  (const uint32_t[]){result->host, result->device,
                                     status == ES_STATUS_FAILED ? result->reason : 0},
                  (uint32_t *const[]){&host, &device, &reason}) < 0 ||
        append_tries(units, unit_id, result) < 0 || append_rows(units, unit_id, result) < 0)
        return ES_ERR_NOMEM;
    drop_rows(units, unit_id);
    drop_tries(units, unit_id);
    if (result->n_earlier) {
        units->first_try[unit_id] = (uint32_t)first_try;
        units->n_tries = first_try + result->n_earlier;
    }
    struct es_units_columns *columns = &units->columns;
    units->first_row[unit_id] = (uint32_t)first_row;
    units->n_rows[unit_id] = (uint32_t)result->n_metrics;
    columns->status[unit_id] = (int8_t)status;
    columns->main_score[unit_id] = result->main_score;
    columns->evaluation_time_s[unit_id] = result->evaluation_time_s;
    columns->finished_s[unit_id] = result->finished_s;
    columns->attempts[unit_id] = result->attempt;
    columns->worker[unit_id] = result->rank;
    columns->marker[unit_id] = marker ? *marker : (struct es_file_id){0};
    columns->started_s[unit_id] = result->started_s;
    columns->load_s[unit_id] = result->load_s;
    columns->pass_s[unit_id] = result->pass_s;
    columns->score_s[unit_id] = result->score_s;
    columns->host[unit_id] = host;
    columns->device[unit_id] = device;
    columns->reason[unit_id] = reason;
    count_result(units, had_one, has_result(units, unit_id));
    compact(units);
    compact_tries(units);
    return 0;
}

int es_units_set_pending(struct es_units *units, uint32_t unit_id, const struct es_result *failed,
                         struct es_result *scratch)
{
    es_result_reset(scratch);
    es_result_add_failed(scratch, failed);
    return scratch->failed ? ES_ERR_NOMEM
                           : es_units_set_result(units, unit_id, ES_STATUS_PENDING, scratch, NULL);
}

void es_units_reset(struct es_units *units, uint32_t unit_id)
{
    struct es_units_columns *columns = &units->columns;
    drop_rows(units, unit_id);
    drop_tries(units, unit_id);
    count_result(units, has_result(units, unit_id), false);
    columns->status[unit_id] = ES_STATUS_PENDING;
    columns->main_score[unit_id] = (double)NAN;
    columns->evaluation_time_s[unit_id] = (double)NAN;
    columns->finished_s[unit_id] = (double)NAN;
    columns->attempts[unit_id] = 0;
    columns->worker[unit_id] = -1;
    columns->marker[unit_id] = (struct es_file_id){0};
    columns->started_s[unit_id] = (double)NAN;
    columns->load_s[unit_id] = (double)NAN;
    columns->pass_s[unit_id] = (double)NAN;
    columns->score_s[unit_id] = (double)NAN;
    columns->host[unit_id] = 0;
    columns->device[unit_id] = 0;
    columns->reason[unit_id] = 0;
}

/* Of the units from `first` on, n of them. */
static struct es_counts count(const struct es_units_columns *columns, uint32_t first, uint32_t n)
{
    struct es_counts counts = {0};
    for (uint32_t id = first; id < first + n; id++) {
        switch ((enum es_status)columns->status[id]) {
        case ES_STATUS_PENDING:
            counts.pending++;
            break;
        case ES_STATUS_DONE:
            counts.done++;
            counts.done_without_score += isnan(columns->main_score[id]) != 0;
            break;
        case ES_STATUS_FAILED:
            counts.failed++;
            break;
        case ES_STATUS_EXCLUDED:
            counts.excluded++;
            break;
        }
    }
    return counts;
}

uint32_t es_counts_total(const struct es_counts *counts)
{
    return counts->done + counts->pending + counts->failed;
}

struct es_counts es_units_count(const struct es_units *units)
{
    return count(&units->columns, 0, units->columns.n_units);
}

void es_units_count_by_checkpoint(const struct es_units *units, struct es_counts *ret_counts)
{
    uint32_t n_checkpoints = es_grid_n_checkpoints(units->grid);
    uint32_t n = n_checkpoints ? units->columns.n_units / n_checkpoints : 0;
    for (uint32_t c = 0; c < n_checkpoints; c++) /* ids run through a checkpoint's units first */
        ret_counts[c] = count(&units->columns, c * n, n);
}
