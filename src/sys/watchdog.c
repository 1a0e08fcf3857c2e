#include "sys/watchdog.h"

#include "core/mem.h"
#include "sys/await.h"
#include "sys/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

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
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->is_stopped &&
           es_await_cond(&watchdog->wake, &watchdog->mutex, watchdog->fires_ns))
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
    watchdog->fires_ns = es_clock_after_ns(es_clock_mono_ns(), limit_s);
    watchdog->fire = fire;
    watchdog->context = context;
    pthread_mutex_init(&watchdog->mutex, NULL);
    es_await_init_cond(&watchdog->wake);
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
