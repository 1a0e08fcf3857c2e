#include "exec/channel.h"

#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 65536,      /* what a pipe holds */
    KEEP_BYTES = 1024 * 1024 /* a buffer beyond this is not kept for the next line */
};

/* Finds a whole line in what is there, dropping blank ones before it. */
static bool find_line(struct es_channel *channel)
{
    struct es_buf *buf = &channel->buf;
    while (channel->n_scanned < buf->len) {
        char *newline = memchr(buf->data + channel->n_scanned, '\n', buf->len - channel->n_scanned);
        if (!newline) {
            channel->n_scanned = buf->len;
            return false;
        }
        size_t n = (size_t)(newline - buf->data);
        if (n > 0 && buf->data[n - 1] == '\r')
            n--;
        if (n > 0) {
            channel->line_n = n;
            return true;
        }
        es_buf_consume(buf, (size_t)(newline - buf->data) + 1);
        channel->n_scanned = 0;
    }
    return false;
}

enum es_channel_result es_channel_read(struct es_channel *channel)
{
    while (channel->fd >= 0) {
        char *at = es_buf_reserve(&channel->buf, READ_BYTES);
        if (!at)
            return ES_CHANNEL_TOO_LONG;
        ssize_t n = read(channel->fd, at, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        channel->buf.len += (size_t)n;
        channel->buf.data[channel->buf.len] = '\0';
        if (find_line(channel))
            return channel->line_n > channel->limit_bytes ? ES_CHANNEL_TOO_LONG : ES_CHANNEL_LINE;
        if (channel->buf.len > channel->limit_bytes)
            return ES_CHANNEL_TOO_LONG;
        if (n < READ_BYTES)
            break; /* that was all: no call to be told so */
    }
    return ES_CHANNEL_WAITING;
}

void es_channel_reset(struct es_channel *channel)
{
    if (channel->buf.cap > KEEP_BYTES)
        es_buf_clear(&channel->buf);
    es_buf_reset(&channel->buf);
    channel->line_n = 0;
    channel->n_scanned = 0;
}

void es_channel_discard(struct es_channel *channel)
{
    /* A pipe holds 1 MiB at most: one that is filled faster than it is emptied must not hold us. */
    for (int i = 0; i < 16; i++) {
        enum es_channel_result result = es_channel_read(channel);
        es_channel_reset(channel);
        if (result == ES_CHANNEL_WAITING)
            return;
    }
}

void es_channel_take(struct es_channel *channel, struct es_buf *line)
{
    struct es_buf taken = channel->buf;
    taken.len = channel->line_n;
    taken.data[taken.len] = '\0';
    channel->buf = *line;
    *line = taken;
    es_channel_reset(channel);
}

void es_channel_clear(struct es_channel *channel)
{
    es_fd_close(&channel->fd);
    es_buf_clear(&channel->buf);
}
