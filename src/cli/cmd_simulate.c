#include "cli/commands.h"
#include "cli/json_out.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "cli/target.h"
#include "cli/ui.h"
#include "core/mem.h"
#include "core/num.h"
#include "evalsweep/sim.h"
#include "evalsweep/synthetic.h"
#include "run/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_S 0.001
#define DEFAULT_LOAD_S 30.0
#define SLOW_LOAD_FACTOR 4.0
/* A unit that fails does so early, mostly: in this part of the time that it would take. */
#define DEFAULT_FAULT_TAKES 0.1

struct simulate_options {
    const char *job_path;
    const char *workers, *policy, *trace, *synthetic, *known, *slow_loads, *slow_nodes;
    struct es_opt_list sets;
    struct es_opt_list faults;
    const char *fault_takes;
    bool json;
};

/* The same as numbers, and what they need. */
struct simulation {
    struct es_job *job;
    struct es_cost *cost;
    struct es_sim_config config;
    struct es_sim_times times;
    float *unit_s;    /* of a trace, owned */
    double *load_s;   /* of a trace, owned */
    uint8_t *pending; /* [n_units] */
    struct es_synthetic *synthetic;
    struct es_sim_fault *faults; /* [config.n_faults] */
    struct es_sim_result result;
};

static int bad_option(const char *name, const char *expected, const char *found, struct es_err *err)
{
    return es_err_set(err, ES_ERR_USAGE, "reading the command line", name,
                      "expected %s, found \"%s\"", expected, found);
}

static int read_share(const char *name, const char *text, double *ret_share, struct es_err *err)
{
    *ret_share = 0;
    if (text && (!es_parse_double(text, ret_share) || *ret_share < 0 || *ret_share > 1))
        return bad_option(name, "a share from 0 to 1", text, err);
    return 0;
}

static int read_numbers(const struct simulate_options *options, struct simulation *s,
                        struct es_synthetic_config *synthetic, struct es_err *err)
{
    int64_t n_workers = 16, seed = 0;
    s->config.sched.policy = s->job->schedule.policy;
    if (options->workers &&
        (!es_parse_int(options->workers, &n_workers) || n_workers < 1 || n_workers > 1000000))
        return bad_option("--workers", "a number of workers", options->workers, err);
    if (options->synthetic && (!es_parse_int(options->synthetic, &seed) || seed < 0))
        return bad_option("--synthetic", "a seed, 0 or more", options->synthetic, err);
    if (options->policy) {
        size_t p = 0;
        while (p < ES_N_POLICIES && strcmp(es_policy_names[p], options->policy) != 0)
            p++;
        if (p == ES_N_POLICIES)
            return bad_option("--policy", "affine, lpt, fifo or static", options->policy, err);
        s->config.sched.policy = (enum es_policy)p;
    }
    s->config.n_workers = (uint32_t)n_workers;
    s->config.sched.n_static = (uint32_t)n_workers;
    synthetic->seed = (uint64_t)seed;
    int rc = read_share("--slow-loads", options->slow_loads, &synthetic->slow_load_share, err);
    return rc < 0
               ? rc
               : read_share("--slow-nodes", options->slow_nodes, &synthetic->slow_node_share, err);
}

/* Cuts ",key=value" off the end of a fault's text, if its key is one of a fault's; else false. */
static bool cut_setting(char *text, struct es_sim_fault *fault, bool *ret_is_bad)
{
    char *comma = strrchr(text, ',');
    const struct {
        const char *key;
        double *value;
    } settings[] = {
        {"after=", &fault->after_s}, {"for=", &fault->for_s}, {"share=", &fault->share}};
    for (size_t i = 0; comma && i < sizeof settings / sizeof settings[0]; i++) {
        size_t n = strlen(settings[i].key);
        if (strncmp(comma + 1, settings[i].key, n) != 0)
            continue;
        *ret_is_bad |= !es_parse_double(comma + 1 + n, settings[i].value) || *settings[i].value < 0;
        *comma = '\0';
        return true;
    }
    return false;
}

