/* Running a short program for its output: stdout and stderr together, no input, no shell.
 *
 * Threads: any, but one that lives on until it is done (PR_SET_PDEATHSIG goes by thread).
 */
#ifndef ES_EXEC_CAPTURE_H
#define ES_EXEC_CAPTURE_H

#include "core/buf.h"
#include "evalsweep/error.h"

/* Runs argv (NULL-terminated; found by PATH) and appends what it prints, limit_bytes at most, to
 * output. ES_ERR_SPAWN: it cannot be run, ended badly, took longer than limit_s (and was killed),
 * or stop_fd became readable (likewise). Waits for its end. */
int es_capture(const char *const *argv, double limit_s, int stop_fd, size_t limit_bytes,
               struct es_buf *output, struct es_err *err);

#endif
