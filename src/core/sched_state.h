/* What the scheduler is made of. Only sched*.c and bundle.c look in here.
 *
 * Pending units lie in bundles, bundles in groups, and every worker belongs to a group: with the
 * affine policy a group is a checkpoint and its members are those that have it loaded (or will,
 * when their queue is through); `fifo` and `lpt` have one group, `static` one for each share. A
 * policy is then no more than a row of flags (sched.c), and all of them use the same queues.
 *
 *     sched.c        the whole, and what is asked about its state
 *     sched_events.c what becomes of units and workers
 *     sched_act.c    ... and the loop that turns that into actions
 *     sched_queue.c  what workers hold: when each will be through, hungry, and whom to take from
 *     sched_group.c  how much is left of each group, and when its members will be through with it
 *     sched_choose.c which bundle a worker gets next, or from whom it takes
 *     sched_end.c    what can still end before the job does
 *     sched_blame.c  what follows from blame's verdicts, and probes
 *     bundle.c       the pending layers of one (checkpoint, task)
 *
 * Whatever ranks bundles, groups or workers stands in a heap whose key is a point in time or a cost
 * that does not change while time passes.
 */
#ifndef ES_CORE_SCHED_STATE_H
#define ES_CORE_SCHED_STATE_H

#include "core/blame.h"
#include "core/heap.h"
#include "core/unitlist.h"
#include "evalsweep/sched.h"

#include <math.h>

#define ES_NONE ES_GRID_NONE
#define ES_SCHED_N_DELAYED 32
#define ES_SCHED_VERDICTS_MOST 256

/* A policy: how work is grouped and ordered, and what a worker may do beyond its group. */
struct es_policy_traits {
    bool by_checkpoint;  /* a group is a checkpoint */
    bool one_group;      /* everything is in one, and so is everybody */
    bool by_length;      /* longest bundle first; else grid order */
    bool joins;          /* may join a group that others work on */
    bool recalls;        /* may take what another worker has not begun */
    bool retry_anywhere; /* a failed unit may go back to the same worker at once */
};

/* The pending layers of one (checkpoint, task). */
struct es_bundle {
    struct es_unit_list units;
    float work_s;   /* expected: one pass and all of the units; 0 when empty */
    float priced_s; /* its longest unit, when all of that was added up */
};

struct es_group {
    uint32_t bundles; /* heap of those that have units */
    uint32_t n_units;
    double work_s; /* of its bundles */
    bool touched;  /* has busy members; which of the two pairs of heaps it stands in */
    uint32_t n_busy;
    double busy_speed;     /* sum over its busy members */
    double busy_end;       /* sum of speed x end */
    uint32_t ends;         /* heap of busy members, first to be through first */
    uint32_t victims;      /* heap of members that can be recalled from */
    uint32_t idle;         /* heap of idle members, longest idle first */
    double counted_load_s; /* its part of es_sched.untouched_load_s */
};

/* Why a worker gets nothing. */
enum { ES_AWAY_SILENT = 1, ES_AWAY_PAUSED = 2 };

struct es_sched_worker {
    bool alive;
    unsigned away; /* AWAY_: in no heap and no sum: gets nothing, and nobody waits for it */
    double speed;
    double speed_variance;     /* of its logarithm */
    struct es_unit_list queue; /* the first one runs */
    double queue_s;            /* expected seconds of all that it holds, at speed 1 */
    double since_s;            /* when the first one began */
    double end_s;              /* expected end of its queue; idle: since when */
    uint32_t group;            /* ES_NONE before its first bundle */
    uint32_t checkpoint;       /* loaded when the queue is through */
    uint32_t bundle;           /* passed last by then */
    uint32_t done_checkpoint;  /* of the unit that ended last */
    uint32_t done_bundle;
    bool counted; /* in its group's busy sums, as: */
    double counted_speed;
    double counted_end;
    uint32_t n_recalled; /* units asked back from it and not answered */
    uint32_t thief;      /* for whom */
    uint32_t victim;     /* from whom it awaits units, or ES_NONE */
    struct es_unit_list promised;
};

