/* The company: the other drivers at work on the same run, as one driver sees them.
 *
 * Units whose bundle another driver has are parked here, and looked after every few seconds: what
 * became of them is news, told as RESULTS entries. FOUND or FOUND_FAILED: the other finished it;
 * RETURNED: nobody has it any more. A driver's own leases are dropped here when their bundle is
 * through, and those of drivers that are gone by the lock's owner, which this driver may become.
 *
 * Threads: the recorder's.
 */
#ifndef ES_MPI_COMPANY_H
#define ES_MPI_COMPANY_H

#include "core/buf.h"
#include "mpi/wire.h"
#include "run/layout.h"
#include "run/lock.h"

struct es_company_config {
    struct es_lock *lock; /* borrowed, as all that follows */
    const struct es_layout *layout;
    const uint32_t *pending; /* [n_pending] ids of the units that this driver is to run */
    uint32_t n_pending;
    int64_t not_before_ns; /* markers older than this do not count */
    int64_t started_ns;    /* of the run: a failed.json from then on is of it, and so is a marker */
    int64_t previous_ns;   /* the same of the start before it; INT64_MAX: there was none */
    bool keeps_failed;     /* what failed for good in earlier starts is left so */
    double stale_s;        /* ES_LOCK_STALE_S, but in tests */
};

struct es_company;

int es_company_create(const struct es_company_config *config, const char *run_dir,
                      const struct es_grid *grid, struct es_company **ret_company,
                      struct es_err *err);
/* NULL is fine. */
void es_company_free(struct es_company *company);

/* Another driver has this unit. ES_ERR_NOMEM: nothing will be told of it. */
int es_company_park(struct es_company *company, uint32_t unit_id);

/* This unit is done or failed for good, whoever ran it. */
void es_company_settle(struct es_company *company, uint32_t unit_id);

/* Looks around, and waits for nothing. What is new begins a RESULTS message in news (empty before),
 * if anything is. Parked units that are told of are parked no more, even if news has failed: out of
 * memory, it is not known of which. */
void es_company_look(struct es_company *company, struct es_buf *news);

/* As of the last look: whether the run's lock is ours. */
bool es_company_owns(const struct es_company *company);

uint32_t es_company_n_parked(const struct es_company *company);

/* Whether all units that were to be run are done or failed for good, whoever ran them. */
bool es_company_is_complete(const struct es_company *company);

/* Whether other drivers were ever seen. */
bool es_company_had_others(const struct es_company *company);

/* Leaves the run to those who have what is parked. False: they are not known to be alive, or this
 * driver is needed yet; it may be tried again after the next look. */
bool es_company_leave(struct es_company *company);

/* Drops all leases of this driver. */
void es_company_drop_leases(struct es_company *company);

#endif
