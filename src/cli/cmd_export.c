#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "cli/target.h"
#include "evalsweep/export.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int write_stdout(void *context, const char *bytes, size_t n)
{
    (void)context;
    return fwrite(bytes, 1, n, stdout) == n ? 0 : -1;
}

static int export_table(const char *path, const struct es_opt_list *sets,
                        const struct es_export *request)
{
    struct es_err err = {0};
    struct es_target target = {0};
    struct es_units *units = NULL;
    struct es_scan_summary summary = {0};
    int rc = es_target_open(path, sets, &target, &err);
    if (rc == 0)
        rc = es_target_scan(&target, true, &units, &summary, &err);
    if (rc == 0)
        rc = es_export_table(request, units, write_stdout, NULL, &err);
    if (rc == 0 && fflush(stdout) != 0)
        rc = es_err_sys(&err, errno, "writing the export", "stdout");
    if (rc == 0)
        es_target_say_findings(&target, &summary);
    es_units_free(units);
    es_target_close(&target);
    return rc < 0 ? es_say_error(&err) : ES_EXIT_OK;
}

static bool take_format(const char *text, enum es_export_format *ret_format)
{
    if (strcmp(text, "csv") == 0)
        *ret_format = ES_EXPORT_CSV;
    else if (strcmp(text, "jsonl") == 0)
        *ret_format = ES_EXPORT_JSONL;
    else
        es_say("reading the command line: --format: expected csv or jsonl, not %s", text);
    return strcmp(text, "csv") == 0 || strcmp(text, "jsonl") == 0;
}

int es_cmd_export(int argc, char **argv)
{
    const char *path = NULL, *format = "csv";
    struct es_opt_list sets = {0}, metrics = {0};
    struct es_export request = {0};
    const struct es_opt table[] = {
        {"format", "csv|jsonl", "CSV (the default), or a JSON object a line", NULL, &format, NULL},
        {"metric", "NAME", "only this metric, or main_score; may be repeated", NULL, NULL,
         &metrics},
        {"wide", NULL, "a line for each unit, a column for each metric", &request.is_wide, NULL,
         NULL},
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep export [OPTION]... RUN_DIR|JOB",
        .summary = "Writes every metric of every finished unit to stdout: a line for each, as CSV\n"
                   "(RFC 4180).",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &path);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK && !take_format(format, &request.format)) {
        exit_code = ES_EXIT_USAGE;
    } else if (result == ES_OPT_OK) {
        request.metrics = metrics.values;
        request.n_metrics = metrics.n;
        exit_code = export_table(path, &sets, &request);
    }
    es_opt_list_clear(&metrics);
    es_opt_list_clear(&sets);
    return exit_code;
}