struct es_sched {
    const struct es_grid *grid;
    struct es_cost *cost;
    struct es_sched_config config;
    struct es_policy_traits policy;
    uint32_t n_checkpoints, n_layers, n_tasks, n_units, n_bundles, n_groups;
    double start_s; /* the first event; NaN before */

    struct es_unit_node *units;        /* [n_units] */
    struct es_bundle *bundles;         /* [n_bundles] checkpoint * n_tasks + task */
    struct es_heap_node *bundle_nodes; /* [n_bundles] in their group's heap */
    /* By number of failures, each in the order of its time. */
    struct es_unit_list delayed[ES_SCHED_N_DELAYED];
    uint32_t n_ready, n_delayed, n_promised, n_held, n_parked;
    double end_s;             /* of the job's time, or INFINITY; then what follows is not used */
    double now_s;             /* of the last look for an action */
    double fastest;           /* speed of any worker so far */
    struct es_unit_list late; /* LATE units */
    struct es_blame *blame;
    struct es_unit_list blocked; /* BLOCKED units */
    bool is_last_call;           /* for probes: nothing but BLOCKED units is left */
    uint32_t n_fresh;            /* READY units that were never tried */
    struct es_blame_verdict verdicts[ES_SCHED_VERDICTS_MOST]; /* not asked for yet */
    uint32_t n_verdicts, next_verdict;
    struct es_heap_node *fit_nodes;   /* [n_bundles] */
    uint32_t fit;                     /* heap of bundles that have units: longest unit first */
    struct es_heap_node *short_nodes; /* [n_bundles] */
    uint32_t shortest;                /* heap of bundles that have units: shortest unit first */

    struct es_group *groups;            /* [n_groups] */
    struct es_heap_node *work_nodes;    /* [n_groups] in untouched_work or touched_drain */
    struct es_heap_node *longest_nodes; /* [n_groups] in untouched_longest or touched_longest */
    uint32_t untouched_work;            /* heap: most work first */
    uint32_t untouched_longest;         /* heap: longest unit first */
    uint32_t touched_drain;             /* heap: last to be through first, if nobody joins */
    uint32_t touched_longest;           /* heap: last end of the longest unit first */
    double work_s;                      /* sum over groups */
    double untouched_load_s;            /* sum of the loads of untouched groups */

    struct es_sched_worker *workers; /* [workers_cap], and each array of nodes */
    size_t workers_cap;
    struct es_heap_node *wake_nodes;   /* in `wake` */
    struct es_heap_node *end_nodes;    /* in their group's ends, or idle */
    struct es_heap_node *member_nodes; /* in their group's victims; idle workers: in `idle` */
    struct es_heap_node *victim_nodes; /* in `victims` */
    uint32_t wake;                     /* heap: first to be looked after first */
    uint32_t victims;                  /* heap: of whom a unit not begun would begin last */
    uint32_t idle;                     /* heap: longest idle first */
    uint32_t n_workers;
    double total_speed;
    double busy_speed; /* sums over all busy workers, as in es_group */
    double busy_end;

    uint32_t refresh_next; /* the bundle whose costs are looked at again next */
    int64_t refresh_costs; /* to be computed still; less than 0: computed beforehand */
    uint64_t n_learned;    /* units that were measured in this run */
    uint32_t *n_measured;  /* [n_tasks] units of each, in this run */
    bool *is_begun;        /* [n_tasks] somebody got a unit of it */
    uint32_t *layers;      /* [n_layers] of the last action */
};

/* bundle.c */
uint32_t es_bundle_of(const struct es_sched *sched, uint32_t unit_id);
uint32_t es_bundle_group(const struct es_sched *sched, uint32_t bundle);
double es_bundle_unit_s(const struct es_sched *sched, uint32_t bundle, uint32_t unit_id);
double es_bundle_pass_s(const struct es_sched *sched, uint32_t bundle);
/* A unit becomes READY. */
void es_bundle_add(struct es_sched *sched, uint32_t unit_id);
/* The first bundle of a group with a unit that this worker may run, or ES_NONE. */
uint32_t es_bundle_first_for(struct es_sched *sched, uint32_t group, uint32_t worker);
/* The same of a heap of bundles, of which so many are looked at. */
uint32_t es_bundle_first_in(const struct es_sched *sched, struct es_heap_node *nodes,
                            uint32_t *heap, uint32_t n_most, uint32_t worker);
