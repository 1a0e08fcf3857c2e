/* Waiting for whatever comes first: a descriptor, another thread, or a point in time.
 *
 * Times are those of es_clock_mono_ns, so that a clock that is set does not matter; INT64_MAX, 292
 * years, is never. All may return early: the caller looks again whether it has what it waits for.
 */
#ifndef ES_SYS_AWAIT_H
#define ES_SYS_AWAIT_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Until one of n descriptors has what is asked of it (revents say which), or wait_ns (0 if less)
 * are over. */
void es_await_fds(struct pollfd *fds, size_t n, int64_t wait_ns);

/* Makes a condition for es_await_cond. */
void es_await_init_cond(pthread_cond_t *cond);

/* Until the condition is signalled (true), or it is until_ns (false); with the mutex held. */
bool es_await_cond(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);

/* Joins a thread if it ends within limit_s. False: it runs on, and may use what it has. */
bool es_await_thread(pthread_t thread, int limit_s);

#endif
