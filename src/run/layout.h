/* The layout: where a unit's folder is, relative to the run folder.
 *
 * A template such as "outputs/mteb/Pythia/410m/{checkpoint}/layer_{layer}/{task}", cut into levels:
 * folder names that are bound one after the other, so that the scan can ask for a folder once
 * instead of once for each unit below it.
 */
#ifndef ES_RUN_LAYOUT_H
#define ES_RUN_LAYOUT_H

#include "core/buf.h"
#include "evalsweep/error.h"
#include "evalsweep/grid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ES_LAYOUT_DEFAULT "outputs/mteb/Pythia/410m/{checkpoint}/layer_{layer}/{task}"
#define ES_MARKER_NAME "done.json"
#define ES_FAILED_NAME "failed.json"
#define ES_LOG_NAME "log.txt"
#define ES_RESULT_NAME "result.json"

/* NULL if it can be a layout: relative, no empty, "." or ".." part, each of the three placeholders
 * at least once, no two of them touching (units could share a folder) and nothing else in braces.
 * Else what is wrong with it ("begins with a '/'"; static storage). */
const char *es_layout_fault(const char *layout);

struct es_layout;

int es_layout_create(const char *text, struct es_layout **ret_layout, struct es_err *err);
void es_layout_free(struct es_layout *layout);

/* The levels from the run folder down. Each is one folder, but folders that are the same for every
 * unit and follow one another are one level: the default has "outputs/mteb/Pythia/410m",
 * "{checkpoint}", "layer_{layer}" and "{task}". */
uint32_t es_layout_n_levels(const struct es_layout *layout);

/* Which axes the names of a level depend on, as bits; 0: the same name for every unit. */
enum es_layout_axis {
    ES_LAYOUT_CHECKPOINT = 1,
    ES_LAYOUT_LAYER = 2,
    ES_LAYOUT_TASK = 4,
};
unsigned es_layout_level_axes(const struct es_layout *layout, uint32_t level);

/* Appends a level's name to `name`, without slashes around it. Of the unit, only the indices of the
 * level's axes are looked at. */
void es_layout_level_name(const struct es_layout *layout, uint32_t level,
                          const struct es_grid *grid, struct es_unit unit, struct es_buf *name);

/* Appends the unit's folder, relative to the run folder, to path. */
void es_layout_unit_dir(const struct es_layout *layout, const struct es_grid *grid,
                        struct es_unit unit, struct es_buf *path);

#endif
