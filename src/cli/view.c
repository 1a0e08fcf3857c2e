#include "cli/view.h"

#include "cli/ui.h"
#include "core/mem.h"
#include "core/num.h"
#include "sys/clock.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A unit that runs so many times longer than expected, and so long at least, is named. */
#define OVERDUE_TIMES 5
#define OVERDUE_LEAST_S 60.0

/* The last part of the folder's name. */
static void name_run(struct es_view *view)
{
    char path[PATH_MAX];
    const char *whole = realpath(view->run_dir, path) ? path : view->run_dir;
    const char *slash = strrchr(whole, '/');
    (void)snprintf(view->run_id, sizeof view->run_id, "%.*s", (int)sizeof view->run_id - 1,
                   slash && slash[1] ? slash + 1 : whole);
    es_text_to_line(view->run_id);
}

/* How many drivers have a file, but for those known to be gone. */
static void look_for_drivers(struct es_drivers *drivers, struct es_view *view)
{
    view->has_looked = drivers && es_drivers_look(drivers, NULL) == 0;
    view->n_drivers = view->has_looked ? es_drivers_n_others(drivers) : 0;
}

/* Problems first, then what runs longest. */
static int compare_workers(const void *a, const void *b)
{
    const struct es_status_worker *x = *(const struct es_status_worker *const *)a;
    const struct es_status_worker *y = *(const struct es_status_worker *const *)b;
    if (x->is_out != y->is_out)
        return x->is_out ? -1 : 1;
    if (x->is_running != y->is_running)
        return x->is_running ? -1 : 1;
    if (x->is_running && x->running_s != y->running_s)
        return x->running_s > y->running_s ? -1 : 1;
    return x->worker < y->worker ? -1 : x->worker > y->worker;
}

/* Takes in status.json, and whether who wrote it is there. (First whether it is there: one that
 * ends writes its last word before it goes.) */
static int read_driver(struct es_view *view, struct es_drivers *drivers, struct es_err *err)
{
    look_for_drivers(drivers, view);
    int rc = es_status_read(view->run_dir, view->now_s, &view->driver, err);
    if (rc < 0)
        return rc;
    if (view->driver.alive && view->n_drivers == 0) /* it may have come between the two */
        look_for_drivers(drivers, view);
    struct es_status_seen *driver = &view->driver;
    es_text_to_line(driver->host);
    es_text_to_line(driver->why_ended);
    es_text_to_line(driver->slurm_job_id);
    /* One that was killed has just said that it is alive; here its process is seen to be gone. */
    if (driver->alive && view->has_looked && view->n_drivers == 0)
        es_status_forget_doings(driver);
    view->workers = es_mem_calloc(driver->n_workers, sizeof *view->workers);
    if (!view->workers) {
        es_status_clear(driver);
        return es_err_nomem(err, "reading the status");
    }
    view->has_driver = true;
    for (uint32_t w = 0; w < driver->n_workers; w++)
        view->workers[w] = &driver->workers[w];
    qsort(view->workers, driver->n_workers, sizeof *view->workers, compare_workers);
    return 0;
}

/* --- From every marker --- */

static int take_checkpoints(struct es_view *view, struct es_err *err)
{
    const struct es_grid *grid = view->target.grid;
    uint32_t n = es_grid_n_checkpoints(grid);
    struct es_counts *counts = es_mem_calloc(n, sizeof *counts);
    view->own_checkpoints = es_mem_calloc(n, sizeof *view->own_checkpoints);
    if (!counts || !view->own_checkpoints) {
        free(counts);
        return es_err_nomem(err, "counting units");
    }
    es_units_count_by_checkpoint(view->units, counts);
    for (uint32_t c = 0; c < n; c++)
        view->own_checkpoints[c] = (struct es_status_checkpoint){
            es_grid_checkpoint(grid, c), counts[c].done, counts[c].pending, counts[c].failed};
    view->checkpoints = view->own_checkpoints;
    view->n_checkpoints = n;
    free(counts);
    return 0;
}

static int take_failures(struct es_view *view, struct es_err *err)
{
    view->own_failures = es_mem_calloc(view->found.n, sizeof *view->own_failures);
    if (!view->own_failures)
        return es_err_nomem(err, "reading why units failed");
    for (size_t i = 0; i < view->found.n; i++)
        view->own_failures[i] =
            (struct es_status_failure){view->found.reasons[i].text, view->found.reasons[i].n_units,
                                       view->found.reasons[i].log};
    view->failures = view->own_failures;
    view->n_failures = (uint32_t)view->found.n;
    return 0;
}

/* What a job that has ended suspected does not matter where nothing of it is left to run. */
static void forget_cleared(struct es_status_seen *driver, uint32_t n_pending)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < driver->n_suspects; i++)
        if (driver->suspects[i].kind >= ES_SUSPECT_WORKER ? n_pending > 0
                                                          : driver->suspects[i].n_blocked > 0)
            driver->suspects[n++] = driver->suspects[i];
    driver->n_suspects = n;
}

