#include "cli/commands.h"
#include "cli/forecast.h"
#include "cli/json_out.h"
#include "cli/opt.h"
#include "cli/reuse.h"
#include "cli/say.h"
#include "cli/target.h"
#include "cli/ui.h"
#include "core/mem.h"
#include "core/num.h"
#include "run/status.h"
#include "sys/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t worker_counts[] = {1, 2, 4, 8, 16, 32, 64};
#define N_WORKER_COUNTS (sizeof worker_counts / sizeof worker_counts[0])

struct plan {
    struct es_target target;
    struct es_units *units;
    struct es_scan_summary summary;
    struct es_counts counts;
    uint32_t *n_reusable;         /* [n_reuse] of the job: what run would adopt from each first */
    struct es_forecast *forecast; /* NULL: nothing is pending */
    double wall_s[N_WORKER_COUNTS];
    bool retries_failed; /* as run does, unless it is told not to */
    double time_limit_s; /* NaN: not asked for */
    uint32_t n_needed;   /* workers to end within it; 0: cannot be done */
};

static size_t n_reuse(const struct plan *p)
{
    return p->target.job ? p->target.job->run.n_reuse : 0;
}

/* The forecast is of what is left then. */
static int look_for_reusable(struct plan *p, struct es_err *err)
{
    if (n_reuse(p) == 0 || p->counts.pending + p->counts.failed == 0)
        return 0;
    p->n_reusable = es_mem_calloc(n_reuse(p), sizeof *p->n_reusable);
    if (!p->n_reusable)
        return es_err_nomem(err, "planning");
    return es_reuse_look_all(&p->target, p->units, p->n_reusable, err);
}

/* As the last job tells; run tries one unit of each kind first. */
static uint32_t count_blocked(struct plan *p)
{
    struct es_status_seen seen;
    if (es_status_read(p->target.run_dir, es_clock_wall_s(), &seen, NULL) < 0)
        return 0;
    uint32_t n = es_status_count_blocked(&seen, p->units);
    es_status_clear(&seen);
    return n;
}

static int make_plan(const char *path, const struct es_opt_list *sets, struct plan *p,
                     struct es_err *err)
{
    int rc = es_target_open(path, sets, &p->target, err);
    if (rc == 0)
        rc = es_target_scan(&p->target, true, &p->units, &p->summary, err);
    if (rc < 0)
        return rc;
    p->counts = es_units_count(p->units);
    p->counts.blocked = count_blocked(p);
    rc = look_for_reusable(p, err);
    struct es_counts left = es_units_count(p->units);
    if (rc < 0 || left.pending + (p->retries_failed ? left.failed : 0) == 0)
        return rc;
    rc = es_forecast_create(&p->target, p->units, p->retries_failed, &p->forecast, err);
    for (size_t i = 0; rc == 0 && i < N_WORKER_COUNTS; i++)
        rc = es_forecast_wall_s(p->forecast, worker_counts[i], &p->wall_s[i], err);
    if (rc == 0 && !isnan(p->time_limit_s))
        rc = es_forecast_workers_for(p->forecast, p->time_limit_s, &p->n_needed, err);
    return rc;
}

static void print_json(const struct plan *p)
{
    struct es_buf text = {0};
    es_buf_putc(&text, '{');
    es_status_counts_json(&p->counts, &text);
    es_buf_printf(&text, "\"bad_markers\":%u,\"done_without_score\":%u,\"measured\":%s",
                  es_target_n_bad_markers(&p->summary), p->counts.done_without_score,
                  p->forecast && es_forecast_is_measured(p->forecast) ? "true" : "false");
    if (p->forecast) {
        es_buf_puts(&text, ",\"load_s\":");
        es_buf_json_double(&text, es_forecast_load_s(p->forecast));
    }
    es_buf_puts(&text, ",\"reuse\":{");
    for (size_t i = 0; p->n_reusable && i < n_reuse(p); i++) {
        es_buf_puts(&text, i ? "," : "");
        es_buf_json_string(&text, p->target.job->run.reuse[i], strlen(p->target.job->run.reuse[i]));
        es_buf_printf(&text, ":%u", p->n_reusable[i]);
    }
    es_buf_puts(&text, "},\"wall_s\":{");
    for (size_t i = 0; p->forecast && i < N_WORKER_COUNTS; i++) {
        es_buf_printf(&text, "%s\"%u\":", i ? "," : "", worker_counts[i]);
        es_buf_json_double(&text, p->wall_s[i]);
    }
    es_buf_putc(&text, '}');
    if (!isnan(p->time_limit_s))
        es_buf_printf(&text, ",\"workers_needed\":%u", p->n_needed);
    es_buf_putc(&text, '}');
    es_json_out(&text);
}

