#include "evalsweep/grid.h"

#include "core/mem.h"
#include "core/num.h"
#include "core/strtab.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct es_grid {
    struct es_strtab checkpoints;
    struct es_strtab tasks;
    struct es_strtab layer_texts; /* "21": finds a layer's index */
    int32_t *layers;
    uint8_t *excluded; /* a bit a unit */
    uint32_t n_units;
    uint32_t n_excluded;
};

static int add_names(struct es_strtab *axis, const char *axis_name, const char *const *names,
                     uint32_t n, struct es_err *err)
{
    if (n == 0)
        return es_err_set(err, ES_ERR_USAGE, "building the grid", axis_name, "the list is empty");
    for (uint32_t i = 0; i < n; i++) {
        const char *fault = es_name_fault(names[i]);
        if (fault)
            return es_err_set(err, ES_ERR_USAGE, "building the grid", axis_name, "\"%.60s\" %s",
                              names[i], fault);
        uint32_t code;
        if (es_strtab_add(axis, names[i], strlen(names[i]), &code) < 0)
            return es_err_nomem(err, "building the grid");
        if (code != i)
            return es_err_set(err, ES_ERR_USAGE, "building the grid", axis_name,
                              "\"%s\" stands there twice", names[i]);
    }
    return 0;
}

static int add_layers(struct es_grid *grid, const int32_t *layers, uint32_t n, struct es_err *err)
{
    if (n == 0)
        return es_err_set(err, ES_ERR_USAGE, "building the grid", "layers", "the list is empty");
    grid->layers = es_mem_calloc(n, sizeof *grid->layers);
    if (!grid->layers)
        return es_err_nomem(err, "building the grid");
    for (uint32_t i = 0; i < n; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "%d", layers[i]);
        uint32_t code;
        if (layers[i] < 0)
            return es_err_set(err, ES_ERR_USAGE, "building the grid", "layers", "%d is negative",
                              layers[i]);
        if (es_strtab_add(&grid->layer_texts, text, (size_t)len, &code) < 0)
            return es_err_nomem(err, "building the grid");
        if (code != i)
            return es_err_set(err, ES_ERR_USAGE, "building the grid", "layers",
                              "%d stands there twice", layers[i]);
        grid->layers[i] = layers[i];
    }
    return 0;
}

int es_grid_create(const char *const *checkpoints, uint32_t n_checkpoints, const int32_t *layers,
                   uint32_t n_layers, const char *const *tasks, uint32_t n_tasks,
                   struct es_grid **ret_grid, struct es_err *err)
{
    struct es_grid *grid = es_mem_calloc(1, sizeof *grid);
    if (!grid)
        return es_err_nomem(err, "building the grid");
    int rc = add_names(&grid->checkpoints, "checkpoints", checkpoints, n_checkpoints, err);
    if (rc == 0)
        rc = add_layers(grid, layers, n_layers, err);
    if (rc == 0)
        rc = add_names(&grid->tasks, "tasks", tasks, n_tasks, err);
    if (rc == 0 && (double)n_checkpoints * n_layers * n_tasks > ES_GRID_MAX_UNITS)
        rc = es_err_set(err, ES_ERR_USAGE, "building the grid", NULL,
                        "%u checkpoints x %u layers x %u tasks are more than 2^31 units",
                        n_checkpoints, n_layers, n_tasks);
    if (rc == 0) {
        grid->n_units = n_checkpoints * n_layers * n_tasks;
        grid->excluded = es_mem_calloc(grid->n_units / 8 + 1, 1);
        if (!grid->excluded)
            rc = es_err_nomem(err, "building the grid");
    }
    if (rc < 0) {
        es_grid_free(grid);
        return rc;
    }
    *ret_grid = grid;
    return 0;
}

void es_grid_free(struct es_grid *grid)
{
    if (!grid)
        return;
    es_strtab_clear(&grid->checkpoints);
    es_strtab_clear(&grid->tasks);
    es_strtab_clear(&grid->layer_texts);
    free(grid->layers);
    free(grid->excluded);
    free(grid);
}

