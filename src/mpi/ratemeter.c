#include "mpi/ratemeter.h"

#include <math.h>

void es_ratemeter_add(struct es_ratemeter *meter, double now_s, uint64_t count)
{
    size_t n = meter->n_samples;
    meter->last_s = now_s;
    meter->last_count = count;
    if (n && now_s - meter->at_s[(n - 1) % ES_RATEMETER_SAMPLES] < ES_RATEMETER_SPACING_S)
        return;
    meter->at_s[n % ES_RATEMETER_SAMPLES] = now_s;
    meter->count[n % ES_RATEMETER_SAMPLES] = count;
    meter->n_samples = n + 1;
}

double es_ratemeter_per_s(const struct es_ratemeter *meter)
{
    size_t n = meter->n_samples;
    if (n == 0)
        return (double)NAN;
    size_t oldest = n > ES_RATEMETER_SAMPLES ? n % ES_RATEMETER_SAMPLES : 0;
    double elapsed_s = meter->last_s - meter->at_s[oldest];
    return elapsed_s > 0 ? (double)(meter->last_count - meter->count[oldest]) / elapsed_s
                         : (double)NAN;
}
