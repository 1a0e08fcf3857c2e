#include "cli/change.h"
#include "cli/commands.h"
#include "cli/ending.h"
#include "cli/forecast.h"
#include "cli/json_out.h"
#include "cli/opt.h"
#include "cli/provenance.h"
#include "cli/reuse.h"
#include "cli/say.h"
#include "cli/target.h"
#include "cli/ui.h"
#include "core/mem.h"
#include "evalsweep/cost.h"
#include "evalsweep/store.h"
#include "exec/device.h"
#include "exec/evaluator.h"
#include "exec/slurm.h"
#include "mpi/bridge.h"
#include "mpi/coordinator.h"
#include "mpi/pulse.h"
#include "mpi/recorder.h"
#include "mpi/vigil.h"
#include "run/folder.h"
#include "run/keeper.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A signal that comes before the first unit: what is being done (a scan, a wait for the lock) gets
 * so long to end, and is left otherwise. */
#define PREPARE_PATIENCE_S 1.0

struct run_options {
    const char *job_path;
    const char *progress;
    struct es_opt_list sets;
    struct es_opt_list only;
    bool json;
    bool quiet;
    bool join;
    bool no_resume;
    bool no_retry_failed;
    bool accept_change;
    bool allow_cpu;
};

/* How this process came to be. */
struct launch {
    double started_s;
    bool by_mpi;
    bool is_srun;
};

/* Everything of rank 0. */
struct driver {
    const struct run_options *options;
    struct es_ui ui;
    struct es_bridge *bridge; /* the main thread's: preparing may go on when it is gone */
    uint32_t n_ranks;
    struct es_target target;
    struct es_units *units;
    struct es_scan_summary summary;
    struct es_selection selection;
    uint32_t *pending;
    uint32_t n_pending;
    struct es_cost *cost;
    struct es_lock *lock;
    struct es_keeper *keeper;
    bool has_joined;     /* another driver owned the run when this one came */
    int64_t started_ns;  /* of the run */
    int64_t previous_ns; /* of its start before this one; INT64_MAX: there was none */
    struct es_company_config company;
    struct es_recorder *recorder;
    struct es_counts counts; /* when it started */
    char run_dir[PATH_MAX];  /* absolute */
    struct es_provenance provenance;
    const struct launch *launch;
    double started_s; /* the process: the job's time counts from there */
    double begun_s;   /* rank 0's work, when MPI was there: wall_s counts from there */
    struct es_slurm *slurm;
    int signal_fd;
    int prepared_rc;
    struct es_err prepare_fault;
    bool is_left; /* its thread still prepares: nothing here may be touched any more */
    struct es_coordinator_outcome outcome;
    struct es_err end_fault; /* of what the recorder wrote last; code 0: none */
};

