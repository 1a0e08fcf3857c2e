#include "evalsweep/units.h"

#include "core/attributes.h"
#include "core/mem.h"
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
    struct es_strtab names[3]; /* by enum es_name_kind */
    struct es_buf attributes;  /* merged */
    uint32_t n_results;        /* units whose status is that of a result */
};

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
    units->first_row = es_mem_calloc(n, sizeof *units->first_row);
    units->n_rows = es_mem_calloc(n, sizeof *units->n_rows);
    if (!columns->status || !columns->main_score || !columns->evaluation_time_s ||
        !columns->finished_s || !columns->attempts || !columns->worker || !columns->marker ||
        !units->first_row || !units->n_rows) {
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
    free(units->first_row);
    free(units->n_rows);
    free(units->rows);
    for (int i = 0; i < 3; i++)
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
    bool had_one = has_result(units, unit_id);
    if (es_units_add_attributes(units, es_result_text(result, result->attributes)) < 0 ||
        append_rows(units, unit_id, result) < 0)
        return ES_ERR_NOMEM;
    drop_rows(units, unit_id);
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
    count_result(units, had_one, has_result(units, unit_id));
    compact(units);
    return 0;
}

void es_units_reset(struct es_units *units, uint32_t unit_id)
{
    struct es_units_columns *columns = &units->columns;
    drop_rows(units, unit_id);
    count_result(units, has_result(units, unit_id), false);
    columns->status[unit_id] = ES_STATUS_PENDING;
    columns->main_score[unit_id] = (double)NAN;
    columns->evaluation_time_s[unit_id] = (double)NAN;
    columns->finished_s[unit_id] = (double)NAN;
    columns->attempts[unit_id] = 0;
    columns->worker[unit_id] = -1;
    columns->marker[unit_id] = (struct es_file_id){0};
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
