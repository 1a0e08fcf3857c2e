/* An output queue: text for terminals and pipes that nobody may be reading.
 *
 * A terminal that is stopped, a hung ssh or a stopped `tee` blocks whoever writes to it. So a
 * thread of its own writes, and whoever has something to say only appends to a bounded queue:
 *
 *     es_outqueue_start(&queue, &err);
 *     es_outqueue_put(queue, STDERR_FILENO, text, n, true);   // never waits
 *     es_outqueue_finish(queue, 10, &stuck_fd);               // waits so long at most
 *
 * Where the queue is full, the oldest text that may be dropped goes; how much went is said once
 * somebody reads again. Threads: any.
 */
#ifndef ES_SYS_OUTQUEUE_H
#define ES_SYS_OUTQUEUE_H

#include "evalsweep/error.h"

#include <stdbool.h>
#include <stddef.h>

struct es_outqueue;

/* limit_bytes: of text that may be dropped. */
int es_outqueue_start(size_t limit_bytes, struct es_outqueue **ret_queue, struct es_err *err);

/* Appends n bytes for a descriptor. Out of memory, they are dropped. */
void es_outqueue_put(struct es_outqueue *queue, int fd, const char *text, size_t n,
                     bool may_be_dropped);

/* Waits until all is written, for so many seconds at most, and no longer than until a signal that
 * ends a process is pending. Then frees the queue, unless a descriptor is stuck (*ret_stuck_fd,
 * else -1): its thread is left, and may be blocked for ever. 0: all text that may not be dropped
 * was written; else an errno (ETIMEDOUT: nobody read it). NULL is fine. */
int es_outqueue_finish(struct es_outqueue *queue, double limit_s, int *ret_stuck_fd);

#endif
