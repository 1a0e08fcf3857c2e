#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/rebuild.h"
#include "cli/reuse.h"
#include "cli/say.h"
#include "evalsweep/store.h"
#include "run/folder.h"
#include "run/keeper.h"

#include <stdbool.h>

struct adopt_options {
    const char *operands[2]; /* RUN_DIR, JOB */
    struct es_opt_list sets;
    bool dry_run;
    bool accept_change;
};

/* What is held while the run is changed. */
struct hold {
    struct es_lock *lock;
    struct es_keeper *keeper;
};

/* A run of a job file may begin with what others have; a run folder has to be there. */
static int take_hold(const struct es_target *target, struct hold *hold, struct es_err *err)
{
    int rc = target->job ? es_folder_make(target->run_dir, err) : 0;
    if (rc == 0)
        rc = es_target_lock(target, &hold->lock, err);
    if (rc == 0)
        rc = es_keeper_start(hold->lock, ES_LOCK_BEAT_S, &hold->keeper, err);
    return rc;
}

static int scan(const struct es_target *target, struct es_units **ret_units, struct es_err *err)
{
    struct es_scan_options options = {.not_before_ns = target->not_before_ns};
    struct es_scan_summary summary;
    int rc = es_units_create(target->grid, ret_units, err);
    return rc < 0 ? rc
                  : es_scan(target->run_dir, target->layout, &options, *ret_units, &summary, err);
}

/* The store anew, so that it and the markers agree whatever else is done with the run. */
static int write_store(const struct es_target *target, struct es_err *err)
{
    struct es_units *units = NULL;
    struct es_scan_summary summary;
    int rc = es_units_create(target->grid, &units, err);
    if (rc == 0)
        rc = es_rebuild(target, NULL, units, &summary, err);
    if (rc == 0) {
        struct es_counts counts = es_units_count(units);
        es_target_say_findings(target, &summary);
        es_say("%u units done, %u pending, %u failed: %s/" ES_STORE_NAME, counts.done,
               counts.pending, counts.failed, target->run_dir);
    }
    es_units_free(units);
    return rc;
}

static void say_counts(const struct adopt_options *options, const struct es_reuse_counts *counts)
{
    es_say("%u unit%s %s from %s; %u done here already, %u done in neither", counts->n_taken,
           counts->n_taken == 1 ? "" : "s", options->dry_run ? "to adopt" : "adopted",
           options->operands[0], counts->n_done, counts->n_nothing);
}

static int adopt(const struct adopt_options *options)
{
    struct es_err err = {0};
    struct es_target target = {0};
    struct hold hold = {0};
    struct es_units *units = NULL;
    struct es_reuse_counts counts = {0};
    int rc = es_target_open(options->operands[1], &options->sets, &target, &err);
    if (rc == 0 && !options->dry_run)
        rc = take_hold(&target, &hold, &err);
    if (rc == 0)
        rc = scan(&target, &units, &err);
    if (rc == 0) {
        rc = es_reuse_source(&target, options->operands[0], units, !options->dry_run,
                             options->accept_change, &counts, &err);
        if (rc == 0 || counts.n_taken)
            say_counts(options, &counts);
    }
    if (rc == 0 && !options->dry_run)
        rc = write_store(&target, &err);
    es_keeper_stop(hold.keeper);
    es_lock_release(hold.lock);
    es_units_free(units);
    es_target_close(&target);
    return rc < 0 ? es_say_error(&err) : ES_EXIT_OK;
}

int es_cmd_adopt(int argc, char **argv)
{
    struct adopt_options options = {0};
    const struct es_opt table[] = {
        {"dry-run", NULL, "only tell what there is to adopt", &options.dry_run, NULL, NULL},
        {"accept-change", NULL, "although evaluator or layout of that run are others",
         &options.accept_change, NULL, NULL},
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &options.sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep adopt [OPTION]... RUN_DIR JOB",
        .summary =
            "Lets the units that another run of the same layout has finished count in the run\n"
            "of JOB: their markers are linked into it (or copied), what is beside them is\n"
            "copied, and results.h5 is made anew. What is done here stays as it is, and nothing\n"
            "in RUN_DIR is changed. It may be running, and may be what array scripts left.\n"
            "Interrupted, do it again.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 2,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, options.operands);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK)
        exit_code = adopt(&options);
    es_opt_list_clear(&options.sets);
    return exit_code;
}
