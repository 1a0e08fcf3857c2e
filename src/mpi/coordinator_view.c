/* What people see. */
#include "mpi/coordinator_state.h"

#include "sys/clock.h"

#include <math.h>
#include <stdio.h>

/* The same trouble in writing is not said more often. */
#define FAULT_INTERVAL_S 60.0

static void fill_state(struct es_coordinator *c)
{
    double now_s = es_clock_mono_s();
    struct es_run_state *state = &c->outcome.state;
    es_ratemeter_add(&c->rate, now_s, state->n_evaluated);
    state->rate_per_s = es_ratemeter_per_s(&c->rate);
    state->eta_s = es_sched_eta(c->sched, now_s);
    state->n_running = 0;
    state->n_workers = 0;
    state->workers = c->worker_states;
    es_coordinator_fill_suspects(c);
    for (uint32_t r = 0; r < c->roster.n_ranks; r++) {
        const struct es_rank *rank = &c->roster.ranks[r];
        if (!rank->works || rank->state < ES_RANK_READY)
            continue;
        double since_s = now_s;
        uint32_t unit_id = ES_GRID_NONE;
        if (rank->state == ES_RANK_READY)
            unit_id = es_sched_running(c->sched, r, &since_s);
        state->n_running += unit_id != ES_GRID_NONE;
        c->worker_states[state->n_workers++] = (struct es_worker_state){
            .worker = r,
            .host = rank->hello.host,
            .device = rank->device,
            .unit_id = unit_id,
            .running_s = now_s - since_s,
            .expected_s =
                unit_id == ES_GRID_NONE ? (double)NAN : es_sched_expected_s(c->sched, unit_id),
            .is_out = rank->is_out,
        };
    }
}

static void publish_status(struct es_coordinator *c)
{
    struct es_buf text = {0};
    es_status_text(c->grid, &c->outcome.state, &text);
    if (text.failed)
        es_buf_clear(&text);
    es_recorder_set_status(c->config->recorder, text.data, text.len);
}

/* What cannot be written now is tried again every few seconds: said once a minute. */
static void note_fault(struct es_coordinator *c, const struct es_err *fault, bool is_final)
{
    char text[1024];
    if (is_final) { /* the run is another driver's now, say, and this one at its end */
        c->fault = *fault;
        return;
    }
    if (es_clock_mono_s() < c->fault_due_s)
        return;
    es_err_text(fault, text, sizeof text);
    es_coordinator_note(c, true, "%s (it is tried again; units whose done.json is there are safe)",
                        text);
    c->fault_due_s = es_clock_mono_s() + FAULT_INTERVAL_S;
}

void es_coordinator_report(struct es_coordinator *c, bool is_last)
{
    double now_s = es_clock_mono_s();
    bool report_is_due = c->config->report && (is_last || now_s >= c->report_due_s);
    bool status_is_due = is_last || now_s >= c->status_due_s;
    if (!report_is_due && !status_is_due)
        return;
    struct es_err fault;
    bool is_final;
    fill_state(c);
    c->outcome.state.alive = !is_last;
    c->outcome.state.why_ended = is_last && c->outcome.why_ended[0] ? c->outcome.why_ended : NULL;
    if (report_is_due) {
        c->config->report(c->config->context, &c->outcome.state);
        c->report_due_s = now_s + c->config->report_interval_s;
    }
    if (status_is_due) {
        publish_status(c);
        c->status_due_s = now_s + ES_STATUS_INTERVAL_S;
    }
    if (es_recorder_fault(c->config->recorder, &fault, &is_final))
        note_fault(c, &fault, is_final);
}

/* Why the run ends with work left, for those who were not there. (Why it was stopped is known since
 * that was decided.) */
void es_coordinator_tell_end(struct es_coordinator *c)
{
    char *text = c->outcome.why_ended;
    size_t size_bytes = sizeof c->outcome.why_ended;
    if (c->fault.code)
        es_err_text(&c->fault, text, size_bytes);
    else if (c->outcome.ending == ES_ENDING_LEFT)
        (void)snprintf(text, size_bytes, "another driver does the rest");
    else if (c->outcome.ending == ES_ENDING_NO_WORKER)
        (void)snprintf(text, size_bytes, "no worker is left");
    else if (c->outcome.ending == ES_ENDING_FINISHED)
        text[0] = '\0'; /* it was to stop, and there was nothing left */
    if (c->is_blocked_out && !text[0])
        (void)snprintf(text, size_bytes, "all that is left is blocked");
}