/* "task=STS13", "worker=3,after=600", "outage,after=3600,for=600", "unit,share=0.001". */
static int read_fault(const char *value, const struct simulation *s, struct es_sim_fault *ret_fault,
                      struct es_err *err)
{
    static const char *const kinds[ES_N_FAULT_KINDS] = {[ES_FAULT_TASK] = "task=",
                                                        [ES_FAULT_CHECKPOINT] = "checkpoint=",
                                                        [ES_FAULT_WORKER] = "worker=",
                                                        [ES_FAULT_UNIT] = "unit",
                                                        [ES_FAULT_OUTAGE] = "outage"};
    struct es_sim_fault fault = {.for_s = (double)INFINITY, .share = 0};
    const struct es_grid *grid = s->job->grid;
    bool is_bad = false, is_known = false;
    char *text = es_mem_strdup(value);
    int64_t worker;
    if (!text)
        return es_err_nomem(err, "reading the command line");
    while (cut_setting(text, &fault, &is_bad))
        continue;
    for (int kind = 0; kind < ES_N_FAULT_KINDS && !is_known; kind++) {
        size_t n = strlen(kinds[kind]);
        const char *name = text + n;
        if (strncmp(text, kinds[kind], n) != 0)
            continue;
        fault.kind = (enum es_sim_fault_kind)kind;
        if (fault.kind == ES_FAULT_TASK)
            fault.index = es_grid_find_task(grid, name);
        else if (fault.kind == ES_FAULT_CHECKPOINT)
            fault.index = es_grid_find_checkpoint(grid, name);
        else if (fault.kind == ES_FAULT_WORKER)
            fault.index = es_parse_int(name, &worker) && worker >= 0 && worker < s->config.n_workers
                              ? (uint32_t)worker
                              : ES_GRID_NONE;
        is_known = fault.index != ES_GRID_NONE && (kind < ES_FAULT_UNIT || !name[0]);
    }
    free(text);
    if (is_bad || !is_known || fault.share > 1)
        return bad_option(
            "--fault",
            "task=NAME, checkpoint=NAME or worker=N of this job, \"unit,share=PART\", "
            "or outage; then ,after=S and ,for=S",
            value, err);
    *ret_fault = fault;
    return 0;
}

static int read_faults(const struct simulate_options *options, struct simulation *s,
                       struct es_err *err)
{
    s->config.fault_takes = DEFAULT_FAULT_TAKES;
    if (options->fault_takes &&
        read_share("--fault-takes", options->fault_takes, &s->config.fault_takes, err) < 0)
        return ES_ERR_USAGE;
    s->faults = es_mem_calloc(options->faults.n, sizeof *s->faults);
    if (!s->faults)
        return es_err_nomem(err, "reading the command line");
    s->config.faults = s->faults;
    for (size_t i = 0; i < options->faults.n; i++) {
        int rc = read_fault(options->faults.values[i], s, &s->faults[i], err);
        if (rc < 0)
            return rc;
        s->config.n_faults++;
    }
    return 0;
}

static int use_trace(const char *path, double load_s, struct simulation *s, struct es_err *err)
{
    const struct es_grid *grid = s->job->grid;
    uint32_t n_units = es_grid_n_units(grid), n_left_out = 0, n_outside;
    s->unit_s = es_mem_calloc(n_units, sizeof *s->unit_s);
    s->load_s = es_mem_calloc(es_grid_n_checkpoints(grid), sizeof *s->load_s);
    if (!s->unit_s || !s->load_s)
        return es_err_nomem(err, "reading the trace");
    int rc = es_trace_read(path, grid, s->unit_s, &n_outside, err);
    if (rc < 0)
        return rc;
    for (uint32_t c = 0; c < es_grid_n_checkpoints(grid); c++)
        s->load_s[c] = load_s;
    for (uint32_t id = 0; id < n_units; id++)
        if (s->pending[id] && isnan(s->unit_s[id])) {
            s->pending[id] = 0;
            n_left_out++;
        }
    if (n_outside || n_left_out)
        es_say("%s: %u rows are outside the grid, and %u units of the grid are not in it: both are "
               "left out",
               path, n_outside, n_left_out);
    s->times = (struct es_sim_times){.unit_s = s->unit_s, .load_s = s->load_s};
    return 0;
}

/* Shows the cost model one checkpoint's times, whose units then do not run. */
static int make_known(const char *name, struct simulation *s, struct es_err *err)
{
    const struct es_grid *grid = s->job->grid;
    uint32_t checkpoint = es_grid_find_checkpoint(grid, name);
    if (checkpoint == ES_GRID_NONE)
        return es_err_set(err, ES_ERR_USAGE, "reading the command line", "--known",
                          "the grid has no checkpoint \"%s\"", name);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        if (es_grid_unit(grid, id).checkpoint != checkpoint || !s->pending[id])
            continue;
        struct es_times times = {.total_s = (double)s->times.unit_s[id],
                                 .load_s = (double)NAN,
                                 .pass_s = (double)NAN,
                                 .score_s = (double)NAN};
        es_cost_observe(s->cost, ES_COST_EARLIER, id, &times, ES_COST_PAID_NOTHING);
        s->pending[id] = 0;
    }
    return 0;
}

