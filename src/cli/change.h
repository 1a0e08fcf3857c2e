/* Whether a job is the one that a run folder was started with, as far as its results depend
 * on it. */
#ifndef ES_CLI_CHANGE_H
#define ES_CLI_CHANGE_H

#include "evalsweep/jobfile.h"

#include <stdbool.h>

/* Compares with the job saved in run_dir; one without is an old tree, and fine. ES_ERR_USAGE
 * if evaluator or layout differ; how they do is said. With accept_change that is only said.
 * `doing` and `why` are the error's. */
int es_change_check(const char *run_dir, const struct es_job *job, bool accept_change,
                    const char *doing, const char *why, struct es_err *err);

#endif
