/* progress.csv: one header line, one line for each finished unit.
 *
 *     es_progress_open(run_dir, &progress, &err);
 *     es_progress_add(progress, grid, unit_id, ES_STATUS_DONE, &result);   // in memory
 *     es_progress_flush(progress, &err);                                   // now and then
 *     es_progress_close(progress);                  // what was not flushed is dropped
 *
 * A fresh file gets our header. In one that is there its header is kept: columns known by name are
 * filled, others left empty; where none is known nothing is written. The file is made by the first
 * flush that has lines. Each flush is one O_APPEND write of whole lines; after a torn last line a
 * newline comes first.
 *
 * Threads: one owner at a time.
 */
#ifndef ES_RUN_PROGRESS_H
#define ES_RUN_PROGRESS_H

#include "evalsweep/error.h"
#include "evalsweep/grid.h"
#include "evalsweep/result.h"
#include "evalsweep/units.h"

struct es_progress;

int es_progress_open(const char *run_dir, struct es_progress **ret_progress, struct es_err *err);
void es_progress_close(struct es_progress *progress);

/* Sets ret_has_line[unit] for every unit whose line in the file that is there tells of what the
 * table has: finished at the same second, or at what is no time (another program has rewritten it).
 * Others are left as they are. */
int es_progress_mark(const struct es_progress *progress, struct es_units *units,
                     uint8_t *ret_has_line, struct es_err *err);

/* Adds the line of a finished unit to what flush writes. */
void es_progress_add(struct es_progress *progress, const struct es_grid *grid, uint32_t unit_id,
                     enum es_status status, const struct es_result *result);

/* Writes the lines added. After a failure (a full disk) those not written are kept for the next. */
int es_progress_flush(struct es_progress *progress, struct es_err *err);

#endif