static int simulate(const struct simulate_options *options, struct simulation *s,
                    struct es_err *err)
{
    struct es_job_overrides overrides = {options->sets.values, options->sets.n, getenv("RUN_ID")};
    struct es_synthetic_config synthetic = {.slow_load_factor = SLOW_LOAD_FACTOR};
    int rc = es_job_load(options->job_path, &overrides, &s->job, err);
    if (rc == 0)
        rc = read_numbers(options, s, &synthetic, err);
    if (rc == 0)
        rc = read_faults(options, s, err);
    if (rc < 0)
        return rc;
    const struct es_grid *grid = s->job->grid;
    double load_s = s->job->schedule.checkpoint_load_s;
    synthetic.load_s = isnan(load_s) ? DEFAULT_LOAD_S : load_s;
    synthetic.pass_share = s->job->schedule.pass_share;
    struct es_cost_hints hints = {load_s, synthetic.pass_share, s->job->schedule.task_cost_s};
    s->config.sched.max_attempts = s->job->evaluator.retries + 1;
    s->config.sched.retry_delay_s = ES_SCHED_RETRY_DELAY_S;
    s->config.sched.max_bundles_failed = s->job->limits.max_consecutive_failures;
    s->config.outage_s = s->job->limits.outage_s;
    s->config.sched.prefetch_s = ES_SCHED_PREFETCH_S;
    s->config.message_s = MESSAGE_S;
    s->pending = es_mem_calloc(es_grid_n_units(grid), 1);
    if (!s->pending)
        return es_err_nomem(err, "simulating");
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++)
        s->pending[id] = !es_grid_is_excluded(grid, id);
    rc = es_cost_create(grid, &hints, &s->cost, err);
    if (rc == 0 && options->trace) {
        rc = use_trace(options->trace, synthetic.load_s, s, err);
    } else if (rc == 0) {
        rc = es_synthetic_create(grid, s->config.n_workers, &synthetic, &s->synthetic, err);
        if (rc == 0) {
            s->times = es_synthetic_times(s->synthetic);
            s->config.speed = es_synthetic_speeds(s->synthetic);
        }
    }
    if (rc == 0 && options->known)
        rc = make_known(options->known, s, err);
    if (rc == 0)
        rc = es_sim_run(grid, s->pending, s->cost, &s->times, &s->config, &s->result, err);
    return rc;
}

static void print_json(const struct simulation *s)
{
    const struct es_sim_result *result = &s->result;
    struct es_buf text = {0};
    es_buf_printf(&text, "{\"policy\":\"%s\",\"workers\":%u,\"units\":%llu,\"makespan_s\":",
                  es_policy_names[s->config.sched.policy], s->config.n_workers,
                  (unsigned long long)result->n_units_done);
    es_buf_json_double(&text, result->makespan_s);
    es_buf_puts(&text, ",\"lower_bound_s\":");
    es_buf_json_double(&text, result->lower_bound_s);
    es_buf_puts(&text, ",\"ratio\":");
    es_buf_json_double(&text, result->makespan_s / result->lower_bound_s);
    es_buf_puts(&text, ",\"work_s\":");
    es_buf_json_double(&text, result->work_s);
    es_buf_puts(&text, ",\"load_s\":");
    es_buf_json_double(&text, result->load_s);
    es_buf_puts(&text, ",\"idle_s\":");
    es_buf_json_double(&text, result->idle_s);
    es_buf_puts(&text, ",\"eta_good\":");
    es_buf_json_double(&text, result->eta_good);
    es_buf_puts(&text, ",\"failed_s\":");
    es_buf_json_double(&text, result->failed_s);
    es_buf_printf(
        &text,
        ",\"failed\":%llu,\"blocked\":%llu,\"failed_attempts\":%llu,"
        "\"failed_attempts_most\":%llu,\"failed_attempts_most_unit\":%llu,"
        "\"failed_attempts_most_checkpoint\":%llu",
        (unsigned long long)result->n_units_failed, (unsigned long long)result->n_units_blocked,
        (unsigned long long)result->n_failed_tries, (unsigned long long)result->n_failed_tries_most,
        (unsigned long long)result->n_failed_tries_most_unit,
        (unsigned long long)result->n_failed_tries_most_checkpoint);
    es_buf_printf(&text, ",\"checkpoint_loads\":%llu,\"messages\":%llu}",
                  (unsigned long long)result->n_loads, (unsigned long long)result->n_messages);
    es_json_out(&text);
}

