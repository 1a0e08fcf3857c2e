#include "run/scan_internal.h"

/* A step ends where a level names an axis that is still open. The levels above the first such are a
 * step too, which may be empty: the run folder itself. */
void es_scan_steps_init(const struct es_layout *layout, const struct es_grid *grid,
                        struct es_scan_steps *steps)
{
    unsigned bound = 0;
    uint32_t n_levels = es_layout_n_levels(layout);
    *steps = (struct es_scan_steps){.layout = layout, .grid = grid, .n = 1};
    for (uint32_t level = 0; level < n_levels; level++) {
        unsigned binds = es_layout_level_axes(layout, level) & ~bound;
        if (!binds)
            continue;
        steps->first_level[steps->n] = level;
        steps->binds[steps->n++] = binds;
        bound |= binds;
    }
    steps->first_level[steps->n] = n_levels;
}

void es_scan_steps_path(const struct es_scan_steps *steps, uint32_t first, uint32_t end,
                        struct es_unit unit, struct es_buf *path)
{
    uint32_t level = steps->first_level[first], end_level = steps->first_level[end];
    if (level == end_level)
        es_buf_putc(path, '.');
    for (uint32_t i = level; i < end_level; i++) {
        if (i > level)
            es_buf_putc(path, '/');
        es_layout_level_name(steps->layout, i, steps->grid, unit, path);
    }
}

static uint32_t axis_len(const struct es_grid *grid, unsigned axis)
{
    switch (axis) {
    case ES_LAYOUT_CHECKPOINT:
        return es_grid_n_checkpoints(grid);
    case ES_LAYOUT_LAYER:
        return es_grid_n_layers(grid);
    default:
        return es_grid_n_tasks(grid);
    }
}

uint64_t es_scan_n_ways(const struct es_grid *grid, unsigned axes)
{
    uint64_t n = 1;
    for (unsigned axis = ES_LAYOUT_CHECKPOINT; axis <= ES_LAYOUT_TASK; axis <<= 1)
        if (axes & axis)
            n *= axis_len(grid, axis);
    return n;
}

struct es_unit es_scan_bind(const struct es_grid *grid, unsigned axes, uint64_t nth,
                            struct es_unit unit)
{
    if (axes & ES_LAYOUT_TASK) {
        unit.task = (uint32_t)(nth % es_grid_n_tasks(grid));
        nth /= es_grid_n_tasks(grid);
    }
    if (axes & ES_LAYOUT_LAYER) {
        unit.layer = (uint32_t)(nth % es_grid_n_layers(grid));
        nth /= es_grid_n_layers(grid);
    }
    if (axes & ES_LAYOUT_CHECKPOINT)
        unit.checkpoint = (uint32_t)nth;
    return unit;
}
