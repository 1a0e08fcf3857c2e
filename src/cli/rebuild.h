/* The store made anew from the markers alone: what one says that is there counts for nothing. */
#ifndef ES_CLI_REBUILD_H
#define ES_CLI_REBUILD_H

#include "cli/target.h"

/* Scans into units (just created), and writes `output`, or the run's own store (NULL; the
 * caller holds the lock). */
int es_rebuild(const struct es_target *target, const char *output, struct es_units *units,
               struct es_scan_summary *ret_summary, struct es_err *err);

#endif
