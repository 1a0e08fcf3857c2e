#include "core/gridunion.h"

#include "core/mem.h"
#include "core/strtab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char doing[] = "bringing grids together";

struct checkpoint {
    const char *name;
    double step; /* INFINITY: none */
    uint32_t place;
};

/* The axes while they grow. */
struct axes {
    struct es_strtab checkpoint_names;
    struct checkpoint *checkpoints; /* [checkpoint_names.n] */
    size_t checkpoints_cap;
    struct es_strtab tasks;
    int32_t *layers; /* [n_layers], some of them several times until they are sorted */
    size_t n_layers, layers_cap;
};

static int add_checkpoint(struct axes *axes, const struct es_grid *grid, uint32_t index)
{
    const char *name = es_grid_checkpoint(grid, index);
    const double step = es_grid_step(grid, index);
    const uint32_t n = axes->checkpoint_names.n;
    void *grown = axes->checkpoints;
    uint32_t code;
    if (es_mem_grow(&grown, &axes->checkpoints_cap, (size_t)n + 1, sizeof *axes->checkpoints) < 0)
        return ES_ERR_NOMEM;
    axes->checkpoints = grown;
    if (es_strtab_add(&axes->checkpoint_names, name, strlen(name), &code) < 0)
        return ES_ERR_NOMEM;
    if (code == n)
        axes->checkpoints[n] = (struct checkpoint){name, isnan(step) ? (double)INFINITY : step, n};
    return 0;
}

static int add_layers(struct axes *axes, const struct es_grid *grid)
{
    const uint32_t n = es_grid_n_layers(grid);
    void *grown = axes->layers;
    if (es_mem_grow(&grown, &axes->layers_cap, axes->n_layers + n, sizeof *axes->layers) < 0)
        return ES_ERR_NOMEM;
    axes->layers = grown;
    for (uint32_t i = 0; i < n; i++)
        axes->layers[axes->n_layers++] = es_grid_layer(grid, i);
    return 0;
}

static int add_grid(struct axes *axes, const struct es_grid *grid)
{
    uint32_t code;
    int rc = add_layers(axes, grid);
    for (uint32_t i = 0; i < es_grid_n_checkpoints(grid) && rc == 0; i++)
        rc = add_checkpoint(axes, grid, i);
    for (uint32_t i = 0; i < es_grid_n_tasks(grid) && rc == 0; i++)
        rc = es_strtab_add(&axes->tasks, es_grid_task(grid, i), strlen(es_grid_task(grid, i)),
                           &code);
    return rc;
}

static int compare_checkpoints(const void *one, const void *other)
{
    const struct checkpoint *a = one, *b = other;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int compare_layers(const void *one, const void *other)
{
    const int32_t a = *(const int32_t *)one, b = *(const int32_t *)other;
    return a < b ? -1 : a > b;
}

static void sort_axes(struct axes *axes)
{
    size_t n = 0;
    if (axes->n_layers) {
        qsort(axes->checkpoints, axes->checkpoint_names.n, sizeof *axes->checkpoints,
              compare_checkpoints);
        qsort(axes->layers, axes->n_layers, sizeof *axes->layers, compare_layers);
    }
    for (size_t i = 0; i < axes->n_layers; i++)
        if (i == 0 || axes->layers[i] != axes->layers[i - 1])
            axes->layers[n++] = axes->layers[i];
    axes->n_layers = n;
}

static int make_grid(const struct axes *axes, struct es_grid **ret_grid, struct es_err *err)
{
    const uint32_t n = axes->checkpoint_names.n;
    const char **names = es_mem_calloc(n, sizeof *names);
    if (!names)
        return es_err_nomem(err, doing);
    for (uint32_t i = 0; i < n; i++)
        names[i] = axes->checkpoints[i].name;
    int rc = es_grid_create(names, n, axes->layers, (uint32_t)axes->n_layers,
                            (const char *const *)axes->tasks.text, axes->tasks.n, ret_grid, err);
    free(names);
    return rc;
}

int es_grid_union(const struct es_grid *const *grids, uint32_t n, struct es_grid **ret_grid,
                  struct es_err *err)
{
    struct axes axes = {0};
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++)
        if (add_grid(&axes, grids[i]) < 0)
            rc = es_err_nomem(err, doing);
    if (rc == 0) {
        sort_axes(&axes);
        rc = make_grid(&axes, ret_grid, err);
    }
    es_strtab_clear(&axes.checkpoint_names);
    es_strtab_clear(&axes.tasks);
    free(axes.checkpoints);
    free(axes.layers);
    return rc;
}

/* Excludes from `spread` what `grid` does not have on its axes. */
static void exclude_rest(struct es_grid *spread, const struct es_grid *grid)
{
    for (uint32_t i = 0; i < es_grid_n_checkpoints(spread); i++)
        if (es_grid_find_checkpoint(grid, es_grid_checkpoint(spread, i)) == ES_GRID_NONE)
            es_grid_exclude(spread, i, ES_GRID_ANY, ES_GRID_ANY);
    for (uint32_t i = 0; i < es_grid_n_layers(spread); i++)
        if (es_grid_find_layer(grid, es_grid_layer(spread, i)) == ES_GRID_NONE)
            es_grid_exclude(spread, ES_GRID_ANY, i, ES_GRID_ANY);
    for (uint32_t i = 0; i < es_grid_n_tasks(spread); i++)
        if (es_grid_find_task(grid, es_grid_task(spread, i)) == ES_GRID_NONE)
            es_grid_exclude(spread, ES_GRID_ANY, ES_GRID_ANY, i);
}

/* Excludes what the grid itself excludes. */
static void exclude_same(struct es_grid *spread, const struct es_grid *grid)
{
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        if (!es_grid_is_excluded(grid, id))
            continue;
        const struct es_unit unit = es_grid_unit(grid, id);
        es_grid_exclude(spread,
                        es_grid_find_checkpoint(spread, es_grid_checkpoint(grid, unit.checkpoint)),
                        es_grid_find_layer(spread, es_grid_layer(grid, unit.layer)),
                        es_grid_find_task(spread, es_grid_task(grid, unit.task)));
    }
}

int es_grid_spread(const struct es_grid *grid, const struct es_grid *axes,
                   struct es_grid **ret_grid, struct es_err *err)
{
    struct es_grid *spread = NULL;
    int rc = es_grid_union(&axes, 1, &spread, err);
    if (rc < 0)
        return rc;
    exclude_rest(spread, grid);
    exclude_same(spread, grid);
    *ret_grid = spread;
    return 0;
}
