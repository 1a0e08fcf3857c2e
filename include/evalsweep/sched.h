/* The scheduler: which worker runs which units next.
 *
 * Events go in, actions come out; time (seconds on any steady clock that never goes back) is an
 * argument. `run` and `simulate` drive the same code. No MPI, clock or files.
 *
 *     es_sched_create(grid, &config, cost, &sched, &err);
 *     es_sched_add(sched, unit_id, &err);                 // every pending unit, before the start
 *     es_sched_join(sched, worker, speed, now_s, &err);   // workers as they become ready
 *     loop until es_sched_finished(sched):
 *         while (es_sched_next_action(sched, now_s, &action))
 *             ... send it to action.worker ...
 *         wait for an event, or until es_sched_deadline(sched)
 *         es_sched_done / failed / returned / kept / leave (sched, ...)
 *
 * A unit is PENDING (nobody has it), HELD (a worker has it, running or queued), PARKED (another job
 * has it), DONE or FAILED (for good). A worker runs what it holds in the order of the assignments,
 * so the first unit held is the one that runs. Allowed changes: PENDING -> HELD by an ASSIGN
 * action; HELD -> DONE, FAILED, PENDING or PARKED, PENDING -> PARKED, and PARKED -> PENDING, DONE
 * or FAILED by events; FAILED -> PENDING where a failure is retracted.
 *
 * Failures are judged by evalsweep/blame.h; what follows from that is done here. A pending unit may
 * be blocked: nobody gets it but to probe it. A worker may be doubtful, quarantined, or held back
 * by an outage. After each event, es_sched_next_verdict tells what has changed.
 *
 * A decision costs O(log n). Threads: none of its own; one owner at a time.
 */
#ifndef EVALSWEEP_SCHED_H
#define EVALSWEEP_SCHED_H

#include "evalsweep/blame.h"
#include "evalsweep/cost.h"
#include "evalsweep/grid.h"

/* In which order the work is handed out. */
enum es_policy {
    ES_POLICY_AFFINE, /* longest first, staying with a loaded checkpoint; the default */
    ES_POLICY_LPT, /* longest bundle first, whatever is loaded: at most 4/3 - 1/(3 W) times the best
                      makespan of W equal workers if loads are free (Graham 1969) */
    ES_POLICY_FIFO,   /* grid order */
    ES_POLICY_STATIC, /* the old array split: by checkpoint, config.n_static ways */
    ES_N_POLICIES,
};

/* "affine" and so on; NULL behind the last. */
extern const char *const es_policy_names[ES_N_POLICIES + 1];

/* How much work a worker holds ahead, seconds, as `run` does and what predicts it. */
#define ES_SCHED_PREFETCH_S 0.05
/* How long a failed unit waits for its next attempt, seconds. */
#define ES_SCHED_RETRY_DELAY_S 1.0

/* How to schedule. */
struct es_sched_config {
    enum es_policy policy;
    uint32_t n_static;           /* STATIC: number of shares */
    uint32_t max_attempts;       /* tries of a unit before it is FAILED; at least 1 */
    uint32_t max_bundles_failed; /* in a row, before a worker is quarantined; 0: failures are the
                                    units' own, and nothing else is ever suspected */
    double retry_delay_s;        /* before a failed unit's next try, doubling each time */
    bool from_end;               /* of checkpoints about as long, those of the grid's end first */
    double prefetch_s; /* a worker gets more when it holds less than so many expected seconds of
                          work, or so long before the end of its last unit as half of that takes
                          (5 s at most) */
};

/* What is to be done about a bundle. */
enum es_action_kind {
    ES_ACTION_ASSIGN, /* append this bundle to what the worker holds */
    ES_ACTION_RECALL, /* ask for units back; each is answered by `returned` or `kept` (or done) */
};

