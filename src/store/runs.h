/* What is known of each run of a file of several: texts over the dimension `run`, gathered while
 * the runs are put and written at the end.
 */
#ifndef ES_STORE_RUNS_H
#define ES_STORE_RUNS_H

#include "core/strtab.h"
#include "evalsweep/store.h"
#include "store/h5.h"

struct es_runs_attributes {
    uint32_t n_runs;
    struct es_strtab names;
    char **values; /* [names.n * n_runs]; NULL: this run has none */
    size_t values_cap;
};

/* Adds a run's own attributes and what its evaluators say of themselves. */
void es_runs_attributes_add(struct es_h5 *h5, struct es_runs_attributes *attributes, uint32_t run,
                            const struct es_store_run *values);

/* Writes a variable for each; run_scale is that of the dimension. */
void es_runs_attributes_put(struct es_h5 *h5, hid_t file,
                            const struct es_runs_attributes *attributes, hid_t run_scale);
void es_runs_attributes_clear(struct es_runs_attributes *attributes);

#endif
