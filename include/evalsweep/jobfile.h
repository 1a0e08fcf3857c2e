/* Job files: what a sweep is, in JSON.
 *
 *     struct es_job *job;
 *     if (es_job_load("demo.json", &overrides, &job, &err) < 0) ...
 *     es_job_free(job);
 *
 * Errors (ES_ERR_USAGE, ES_ERR_PARSE) name file, line, JSON path and what was expected.
 * Threads: a loaded job is never changed, so any.
 */
#ifndef EVALSWEEP_JOBFILE_H
#define EVALSWEEP_JOBFILE_H

#include "evalsweep/error.h"
#include "evalsweep/grid.h"
#include "evalsweep/sched.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How an evaluator is run; docs/evaluator-protocol.md. */
enum es_evaluator_mode { ES_EVALUATOR_ONE_SHOT, ES_EVALUATOR_PERSISTENT, ES_EVALUATOR_NULL };

/* A variable of the evaluator's environment. */
struct es_env_var {
    char *name;
    char *value;
};

/* A job, with the defaults where the file says nothing. All of it is owned by the job, and
 * allocated. */
struct es_job {
    char *path; /* the file it was read from */
    struct {
        char *root;
        char *id;
        bool resume;
        bool fsync;
        char **reuse; /* [n_reuse] ids of other runs under the same root */
        size_t n_reuse;
    } run;
    char *layout; /* relative to the run folder, with {checkpoint}, {layer} and {task} */
    struct es_grid *grid;
    char *exclude; /* the grid's exclusions as they stand in the file, a JSON list; NULL: none */
    struct {
        enum es_evaluator_mode mode;
        char **command; /* [n_command], then NULL */
        size_t n_command;
        struct es_env_var *env; /* [n_env], sorted by name */
        size_t n_env;
        double timeout_s; /* of a unit; 0: none; NaN: "auto" */
        uint32_t retries;
        bool require_score;
        bool null_markers; /* mode null: write markers */
        double null_seconds;
    } evaluator;
    struct {
        uint32_t gpus_per_worker;
        uint32_t workers_per_gpu;
        bool coordinator_works;
    } resources;
    struct {
        enum es_policy policy;
        double checkpoint_load_s; /* NaN: not given */
        double pass_share;
        double *task_cost_s; /* [n_tasks], NaN where not given */
    } schedule;
    struct {
        double time_limit_s; /* 0: none but the allocation's */
        double grace_s;
        double heartbeat_s;
        double outage_s;
        uint32_t max_consecutive_failures; /* 0: nothing is ever suspected */
    } limits;
};

/* What stands above the file: `--set a.b=JSON` above the environment's RUN_ID above the file. Where
 * only a string can stand (run.id=2026, evaluator.mode=null), the quotes may be left out;
 * elsewhere, what is no JSON and does not begin as a list, an object or a string is a string
 * (grid.layers=21-24). */
struct es_job_overrides {
    const char *const *sets; /* [n_sets] "a.b=JSON" */
    size_t n_sets;
    const char *run_id; /* NULL or "": not set */
};

/* Reads a job file. overrides may be NULL. Relative names in the file (tasks.txt) are relative to
 * the file's folder. Free with es_job_free. */
int es_job_load(const char *path, const struct es_job_overrides *overrides, struct es_job **ret_job,
                struct es_err *err);

/* The same from a text, for example what es_job_text wrote. `path` is for errors and for the folder
 * of the files that it names. */
int es_job_parse(const char *text, size_t n, const char *path,
                 const struct es_job_overrides *overrides, struct es_job **ret_job,
                 struct es_err *err);

/* NULL is fine. */
void es_job_free(struct es_job *job);

/* The job as run, as a JSON text that needs no other file: lists written out, overrides applied.
 * Parsing it gives an equal job. Allocated; free with free(). */
int es_job_text(const struct es_job *job, char **ret_text, size_t *ret_n, struct es_err *err);

/* The run folder, root/id; allocated, free with free(). NULL: out of memory. */
char *es_job_run_dir(const struct es_job *job);

/* Whether evaluator command, mode, environment or layout differ between two jobs, with a line for
 * each difference ("evaluator.command: was [...], is [...]\n") in ret_text (may be NULL),
 * allocated, NULL when they do not differ. 1: they differ; 0: they do not; ES_ERR_NOMEM. */
int es_job_differs(const struct es_job *before, const struct es_job *now, char **ret_text);

#endif