static int parse(int argc, char **argv, struct run_options *options, enum es_opt_result *ret_result)
{
    const struct es_opt table[] = {
        {"set", "A.B=JSON", "override a value of the job file", NULL, NULL, &options->sets},
        {"only", "AXIS=NAME,...",
         "run only these of checkpoint=, layer=, task=; \\, is a comma of a name", NULL, NULL,
         &options->only},
        {"join", NULL, "add this job's workers where another driver is at work on the run",
         &options->join, NULL, NULL},
        {"no-resume", NULL, "evaluate everything again", &options->no_resume, NULL, NULL},
        {"no-retry-failed", NULL, "leave units alone that failed for good in an earlier start",
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
            "Exit codes: 0 all done, 1 some failed for good, 2 usage, 3 another driver holds the\n"
            "run, 75 stopped early (submit again), 70 internal.",
        .options = table,
        .n_options = sizeof table / sizeof table[0],
        .n_operands = 1,
    };
    *ret_result = es_opt_parse(&spec, argc, argv, &options->job_path);
    return *ret_result == ES_OPT_OK ? 0 : *ret_result == ES_OPT_HELP ? ES_EXIT_OK : ES_EXIT_USAGE;
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

/* --- Rank 0, before the start --- */

/* Whether a driver beside this one can see what is done: without markers it cannot. */
static bool can_share(const struct driver *d)
{
    const struct es_job *job = d->target.job;
    return job->evaluator.mode != ES_EVALUATOR_NULL || job->evaluator.null_markers;
}

/* Takes the run's lock, or joins who has it. */
static int enter_run(struct driver *d, struct es_err *err)
{
    int rc = es_target_enter(&d->target, d->options->join, &d->lock, err);
    if (rc == ES_ERR_BUSY && !d->options->join)
        es_say("`evalsweep run --join` adds this job's workers to a run in progress");
    if (rc < 0)
        return rc;
    d->has_joined = !es_lock_owns(d->lock);
    return es_keeper_start(d->lock, ES_LOCK_BEAT_S, &d->keeper, err);
}

/* What other runs have finished counts here, before anybody joins. */
static int reuse(struct driver *d, struct es_err *err)
{
    if (d->target.job->run.n_reuse == 0)
        return 0;
    int rc = es_folder_epoch(d->target.run_dir, &d->target.not_before_ns, err);
    return rc < 0
               ? rc
               : es_reuse_take_all(&d->target, d->options->accept_change, d->options->quiet, err);
}

/* The owner starts the run: what it leaves here is what others join. */
static int start_run(struct driver *d, struct es_err *err)
{
    if (es_folder_started(d->target.run_dir, &d->previous_ns, NULL) < 0)
        d->previous_ns = INT64_MAX;
    int rc = es_folder_write_job(d->target.run_dir, d->provenance.job_text,
                                 d->provenance.job_text_n, err);
    if (rc == 0 && (d->options->no_resume || !d->target.job->run.resume))
        rc = es_folder_begin_epoch(d->target.run_dir, getenv("SLURM_JOB_ID"), err);
    if (rc == 0)
        rc = reuse(d, err);
    if (rc == 0 && can_share(d))
        es_lock_set_ready(d->lock);
    return rc;
}

static int open_run_folder(struct driver *d, struct es_err *err)
{
    int rc = es_folder_make(d->target.run_dir, err);
    if (rc == 0)
        rc = enter_run(d, err);
    if (rc == 0) {
        if (!d->has_joined)
            es_folder_sweep(d->target.run_dir);
        rc = d->has_joined ? 0 : es_reuse_check(&d->target, err); /* before anything is written */
    }
    if (rc == 0)
        rc = es_change_check(d->target.run_dir, d->target.job, d->options->accept_change,
                             "resuming the run",
                             "the evaluator or layout changed: --accept-change goes on all the "
                             "same, another RUN_ID begins afresh",
                             err);
    if (rc == 0)
        rc = es_provenance_init(&d->provenance, &d->target, err);
    if (rc == 0 && !d->has_joined)
        rc = start_run(d, err);
    if (rc == 0)
        rc = es_provenance_add_adopted(&d->provenance, &d->target, err);
    if (rc == 0)
        rc = es_folder_epoch(d->target.run_dir, &d->target.not_before_ns, err);
    if (rc == 0)
        rc = es_folder_started(d->target.run_dir, &d->started_ns, err);
    /* What failed for good in this run did so for all of its drivers. */
    if (d->has_joined && !d->options->no_retry_failed)
        d->target.failed_not_before_ns = d->started_ns;
    if (rc == 0 && !realpath(d->target.run_dir, d->run_dir))
        rc = es_err_sys(err, errno, "opening the run folder", d->target.run_dir);
    return rc;
}

static int read_only(struct driver *d, struct es_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < d->options->only.n; i++)
        rc = es_selection_add_text(&d->selection, d->target.grid, d->options->only.values[i], err);
    return rc;
}

static int list_pending(struct driver *d, struct es_err *err)
{
    const struct es_grid *grid = d->target.grid;
    struct es_units_columns columns = es_units_columns(d->units);
    d->pending = es_mem_calloc(columns.n_units, sizeof *d->pending);
    if (!d->pending)
        return es_err_nomem(err, "listing the pending units");
    for (uint32_t id = 0; id < columns.n_units; id++)
        if (columns.status[id] == ES_STATUS_PENDING &&
            es_selection_has(&d->selection, es_grid_unit(grid, id)))
            d->pending[d->n_pending++] = id;
    return 0;
}

static int check_join(const struct driver *d, struct es_err *err)
{
    return d->options->join && !can_share(d)
               ? es_err_set(err, ES_ERR_USAGE, "joining the run", d->options->job_path,
                            "an evaluator of mode null without markers works alone")
               : 0;
}

/* The table of units is the recorder's from here on. */
static int start_recorder(struct driver *d, struct es_err *err)
{
    if (d->options->accept_change)
        es_provenance_add(&d->provenance, "accepted_change",
                          "evaluator or layout may differ from those the run was started with");
    d->company = (struct es_company_config){
        .lock = d->lock,
        .layout = d->target.layout,
        .pending = d->pending,
        .n_pending = d->n_pending,
        .not_before_ns = d->target.not_before_ns,
        .started_ns = d->started_ns,
        .previous_ns = d->previous_ns,
        .keeps_failed = d->options->no_retry_failed,
        .stale_s = ES_LOCK_STALE_S,
    };
    struct es_recorder_config recorder_config = {
        .units = d->units,
        .run_dir = d->run_dir,
        .keeper = d->keeper,
        .company = can_share(d) ? &d->company : NULL,
        .attributes = d->provenance.attributes,
        .n_attributes = d->provenance.n,
        .sync = d->target.job->run.fsync,
    };
    d->counts = es_units_count(d->units);
    return es_recorder_start(&recorder_config, &d->recorder, err);
}

static int prepare(struct driver *d, struct es_err *err)
{
    bool is_measured; /* of no interest here: the model has a prior for everything */
    int rc = es_target_open(d->options->job_path, &d->options->sets, &d->target, err);
    if (rc == 0 && !d->target.job)
        rc = es_err_set(err, ES_ERR_USAGE, "starting the run", d->options->job_path,
                        "this run folder has no saved job: give the job file");
    if (rc == 0 && d->n_ranks == 1 && !d->target.job->resources.coordinator_works)
        rc = es_err_set(err, ES_ERR_USAGE, "starting the run", d->options->job_path,
                        "with resources.coordinator_works false it needs two ranks or more");
    if (rc == 0)
        rc = check_join(d, err);
    if (rc == 0)
        rc = read_only(d, err); /* before all writing: it may be mistyped beside --no-resume */
    if (rc == 0)
        rc = open_run_folder(d, err);
    if (rc == 0)
        rc = es_target_scan(&d->target, d->options->no_retry_failed || d->has_joined, &d->units,
                            &d->summary, err);
    if (rc == 0)
        rc = list_pending(d, err);
    if (rc == 0)
        rc = es_forecast_learn(&d->target, d->units, &d->cost, &is_measured, err);
    if (rc == 0)
        rc = start_recorder(d, err);
    return rc;
}

static void prepare_here(void *context)
{
    struct driver *d = context;
    d->prepared_rc = prepare(d, &d->prepare_fault);
}

/* Prepares, while the other ranks hear that this one is alive. The exit code; ES_EXIT_OK: go on. */
static int prepare_alive(struct driver *d)
{
    struct es_err err = {0};
    enum es_vigil_end end;
    int number;
    const struct es_vigil vigil = {.transport = es_bridge_transport(d->bridge),
                                   .signal_fd = d->signal_fd,
                                   .beat_s = ES_BEAT_INTERVAL_S,
                                   .patience_s = PREPARE_PATIENCE_S};
    if (es_vigil_run(&vigil, prepare_here, d, &end, &number, &err) < 0)
        return es_say_error(&err);
    d->is_left = end == ES_VIGIL_LEFT;
    if (!d->is_left && d->prepared_rc < 0)
        return es_say_error(&d->prepare_fault);
    if (!number)
        return ES_EXIT_OK;
    es_say("%s before the first unit: submit it again with the same RUN_ID", strsignal(number));
    return ES_EXIT_RESUBMIT;
}

static void say_start(const struct driver *d)
{
    struct es_counts counts = d->counts;
    es_target_say_findings(&d->target, &d->summary);
    if (d->options->quiet)
        return;
    char failed[64] = "";
    if (counts.failed)
        (void)snprintf(failed, sizeof failed, ", %u failed and left so", counts.failed);
    es_say("%s %s: %u units: %u done%s, %u to do%s; %u rank%s; results in %s",
           d->has_joined ? "joining run" : "run", d->target.job->run.id,
           counts.done + counts.pending + counts.failed, counts.done, failed, d->n_pending,
           d->options->only.n ? " (--only)" : "", d->n_ranks, d->n_ranks == 1 ? "" : "s",
           d->target.run_dir);
}

/* --- Rank 0, the run itself --- */

/* What failed on a worker that was taken out is pending, or was done by others: no failed.json must
 * say otherwise. Before this driver's leases go: another one would believe it. Where the run is
 * others' by now, so are these files. */
static void clear_forgiven(struct driver *d)
{
    struct es_buf scratch = {0};
    if (d->outcome.ending == ES_ENDING_LEFT || es_keeper_look(d->keeper, NULL) == ES_ERR_BUSY)
        return;
    int run_dir_fd = open(d->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < d->outcome.n_forgiven && run_dir_fd >= 0; i++)
        (void)es_target_clear_unit(&d->target, run_dir_fd, d->outcome.forgiven[i], false, &scratch,
                                   NULL);
    es_fd_close(&run_dir_fd);
    es_buf_clear(&scratch);
}

static void finish_recorder(void *context)
{
    struct driver *d = context;
    clear_forgiven(d);
    (void)es_recorder_finish(d->recorder, &d->end_fault);
    d->recorder = NULL;
}

/* The last changes to files, while the other ranks hear that this one is alive. */
static void finish_alive(struct driver *d)
{
    enum es_vigil_end end;
    int number;
    const struct es_vigil vigil = {.transport = es_bridge_transport(d->bridge),
                                   .signal_fd = d->signal_fd,
                                   .beat_s = ES_BEAT_INTERVAL_S,
                                   .patience_s = (double)INFINITY};
    if (es_vigil_run(&vigil, finish_recorder, d, &end, &number, NULL) < 0)
        finish_recorder(d);
}

static int coordinate(struct driver *d, struct es_err *err)
{
    struct es_coordinator_config config = {
        .job = d->target.job,
        .pending = d->pending,
        .n_pending = d->n_pending,
        .counts = d->counts,
        .recorder = d->recorder,
        .cost = d->cost,
        .transport = es_bridge_transport(d->bridge),
        .pulse = {.beat_s = ES_BEAT_INTERVAL_S,
                  .suspect_s = fmin(ES_SUSPECT_S, d->target.job->limits.heartbeat_s / 2),
                  .given_up_s = d->target.job->limits.heartbeat_s},
        .run_dir = d->run_dir,
        .versions_json = d->provenance.versions.data,
        .not_before_ns = d->target.not_before_ns,
        .driver_id = can_share(d) ? es_lock_id(d->lock) : "",
        .started_ns = d->started_ns,
        .has_joined = d->has_joined,
        .signal_fd = d->signal_fd,
        .started_s = d->started_s,
        .slurm = d->slurm,
        .allow_cpu = d->options->allow_cpu,
        .is_srun = d->launch->is_srun,
        .report = d->ui.kind == ES_UI_NONE ? NULL : es_ui_report,
        .report_interval_s = es_ui_interval_s(&d->ui),
        .note = es_ui_note,
        .context = &d->ui,
    };
    int rc = es_coordinator_run(&config, &d->outcome, err);
    finish_alive(d);
    return rc;
}

static int exit_code_of(const struct driver *d)
{
    if (d->end_fault.code)
        return d->end_fault.code == ES_ERR_BUSY ? ES_EXIT_BUSY : ES_EXIT_INTERNAL;
    switch (d->outcome.ending) {
    case ES_ENDING_FINISHED:
    case ES_ENDING_LEFT:
        return d->outcome.state.counts.failed ? ES_EXIT_FAILED_UNITS : ES_EXIT_OK;
    case ES_ENDING_STOPPED:
        return ES_EXIT_RESUBMIT;
    case ES_ENDING_NO_WORKER:
        return ES_EXIT_FAILED_UNITS;
    case ES_ENDING_CANNOT_START:
        return ES_EXIT_USAGE;
    }
    return ES_EXIT_INTERNAL;
}

/* The last line: what most needs to be seen, and where more of it stands. */
static void say_no_worker(const struct driver *d)
{
    struct es_buf dir = {0};
    const struct es_common_failure *failure = &d->outcome.failure;
    if (failure->n == 0) {
        es_say("%s", d->outcome.why_ended);
        return;
    }
    es_layout_unit_dir(d->target.layout, d->target.grid,
                       es_grid_unit(d->target.grid, failure->unit_id), &dir);
    es_say("%s (%s/%s/" ES_LOG_NAME ")", d->outcome.why_ended, d->target.run_dir,
           dir.data ? dir.data : "");
    es_buf_clear(&dir);
}

static void say_end(const struct driver *d, int exit_code)
{
    const struct es_run_state *state = &d->outcome.state;
    char wall[32], failed[64] = "", unscored[64] = "";
    es_ui_duration(es_clock_mono_s() - d->begun_s, wall);
    if (state->counts.failed)
        (void)snprintf(failed, sizeof failed, ", %u failed", state->counts.failed);
    if (state->counts.done_without_score)
        (void)snprintf(unscored, sizeof unscored, " (%u without a score)",
                       state->counts.done_without_score);
    es_say("%u of %u units done%s%s, %u pending: %u evaluated, %u skipped, %u retries in %s",
           state->counts.done, state->counts.done + state->counts.pending + state->counts.failed,
           unscored, failed, state->counts.pending, state->n_evaluated, state->n_skipped,
           state->n_retries, wall);
    if (exit_code == ES_EXIT_RESUBMIT)
        es_say("stopped with work left (%s): submit it again with RUN_ID=%s", d->outcome.why_ended,
               d->target.job->run.id);
    if (state->counts.failed)
        es_say("failed units have failed.json and log.txt in their folders; "
               "evalsweep status %s lists them",
               d->target.run_dir);
    if (d->outcome.ending == ES_ENDING_LEFT) {
        es_say("%u unit%s %s being done by another driver, which completes the run and "
               "its " ES_STORE_NAME,
               state->counts.pending, state->counts.pending == 1 ? "" : "s",
               state->counts.pending == 1 ? "is" : "are");
    } else if (!d->end_fault.code) {
        es_say("results: %s/" ES_STORE_NAME, d->target.run_dir);
    } else {
        char fault[1024];
        es_err_text(&d->end_fault, fault, sizeof fault);
        es_say("%s", fault);
        if (d->end_fault.code != ES_ERR_BUSY && d->end_fault.code != ES_ERR_NOENT)
            es_say("the results are in the markers: evalsweep consolidate %s, once that is mended",
                   d->target.run_dir);
    }
    if (d->outcome.ending == ES_ENDING_NO_WORKER)
        say_no_worker(d);
}

static void print_json(const struct driver *d)
{
    const struct es_run_state *state = &d->outcome.state;
    struct es_buf text = {0};
    es_buf_putc(&text, '{');
    es_status_counts_json(&state->counts, &text);
    es_buf_puts(&text, "\"running\":0,\"rate_per_s\":");
    es_buf_json_double(&text, state->rate_per_s);
    es_buf_puts(&text, ",\"eta_s\":");
    es_buf_json_double(&text, state->counts.pending ? state->eta_s : 0);
    es_buf_puts(&text, ",\"alive\":false,\"wall_s\":");
    es_buf_json_double(&text, es_clock_mono_s() - d->begun_s);
    es_buf_printf(&text, ",\"evaluated\":%u,\"skipped\":%u,\"retries\":%u}", state->n_evaluated,
                  state->n_skipped, state->n_retries);
    es_json_out(&text);
}

static int drive(struct driver *d)
{
    struct es_err err = {0};
    int exit_code = prepare_alive(d);
    if (exit_code != ES_EXIT_OK)
        return exit_code;
    say_start(d);
    if (coordinate(d, &err) < 0)
        return es_say_error(&err);
    exit_code = exit_code_of(d);
    say_end(d, exit_code);
    if (d->options->json)
        print_json(d);
    return exit_code;
}

/* --- Ranks --- */

/* How a rank's part in the run ended. */
struct part {
    struct es_exit exit;
    bool is_left;      /* threads of it go on: the process must not be taken down in order */
    bool is_abandoned; /* rank 0 is dead: MPI must not be finalised, which may hang */
};

static void driver_free(struct driver *d)
{
    (void)es_recorder_finish(d->recorder, NULL); /* a run that ended before its first unit */
    es_slurm_free(d->slurm);
    es_keeper_stop(d->keeper);
    es_lock_release(d->lock);
    es_fd_close(&d->signal_fd);
    es_cost_free(d->cost);
    es_units_free(d->units);
    es_selection_clear(&d->selection);
    es_provenance_clear(&d->provenance);
    free(d->pending);
    free(d->outcome.forgiven);
    es_target_close(&d->target);
    free(d);
}

static struct part run_rank_0(const struct run_options *options, const struct launch *launch,
                              struct es_bridge *bridge, const struct es_ui *ui)
{
    struct part part = {.exit = {.code = ES_EXIT_INTERNAL, .is_whole = true}};
    struct driver *d = es_mem_calloc(1, sizeof *d);
    if (d) {
        *d = (struct driver){
            .options = options,
            .launch = launch,
            .ui = *ui,
            .bridge = bridge,
            .n_ranks = es_bridge_transport(bridge)->size,
            .started_s = launch->started_s,
            .begun_s = es_clock_mono_s(),
            .previous_ns = INT64_MAX,
            .signal_fd = es_signal_open_drain(),
        };
        (void)es_slurm_ask(launch->is_srun, &d->slurm, NULL); /* it is not needed to run */
        part.exit.code = (uint8_t)drive(d);
        part.is_left = d->is_left;
        part.exit.is_whole = d->outcome.n_silent == 0;
    }
    es_coordinator_send_exit(es_bridge_transport(bridge), &part.exit);
    if (d && !part.is_left)
        driver_free(d);
    return part;
}

static const struct es_pulse_limits rank_0_limits = {.beat_s = ES_BEAT_INTERVAL_S,
                                                     .suspect_s = (double)INFINITY,
                                                     .given_up_s = ES_COORDINATOR_SILENT_S};

/* Rank 0 is not there any more, or is to do without this rank. */
static struct part end_without_rank_0(const struct es_transport *mpi, const struct es_err *err)
{
    char text[1100];
    es_err_text(err, text, sizeof text);
    es_say_from_here("rank %u: %s", mpi->rank, text);
    return (struct part){.exit = {.code = ES_EXIT_INTERNAL}, .is_abandoned = true};
}

static struct part run_other_rank(const struct launch *launch, struct es_transport *mpi,
                                  struct es_bridge *bridge)
{
    struct part part = {0};
    struct es_err err = {0};
    int signal_fd = es_signal_open_drain();
    if (es_bridge_run(bridge, signal_fd, launch->is_srun, &rank_0_limits, &part.exit, &err) < 0)
        part = end_without_rank_0(mpi, &err);
    es_fd_close(&signal_fd);
    return part;
}

/* This rank cannot take part. The others, which do not know it yet, must end too. */
static struct part fail_to_start(struct es_transport *mpi, const struct es_err *err)
{
    char why[1024];
    struct part part = {.exit = {.code = (uint8_t)es_say_error(err), .is_whole = true}};
    struct es_err wait_err = {0};
    es_err_text(err, why, sizeof why);
    if (mpi && mpi->rank == 0)
        es_coordinator_send_exit(mpi, &part.exit);
    else if (mpi && es_bridge_refuse(mpi, why, &rank_0_limits, &part.exit, &wait_err) < 0)
        part = end_without_rank_0(mpi, &wait_err);
    return part;
}

static int start_mpi(struct es_transport **ret_mpi, struct es_err *err)
{
    struct es_watchdog *watchdog = es_ending_limit_start();
    int rc = es_mpi_start(ret_mpi, err);
    es_watchdog_stop(watchdog);
    return rc;
}

static void finish_mpi(struct es_transport *mpi, const struct part *part, int exit_code)
{
    if (part->is_abandoned)
        es_ending_now(exit_code);
    struct es_watchdog *watchdog = es_ending_limit_finish(part->exit.is_whole, &exit_code);
    es_mpi_finish(mpi);
    es_watchdog_stop(watchdog);
}

static int run_job(const struct run_options *options)
{
    struct es_err err = {0};
    struct es_ui ui;
    struct es_transport *mpi = NULL;
    struct es_bridge *bridge = NULL;
    struct es_hello hello;
    struct launch launch = {.started_s = es_clock_mono_s(),
                            .by_mpi = es_mpi_is_launched(),
                            .is_srun = es_slurm_is_srun()};
    struct part part;
    if (!es_ui_choose(options->progress, launch.by_mpi, options->quiet, &ui)) {
        es_say("reading the command line: --progress: expected bar, lines or none");
        es_ending_leave_word(ES_EXIT_USAGE, false);
        return ES_EXIT_USAGE;
    }
    es_signal_block();
    int rc = es_guard_start(&err);
    if (rc == 0 && launch.by_mpi)
        rc = start_mpi(&mpi, &err);
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
        part = run_rank_0(options, &launch, bridge, &ui);
    es_ending_leave_word(part.exit.code, part.exit.is_whole);
    es_bridge_free(bridge);
    if (mpi)
        finish_mpi(mpi, &part, part.exit.code);
    if (part.is_left)
        es_ending_now(part.exit.code);
    return part.exit.code;
}

int es_cmd_run(int argc, char **argv)
{
    struct run_options options = {0};
    enum es_opt_result result;
    es_ending_init();
    int exit_code = parse(argc, argv, &options, &result);
    if (result == ES_OPT_OK)
        exit_code = run_job(&options);
    else
        es_ending_leave_word(exit_code, false);
    es_opt_list_clear(&options.sets);
    es_opt_list_clear(&options.only);
    return es_ending_code(exit_code);
}
