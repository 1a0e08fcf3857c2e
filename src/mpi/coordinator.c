#include "mpi/coordinator.h"

#include "core/mem.h"
#include "evalsweep/sched.h"
#include "mpi/failures.h"
#include "mpi/ratemeter.h"
#include "mpi/roster.h"
#include "mpi/stopping.h"
#include "sys/clock.h"
#include "sys/signal.h"

#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_DELAY_S 1.0
/* An ASSIGN message is sent at this size, and anyway when there is nothing more to assign. */
#define ASSIGN_BYTES 65536
/* What others do is asked after so often, once nothing is left but that. */
#define NEWS_INTERVAL_S 0.2
/* What a worker gets beyond its grace to answer QUIT, before the job ends without it. */
#define BYE_TIMEOUT_S 30.0
/* What is left of Slurm's KillWait when running units have had theirs. */
#define KILL_WAIT_SPARE_S 5.0
/* The same trouble in writing is not said more often. */
#define FAULT_INTERVAL_S 60.0

struct coordinator {
    const struct es_coordinator_config *config;
    const struct es_grid *grid;
    struct es_sched *sched;
    struct es_buf job_text;
    struct es_roster roster;
    struct es_failures *failures;
    struct es_pulse *pulse;       /* NULL: the ranks do not beat */
    struct es_buf *assign;        /* [n_ranks] an ASSIGN message in the making for each */
    struct es_wire_layer *layers; /* [n_layers of the grid] scratch */
    struct es_buf message;        /* scratch */
    struct es_result result;      /* scratch */
    struct es_ratemeter rate;
    struct es_worker_state *worker_states; /* [n_ranks] scratch */
    struct es_coordinator_outcome outcome;
    struct es_stopping stopping;
    double report_due_s;
    double status_due_s;
    double fault_due_s;
    bool was_ready;      /* some worker was: the evaluator can be started */
    double drained_by_s; /* while stopping: when to go on without the rest */
    double quit_by_s;    /* once QUIT was sent: when to go on without the answers */
    struct es_err fault; /* what made the run impossible; code 0: nothing */
};

static double now(void)
{
    return es_clock_mono_s();
}

