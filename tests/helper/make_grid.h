/* A grid of names that are right, in one expression. Include cmocka.h first. */
#ifndef ES_TESTS_HELPER_MAKE_GRID_H
#define ES_TESTS_HELPER_MAKE_GRID_H

#include "evalsweep/grid.h"

/* Free with es_grid_free. */
static inline struct es_grid *make_grid(const char *const *checkpoints, uint32_t n_checkpoints,
                                        const int32_t *layers, uint32_t n_layers,
                                        const char *const *tasks, uint32_t n_tasks)
{
    struct es_grid *grid = NULL;
    assert_int_equal(
        es_grid_create(checkpoints, n_checkpoints, layers, n_layers, tasks, n_tasks, &grid, NULL),
        0);
    return grid;
}

#endif
