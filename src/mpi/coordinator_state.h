/* What the coordinator is made of. Only coordinator*.c look in here.
 *
 *     coordinator.c          the loop, and its start and end
 *     coordinator_ranks.c    who is there: greeting, configuring, losing, hearing again
 *     coordinator_results.c  what became of units
 *     coordinator_assign.c   what the scheduler decided, on its way to the workers
 *     coordinator_blame.c    failures, and what is found to be at fault
 *     coordinator_view.c     what people see
 *     coordinator_stop.c     signals, the time limit, and whether the run is at its end
 *
 * What goes wrong in any of them is kept in `fault` or `outcome.ending`, at which the loop ends.
 */
#ifndef ES_MPI_COORDINATOR_STATE_H
#define ES_MPI_COORDINATOR_STATE_H

#include "evalsweep/sched.h"
#include "mpi/coordinator.h"
#include "mpi/failures.h"
#include "mpi/ratemeter.h"
#include "mpi/roster.h"
#include "mpi/stopping.h"
#include "run/layout.h"

/* What a worker gets beyond its grace to answer, before the job goes on without it. */
#define ES_COORDINATOR_BYE_TIMEOUT_S 30.0

struct es_coordinator {
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
    struct es_layout *layout;
    uint32_t n_suspects_most;
    struct es_suspect *suspects; /* [n_suspects_most] scratch, as the next two */
    uint32_t *suspect_units;
    struct es_suspect_state *suspect_states;
    uint32_t n_untold; /* failed attempts that nobody was told of */
    double untold_due_s;
    bool is_blocked_out; /* all that is left is blocked */
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

/* coordinator.c */

void es_coordinator_note(struct es_coordinator *c, bool is_trouble, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes what is in buf, and leaves it empty. */
void es_coordinator_send(struct es_coordinator *c, uint32_t rank, struct es_buf *buf);

/* coordinator_ranks.c: messages of these kinds, and what follows from them or from silence */

void es_coordinator_take_hello(struct es_coordinator *c, uint32_t source,
                               const struct es_message *message);
void es_coordinator_take_ready(struct es_coordinator *c, uint32_t source,
                               const struct es_message *message);
void es_coordinator_take_bye(struct es_coordinator *c, uint32_t source);
void es_coordinator_take_drained(struct es_coordinator *c, uint32_t source);
/* The rank works no more; what it holds is for others. */
void es_coordinator_lose(struct es_coordinator *c, uint32_t rank, const char *why);
/* To be called with every message, whatever it says. */
void es_coordinator_hear(struct es_coordinator *c, uint32_t rank);
void es_coordinator_watch_ranks(struct es_coordinator *c);
bool es_coordinator_is_silent(const struct es_coordinator *c, uint32_t rank);

/* coordinator_results.c */

/* The message goes to the recorder and is empty then, unless nothing of it counts. */
void es_coordinator_take_results(struct es_coordinator *c, uint32_t source,
                                 struct es_message *message);
/* Takes in what the recorder found out of other drivers' units; leaves the run to them when nothing
 * else is left. */
void es_coordinator_mind_others(struct es_coordinator *c);

/* coordinator_blame.c */

/* A unit failed on the worker that holds it. */
void es_coordinator_take_failed(struct es_coordinator *c, uint32_t worker,
                                const struct es_result_entry *entry);
/* Does, and tells, what follows from the scheduler's verdicts. After every event told to it. */
void es_coordinator_hear_verdicts(struct es_coordinator *c);
/* What failed for good on a worker, or on all, and was not retracted, counts. */
void es_coordinator_settle(struct es_coordinator *c, uint32_t worker);
void es_coordinator_settle_all(struct es_coordinator *c);
/* Sums up, once a minute and at the end, what was not told one by one. */
void es_coordinator_tell_untold(struct es_coordinator *c, bool is_last);
/* Whether nothing was ever done, and for a minute all has been blocked. */
bool es_coordinator_is_hopeless(struct es_coordinator *c);
/* Ends a run in which nothing succeeds any more. */
void es_coordinator_watch_outage(struct es_coordinator *c);
void es_coordinator_fill_suspects(struct es_coordinator *c);
/* Leaves in the outcome what was under suspicion in the last state. */
void es_coordinator_end_suspects(struct es_coordinator *c);

/* coordinator_assign.c */

/* Asks the scheduler, and sends what it says. */
void es_coordinator_act(struct es_coordinator *c);

/* coordinator_view.c */

/* Shows where the run is, if that is due. */
void es_coordinator_report(struct es_coordinator *c, bool is_last);
/* Puts into the outcome why the run ends with work left, for those who were not there. */
void es_coordinator_tell_end(struct es_coordinator *c);

/* coordinator_stop.c */

void es_coordinator_take_signals(struct es_coordinator *c);
/* The end of the job's time, as it becomes known. */
void es_coordinator_set_end(struct es_coordinator *c, double end_s);
void es_coordinator_watch_time(struct es_coordinator *c);
/* What is left would take longer than there is time: no reason to hold on to the GPUs. */
void es_coordinator_stop_if_stuck(struct es_coordinator *c);
bool es_coordinator_has_ended(const struct es_coordinator *c);

#endif
