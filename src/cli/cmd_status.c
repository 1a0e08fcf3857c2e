#include "cli/commands.h"
#include "cli/failures.h"
#include "cli/json_out.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "cli/target.h"
#include "cli/ui.h"
#include "core/mem.h"
#include "run/drivers.h"
#include "run/lock.h"
#include "core/num.h"
#include "run/status.h"
#include "sys/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_REASONS 5

/* What `status` knows of a run. */
struct view {
    struct es_target target;
    struct es_units *units;
    struct es_scan_summary summary;
    struct es_counts counts;
    struct es_counts *by_checkpoint; /* [n_checkpoints] */
    struct es_failures failures;
    bool has_driver; /* a driver has left a status.json */
    struct es_status_seen driver;
    bool has_looked;    /* for drivers' files */
    uint32_t n_drivers; /* at work on the run, as far as one look tells */
};

/* How many drivers have a file, but for those known to be gone. False: it cannot be told. */
static bool count_drivers(const char *run_dir, uint32_t *ret_n)
{
    struct es_drivers *drivers;
    if (es_drivers_create(run_dir, "", ES_LOCK_STALE_S, &drivers, NULL) < 0)
        return false;
    bool has_looked = es_drivers_look(drivers, NULL) == 0;
    if (has_looked)
        *ret_n = es_drivers_n_others(drivers);
    es_drivers_free(drivers);
    return has_looked;
}

static int look(const char *path, const struct es_opt_list *sets, struct view *v,
                struct es_err *err)
{
    int rc = es_target_open(path, sets, &v->target, err);
    if (rc == 0)
        rc = es_target_scan(&v->target, true, &v->units, &v->summary, err);
    if (rc == 0)
        rc = es_failures_read(&v->target, v->units, &v->failures, err);
    if (rc < 0)
        return rc;
    const struct es_grid *grid = v->target.grid;
    v->counts = es_units_count(v->units);
    v->by_checkpoint = es_mem_calloc(es_grid_n_checkpoints(grid), sizeof *v->by_checkpoint);
    if (!v->by_checkpoint)
        return es_err_nomem(err, "counting units");
    struct es_units_columns columns = es_units_columns(v->units);
    for (uint32_t id = 0; id < columns.n_units; id++) {
        struct es_counts *counts = &v->by_checkpoint[es_grid_unit(grid, id).checkpoint];
        counts->done += columns.status[id] == ES_STATUS_DONE;
        counts->pending += columns.status[id] == ES_STATUS_PENDING;
        counts->failed += columns.status[id] == ES_STATUS_FAILED;
        counts->excluded += columns.status[id] == ES_STATUS_EXCLUDED;
    }
    v->has_driver = es_status_read(v->target.run_dir, es_clock_wall_s(), &v->driver, NULL) == 0;
    v->has_looked = count_drivers(v->target.run_dir, &v->n_drivers);
    es_text_to_line(v->driver.host);
    es_text_to_line(v->driver.why_ended);
    return 0;
}

static void clear(struct view *v)
{
    es_failures_clear(&v->failures);
    free(v->by_checkpoint);
    es_status_clear(&v->driver);
    es_units_free(v->units);
    es_target_close(&v->target);
}

/* A driver that was killed has just said that it is alive; here its process is seen to be gone. */
static bool is_alive(const struct view *v)
{
    return v->has_driver && v->driver.alive && !(v->has_looked && v->n_drivers == 0);
}

static void print_json(const struct view *v)
{
    struct es_buf text = {0};
    const struct es_grid *grid = v->target.grid;
    es_buf_putc(&text, '{');
    es_status_counts_json(&v->counts, &text);
    es_buf_printf(&text, "\"running\":%u,\"rate_per_s\":", is_alive(v) ? v->driver.n_running : 0);
    es_buf_json_double(&text, is_alive(v) ? v->driver.rate_per_s : (double)NAN);
    es_buf_puts(&text, ",\"eta_s\":");
    es_buf_json_double(&text, is_alive(v) ? v->driver.eta_s : (double)NAN);
    es_buf_printf(&text, ",\"alive\":%s,\"ended\":", is_alive(v) ? "true" : "false");
    if (v->driver.why_ended[0])
        es_buf_json_string(&text, v->driver.why_ended, strlen(v->driver.why_ended));
    else
        es_buf_puts(&text, "null");
    es_buf_printf(&text, ",\"drivers\":%u,\"done_without_score\":%u,\"checkpoints\":[",
                  v->n_drivers, v->counts.done_without_score);
    for (uint32_t c = 0; c < es_grid_n_checkpoints(grid); c++) {
        const char *name = es_grid_checkpoint(grid, c);
        es_buf_puts(&text, c ? ",{\"checkpoint\":" : "{\"checkpoint\":");
        es_buf_json_string(&text, name, strlen(name));
        es_buf_printf(&text, ",\"done\":%u,\"pending\":%u,\"failed\":%u}", v->by_checkpoint[c].done,
                      v->by_checkpoint[c].pending, v->by_checkpoint[c].failed);
    }
    es_buf_puts(&text, "],\"failures\":[");
    for (size_t i = 0; i < v->failures.n; i++) {
        es_buf_puts(&text, i ? ",{\"reason\":" : "{\"reason\":");
        es_buf_json_string(&text, v->failures.reasons[i].text, strlen(v->failures.reasons[i].text));
        es_buf_printf(&text, ",\"units\":%u}", v->failures.reasons[i].n_units);
    }
    es_buf_puts(&text, "]}");
    es_json_out(&text);
}

