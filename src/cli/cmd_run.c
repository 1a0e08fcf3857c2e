#include "cli/commands.h"
#include "cli/driver.h"
#include "cli/ending.h"
#include "cli/say.h"
#include "exec/device.h"
#include "exec/guard.h"
#include "exec/slurm.h"
#include "mpi/pulse.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse(int argc, char **argv, struct es_run_options *options,
                 enum es_opt_result *ret_result)
{
    const struct es_opt table[] = {
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &options->sets},
        {"only", "AXIS=NAME,...",
         "run only these of checkpoint=, layer=, task=; \\, is a comma of a name", NULL, NULL,
         &options->only},
        {"join", NULL, "add this job's workers where another driver is at work on the run",
         &options->join, NULL, NULL},
        {"no-resume", NULL, "evaluate everything again", &options->no_resume, NULL, NULL},
        {"no-retry-failed", NULL, "do not retry units that failed for good in earlier runs",
         &options->no_retry_failed, NULL, NULL},
        {"accept-change", NULL, "go on although evaluator or layout changed",
         &options->accept_change, NULL, NULL},
        {"allow-cpu", NULL, "where no rank has a GPU, work without, whatever gpus_per_worker says",
         &options->allow_cpu, NULL, NULL},
        {"progress", "bar|lines|none", "how progress is shown on stderr", NULL, &options->progress,
         NULL},
        {"quiet", NULL, "only errors and the summary", &options->quiet, NULL, NULL},
        {"json", NULL, "at the end, one JSON document on stdout", &options->json, NULL, NULL},
    };
    const struct es_opt_spec spec = {
        .synopsis = "evalsweep run [OPTION]... JOB",
        .summary =
            "Evaluates every pending unit of the job: under srun --mpi=pmix or mpirun with a worker"
            "\non each rank, or alone. Run again with the same RUN_ID, it resumes.\n"
            "Exit codes: 0 all done, 1 some failed for good or are blocked, 2 usage, 3 another\n"
            "driver holds the run, 75 stopped early: time limit, signal or outage (submit again),\n"
            "70 internal.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    *ret_result = es_opt_parse(&spec, argc, argv, &options->job_path);
    return es_opt_exit_code(*ret_result);
}

static void look_around(struct es_hello *ret_hello)
{
    struct es_hello hello = {0};
    struct es_device_facts facts;
    cpu_set_t cpus;
    es_device_look(&facts);
    memcpy(hello.node, facts.node, sizeof hello.node);
    (void)gethostname(hello.host, sizeof hello.host - 1);
    hello.n_cpus = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (uint32_t)CPU_COUNT(&cpus) : 1;
    hello.n_cpus_node = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    memcpy(hello.device_variable, facts.variable, sizeof hello.device_variable);
    memcpy(hello.device_visible, facts.visible, sizeof hello.device_visible);
    hello.device_per_task = facts.per_task;
    hello.n_devices_found = facts.n_found;
    *ret_hello = hello;
}

/* srun started several tasks, and MPI knows of one: each would run the whole job. */
static int check_launcher(const struct es_transport *mpi, struct es_err *err)
{
    const char *n_tasks = getenv("SLURM_STEP_NUM_TASKS");
    if (!getenv("SLURM_PROCID") || !n_tasks || strcmp(n_tasks, "1") == 0 || (mpi && mpi->size > 1))
        return 0;
    return es_err_set(err, ES_ERR_USAGE, "starting under srun", NULL,
                      "srun started %s tasks that do not know of each other: use srun --mpi=pmix",
                      n_tasks);
}

static const struct es_pulse_limits rank_0_limits = {.beat_s = ES_BEAT_INTERVAL_S,
                                                     .suspect_s = (double)INFINITY,
                                                     .given_up_s = ES_COORDINATOR_SILENT_S};

/* Rank 0 is not there any more, or is to do without this rank. */
static struct es_part end_without_rank_0(const struct es_transport *mpi, const struct es_err *err)
{
    char text[1100];
    es_err_text(err, text, sizeof text);
    es_say_from_here("rank %u: %s", mpi->rank, text);
    return (struct es_part){.exit = {.code = ES_EXIT_INTERNAL}, .is_abandoned = true};
}

