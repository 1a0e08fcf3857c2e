/* The metrics: one row for each metric of each unit. */
#include "store/contents.h"

#include "store/longtable.h"

/* Numbers the codes in use; how many rows there are. */
static hsize_t number_codes(struct es_numbering names[ES_LONG_N_NAMES], struct es_units *units,
                            const struct es_units_columns *columns)
{
    hsize_t n_rows = 0;
    for (uint32_t id = 0; id < columns->n_units; id++) {
        uint32_t first, n = es_units_rows_of(units, id, &first);
        for (const struct es_metric_row *row = columns->rows + first; n; n--, row++, n_rows++) {
            es_numbering_use(&names[0], row->split);
            es_numbering_use(&names[1], row->subset);
            es_numbering_use(&names[2], row->metric);
        }
    }
    return n_rows;
}

static void add_row(struct es_long_stream *stream, struct es_unit unit,
                    const struct es_metric_row *row,
                    const struct es_numbering names[ES_LONG_N_NAMES])
{
    hsize_t at = es_long_next(stream);
    void *const *field = stream->block.field;
    ((int32_t *)field[ES_METRIC_CHECKPOINT])[at] = (int32_t)unit.checkpoint;
    ((int32_t *)field[ES_METRIC_LAYER])[at] = (int32_t)unit.layer;
    ((int32_t *)field[ES_METRIC_TASK])[at] = (int32_t)unit.task;
    ((int32_t *)field[ES_METRIC_SPLIT])[at] = (int32_t)names[0].code[row->split];
    ((int32_t *)field[ES_METRIC_SUBSET])[at] = (int32_t)names[1].code[row->subset];
    ((int32_t *)field[ES_METRIC_NAME])[at] = (int32_t)names[2].code[row->metric];
    ((double *)field[ES_METRIC_VALUE])[at] = row->value;
}

void es_contents_put_metrics(struct es_h5 *h5, hid_t file, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    struct es_numbering names[ES_LONG_N_NAMES];
    struct es_long_stream stream;
    hsize_t n_rows = 0;
    es_numbering_create(h5, &es_store_metrics, units, names);
    if (h5->rc == 0)
        n_rows = number_codes(names, units, &columns);
    es_long_open(&stream, h5, file, &es_store_metrics, names, n_rows);
    for (uint32_t id = 0; id < columns.n_units && h5->rc == 0; id++) {
        const struct es_unit unit = es_grid_unit(es_units_grid(units), id);
        uint32_t first, n = es_units_rows_of(units, id, &first);
        for (uint32_t i = 0; i < n; i++)
            add_row(&stream, unit, &columns.rows[first + i], names);
    }
    es_long_close(&stream);
    es_numbering_clear(names);
}
