#include "cli/reuse.h"

#include "cli/change.h"
#include "cli/say.h"
#include "core/buf.h"
#include "run/adopt.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DOING "reusing another run's results (run.reuse)"

int es_reuse_source(const struct es_target *target, const char *source_dir, struct es_units *units,
                    bool take, bool accept_change, struct es_reuse_counts *ret_counts,
                    struct es_err *err)
{
    struct es_adopt_config config = {.run_dir = target->run_dir,
                                     .source_dir = source_dir,
                                     .layout = target->layout,
                                     .not_before_ns = target->not_before_ns,
                                     .sync = target->job && target->job->run.fsync};
    struct es_adopt_found found = {0};
    struct es_adopt_counts counts = {0};
    *ret_counts = (struct es_reuse_counts){0};
    int rc = target->job ? es_change_check(source_dir, target->job, accept_change, "adopting units",
                                           "its evaluator or layout is another: --accept-change "
                                           "takes its results all the same",
                                           err)
                         : 0;
    if (rc == 0)
        rc = es_adopt_find(&config, units, &found, err);
    if (rc < 0)
        return rc;
    if (take)
        rc = es_adopt_take(&config, &found, &counts, err);
    else
        counts.n_taken = found.n;
    *ret_counts = (struct es_reuse_counts){.n_taken = counts.n_taken,
                                           .n_done = found.n_done + counts.n_done,
                                           .n_nothing = found.n_nothing + counts.n_nothing};
    es_adopt_found_clear(&found);
    return rc;
}

/* The folder of another run, beside this one's; nothing for this run itself, which a job file that
 * several runs share may name. */
static int put_source_dir(const struct es_target *target, const char *run_id, struct es_buf *dir,
                          struct es_err *err)
{
    const char *run_dir = target->run_dir;
    size_t len = strlen(run_dir);
    es_buf_reset(dir);
    if (strcmp(run_id, target->job->run.id) == 0)
        return 0;
    while (len > 1 && run_dir[len - 1] == '/')
        len--;
    size_t name = len;
    while (name > 0 && run_dir[name - 1] != '/')
        name--;
    size_t name_len = len - name;
    if (name_len <= 2 && strncmp(run_dir + name, "..", name_len) == 0) /* no name */
        es_buf_printf(dir, "%s/../%s", run_dir, run_id);
    else
        es_buf_printf(dir, "%.*s%s", (int)name, run_dir, run_id);
    return dir->failed ? es_err_nomem(err, DOING) : 0;
}

int es_reuse_check(const struct es_target *target, struct es_err *err)
{
    struct es_buf dir = {0};
    struct stat st;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < target->job->run.n_reuse; i++) {
        rc = put_source_dir(target, target->job->run.reuse[i], &dir, err);
        if (rc == 0 && dir.len && stat(dir.data, &st) < 0)
            rc = es_err_set(err, ES_ERR_USAGE, DOING, dir.data, "%s", strerror(errno));
    }
    es_buf_clear(&dir);
    return rc;
}

/* One of run.reuse. */
static int reuse_one(const struct es_target *target, size_t i, struct es_units *units, bool take,
                     bool accept_change, struct es_reuse_counts *ret_counts, struct es_err *err)
{
    struct es_buf dir = {0};
    *ret_counts = (struct es_reuse_counts){0};
    int rc = put_source_dir(target, target->job->run.reuse[i], &dir, err);
    if (rc == 0 && dir.len)
        rc = es_reuse_source(target, dir.data, units, take, accept_change, ret_counts, err);
    es_buf_clear(&dir);
    return rc;
}

int es_reuse_take_all(const struct es_target *target, bool accept_change, bool quiet,
                      struct es_err *err)
{
    struct es_units *units = NULL;
    struct es_scan_summary summary;
    struct es_scan_options options = {.not_before_ns = target->not_before_ns};
    struct es_reuse_counts counts;
    int rc = es_units_create(target->grid, &units, err);
    if (rc == 0)
        rc = es_scan(target->run_dir, target->layout, &options, units, &summary, err);
    for (size_t i = 0; rc == 0 && i < target->job->run.n_reuse; i++) {
        rc = reuse_one(target, i, units, true, accept_change, &counts, err);
        if (counts.n_taken && !quiet)
            es_say("reuse: %u unit%s of run %s adopted", counts.n_taken,
                   counts.n_taken == 1 ? "" : "s", target->job->run.reuse[i]);
    }
    es_units_free(units);
    return rc;
}

int es_reuse_look_all(const struct es_target *target, struct es_units *units, uint32_t *ret_n_units,
                      struct es_err *err)
{
    struct es_reuse_counts counts;
    int rc = es_reuse_check(target, err);
    for (size_t i = 0; rc == 0 && i < target->job->run.n_reuse; i++) {
        rc = reuse_one(target, i, units, false, true, &counts, err);
        if (rc == 0)
            ret_n_units[i] = counts.n_taken;
    }
    return rc;
}
