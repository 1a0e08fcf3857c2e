#include "sys/outqueue.h"

#include "core/mem.h"
#include "sys/await.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often a finish looks for a pending signal. */
#define LOOK_NS 50000000
/* A signal cuts the wait at the end short only then: whoever reads has time to do so. */
#define HEED_AFTER_S 0.5

struct item {
    struct item *next;
    int fd;
    bool may_be_dropped;
    size_t n;
    char text[];
};

struct es_outqueue {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct item *first, *last;
    size_t limit_bytes;
    size_t n_bytes; /* that may be dropped, in the queue */
    unsigned n_dropped;
    const struct item *writing; /* it is not in the queue any more */
    bool is_ending;
    bool is_abandoned; /* its thread frees it, if it ever can */
    int error;         /* of text that may not be dropped; 0: none */
};

/* Takes the oldest item out that may be dropped, with the mutex held. */
static void drop_one(struct es_outqueue *queue)
{
    struct item **at = &queue->first, *before = NULL;
    while (*at && !(*at)->may_be_dropped) {
        before = *at;
        at = &(*at)->next;
    }
    struct item *dropped = *at;
    if (!dropped)
        return;
    *at = dropped->next;
    if (queue->last == dropped)
        queue->last = before;
    queue->n_bytes -= dropped->n;
    queue->n_dropped++;
    free(dropped);
}

void es_outqueue_put(struct es_outqueue *queue, int fd, const char *text, size_t n,
                     bool may_be_dropped)
{
    struct item *item = es_mem_calloc(1, sizeof *item + n);
    if (item) {
        item->fd = fd;
        item->may_be_dropped = may_be_dropped;
        item->n = n;
        memcpy(item->text, text, n);
    }
    pthread_mutex_lock(&queue->mutex);
    if (item) {
        if (queue->last)
            queue->last->next = item;
        else
            queue->first = item;
        queue->last = item;
        queue->n_bytes += may_be_dropped ? n : 0;
    } else {
        queue->n_dropped += may_be_dropped;
        queue->error = may_be_dropped ? queue->error : ENOMEM;
    }
    while (queue->n_bytes > queue->limit_bytes)
        drop_one(queue);
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

/* The next item, with the mutex held; NULL at the end. */
static struct item *take(struct es_outqueue *queue, unsigned *ret_n_dropped)
{
    while (!queue->first && !queue->is_ending)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    struct item *item = queue->first;
    *ret_n_dropped = queue->n_dropped;
    queue->n_dropped = 0;
    if (!item)
        return NULL;
    queue->first = item->next;
    if (!queue->first)
        queue->last = NULL;
    queue->n_bytes -= item->may_be_dropped ? item->n : 0;
    return item;
}

static void say_dropped(unsigned n_dropped)
{
    char text[100];
    int n = snprintf(text, sizeof text,
                     "evalsweep: %u lines were dropped here: nobody was reading\n", n_dropped);
    (void)es_fd_write_all(STDERR_FILENO, text, (size_t)n);
}

static void free_queue(struct es_outqueue *queue)
{
    pthread_mutex_destroy(&queue->mutex);
    pthread_cond_destroy(&queue->changed);
    free(queue);
}

static void *writer_main(void *arg)
{
    struct es_outqueue *queue = arg;
    struct item *item;
    unsigned n_dropped;
    pthread_mutex_lock(&queue->mutex);
    while ((item = take(queue, &n_dropped))) {
        queue->writing = item;
        pthread_mutex_unlock(&queue->mutex);
        if (n_dropped > 0)
            say_dropped(n_dropped);
        int error = es_fd_write_all(item->fd, item->text, item->n) < 0 ? errno : 0;
        pthread_mutex_lock(&queue->mutex);
        queue->writing = NULL;
        if (error && !item->may_be_dropped)
            queue->error = error;
        free(item);
        pthread_cond_broadcast(&queue->changed);
    }
    bool is_abandoned = queue->is_abandoned;
    pthread_mutex_unlock(&queue->mutex);
    if (is_abandoned)
        free_queue(queue);
    return NULL;
}

int es_outqueue_start(size_t limit_bytes, struct es_outqueue **ret_queue, struct es_err *err)
{
    struct es_outqueue *queue = es_mem_calloc(1, sizeof *queue);
    if (!queue)
        return es_err_nomem(err, "starting the output");
    queue->limit_bytes = limit_bytes;
    pthread_mutex_init(&queue->mutex, NULL);
    es_await_init_cond(&queue->changed);
    int failed = pthread_create(&queue->thread, NULL, writer_main, queue);
    if (failed) {
        free(queue);
        return es_err_sys(err, failed, "starting the output", NULL);
    }
    *ret_queue = queue;
    return 0;
}

/* Waits, with the mutex held, until nothing is left to write. */
static bool drain(struct es_outqueue *queue, double limit_s)
{
    int64_t end_ns = es_clock_after_ns(es_clock_mono_ns(), limit_s);
    int64_t heed_ns = es_clock_after_ns(es_clock_mono_ns(), HEED_AFTER_S);
    while (queue->first || queue->writing) {
        int64_t now_ns = es_clock_mono_ns();
        if (now_ns >= end_ns || (now_ns >= heed_ns && es_signal_is_pending()))
            return false;
        int64_t next_ns = now_ns + LOOK_NS < end_ns ? now_ns + LOOK_NS : end_ns;
        (void)es_await_cond(&queue->changed, &queue->mutex, next_ns);
    }
    return true;
}

int es_outqueue_finish(struct es_outqueue *queue, double limit_s, int *ret_stuck_fd)
{
    *ret_stuck_fd = -1;
    if (!queue)
        return 0;
    pthread_mutex_lock(&queue->mutex);
    if (!drain(queue, limit_s))
        *ret_stuck_fd = queue->writing ? queue->writing->fd : queue->first->fd;
    queue->is_ending = true;
    int error = queue->error;
    if (queue->writing && !queue->writing->may_be_dropped)
        error = ETIMEDOUT;
    for (const struct item *item = queue->first; item; item = item->next)
        error = item->may_be_dropped ? error : ETIMEDOUT;
    queue->is_abandoned = *ret_stuck_fd >= 0;
    pthread_t thread = queue->thread;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
    if (*ret_stuck_fd >= 0) {
        (void)pthread_detach(thread);
        return error;
    }
    (void)pthread_join(thread, NULL);
    free_queue(queue);
    return error;
}
