/* The end: signals, the time limit, and whether all is done. */
#include "mpi/coordinator_state.h"

#include "sys/clock.h"
#include "sys/signal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is left of Slurm's KillWait when running units have had theirs. */
#define KILL_WAIT_SPARE_S 5.0

/* Nothing begins any more, and what runs gets its grace. */
static void drain(struct es_coordinator *c, double grace_s, const char *why)
{
    c->drained_by_s = es_clock_mono_s() + fmax(grace_s, 0) + ES_COORDINATOR_BYE_TIMEOUT_S;
    (void)snprintf(c->outcome.why_ended, sizeof c->outcome.why_ended, "%s", why);
    if (grace_s == ES_DRAIN_KILL)
        es_coordinator_note(c, true, "%s: evaluators are killed", why);
    else
        es_coordinator_note(c, true, "%s: stopping, running units get %.0f s", why, grace_s);
    for (uint32_t r = 0; r < c->roster.n_ranks; r++) {
        enum es_rank_state state = c->roster.ranks[r].state;
        if (state != ES_RANK_CONFIGURED && state != ES_RANK_READY && state != ES_RANK_QUITTING)
            continue;
        es_drain_encode(grace_s, &c->message);
        es_coordinator_send(c, r, &c->message);
    }
}

/* What running units get after a SIGTERM: srun waits before it kills, mpirun hardly does. */
static double term_grace_s(const struct es_coordinator *c)
{
    if (!c->config->is_srun || !c->config->slurm)
        return 0;
    double spare_s = es_slurm_kill_wait_s(c->config->slurm) - KILL_WAIT_SPARE_S;
    return fmax(fmin(c->config->job->limits.grace_s, spare_s), 0);
}

void es_coordinator_take_signals(struct es_coordinator *c)
{
    int number;
    double grace_s;
    while (c->config->signal_fd >= 0 && (number = es_signal_take(c->config->signal_fd)) > 0)
        if (es_stopping_signal(&c->stopping, number, term_grace_s(c), es_clock_mono_s(), &grace_s))
            drain(c, grace_s, strsignal(number));
}

void es_coordinator_set_end(struct es_coordinator *c, double end_s)
{
    if (end_s >= c->stopping.end_s)
        return;
    c->stopping.end_s = end_s;
    if (es_sched_set_end(c->sched, es_stopping_work_end_s(&c->stopping), es_clock_mono_s(),
                         &c->fault) == 0)
        es_coordinator_note(c, false, "this job's time ends in %.0f s", end_s - es_clock_mono_s());
}

void es_coordinator_watch_time(struct es_coordinator *c)
{
    double grace_s;
    char why[80];
    if (c->config->slurm)
        es_coordinator_set_end(c, es_slurm_end_s(c->config->slurm));
    if (!es_stopping_time(&c->stopping, es_clock_mono_s(), &grace_s))
        return;
    (void)snprintf(why, sizeof why, "the time limit is %.0f s away",
                   fmax(c->stopping.end_s - es_clock_mono_s(), 0));
    drain(c, grace_s, why);
}

void es_coordinator_stop_if_stuck(struct es_coordinator *c)
{
    if (es_roster_count(&c->roster, ES_RANK_CONFIGURED) > 0 ||
        !es_sched_is_stuck(c->sched, es_clock_mono_s()))
        return;
    c->stopping.is_stopping = true;
    c->stopping.until_s = es_clock_mono_s();
    drain(c, 0, "no unit that is left is expected to end within the time limit");
}

/* Units that are held by ranks that are heard: nobody waits for what others hold. */
static uint32_t n_held(const struct es_coordinator *c)
{
    uint32_t n = es_sched_n_held(c->sched);
    for (uint32_t r = 0; n > 0 && r < c->roster.n_ranks; r++)
        if (es_coordinator_is_silent(c, r))
            n -= es_sched_n_held_by(c->sched, r);
    return n;
}

bool es_coordinator_has_ended(const struct es_coordinator *c)
{
    if (c->outcome.ending != ES_ENDING_FINISHED || c->fault.code)
        return true;
    if (c->stopping.is_stopping) /* a worker may hang in a file server */
        return n_held(c) == 0 || es_clock_mono_s() >= c->drained_by_s;
    return c->is_blocked_out || es_sched_finished(c->sched);
}
