/* The other drivers of a run: who there is, and who of them is gone.
 *
 *     es_drivers_create(run_dir, es_lock_id(lock), ES_LOCK_STALE_S, &drivers, &err);
 *     every few seconds: es_drivers_look(drivers, &err), then ask
 *
 * A look reads each one's file and waits for nothing: that a counter moves, or does not, is seen
 * from look to look. Threads: one owner at a time.
 */
#ifndef ES_RUN_DRIVERS_H
#define ES_RUN_DRIVERS_H

#include "evalsweep/error.h"
#include "run/holder.h"

#include <stdint.h>

struct es_drivers;

/* own_id (copied): the driver that is not counted among them; "" for a mere observer. */
int es_drivers_create(const char *run_dir, const char *own_id, double stale_s,
                      struct es_drivers **ret_drivers, struct es_err *err);
void es_drivers_free(struct es_drivers *drivers);

/* Looks at all of them. On failure everything stands as it was seen last. */
int es_drivers_look(struct es_drivers *drivers, struct es_err *err);

/* How many there are beside our own that are not known to be gone. */
uint32_t es_drivers_n_others(const struct es_drivers *drivers);

/* How many that are gone have a file yet. */
uint32_t es_drivers_n_gone(const struct es_drivers *drivers);

/* As of the last look; one without a file, then and now, is gone. */
enum es_verdict es_drivers_verdict(const struct es_drivers *drivers, const char *id);

/* Who it is, or NULL: borrowed until the next look. */
const struct es_holder *es_drivers_find(const struct es_drivers *drivers, const char *id);

/* Removes the files of those that are gone, and what a killed driver left beside them. One that was
 * only stopped for long finds its own removed, and ends. Only for the lock's owner. */
void es_drivers_bury(struct es_drivers *drivers);

#endif
