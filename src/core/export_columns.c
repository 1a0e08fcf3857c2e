/* The columns of the wide table: which there are, how they are called, and what a unit has in them.
 */
#include "core/export_internal.h"

#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 40 };

static size_t put_triple(const struct es_metric_row *row, char ret_key[KEY_SIZE])
{
    int len = snprintf(ret_key, KEY_SIZE, "%u/%u/%u", row->split, row->subset, row->metric);
    return len > 0 ? (size_t)len : 0;
}

static bool is_column(const struct es_export_columns *columns, uint32_t column,
                      const struct es_metric_row *row)
{
    if (column >= columns->triples.n)
        return false;
    const struct es_metric_row *first = &columns->first[column];
    return first->split == row->split && first->subset == row->subset &&
           first->metric == row->metric;
}

/* The column of a row, ES_STRTAB_NONE for a new one. Units of a sweep have their metrics in the
 * same order mostly, so it is looked for first where it should be. */
static uint32_t find_column(const struct es_export_columns *columns, uint32_t guess,
                            const struct es_metric_row *row)
{
    char key[KEY_SIZE];
    if (is_column(columns, guess, row))
        return guess;
    return es_strtab_find(&columns->triples, key, put_triple(row, key));
}

static int add_column(struct es_export_columns *columns, const struct es_metric_row *row,
                      uint32_t *ret_column)
{
    char key[KEY_SIZE];
    void *first = columns->first;
    if (es_mem_grow(&first, &columns->first_cap, (size_t)columns->triples.n + 1,
                    sizeof *columns->first) < 0)
        return ES_ERR_NOMEM;
    columns->first = first;
    columns->first[columns->triples.n] = *row;
    return es_strtab_add(&columns->triples, key, put_triple(row, key), ret_column);
}

static void put_part(const char *part, struct es_buf *name)
{
    for (; *part; part++) {
        if (*part == '/' || *part == '\\')
            es_buf_putc(name, '\\');
        es_buf_putc(name, *part);
    }
    es_buf_putc(name, '/');
}

/* The metric's name alone, behind as many "//" as it takes to be no other column's. */
static void put_bare_name(const struct es_strtab *names, const char *metric, struct es_buf *name)
{
    int n_before = 0;
    do {
        es_buf_reset(name);
        for (int i = 0; i < n_before; i++)
            es_buf_puts(name, "//");
        es_buf_puts(name, metric);
        n_before++;
    } while (!name->failed && es_strtab_find(names, name->data, name->len) != ES_STRTAB_NONE);
}

static int name_column(struct es_units *units, struct es_export_columns *columns, uint32_t column,
                       bool is_bare, struct es_buf *name)
{
    const struct es_metric_row *row = &columns->first[column];
    const char *metric = es_units_name(units, ES_NAME_METRIC, row->metric);
    es_buf_reset(name);
    if (!is_bare) {
        put_part(es_units_name(units, ES_NAME_SPLIT, row->split), name);
        put_part(es_units_name(units, ES_NAME_SUBSET, row->subset), name);
        es_buf_puts(name, metric);
    } else {
        put_bare_name(&columns->names, metric, name);
    }
    return name->failed
               ? ES_ERR_NOMEM
               : es_strtab_add(&columns->names, name->data, name->len, &columns->name[column]);
}

/* Names all columns; those with a split or subset first, as their names are their own. */
static int name_columns(struct es_units *units, struct es_export_columns *columns)
{
    static const char *const fixed[] = {
        "checkpoint", "step", "layer", "task", "status", ES_EXPORT_MAIN_SCORE, "evaluation_time_s",
    };
    struct es_buf name = {0};
    uint32_t code;
    int rc = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0] && rc == 0; i++)
        rc = es_strtab_add(&columns->names, fixed[i], strlen(fixed[i]), &code);
    for (int bare = 0; bare <= 1; bare++) {
        for (uint32_t i = 0; i < columns->triples.n && rc == 0; i++) {
            const struct es_metric_row *row = &columns->first[i];
            const bool is_bare = !es_units_name(units, ES_NAME_SPLIT, row->split)[0] &&
                                 !es_units_name(units, ES_NAME_SUBSET, row->subset)[0];
            if (is_bare == (bare == 1))
                rc = name_column(units, columns, i, is_bare, &name);
        }
    }
    es_buf_clear(&name);
    return rc;
}

int es_export_columns_find(struct es_units *units, const struct es_export_choice *choice,
                           struct es_export_columns *ret_columns)
{
    const struct es_units_columns table = es_units_columns(units);
    struct es_export_columns columns = {0};
    uint32_t column = 0;
    int rc = 0;
    for (uint32_t id = 0; id < table.n_units && rc == 0; id++) {
        uint32_t first, n = es_units_rows_of(units, id, &first);
        if (table.status[id] != ES_STATUS_DONE)
            continue;
        for (const struct es_metric_row *row = table.rows + first; n && rc == 0; n--, row++) {
            if (choice->wants && !choice->wants[row->metric])
                continue;
            column = find_column(&columns, column + 1, row);
            if (column == ES_STRTAB_NONE)
                rc = add_column(&columns, row, &column);
        }
    }
    columns.name = es_mem_calloc(columns.triples.n, sizeof *columns.name);
    columns.value = es_mem_calloc(columns.triples.n, sizeof *columns.value);
    if (!columns.name || !columns.value)
        rc = ES_ERR_NOMEM;
    if (rc == 0)
        rc = name_columns(units, &columns);
    if (rc < 0)
        es_export_columns_clear(&columns);
    else
        *ret_columns = columns;
    return rc;
}

void es_export_columns_clear(struct es_export_columns *columns)
{
    es_strtab_clear(&columns->triples);
    es_strtab_clear(&columns->names);
    free(columns->first);
    free(columns->name);
    free(columns->value);
    *columns = (struct es_export_columns){0};
}

const char *es_export_column_name(const struct es_export_columns *columns, uint32_t column)
{
    return columns->names.text[columns->name[column]];
}

void es_export_columns_put(struct es_export_columns *columns, enum es_export_format format,
                           struct es_units *units, const struct es_export_choice *choice,
                           uint32_t unit_id, struct es_buf *line)
{
    const struct es_units_columns table = es_units_columns(units);
    uint32_t first, n = es_units_rows_of(units, unit_id, &first), column = 0;
    for (uint32_t i = 0; i < columns->triples.n; i++)
        columns->value[i] = (double)NAN;
    for (const struct es_metric_row *row = table.rows + first; n; n--, row++) {
        if (choice->wants && !choice->wants[row->metric])
            continue;
        column = find_column(columns, column + 1, row);
        columns->value[column] = row->value;
    }
    for (uint32_t i = 0; i < columns->triples.n; i++)
        es_export_put_double(format, es_export_column_name(columns, i), columns->value[i], line);
}
