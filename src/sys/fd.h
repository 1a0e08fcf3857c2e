/* Descriptors: whole reads and writes with EINTR handled, folders, close-on-exec from birth.
 *
 * Functions return 0 (or a descriptor) and -1 with errno set; the caller knows what it was doing
 * and says so with es_err_sys.
 */
#ifndef ES_SYS_FD_H
#define ES_SYS_FD_H

#include "core/buf.h"
#include "evalsweep/error.h"
#include "evalsweep/units.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Closes *fd unless it is -1, and makes it -1. errno is kept. */
void es_fd_close(int *fd);

/* Writes all of it: at the descriptor's offset, or at one of its own. */
int es_fd_write_all(int fd, const void *bytes, size_t n);
int es_fd_pwrite_all(int fd, const void *bytes, size_t n, int64_t offset);

/* Writes all of it to a terminal or a pipe that may be stalled: -1 with ETIMEDOUT once it took
 * nothing for so long (less than 0: for ever), with EINTR if stop_fd (-1: none) has something to be
 * read. */
int es_fd_write_within(int fd, const void *bytes, size_t n, int timeout_ms, int stop_fd);

/* Appends everything up to the end of fd to buf; EFBIG beyond limit_bytes, ENOMEM. On failure buf
 * holds what it held. */
int es_fd_read_all(int fd, size_t limit_bytes, struct es_buf *buf);

/* Opens (never blocking on a FIFO), checks that it is a regular file, reads it whole. EISDIR for a
 * folder, EINVAL for what is no file, EFBIG beyond limit_bytes. dir_fd may be AT_FDCWD. */
int es_file_read_at(int dir_fd, const char *path, size_t limit_bytes, struct es_buf *buf,
                    struct es_file_id *ret_id);

/* es_err_sys for what es_file_read_at refuses: it has words for a FIFO, a device or a socket. */
int es_file_read_error(struct es_err *err, int sys_errno, const char *doing, const char *path);

/* Which content a stat describes. */
struct es_file_id es_file_id(const struct stat *st);

/* Makes path (relative to dir_fd) with the folders above it: 1 if it was made, 0 if it was there
 * already, ENOTDIR if what is there is no folder. Tries the leaf first, so that a folder whose
 * parent is there costs one call. */
int es_mkdir_all_at(int dir_fd, const char *path);

/* A pipe with both ends close-on-exec; the ends named may be made non-blocking. */
int es_fd_pipe(int *ret_read, int *ret_write);
int es_fd_set_nonblocking(int fd);

#endif
