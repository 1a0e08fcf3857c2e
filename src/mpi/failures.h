/* Failures: why units failed, and those that the scheduler may still retract.
 *
 * A unit that is FAILED in the scheduler is failed for people once the failure is confirmed; if it
 * is retracted (evalsweep/blame.h), the unit is pending again, and its failed.json is to go.
 *
 *     reason = es_failures_reason(...); is_last = es_sched_failed(..., reason, ...)
 *     es_failures_keep: what is FAILED is kept from the recorder
 *         -> es_failures_settle: told to the recorder, as LOST, or disowned
 */
#ifndef ES_MPI_FAILURES_H
#define ES_MPI_FAILURES_H

#include "evalsweep/sched.h"
#include "mpi/recorder.h"

#include <stdbool.h>
#include <stdint.h>

struct es_failures;

/* The scheduler and the recorder are borrowed until the free. */
int es_failures_create(uint32_t n_workers, struct es_sched *sched, struct es_recorder *recorder,
                       struct es_failures **ret_failures, struct es_err *err);
void es_failures_free(struct es_failures *failures);

/* A unit failed: counts its reason, and gives it a number. Reasons that differ in nothing but
 * numbers are one. *ret_is_new: it is the first with this reason. */
uint32_t es_failures_reason(struct es_failures *failures, const char *text, uint32_t unit_id,
                            bool *ret_is_new);
/* The text of a numbered reason, as it was first told; "unknown" for any other number. */
const char *es_failures_reason_text(const struct es_failures *failures, uint32_t reason);

/* A unit failed on a worker for good, if it is not retracted. */
int es_failures_keep(struct es_failures *failures, uint32_t worker,
                     const struct es_result_entry *entry, const struct es_result *result,
                     struct es_err *err);

/* What was kept of a worker is settled: what is still FAILED goes to the recorder, the rest is
 * disowned. Returns how many units have failed for good, and in *ret_n_retracted how many have not.
 */
uint32_t es_failures_settle(struct es_failures *failures, uint32_t worker,
                            uint32_t *ret_n_retracted);

/* A unit's failed.json may say that it failed for good, which is not so. */
void es_failures_disown(struct es_failures *failures, uint32_t unit_id);

/* The reason that most failures had; n is 0 if there was none. */
struct es_common_failure {
    char reason[500];
    uint32_t n;
    uint32_t unit_id; /* the last that failed with it */
};
struct es_common_failure es_failures_most_frequent(const struct es_failures *failures);

/* Gives the units that were disowned and have not failed for good since. Allocated (free),
 * [*ret_n]; NULL: none. */
uint32_t *es_failures_take_disowned(struct es_failures *failures, size_t *ret_n);

#endif