static void note(struct coordinator *c, bool is_trouble, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note(struct coordinator *c, bool is_trouble, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->config->note(c->config->context, is_trouble, text);
}

static void send(struct coordinator *c, uint32_t rank, struct es_buf *buf)
{
    if (c->pulse)
        es_pulse_sent(c->pulse, rank);
    if (es_transport_send_buf(c->config->transport, rank, buf) < 0 && !c->fault.code)
        es_err_nomem(&c->fault, "sending a message");
}

/* --- Ranks: greeting, configuring, losing them --- */

static void send_config(struct coordinator *c, uint32_t rank)
{
    struct es_rank *to = &c->roster.ranks[rank];
    struct es_config config = {
        .job_text = c->job_text.data,
        .job_text_n = c->job_text.len,
        .run_dir = c->config->run_dir,
        .versions_json = c->config->versions_json,
        .device_variable = to->binding.variable,
        .device_visible = to->binding.visible,
        .n_threads = es_roster_n_threads(&c->roster, rank),
        .not_before_ns = c->config->not_before_ns,
        .driver_id = c->config->driver_id,
        .started_ns = c->config->started_ns,
    };
    es_config_encode(&config, &c->message);
    send(c, rank, &c->message);
    to->state = ES_RANK_CONFIGURED;
}

/* All have greeted, or were given up: the others get their devices and the job. */
static void configure_all(struct coordinator *c)
{
    if (es_roster_bind(&c->roster, c->config->job, c->config->allow_cpu, &c->fault) < 0) {
        c->outcome.ending = ES_ENDING_CANNOT_START;
        return;
    }
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        if (c->roster.ranks[r].works)
            send_config(c, r);
}

/* What failed on a worker counts, now that it is known to be good or the run is at its end. */
static void confirm_failures(struct coordinator *c, uint32_t worker)
{
    uint32_t n = es_failures_confirm(c->failures, worker);
    c->outcome.state.counts.pending -= n;
    c->outcome.state.counts.failed += n;
    c->outcome.state.n_evaluated += n;
}

static void forgive(struct coordinator *c, uint32_t worker)
{
    uint32_t n = es_failures_forgive(c->failures, worker, now());
    c->outcome.state.n_retries += n;
    if (n > 0)
        note(c, true, "%u unit%s that failed on worker %u %s pending again", n, n == 1 ? "" : "s",
             worker, n == 1 ? "is" : "are");
}

static void handle_hello(struct coordinator *c, uint32_t source, const struct es_message *message)
{
    bool was_waiting = c->roster.n_expected > 0;
    if (es_roster_greet(&c->roster, source, message, &c->fault) < 0)
        c->outcome.ending = ES_ENDING_CANNOT_START;
    else if (was_waiting && c->roster.n_expected == 0)
        configure_all(c);
}

static const char *host_of(const struct coordinator *c, uint32_t rank)
{
    const char *host = c->roster.ranks[rank].hello.host;
    return host[0] ? host : "(no host: it did not greet)";
}

/* What the rank holds is for others from now on; whether no worker is left. */
static bool remove_worker(struct coordinator *c, uint32_t rank, enum es_rank_state state,
                          const char *why)
{
    struct es_rank *from = &c->roster.ranks[rank];
    note(c, true, "worker %u on %s is out: %s", rank, host_of(c, rank), why);
    if (from->state == ES_RANK_READY)
        es_sched_leave(c->sched, rank, now());
    forgive(c, rank);
    from->state = state;
    from->is_out = true;
    es_buf_reset(&c->assign[rank]);
    if (es_roster_count(&c->roster, ES_RANK_CONFIGURED) +
            es_roster_count(&c->roster, ES_RANK_READY) >
        0)
        return false;
    if (!c->stopping.is_stopping) /* otherwise nobody misses it */
        c->outcome.ending = ES_ENDING_NO_WORKER;
    return true;
}

static void lose_worker(struct coordinator *c, uint32_t rank, const char *why)
{
    if (c->roster.ranks[rank].state >= ES_RANK_BROKEN)
        return; /* out already, or told to quit: the run's ending does not change any more */
    if (remove_worker(c, rank, ES_RANK_BROKEN, why) && !c->was_ready && !c->fault.code) {
        es_err_set(&c->fault, ES_ERR_SPAWN, NULL, NULL, "%s", why);
        c->outcome.ending = ES_ENDING_CANNOT_START;
    }
}

static void handle_ready(struct coordinator *c, uint32_t source, const struct es_message *message)
{
    struct es_rank *from = &c->roster.ranks[source];
    struct es_ready ready;
    char text[600];
    if (es_ready_decode(message, &ready) < 0) {
        lose_worker(c, source, "it sent a malformed message");
    } else if (ready.why[0]) {
        lose_worker(c, source, ready.why);
    } else if (from->state == ES_RANK_CONFIGURED) {
        (void)snprintf(from->device, sizeof from->device, "%s", ready.note);
        from->state = ES_RANK_READY;
        from->is_out = false;
        c->was_ready = true;
        es_roster_describe(&c->roster, source, text, sizeof text);
        note(c, false, "worker %u: %s", source, text);
        if (!c->stopping.is_stopping && es_sched_join(c->sched, source, 1.0, now(), &c->fault) < 0)
            c->outcome.ending = ES_ENDING_NO_WORKER;
    }
}

static void handle_bye(struct coordinator *c, uint32_t source)
{
    if (c->roster.ranks[source].state == ES_RANK_QUITTING)
        c->roster.ranks[source].state = ES_RANK_GONE;
    else
        lose_worker(c, source, "it left without being told to");
}

/* A signal of its own stops a rank. Under mpirun that is mostly the end of all, of which rank 0
 * will hear in a moment; until then, and if it is not, the others go on. */
static void take_drained(struct coordinator *c, uint32_t source)
{
    static const char why[] = "a signal told its rank to stop";
    if (c->stopping.is_stopping)
        return; /* so does everybody; what it holds comes back */
    lose_worker(c, source, why);
    if (c->outcome.ending == ES_ENDING_NO_WORKER || c->outcome.ending == ES_ENDING_CANNOT_START) {
        c->outcome.ending = ES_ENDING_STOPPED;
        c->fault = (struct es_err){0};
        (void)snprintf(c->outcome.why_ended, sizeof c->outcome.why_ended, "%s", why);
    }
}

/* --- Ranks that fall silent --- */

/* A rank that did not greet, or has no work yet, is done without: nobody needs to wait for it. */
static void leave_out(struct coordinator *c, uint32_t rank)
{
    bool was_waiting = c->roster.n_expected > 0;
    note(c, true, "rank %u on %s is left out: silent for %.0f s", rank, host_of(c, rank),
         c->config->pulse.given_up_s);
    es_roster_leave_out(&c->roster, rank);
    if (was_waiting && c->roster.n_expected == 0) {
        configure_all(c);
        if (es_roster_count(&c->roster, ES_RANK_CONFIGURED) == 0)
            c->outcome.ending = ES_ENDING_NO_WORKER;
    }
}

static void give_up(struct coordinator *c, uint32_t rank)
{
    const struct es_rank *from = &c->roster.ranks[rank];
    char why[400];
    es_transport_abandon(c->config->transport, rank);
    if (from->state < ES_RANK_CONFIGURED && from->works)
        leave_out(c, rank);
    if (from->state != ES_RANK_CONFIGURED && from->state != ES_RANK_READY)
        return;
    (void)snprintf(why, sizeof why, "silent for %.0f s%s%s%s", c->config->pulse.given_up_s,
                   from->device[0] ? " (device " : "", from->device, from->device[0] ? ")" : "");
    (void)remove_worker(c, rank, ES_RANK_LOST, why);
}

static void watch_ranks(struct coordinator *c)
{
    uint32_t rank;
    enum es_pulse_event event;
    if (!c->pulse)
        return;
    es_pulse_look(c->pulse, now());
    while ((event = es_pulse_next(c->pulse, &rank)) != ES_PULSE_NOTHING) {
        if (event == ES_PULSE_TURNED_DEAD) {
            give_up(c, rank);
        } else if (event == ES_PULSE_TURNED_SILENT) {
            note(c, true, "worker %u on %s is silent for %.0f s: gets nothing new", rank,
                 host_of(c, rank), c->config->pulse.suspect_s);
            es_sched_suspend(c->sched, rank, now());
        } else {
            es_plain_encode(ES_MESSAGE_BEAT, &c->message);
            send(c, rank, &c->message);
        }
    }
}

/* A rank that was given up lives: it is to forget what it holds, and may then work again. */
static void take_back(struct coordinator *c, uint32_t rank)
{
    struct es_rank *from = &c->roster.ranks[rank];
    if (from->state != ES_RANK_LOST)
        return;
    if (c->quit_by_s > 0) {
        es_plain_encode(ES_MESSAGE_QUIT, &c->message);
        from->state = ES_RANK_QUITTING;
    } else {
        es_plain_encode(ES_MESSAGE_RESET, &c->message);
        from->state = ES_RANK_CONFIGURED;
    }
    send(c, rank, &c->message);
}

static void hear(struct coordinator *c, uint32_t rank)
{
    enum es_pulse_state before = c->pulse ? es_pulse_heard(c->pulse, rank) : ES_PULSE_UNWATCHED;
    if (before != ES_PULSE_SUSPECT && before != ES_PULSE_GIVEN_UP)
        return;
    note(c, true, "worker %u on %s is heard again", rank, host_of(c, rank));
    if (before == ES_PULSE_SUSPECT)
        es_sched_resume(c->sched, rank, now());
    else
        take_back(c, rank);
}

static bool is_silent(const struct coordinator *c, uint32_t rank)
{
    return c->pulse && (es_pulse_state(c->pulse, rank) == ES_PULSE_SUSPECT ||
                        es_pulse_state(c->pulse, rank) == ES_PULSE_GIVEN_UP);
}

/* --- Results --- */

static bool is_held(struct coordinator *c, uint32_t worker, const struct es_result_entry *entry)
{
    return entry->unit_id < es_grid_n_units(c->grid) &&
           es_sched_is_held_by(c->sched, worker, entry->unit_id);
}

static void count_done(struct coordinator *c)
{
    c->outcome.state.counts.pending--;
    c->outcome.state.counts.done++;
    c->outcome.state.counts.done_without_score += isnan(c->result.main_score) != 0;
}

static void take_done(struct coordinator *c, uint32_t worker, const struct es_result_entry *entry)
{
    struct es_times times = {.total_s = entry->total_s,
                             .load_s = c->result.load_s,
                             .pass_s = c->result.pass_s,
                             .score_s = c->result.score_s};
    count_done(c);
    if (entry->kind == ES_RESULT_FOUND) {
        c->outcome.state.n_skipped++;
        times.total_s = (double)NAN;
    } else {
        c->outcome.state.n_evaluated++;
        confirm_failures(c, worker);
    }
    es_sched_done(c->sched, worker, entry->unit_id, &times, now());
}

/* Unit after unit failed on a worker: a bad GPU or node must not fail the whole sweep. */
static void take_out(struct coordinator *c, uint32_t worker)
{
    char why[400];
    (void)snprintf(why, sizeof why, "%u units in a row failed on it (device %s)",
                   c->config->job->limits.max_consecutive_failures, c->roster.ranks[worker].device);
    es_drain_encode(0, &c->message);
    send(c, worker, &c->message);
    lose_worker(c, worker, why);
}

static void take_failed(struct coordinator *c, uint32_t worker, const struct es_result_entry *entry)
{
    char unit[600];
    es_grid_unit_text(c->grid, entry->unit_id, unit, sizeof unit);
    bool is_last = es_sched_failed(c->sched, worker, entry->unit_id, entry->may_retry, now());
    note(c, is_last, "%s failed on worker %u (try %d%s): %s", unit, worker, c->result.attempt,
         is_last ? ", the last" : "", es_result_text(&c->result, c->result.reason));
    c->outcome.state.n_retries += !is_last;
    (void)es_failures_add(c->failures, worker, entry, &c->result, is_last, &c->fault);
}

/* Another driver saw it fail for good. */
static void count_failed_elsewhere(struct coordinator *c)
{
    c->outcome.state.counts.pending--;
    c->outcome.state.counts.failed++;
    c->outcome.state.n_skipped++;
}

static void take_found_failed(struct coordinator *c, uint32_t worker, uint32_t unit_id)
{
    (void)es_sched_failed(c->sched, worker, unit_id, false, now());
    count_failed_elsewhere(c);
}

/* Another driver has the unit's bundle: nobody here gets any of it, and the recorder watches it. */
static void take_elsewhere(struct coordinator *c, uint32_t worker, uint32_t unit_id)
{
    struct es_result_entry entry = {.kind = ES_RESULT_ELSEWHERE};
    struct es_buf others = {0};
    struct es_message message;
    es_sched_park(c->sched, worker, unit_id, now());
    while ((entry.unit_id = es_sched_park_another(c->sched, unit_id)) != ES_GRID_NONE) {
        if (others.len == 0)
            es_results_begin(&others);
        es_results_add(&others, &entry, NULL);
    }
    if (others.failed && !c->fault.code)
        es_err_nomem(&c->fault, "leaving units to another driver");
    else if (others.len && es_message_take(&others, &message) == 0)
        es_recorder_add(c->config->recorder, &message);
    es_buf_clear(&others);
}

static void take_entry(struct coordinator *c, uint32_t worker, const struct es_result_entry *entry)
{
    switch (entry->kind) {
    case ES_RESULT_DONE:
    case ES_RESULT_FOUND:
        take_done(c, worker, entry);
        break;
    case ES_RESULT_FAILED:
        take_failed(c, worker, entry);
        break;
    case ES_RESULT_RETURNED:
        es_sched_returned(c->sched, worker, entry->unit_id, now());
        break;
    case ES_RESULT_KEPT:
        es_sched_kept(c->sched, worker, entry->unit_id, now());
        break;
    case ES_RESULT_FOUND_FAILED:
        take_found_failed(c, worker, entry->unit_id);
        break;
    case ES_RESULT_ELSEWHERE:
        take_elsewhere(c, worker, entry->unit_id);
        break;
    case ES_RESULT_LOST: /* refused before */
        break;
    }
}

static void handle_results(struct coordinator *c, uint32_t source, struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    struct es_result_entry entry;
    bool is_news = false; /* otherwise all of it was given to others meanwhile */
    bool is_malformed = false, is_out = c->roster.ranks[source].is_out;
    while (!is_malformed && es_results_next(&reader, &entry, &c->result)) {
        is_malformed = entry.kind == ES_RESULT_LOST; /* no worker knows what is lost */
        if (is_malformed)
            continue;
        if (!is_out && is_held(c, source, &entry)) {
            take_entry(c, source, &entry);
            is_news = true;
        } else if (entry.kind == ES_RESULT_FAILED && entry.unit_id < es_grid_n_units(c->grid)) {
            es_failures_disown(c->failures, entry.unit_id);
        }
    }
    if (is_out)
        return;
    if (is_malformed) {
        lose_worker(c, source, "it sent malformed results");
        return; /* the recorder would believe it */
    }
    if (reader.failed)
        lose_worker(c, source, "it sent malformed results");
    if (is_news)
        es_recorder_add(c->config->recorder, message);
    if (es_failures_is_bad(c->failures, source)) /* not before: all of the message was its own */
        take_out(c, source);
}

/* --- Other drivers: what became of units that they had --- */

static void take_news_entry(struct coordinator *c, const struct es_result_entry *entry)
{
    uint32_t unit_id = entry->unit_id;
    if (entry->kind == ES_RESULT_RETURNED) {
        es_sched_unpark(c->sched, unit_id, now());
    } else if (entry->kind == ES_RESULT_FOUND && es_sched_settle(c->sched, unit_id, true)) {
        count_done(c);
        c->outcome.state.n_skipped++;
    } else if (entry->kind == ES_RESULT_FOUND_FAILED && es_sched_settle(c->sched, unit_id, false)) {
        count_failed_elsewhere(c);
    }
}

/* Takes in what the recorder found out; leaves the run to the others when nothing else is left. */
static void mind_others(struct coordinator *c)
{
    struct es_message message;
    struct es_result_entry entry;
    if (es_sched_n_parked(c->sched) == 0)
        return;
    while (es_recorder_news(c->config->recorder, &message)) {
        struct es_wire_reader reader = es_wire_read(&message);
        while (es_results_next(&reader, &entry, &c->result))
            take_news_entry(c, &entry);
        es_message_clear(&message);
    }
    bool is_through =
        es_sched_n_pending(c->sched) + es_sched_n_held(c->sched) == 0 && !c->stopping.is_stopping;
    for (uint32_t r = 0; is_through && r < c->roster.n_ranks; r++)
        confirm_failures(c, r); /* what is in doubt counts at the end */
    es_recorder_want_to_leave(c->config->recorder, is_through ? es_sched_n_parked(c->sched) : 0);
    if (c->outcome.ending == ES_ENDING_FINISHED && es_recorder_has_left(c->config->recorder))
        c->outcome.ending = ES_ENDING_LEFT;
}

static void handle(struct coordinator *c, uint32_t source, struct es_message *message)
{
    hear(c, source);
    switch (es_message_type(message)) {
    case ES_MESSAGE_BEAT:
        break;
    case ES_MESSAGE_HELLO:
        handle_hello(c, source, message);
        break;
    case ES_MESSAGE_READY:
        handle_ready(c, source, message);
        break;
    case ES_MESSAGE_RESULTS:
        handle_results(c, source, message);
        break;
    case ES_MESSAGE_BYE:
        handle_bye(c, source);
        break;
    case ES_MESSAGE_DRAIN:
        take_drained(c, source);
        break;
    default:
        lose_worker(c, source, "it sent a message that a worker does not send");
    }
    es_message_clear(message);
}

/* --- Assignments --- */

static void flush_assign(struct coordinator *c, uint32_t rank)
{
    if (c->assign[rank].len)
        send(c, rank, &c->assign[rank]);
}

static void assign(struct coordinator *c, const struct es_action *action)
{
    struct es_buf *buf = &c->assign[action->worker];
    struct es_wire_bundle bundle = {action->checkpoint, action->task, action->next_checkpoint,
                                    action->n_layers};
    for (uint32_t i = 0; i < action->n_layers; i++) {
        struct es_unit unit = {action->checkpoint, action->layers[i], action->task};
        c->layers[i] = (struct es_wire_layer){
            action->layers[i], es_sched_attempt(c->sched, es_grid_id(c->grid, unit)),
            es_sched_was_tried(c->sched, es_grid_id(c->grid, unit))};
    }
    if (buf->len == 0)
        es_assign_begin(buf);
    es_assign_add(buf, &bundle, c->layers);
    if (buf->len >= ASSIGN_BYTES)
        flush_assign(c, action->worker);
}

static void recall(struct coordinator *c, const struct es_action *action)
{
    flush_assign(c, action->worker); /* what is recalled may still wait here */
    es_recall_begin(&c->message);
    for (uint32_t i = 0; i < action->n_layers; i++) {
        struct es_unit unit = {action->checkpoint, action->layers[i], action->task};
        es_recall_add(&c->message, es_grid_id(c->grid, unit));
    }
    send(c, action->worker, &c->message);
}

static void act(struct coordinator *c)
{
    struct es_action action;
    double now_s = now();
    while (es_sched_next_action(c->sched, now_s, &action)) {
        if (action.kind == ES_ACTION_ASSIGN)
            assign(c, &action);
        else
            recall(c, &action);
    }
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        flush_assign(c, r);
}

/* --- What people see --- */

static void fill_state(struct coordinator *c)
{
    double now_s = now();
    struct es_run_state *state = &c->outcome.state;
    es_ratemeter_add(&c->rate, now_s, state->n_evaluated);
    state->rate_per_s = es_ratemeter_per_s(&c->rate);
    state->eta_s = es_sched_eta(c->sched, now_s);
    state->n_running = 0;
    state->n_workers = 0;
    state->workers = c->worker_states;
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
            .is_out = rank->is_out,
        };
    }
}

