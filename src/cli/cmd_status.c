#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "cli/view.h"
#include "cli/watch.h"
#include "core/num.h"

#include <stdlib.h>
#include <string.h>

#define INTERVAL_S 2.0
#define INTERVAL_LEAST_S 0.1
#define INTERVAL_MOST_S 86400.0

struct status_options {
    const char *path;
    const char *interval;
    struct es_opt_list sets;
    bool json;
    bool prometheus;
    bool watch;
    double interval_s;
};

static enum es_opt_result parse(int argc, char **argv, struct status_options *options)
{
    const struct es_opt table[] = {
        {"json", NULL, "one JSON document on stdout", &options->json, NULL, NULL},
        {"prometheus", NULL, "metrics for node_exporter's textfile collector, on stdout",
         &options->prometheus, NULL, NULL},
        {"watch", NULL, "show it live, until the run ends; a line each time without a terminal",
         &options->watch, NULL, NULL},
        {"interval", "SECONDS", "with --watch: look so often (2)", NULL, &options->interval, NULL},
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &options->sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep status [OPTION]... RUN_DIR|JOB",
        .summary =
            "Tells what is done by checkpoint, whether a driver is at work, how fast, why units\n"
            "failed, and what is blocked or quarantined. Works on any node that sees the run\n"
            "folder. --watch and --prometheus take the driver's word (status.json) instead of\n"
            "looking at every marker.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &options->path);
    options->interval_s = INTERVAL_S;
    if (result != ES_OPT_OK)
        return result;
    if (options->json + options->prometheus + options->watch > 1) {
        es_say("reading the command line: --json, --prometheus and --watch: only one of them");
        return ES_OPT_BAD;
    }
    if (options->interval && !options->watch) {
        es_say("reading the command line: --interval: goes with --watch only");
        return ES_OPT_BAD;
    }
    if (options->interval &&
        (!es_parse_duration(options->interval, &options->interval_s) ||
         options->interval_s < INTERVAL_LEAST_S || options->interval_s > INTERVAL_MOST_S)) {
        es_say("reading the command line: --interval: expected 0.1 to 86400 seconds");
        return ES_OPT_BAD;
    }
    return ES_OPT_OK;
}

static int print_scan(const struct status_options *options)
{
    struct es_err err = {0};
    struct es_view view;
    int exit_code = ES_EXIT_OK;
    if (es_view_scan(options->path, &options->sets, &view, &err) < 0) {
        exit_code = es_say_error(&err);
    } else {
        es_target_say_findings(&view.target, &view.summary);
        if (options->json)
            es_view_print_json(&view);
        else if (options->prometheus)
            es_view_print_prometheus(&view);
        else
            es_view_print_text(&view);
    }
    es_view_clear(&view);
    return exit_code;
}

/* From status.json; from the markers where there is none. */
static int print_prometheus(const struct status_options *options)
{
    struct es_err err = {0};
    struct es_view view = {0};
    struct es_drivers *drivers = NULL;
    char *run_dir = NULL;
    int rc = es_target_find(options->path, &options->sets, &run_dir, &err);
    if (rc == 0)
        rc = es_drivers_create(run_dir, "", ES_LOCK_STALE_S, &drivers, &err);
    if (rc < 0) {
        free(run_dir);
        return es_say_error(&err);
    }
    rc = es_view_read(run_dir, drivers, &view, &err);
    if (rc == 0)
        es_view_print_prometheus(&view);
    es_view_clear(&view);
    es_drivers_free(drivers);
    free(run_dir);
    return rc == 0 ? ES_EXIT_OK : print_scan(options);
}

int es_cmd_status(int argc, char **argv)
{
    struct status_options options = {0};
    enum es_opt_result result = parse(argc, argv, &options);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK && options.watch)
        exit_code = es_watch_run(options.path, &options.sets, options.interval_s);
    else if (result == ES_OPT_OK && options.prometheus)
        exit_code = print_prometheus(&options);
    else if (result == ES_OPT_OK)
        exit_code = print_scan(&options);
    es_opt_list_clear(&options.sets);
    return exit_code;
}
