/* The tries: for each unit with a result its earlier tries, which failed, and the one that the
 * result is of.
 */
#include "store/contents.h"

#include "store/longtable.h"

/* A try, whichever it is. */
struct a_try {
    struct es_unit unit;
    enum es_status outcome;
    struct es_try_row row;
};

static bool has_tries(const struct es_units_columns *columns, uint32_t id)
{
    return columns->status[id] == ES_STATUS_DONE || columns->status[id] == ES_STATUS_FAILED;
}

static void use_codes(struct es_numbering names[ES_LONG_N_NAMES], uint32_t host, uint32_t device,
                      uint32_t reason)
{
    es_numbering_use(&names[0], host);
    es_numbering_use(&names[1], device);
    es_numbering_use(&names[2], reason);
}

/* Numbers the codes in use, the empty texts first; how many rows there are. */
static hsize_t number_codes(struct es_numbering names[ES_LONG_N_NAMES],
                            const struct es_units *units, const struct es_units_columns *columns)
{
    hsize_t n_rows = 0;
    use_codes(names, 0, 0, 0);
    for (uint32_t id = 0; id < columns->n_units; id++) {
        const struct es_try_row *row;
        if (!has_tries(columns, id))
            continue;
        uint32_t n = es_units_earlier(units, id, &row);
        n_rows += n + 1;
        for (; n; n--, row++)
            use_codes(names, row->host, row->device, row->reason);
        use_codes(names, columns->host[id], columns->device[id], columns->reason[id]);
    }
    return n_rows;
}

static void add_row(struct es_long_stream *stream, const struct a_try *try,
                    const struct es_numbering names[ES_LONG_N_NAMES])
{
    hsize_t at = es_long_next(stream);
    void *const *field = stream->block.field;
    const struct es_try_row *row = &try->row;
    ((int32_t *)field[ES_TRY_CHECKPOINT])[at] = (int32_t)try->unit.checkpoint;
    ((int32_t *)field[ES_TRY_LAYER])[at] = (int32_t)try->unit.layer;
    ((int32_t *)field[ES_TRY_TASK])[at] = (int32_t)try->unit.task;
    ((int32_t *)field[ES_TRY_ATTEMPT])[at] = row->attempt;
    ((int32_t *)field[ES_TRY_WORKER])[at] = row->worker;
    ((int32_t *)field[ES_TRY_HOST])[at] = (int32_t)names[0].code[row->host];
    ((int32_t *)field[ES_TRY_DEVICE])[at] = (int32_t)names[1].code[row->device];
    ((double *)field[ES_TRY_STARTED_AT])[at] = row->started_s;
    ((double *)field[ES_TRY_FINISHED_AT])[at] = row->finished_s;
    ((double *)field[ES_TRY_LOAD_TIME])[at] = row->load_s;
    ((double *)field[ES_TRY_PASS_TIME])[at] = row->pass_s;
    ((double *)field[ES_TRY_SCORE_TIME])[at] = row->score_s;
    ((int8_t *)field[ES_TRY_OUTCOME])[at] = (int8_t)try->outcome;
    ((int32_t *)field[ES_TRY_REASON])[at] = (int32_t)names[2].code[row->reason];
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
                     const struct es_units_columns *columns, uint32_t id,
                     const struct es_numbering names[ES_LONG_N_NAMES])
{
    const struct es_try_row *earlier;
    struct a_try try = {.unit = es_grid_unit(es_units_grid(units), id),
                        .outcome = ES_STATUS_FAILED};
    uint32_t n = es_units_earlier(units, id, &earlier);
    for (uint32_t i = 0; i < n; i++) {
        try.row = earlier[i];
        add_row(stream, &try, names);
    }
    try.outcome = (enum es_status)columns->status[id];
    try.row = last_try(columns, id);
    add_row(stream, &try, names);
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

void es_contents_put_tries(struct es_h5 *h5, hid_t file, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    struct es_numbering names[ES_LONG_N_NAMES];
    struct es_long_stream stream;
    hsize_t n_rows = 0;
    es_numbering_create(h5, &es_store_tries, units, names);
    if (h5->rc == 0)
        n_rows = number_codes(names, units, &columns);
    es_long_open(&stream, h5, file, &es_store_tries, names, n_rows);
    put_attributes(h5, &stream);
    for (uint32_t id = 0; id < columns.n_units && h5->rc == 0; id++)
        if (has_tries(&columns, id))
            add_unit(&stream, units, &columns, id, names);
    es_long_close(&stream);
    es_numbering_clear(names);
}
