#include "cli/merge.h"

#include "cli/provenance.h"
#include "cli/say.h"
#include "cli/target.h"
#include "core/gridunion.h"
#include "core/mem.h"
#include "core/num.h"
#include "evalsweep/store.h"
#include "run/starts.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char doing[] = "merging runs";

struct run {
    char *name;
    struct es_target target;
};

/* What is known of a run beside its results. */
enum { N_RUN_ATTRIBUTES = 4 };

struct merging {
    struct run *runs; /* [n_runs] */
    uint32_t n_runs;
    struct es_grid *axes;

    /* of the run that is written at the moment */
    struct es_grid *grid; /* its units on the axes of all */
    struct es_units *units;
    char *texts[N_RUN_ATTRIBUTES];
    struct es_attribute attributes[N_RUN_ATTRIBUTES];
};

/* An error of one of several runs says of which. */
static int of_run(const char *name, const struct es_err *fault, struct es_err *err)
{
    char text[1024];
    es_err_text(fault, text, sizeof text);
    return es_err_set(err, fault->code, doing, name, "%s", text);
}

/* The last part of the folder's path, whatever way it was named; NULL: no memory. */
static char *folder_name(const char *run_dir)
{
    char *path = realpath(run_dir, NULL);
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *name = es_mem_strdup(slash && slash[1] ? slash + 1 : run_dir);
    free(path);
    return name;
}

/* The name that the operand gives the run, NULL for none. What is there under all of it is no name
 * with a path behind. */
static char *take_name(const char *operand, const char **ret_path)
{
    const char *equals = strchr(operand, '=');
    *ret_path = operand;
    if (!equals || access(operand, F_OK) == 0)
        return NULL;
    *ret_path = equals + 1;
    return es_mem_strndup(operand, (size_t)(equals - operand));
}

static int open_run(const char *operand, const struct es_opt_list *sets, struct run *run,
                    struct es_err *err)
{
    const char *path, *wrong;
    struct es_err fault = {0};
    run->name = take_name(operand, &path);
    if (!run->name && path != operand)
        return es_err_nomem(err, doing);
    if (es_target_open(path, sets, &run->target, &fault) < 0)
        return of_run(operand, &fault, err);
    if (!run->name)
        run->name = run->target.job ? es_mem_strdup(run->target.job->run.id)
                                    : folder_name(run->target.run_dir);
    if (!run->name)
        return es_err_nomem(err, doing);
    wrong = es_name_fault(run->name);
    return wrong ? es_err_set(err, ES_ERR_USAGE, doing, operand, "the run's name %s", wrong) : 0;
}

static int check_names(const struct merging *merging, struct es_err *err)
{
    for (uint32_t i = 0; i < merging->n_runs; i++)
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(merging->runs[i].name, merging->runs[k].name) == 0)
                return es_err_set(err, ES_ERR_USAGE, doing, merging->runs[i].name,
                                  "%s and %s are both called so; NAME=%s gives one another name",
                                  merging->runs[k].target.run_dir, merging->runs[i].target.run_dir,
                                  merging->runs[i].target.run_dir);
    return 0;
}

static int open_runs(const struct es_opt_list *operands, const struct es_opt_list *sets,
                     struct merging *merging, struct es_err *err)
{
    int rc = 0;
    merging->runs = es_mem_calloc(operands->n, sizeof *merging->runs);
    const struct es_grid **grids = es_mem_calloc(operands->n, sizeof *grids);
    if (!merging->runs || !grids)
        rc = es_err_nomem(err, doing);
    for (size_t i = 0; i < operands->n && rc == 0; i++) {
        rc = open_run(operands->values[i], sets, &merging->runs[merging->n_runs++], err);
        if (rc == 0)
            grids[i] = merging->runs[i].target.grid;
    }
    if (rc == 0)
        rc = check_names(merging, err);
    if (rc == 0)
        rc = es_grid_union(grids, merging->n_runs, &merging->axes, err);
    free(grids);
    return rc;
}

static void unload(struct merging *merging)
{
    for (int i = 0; i < N_RUN_ATTRIBUTES; i++) {
        free(merging->texts[i]);
        merging->texts[i] = NULL;
    }
    es_units_free(merging->units);
    merging->units = NULL;
    es_grid_free(merging->grid);
    merging->grid = NULL;
}

static char *read_starts(const char *run_dir)
{
    struct es_buf text = {0};
    char *starts = NULL;
    if (es_starts_read(run_dir, &text, NULL) == 0 && text.len)
        starts = es_mem_strdup(text.data);
    es_buf_clear(&text);
    return starts;
}

