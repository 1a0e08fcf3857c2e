/* Where a failed unit tells why. */
#ifndef ES_RUN_UNITLOG_H
#define ES_RUN_UNITLOG_H

#include "run/layout.h"

/* Appends the path, relative to the run folder, of a unit's log.txt, or of its failed.json where
 * there is no log. False, and nothing appended: neither is there. */
bool es_unit_log_find(const char *run_dir, const struct es_layout *layout,
                      const struct es_grid *grid, uint32_t unit_id, struct es_buf *path);

#endif
