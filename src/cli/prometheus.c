/* `status --prometheus`: a view as metrics, in the text format that node_exporter's textfile
 * collector reads. The number of series does not depend on the run. */
#include "cli/say.h"
#include "cli/view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* HELP and TYPE of a metric: once, before its samples. */
static void put_head(struct es_buf *text, const char *name, const char *type, const char *help)
{
    es_buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and newline are escaped. */
static void put_label(struct es_buf *text, const char *name, const char *value)
{
    es_buf_printf(text, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            es_buf_putc(text, '\\');
        if (*value == '\n')
            es_buf_puts(text, "\\n");
        else
            es_buf_putc(text, *value);
    }
    es_buf_putc(text, '"');
}

/* One sample; label NULL: only the run's. */
static void put_sample(const struct es_view *view, struct es_buf *text, const char *name,
                       const char *label, const char *label_value, double value)
{
    es_buf_printf(text, "%s{", name);
    put_label(text, "run", view->run_id);
    if (label) {
        es_buf_putc(text, ',');
        put_label(text, label, label_value);
    }
    es_buf_puts(text, "} ");
    es_buf_json_double(text, value);
    es_buf_putc(text, '\n');
}

/* A metric of one sample; one that is not known is left out. */
static void put_one(const struct es_view *view, struct es_buf *text, const char *name,
                    const char *type, const char *help, double value)
{
    if (!isfinite(value))
        return;
    put_head(text, name, type, help);
    put_sample(view, text, name, NULL, NULL, value);
}

static void put_units(const struct es_view *view, struct es_buf *text)
{
    static const char name[] = "evalsweep_units";
    const struct es_counts *counts = &view->counts;
    put_head(text, name, "gauge", "Units of the run's grid by status; a running one is pending.");
    put_sample(view, text, name, "status", "done", counts->done);
    put_sample(view, text, name, "status", "pending", counts->pending);
    put_sample(view, text, name, "status", "failed", counts->failed);
    put_sample(view, text, name, "status", "excluded", counts->excluded);
}

static void put_suspects(const struct es_view *view, struct es_buf *text)
{
    static const char name[] = "evalsweep_suspects";
    put_one(view, text, "evalsweep_blocked_units", "gauge", "Pending units that are blocked.",
            view->counts.blocked);
    if (!view->has_driver)
        return;
    put_head(text, name, "gauge",
             "Blocked tasks, checkpoints, bundles and layers, quarantined workers, outages.");
    for (int kind = 0; kind < ES_N_SUSPECT_KINDS; kind++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < view->driver.n_suspects; i++)
            n += view->driver.suspects[i].kind == (enum es_suspect_kind)kind;
        put_sample(view, text, name, "kind", es_suspect_kind_names[kind], n);
    }
}

static void put_checkpoints(const struct es_view *view, struct es_buf *text)
{
    static const char name[] = "evalsweep_checkpoints";
    uint32_t n_done = 0, n_begun = 0;
    for (uint32_t c = 0; c < view->n_checkpoints; c++) {
        bool is_done = view->checkpoints[c].pending + view->checkpoints[c].failed == 0;
        n_done += is_done;
        n_begun += !is_done && view->checkpoints[c].done > 0;
    }
    if (view->n_checkpoints == 0)
        return;
    put_head(text, name, "gauge", "Checkpoints by how far their units are done.");
    put_sample(view, text, name, "status", "done", n_done);
    put_sample(view, text, name, "status", "begun", n_begun);
    put_sample(view, text, name, "status", "pending", view->n_checkpoints - n_done - n_begun);
}

static void put_workers(const struct es_view *view, struct es_buf *text)
{
    static const char name[] = "evalsweep_workers";
    uint32_t n_running = 0, n_out = 0;
    double longest_s = 0;
    for (uint32_t w = 0; w < view->driver.n_workers; w++) {
        const struct es_status_worker *worker = &view->driver.workers[w];
        n_out += worker->is_out;
        n_running += !worker->is_out && worker->is_running;
        if (worker->is_running)
            longest_s = fmax(longest_s, es_view_running_s(view, worker));
    }
    put_head(text, name, "gauge",
             "Workers of the driver that is at work: running a unit, idle, or out.");
    put_sample(view, text, name, "state", "running", n_running);
    put_sample(view, text, name, "state", "idle", view->driver.n_workers - n_running - n_out);
    put_sample(view, text, name, "state", "out", n_out);
    put_one(view, text, "evalsweep_longest_running_unit_seconds", "gauge",
            "For how long the unit runs that runs longest.", longest_s);
}

static void put_driver(const struct es_view *view, struct es_buf *text)
{
    const struct es_status_seen *driver = &view->driver;
    put_one(view, text, "evalsweep_driver_alive", "gauge",
            "Whether a driver is at work on the run, and tells of it.", driver->alive);
    put_one(view, text, "evalsweep_drivers", "gauge", "Jobs that have a driver on the run.",
            view->n_drivers);
    if (!view->has_driver)
        return;
    put_one(view, text, "evalsweep_last_update_timestamp_seconds", "gauge",
            "When the driver last told of the run, in seconds since 1970.", driver->updated_s);
    put_one(view, text, "evalsweep_evaluated_units_total", "counter",
            "Units that this start of the driver has evaluated.", driver->n_evaluated);
    put_one(view, text, "evalsweep_retries_total", "counter",
            "Tries of this start of the driver that failed and were not the last.",
            driver->n_retries);
    if (!driver->alive)
        return;
    put_one(view, text, "evalsweep_running_units", "gauge", "Units that are running.",
            driver->n_running);
    put_one(view, text, "evalsweep_rate_units_per_second", "gauge",
            "Units evaluated per second, over the last minute.", driver->rate_per_s);
    put_one(view, text, "evalsweep_eta_seconds", "gauge", "Expected time until every unit is done.",
            driver->eta_s);
    put_workers(view, text);
}

void es_view_print_prometheus(const struct es_view *view)
{
    struct es_buf text = {0};
    put_units(view, &text);
    put_suspects(view, &text);
    put_checkpoints(view, &text);
    put_driver(view, &text);
    if (text.failed)
        es_say("writing metrics: out of memory");
    else
        (void)fputs(text.data, stdout);
    es_buf_clear(&text);
}
