/* The tries: for each unit its earlier tries, which failed, and the one that its result is of, if
 * it has one.
 */
#include "store/contents.h"

#include "store/longtable.h"

/* A try, whichever it is. */
struct a_try {
    struct es_unit unit;
    enum es_status outcome;
    struct es_try_row row;
};

static bool has_result(const struct es_units_columns *columns, uint32_t id)
{
    return columns->status[id] == ES_STATUS_DONE || columns->status[id] == ES_STATUS_FAILED;
}

hsize_t es_contents_n_tries(struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    hsize_t n_rows = 0;
    for (uint32_t id = 0; id < columns.n_units; id++) {
        const struct es_try_row *row;
        n_rows += has_result(&columns, id) + es_units_earlier(units, id, &row);
    }
    return n_rows;
}

static void add_row(struct es_long_stream *stream, const struct a_try *try)
{
    hsize_t at = es_long_next(stream);
    void *const *field = stream->block.field;
    const struct es_try_row *row = &try->row;
    ((int32_t *)field[ES_TRY_CHECKPOINT])[at] = (int32_t)try->unit.checkpoint;
    ((int32_t *)field[ES_TRY_LAYER])[at] = (int32_t)try->unit.layer;
    ((int32_t *)field[ES_TRY_TASK])[at] = (int32_t)try->unit.task;
    ((int32_t *)field[ES_TRY_ATTEMPT])[at] = row->attempt;
    ((int32_t *)field[ES_TRY_WORKER])[at] = row->worker;
    ((int32_t *)field[ES_TRY_HOST])[at] = es_long_code(stream, 0, row->host);
    ((int32_t *)field[ES_TRY_DEVICE])[at] = es_long_code(stream, 1, row->device);
    ((double *)field[ES_TRY_STARTED_AT])[at] = row->started_s;
    ((double *)field[ES_TRY_FINISHED_AT])[at] = row->finished_s;
    ((double *)field[ES_TRY_LOAD_TIME])[at] = row->load_s;
    ((double *)field[ES_TRY_PASS_TIME])[at] = row->pass_s;
    ((double *)field[ES_TRY_SCORE_TIME])[at] = row->score_s;
    ((int8_t *)field[ES_TRY_OUTCOME])[at] = (int8_t)try->outcome;
    ((int32_t *)field[ES_TRY_REASON])[at] = es_long_code(stream, 2, row->reason);
}

/* The try that the unit's result is of. */
static struct es_try_row last_try(const struct es_units_columns *columns, uint32_t id)
{
    return (struct es_try_row){.started_s = columns->started_s[id],
                               .finished_s = columns->finished_s[id],
                               .load_s = columns->load_s[id],
                               .pass_s = columns->pass_s[id],
                               .score_s = columns->score_s[id],
                               .attempt = columns->attempts[id],
                               .worker = columns->worker[id],
                               .host = columns->host[id],
                               .device = columns->device[id],
                               .reason = columns->reason[id]};
}

static void add_unit(struct es_long_stream *stream, const struct es_units *units,
                     const struct es_units_columns *columns, uint32_t id)
{
    const struct es_try_row *earlier;
    struct a_try try = {.unit = es_grid_unit(es_units_grid(units), id),
                        .outcome = ES_STATUS_FAILED};
    uint32_t n = es_units_earlier(units, id, &earlier);
    for (uint32_t i = 0; i < n; i++) {
        try.row = earlier[i];
        add_row(stream, &try);
    }
    if (!has_result(columns, id))
        return;
    try.outcome = (enum es_status)columns->status[id];
    try.row = last_try(columns, id);
    add_row(stream, &try);
}

static void put_attributes(struct es_h5 *h5, const struct es_long_stream *stream)
{
    static const int8_t outcomes[] = {ES_STATUS_DONE, ES_STATUS_FAILED};
    es_h5_put_text(h5, stream->dataset[ES_TRY_STARTED_AT], "calendar", "standard");
    es_h5_put_text(h5, stream->dataset[ES_TRY_FINISHED_AT], "calendar", "standard");
    es_h5_put_numbers(h5, stream->dataset[ES_TRY_OUTCOME], "flag_values", H5T_STD_I8LE, outcomes,
                      sizeof outcomes);
    es_h5_put_text(h5, stream->dataset[ES_TRY_OUTCOME], "flag_meanings", "done failed");
}

void es_contents_put_tries(struct es_long_stream *stream, uint32_t run, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    es_long_begin(stream, run, units);
    if (run == 0 && stream->h5->rc == 0)
        put_attributes(stream->h5, stream);
    for (int i = 0; i < ES_LONG_N_NAMES && stream->h5->rc == 0; i++)
        (void)es_long_code(stream, i, 0); /* the empty texts come first */
    for (uint32_t id = 0; id < columns.n_units && stream->h5->rc == 0; id++)
        add_unit(stream, units, &columns, id);
    es_long_end(stream);
}
