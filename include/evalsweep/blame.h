/* Blame: what is at fault when units fail. Evidence goes in, verdicts come out.
 *
 * A failed unit has five suspects: the unit, its task, its checkpoint, the worker, and everything
 * at once. They are told apart by comparison, as in system-level diagnosis (Preparata, Metze, Chien
 * 1967): a failure is evidence against the work only after its worker has succeeded with other
 * work, and against the worker only as long as it has not.
 *
 * - After a first failure the worker goes on: mostly it is the unit.
 * - Two failures in a row in one bundle make the worker doubtful: it gets a single unit of another
 *   task, and if that fails too, of another checkpoint.
 * - If that succeeds, its failures are confirmed. Two units of one bundle then block the bundle;
 *   failures at two checkpoints without a success in between block the task, of two tasks the
 *   checkpoint, and of one layer at three checkpoints that layer of the task.
 * - max_bundles failed bundles in a row quarantine the worker and retract its failures, but not the
 *   last worker's: that is an outage.
 * - When most workers fail, at several tasks and checkpoints each, it is an outage: all failures
 * are retracted, and only single probes are run until one succeeds.
 * - When a doubtful worker finds nothing else to do, what its failures have in common is blocked as
 *   a guess if it has never succeeded. Probes follow after 10, 20 and 40 s: it may be an outage.
 *
 * What is known already explains a failure, which is then no evidence: a unit that failed before,
 * or one that a blocked task or checkpoint covers. What is blocked is tried again by probes: a
 * circuit breaker (Nygard 2007), half open after 30 s, 1, 2 ... 15 min, and after half an hour each
 * time it has been open for twice as long. So are quarantined workers. Any success unblocks all
 * that covers the unit.
 *
 * State: O(workers + checkpoints + layers x tasks), and what is blocked. Pure: the time is an
 * argument. Threads: none of its own; one owner at a time.
 */
#ifndef EVALSWEEP_BLAME_H
#define EVALSWEEP_BLAME_H

#include "evalsweep/error.h"
#include "evalsweep/grid.h"

#include <stdbool.h>
#include <stdint.h>

/* What may be at fault. */
enum es_suspect_kind {
    ES_SUSPECT_TASK,
    ES_SUSPECT_CHECKPOINT,
    ES_SUSPECT_BUNDLE, /* a task with one checkpoint */
    ES_SUSPECT_LAYER,  /* a layer of a task */
    ES_SUSPECT_WORKER,
    ES_SUSPECT_OUTAGE, /* everything */
    ES_N_SUSPECT_KINDS,
};

/* "task" and so on; NULL behind the last. */
extern const char *const es_suspect_kind_names[ES_N_SUSPECT_KINDS + 1];

/* Workers that are counted apart for one suspect. */
enum { ES_WITNESSES_MOST = 8 };
/* Suspects that are blocked at a time, at most; beyond that each unit fails by itself. */
enum { ES_BLOCKED_MOST = 1024 };

/* Something under suspicion. Axes that do not belong to its kind are ES_GRID_ANY. */
struct es_suspect {
    enum es_suspect_kind kind;
    uint32_t checkpoint; /* indices on the grid's axes */
    uint32_t layer;
    uint32_t task;
    uint32_t worker;    /* WORKER only, else ES_GRID_NONE */
    uint32_t n_failed;  /* attempts that failed since it last succeeded */
    uint32_t n_workers; /* different ones they failed on, ES_WITNESSES_MOST at most */
    uint32_t witnesses[ES_WITNESSES_MOST];
    uint32_t unit_id;  /* the last that failed; ES_GRID_NONE: suspected since an earlier start */
    uint32_t reason;   /* why, as the caller numbers reasons */
    uint32_t n_probes; /* that failed; OUTAGE: that were begun */
    double since_s;
    double probe_s; /* when it is tried again */
};

/* Whether the suspect covers the unit; WORKER and OUTAGE cover none. */
bool es_suspect_covers(const struct es_suspect *suspect, struct es_unit unit);

/* How long an outage is waited out, seconds: outage_s (0: for ever), but a minute where nothing
 * ever succeeded, as then the command is wrong more likely. */
double es_outage_patience_s(double outage_s, bool has_succeeded);

/* What was found out. */
enum es_blame_verdict_kind {
    ES_BLAME_SETTLED,     /* a worker's failures were confirmed or retracted: ask the scheduler */
    ES_BLAME_BLOCKED,     /* the suspect's units are set aside */
    ES_BLAME_UNBLOCKED,   /* and may run again */
    ES_BLAME_QUARANTINED, /* the worker holds nothing more; it is to drop all and start anew */
    ES_BLAME_RELEASED,    /* the worker works again */
    ES_BLAME_OUTAGE,
    ES_BLAME_OUTAGE_OVER,
};

/* A verdict, and whom it is about. */
struct es_blame_verdict {
    enum es_blame_verdict_kind kind;
    struct es_suspect suspect; /* SETTLED: only the worker */
    uint32_t n_units;          /* BLOCKED, UNBLOCKED: so many were set aside, or came back */
};

#endif
