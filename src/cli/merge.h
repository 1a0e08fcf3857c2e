/* Several runs as one file, with a dimension `run`. */
#ifndef ES_CLI_MERGE_H
#define ES_CLI_MERGE_H

#include "cli/opt.h"
#include "evalsweep/error.h"

/* Writes the results of the runs to the file `into`; each operand is RUN_DIR, JOB or NAME=either. A
 * run is called as its RUN_ID, an old tree as its folder. What there is of each is said. Nothing
 * in the runs is written. */
int es_merge(const char *into, const struct es_opt_list *operands, const struct es_opt_list *sets,
             struct es_err *err);

#endif
