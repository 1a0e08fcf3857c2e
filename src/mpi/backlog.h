/* What a worker holds: bundles in the order of their assignment, and the unit that runs now. */
#ifndef ES_MPI_BACKLOG_H
#define ES_MPI_BACKLOG_H

#include "evalsweep/grid.h"
#include "mpi/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* Units of one (checkpoint, task). */
struct es_backlog_bundle {
    struct es_backlog_bundle *next;
    struct es_wire_bundle head;
    uint32_t n_begun;             /* the first n_begun layers were taken */
    struct es_wire_layer *layers; /* [head.n_layers] */
    int32_t *layer_numbers;       /* [head.n_layers] for the evaluator */
};

struct es_backlog {
    struct es_backlog_bundle *first; /* the last unit taken is of this one */
    struct es_backlog_bundle *last;
    uint32_t n_waiting; /* units not taken yet */
};

/* Appends the bundles of an ASSIGN. ES_ERR_PROTOCOL: malformed, or units outside the grid. */
int es_backlog_append(struct es_backlog *backlog, const struct es_grid *grid,
                      const struct es_message *message);

/* Takes the next unit: its attempt, and its bundle (borrowed until the next take, append excluded),
 * where it is layers[n_begun - 1]. False: nothing waits. */
bool es_backlog_take(struct es_backlog *backlog, struct es_unit *ret_unit, uint32_t *ret_attempt,
                     const struct es_backlog_bundle **ret_bundle);

/* Takes one unit out that was not taken yet. False: it is not waiting here. */
bool es_backlog_remove(struct es_backlog *backlog, struct es_unit unit);

/* Takes one unit of a (checkpoint, task) out that was not taken yet. False: none is waiting here.
 */
bool es_backlog_remove_of(struct es_backlog *backlog, uint32_t checkpoint, uint32_t task,
                          struct es_unit *ret_unit);

void es_backlog_clear(struct es_backlog *backlog);

#endif