static void publish_status(struct coordinator *c)
{
    struct es_buf text = {0};
    es_status_text(c->grid, &c->outcome.state, &text);
    if (text.failed)
        es_buf_clear(&text);
    es_recorder_set_status(c->config->recorder, text.data, text.len);
}

/* What cannot be written now is tried again every few seconds: said once a minute. */
static void note_fault(struct coordinator *c, const struct es_err *fault, bool is_final)
{
    char text[1024];
    if (is_final) { /* the run is another driver's now, say, and this one at its end */
        c->fault = *fault;
        return;
    }
    if (now() < c->fault_due_s)
        return;
    es_err_text(fault, text, sizeof text);
    note(c, true, "%s (it is tried again; units whose done.json is there are safe)", text);
    c->fault_due_s = now() + FAULT_INTERVAL_S;
}

static void report(struct coordinator *c, bool is_last)
{
    double now_s = now();
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
static void tell_end(struct coordinator *c)
{
    char *text = c->outcome.why_ended;
    size_t size_bytes = sizeof c->outcome.why_ended;
    if (c->fault.code)
        es_err_text(&c->fault, text, size_bytes);
    else if (c->outcome.ending == ES_ENDING_LEFT)
        (void)snprintf(text, size_bytes, "another driver does the rest");
    else if (c->outcome.ending == ES_ENDING_NO_WORKER)
        es_failures_no_worker_text(&c->outcome.failure, text, size_bytes);
    else if (c->outcome.ending == ES_ENDING_FINISHED)
        text[0] = '\0'; /* it was to stop, and there was nothing left */
}

/* --- Stopping --- */

/* Nothing begins any more, and what runs gets its grace. */
static void drain(struct coordinator *c, double grace_s, const char *why)
{
    c->drained_by_s = now() + fmax(grace_s, 0) + BYE_TIMEOUT_S;
    (void)snprintf(c->outcome.why_ended, sizeof c->outcome.why_ended, "%s", why);
    if (grace_s == ES_DRAIN_KILL)
        note(c, true, "%s: evaluators are killed", why);
    else
        note(c, true, "%s: stopping, running units get %.0f s", why, grace_s);
    for (uint32_t r = 0; r < c->roster.n_ranks; r++) {
        enum es_rank_state state = c->roster.ranks[r].state;
        if (state != ES_RANK_CONFIGURED && state != ES_RANK_READY && state != ES_RANK_QUITTING)
            continue;
        es_drain_encode(grace_s, &c->message);
        send(c, r, &c->message);
    }
}

/* What running units get after a SIGTERM: srun waits before it kills, mpirun hardly does. */
static double term_grace_s(const struct coordinator *c)
{
    if (!c->config->is_srun || !c->config->slurm)
        return 0;
    double spare_s = es_slurm_kill_wait_s(c->config->slurm) - KILL_WAIT_SPARE_S;
    return fmax(fmin(c->config->job->limits.grace_s, spare_s), 0);
}

static void take_signals(struct coordinator *c)
{
    int number;
    double grace_s;
    while (c->config->signal_fd >= 0 && (number = es_signal_take(c->config->signal_fd)) > 0)
        if (es_stopping_signal(&c->stopping, number, term_grace_s(c), now(), &grace_s))
            drain(c, grace_s, strsignal(number));
}

/* The end of the job's time, as it becomes known. */
static void set_end(struct coordinator *c, double end_s)
{
    if (end_s >= c->stopping.end_s)
        return;
    c->stopping.end_s = end_s;
    if (es_sched_set_end(c->sched, es_stopping_work_end_s(&c->stopping), now(), &c->fault) == 0)
        note(c, false, "this job's time ends in %.0f s", end_s - now());
}

static void watch_time(struct coordinator *c)
{
    double grace_s;
    char why[80];
    if (c->config->slurm)
        set_end(c, es_slurm_end_s(c->config->slurm));
    if (!es_stopping_time(&c->stopping, now(), &grace_s))
        return;
    (void)snprintf(why, sizeof why, "the time limit is %.0f s away",
                   fmax(c->stopping.end_s - now(), 0));
    drain(c, grace_s, why);
}

/* What is left would take longer than there is time: no reason to hold on to the GPUs. */
static void stop_if_stuck(struct coordinator *c)
{
    if (es_roster_count(&c->roster, ES_RANK_CONFIGURED) > 0 || !es_sched_is_stuck(c->sched, now()))
        return;
    c->stopping.is_stopping = true;
    c->stopping.until_s = now();
    drain(c, 0, "no unit that is left is expected to end within the time limit");
}

/* Units that are held by ranks that are heard: nobody waits for what others hold. */
static uint32_t n_held(const struct coordinator *c)
{
    uint32_t n = es_sched_n_held(c->sched);
    for (uint32_t r = 0; n > 0 && r < c->roster.n_ranks; r++)
        if (is_silent(c, r))
            n -= es_sched_n_held_by(c->sched, r);
    return n;
}

static bool has_ended(const struct coordinator *c)
{
    if (c->outcome.ending != ES_ENDING_FINISHED || c->fault.code)
        return true;
    if (c->stopping.is_stopping) /* a worker may hang in a file server */
        return n_held(c) == 0 || now() >= c->drained_by_s;
    return es_sched_finished(c->sched);
}

static void receive_all(struct coordinator *c)
{
    uint32_t source;
    struct es_message message;
    while (es_transport_receive(c->config->transport, &source, &message))
        handle(c, source, &message);
}

/* Waits for a message, a signal or the next thing that is due. */
static void wait_for_events(struct coordinator *c, double until_s)
{
    struct pollfd fds[2] = {
        {.fd = es_transport_fd(c->config->transport), .events = POLLIN},
        {.fd = c->config->signal_fd, .events = POLLIN},
    };
    double wait_s = until_s - now();
    int64_t wait_ns = es_transport_interval_ns(c->config->transport);
    if (wait_s < 0)
        wait_s = 0;
    if (wait_s < 3600 && (int64_t)(wait_s * 1e9) < wait_ns)
        wait_ns = (int64_t)(wait_s * 1e9);
    struct timespec timeout = {wait_ns / ES_NS_PER_S, wait_ns % ES_NS_PER_S};
    (void)ppoll(fds, 2, wait_ns == INT64_MAX ? NULL : &timeout, NULL);
}

static double next_due_s(const struct coordinator *c)
{
    double due_s = fmin(c->status_due_s, es_stopping_due_s(&c->stopping));
    if (c->config->report)
        due_s = fmin(due_s, c->report_due_s);
    if (c->pulse)
        due_s = fmin(due_s, es_pulse_due_s(c->pulse));
    if (es_sched_n_parked(c->sched) > 0)
        due_s = fmin(due_s, now() + NEWS_INTERVAL_S);
    return fmin(due_s, c->stopping.is_stopping ? c->drained_by_s : es_sched_deadline(c->sched));
}

static void send_quit(struct coordinator *c)
{
    for (uint32_t r = 0; r < c->roster.n_ranks; r++) {
        enum es_rank_state state = c->roster.ranks[r].state;
        if (state < ES_RANK_CONFIGURED || state == ES_RANK_LOST)
            continue;
        es_plain_encode(ES_MESSAGE_QUIT, &c->message);
        send(c, r, &c->message);
        c->roster.ranks[r].state = ES_RANK_QUITTING;
    }
    c->quit_by_s = now() + BYE_TIMEOUT_S;
}

static bool is_quitting(const struct coordinator *c)
{
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        if (c->roster.ranks[r].state == ES_RANK_QUITTING && !is_silent(c, r))
            return now() < c->quit_by_s;
    return false;
}

static void wait_for_byes(struct coordinator *c)
{
    while (is_quitting(c)) {
        receive_all(c);
        watch_ranks(c);
        take_signals(c); /* an evaluator that is slow to end may be hurried */
        if (is_quitting(c))
            wait_for_events(c,
                            c->pulse ? fmin(c->quit_by_s, es_pulse_due_s(c->pulse)) : c->quit_by_s);
    }
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        c->outcome.n_silent += is_silent(c, r);
}

static void run(struct coordinator *c)
{
    while (!has_ended(c)) {
        receive_all(c);
        watch_ranks(c);
        take_signals(c);
        watch_time(c);
        mind_others(c);
        if (!c->stopping.is_stopping && c->roster.n_expected == 0) {
            act(c);
            stop_if_stuck(c);
        }
        report(c, false);
        if (!has_ended(c))
            wait_for_events(c, next_due_s(c));
    }
    if (c->stopping.is_stopping && c->outcome.ending == ES_ENDING_FINISHED &&
        !es_sched_finished(c->sched))
        c->outcome.ending = ES_ENDING_STOPPED;
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        confirm_failures(c, r);
    c->outcome.failure = es_failures_commonest(c->failures);
    tell_end(c);
    report(c, true);
    send_quit(c);
    wait_for_byes(c);
}

static int start_pulse(struct coordinator *c, struct es_err *err)
{
    const struct es_transport *transport = c->config->transport;
    if (c->config->pulse.beat_s <= 0)
        return 0;
    int rc = es_pulse_create(transport->size, &c->config->pulse, now(), &c->pulse, err);
    for (uint32_t r = 0; rc == 0 && r < transport->size; r++)
        if (r != transport->rank)
            es_pulse_watch(c->pulse, r);
    return rc;
}

static int prepare(struct coordinator *c, struct es_err *err)
{
    const struct es_coordinator_config *config = c->config;
    struct es_sched_config sched_config = {
        .policy = config->job->schedule.policy,
        .n_static = config->transport->size - !config->job->resources.coordinator_works,
        .max_attempts = config->job->evaluator.retries + 1,
        .retry_delay_s = RETRY_DELAY_S,
        .from_end = config->has_joined,
        .prefetch_s = ES_SCHED_PREFETCH_S,
    };
    int rc = es_roster_init(&c->roster, config->job, config->transport->size, err);
    if (rc < 0)
        return rc;
    c->assign = es_mem_calloc(c->roster.n_ranks, sizeof *c->assign);
    c->worker_states = es_mem_calloc(c->roster.n_ranks, sizeof *c->worker_states);
    c->layers = es_mem_calloc(es_grid_n_layers(c->grid), sizeof *c->layers);
    if (!c->assign || !c->worker_states || !c->layers)
        return es_err_nomem(err, "preparing the run");
    rc = es_job_text(config->job, &c->job_text.data, &c->job_text.len, err);
    if (rc == 0)
        rc = es_sched_create(c->grid, &sched_config, config->cost, &c->sched, err);
    for (uint32_t i = 0; rc == 0 && i < config->n_pending; i++)
        rc = es_sched_add(c->sched, config->pending[i], err);
    if (rc == 0)
        rc = es_failures_create(c->roster.n_ranks, config->job->limits.max_consecutive_failures,
                                c->sched, config->recorder, &c->failures, err);
    return rc < 0 ? rc : start_pulse(c, err);
}

int es_coordinator_run(const struct es_coordinator_config *config,
                       struct es_coordinator_outcome *ret_outcome, struct es_err *err)
{
    struct coordinator c = {
        .config = config,
        .grid = config->job->grid,
        .stopping = {.grace_s = config->job->limits.grace_s, .end_s = (double)INFINITY},
        .report_due_s = now() + config->report_interval_s,
        .outcome = {.state = {.alive = true,
                              .counts = config->counts,
                              .n_skipped = config->counts.done}},
    };
    es_result_init(&c.result);
    int rc = prepare(&c, err);
    if (rc == 0) {
        if (config->job->limits.time_limit_s > 0)
            set_end(&c, config->started_s + config->job->limits.time_limit_s);
        run(&c);
        c.outcome.forgiven = es_failures_take_forgiven(c.failures, &c.outcome.n_forgiven);
        *ret_outcome = c.outcome;
        ret_outcome->state.why_ended = NULL;
        ret_outcome->state.workers = NULL;
        ret_outcome->state.n_workers = 0;
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
    free(c.job_text.data);
    free(c.layers);
    free(c.worker_states);
    free(c.assign);
    es_roster_clear(&c.roster);
    return rc;
}

void es_coordinator_send_exit(struct es_transport *transport, const struct es_exit *exit)
{
    for (uint32_t r = 1; r < transport->size; r++) {
        struct es_buf buf = {0};
        es_exit_encode(exit, &buf);
        (void)es_transport_send_buf(transport, r, &buf);
    }
}
