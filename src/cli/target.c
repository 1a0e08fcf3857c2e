#include "cli/target.h"

#include "cli/say.h"
#include "core/mem.h"
#include "core/num.h"
#include "evalsweep/store.h"
#include "run/folder.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether somebody named results.h5 in place of its folder, or a merge of several. */
static bool is_hdf5(const char *path)
{
    static const char magic[] = "\x89HDF\r\n\x1a\n";
    char bytes[sizeof magic - 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, 0);
    es_fd_close(&fd);
    return n == (ssize_t)sizeof bytes && memcmp(bytes, magic, sizeof bytes) == 0;
}

static int open_job(const char *path, const struct es_opt_list *sets, struct es_target *target,
                    struct es_err *err)
{
    if (is_hdf5(path))
        return es_err_set(err, ES_ERR_USAGE, "opening the job file or run folder", path,
                          "it is an HDF5 file; expected a run folder or its job file");
    struct es_job_overrides overrides = {.run_id = getenv("RUN_ID")};
    if (sets) {
        overrides.sets = sets->values;
        overrides.n_sets = sets->n;
    }
    int rc = es_job_load(path, &overrides, &target->job, err);
    if (rc < 0)
        return rc;
    target->run_dir = es_job_run_dir(target->job);
    return target->run_dir ? 0 : es_err_nomem(err, "opening the job");
}

static int open_run_dir(const char *path, const struct es_opt_list *sets, struct es_target *target,
                        struct es_err *err)
{
    struct es_job_overrides overrides = {0};
    if (sets) {
        overrides.sets = sets->values;
        overrides.n_sets = sets->n;
    }
    target->run_dir = es_mem_strdup(path);
    if (!target->run_dir)
        return es_err_nomem(err, "opening the run folder");
    int rc = es_folder_load_job(path, &overrides, &target->job, err);
    return rc == ES_ERR_NOENT ? es_scan_discover(path, &target->old_grid, err) : rc;
}

int es_target_open(const char *path, const struct es_opt_list *sets, struct es_target *ret_target,
                   struct es_err *err)
{
    struct es_target target = {.not_before_ns = INT64_MIN};
    struct stat st;
    int rc;
    if (stat(path, &st) < 0)
        return es_err_sys(err, errno, "opening the job file or run folder", path);
    rc = S_ISDIR(st.st_mode) ? open_run_dir(path, sets, &target, err)
                             : open_job(path, sets, &target, err);
    if (rc == 0) {
        target.grid = target.job ? target.job->grid : target.old_grid;
        rc = es_layout_create(target.job ? target.job->layout : ES_LAYOUT_DEFAULT, &target.layout,
                              err);
    }
    if (rc == 0)
        rc = es_folder_epoch(target.run_dir, &target.not_before_ns, err);
    if (rc < 0) {
        es_target_close(&target);
        return rc;
    }
    *ret_target = target;
    return 0;
}

int es_target_find(const char *path, const struct es_opt_list *sets, char **ret_run_dir,
                   struct es_err *err)
{
    struct es_target target = {0};
    struct stat st;
    int rc = 0;
    if (stat(path, &st) < 0)
        return es_err_sys(err, errno, "opening the job file or run folder", path);
    if (S_ISDIR(st.st_mode))
        target.run_dir = es_mem_strdup(path);
    else
        rc = open_job(path, sets, &target, err);
    if (rc == 0 && !target.run_dir)
        rc = es_err_nomem(err, "opening the run folder");
    if (rc == 0) {
        *ret_run_dir = target.run_dir;
        target.run_dir = NULL;
    }
    es_target_close(&target);
    return rc;
}

void es_target_close(struct es_target *target)
{
    es_layout_free(target->layout);
    es_grid_free(target->old_grid);
    es_job_free(target->job);
    free(target->run_dir);
    *target = (struct es_target){0};
}

