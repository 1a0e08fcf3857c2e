/* Where the results of a store come from: its root attributes. */
#ifndef ES_CLI_PROVENANCE_H
#define ES_CLI_PROVENANCE_H

#include "cli/target.h"
#include "core/buf.h"
#include "evalsweep/store.h"

#define ES_PROVENANCE_MAX 8

struct es_provenance {
    struct es_buf versions; /* JSON */
    char *job_text;         /* of the job as run; NULL for an old tree */
    size_t job_text_n;
    struct es_buf adopted; /* the run folders that results were adopted from */
    struct es_attribute attributes[ES_PROVENANCE_MAX]; /* [n]; borrows from here and the target */
    size_t n;
};

int es_provenance_init(struct es_provenance *provenance, const struct es_target *target,
                       struct es_err *err);
/* Adds where the run's results were adopted from, if they were. */
int es_provenance_add_adopted(struct es_provenance *provenance, const struct es_target *target,
                              struct es_err *err);
void es_provenance_add(struct es_provenance *provenance, const char *name, const char *value);
void es_provenance_clear(struct es_provenance *provenance);

#endif
