#include "mpi/catchup.h"

#include "core/mem.h"
#include "run/adopt.h"
#include "run/marker.h"
#include "run/scan.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

bool es_is_of_run(const struct es_company_config *config, int32_t rank,
                  const struct es_file_id *marker)
{
    return rank >= 0 && marker->mtime_ns >= config->started_ns;
}

/* Whether any unit is done that the company's run finished. */
static bool has_done(const struct es_company_config *config, struct es_units *units)
{
    struct es_units_columns columns = es_units_columns(units);
    for (uint32_t id = 0; id < columns.n_units; id++)
        if (columns.status[id] == ES_STATUS_DONE &&
            es_is_of_run(config, columns.worker[id], &columns.marker[id]))
            return true;
    return false;
}

/* The units whose lines are missing; each marker is read again, as the table has not all of it. */
static int add_lines(const struct es_company_config *config, int run_dir_fd, struct es_units *units,
                     struct es_progress *progress, uint8_t *has_line, struct es_err *err)
{
    const struct es_grid *grid = es_units_grid(units);
    struct es_units_columns columns = es_units_columns(units);
    struct es_buf dir = {0}, scratch = {0};
    struct es_result result;
    es_result_init(&result);
    for (uint32_t id = 0; id < columns.n_units && !dir.failed; id++) {
        struct es_unit unit = es_grid_unit(grid, id);
        const char *task = es_grid_task(grid, unit.task);
        bool is_done = columns.status[id] == ES_STATUS_DONE;
        if (has_line[id] || (!is_done && columns.status[id] != ES_STATUS_FAILED) ||
            (is_done && !es_is_of_run(config, columns.worker[id], &columns.marker[id])))
            continue;
        es_buf_reset(&dir);
        es_layout_unit_dir(config->layout, grid, unit, &dir);
        if (dir.failed)
            break;
        bool is_there = is_done ? es_marker_read(run_dir_fd, dir.data, task, config->not_before_ns,
                                                 &scratch, &result, NULL) == ES_MARKER_VALID
                                : es_failed_in_run(run_dir_fd, dir.data, task, config->started_ns,
                                                   &scratch, &result);
        if (!is_there)
            continue; /* deleted since, or of an earlier start */
        es_progress_add(progress, grid, id, (enum es_status)columns.status[id], &result);
        has_line[id] = 1;
    }
    int rc = dir.failed ? es_err_nomem(err, "catching up") : 0;
    es_result_clear(&result);
    es_buf_clear(&scratch);
    es_buf_clear(&dir);
    return rc;
}

/* Adds the lines that are missing of what this run finished, as far as the table knows. */
static int add_missing(const struct es_company_config *config, const char *run_dir,
                       struct es_units *units, struct es_progress *progress, uint8_t *has_line,
                       struct es_err *err)
{
    int rc = es_progress_mark(progress, units, has_line, err);
    if (rc < 0)
        return rc;
    int run_dir_fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run_dir_fd < 0)
        return es_err_sys(err, errno, "catching up", run_dir);
    rc = add_lines(config, run_dir_fd, units, progress, has_line, err);
    es_fd_close(&run_dir_fd);
    return rc;
}

int es_catch_up_previous(const struct es_company_config *config, const char *run_dir,
                         struct es_units *units, struct es_progress *progress, struct es_err *err)
{
    struct es_company_config previous = *config;
    struct es_buf adopted = {0};
    previous.started_ns = config->previous_ns;
    if (!has_done(&previous, units))
        return 0;
    int rc = es_adopt_sources(run_dir, &adopted, err);
    bool has_adopted = adopted.len > 0;
    es_buf_clear(&adopted);
    if (rc < 0 || has_adopted)
        return rc;
    uint8_t *has_line = es_mem_calloc(es_units_columns(units).n_units, 1);
    if (!has_line)
        return es_err_nomem(err, "catching up");
    rc = add_missing(&previous, run_dir, units, progress, has_line, err);
    free(has_line);
    return rc;
}

int es_catch_up_units(const struct es_company_config *config, const char *run_dir,
                      struct es_units *units, const uint8_t *is_lost, struct es_err *err)
{
    struct es_scan_options options = {
        .not_before_ns = config->not_before_ns, .look_for_failed = true, .stays_failed = is_lost};
    struct es_scan_summary summary;
    if (!config->keeps_failed)
        options.failed_not_before_ns = config->started_ns;
    return es_scan(run_dir, config->layout, &options, units, &summary, err);
}

int es_catch_up(const struct es_company_config *config, const char *run_dir, struct es_units *units,
                struct es_progress *progress, uint8_t *has_line, const uint8_t *is_lost,
                struct es_err *err)
{
    int rc = es_catch_up_units(config, run_dir, units, is_lost, err);
    memset(has_line, 0, es_units_columns(units).n_units);
    return rc < 0 ? rc : add_missing(config, run_dir, units, progress, has_line, err);
}
