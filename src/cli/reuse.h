/* Results of other runs: those that `adopt` names, and those of the job's run.reuse. */
#ifndef ES_CLI_REUSE_H
#define ES_CLI_REUSE_H

#include "cli/target.h"

#include <stdbool.h>

struct es_reuse_counts {
    uint32_t n_taken; /* or that could be, if it is only looked */
    uint32_t n_done;  /* done here already */
    uint32_t n_nothing;
};

/* Adopts the finished units of the run folder source_dir that the table (this run's, scanned)
 * does not have done; they are done in the table then. Without take it is only looked what
 * there is. With it, the caller holds the lock. On failure counts are those of what was taken
 * by then. */
int es_reuse_source(const struct es_target *target, const char *source_dir, struct es_units *units,
                    bool take, bool accept_change, struct es_reuse_counts *ret_counts,
                    struct es_err *err);

/* ES_ERR_USAGE: one of run.reuse is not there; the error names it. */
int es_reuse_check(const struct es_target *target, struct es_err *err);

/* Adopts from all of run.reuse, and says (not if quiet) how many from each. */
int es_reuse_take_all(const struct es_target *target, bool accept_change, bool quiet,
                      struct es_err *err);

/* How many units each of run.reuse would save, in ret_n_units [n_reuse]; marked done in the
 * table. */
int es_reuse_look_all(const struct es_target *target, struct es_units *units, uint32_t *ret_n_units,
                      struct es_err *err);

#endif