static bool range_of(uint32_t index, uint32_t n, uint32_t *ret_first, uint32_t *ret_end)
{
    if (index != ES_GRID_ANY && index >= n)
        return false;
    *ret_first = index == ES_GRID_ANY ? 0 : index;
    *ret_end = index == ES_GRID_ANY ? n : index + 1;
    return true;
}

void es_grid_exclude(struct es_grid *grid, uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    uint32_t c, c_end, l_first, l_end, t_first, t_end;
    if (!range_of(checkpoint, grid->checkpoints.n, &c, &c_end) ||
        !range_of(layer, grid->layer_texts.n, &l_first, &l_end) ||
        !range_of(task, grid->tasks.n, &t_first, &t_end))
        return;
    for (; c < c_end; c++)
        for (uint32_t l = l_first; l < l_end; l++)
            for (uint32_t t = t_first; t < t_end; t++) {
                uint32_t id = es_grid_id(grid, (struct es_unit){c, l, t});
                uint8_t bit = (uint8_t)(1u << (id % 8));
                grid->n_excluded += !(grid->excluded[id / 8] & bit);
                grid->excluded[id / 8] |= bit;
            }
}

bool es_grid_is_excluded(const struct es_grid *grid, uint32_t unit_id)
{
    return grid->excluded[unit_id / 8] >> (unit_id % 8) & 1;
}

uint32_t es_grid_n_checkpoints(const struct es_grid *grid)
{
    return grid->checkpoints.n;
}

uint32_t es_grid_n_layers(const struct es_grid *grid)
{
    return grid->layer_texts.n;
}

uint32_t es_grid_n_tasks(const struct es_grid *grid)
{
    return grid->tasks.n;
}

uint32_t es_grid_n_units(const struct es_grid *grid)
{
    return grid->n_units;
}

uint32_t es_grid_n_excluded(const struct es_grid *grid)
{
    return grid->n_excluded;
}

uint32_t es_grid_id(const struct es_grid *grid, struct es_unit unit)
{
    return (unit.checkpoint * grid->layer_texts.n + unit.layer) * grid->tasks.n + unit.task;
}

struct es_unit es_grid_unit(const struct es_grid *grid, uint32_t unit_id)
{
    uint32_t pair = unit_id / grid->tasks.n;
    return (struct es_unit){.checkpoint = pair / grid->layer_texts.n,
                            .layer = pair % grid->layer_texts.n,
                            .task = unit_id % grid->tasks.n};
}

const char *es_grid_checkpoint(const struct es_grid *grid, uint32_t checkpoint)
{
    return grid->checkpoints.text[checkpoint];
}

int32_t es_grid_layer(const struct es_grid *grid, uint32_t layer)
{
    return grid->layers[layer];
}

const char *es_grid_task(const struct es_grid *grid, uint32_t task)
{
    return grid->tasks.text[task];
}

double es_grid_step(const struct es_grid *grid, uint32_t checkpoint)
{
    const char *name = grid->checkpoints.text[checkpoint];
    const char *end = name + strlen(name);
    while (end > name && !isdigit((unsigned char)end[-1]))
        end--;
    const char *first = end;
    while (first > name && isdigit((unsigned char)first[-1]))
        first--;
    if (first == end)
        return (double)NAN;
    double step = 0; /* not strtod, which would read on in "0xab" or "1e" */
    for (; first < end; first++)
        step = step * 10 + (*first - '0');
    return step;
}

uint32_t es_grid_find_checkpoint(const struct es_grid *grid, const char *name)
{
    return es_strtab_find(&grid->checkpoints, name, strlen(name));
}

uint32_t es_grid_find_layer(const struct es_grid *grid, int32_t layer)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d", layer);
    return es_strtab_find(&grid->layer_texts, text, (size_t)len);
}

uint32_t es_grid_find_task(const struct es_grid *grid, const char *name)
{
    return es_strtab_find(&grid->tasks, name, strlen(name));
}

void es_grid_unit_text(const struct es_grid *grid, uint32_t unit_id, char *ret_text,
                       size_t size_bytes)
{
    struct es_unit unit = es_grid_unit(grid, unit_id);
    (void)snprintf(ret_text, size_bytes, "%s/layer_%d/%s",
                   es_grid_checkpoint(grid, unit.checkpoint), es_grid_layer(grid, unit.layer),
                   es_grid_task(grid, unit.task));
}