/* Whether a bundle has a unit that this worker may run. */
bool es_bundle_has_for(const struct es_sched *sched, uint32_t bundle, uint32_t worker);
/* Whether this worker may run the unit now: it did not fail there last, or nobody else is there. */
bool es_bundle_unit_allowed(const struct es_sched *sched, uint32_t unit_id, uint32_t worker);
/* Takes units for a worker out of a bundle into ret_units: all of them if that is within limit_s
 * and n_max, else the longest of them, one at least. Returns how many. */
uint32_t es_bundle_take(struct es_sched *sched, uint32_t bundle, uint32_t worker, double limit_s,
                        uint32_t n_max, uint32_t *ret_units);
/* Takes a READY unit out, for nobody. */
void es_bundle_remove(struct es_sched *sched, uint32_t unit_id);
/* By how many times a task ranks before its expected length. */
double es_bundle_eagerness(const struct es_sched *sched, uint32_t task);
/* A unit of the task was measured: looks at the costs of bundles again, so that all follow what was
 * learned. */
void es_bundle_refresh(struct es_sched *sched, uint32_t task);

/* Takes the longest unit out of a bundle. */
uint32_t es_bundle_take_longest(struct es_sched *sched, uint32_t bundle);
/* Its longest unit, and its shortest one, with the pass. */
double es_bundle_longest_s(const struct es_sched *sched, uint32_t bundle);
double es_bundle_shortest_s(const struct es_sched *sched, uint32_t bundle);

/* sched_end.c */
/* Whether a worker is expected to end a unit in time, if it is appended to what it holds. */
bool es_end_allows(const struct es_sched *sched, uint32_t unit_id, uint32_t worker);
/* Seconds of a bundle, at speed 1 and with its pass, that a worker is expected to end in time. */
double es_end_room_s(const struct es_sched *sched, uint32_t bundle, uint32_t worker);
/* A bundle's units or their costs have changed. */
void es_end_rank(struct es_sched *sched, uint32_t bundle);
/* One of the shortest bundles, if the worker can end a unit of it in time, or ES_NONE. Where the
 * search in the order of the policy, which passes over so many at most, has come to nothing. */
uint32_t es_end_shortest_for(struct es_sched *sched, uint32_t worker);
/* Sets aside what nobody can end in time any more. */
void es_end_set_aside(struct es_sched *sched);
/* Whether what a worker holds is expected to end too late. */
bool es_end_is_late(const struct es_sched *sched, uint32_t worker);

/* sched_group.c */
/* The group's work, members or their ends have changed: ranks it anew. */
void es_group_changed(struct es_sched *sched, uint32_t group);
/* What a worker has to load to work in a group. */
double es_group_load_s(const struct es_sched *sched, uint32_t group);
/* The longest unit (with its pass) that is pending in the group. */
double es_group_longest_s(const struct es_sched *sched, uint32_t group);
/* When its members would be through with all of it. */
double es_group_drain(const struct es_sched *sched, uint32_t group);
/* When the first of its busy members will be free. */
double es_group_first_end(const struct es_sched *sched, uint32_t group);
/* Expected seconds until everything is done, were it perfectly shared out from now on. */
double es_sched_left_s(const struct es_sched *sched, double now_s);

/* sched_queue.c */
int es_queue_add_worker(struct es_sched *sched, uint32_t worker);
/* The queue or what it costs has changed: ranks the worker anew, as busy, idle, hungry and victim.
 */
