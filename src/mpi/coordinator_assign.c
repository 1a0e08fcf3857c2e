/* What the scheduler decided, on its way to the workers. */
#include "mpi/coordinator_state.h"

#include "sys/clock.h"

#include <math.h>

/* An ASSIGN message is sent at this size, and anyway when there is nothing more to assign. */
#define ASSIGN_BYTES 65536

static void flush_assign(struct es_coordinator *c, uint32_t rank)
{
    if (c->assign[rank].len || c->assign[rank].failed) /* what was lost ends the run */
        es_coordinator_send(c, rank, &c->assign[rank]);
}

static void assign(struct es_coordinator *c, const struct es_action *action)
{
    struct es_buf *buf = &c->assign[action->worker];
    struct es_wire_bundle bundle = {action->checkpoint, action->task, action->next_checkpoint,
                                    action->n_layers};
    for (uint32_t i = 0; i < action->n_layers; i++) {
        struct es_unit unit = {action->checkpoint, action->layers[i], action->task};
        uint32_t unit_id = es_grid_id(c->grid, unit);
        c->layers[i] = (struct es_wire_layer){
            .layer = action->layers[i],
            .attempt = es_sched_attempt(c->sched, unit_id),
            .was_tried = es_sched_was_tried(c->sched, unit_id),
            .is_last = es_sched_is_last_attempt(c->sched, unit_id),
            .timeout_s = (uint32_t)fmin(es_sched_timeout_s(c->sched, unit_id), UINT32_MAX),
        };
    }
    if (buf->len == 0 && !buf->failed)
        es_assign_begin(buf);
    es_assign_add(buf, &bundle, c->layers);
    if (buf->len >= ASSIGN_BYTES)
        flush_assign(c, action->worker);
}

static void recall(struct es_coordinator *c, const struct es_action *action)
{
    flush_assign(c, action->worker); /* what is recalled may still wait here */
    es_recall_begin(&c->message);
    for (uint32_t i = 0; i < action->n_layers; i++) {
        struct es_unit unit = {action->checkpoint, action->layers[i], action->task};
        es_recall_add(&c->message, es_grid_id(c->grid, unit));
    }
    es_coordinator_send(c, action->worker, &c->message);
}

void es_coordinator_act(struct es_coordinator *c)
{
    struct es_action action;
    double now_s = es_clock_mono_s();
    while (es_sched_next_action(c->sched, now_s, &action)) {
        if (action.kind == ES_ACTION_ASSIGN)
            assign(c, &action);
        else
            recall(c, &action);
        es_coordinator_hear_verdicts(c);
    }
    es_coordinator_hear_verdicts(c);
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        flush_assign(c, r);
}
