#include "run/keeper.h"

#include "core/mem.h"
#include "sys/await.h"
#include "sys/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct es_keeper {
    struct es_lock *lock;
    double interval_s;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    bool is_ending;
    struct es_err fault; /* of the last beat; code 0: none */
};

/* Waits one interval, with the mutex held. */
static void wait_for_beat(struct es_keeper *keeper)
{
    int64_t until_ns = es_clock_after_ns(es_clock_mono_ns(), keeper->interval_s);
    while (!keeper->is_ending && es_await_cond(&keeper->wake, &keeper->mutex, until_ns))
        ;
}

static void *keeper_main(void *arg)
{
    struct es_keeper *keeper = arg;
    pthread_mutex_lock(&keeper->mutex);
    while (!keeper->is_ending && keeper->fault.code != ES_ERR_BUSY) {
        struct es_err fault = {0};
        pthread_mutex_unlock(&keeper->mutex);
        (void)es_lock_beat(keeper->lock, &fault);
        pthread_mutex_lock(&keeper->mutex);
        keeper->fault = fault;
        wait_for_beat(keeper);
    }
    pthread_mutex_unlock(&keeper->mutex);
    return NULL;
}

static void keeper_free(struct es_keeper *keeper)
{
    pthread_mutex_destroy(&keeper->mutex);
    pthread_cond_destroy(&keeper->wake);
    free(keeper);
}

int es_keeper_start(struct es_lock *lock, double interval_s, struct es_keeper **ret_keeper,
                    struct es_err *err)
{
    struct es_keeper *keeper = es_mem_calloc(1, sizeof *keeper);
    if (!keeper)
        return es_err_nomem(err, "keeping the lock");
    keeper->lock = lock;
    keeper->interval_s = interval_s;
    pthread_mutex_init(&keeper->mutex, NULL);
    es_await_init_cond(&keeper->wake);
    int failed = pthread_create(&keeper->thread, NULL, keeper_main, keeper);
    if (failed) {
        keeper_free(keeper);
        return es_err_sys(err, failed, "keeping the lock", NULL);
    }
    *ret_keeper = keeper;
    return 0;
}

int es_keeper_check(struct es_keeper *keeper, struct es_err *err)
{
    pthread_mutex_lock(&keeper->mutex);
    struct es_err fault = keeper->fault;
    pthread_mutex_unlock(&keeper->mutex);
    if (fault.code && err)
        *err = fault;
    return fault.code;
}

int es_keeper_look(struct es_keeper *keeper, struct es_err *err)
{
    int rc = es_keeper_check(keeper, err);
    return rc == ES_ERR_BUSY ? rc : es_lock_beat(keeper->lock, err);
}

void es_keeper_stop(struct es_keeper *keeper)
{
    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->mutex);
    keeper->is_ending = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->mutex);
    (void)pthread_join(keeper->thread, NULL);
    keeper_free(keeper);
}