void es_queue_changed(struct es_sched *sched, uint32_t worker, double now_s);
void es_queue_set_group(struct es_sched *sched, uint32_t worker, uint32_t group);
/* The unit becomes HELD, last in the queue, with what it is expected to cost there. */
void es_queue_append(struct es_sched *sched, uint32_t worker, uint32_t unit_id);
void es_queue_remove(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s);
/* What the units held are expected to take is looked at again, for the first few of them. */
void es_queue_reprice(struct es_sched *sched, uint32_t worker);
/* The most that a worker may still hold, in seconds, when it gets more. */
double es_queue_wanted_most_s(const struct es_sched *sched);
/* When a worker will be through with what it holds: now, if it holds nothing or is late. */
double es_queue_end(const struct es_sched *sched, uint32_t worker, double now_s);
/* Holds less than it should at this time. */
bool es_queue_is_hungry(const struct es_sched *sched, uint32_t worker, double now_s);
/* Expects more of a running unit that is overdue, or false. */
bool es_queue_expect_longer(struct es_sched *sched, uint32_t worker, double now_s);
/* Removes a worker from every heap. */
void es_queue_forget(struct es_sched *sched, uint32_t worker);
/* An idle worker may find something in this group now: has one looked after. Not `except`. */
void es_queue_wake_one(struct es_sched *sched, uint32_t group, uint32_t except, double now_s);
void es_queue_wake_at(struct es_sched *sched, uint32_t worker, double at_s);
/* Nothing can be done for it now: not before the time it is to be looked after anyway, if that is
 * to come; else not before something happens, or its unit is overdue. */
void es_queue_rest(struct es_sched *sched, uint32_t worker, double now_s);
/* The last unit that can be recalled from a worker, or ES_NONE. */
uint32_t es_queue_recallable(const struct es_sched *sched, uint32_t worker);

/* sched_events.c */
/* A unit is there to be taken, and somebody idle may want it; or it is blocked. */
void es_sched_make_ready(struct es_sched *sched, uint32_t unit_id, double now_s);
/* A worker gets nothing from now on, for the reason AWAY_..., or comes back. */
void es_sched_go_away(struct es_sched *sched, uint32_t worker, unsigned why, double now_s);
void es_sched_come_back(struct es_sched *sched, uint32_t worker, unsigned why, double now_s);
/* What a worker awaits from another, or was promised, goes to whoever wants it. */
void es_sched_renounce(struct es_sched *sched, uint32_t worker, double now_s);
/* What a worker holds is pending again. */
void es_sched_drop_all(struct es_sched *sched, uint32_t worker, double now_s);

/* sched_blame.c */

/* Does what blame has decided. */
void es_sched_carry_out(struct es_sched *sched, double now_s);
/* Whether a worker gets single units only: it is not fully trusted, or there is an outage. */
bool es_sched_is_restricted(const struct es_sched *sched, uint32_t worker);
/* Finds something for such a worker, or one that is away; false: not now. */
bool es_sched_look_after_suspect(struct es_sched *sched, uint32_t worker, double now_s,
                                 struct es_action *ret_action);
/* Has a worker probe what is blocked, if that is due; is_last: it has nothing else to do. */
bool es_sched_probe(struct es_sched *sched, uint32_t worker, bool is_last, double now_s,
                    struct es_action *ret_action);

/* sched_act.c */

/* Gives a worker units of a bundle: its part of what is left at most, and n_most. */
void es_sched_assign(struct es_sched *sched, uint32_t worker, uint32_t bundle, uint32_t n_most,
                     double now_s, struct es_action *ret_action);
/* Appends units of one bundle to a worker's queue. */
void es_sched_give(struct es_sched *sched, uint32_t worker, uint32_t bundle, const uint32_t *units,
                   uint32_t n, double now_s, struct es_action *ret_action);
/* Asks for all that a worker has not begun of the bundle that it would run last. */
void es_sched_recall_all(struct es_sched *sched, uint32_t worker, double now_s,
                         struct es_action *ret_action);

/* sched_choose.c */
struct es_choice {
    uint32_t bundle; /* to be taken from, or ES_NONE */
    uint32_t victim; /* to be recalled from, or ES_NONE */
    double retry_s;  /* neither: when to look again; INFINITY: when something happens */
};
struct es_choice es_sched_choose(struct es_sched *sched, uint32_t worker, double now_s);
/* The checkpoint that a worker is likely to need after its own, or ES_NONE. */
uint32_t es_sched_choose_next(const struct es_sched *sched, uint32_t worker, double now_s);

#endif
