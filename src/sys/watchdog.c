#include "sys/watchdog.h"

#include "core/mem.h"
#include "sys/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct es_watchdog {
    int64_t fires_ns;
    void (*fire)(void *context);
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    bool is_stopped;
};

static void *watchdog_main(void *arg)
{
    struct es_watchdog *watchdog = arg;
    const struct timespec until = {watchdog->fires_ns / ES_NS_PER_S,
                                   watchdog->fires_ns % ES_NS_PER_S};
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->is_stopped &&
           pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until) != ETIMEDOUT)
        ;
    bool fires = !watchdog->is_stopped;
    pthread_mutex_unlock(&watchdog->mutex);
    if (fires)
        watchdog->fire(watchdog->context);
    return NULL;
}

static void watchdog_free(struct es_watchdog *watchdog)
{
    pthread_mutex_destroy(&watchdog->mutex);
    pthread_cond_destroy(&watchdog->wake);
    free(watchdog);
}

int es_watchdog_start(double limit_s, void (*fire)(void *context), void *context,
                      struct es_watchdog **ret_watchdog, struct es_err *err)
{
    struct es_watchdog *watchdog = es_mem_calloc(1, sizeof *watchdog);
    if (!watchdog)
        return es_err_nomem(err, "starting a watchdog");
    watchdog->fires_ns = es_clock_mono_ns() + (int64_t)(limit_s * (double)ES_NS_PER_S);
    watchdog->fire = fire;
    watchdog->context = context;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_cond_init(&watchdog->wake, &attr);
    pthread_condattr_destroy(&attr);
    int failed = pthread_create(&watchdog->thread, NULL, watchdog_main, watchdog);
    if (failed) {
        watchdog_free(watchdog);
        return es_err_sys(err, failed, "starting a watchdog", NULL);
    }
    *ret_watchdog = watchdog;
    return 0;
}

void es_watchdog_stop(struct es_watchdog *watchdog)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->is_stopped = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->mutex);
    (void)pthread_join(watchdog->thread, NULL);
    watchdog_free(watchdog);
}