/* A bundle: units of one (checkpoint, task), by layer index, in the order to run them. */
struct es_action {
    enum es_action_kind kind;
    uint32_t worker;
    uint32_t checkpoint;
    uint32_t task;
    uint32_t n_layers;
    const uint32_t *layers;   /* [n_layers] indices; borrowed until the next call */
    uint32_t next_checkpoint; /* likely needed next by the worker: to load ahead; or ES_GRID_NONE */
};

/* Opaque: which unit is in which state, and what each worker holds. */
struct es_sched;

/* Grid and cost model are borrowed until the free; the scheduler teaches the cost model what `done`
 * tells it. ES_ERR_NOMEM. Free with es_sched_free. */
int es_sched_create(const struct es_grid *grid, const struct es_sched_config *config,
                    struct es_cost *cost, struct es_sched **ret_sched, struct es_err *err);
/* NULL is fine. */
void es_sched_free(struct es_sched *sched);

/* Adds a pending unit. Before the first join. ES_ERR_INTERNAL: it was added before. */
int es_sched_add(struct es_sched *sched, uint32_t unit_id, struct es_err *err);

/* The job's time is over at end_s (INFINITY: it is not limited, which is how it begins): a unit
 * that is expected to end later is not assigned any more, or recalled. One of which nothing is
 * known is taken to fit. May be set again. ES_ERR_NOMEM. */
int es_sched_set_end(struct es_sched *sched, double end_s, double now_s, struct es_err *err);

/* A worker (small number, mostly its rank) is ready for work; speed is relative, 1.0 unless known.
 * ES_ERR_NOMEM. */
int es_sched_join(struct es_sched *sched, uint32_t worker, double speed, double now_s,
                  struct es_err *err);

/* Whether a worker is there: it has joined, and has not left. */
bool es_sched_is_there(const struct es_sched *sched, uint32_t worker);

/* A worker is gone: what it held is pending again, and its try is not counted. */
void es_sched_leave(struct es_sched *sched, uint32_t worker, double now_s);

/* A worker is not heard: it keeps what it holds, gets nothing new, and nobody waits for what it was
 * asked to give back. Its events may still be told. */
void es_sched_suspend(struct es_sched *sched, uint32_t worker, double now_s);
/* A suspended worker is heard again. */
void es_sched_resume(struct es_sched *sched, uint32_t worker, double now_s);

/* A held unit ended well. */
void es_sched_done(struct es_sched *sched, uint32_t worker, uint32_t unit_id,
                   const struct es_times *times, double now_s);

/* A held unit failed, for a reason of the caller's numbering. False: it will be tried again,
 * elsewhere where that is possible (it was not the last try and may_retry). True: it is FAILED,
 * unless the failure is retracted. */
bool es_sched_failed(struct es_sched *sched, uint32_t worker, uint32_t unit_id, bool may_retry,
                     uint32_t reason, double now_s);

/* A held unit failed for good in another job: says nothing of this worker. */
void es_sched_failed_elsewhere(struct es_sched *sched, uint32_t worker, uint32_t unit_id,
                               double now_s);

/* A held unit was given back without having been tried (or interrupted): pending again. */
void es_sched_returned(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s);

/* A recalled unit was begun already: the worker keeps it. */
void es_sched_kept(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s);

/* A held unit is another job's for now: nobody gets it. */
void es_sched_park(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s);

/* Parks one more unit of the same checkpoint and task that nobody has, or gives ES_GRID_NONE. */
uint32_t es_sched_park_another(struct es_sched *sched, uint32_t unit_id);

/* A parked unit is pending again. */
void es_sched_unpark(struct es_sched *sched, uint32_t unit_id, double now_s);

/* A parked unit was done, or failed for good, by the other job. False: it is not parked. */
bool es_sched_settle(struct es_sched *sched, uint32_t unit_id, bool is_done);

/* The next thing to do, if there is any at this time. Never fails once units and workers are in. */
bool es_sched_next_action(struct es_sched *sched, double now_s, struct es_action *ret_action);

