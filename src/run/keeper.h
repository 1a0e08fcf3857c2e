/* The keeper: a thread that moves a lock's counter from the moment it was taken to its release,
 * whatever else the driver does meanwhile: a scan of a cold tree, or a store written to a slow file
 * server, takes longer than a lock may stand still.
 */
#ifndef ES_RUN_KEEPER_H
#define ES_RUN_KEEPER_H

#include "run/lock.h"

struct es_keeper;

/* Begins to keep the lock, borrowed until the stop, by a beat every interval_s (ES_LOCK_BEAT_S, but
 * in tests). */
int es_keeper_start(struct es_lock *lock, double interval_s, struct es_keeper **ret_keeper,
                    struct es_err *err);

/* How the last beat went. ES_ERR_BUSY: the run is another driver's, for good. Any thread. */
int es_keeper_check(struct es_keeper *keeper, struct es_err *err);

/* The same, of a beat right now: before changes that are only the run's holder's to make. */
int es_keeper_look(struct es_keeper *keeper, struct es_err *err);

/* NULL is fine. */
void es_keeper_stop(struct es_keeper *keeper);

#endif
