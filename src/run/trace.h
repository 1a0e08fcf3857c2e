/* Traces: what evaluations took, as a CSV with the columns checkpoint, layer, task and seconds (or
 * evaluation_time_s, as `evalsweep export` calls it). */
#ifndef ES_RUN_TRACE_H
#define ES_RUN_TRACE_H

#include "evalsweep/error.h"
#include "evalsweep/grid.h"

/* Reads the seconds of the grid's units into unit_s [n_units], NaN for those that the trace does
 * not have. Rows outside the grid are counted (ret_n_outside may be NULL). Errors name file and
 * line. */
int es_trace_read(const char *path, const struct es_grid *grid, float *unit_s,
                  uint32_t *ret_n_outside, struct es_err *err);

#endif
