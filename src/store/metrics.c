/* The metrics: one row for each metric of each unit. */
#include "store/contents.h"

#include "store/longtable.h"

hsize_t es_contents_n_metrics(const struct es_units *units)
{
    const uint32_t n_units = es_grid_n_units(es_units_grid(units));
    hsize_t n_rows = 0;
    for (uint32_t id = 0; id < n_units; id++) {
        uint32_t first;
        n_rows += es_units_rows_of(units, id, &first);
    }
    return n_rows;
}

static void add_row(struct es_long_stream *stream, struct es_unit unit,
                    const struct es_metric_row *row)
{
    hsize_t at = es_long_next(stream);
    void *const *field = stream->block.field;
    ((int32_t *)field[ES_METRIC_CHECKPOINT])[at] = (int32_t)unit.checkpoint;
    ((int32_t *)field[ES_METRIC_LAYER])[at] = (int32_t)unit.layer;
    ((int32_t *)field[ES_METRIC_TASK])[at] = (int32_t)unit.task;
    ((int32_t *)field[ES_METRIC_SPLIT])[at] = es_long_code(stream, 0, row->split);
    ((int32_t *)field[ES_METRIC_SUBSET])[at] = es_long_code(stream, 1, row->subset);
    ((int32_t *)field[ES_METRIC_NAME])[at] = es_long_code(stream, 2, row->metric);
    ((double *)field[ES_METRIC_VALUE])[at] = row->value;
}

void es_contents_put_metrics(struct es_long_stream *stream, uint32_t run, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    es_long_begin(stream, run, units);
    for (uint32_t id = 0; id < columns.n_units && stream->h5->rc == 0; id++) {
        const struct es_unit unit = es_grid_unit(es_units_grid(units), id);
        uint32_t first, n = es_units_rows_of(units, id, &first);
        for (uint32_t i = 0; i < n && stream->h5->rc == 0; i++)
            add_row(stream, unit, &columns.rows[first + i]);
    }
    es_long_end(stream);
}
