/* One evaluator process with its pipes, from its start until it is reaped.
 *
 * The writing ends of its output and reply pipes are kept open here too, so that neither ever shows
 * an end of file or a hang-up: grandchildren may hold them for long, and the end of a process is
 * known from waiting on it alone.
 *
 *     start -> alive: signal, write to stdin_fd, read output_fd
 *     ended() says true -> its group is killed -> read what is left -> reap()
 */
#ifndef ES_EXEC_PROCESS_H
#define ES_EXEC_PROCESS_H

#include "evalsweep/error.h"
#include "exec/guard.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct es_process {
    pid_t pid;     /* of the process and of its group; -1: none */
    int stdin_fd;  /* non-blocking; -1: closed, or it has /dev/null */
    int output_fd; /* non-blocking: stdout and stderr */
    int held_fds[2];
    int null_fd;
    struct es_guard_cell *guard_cell;
};

struct es_process_command {
    const char *path;
    char *const *argv;
    char *const *envp;
};

/* How a process ended. */
struct es_process_end {
    int exit_code; /* -1: by a signal, or not known */
    int signal;    /* 0: it exited */
};

/* No process yet; takes a guard cell. */
void es_process_init(struct es_process *process);

/* Kills and reaps what runs, waiting for its end. */
void es_process_clear(struct es_process *process);

/* ret_reply_fd NULL: stdin is /dev/null and there is no reply pipe; else stdin is a pipe and the
 * non-blocking reading end of the reply pipe is given. ES_ERR_SPAWN: the program was refused. */
int es_process_start(struct es_process *process, const struct es_process_command *command,
                     int *ret_reply_fd, struct es_err *err);

/* To the whole group. */
void es_process_signal(const struct es_process *process, int number);

/* Whether it has ended; then what is left of its group is killed: the pipes fill no more. */
bool es_process_ended(const struct es_process *process, struct es_process_end *ret_end);

/* Waits for the process, which has ended or was killed, and closes its pipes. */
void es_process_reap(struct es_process *process);

/* "exit code 1", "signal 9 (Killed)". */
void es_process_end_text(const struct es_process_end *end, char *ret_text, size_t size_bytes);

#endif
