/* Every metric of every finished unit as one table, in CSV or JSON lines.
 *
 * Long: a line for each metric of each done unit, in the order of unit ids,
 *
 *     checkpoint,step,layer,task,status,split,subset,metric,value,main_score,evaluation_time_s
 *
 * where a done unit without metrics has one line with the metric `main_score` and no split and
 * subset. What `main_score` and `evaluation_time_s` say of a unit stands on each of its lines, so
 * that the table also serves as a trace of what units cost.
 *
 * Wide: a line for each done unit,
 *
 *     checkpoint,step,layer,task,status,main_score,evaluation_time_s,test/default/accuracy,...
 *
 * with a column `split/subset/metric` for each metric that any of them has, in the order of first
 * use. Its name does not depend on what else is in the table: a metric with neither split nor
 * subset has its name alone, a slash or backslash within a split or subset has a backslash before
 * it, and where a metric's name alone is a column's already, it is `//metric`, or, where that is
 * one too, `////metric`.
 *
 * CSV: quoted as RFC 4180 has it, lines end with a newline alone, a missing number is an empty
 * field. JSON lines: an object a line, all with the same keys; a missing number, and a split or
 * subset that has no name, is null.
 *
 * Pure: the bytes go to the caller. Threads: none of its own.
 */
#ifndef EVALSWEEP_EXPORT_H
#define EVALSWEEP_EXPORT_H

#include "evalsweep/units.h"

#include <stdbool.h>

/* The name of the metric that is the unit's own score. */
#define ES_EXPORT_MAIN_SCORE "main_score"

/* How a line is written. */
enum es_export_format { ES_EXPORT_CSV, ES_EXPORT_JSONL };

/* All zero: the long CSV. */
struct es_export {
    enum es_export_format format;
    bool is_wide;
    /* Only metrics of these names; none named: all. `main_score` is the unit's own: the long table
     * has a line for it, with neither split nor subset; the wide one has it in any case. */
    const char *const *metrics; /* [n_metrics] */
    size_t n_metrics;
};

/* Takes the next n bytes, whole lines. Negative: it cannot, and the export ends. */
typedef int es_export_write(void *ctx, const char *bytes, size_t n);

/* Passes the table to `write` in pieces of some 64 KiB. ES_ERR_USAGE: units have metrics, but none
 * has one of the name that was asked for. ES_ERR_IO: the write failed. */
int es_export_table(const struct es_export *request, struct es_units *units, es_export_write *write,
                    void *ctx, struct es_err *err);

#endif
