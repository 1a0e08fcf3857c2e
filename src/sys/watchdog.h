/* A watchdog: does something if it is not stopped in time, whatever the thread that started it
 * hangs in.
 */
#ifndef ES_SYS_WATCHDOG_H
#define ES_SYS_WATCHDOG_H

#include "evalsweep/error.h"

struct es_watchdog;

/* Calls fire(context) in a thread of its own after limit_s. */
int es_watchdog_start(double limit_s, void (*fire)(void *context), void *context,
                      struct es_watchdog **ret_watchdog, struct es_err *err);

/* It will not fire any more (should it be firing, that is waited for). NULL is fine. */
void es_watchdog_stop(struct es_watchdog *watchdog);

#endif
