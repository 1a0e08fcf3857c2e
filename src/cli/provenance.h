/* Where the results of a store come from: its root attributes. What cannot be told is left out, and
 * nothing of it fails a run but memory.
 */
#ifndef ES_CLI_PROVENANCE_H
#define ES_CLI_PROVENANCE_H

#include "cli/target.h"
#include "core/buf.h"
#include "evalsweep/store.h"

#define ES_PROVENANCE_MAX 24

struct es_provenance {
    struct es_buf versions; /* JSON */
    char *job_text;         /* of the job as run; NULL for an old tree */
    size_t job_text_n;
    struct es_buf adopted;          /* the run folders that results were adopted from */
    struct es_buf starts;           /* of the run, a JSON object a line */
    char *texts[ES_PROVENANCE_MAX]; /* [n_texts]: owned values */
    size_t n_texts;
    struct es_attribute attributes[ES_PROVENANCE_MAX]; /* [n]; borrows from here and the target */
    size_t n;
    size_t n_own; /* the first of them, which tell of this process, and not of the run */
};

/* This process: versions, host, user, command, working folder and its git commit, Slurm job; and,
 * unless target is NULL, the run. */
int es_provenance_init(struct es_provenance *provenance, const struct es_target *target,
                       struct es_err *err);

/* Notes this start of the run in its folder. */
void es_provenance_note_start(const struct es_provenance *provenance,
                              const struct es_target *target);

/* Adds the run's history: where results were adopted from, if they were, and its starts. */
int es_provenance_add_history(struct es_provenance *provenance, const struct es_target *target,
                              struct es_err *err);
void es_provenance_add(struct es_provenance *provenance, const char *name, const char *value);
void es_provenance_clear(struct es_provenance *provenance);

#endif
