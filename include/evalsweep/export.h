/* Every metric of every finished unit as one long CSV table.
 *
 *     checkpoint,step,layer,task,status,split,subset,metric,value,main_score,evaluation_time_s
 *
 * One line for each metric of each done unit, in the order of unit ids; a done unit without metrics
 * has one line with the metric `main_score` and no split and subset. Fields are quoted as RFC 4180
 * has it, lines end with a newline alone, and a missing number is an empty field. What
 * `evaluation_time_s` says of a unit stands on each of its lines, so that the table also serves as
 * a trace of what units cost.
 *
 * Pure: the bytes go to the caller. Threads: none of its own.
 */
#ifndef EVALSWEEP_EXPORT_H
#define EVALSWEEP_EXPORT_H

#include "evalsweep/units.h"

/* Takes the next n bytes, whole lines. Negative: it cannot, and the export ends. */
typedef int es_export_write(void *ctx, const char *bytes, size_t n);

/* Passes the table to `write` in pieces of some 64 KiB. ES_ERR_IO: the write failed. */
int es_export_csv(struct es_units *units, es_export_write *write, void *ctx, struct es_err *err);

#endif