static struct es_part run_other_rank(const struct es_launch *launch, struct es_transport *mpi,
                                     struct es_bridge *bridge)
{
    struct es_part part = {0};
    struct es_err err = {0};
    int signal_fd = es_signal_open_drain();
    if (es_bridge_run(bridge, signal_fd, launch->is_srun, &rank_0_limits, &part.exit, &err) < 0)
        part = end_without_rank_0(mpi, &err);
    es_fd_close(&signal_fd);
    return part;
}

/* This rank cannot take part. The others, which do not know it yet, must end too. */
static struct es_part fail_to_start(struct es_transport *mpi, const struct es_err *err)
{
    char why[1024];
    struct es_part part = {.exit = {.code = (uint8_t)es_say_error(err), .is_whole = true}};
    struct es_err wait_err = {0};
    es_err_text(err, why, sizeof why);
    if (mpi && mpi->rank == 0)
        es_coordinator_send_exit(mpi, &part.exit);
    else if (mpi && es_bridge_refuse(mpi, why, &rank_0_limits, &part.exit, &wait_err) < 0)
        part = end_without_rank_0(mpi, &wait_err);
    return part;
}

static int start_mpi(struct es_process_end *end, struct es_transport **ret_mpi, struct es_err *err)
{
    struct es_watchdog *watchdog = es_ending_limit_start(end);
    int rc = es_mpi_start(ret_mpi, err);
    es_watchdog_stop(watchdog);
    return rc;
}

static void finish_mpi(struct es_process_end *end, struct es_transport *mpi,
                       const struct es_part *part, int exit_code)
{
    if (part->is_abandoned)
        es_ending_now(end, exit_code);
    struct es_watchdog *watchdog = es_ending_limit_finish(end, part->exit.is_whole, &exit_code);
    es_mpi_finish(mpi);
    es_watchdog_stop(watchdog);
}

static int run_job(const struct es_run_options *options, struct es_process_end *end)
{
    struct es_err err = {0};
    struct es_ui ui;
    struct es_transport *mpi = NULL;
    struct es_bridge *bridge = NULL;
    struct es_hello hello;
    struct es_launch launch = {.started_s = es_clock_mono_s(),
                               .by_mpi = es_mpi_is_launched(),
                               .is_srun = es_slurm_is_srun()};
    struct es_part part;
    if (!es_ui_choose(options->progress, launch.by_mpi, options->quiet, &ui)) {
        es_say("reading the command line: --progress: expected bar, lines or none");
        es_ending_leave_word(end, ES_EXIT_USAGE, false);
        return ES_EXIT_USAGE;
    }
    es_signal_block();
    int rc = es_guard_start(&err);
    es_say_start_queue(); /* after the guard, which is forked off: no thread before that */
    if (rc == 0 && launch.by_mpi)
        rc = start_mpi(end, &mpi, &err);
    if (rc == 0)
        rc = check_launcher(mpi, &err);
    if (rc == 0)
        rc = es_bridge_create(mpi, &bridge, &err);
    if (rc == 0) {
        look_around(&hello);
        if (es_bridge_greet(bridge, &hello) < 0)
            rc = es_err_nomem(&err, "greeting rank 0");
    }
    if (rc < 0)
        part = fail_to_start(mpi, &err);
    else if (mpi && mpi->rank > 0)
        part = run_other_rank(&launch, mpi, bridge);
    else
        part = es_driver_run(options, &launch, bridge, &ui);
    es_ending_leave_word(end, part.exit.code, part.exit.is_whole);
    es_bridge_free(bridge);
    if (mpi)
        finish_mpi(end, mpi, &part, part.exit.code);
    if (part.is_left)
        es_ending_now(end, part.exit.code);
    return part.exit.code;
}

int es_cmd_run(int argc, char **argv)
{
    struct es_run_options options = {0};
    struct es_process_end end;
    enum es_opt_result result;
    es_ending_init(&end);
    int exit_code = parse(argc, argv, &options, &result);
    if (result == ES_OPT_OK)
        exit_code = run_job(&options, &end);
    else
        es_ending_leave_word(&end, exit_code, false);
    es_opt_list_clear(&options.sets);
    es_opt_list_clear(&options.only);
    int error = es_say_end_queue();
    if (error) {
        es_say("writing to standard output: %s",
               error == ETIMEDOUT ? "nobody read it" : strerror(error));
        exit_code = exit_code == ES_EXIT_OK ? ES_EXIT_INTERNAL : exit_code;
    }
    exit_code = es_ending_code(&end, exit_code);
    es_ending_clear(&end);
    return exit_code;
}