static void print_forecast(const struct plan *p)
{
    char load[32];
    es_ui_duration(es_forecast_load_s(p->forecast), load);
    printf("\npredicted wall time, at %s for loading a checkpoint%s\n  workers       time\n", load,
           es_forecast_is_measured(p->forecast)
               ? ""
               : " (a guess: no evaluation was timed yet, and schedule.task_cost_s has no hints)");
    for (size_t i = 0; i < N_WORKER_COUNTS; i++) {
        char wall[32];
        es_ui_duration(p->wall_s[i], wall);
        printf("  %7u  %9s\n", worker_counts[i], wall);
    }
    if (isnan(p->time_limit_s))
        return;
    if (p->n_needed)
        printf("%u workers end within the time limit\n", p->n_needed);
    else
        printf("no number of workers ends within the time limit\n");
}

static void print_text(const struct plan *p)
{
    const struct es_grid *grid = p->target.grid;
    printf("run     %s\ngrid    %u checkpoints x %u layers x %u tasks\nunits   %u: %u done",
           p->target.run_dir, es_grid_n_checkpoints(grid), es_grid_n_layers(grid),
           es_grid_n_tasks(grid), es_counts_total(&p->counts), p->counts.done);
    if (p->counts.done_without_score)
        printf(" (%u without a score)", p->counts.done_without_score);
    printf(", %u pending", p->counts.pending);
    if (p->counts.blocked)
        printf(" (%u blocked)", p->counts.blocked);
    printf(", %u failed", p->counts.failed);
    if (p->counts.excluded)
        printf(", %u excluded", p->counts.excluded);
    printf("\n");
    for (size_t i = 0; p->n_reusable && i < n_reuse(p); i++)
        printf("reuse   %u of the units to do are done in run %s\n", p->n_reusable[i],
               p->target.job->run.reuse[i]);
    if (p->forecast)
        print_forecast(p);
    else
        printf("nothing%s is left to do\n", p->n_reusable ? " else" : "");
}

static int plan(const char *path, const struct es_opt_list *sets, double time_limit_s,
                bool retries_failed, bool json)
{
    struct es_err err = {0};
    struct plan p = {.time_limit_s = time_limit_s, .retries_failed = retries_failed};
    int exit_code = ES_EXIT_OK;
    if (make_plan(path, sets, &p, &err) < 0) {
        exit_code = es_say_error(&err);
    } else {
        es_target_say_findings(&p.target, &p.summary);
        if (json)
            print_json(&p);
        else
            print_text(&p);
    }
    free(p.n_reusable);
    es_forecast_free(p.forecast);
    es_units_free(p.units);
    es_target_close(&p.target);
    return exit_code;
}

int es_cmd_plan(int argc, char **argv)
{
    const char *path = NULL, *limit = NULL;
    struct es_opt_list sets = {0};
    bool json = false, no_retry_failed = false;
    double time_limit_s = (double)NAN;
    const struct es_opt table[] = {
        {"time-limit", "TIME", "how many workers end within it: 12h, 1-00:00:00", NULL, &limit,
         NULL},
        {"no-retry-failed", NULL, "the failed ones are left as they are, as by run",
         &no_retry_failed, NULL, NULL},
        {"json", NULL, "one JSON document on stdout", &json, NULL, NULL},
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep plan [OPTION]... RUN_DIR|JOB",
        .summary =
            "Tells what is done, pending and failed, and predicts the wall time of the rest for\n"
            "1 to 64 workers. A run folder that the old array scripts left needs no job file.\n"
            "Nothing is written.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &path);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK && limit && !es_parse_duration(limit, &time_limit_s)) {
        es_say("reading the command line: --time-limit: expected a time such as 90m, 12h or "
               "1-00:00:00, found \"%s\"",
               limit);
        exit_code = ES_EXIT_USAGE;
    } else if (result == ES_OPT_OK) {
        exit_code = plan(path, &sets, time_limit_s, !no_retry_failed, json);
    }
    es_opt_list_clear(&sets);
    return exit_code;
}
