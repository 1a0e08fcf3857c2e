#include "sys/await.h"

#include "sys/clock.h"

#include <errno.h>
#include <time.h>

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / ES_NS_PER_S, .tv_nsec = ns % ES_NS_PER_S};
}

void es_await_fds(struct pollfd *fds, size_t n, int64_t wait_ns)
{
    struct timespec timeout = timespec_of(wait_ns > 0 ? wait_ns : 0);
    (void)ppoll(fds, (nfds_t)n, &timeout, NULL);
}

void es_await_init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bool es_await_cond(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    struct timespec until = timespec_of(until_ns);
    return pthread_cond_timedwait(cond, mutex, &until) != ETIMEDOUT;
}

bool es_await_thread(pthread_t thread, int limit_s)
{
    struct timespec until; /* there is no join by the other clock before glibc 2.31 */
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += limit_s;
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}
