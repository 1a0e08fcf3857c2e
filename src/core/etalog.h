/* How good a forecast was: what was expected at moments of a run, compared when its end is known.
 *
 * Keeps moments evenly spaced in time, a bounded number of them however long the run is. Pure.
 */
#ifndef EVALSWEEP_CORE_ETALOG_H
#define EVALSWEEP_CORE_ETALOG_H

#include <stdbool.h>
#include <stddef.h>

#define ES_ETA_MOMENTS 4096

struct es_eta_log {
    struct {
        double at_s, eta_s;
    } moments[ES_ETA_MOMENTS];
    size_t n;
    double interval_s; /* between moments, from when there were too many */
};

/* Whether a moment is due: what is expected now is worth finding out. */
bool es_eta_log_is_due(const struct es_eta_log *log, double now_s);

void es_eta_log_add(struct es_eta_log *log, double now_s, double eta_s);

/* The share of moments, from `from` (0..1) of the whole time on, whose forecast was within `part`
 * of the time that was left indeed; NaN without moments. */
double es_eta_log_share(const struct es_eta_log *log, double end_s, double from, double part);

#endif
