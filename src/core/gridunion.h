/* Grids of several runs side by side: axes that have them all, and one run's units on these. */
#ifndef ES_CORE_GRIDUNION_H
#define ES_CORE_GRIDUNION_H

#include "evalsweep/grid.h"

/* A grid whose axes have what any of the n grids has: checkpoints by training step, those without
 * one behind them, and otherwise in the order in which they first appear; layers by number; tasks
 * in the order in which they first appear. Nothing is excluded. Free with es_grid_free. */
int es_grid_union(const struct es_grid *const *grids, uint32_t n, struct es_grid **ret_grid,
                  struct es_err *err);

/* The units of `grid` on the axes of `axes`, which has all of them: what else there is, and what
 * the grid excludes, is excluded. Free with es_grid_free. */
int es_grid_spread(const struct es_grid *grid, const struct es_grid *axes,
                   struct es_grid **ret_grid, struct es_err *err);

#endif
