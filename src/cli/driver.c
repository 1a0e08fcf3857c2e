#include "cli/driver_state.h"

#include "cli/say.h"
#include "core/mem.h"
#include "mpi/vigil.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* Whether a driver beside this one can see what is done: without markers it cannot. */
bool es_driver_can_share(const struct es_driver *d)
{
    const struct es_job *job = d->target.job;
    return job->evaluator.mode != ES_EVALUATOR_NULL || job->evaluator.null_markers;
}

static void retract(const struct es_driver *d, int run_dir_fd, uint32_t unit_id,
                    struct es_buf *scratch)
{
    struct es_unit unit = es_grid_unit(d->target.grid, unit_id);
    struct es_buf dir = {0};
    es_layout_unit_dir(d->target.layout, d->target.grid, unit, &dir);
    if (!dir.failed)
        (void)es_failed_retract(run_dir_fd, dir.data, es_grid_task(d->target.grid, unit.task),
                                d->target.job->run.fsync, scratch, NULL);
    es_buf_clear(&dir);
}

/* What failed and was retracted is pending, or was done by others: no failed.json must say
 * otherwise. Before this driver's leases go: another one would believe it. Where the run is
 * others' by now, so are these files. */
static void retract_disowned(struct es_driver *d)
{
    struct es_buf scratch = {0};
    if (d->outcome.ending == ES_ENDING_LEFT || es_keeper_look(d->keeper, NULL) == ES_ERR_BUSY)
        return;
    int run_dir_fd = open(d->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < d->outcome.n_disowned && run_dir_fd >= 0; i++)
        retract(d, run_dir_fd, d->outcome.disowned[i], &scratch);
    es_fd_close(&run_dir_fd);
    es_buf_clear(&scratch);
}

static void finish_recorder(void *context)
{
    struct es_driver *d = context;
    retract_disowned(d);
    (void)es_recorder_finish(d->recorder, &d->end_fault);
    d->recorder = NULL;
}

/* The last changes to files, while the other ranks hear that this one is alive. */
static void finish_alive(struct es_driver *d)
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

static int coordinate(struct es_driver *d, struct es_err *err)
{
    struct es_coordinator_config config = {
        .job = d->target.job,
        .pending = d->pending,
        .n_pending = d->n_pending,
        .suspects = d->suspects,
        .n_suspects = d->n_suspects,
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
        .driver_id = es_driver_can_share(d) ? es_lock_id(d->lock) : "",
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

static int exit_code_of(const struct es_driver *d)
{
    if (d->end_fault.code)
        return d->end_fault.code == ES_ERR_BUSY ? ES_EXIT_BUSY : ES_EXIT_INTERNAL;
    switch (d->outcome.ending) {
    case ES_ENDING_FINISHED:
    case ES_ENDING_LEFT:
        return (d->outcome.state.counts.failed + d->outcome.state.counts.blocked) > 0
                   ? ES_EXIT_FAILED_UNITS
                   : ES_EXIT_OK;
    case ES_ENDING_STOPPED:
        return ES_EXIT_RESUBMIT;
    case ES_ENDING_NO_WORKER:
    case ES_ENDING_NOTHING_DONE:
        return ES_EXIT_FAILED_UNITS;
    case ES_ENDING_CANNOT_START:
        return ES_EXIT_USAGE;
    }
    return ES_EXIT_INTERNAL;
}

static int drive(struct es_driver *d)
{
    struct es_err err = {0};
    int exit_code = es_driver_prepare(d);
    if (exit_code != ES_EXIT_OK)
        return exit_code;
    es_driver_say_start(d);
    if (coordinate(d, &err) < 0)
        return es_say_error(&err);
    exit_code = exit_code_of(d);
    es_driver_say_end(d, exit_code);
    if (d->options->json)
        es_driver_print_json(d);
    return exit_code;
}

static void driver_free(struct es_driver *d)
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
    es_coordinator_outcome_clear(&d->outcome);
    free(d->suspects);
    es_target_close(&d->target);
    free(d);
}

struct es_part es_driver_run(const struct es_run_options *options, const struct es_launch *launch,
                             struct es_bridge *bridge, const struct es_ui *ui)
{
    struct es_part part = {.exit = {.code = ES_EXIT_INTERNAL, .is_whole = true}};
    struct es_driver *d = es_mem_calloc(1, sizeof *d);
    if (d) {
        *d = (struct es_driver){
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
