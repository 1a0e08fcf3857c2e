/* One try at a unit: looks whether it is done already, makes its folder, hands it to the evaluator,
 * and turns the evaluator's outcome into a result, with done.json or failed.json on disk.
 *
 *     es_attempt_begin(&attempt, unit, n, bundle);
 *     while (attempt.is_running) ... poll, es_evaluator_step, es_attempt_step ...
 *     attempt.entry and attempt.result say what became of it
 */
#ifndef ES_MPI_ATTEMPT_H
#define ES_MPI_ATTEMPT_H

#include "core/buf.h"
#include "evalsweep/jobfile.h"
#include "evalsweep/result.h"
#include "exec/evaluator.h"
#include "mpi/backlog.h"
#include "run/layout.h"

struct es_attempt {
    /* What all tries of a worker share; borrowed. */
    const struct es_job *job;
    const struct es_layout *layout;
    struct es_evaluator *evaluator; /* NULL: mode null */
    int run_dir_fd;
    const char *run_dir;
    const char *versions_json;
    const char *host;
    const char *device;
    uint32_t rank;
    int64_t not_before_ns; /* markers older than this do not count */
    int leases_fd;         /* the folder of leases, or -1: none are taken */
    const char *driver_id; /* that they name */
    int64_t started_ns;    /* a failed.json from then on is of this run, and not tried again */

    /* The try at hand. */
    bool is_running;
    bool has_lease;       /* of the bundle, as it was assigned, that the unit is of */
    bool was_tried;       /* or may have been, by this driver: a failed.json is its own */
    bool is_last;         /* should it fail, the unit has */
    bool was_interrupted; /* the job drains: an end without a result is no failure */
    struct es_unit unit;
    uint32_t number; /* of the try, from 1 */
    int dir_fd;
    int64_t begun_ns;
    int64_t null_until_ns;        /* mode null: when it ends */
    struct es_result_entry entry; /* valid once it does not run any more */
    struct es_result result;
    bool has_failed_file; /* there is a failed.json, or something of that name */

    /* Memory to reuse. */
    struct es_buf dir; /* the unit's folder, relative to the run folder */
    struct es_buf absolute_dir;
    struct es_buf scratch;
    struct es_result spare;
};

/* After the shared members were set. */
void es_attempt_init(struct es_attempt *attempt);
void es_attempt_clear(struct es_attempt *attempt);

/* Begins a unit. It may have ended at once: done or failed already, another driver's, or not to be
 * begun at all. */
void es_attempt_begin(struct es_attempt *attempt, struct es_unit unit, uint32_t number,
                      const struct es_backlog_bundle *bundle);

/* Ends the try if the evaluator has an outcome for it (or, in mode null, its time is over). */
void es_attempt_step(struct es_attempt *attempt, int64_t now_ns);

#endif