/* No failure so far is retracted any more: they were told. */
void es_sched_confirm_all(struct es_sched *sched);

/* What an earlier start blocked: blocked until a probe, at once, succeeds. */
void es_sched_suspect(struct es_sched *sched, const struct es_suspect *suspect, double now_s);

/* The next verdict since the last event. After SETTLED, and OUTAGE for all workers, the failures
 * told of a worker count if es_sched_has_failed, and have been retracted otherwise. */
bool es_sched_next_verdict(struct es_sched *sched, struct es_blame_verdict *ret_verdict);

/* When next_action is to be asked again although nothing happened; INFINITY: never. */
double es_sched_deadline(const struct es_sched *sched);

/* Every unit is DONE or FAILED. */
bool es_sched_finished(const struct es_sched *sched);

/* After next_action had nothing: units are pending, no one is held, and none can end before end_s
 * on the workers there are. */
bool es_sched_is_stuck(struct es_sched *sched, double now_s);

/* After next_action had nothing: all that is left is blocked, and was probed a few times more, as
 * far as workers are there. The first time that it says no, next_action is to be asked again at
 * once. */
bool es_sched_is_blocked(struct es_sched *sched, double now_s);

/* Everything under suspicion: what is blocked, quarantined workers, an outage; into
 * ret_suspects[n_most], with the number of blocked units of each in ret_n_units. How many. */
uint32_t es_sched_suspects(const struct es_sched *sched, struct es_suspect *ret_suspects,
                           uint32_t *ret_n_units, uint32_t n_most);
/* The outage, or NULL. */
const struct es_suspect *es_sched_outage(const struct es_sched *sched);

/* How many pending units are blocked. */
uint32_t es_sched_n_blocked(const struct es_sched *sched);

/* How many units are PENDING; held ones are not. */
uint32_t es_sched_n_pending(const struct es_sched *sched);
/* How many are HELD. */
uint32_t es_sched_n_held(const struct es_sched *sched);
/* How many are PARKED. */
uint32_t es_sched_n_parked(const struct es_sched *sched);
/* How many a worker holds; 0 for one that is not there. */
uint32_t es_sched_n_held_by(const struct es_sched *sched, uint32_t worker);
uint32_t es_sched_n_workers(const struct es_sched *sched); /* suspended ones not counted */

/* Whether this worker holds the unit: only then may its events be told. (A late result of a worker
 * that was given up is for nobody.) */
bool es_sched_is_held_by(const struct es_sched *sched, uint32_t worker, uint32_t unit_id);

/* The unit that runs on a worker, as far as the order of its events tells, and since when; or
 * ES_GRID_NONE. */
uint32_t es_sched_running(const struct es_sched *sched, uint32_t worker, double *ret_since_s);

/* Seconds that a unit is expected to take, the load of its checkpoint and its pass included; NaN
 * until enough of its task was measured in this run. */
double es_sched_expected_s(const struct es_sched *sched, uint32_t unit_id);
/* After how many seconds its next try is taken for hung; 0: not known. */
double es_sched_timeout_s(const struct es_sched *sched, uint32_t unit_id);

/* Whether a unit is FAILED: for good. */
bool es_sched_has_failed(const struct es_sched *sched, uint32_t unit_id);

/* Which attempt at a unit comes next or is under way, from 1; retracted ones are counted, too. */
uint32_t es_sched_attempt(const struct es_sched *sched, uint32_t unit_id);
/* Whether that is its last one, as far as those count that have failed by now. */
bool es_sched_is_last_attempt(const struct es_sched *sched, uint32_t unit_id);

/* Whether a unit was begun before, or may have been. */
bool es_sched_was_tried(const struct es_sched *sched, uint32_t unit_id);

/* Expected seconds until everything is done with the workers there are; NaN without workers, and
 * when all that is left is parked. */
double es_sched_eta(const struct es_sched *sched, double now_s);

#endif
