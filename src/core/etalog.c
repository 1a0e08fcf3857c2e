#include "core/etalog.h"

#include <math.h>

bool es_eta_log_is_due(const struct es_eta_log *log, double now_s)
{
    return log->n == 0 || now_s >= log->moments[log->n - 1].at_s + log->interval_s;
}

/* Drops every second moment; those to come are as far apart as the others are then. */
static void thin_out(struct es_eta_log *log)
{
    log->interval_s = 2 * log->moments[log->n - 1].at_s / (double)log->n;
    for (size_t i = 0; 2 * i < log->n; i++)
        log->moments[i] = log->moments[2 * i];
    log->n = (log->n + 1) / 2;
}

void es_eta_log_add(struct es_eta_log *log, double now_s, double eta_s)
{
    if (log->n == ES_ETA_MOMENTS)
        thin_out(log);
    log->moments[log->n].at_s = now_s;
    log->moments[log->n++].eta_s = eta_s;
}

double es_eta_log_share(const struct es_eta_log *log, double end_s, double from, double part)
{
    double all_s = 0, good_s = 0;
    for (size_t i = 0; i < log->n; i++) {
        double at_s = log->moments[i].at_s, left_s = end_s - at_s;
        double until_s = i + 1 < log->n ? log->moments[i + 1].at_s : end_s;
        if (at_s < from * end_s)
            continue;
        all_s += until_s - at_s;
        if (fabs(log->moments[i].eta_s - left_s) <= part * left_s)
            good_s += until_s - at_s;
    }
    return all_s > 0 ? good_s / all_s : (double)NAN;
}
