#include "exec/logfile.h"

#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_NAME "log.txt"

/* Of output between units, as much as a pipe would have held. */
enum { EARLY_LIMIT_BYTES = 65536 };

void es_log_init(struct es_log *log, size_t limit_bytes)
{
    *log = (struct es_log){.limit_bytes = limit_bytes, .dir_fd = -1, .fd = -1};
}

void es_log_clear(struct es_log *log)
{
    es_fd_close(&log->fd);
    es_buf_clear(&log->early);
}

static void keep_tail(struct es_log *log, const char *bytes, size_t n)
{
    if (n > ES_LOG_TAIL_BYTES) {
        bytes += n - ES_LOG_TAIL_BYTES;
        n = ES_LOG_TAIL_BYTES;
    }
    if (log->tail_n + n > sizeof log->tail) {
        size_t keep = ES_LOG_TAIL_BYTES;
        memmove(log->tail, log->tail + log->tail_n - keep, keep);
        log->tail_n = keep;
    }
    memcpy(log->tail + log->tail_n, bytes, n);
    log->tail_n += n;
}

/* Non-blocking, so that a FIFO that somebody left under this name fails instead of waiting. */
static void open_file(struct es_log *log)
{
    log->fd = openat(log->dir_fd, LOG_NAME,
                     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    if (log->fd < 0)
        log->closed = true;
}

static void close_file(struct es_log *log)
{
    es_fd_close(&log->fd);
    log->closed = true;
}

static void write_file(struct es_log *log, const char *bytes, size_t n)
{
    if (log->fd < 0 && !log->closed)
        open_file(log);
    if (log->closed)
        return;
    size_t room = log->limit_bytes ? log->limit_bytes - log->n_bytes : n;
    size_t n_kept = n < room ? n : room;
    if (es_fd_write_all(log->fd, bytes, n_kept) < 0) {
        close_file(log); /* a full disk, say */
        return;
    }
    log->n_bytes += n_kept;
    if (n_kept == n)
        return;
    char cut[80];
    int cut_n = snprintf(cut, sizeof cut, "\n[evalsweep: log cut after %zu bytes]\n", log->n_bytes);
    (void)es_fd_write_all(log->fd, cut, (size_t)cut_n);
    close_file(log);
}

void es_log_begin(struct es_log *log, int dir_fd)
{
    es_fd_close(&log->fd);
    log->dir_fd = dir_fd;
    log->n_bytes = 0;
    log->closed = dir_fd < 0;
    if (dir_fd >= 0)
        (void)unlinkat(dir_fd, LOG_NAME, 0); /* an earlier try's: this one may print nothing */
    if (log->early.len)
        write_file(log, log->early.data, log->early.len);
    es_buf_reset(&log->early);
}

void es_log_write(struct es_log *log, const char *bytes, size_t n)
{
    keep_tail(log, bytes, n);
    if (log->dir_fd >= 0)
        write_file(log, bytes, n);
    else if (n <= EARLY_LIMIT_BYTES - log->early.len)
        es_buf_append(&log->early, bytes, n);
    else
        es_buf_append(&log->early, bytes, EARLY_LIMIT_BYTES - log->early.len);
}

void es_log_end(struct es_log *log)
{
    es_fd_close(&log->fd);
    log->dir_fd = -1;
    log->tail_n = 0;
}

const char *es_log_tail(const struct es_log *log, size_t *ret_n)
{
    size_t n = log->tail_n < ES_LOG_TAIL_BYTES ? log->tail_n : ES_LOG_TAIL_BYTES;
    *ret_n = n;
    return log->tail + log->tail_n - n;
}
