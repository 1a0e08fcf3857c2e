/* A rate over the last minute, from a count that grows. */
#ifndef ES_MPI_RATEMETER_H
#define ES_MPI_RATEMETER_H

#include <stddef.h>
#include <stdint.h>

#define ES_RATEMETER_SAMPLES 60
#define ES_RATEMETER_SPACING_S 1.0

struct es_ratemeter {
    double at_s[ES_RATEMETER_SAMPLES]; /* a ring of samples, at least the spacing apart */
    uint64_t count[ES_RATEMETER_SAMPLES];
    size_t n_samples; /* taken in all */
    double last_s;
    uint64_t last_count;
};

/* Tells the count at a time. */
void es_ratemeter_add(struct es_ratemeter *meter, double now_s, uint64_t count);

/* Units a second since the oldest sample; NaN before there are two. */
double es_ratemeter_per_s(const struct es_ratemeter *meter);

#endif
