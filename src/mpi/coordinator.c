#include "mpi/coordinator_state.h"

#include "core/mem.h"
#include "sys/await.h"
#include "sys/clock.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What others do is asked after so often, once nothing is left but that. */
#define NEWS_INTERVAL_S 0.2

void es_coordinator_note(struct es_coordinator *c, bool is_trouble, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->config->note(c->config->context, is_trouble, text);
}

void es_coordinator_send(struct es_coordinator *c, uint32_t rank, struct es_buf *buf)
{
    if (c->pulse)
        es_pulse_sent(c->pulse, rank);
    if (es_transport_send_buf(c->config->transport, rank, buf) < 0 && !c->fault.code)
        es_err_nomem(&c->fault, "sending a message");
}

static void handle(struct es_coordinator *c, uint32_t source, struct es_message *message)
{
    es_coordinator_hear(c, source);
    switch (es_message_type(message)) {
    case ES_MESSAGE_BEAT:
        break;
    case ES_MESSAGE_HELLO:
        es_coordinator_take_hello(c, source, message);
        break;
    case ES_MESSAGE_READY:
        es_coordinator_take_ready(c, source, message);
        break;
    case ES_MESSAGE_RESULTS:
        es_coordinator_take_results(c, source, message);
        break;
    case ES_MESSAGE_BYE:
        es_coordinator_take_bye(c, source);
        break;
    case ES_MESSAGE_DRAIN:
        es_coordinator_take_drained(c, source);
        break;
    default:
        es_coordinator_lose(c, source, "it sent a message that a worker does not send");
    }
    es_message_clear(message);
}

static void receive_all(struct es_coordinator *c)
{
    uint32_t source;
    struct es_message message;
    while (es_transport_receive(c->config->transport, &source, &message))
        handle(c, source, &message);
}

/* Waits for a message, a signal or the next thing that is due. */
static void wait_for_events(struct es_coordinator *c, double until_s)
{
    struct pollfd fds[2] = {
        {.fd = es_transport_fd(c->config->transport), .events = POLLIN},
        {.fd = c->config->signal_fd, .events = POLLIN},
    };
    int64_t due_ns = es_clock_after_ns(0, until_s - es_clock_mono_s());
    int64_t interval_ns = es_transport_interval_ns(c->config->transport);
    es_await_fds(fds, 2, due_ns < interval_ns ? due_ns : interval_ns);
}

static double next_due_s(const struct es_coordinator *c)
{
    double due_s = fmin(c->status_due_s, es_stopping_due_s(&c->stopping));
    if (c->config->report)
        due_s = fmin(due_s, c->report_due_s);
    if (c->pulse)
        due_s = fmin(due_s, es_pulse_due_s(c->pulse));
    if (es_sched_n_parked(c->sched) > 0)
        due_s = fmin(due_s, es_clock_mono_s() + NEWS_INTERVAL_S);
    return fmin(due_s, c->stopping.is_stopping ? c->drained_by_s : es_sched_deadline(c->sched));
}

static void send_quit(struct es_coordinator *c)
{
    for (uint32_t r = 0; r < c->roster.n_ranks; r++) {
        enum es_rank_state state = c->roster.ranks[r].state;
        if (state < ES_RANK_CONFIGURED || state == ES_RANK_LOST)
            continue;
        es_plain_encode(ES_MESSAGE_QUIT, &c->message);
        es_coordinator_send(c, r, &c->message);
        c->roster.ranks[r].state = ES_RANK_QUITTING;
    }
    c->quit_by_s = es_clock_mono_s() + ES_COORDINATOR_BYE_TIMEOUT_S;
}

static bool is_quitting(const struct es_coordinator *c)
{
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        if (c->roster.ranks[r].state == ES_RANK_QUITTING && !es_coordinator_is_silent(c, r))
            return es_clock_mono_s() < c->quit_by_s;
    return false;
}

static void wait_for_byes(struct es_coordinator *c)
{
    while (is_quitting(c)) {
        receive_all(c);
        es_coordinator_watch_ranks(c);
        es_coordinator_take_signals(c); /* an evaluator that is slow to end may be hurried */
        if (is_quitting(c))
            wait_for_events(c,
                            c->pulse ? fmin(c->quit_by_s, es_pulse_due_s(c->pulse)) : c->quit_by_s);
    }
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        c->outcome.n_silent += es_coordinator_is_silent(c, r);
}

static void run(struct es_coordinator *c)
{
    while (!es_coordinator_has_ended(c)) {
        receive_all(c);
        es_coordinator_watch_ranks(c);
        es_coordinator_take_signals(c);
        es_coordinator_watch_time(c);
        es_coordinator_mind_others(c);
        if (!c->stopping.is_stopping && c->roster.n_expected == 0) {
            es_coordinator_act(c);
            es_coordinator_stop_if_stuck(c);
            c->is_blocked_out =
                es_sched_is_blocked(c->sched, es_clock_mono_s()) || es_coordinator_is_hopeless(c);
            es_coordinator_watch_outage(c);
        }
        es_coordinator_tell_untold(c, false);
        es_coordinator_report(c, false);
        if (!es_coordinator_has_ended(c))
            wait_for_events(c, next_due_s(c));
    }
    if (c->stopping.is_stopping && c->outcome.ending == ES_ENDING_FINISHED &&
        !es_sched_finished(c->sched))
        c->outcome.ending = ES_ENDING_STOPPED;
    es_coordinator_tell_untold(c, true);
    es_coordinator_settle_all(c);
    c->outcome.failure = es_failures_most_frequent(c->failures);
    es_coordinator_tell_end(c);
    es_coordinator_report(c, true);
    es_coordinator_end_suspects(c);
    send_quit(c);
    wait_for_byes(c);
}

