#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "cli/target.h"
#include "evalsweep/export.h"

#include <errno.h>
#include <stdio.h>

static int write_stdout(void *context, const char *bytes, size_t n)
{
    (void)context;
    return fwrite(bytes, 1, n, stdout) == n ? 0 : -1;
}

static int export_csv(const char *path, const struct es_opt_list *sets)
{
    struct es_err err = {0};
    struct es_target target = {0};
    struct es_units *units = NULL;
    struct es_scan_summary summary = {0};
    int rc = es_target_open(path, sets, &target, &err);
    if (rc == 0)
        rc = es_target_scan(&target, true, &units, &summary, &err);
    if (rc == 0)
        rc = es_export_csv(units, write_stdout, NULL, &err);
    if (rc == 0 && fflush(stdout) != 0)
        rc = es_err_sys(&err, errno, "writing the export", "stdout");
    if (rc == 0)
        es_target_say_findings(&target, &summary);
    es_units_free(units);
    es_target_close(&target);
    return rc < 0 ? es_say_error(&err) : ES_EXIT_OK;
}

int es_cmd_export(int argc, char **argv)
{
    const char *path = NULL;
    struct es_opt_list sets = {0};
    const struct es_opt table[] = {
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep export [OPTION]... RUN_DIR|JOB",
        .summary =
            "Writes every metric of every finished unit to stdout, as a long CSV (RFC 4180).",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &path);
    int exit_code = result == ES_OPT_OK     ? export_csv(path, &sets)
                    : result == ES_OPT_HELP ? ES_EXIT_OK
                                            : ES_EXIT_USAGE;
    es_opt_list_clear(&sets);
    return exit_code;
}