static void print_text(const struct simulation *s)
{
    const struct es_sim_result *result = &s->result;
    char makespan[32], bound[32];
    es_ui_duration(result->makespan_s, makespan);
    es_ui_duration(result->lower_bound_s, bound);
    double capacity_s = s->config.n_workers * result->makespan_s;
    printf("policy       %s\nworkers      %u\nunits        %llu\n"
           "makespan     %s (%.3f times the lower bound of %s)\n"
           "idle         %.2f %% of the workers' time\n"
           "loads        %llu checkpoints, %.2f %% of the time\nmessages     %llu\n"
           "ETA          within 10 %% for %.0f %% of the time from 20 %% on\n",
           es_policy_names[s->config.sched.policy], s->config.n_workers,
           (unsigned long long)result->n_units_done, makespan,
           result->makespan_s / result->lower_bound_s, bound, 100 * result->idle_s / capacity_s,
           (unsigned long long)result->n_loads, 100 * result->load_s / capacity_s,
           (unsigned long long)result->n_messages, 100 * result->eta_good);
    if (s->config.n_faults > 0)
        printf(
            "faults       %llu units failed, %llu blocked; %llu failed attempts (%llu on one "
            "worker) took %.3f %% of the time\n",
            (unsigned long long)result->n_units_failed, (unsigned long long)result->n_units_blocked,
            (unsigned long long)result->n_failed_tries,
            (unsigned long long)result->n_failed_tries_most, 100 * result->failed_s / capacity_s);
}

static int simulate_and_print(const struct simulate_options *options)
{
    struct es_err err = {0};
    struct simulation s = {0};
    int exit_code = ES_EXIT_OK;
    if (simulate(options, &s, &err) < 0)
        exit_code = es_say_error(&err);
    else if (options->json)
        print_json(&s);
    else
        print_text(&s);
    es_synthetic_free(s.synthetic);
    es_cost_free(s.cost);
    free(s.unit_s);
    free(s.load_s);
    free(s.faults);
    free(s.pending);
    es_job_free(s.job);
    return exit_code;
}

int es_cmd_simulate(int argc, char **argv)
{
    struct simulate_options options = {0};
    const struct es_opt table[] = {
        {"workers", "N", "how many workers (16)", NULL, &options.workers, NULL},
        {"policy", "affine|lpt|fifo|static", "in place of the job file's", NULL, &options.policy,
         NULL},
        {"trace", "FILE", "CSV of checkpoint, layer, task, seconds; an export will do", NULL,
         &options.trace, NULL},
        {"synthetic", "SEED", "made-up times of a sweep's shape, without a trace (0)", NULL,
         &options.synthetic, NULL},
        {"known", "CHECKPOINT", "its times are known beforehand, and it is not run", NULL,
         &options.known, NULL},
        {"slow-loads", "SHARE", "synthetic: share of checkpoints four times as slow to load", NULL,
         &options.slow_loads, NULL},
        {"slow-nodes", "SHARE", "synthetic: share of workers half as fast", NULL,
         &options.slow_nodes, NULL},
        {"fault", "FAULT",
         "what fails: task=, checkpoint=, worker=, outage or unit,share= (man page)", NULL, NULL,
         &options.faults},
        {"fault-takes", "PART", "part of a unit's time after which it fails (0.1)", NULL,
         &options.fault_takes, NULL},
        {"json", NULL, "one JSON document on stdout", &options.json, NULL, NULL},
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &options.sets},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep simulate [OPTION]... JOB",
        .summary =
            "Runs the scheduler on a virtual clock over the job's whole grid, with the times of a\n"
            "trace or made-up ones, and tells makespan, lower bound, idle time and loads.\n"
            "schedule.checkpoint_load_s is what a load takes (30 s if not set).",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    enum es_opt_result result = es_opt_parse(&spec, argc, argv, &options.job_path);
    int exit_code = es_opt_exit_code(result);
    if (result == ES_OPT_OK)
        exit_code = simulate_and_print(&options);
    es_opt_list_clear(&options.sets);
    es_opt_list_clear(&options.faults);
    return exit_code;
}
