#include "run/scan_internal.h"

#include "core/mem.h"

#include <stdlib.h>

void es_scan_queue_init(struct es_scan_queue *queue)
{
    *queue = (struct es_scan_queue){0};
    (void)pthread_mutex_init(&queue->lock, NULL);
    (void)pthread_cond_init(&queue->changed, NULL);
}

void es_scan_queue_clear(struct es_scan_queue *queue)
{
    free(queue->folders);
    (void)pthread_cond_destroy(&queue->changed);
    (void)pthread_mutex_destroy(&queue->lock);
}

int es_scan_queue_push(struct es_scan_queue *queue, struct es_scan_folder folder)
{
    (void)pthread_mutex_lock(&queue->lock);
    void *folders = queue->folders;
    int rc = es_mem_grow(&folders, &queue->cap, queue->n + 1, sizeof *queue->folders);
    queue->folders = folders;
    if (rc == 0) {
        queue->folders[queue->n++] = folder;
        (void)pthread_cond_signal(&queue->changed);
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return rc;
}

bool es_scan_queue_take(struct es_scan_queue *queue, struct es_scan_folder *ret_folder)
{
    (void)pthread_mutex_lock(&queue->lock);
    while (queue->n == 0 && queue->n_busy > 0 && !queue->stopped)
        (void)pthread_cond_wait(&queue->changed, &queue->lock);
    bool taken = queue->n > 0 && !queue->stopped;
    if (taken) {
        *ret_folder = queue->folders[--queue->n];
        queue->n_busy++;
    }
    (void)pthread_mutex_unlock(&queue->lock);
    return taken;
}

void es_scan_queue_done(struct es_scan_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->n_busy--;
    if (queue->n == 0 && queue->n_busy == 0)
        (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->lock);
}

void es_scan_queue_stop(struct es_scan_queue *queue)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->stopped = true;
    (void)pthread_cond_broadcast(&queue->changed);
    (void)pthread_mutex_unlock(&queue->lock);
}
