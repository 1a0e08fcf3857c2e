#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "evalsweep/jobfile.h"

#include <stdio.h>
#include <stdlib.h>

static void print_grid(const struct es_job *job)
{
    const struct es_grid *grid = job->grid;
    uint32_t nc = es_grid_n_checkpoints(grid), nl = es_grid_n_layers(grid),
             nt = es_grid_n_tasks(grid);
    char *run_dir = es_job_run_dir(job);
    printf("run          %s\n", run_dir ? run_dir : job->run.id);
    printf("layout       %s\n", job->layout);
    printf("checkpoints  %u: %s ... %s\n", nc, es_grid_checkpoint(grid, 0),
           es_grid_checkpoint(grid, nc - 1));
    printf("layers       %u: %d ... %d\n", nl, es_grid_layer(grid, 0), es_grid_layer(grid, nl - 1));
    printf("tasks        %u: %s ... %s\n", nt, es_grid_task(grid, 0), es_grid_task(grid, nt - 1));
    printf("units        %u, and %u excluded\n", es_grid_n_units(grid) - es_grid_n_excluded(grid),
           es_grid_n_excluded(grid));
    printf("evaluator   ");
    for (size_t i = 0; i < job->evaluator.n_command; i++)
        printf(" %s", job->evaluator.command[i]);
    printf("%s\n", job->evaluator.mode == ES_EVALUATOR_PERSISTENT ? " (persistent)"
                   : job->evaluator.mode == ES_EVALUATOR_ONE_SHOT ? " (once for each unit)"
                                                                  : " null");
    free(run_dir);
}

static int check(const char *path, const struct es_opt_list *sets, bool json)
{
    struct es_err err = {0};
    struct es_job *job = NULL;
    struct es_job_overrides overrides = {sets->values, sets->n, getenv("RUN_ID")};
    char *text = NULL;
    size_t n;
    int rc = es_job_load(path, &overrides, &job, &err);
    if (rc == 0 && json)
        rc = es_job_text(job, &text, &n, &err);
    if (rc == 0 && json)
        printf("%s\n", text);
    else if (rc == 0)
        print_grid(job);
    free(text);
    es_job_free(job);
    return rc < 0 ? es_say_error(&err) : ES_EXIT_OK;
}

int es_cmd_check(int argc, char **argv)
{
    const char *path = NULL;
    struct es_opt_list sets = {0};
    bool json = false;
    const struct es_opt table[] = {
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &sets},
        {"json", NULL, "print the job as it would run, as JSON", &json, NULL, NULL},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep check [OPTION]... JOB",
        .summary = "Validates the job file and prints the grid that it describes.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &path);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK)
        exit_code = check(path, &sets, json);
    es_opt_list_clear(&sets);
    return exit_code;
}
