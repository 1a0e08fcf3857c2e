/* Failures: which of them count, which worker is to blame, and what people are told at the end.
 *
 * A worker on which one unit after the other fails (a bad GPU, a full disk) is to be taken out, and
 * must not have failed what others can do. So what fails on a worker stays in doubt until another
 * unit ends well there: then it counts. If the worker is taken out, none of it does: tries are
 * taken back, and what had its last one is pending again. Whatever is still in doubt at the run's
 * end counts.
 *
 *     es_failures_add: what the scheduler made FAILED is kept from the recorder
 *         -> es_failures_confirm: told to the recorder, as LOST
 *         -> es_failures_forgive: forgotten, and the scheduler has the unit pending again
 */
#ifndef ES_MPI_FAILURES_H
#define ES_MPI_FAILURES_H

#include "evalsweep/sched.h"
#include "mpi/recorder.h"

#include <stdbool.h>
#include <stdint.h>

struct es_failures;

/* n_most: so many different units in a row, at least 1, and a worker is to be taken out. The
 * scheduler and the recorder are borrowed until the free. */
int es_failures_create(uint32_t n_workers, uint32_t n_most, struct es_sched *sched,
                       struct es_recorder *recorder, struct es_failures **ret_failures,
                       struct es_err *err);
void es_failures_free(struct es_failures *failures);

/* A unit failed on a worker; is_last: the scheduler will not try it again. */
int es_failures_add(struct es_failures *failures, uint32_t worker,
                    const struct es_result_entry *entry, const struct es_result *result,
                    bool is_last, struct es_err *err);

/* Whether a worker is to be taken out; to be asked when all is added that it told of at once. */
bool es_failures_is_bad(const struct es_failures *failures, uint32_t worker);

/* What is in doubt on a worker counts: one of its units ended well, or the run does. Returns how
 * many units have failed for good by that. */
uint32_t es_failures_confirm(struct es_failures *failures, uint32_t worker);

/* A worker was taken out (es_sched_leave is done): what is in doubt does not count. Returns how
 * many units are pending again by that. */
uint32_t es_failures_forgive(struct es_failures *failures, uint32_t worker, double now_s);

/* A unit failed on a worker that holds it no more: all it did was leave files in its folder. */
void es_failures_disown(struct es_failures *failures, uint32_t unit_id);

/* The reason that most failures had; n is 0 if there was none. */
struct es_common_failure {
    char reason[500];
    uint32_t n;
    uint32_t unit_id; /* the last that failed with it */
};
struct es_common_failure es_failures_commonest(const struct es_failures *failures);

/* "no worker is left", and the commonest failure, if there was one. */
void es_failures_no_worker_text(const struct es_common_failure *failure, char *ret_text,
                                size_t size_bytes);

/* Gives the units that were forgiven their last try, or disowned, and did not fail for good since:
 * failed.json may be there all the same. Allocated (free), [*ret_n]; NULL: none. */
uint32_t *es_failures_take_forgiven(struct es_failures *failures, size_t *ret_n);

#endif