static int start_pulse(struct es_coordinator *c, struct es_err *err)
{
    const struct es_transport *transport = c->config->transport;
    if (c->config->pulse.beat_s <= 0)
        return 0;
    int rc = es_pulse_create(transport->size, &c->config->pulse, es_clock_mono_s(), &c->pulse, err);
    for (uint32_t r = 0; rc == 0 && r < transport->size; r++)
        if (r != transport->rank)
            es_pulse_watch(c->pulse, r);
    return rc;
}

static int prepare(struct es_coordinator *c, struct es_err *err)
{
    const struct es_coordinator_config *config = c->config;
    struct es_sched_config sched_config = {
        .policy = config->job->schedule.policy,
        .n_static = config->transport->size - !config->job->resources.coordinator_works,
        .max_attempts = config->job->evaluator.retries + 1,
        .max_bundles_failed = config->job->limits.max_consecutive_failures,
        .retry_delay_s = ES_SCHED_RETRY_DELAY_S,
        .from_end = config->has_joined,
        .prefetch_s = ES_SCHED_PREFETCH_S,
    };
    int rc = es_roster_init(&c->roster, config->job, config->transport->size, err);
    if (rc < 0)
        return rc;
    c->assign = es_mem_calloc(c->roster.n_ranks, sizeof *c->assign);
    c->worker_states = es_mem_calloc(c->roster.n_ranks, sizeof *c->worker_states);
    c->layers = es_mem_calloc(es_grid_n_layers(c->grid), sizeof *c->layers);
    c->n_suspects_most = c->roster.n_ranks + ES_BLOCKED_MOST + 1;
    c->suspects = es_mem_calloc(c->n_suspects_most, sizeof *c->suspects);
    c->suspect_units = es_mem_calloc(c->n_suspects_most, sizeof *c->suspect_units);
    c->suspect_states = es_mem_calloc(c->n_suspects_most, sizeof *c->suspect_states);
    if (!c->assign || !c->worker_states || !c->layers || !c->suspects || !c->suspect_units ||
        !c->suspect_states)
        return es_err_nomem(err, "preparing the run");
    rc = es_layout_create(config->job->layout, &c->layout, err);
    if (rc == 0)
        rc = es_job_text(config->job, &c->job_text.data, &c->job_text.len, err);
    if (rc == 0)
        rc = es_sched_create(c->grid, &sched_config, config->cost, &c->sched, err);
    for (uint32_t i = 0; rc == 0 && i < config->n_pending; i++)
        rc = es_sched_add(c->sched, config->pending[i], err);
    if (rc == 0)
        rc = es_failures_create(c->roster.n_ranks, c->sched, config->recorder, &c->failures, err);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < config->n_suspects; i++) {
        es_sched_suspect(c->sched, &config->suspects[i], es_clock_mono_s());
        es_coordinator_hear_verdicts(c);
    }
    return start_pulse(c, err);
}

int es_coordinator_run(const struct es_coordinator_config *config,
                       struct es_coordinator_outcome *ret_outcome, struct es_err *err)
{
    struct es_coordinator c = {
        .config = config,
        .grid = config->job->grid,
        .stopping = {.grace_s = config->job->limits.grace_s, .end_s = (double)INFINITY},
        .report_due_s = es_clock_mono_s() + config->report_interval_s,
        .outcome = {.state = {.alive = true,
                              .counts = config->counts,
                              .n_skipped = config->counts.done}},
    };
    es_result_init(&c.result);
    int rc = prepare(&c, err);
    if (rc == 0) {
        if (config->job->limits.time_limit_s > 0)
            es_coordinator_set_end(&c, config->started_s + config->job->limits.time_limit_s);
        run(&c);
        c.outcome.disowned = es_failures_take_disowned(c.failures, &c.outcome.n_disowned);
        *ret_outcome = c.outcome;
        ret_outcome->state.why_ended = NULL;
        ret_outcome->state.workers = NULL;
        ret_outcome->state.n_workers = 0;
        ret_outcome->state.suspects = NULL;
        ret_outcome->state.n_suspects = 0;
        ret_outcome->state.layout = NULL;
        rc = c.fault.code;
        if (rc < 0 && err)
            *err = c.fault;
    }
    for (uint32_t r = 0; c.assign && r < c.roster.n_ranks; r++)
        es_buf_clear(&c.assign[r]);
    es_failures_free(c.failures);
    es_sched_free(c.sched);
    es_pulse_free(c.pulse);
    es_result_clear(&c.result);
    es_buf_clear(&c.message);
    es_buf_clear(&c.job_text);
    free(c.layers);
    free(c.worker_states);
    free(c.suspects);
    free(c.suspect_units);
    free(c.suspect_states);
    es_layout_free(c.layout);
    free(c.assign);
    es_roster_clear(&c.roster);
    return rc;
}

void es_coordinator_outcome_clear(struct es_coordinator_outcome *outcome)
{
    free(outcome->disowned);
    free(outcome->suspects_json);
    free(outcome->suspects_text);
    *outcome = (struct es_coordinator_outcome){0};
}

void es_coordinator_send_exit(struct es_transport *transport, const struct es_exit *exit)
{
    for (uint32_t r = 1; r < transport->size; r++) {
        struct es_buf buf = {0};
        es_exit_encode(exit, &buf);
        (void)es_transport_send_buf(transport, r, &buf);
    }
}
