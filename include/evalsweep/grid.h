/* The grid of a sweep: checkpoints x layers x tasks, minus exclusions.
 *
 * A unit's id is its index in checkpoints x layers x tasks before exclusions, so that
 * id = (checkpoint * n_layers + layer) * n_tasks + task, all of them indices. Ids live in one job
 * only: what is written to disk goes by name.
 *
 *     es_grid_create(names, 3, layers, 4, tasks, 2, &grid, &err);
 *     es_grid_exclude(grid, 0, ES_GRID_ANY, 1);
 *     ...
 *     es_grid_free(grid);
 *
 * Threads: any, once built; es_grid_exclude is not to run beside anything else.
 */
#ifndef EVALSWEEP_GRID_H
#define EVALSWEEP_GRID_H

#include "evalsweep/error.h"

#include <stdbool.h>
#include <stdint.h>

#define ES_GRID_ANY UINT32_MAX  /* every index of an axis */
#define ES_GRID_NONE UINT32_MAX /* no such index */

/* No grid has more units: 2^31. */
#define ES_GRID_MAX_UNITS 2147483648u

/* Opaque: three axes of names or numbers, and which units are left out. */
struct es_grid;

/* One evaluation, as indices into the three axes. */
struct es_unit {
    uint32_t checkpoint;
    uint32_t layer;
    uint32_t task;
};

/* Copies the names. ES_ERR_USAGE for an empty axis, a bad or a repeated name, a negative or a
 * repeated layer, or more than ES_GRID_MAX_UNITS. Free with es_grid_free. */
int es_grid_create(const char *const *checkpoints, uint32_t n_checkpoints, const int32_t *layers,
                   uint32_t n_layers, const char *const *tasks, uint32_t n_tasks,
                   struct es_grid **ret_grid, struct es_err *err);
/* NULL is fine. */
void es_grid_free(struct es_grid *grid);

/* Excludes every unit that matches; each index may be ES_GRID_ANY. */
void es_grid_exclude(struct es_grid *grid, uint32_t checkpoint, uint32_t layer, uint32_t task);
/* Whether a unit (an id below es_grid_n_units) was excluded. */
bool es_grid_is_excluded(const struct es_grid *grid, uint32_t unit_id);

/* How many checkpoints there are. */
uint32_t es_grid_n_checkpoints(const struct es_grid *grid);

/* How many layers. */
uint32_t es_grid_n_layers(const struct es_grid *grid);
/* How many tasks. */
uint32_t es_grid_n_tasks(const struct es_grid *grid);
/* The product of the axes, excluded units counted. */
uint32_t es_grid_n_units(const struct es_grid *grid);
/* How many of them are excluded. */
uint32_t es_grid_n_excluded(const struct es_grid *grid);

/* The id of a unit whose indices are within the axes. */
uint32_t es_grid_id(const struct es_grid *grid, struct es_unit unit);
/* The indices of a unit id below es_grid_n_units. */
struct es_unit es_grid_unit(const struct es_grid *grid, uint32_t unit_id);

/* The name of a checkpoint by its index; borrowed from the grid. */
const char *es_grid_checkpoint(const struct es_grid *grid, uint32_t checkpoint);
/* The number of a layer by its index. */
int32_t es_grid_layer(const struct es_grid *grid, uint32_t layer);
/* The name of a task by its index; borrowed from the grid. */
const char *es_grid_task(const struct es_grid *grid, uint32_t task);

/* The training step that a checkpoint's name tells ("step1000": 1000; its last run of digits), NaN
 * for a name without one. */
double es_grid_step(const struct es_grid *grid, uint32_t checkpoint);

/* The index of a checkpoint by name; ES_GRID_NONE if there is none. */
uint32_t es_grid_find_checkpoint(const struct es_grid *grid, const char *name);
/* The index of a layer by number, or ES_GRID_NONE. */
uint32_t es_grid_find_layer(const struct es_grid *grid, int32_t layer);
/* The index of a task by name, or ES_GRID_NONE. */
uint32_t es_grid_find_task(const struct es_grid *grid, const char *name);

/* Writes "checkpoint/layer_N/task", for people; always NUL-terminated, cut where it is too long. */
void es_grid_unit_text(const struct es_grid *grid, uint32_t unit_id, char *ret_text,
                       size_t size_bytes);

#endif
