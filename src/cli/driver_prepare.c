/* Rank 0 before the first unit: the lock, the scan, what is to be done. */
#include "cli/driver_state.h"

#include "cli/change.h"
#include "cli/forecast.h"
#include "cli/reuse.h"
#include "cli/say.h"
#include "core/mem.h"
#include "mpi/vigil.h"
#include "run/folder.h"
#include "run/status.h"
#include "sys/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A signal that comes before the first unit: what is being done (a scan, a wait for the lock) gets
 * so long to end, and is left otherwise. */
#define PREPARE_PATIENCE_S 1.0

/* Takes the run's lock, or joins who has it. */
static int enter_run(struct es_driver *d, struct es_err *err)
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
static int reuse(struct es_driver *d, struct es_err *err)
{
    if (d->target.job->run.n_reuse == 0)
        return 0;
    int rc = es_folder_epoch(d->target.run_dir, &d->target.not_before_ns, err);
    return rc < 0
               ? rc
               : es_reuse_take_all(&d->target, d->options->accept_change, d->options->quiet, err);
}

/* The owner starts the run: what it leaves here is what others join. */
static int start_run(struct es_driver *d, struct es_err *err)
{
    if (es_folder_started(d->target.run_dir, &d->previous_ns, NULL) < 0)
        d->previous_ns = INT64_MAX;
    int rc = es_folder_write_job(d->target.run_dir, d->provenance.job_text,
                                 d->provenance.job_text_n, err);
    if (rc == 0 && (d->options->no_resume || !d->target.job->run.resume))
        rc = es_folder_begin_epoch(d->target.run_dir, getenv("SLURM_JOB_ID"), err);
    if (rc == 0)
        rc = reuse(d, err);
    if (rc == 0 && es_driver_can_share(d))
        es_lock_set_ready(d->lock);
    return rc;
}

static int open_run_folder(struct es_driver *d, struct es_err *err)
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
    if (rc == 0) {
        es_provenance_note_start(&d->provenance, &d->target);
        rc = es_provenance_add_history(&d->provenance, &d->target, err);
    }
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

static int read_only(struct es_driver *d, struct es_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < d->options->only.n; i++)
        rc = es_selection_add_text(&d->selection, d->target.grid, d->options->only.values[i], err);
    return rc;
}

static int list_pending(struct es_driver *d, struct es_err *err)
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

static int check_join(const struct es_driver *d, struct es_err *err)
{
    return d->options->join && !es_driver_can_share(d)
               ? es_err_set(err, ES_ERR_USAGE, "joining the run", d->options->job_path,
                            "an evaluator of mode null without markers works alone")
               : 0;
}

/* What the last start had blocked is tried first, one unit of each. Where status.json cannot be
 * read it is found out anew. */
static int read_suspects(struct es_driver *d, struct es_err *err)
{
    struct es_status_seen seen;
    if (es_status_read(d->target.run_dir, es_clock_wall_s(), &seen, NULL) < 0)
        return 0;
    (void)es_status_count_blocked(&seen, d->units);
    d->suspects = es_mem_calloc(seen.n_suspects, sizeof *d->suspects);
    for (uint32_t i = 0; d->suspects && i < seen.n_suspects; i++)
        d->n_suspects += seen.suspects[i].n_blocked > 0 && /* else there is nothing to try */
                         es_status_suspect_resolve(&seen.suspects[i], d->target.grid,
                                                   &d->suspects[d->n_suspects]);
    es_status_clear(&seen);
    return d->suspects ? 0 : es_err_nomem(err, "reading the status");
}

/* The table of units is the recorder's from here on. */
static int start_recorder(struct es_driver *d, struct es_err *err)
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
        .company = es_driver_can_share(d) ? &d->company : NULL,
        .attributes = d->provenance.attributes,
        .n_attributes = d->provenance.n,
        .sync = d->target.job->run.fsync,
    };
    d->counts = es_units_count(d->units);
    return es_recorder_start(&recorder_config, &d->recorder, err);
}

static int prepare(struct es_driver *d, struct es_err *err)
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
        rc = read_suspects(d, err);
    if (rc == 0)
        rc = es_forecast_learn(&d->target, d->units, &d->cost, &is_measured, err);
    if (rc == 0)
        rc = start_recorder(d, err);
    return rc;
}

static void prepare_here(void *context)
{
    struct es_driver *d = context;
    d->prepared_rc = prepare(d, &d->prepare_fault);
}

/* Prepares, while the other ranks hear that this one is alive. The exit code; ES_EXIT_OK: go on. */
int es_driver_prepare(struct es_driver *d)
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
