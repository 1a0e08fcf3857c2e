/* The guard: one small process beside each rank, which kills the groups of the rank's evaluators
 * and removes their FIFOs when the rank is gone, kill -9 included.
 *
 * What there is to clean up stands in a page that is shared with it, hence at no cost a unit and
 * without a write that could block:
 *
 *     es_guard_start(&err);                             // before MPI_Init and before any thread
 *     struct es_guard_cell *cell = es_guard_take();     // NULL when no guard was started: fine
 *     ... the spawned child stores its group before it runs the command ...
 *     es_guard_withdraw(cell);                          // before the child is reaped
 *     es_guard_release(cell);
 *
 * Threads: any; a cell is used by one.
 */
#ifndef ES_EXEC_GUARD_H
#define ES_EXEC_GUARD_H

#include "evalsweep/error.h"

#include <stdatomic.h>

#define ES_GUARD_PATH_SIZE 504

struct es_guard_cell {
    atomic_int taken;
    atomic_int group;              /* process group to kill; 0: none */
    char fifo[ES_GUARD_PATH_SIZE]; /* to remove, and the folder that holds it; "": none */
};

/* Starts the guard of this process, unless there is one. */
int es_guard_start(struct es_err *err);

/* A free cell; NULL without a guard or with all of them taken. */
struct es_guard_cell *es_guard_take(void);

/* Remembers a FIFO in a folder of its own. cell may be NULL; a path too long is not remembered. */
void es_guard_set_fifo(struct es_guard_cell *cell, const char *path);

/* The group is about to be reaped, so that its number may come to mean somebody else. */
void es_guard_withdraw(struct es_guard_cell *cell);

void es_guard_release(struct es_guard_cell *cell);

#endif
