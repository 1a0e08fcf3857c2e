/* Ranks: greeting, configuring, losing them, and those that fall silent. */
#include "mpi/coordinator_state.h"

#include "sys/clock.h"

#include <stdio.h>

static void send_config(struct es_coordinator *c, uint32_t rank)
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
    es_coordinator_send(c, rank, &c->message);
    to->state = ES_RANK_CONFIGURED;
}

/* All have greeted, or were given up: the others get their devices and the job. */
static void configure_all(struct es_coordinator *c)
{
    if (es_roster_bind(&c->roster, c->config->job, c->config->allow_cpu, &c->fault) < 0) {
        c->outcome.ending = ES_ENDING_CANNOT_START;
        return;
    }
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        if (c->roster.ranks[r].works)
            send_config(c, r);
}

void es_coordinator_take_hello(struct es_coordinator *c, uint32_t source,
                               const struct es_message *message)
{
    bool was_waiting = c->roster.n_expected > 0;
    if (es_roster_greet(&c->roster, source, message, &c->fault) < 0)
        c->outcome.ending = ES_ENDING_CANNOT_START;
    else if (was_waiting && c->roster.n_expected == 0)
        configure_all(c);
}

static const char *host_of(const struct es_coordinator *c, uint32_t rank)
{
    const char *host = c->roster.ranks[rank].hello.host;
    return host[0] ? host : "(no host: it did not greet)";
}

/* What the rank holds is for others from now on; whether no worker is left. */
static bool remove_worker(struct es_coordinator *c, uint32_t rank, enum es_rank_state state,
                          const char *why)
{
    struct es_rank *from = &c->roster.ranks[rank];
    es_coordinator_note(c, true, "worker %u on %s is out: %s", rank, host_of(c, rank), why);
    es_sched_leave(c->sched, rank, es_clock_mono_s());
    es_coordinator_hear_verdicts(c);
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

void es_coordinator_lose(struct es_coordinator *c, uint32_t rank, const char *why)
{
    if (c->roster.ranks[rank].state >= ES_RANK_BROKEN)
        return; /* out already, or told to quit: the run's ending does not change any more */
    if (remove_worker(c, rank, ES_RANK_BROKEN, why) && !c->was_ready && !c->fault.code) {
        es_err_set(&c->fault, ES_ERR_SPAWN, NULL, NULL, "%s", why);
        c->outcome.ending = ES_ENDING_CANNOT_START;
    }
}

void es_coordinator_take_ready(struct es_coordinator *c, uint32_t source,
                               const struct es_message *message)
{
    struct es_rank *from = &c->roster.ranks[source];
    struct es_ready ready;
    char text[600];
    if (es_ready_decode(message, &ready) < 0) {
        es_coordinator_lose(c, source, "it sent a malformed message");
    } else if (ready.why[0]) {
        es_coordinator_lose(c, source, ready.why);
    } else if (from->state == ES_RANK_CONFIGURED) {
        (void)snprintf(from->device, sizeof from->device, "%s", ready.note);
        from->state = ES_RANK_READY;
        from->is_out = false;
        c->was_ready = true;
        if (es_sched_is_there(c->sched, source))
            return; /* it was quarantined, and has dropped what it held */
        es_roster_describe(&c->roster, source, text, sizeof text);
        es_coordinator_note(c, false, "worker %u: %s", source, text);
        if (!c->stopping.is_stopping &&
            es_sched_join(c->sched, source, 1.0, es_clock_mono_s(), &c->fault) < 0)
            c->outcome.ending = ES_ENDING_NO_WORKER;
    }
}

void es_coordinator_take_bye(struct es_coordinator *c, uint32_t source)
{
    if (c->roster.ranks[source].state == ES_RANK_QUITTING)
        c->roster.ranks[source].state = ES_RANK_GONE;
    else
        es_coordinator_lose(c, source, "it left without being told to");
}

/* A signal of its own stops a rank. Under mpirun that is mostly the end of all, of which rank 0
 * will hear in a moment; until then, and if it is not, the others go on. */
void es_coordinator_take_drained(struct es_coordinator *c, uint32_t source)
{
    static const char why[] = "a signal told its rank to stop";
    if (c->stopping.is_stopping)
        return; /* so does everybody; what it holds comes back */
    es_coordinator_lose(c, source, why);
    if (c->outcome.ending == ES_ENDING_NO_WORKER || c->outcome.ending == ES_ENDING_CANNOT_START) {
        c->outcome.ending = ES_ENDING_STOPPED;
        c->fault = (struct es_err){0};
        (void)snprintf(c->outcome.why_ended, sizeof c->outcome.why_ended, "%s", why);
    }
}

/* A rank that did not greet, or has no work yet, is done without: nobody needs to wait for it. */
static void leave_out(struct es_coordinator *c, uint32_t rank)
{
    bool was_waiting = c->roster.n_expected > 0;
    es_coordinator_note(c, true, "rank %u on %s is left out: silent for %.0f s", rank,
                        host_of(c, rank), c->config->pulse.given_up_s);
    es_roster_leave_out(&c->roster, rank);
    if (was_waiting && c->roster.n_expected == 0) {
        configure_all(c);
        if (es_roster_count(&c->roster, ES_RANK_CONFIGURED) == 0)
            c->outcome.ending = ES_ENDING_NO_WORKER;
    }
}

static void give_up(struct es_coordinator *c, uint32_t rank)
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

void es_coordinator_watch_ranks(struct es_coordinator *c)
{
    uint32_t rank;
    enum es_pulse_event event;
    if (!c->pulse)
        return;
    es_pulse_look(c->pulse, es_clock_mono_s());
    while ((event = es_pulse_next(c->pulse, &rank)) != ES_PULSE_NOTHING) {
        if (event == ES_PULSE_TURNED_DEAD) {
            give_up(c, rank);
        } else if (event == ES_PULSE_TURNED_SILENT) {
            es_coordinator_note(c, true, "worker %u on %s is silent for %.0f s: gets nothing new",
                                rank, host_of(c, rank), c->config->pulse.suspect_s);
            es_sched_suspend(c->sched, rank, es_clock_mono_s());
        } else {
            es_plain_encode(ES_MESSAGE_BEAT, &c->message);
            es_coordinator_send(c, rank, &c->message);
        }
    }
}

/* A rank that was given up lives: it is to forget what it holds, and may then work again. */
static void take_back(struct es_coordinator *c, uint32_t rank)
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
    es_coordinator_send(c, rank, &c->message);
}

void es_coordinator_hear(struct es_coordinator *c, uint32_t rank)
{
    enum es_pulse_state before = c->pulse ? es_pulse_heard(c->pulse, rank) : ES_PULSE_UNWATCHED;
    if (before != ES_PULSE_SUSPECT && before != ES_PULSE_GIVEN_UP)
        return;
    es_coordinator_note(c, true, "worker %u on %s is heard again", rank, host_of(c, rank));
    if (before == ES_PULSE_SUSPECT)
        es_sched_resume(c->sched, rank, es_clock_mono_s());
    else
        take_back(c, rank);
}

bool es_coordinator_is_silent(const struct es_coordinator *c, uint32_t rank)
{
    return c->pulse && (es_pulse_state(c->pulse, rank) == ES_PULSE_SUSPECT ||
                        es_pulse_state(c->pulse, rank) == ES_PULSE_GIVEN_UP);
}
