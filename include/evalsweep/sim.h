/* The scheduler on a virtual clock: what a sweep will take.
 *
 * Drives es_sched exactly as `run` does, with workers that take the given times instead of MPI
 * ranks. The same inputs give the same events. Pure. Threads: none of its own.
 */
#ifndef EVALSWEEP_SIM_H
#define EVALSWEEP_SIM_H

#include "evalsweep/sched.h"

/* The truth that the simulated workers live by. */
struct es_sim_times {
    const float *unit_s;  /* [n_units] seconds of each unit, pass included */
    const double *load_s; /* [n_checkpoints] seconds to load each checkpoint, on any worker */
    const float *pass_s;  /* [n_checkpoints * n_tasks] the part of unit_s that a bundle pays once;
                             NULL: none */
};

/* A try of a unit on a worker, as it ends (or is cut off when the worker leaves). */
struct es_sim_try {
    uint32_t worker;
    uint32_t unit_id;
    double begun_s; /* loading included */
    double ended_s;
    double load_s; /* part of it */
    bool ok;
};

/* What fails in spite of everything. */
/* What a simulated fault hits. */
enum es_sim_fault_kind {
    ES_FAULT_TASK,
    ES_FAULT_CHECKPOINT,
    ES_FAULT_WORKER,
    ES_FAULT_UNIT,   /* a share of all units */
    ES_FAULT_OUTAGE, /* everything */
    ES_N_FAULT_KINDS,
};
/* A fault of a simulation. */
struct es_sim_fault {
    enum es_sim_fault_kind kind;
    uint32_t index; /* of the task, checkpoint or worker */
    double share;   /* UNIT */
    double after_s; /* units begun from then on fail */
    double for_s;   /* and for so long; INFINITY: for ever */
};
/* Whether a unit that begins now fails by one of the faults: always the same units of a share. */
bool es_sim_is_faulty(const struct es_grid *grid, const struct es_sim_fault *faults,
                      uint32_t n_faults, uint32_t worker, uint32_t unit_id, double now_s);

/* What is simulated. */
struct es_sim_config {
    struct es_sched_config sched;
    uint32_t n_workers;
    const double *speed;   /* [n_workers] relative speeds; NULL: all 1 */
    bool speeds_known;     /* workers tell their speed when they join; else it is learned */
    const double *join_s;  /* [n_workers] when each joins; NULL: all at 0 */
    const double *leave_s; /* [n_workers] when each leaves (INFINITY: never); NULL: none does */
    double message_s;      /* one-way delay of a message between coordinator and worker */
    bool reports_parts;    /* evaluators report load, pass and score apart */
    double failure_probability;        /* of each try, drawn from seed */
    const struct es_sim_fault *faults; /* [n_faults] */
    uint32_t n_faults;
    double fault_takes; /* the part of its time after which a faulty unit fails, 0..1 */
    double outage_s;    /* how long an outage is waited out, see es_outage_patience_s */
    uint64_t seed;
    void (*on_try)(void *context, const struct es_sim_try *a_try); /* may be NULL, as the next */
    void (*on_verdict)(void *context, const struct es_blame_verdict *verdict, double now_s);
    void *context;
};

/* What came of it; seconds of the virtual clock. */
struct es_sim_result {
    double makespan_s;
    double lower_bound_s; /* max(total work / total speed, longest unit / fastest speed), which no
                             schedule of equal workers can beat (McNaughton 1959) */
    double work_s;        /* sum of the time that workers ran units, loads left out */
    double load_s;        /* sum of loads paid */
    double idle_s;        /* n_workers * makespan - work - loads */
    double eta_good; /* 0..1: the part of the time, from 20 % of it on, in which es_sched_eta was
                        within 10 % of what was left indeed */
    uint64_t n_loads;
    uint64_t n_messages;
    uint64_t n_units_done;
    uint64_t n_units_failed;      /* for good; what is in neither was left when no worker was */
    uint64_t n_units_blocked;     /* at the end */
    uint64_t n_failed_tries;      /* also of those that were retracted */
    uint64_t n_failed_tries_most; /* on one worker */
    /* With faults, else 0: */
    uint64_t n_failed_tries_most_unit;       /* of one unit */
    uint64_t n_failed_tries_most_checkpoint; /* of one checkpoint on one worker */
    double failed_s;                         /* what all of them took, part of work_s */
};

/* Runs every unit of `pending` (a byte a unit id, nonzero: to run; NULL: all that are not
 * excluded). `cost` is what the scheduler believes (borrowed, and taught). ES_ERR_NOMEM;
 * ES_ERR_INTERNAL: the scheduler stood still. */
int es_sim_run(const struct es_grid *grid, const uint8_t *pending, struct es_cost *cost,
               const struct es_sim_times *times, const struct es_sim_config *config,
               struct es_sim_result *ret_result, struct es_err *err);

#endif
