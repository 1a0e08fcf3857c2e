#include "store/reading.h"

#include "core/mem.h"

#include <math.h>

static struct es_try get_try(const struct es_reading_long *rows, hsize_t at)
{
    void *const *field = rows->block.field;
    return (struct es_try){.evaluation_time_s = (double)NAN,
                           .started_s = ((double *)field[ES_TRY_STARTED_AT])[at],
                           .finished_s = ((double *)field[ES_TRY_FINISHED_AT])[at],
                           .load_s = ((double *)field[ES_TRY_LOAD_TIME])[at],
                           .pass_s = ((double *)field[ES_TRY_PASS_TIME])[at],
                           .score_s = ((double *)field[ES_TRY_SCORE_TIME])[at],
                           .attempt = ((int32_t *)field[ES_TRY_ATTEMPT])[at],
                           .rank = ((int32_t *)field[ES_TRY_WORKER])[at],
                           .host = es_reading_long_name(rows, 0, at),
                           .device = es_reading_long_name(rows, 1, at),
                           .reason = es_reading_long_name(rows, 2, at)};
}

/* The last try, of which the root's variables tell the rest. */
static void set_last(struct es_result *result, const struct es_try *last)
{
    result->started_s = last->started_s;
    result->load_s = last->load_s;
    result->pass_s = last->pass_s;
    result->score_s = last->score_s;
    result->host = last->host;
    result->device = last->device;
    result->reason = last->reason;
}

void es_reading_tries_take(struct es_h5 *h5, struct es_reading_long *rows, uint32_t unit_id,
                           enum es_status status, struct es_result *result)
{
    const bool has_result = status == ES_STATUS_DONE || status == ES_STATUS_FAILED;
    int8_t outcome = ES_STATUS_PENDING; /* of the last row so far */
    struct es_try last;
    hsize_t at;
    result->n_earlier = 0;
    while (es_reading_long_next(h5, rows, unit_id, &at)) {
        void *earlier = result->earlier;
        if (status == ES_STATUS_PENDING &&
            ((int8_t *)rows->block.field[ES_TRY_OUTCOME])[at] == ES_STATUS_FAILED)
            continue; /* its failed.json tells of them, too */
        if (outcome == ES_STATUS_DONE || (outcome && result->n_earlier == ES_TRIES_LIMIT) ||
            !has_result) {
            es_h5_fail(h5, ES_ERR_STORE, "the tries have more of a unit than it can have");
            return;
        }
        if (outcome) {
            if (es_mem_grow(&earlier, &result->earlier_cap, result->n_earlier + 1,
                            sizeof *result->earlier) < 0) {
                es_h5_nomem(h5);
                return;
            }
            result->earlier = earlier;
            result->earlier[result->n_earlier++] = last;
        }
        last = get_try(rows, at);
        outcome = ((int8_t *)rows->block.field[ES_TRY_OUTCOME])[at];
    }
    if (h5->rc == 0 && has_result && outcome != (int8_t)status)
        es_h5_fail(h5, ES_ERR_STORE, "the tries do not end as the status of their unit says");
    else if (h5->rc == 0 && has_result)
        set_last(result, &last);
}