/* Why there are no figures of a driver at work. */
static void print_no_driver(const struct view *v)
{
    char updated[24];
    es_clock_format_utc(v->driver.updated_s, updated);
    if (v->n_drivers && (!v->has_driver || v->driver.has_ended))
        printf("driver  at work, no figures yet\n");
    else if (!v->has_driver)
        printf("driver  none has run here yet\n");
    else if (v->driver.is_ahead && !v->driver.has_ended)
        printf("driver  its status.json is dated ahead of now, %s on %s: a clock is wrong\n",
               updated, v->driver.host);
    else if (v->n_drivers)
        printf("driver  silent since %s on %s: stopped, perhaps, or killed\n", updated,
               v->driver.host);
    else if (v->driver.has_ended)
        printf("driver  not running (last seen %s on %s)%s%s\n", updated, v->driver.host,
               v->driver.why_ended[0] ? ": " : "", v->driver.why_ended);
    else
        printf("driver  not running: killed, perhaps (last seen %s on %s)\n", updated,
               v->driver.host);
}

static void print_driver(const struct view *v)
{
    char eta[32];
    if (!is_alive(v)) {
        print_no_driver(v);
        return;
    }
    es_ui_duration(v->driver.eta_s, eta);
    printf("driver  alive on %s: %u running", v->driver.host, v->driver.n_running);
    if (isfinite(v->driver.rate_per_s))
        printf(", %.2f units/s", v->driver.rate_per_s);
    printf(", ETA %s", eta);
    if (v->n_drivers > 1)
        printf(" (%u jobs share the run)", v->n_drivers);
    printf("\n");
}

static void print_checkpoints(const struct view *v)
{
    const struct es_grid *grid = v->target.grid;
    int width = 10;
    for (uint32_t c = 0; c < es_grid_n_checkpoints(grid); c++)
        if ((int)strlen(es_grid_checkpoint(grid, c)) > width)
            width = (int)strlen(es_grid_checkpoint(grid, c));
    printf("\n%-*s  %8s %8s %8s\n", width, "checkpoint", "done", "pending", "failed");
    for (uint32_t c = 0; c < es_grid_n_checkpoints(grid); c++)
        printf("%-*s  %8u %8u %8u\n", width, es_grid_checkpoint(grid, c), v->by_checkpoint[c].done,
               v->by_checkpoint[c].pending, v->by_checkpoint[c].failed);
}

static void print_failures(const struct view *v)
{
    struct es_buf dir = {0};
    if (v->failures.n)
        printf("\nfailures (the commonest reasons):\n");
    for (size_t i = 0; i < v->failures.n && i < N_REASONS; i++) {
        const struct es_failure_reason *reason = &v->failures.reasons[i];
        char line[1024];
        (void)snprintf(line, sizeof line, "%s", reason->text);
        es_text_to_line(line);
        es_buf_reset(&dir);
        es_layout_unit_dir(v->target.layout, v->target.grid,
                           es_grid_unit(v->target.grid, reason->first_unit), &dir);
        printf("%8u  %s\n          %s/%s/%s\n", reason->n_units, line, v->target.run_dir,
               dir.data ? dir.data : "", ES_LOG_NAME);
    }
    es_buf_clear(&dir);
}

static void print_text(const struct view *v)
{
    const struct es_counts *counts = &v->counts;
    printf("run     %s\nunits   %u: %u done", v->target.run_dir,
           counts->done + counts->pending + counts->failed, counts->done);
    if (counts->done_without_score)
        printf(" (%u without a score)", counts->done_without_score);
    printf(", %u pending, %u failed", counts->pending, counts->failed);
    if (counts->excluded)
        printf(", %u excluded", counts->excluded);
    printf("\n");
    print_driver(v);
    print_checkpoints(v);
    print_failures(v);
}

int es_cmd_status(int argc, char **argv)
{
    const char *path = NULL;
    struct es_opt_list sets = {0};
    bool json = false;
    const struct es_opt table[] = {
        {"json", NULL, "one JSON document on stdout", &json, NULL, NULL},
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep status [OPTION]... RUN_DIR|JOB",
        .summary =
            "Tells what is done by checkpoint, whether a driver is at work, how fast, and why\n"
            "units failed. Works on any node that sees the run folder.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    int exit_code = ES_EXIT_OK;
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &path);
    if (result == ES_OPT_OK) {
        struct es_err err = {0};
        struct view v = {0};
        if (look(path, &sets, &v, &err) < 0) {
            exit_code = es_say_error(&err);
        } else {
            es_target_say_findings(&v.target, &v.summary);
            if (json)
                print_json(&v);
            else
                print_text(&v);
        }
        clear(&v);
    } else if (result == ES_OPT_BAD) {
        exit_code = ES_EXIT_USAGE;
    }
    es_opt_list_clear(&sets);
    return exit_code;
}