static char *read_versions(const char *run_dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/" ES_STORE_NAME, run_dir);
    return n > 0 && (size_t)n < sizeof path ? es_store_read_attribute(path, "versions") : NULL;
}

/* Where the run is and how it came about, as far as it can be told. */
static int load_attributes(struct merging *merging, const struct es_target *target,
                           struct es_store_run *run, struct es_err *err)
{
    static const char *const names[N_RUN_ATTRIBUTES] = {"run_dir", "job", "starts", "versions"};
    size_t job_n, n = 0;
    if (target->job && es_job_text(target->job, &merging->texts[1], &job_n, err) < 0)
        return ES_ERR_NOMEM;
    merging->texts[0] = realpath(target->run_dir, NULL);
    merging->texts[2] = read_starts(target->run_dir);
    merging->texts[3] = read_versions(target->run_dir);
    for (int i = 0; i < N_RUN_ATTRIBUTES; i++)
        if (merging->texts[i])
            merging->attributes[n++] = (struct es_attribute){names[i], merging->texts[i]};
    run->attributes = merging->attributes;
    run->n_attributes = n;
    return 0;
}

static int scan(struct merging *merging, struct es_target *target, struct es_scan_summary *summary,
                struct es_err *err)
{
    int rc = es_grid_spread(target->grid, merging->axes, &merging->grid, err);
    if (rc == 0) {
        target->grid = merging->grid; /* the rest goes by name */
        rc = es_target_scan(target, true, &merging->units, summary, err);
    }
    return rc;
}

static int load(void *context, uint32_t index, struct es_store_run *ret_run, struct es_err *err)
{
    struct merging *merging = context;
    struct run *run = &merging->runs[index];
    struct es_scan_summary summary = {0};
    struct es_err fault = {0};
    unload(merging);
    int rc = scan(merging, &run->target, &summary, &fault);
    if (rc == 0)
        rc = load_attributes(merging, &run->target, ret_run, &fault);
    if (rc < 0)
        return of_run(run->name, &fault, err);
    const struct es_counts counts = es_units_count(merging->units);
    es_say("%s: %u units done, %u pending, %u failed: %s", run->name, counts.done, counts.pending,
           counts.failed, run->target.run_dir);
    es_target_say_findings(&run->target, &summary);
    ret_run->units = merging->units;
    return 0;
}

static int write_merge(const char *into, struct merging *merging, struct es_err *err)
{
    struct es_provenance provenance;
    const char **names = es_mem_calloc(merging->n_runs, sizeof *names);
    int rc = names ? 0 : es_err_nomem(err, doing);
    for (uint32_t i = 0; i < merging->n_runs && rc == 0; i++)
        names[i] = merging->runs[i].name;
    if (rc == 0) {
        rc = es_provenance_init(&provenance, NULL, err);
        const struct es_store_merge request = {.path = into,
                                               .attributes = provenance.attributes,
                                               .n_attributes = provenance.n,
                                               .grid = merging->axes,
                                               .runs = names,
                                               .n_runs = merging->n_runs,
                                               .load = load,
                                               .context = merging};
        if (rc == 0)
            rc = es_store_merge(&request, err);
        es_provenance_clear(&provenance);
    }
    free(names);
    return rc;
}

/* A run's own store is not to be taken for a target: the run would read its markers from then on.
 */
static int check_into(const char *into, struct es_err *err)
{
    const char *slash = strrchr(into, '/');
    if (strcmp(slash ? slash + 1 : into, ES_STORE_NAME) == 0)
        return es_err_set(err, ES_ERR_USAGE, doing, into, "a run's own store has this name");
    return es_store_check_merge(into, err);
}

int es_merge(const char *into, const struct es_opt_list *operands, const struct es_opt_list *sets,
             struct es_err *err)
{
    struct merging merging = {0};
    int rc = check_into(into, err);
    if (rc == 0)
        rc = open_runs(operands, sets, &merging, err);
    if (rc == 0)
        rc = write_merge(into, &merging, err);
    if (rc == 0)
        es_say("%u runs, %u checkpoints x %u layers x %u tasks: %s", merging.n_runs,
               es_grid_n_checkpoints(merging.axes), es_grid_n_layers(merging.axes),
               es_grid_n_tasks(merging.axes), into);
    unload(&merging);
    for (uint32_t i = 0; i < merging.n_runs; i++) {
        es_target_close(&merging.runs[i].target);
        free(merging.runs[i].name);
    }
    free(merging.runs);
    es_grid_free(merging.axes);
    return rc;
}