int es_view_scan(const char *path, const struct es_opt_list *sets, struct es_view *ret_view,
                 struct es_err *err)
{
    struct es_view view = {.is_scanned = true};
    struct es_drivers *drivers = NULL;
    int rc = es_target_open(path, sets, &view.target, err);
    if (rc == 0) {
        view.run_dir = view.target.run_dir;
        name_run(&view);
        rc = es_target_scan(&view.target, true, &view.units, &view.summary, err);
    }
    if (rc == 0)
        rc = es_failures_read(&view.target, view.units, &view.found, err);
    if (rc == 0)
        rc = take_checkpoints(&view, err);
    if (rc == 0)
        rc = take_failures(&view, err);
    if (rc == 0) {
        view.counts = es_units_count(view.units);
        view.now_s = es_clock_wall_s();
        (void)es_drivers_create(view.run_dir, "", ES_LOCK_STALE_S, &drivers, NULL);
        (void)read_driver(&view, drivers, NULL); /* without it, the markers tell enough */
        es_drivers_free(drivers);
        view.counts.blocked = es_status_count_blocked(&view.driver, view.units);
        if (!view.driver.alive)
            forget_cleared(&view.driver, view.counts.pending);
    }
    *ret_view = view;
    return rc;
}

/* --- From the driver's word --- */

int es_view_read(const char *run_dir, struct es_drivers *drivers, struct es_view *ret_view,
                 struct es_err *err)
{
    struct es_view view = {.run_dir = run_dir, .now_s = es_clock_wall_s()};
    name_run(&view);
    int rc = read_driver(&view, drivers, err);
    if (rc == 0) {
        view.counts = view.driver.counts;
        view.checkpoints = view.driver.checkpoints;
        view.n_checkpoints = view.driver.n_checkpoints;
        view.failures = view.driver.failures;
        view.n_failures = view.driver.n_failures;
    }
    *ret_view = view;
    return rc;
}

void es_view_clear(struct es_view *view)
{
    es_failures_clear(&view->found);
    es_status_clear(&view->driver);
    free(view->own_checkpoints);
    free(view->own_failures);
    free(view->workers);
    es_units_free(view->units);
    es_target_close(&view->target);
    *view = (struct es_view){0};
}

double es_view_running_s(const struct es_view *view, const struct es_status_worker *worker)
{
    return worker->running_s + fmax(view->now_s - view->driver.updated_s, 0);
}

double es_view_overdue_times(const struct es_view *view, const struct es_status_worker *worker)
{
    double running_s = es_view_running_s(view, worker);
    bool is_overdue =
        worker->is_running && running_s > fmax(OVERDUE_TIMES * worker->expected_s, OVERDUE_LEAST_S);
    return is_overdue && worker->expected_s > 0 ? running_s / worker->expected_s : 0;
}

bool es_view_is_quarantined(const struct es_view *view, const struct es_status_worker *worker)
{
    for (uint32_t i = 0; i < view->driver.n_suspects; i++)
        if (view->driver.suspects[i].kind == ES_SUSPECT_WORKER &&
            view->driver.suspects[i].worker == worker->worker)
            return true;
    return false;
}

/* Why there are no figures of a driver at work. */
static void no_driver_text(const struct es_view *view, struct es_buf *text)
{
    const struct es_status_seen *driver = &view->driver;
    char updated[24];
    es_clock_format_utc(driver->updated_s, updated);
    if (view->n_drivers && (!view->has_driver || driver->has_ended))
        es_buf_puts(text, "at work, no figures yet");
    else if (!view->has_driver)
        es_buf_puts(text, "none has run here yet");
    else if (driver->is_ahead && !driver->has_ended)
        es_buf_printf(text, "its status.json is dated ahead of now, %s on %s: a clock is wrong",
                      updated, driver->host);
    else if (view->n_drivers)
        es_buf_printf(text, "silent since %s on %s: stopped, perhaps, or killed", updated,
                      driver->host);
    else if (driver->has_ended)
        es_buf_printf(text, "not running (last seen %s on %s)%s%s", updated, driver->host,
                      driver->why_ended[0] ? ": " : "", driver->why_ended);
    else
        es_buf_printf(text, "not running: killed, perhaps (last seen %s on %s)", updated,
                      driver->host);
}

void es_view_driver_text(const struct es_view *view, struct es_buf *text)
{
    const struct es_status_seen *driver = &view->driver;
    char eta[32], rate[32];
    if (!driver->alive) {
        no_driver_text(view, text);
        return;
    }
    es_ui_duration(driver->eta_s, eta);
    es_buf_printf(text, "alive on %s", driver->host);
    if (driver->slurm_job_id[0])
        es_buf_printf(text, " (Slurm job %s)", driver->slurm_job_id);
    es_buf_printf(text, ": %u running", driver->n_running);
    if (es_ui_rate(driver->rate_per_s, rate))
        es_buf_printf(text, ", %s", rate);
    es_buf_printf(text, ", ETA %s", eta);
    if (view->n_drivers > 1)
        es_buf_printf(text, " (%u jobs share the run)", view->n_drivers);
}