/* What the store knows is only a saving of work: without it the markers tell the same. */
static int read_store(struct es_target *target, struct es_units *units, struct es_err *err)
{
    char path[PATH_MAX], text[1024];
    struct es_err fault = {0};
    int n = snprintf(path, sizeof path, "%s/" ES_STORE_NAME, target->run_dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return es_err_sys(err, ENAMETOOLONG, "reading the store", target->run_dir);
    int rc = es_store_read(path, units, &target->n_outside, &fault);
    if (rc == 0 || rc == ES_ERR_NOENT)
        return 0;
    es_err_text(&fault, text, sizeof text);
    es_say("%s (reading the markers instead)", text);
    for (uint32_t id = 0; id < es_grid_n_units(target->grid); id++)
        if (!es_grid_is_excluded(target->grid, id))
            es_units_reset(units, id);
    return 0;
}

int es_target_scan(struct es_target *target, bool look_for_failed, struct es_units **ret_units,
                   struct es_scan_summary *ret_summary, struct es_err *err)
{
    struct es_units *units = NULL;
    struct es_scan_options options = {.not_before_ns = target->not_before_ns,
                                      .look_for_failed = look_for_failed,
                                      .failed_not_before_ns = target->failed_not_before_ns};
    int rc = es_units_create(target->grid, &units, err);
    if (rc == 0)
        rc = read_store(target, units, err);
    if (rc == 0)
        rc = es_scan(target->run_dir, target->layout, &options, units, ret_summary, err);
    if (rc < 0) {
        es_units_free(units);
        return rc;
    }
    *ret_units = units;
    return 0;
}

static void say_wait(const char *text, void *context)
{
    (void)context;
    es_say("%s", text);
}

int es_target_enter(const struct es_target *target, bool may_join, struct es_lock **ret_lock,
                    struct es_err *err)
{
    const struct es_lock_request request = {.run_dir = target->run_dir,
                                            .stale_s = ES_LOCK_STALE_S,
                                            .may_join = may_join,
                                            .note = say_wait};
    return es_lock_enter(&request, ret_lock, err);
}

int es_target_lock(const struct es_target *target, struct es_lock **ret_lock, struct es_err *err)
{
    if (access(target->run_dir, F_OK) < 0)
        return es_err_sys(err, errno, "opening the run folder", target->run_dir);
    int rc = es_folder_make(target->run_dir, err);
    return rc < 0 ? rc : es_target_enter(target, false, ret_lock, err);
}

int es_target_clear_unit(const struct es_target *target, int run_dir_fd, uint32_t unit_id,
                         bool done, struct es_buf *scratch, struct es_err *err)
{
    es_buf_reset(scratch);
    es_layout_unit_dir(target->layout, target->grid, es_grid_unit(target->grid, unit_id), scratch);
    es_buf_printf(scratch, "/%s", done ? ES_MARKER_NAME : ES_FAILED_NAME);
    if (scratch->failed)
        return es_err_nomem(err, "clearing units");
    if (unlinkat(run_dir_fd, scratch->data, 0) < 0 && errno != ENOENT)
        return es_err_sys(err, errno, "clearing a unit", scratch->data);
    return 0;
}

uint32_t es_target_n_bad_markers(const struct es_scan_summary *summary)
{
    uint32_t n_bad = 0;
    for (int s = ES_MARKER_EMPTY; s < ES_MARKER_N_STATES; s++)
        n_bad += summary->n_markers[s];
    return n_bad;
}

static void say_bad_markers(const struct es_target *target, const struct es_scan_summary *summary)
{
    char unit[600] = "";
    uint32_t n_bad = es_target_n_bad_markers(summary);
    if (n_bad == 0)
        return;
    if (summary->first_bad != ES_GRID_NONE)
        es_grid_unit_text(target->grid, summary->first_bad, unit, sizeof unit);
    es_say("%u marker%s not done, and pending (the first: %s):", n_bad,
           n_bad == 1 ? " is" : "s are", unit);
    for (int s = ES_MARKER_EMPTY; s < ES_MARKER_N_STATES; s++)
        if (summary->n_markers[s])
            es_say("  %u %s", summary->n_markers[s], es_marker_state_text((enum es_marker_state)s));
}

void es_target_say_findings(const struct es_target *target, const struct es_scan_summary *summary)
{
    if (target->n_outside)
        es_say("%u results are outside the grid: their folders are left alone, and results.h5 has "
               "the grid only",
               target->n_outside);
    say_bad_markers(target, summary);
}

static int mark(uint8_t **flags, uint32_t n, uint32_t index, struct es_err *err)
{
    if (!*flags)
        *flags = es_mem_calloc(n, 1);
    if (!*flags)
        return es_err_nomem(err, "selecting units");
    (*flags)[index] = 1;
    return 0;
}

int es_selection_add(struct es_selection *selection, const struct es_grid *grid, const char *axis,
                     const char *value, struct es_err *err)
{
    uint32_t index = ES_GRID_NONE, n = 0;
    uint8_t **flags = NULL;
    int64_t layer;
    if (strcmp(axis, "checkpoint") == 0) {
        index = es_grid_find_checkpoint(grid, value);
        n = es_grid_n_checkpoints(grid);
        flags = &selection->checkpoints;
    } else if (strcmp(axis, "task") == 0) {
        index = es_grid_find_task(grid, value);
        n = es_grid_n_tasks(grid);
        flags = &selection->tasks;
    } else if (strcmp(axis, "layer") == 0) {
        if (es_parse_int(value, &layer) && layer >= 0 && layer <= INT32_MAX)
            index = es_grid_find_layer(grid, (int32_t)layer);
        n = es_grid_n_layers(grid);
        flags = &selection->layers;
    } else {
        return es_err_set(err, ES_ERR_USAGE, "selecting units", axis,
                          "expected checkpoint, layer or task");
    }
    if (index == ES_GRID_NONE)
        return es_err_set(err, ES_ERR_USAGE, "selecting units", value, "the grid has no such %s",
                          axis);
    return mark(flags, n, index, err);
}

/* The text up to the next comma, or NULL behind the last; "\\," is a comma of a name. */
static char *take_part(char **rest)
{
    char *part = *rest, *to = part, *at = part;
    if (!part)
        return NULL;
    for (; *at && *at != ','; *to++ = *at++)
        if (at[0] == '\\' && at[1] == ',')
            at++;
    *rest = *at ? at + 1 : NULL;
    *to = '\0';
    return part;
}

int es_selection_add_text(struct es_selection *selection, const struct es_grid *grid,
                          const char *text, struct es_err *err)
{
    char *copy = es_mem_strdup(text), *rest = copy;
    int rc = copy ? 0 : es_err_nomem(err, "selecting units");
    for (char *part; rc == 0 && (part = take_part(&rest));) {
        char *equals = strchr(part, '=');
        if (!equals) {
            rc = es_err_set(err, ES_ERR_USAGE, "selecting units", part,
                            "expected checkpoint=NAME, layer=N or task=NAME");
            break;
        }
        *equals = '\0';
        rc = es_selection_add(selection, grid, part, equals + 1, err);
    }
    free(copy);
    return rc;
}

bool es_selection_has(const struct es_selection *selection, struct es_unit unit)
{
    return (!selection->checkpoints || selection->checkpoints[unit.checkpoint]) &&
           (!selection->layers || selection->layers[unit.layer]) &&
           (!selection->tasks || selection->tasks[unit.task]);
}

void es_selection_clear(struct es_selection *selection)
{
    free(selection->checkpoints);
    free(selection->layers);
    free(selection->tasks);
    *selection = (struct es_selection){0};
}
