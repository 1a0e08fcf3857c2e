/* Lines from a non-blocking descriptor, one at a time. */
#ifndef ES_EXEC_CHANNEL_H
#define ES_EXEC_CHANNEL_H

#include "core/buf.h"

#include <stddef.h>

enum es_channel_result {
    ES_CHANNEL_WAITING,  /* no whole line yet */
    ES_CHANNEL_LINE,     /* buf begins with a line of line_n bytes, then '\n' */
    ES_CHANNEL_TOO_LONG, /* limit_bytes without a newline, or out of memory */
};

struct es_channel {
    int fd; /* -1: none, and nothing ever comes */
    size_t limit_bytes;
    struct es_buf buf;
    size_t line_n;
    size_t n_scanned; /* bytes known to hold no newline */
};

/* Reads what is there, up to the end of the first line that is not blank. */
enum es_channel_result es_channel_read(struct es_channel *channel);

/* Forgets what was read; a big buffer is released. */
void es_channel_reset(struct es_channel *channel);

/* Reads and forgets what is there. */
void es_channel_discard(struct es_channel *channel);

/* Swaps the buffer, which holds a line, for an empty one, and resets. */
void es_channel_take(struct es_channel *channel, struct es_buf *line);

/* Closes the descriptor and releases the memory. */
void es_channel_clear(struct es_channel *channel);

#endif
