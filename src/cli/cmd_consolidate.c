#include "cli/commands.h"
#include "cli/merge.h"
#include "cli/opt.h"
#include "cli/rebuild.h"
#include "cli/say.h"
#include "cli/target.h"
#include "evalsweep/store.h"

#include <stdbool.h>

static int consolidate(const char *path, const char *output, const struct es_opt_list *sets)
{
    struct es_err err = {0};
    struct es_target target = {0};
    struct es_units *units = NULL;
    struct es_lock *lock = NULL;
    struct es_scan_summary summary = {0};
    int exit_code = ES_EXIT_OK;
    int rc = es_target_open(path, sets, &target, &err);
    if (rc == 0 && !output) /* the run's own store is what was found while holding the lock */
        rc = es_target_lock(&target, &lock, &err);
    if (rc == 0)
        rc = es_units_create(target.grid, &units, &err);
    if (rc == 0)
        rc = es_rebuild(&target, output, units, &summary, &err);
    es_lock_release(lock);
    if (rc == ES_ERR_BUSY)
        es_say("`evalsweep consolidate -o FILE` writes what is there so far to another file");
    if (rc < 0) {
        exit_code = es_say_error(&err);
    } else {
        struct es_counts counts = es_units_count(units);
        es_target_say_findings(&target, &summary);
        es_say("%u units done, %u pending, %u failed: %s%s%s", counts.done, counts.pending,
               counts.failed, output ? output : target.run_dir, output ? "" : "/",
               output ? "" : ES_STORE_NAME);
    }
    es_units_free(units);
    es_target_close(&target);
    return exit_code;
}

static int merge(const char *into, struct es_opt_list *operands, const struct es_opt_list *sets)
{
    struct es_err err = {0};
    return es_merge(into, operands, sets, &err) < 0 ? es_say_error(&err) : ES_EXIT_OK;
}

/* With --into, all operands are runs. */
static int do_either(const char *output, const char *into, struct es_opt_list *operands,
                     const struct es_opt_list *sets)
{
    if (into && output) {
        es_say("reading the command line: --into: does not go with --output");
        return ES_EXIT_USAGE;
    }
    if (!into && operands->n > 1) {
        es_say("reading the command line: %s: one operand too many (several runs go --into a file)",
               operands->values[1]);
        return ES_EXIT_USAGE;
    }
    return into ? merge(into, operands, sets) : consolidate(operands->values[0], output, sets);
}

int es_cmd_consolidate(int argc, char **argv)
{
    const char *output = NULL, *into = NULL;
    struct es_opt_list sets = {0}, operands = {0};
    const struct es_opt table[] = {
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &sets},
        {"o,output", "FILE", "write there instead of the run's results.h5", NULL, &output, NULL},
        {"into", "FILE", "write the results of several runs there, as one file", NULL, &into, NULL},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep consolidate [OPTION]... [NAME=]RUN_DIR|JOB...",
        .summary = "Rebuilds results.h5 from the markers alone. A run folder that the old array\n"
                   "scripts left needs no job file. With --into, takes the results of any number\n"
                   "of runs and writes them to one file, with a dimension `run` of their names:\n"
                   "the RUN_ID, or NAME. Nothing in the runs is changed then.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
        .operands = &operands,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, NULL);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK)
        exit_code = do_either(output, into, &operands, &sets);
    es_opt_list_clear(&operands);
    es_opt_list_clear(&sets);
    return exit_code;
}
