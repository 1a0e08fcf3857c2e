/* Running a program: vfork + execve, in a process group of its own, dying with the thread that
 * spawned it.
 *
 * The child has default signal actions, but ignores SIGINT, SIGUSR1 and SIGUSR2, which Slurm and
 * terminals send to whole trees; no signal is blocked; it is the kernel's first choice when memory
 * runs out; and it has no descriptors but those named here. Threads: any; see PR_SET_PDEATHSIG.
 */
#ifndef ES_EXEC_SPAWN_H
#define ES_EXEC_SPAWN_H

#include "exec/guard.h"

#include <stdbool.h>
#include <sys/types.h>

/* The number that the reply descriptor has in the child. */
#define ES_SPAWN_REPLY_FD 3

/* Descriptors are above 2, close-on-exec, and borrowed. */
struct es_spawn {
    const char *path; /* of the program's file */
    char *const *argv;
    char *const *envp;
    int stdin_fd;
    int output_fd; /* stdout and stderr */
    int reply_fd;  /* becomes ES_SPAWN_REPLY_FD; -1: none */
    /* Where the child leaves its group, before it runs the program; or NULL. */
    struct es_guard_cell *guard_cell;
};

/* The process id, which is also the group's; -1 with errno set. *ret_exec_failed (untouched on
 * success) tells whether the program was refused, or there was not even a process. */
pid_t es_spawn(const struct es_spawn *plan, bool *ret_exec_failed);

/* The file that execvp would run, with `search_path` (may be NULL) for PATH; allocated. NULL with
 * errno set: ENOENT, EACCES (there, but no executable file), ENOMEM. */
char *es_spawn_find(const char *program, const char *search_path);

#endif
