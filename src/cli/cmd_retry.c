#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "cli/target.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct retry_options {
    const char *path;
    struct es_opt_list sets, checkpoints, layers, tasks;
    bool done;
};

static int select_units(const struct retry_options *options, const struct es_grid *grid,
                        struct es_selection *selection, struct es_err *err)
{
    const struct {
        const char *axis;
        const struct es_opt_list *values;
    } axes[] = {{"checkpoint", &options->checkpoints},
                {"layer", &options->layers},
                {"task", &options->tasks}};
    bool has_any = false;
    for (size_t a = 0; a < 3; a++)
        for (size_t i = 0; i < axes[a].values->n; i++) {
            int rc =
                es_selection_add(selection, grid, axes[a].axis, axes[a].values->values[i], err);
            if (rc < 0)
                return rc;
            has_any = true;
        }
    if (options->done && !has_any)
        return es_err_set(
            err, ES_ERR_USAGE, "clearing units", NULL,
            "--done needs --checkpoint, --layer or --task: clearing everything that is "
            "done is `run --no-resume`");
    return 0;
}

static int clear_units(const struct retry_options *options, struct es_target *target,
                       uint32_t *ret_n, struct es_err *err)
{
    struct es_selection selection = {0};
    struct es_units *units = NULL;
    struct es_scan_summary summary;
    struct es_buf path = {0};
    int run_dir_fd = -1;
    uint32_t n = 0;
    enum es_status wanted = options->done ? ES_STATUS_DONE : ES_STATUS_FAILED;
    int rc = select_units(options, target->grid, &selection, err);
    if (rc == 0)
        rc = es_target_scan(target, true, &units, &summary, err);
    if (rc == 0) {
        run_dir_fd = open(target->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (run_dir_fd < 0)
            rc = es_err_sys(err, errno, "opening the run folder", target->run_dir);
    }
    for (uint32_t id = 0; rc == 0 && id < es_grid_n_units(target->grid); id++) {
        if (es_units_columns(units).status[id] != (int8_t)wanted ||
            !es_selection_has(&selection, es_grid_unit(target->grid, id)))
            continue;
        rc = es_target_clear_unit(target, run_dir_fd, id, options->done, &path, err);
        n += rc == 0;
    }
    es_fd_close(&run_dir_fd);
    es_buf_clear(&path);
    es_units_free(units);
    es_selection_clear(&selection);
    *ret_n = n;
    return rc;
}

static int retry(const struct retry_options *options)
{
    struct es_err err = {0};
    struct es_target target = {0};
    struct es_lock *lock = NULL; /* a driver at work counts what it has seen done or failed */
    uint32_t n = 0;
    int rc = es_target_open(options->path, &options->sets, &target, &err);
    if (rc == 0)
        rc = es_target_lock(&target, &lock, &err);
    if (rc == 0)
        rc = clear_units(options, &target, &n, &err);
    es_lock_release(lock);
    if (rc == 0)
        es_say("%u %s unit%s pending again", n, options->done ? "finished" : "failed",
               n == 1 ? " is" : "s are");
    es_target_close(&target);
    return rc < 0 ? es_say_error(&err) : ES_EXIT_OK;
}

int es_cmd_retry(int argc, char **argv)
{
    struct retry_options options = {0};
    const struct es_opt table[] = {
        {"checkpoint", "NAME", "only units of this checkpoint (may be repeated)", NULL, NULL,
         &options.checkpoints},
        {"layer", "N", "only units of this layer (may be repeated)", NULL, NULL, &options.layers},
        {"task", "NAME", "only units of this task (may be repeated)", NULL, NULL, &options.tasks},
        {"done", NULL, "clear finished units instead of failed ones", &options.done, NULL, NULL},
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &options.sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep retry [OPTION]... RUN_DIR|JOB",
        .summary =
            "Makes failed units pending again by removing their failed.json, or finished ones\n"
            "(--done) by removing their done.json. The next run evaluates them.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &options.path);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK)
        exit_code = retry(&options);
    es_opt_list_clear(&options.sets);
    es_opt_list_clear(&options.checkpoints);
    es_opt_list_clear(&options.layers);
    es_opt_list_clear(&options.tasks);
    return exit_code;
}
