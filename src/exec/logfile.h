/* What an evaluator prints: into the current unit's log.txt, made at the first output, and the last
 * 4 KiB kept in memory.
 *
 * Output while no unit is under way (an evaluator that starts) belongs to the next one. The log is
 * for people and never a reason to fail: where it cannot be written, the tail still is.
 */
#ifndef ES_EXEC_LOGFILE_H
#define ES_EXEC_LOGFILE_H

#include "core/buf.h"

#include <stdbool.h>
#include <stddef.h>

#define ES_LOG_TAIL_BYTES 4096

struct es_log {
    size_t limit_bytes; /* of one unit's log.txt; 0: none */
    int dir_fd;         /* borrowed; -1: no unit under way */
    int fd;             /* of log.txt; -1: not opened yet, or in vain */
    size_t n_bytes;     /* of this unit's output so far */
    bool closed;        /* nothing more goes to this unit's log.txt */
    struct es_buf early;
    size_t tail_n;
    char tail[2 * ES_LOG_TAIL_BYTES];
};

void es_log_init(struct es_log *log, size_t limit_bytes);
void es_log_clear(struct es_log *log);

/* From now on output is that of a unit whose folder is dir_fd. */
void es_log_begin(struct es_log *log, int dir_fd);

void es_log_write(struct es_log *log, const char *bytes, size_t n);

/* The unit is over: closes its log and forgets the tail. */
void es_log_end(struct es_log *log);

/* The last output since begin (or, while none is under way, since end): at most
 * ES_LOG_TAIL_BYTES, valid until the next call. */
const char *es_log_tail(const struct es_log *log, size_t *ret_n);

#endif
