#include "run/status.h"

#include "run/folder.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void es_status_counts_json(const struct es_counts *counts, struct es_buf *text)
{
    es_buf_printf(text,
                  "\"total\":%u,\"done\":%u,\"pending\":%u,\"failed\":%u,\"excluded\":%u,"
                  "\"blocked\":%u,",
                  es_counts_total(counts), counts->done, counts->pending, counts->failed,
                  counts->excluded, counts->blocked);
}

static void put_number(struct es_buf *text, const char *key, double value)
{
    es_buf_printf(text, "\"%s\":", key);
    es_buf_json_double(text, value);
    es_buf_putc(text, ',');
}

static void put_string(struct es_buf *text, const char *key, const char *value)
{
    es_buf_printf(text, "\"%s\":", key);
    es_buf_json_string(text, value, strlen(value));
    es_buf_putc(text, ',');
}

static void put_worker(struct es_buf *text, const struct es_grid *grid,
                       const struct es_worker_state *worker)
{
    es_buf_printf(text, "{\"worker\":%u,", worker->worker);
    put_string(text, "host", worker->host);
    put_string(text, "device", worker->device);
    if (worker->unit_id != ES_GRID_NONE) {
        struct es_unit unit = es_grid_unit(grid, worker->unit_id);
        put_string(text, "checkpoint", es_grid_checkpoint(grid, unit.checkpoint));
        es_buf_printf(text, "\"layer\":%d,", es_grid_layer(grid, unit.layer));
        put_string(text, "task", es_grid_task(grid, unit.task));
        put_number(text, "running_s", floor(worker->running_s * 1000) / 1000);
        put_number(text, "expected_s", worker->expected_s);
    }
    es_buf_printf(text, "\"out\":%s}", worker->is_out ? "true" : "false");
}

/* "STS13", "step1000/STS13", "STS13 layer 24", "3"; an outage has no name. */
static void suspect_name(const struct es_grid *grid, const struct es_suspect *suspect,
                         struct es_buf *text)
{
    if (suspect->kind == ES_SUSPECT_WORKER)
        es_buf_printf(text, "%u", suspect->worker);
    if (suspect->checkpoint != ES_GRID_ANY)
        es_buf_puts(text, es_grid_checkpoint(grid, suspect->checkpoint));
    if (suspect->checkpoint != ES_GRID_ANY && suspect->task != ES_GRID_ANY)
        es_buf_putc(text, '/');
    if (suspect->task != ES_GRID_ANY)
        es_buf_puts(text, es_grid_task(grid, suspect->task));
    if (suspect->layer != ES_GRID_ANY)
        es_buf_printf(text, " layer %d", es_grid_layer(grid, suspect->layer));
}

/* Where the last unit that failed says more; false: not known. */
static bool suspect_log(const struct es_grid *grid, const struct es_layout *layout,
                        const struct es_suspect *suspect, struct es_buf *text)
{
    if (!layout || suspect->unit_id >= es_grid_n_units(grid))
        return false;
    es_layout_unit_dir(layout, grid, es_grid_unit(grid, suspect->unit_id), text);
    es_buf_puts(text, "/" ES_LOG_NAME);
    return true;
}

void es_status_suspect_subject(const struct es_status_suspect *suspect, struct es_buf *text)
{
    switch (suspect->kind) {
    case ES_SUSPECT_BUNDLE:
        es_buf_printf(text, "task %s with checkpoint %s", suspect->task, suspect->checkpoint);
        break;
    case ES_SUSPECT_LAYER:
        es_buf_printf(text, "task %s, layer %d", suspect->task, suspect->layer);
        break;
    case ES_SUSPECT_WORKER:
        es_buf_printf(text, "worker %s on %s (device %s)", suspect->name, suspect->host,
                      suspect->device);
        break;
    default:
        es_buf_printf(text, "%s%s%s", es_suspect_kind_names[suspect->kind],
                      suspect->name[0] ? " " : "", suspect->name);
    }
}

void es_status_suspect_evidence(const struct es_status_suspect *suspect, struct es_buf *text)
{
    bool is_cut = suspect->kind < ES_SUSPECT_WORKER && suspect->n_workers >= ES_WITNESSES_MOST;
    es_buf_printf(text, "%u failed attempt%s", suspect->n_failed,
                  suspect->n_failed == 1 ? "" : "s");
    if (suspect->kind != ES_SUSPECT_WORKER)
        es_buf_printf(text, " on %u%s worker%s", suspect->n_workers, is_cut ? " or more" : "",
                      suspect->n_workers == 1 ? "" : "s");
}

void es_status_suspect_text(const struct es_status_suspect *suspect, struct es_buf *text)
{
    es_status_suspect_subject(suspect, text);
    es_buf_puts(text, suspect->kind == ES_SUSPECT_WORKER ? ", quarantined: " : ": ");
    if (suspect->n_failed == 0)
        es_buf_puts(text, "blocked by an earlier job");
    else
        es_status_suspect_evidence(suspect, text);
    if (suspect->kind < ES_SUSPECT_WORKER)
        es_buf_printf(text, "; %u unit%s blocked", suspect->n_blocked,
                      suspect->n_blocked == 1 ? "" : "s");
    if (suspect->reason[0])
        es_buf_printf(text, ": %s", suspect->reason);
}

void es_suspect_see(const struct es_grid *grid, const struct es_layout *layout,
                    const struct es_suspect_state *suspect, struct es_suspect_seen *ret_seen)
{
    const struct es_suspect *what = &suspect->what;
    es_buf_reset(&ret_seen->name);
    es_buf_reset(&ret_seen->log);
    suspect_name(grid, what, &ret_seen->name);
    bool has_log = suspect_log(grid, layout, what, &ret_seen->log) && !ret_seen->log.failed;
    ret_seen->seen = (struct es_status_suspect){
        .kind = what->kind,
        .name = ret_seen->name.data ? ret_seen->name.data : "",
        .task = what->task == ES_GRID_ANY ? "" : es_grid_task(grid, what->task),
        .checkpoint =
            what->checkpoint == ES_GRID_ANY ? "" : es_grid_checkpoint(grid, what->checkpoint),
        .layer = what->layer == ES_GRID_ANY ? 0 : es_grid_layer(grid, what->layer),
        .worker = what->worker,
        .host = suspect->host,
        .device = suspect->device,
        .reason = suspect->reason,
        .n_failed = what->n_failed,
        .n_workers = what->n_workers,
        .n_blocked = suspect->n_blocked,
        .n_probes = what->n_probes,
        .log = has_log ? ret_seen->log.data : NULL,
    };
}

void es_suspect_seen_clear(struct es_suspect_seen *seen)
{
    es_buf_clear(&seen->name);
    es_buf_clear(&seen->log);
}

static void put_nullable(struct es_buf *text, const char *key, const char *value)
{
    if (value) {
        put_string(text, key, value);
        return;
    }
    es_buf_printf(text, "\"%s\":null,", key);
}

void es_status_suspect_json(const struct es_status_suspect *suspect, struct es_buf *text)
{
    enum es_suspect_kind kind = suspect->kind;
    bool has_task =
        kind == ES_SUSPECT_TASK || kind == ES_SUSPECT_BUNDLE || kind == ES_SUSPECT_LAYER;
    bool has_checkpoint = kind == ES_SUSPECT_CHECKPOINT || kind == ES_SUSPECT_BUNDLE;
    es_buf_putc(text, '{');
    put_string(text, "kind", es_suspect_kind_names[kind]);
    put_string(text, "name", suspect->name);
    if (has_task)
        put_string(text, "task", suspect->task);
    if (has_checkpoint)
        put_string(text, "checkpoint", suspect->checkpoint);
    if (kind == ES_SUSPECT_LAYER)
        es_buf_printf(text, "\"layer\":%d,", suspect->layer);
    if (kind == ES_SUSPECT_WORKER) {
        es_buf_printf(text, "\"worker\":%u,", suspect->worker);
        put_string(text, "host", suspect->host);
        put_string(text, "device", suspect->device);
    }
    put_string(text, "reason", suspect->reason);
    put_nullable(text, "log", suspect->log);
    es_buf_printf(text, "\"failed\":%u,\"workers\":%u,\"blocked\":%u,\"probes\":%u}",
                  suspect->n_failed, suspect->n_workers, suspect->n_blocked, suspect->n_probes);
}

void es_status_suspects_json(const struct es_grid *grid, const struct es_run_state *state,
                             struct es_buf *text)
{
    struct es_suspect_seen seen = {0};
    es_buf_puts(text, "\"suspects\":[");
    for (uint32_t i = 0; i < state->n_suspects; i++) {
        es_buf_puts(text, i ? ",\n" : "\n");
        es_suspect_see(grid, state->layout, &state->suspects[i], &seen);
        es_status_suspect_json(&seen.seen, text);
    }
    es_buf_puts(text, "],");
    es_suspect_seen_clear(&seen);
}

void es_status_text(const struct es_grid *grid, const struct es_run_state *state,
                    struct es_buf *text)
{
    char host[256] = "", updated[24];
    double now_s = es_clock_wall_s();
    (void)gethostname(host, sizeof host - 1);
    es_clock_format_utc(now_s, updated);
    es_buf_puts(text, "{\"schema\":1,");
    put_string(text, "updated", updated);
    put_number(text, "updated_s", now_s);
    es_buf_printf(text, "\"alive\":%s,", state->alive ? "true" : "false");
    if (state->why_ended)
        put_string(text, "ended", state->why_ended);
    put_string(text, "host", host);
    es_buf_printf(text, "\"pid\":%ld,", (long)getpid());
    const char *slurm_job_id = getenv("SLURM_JOB_ID");
    if (slurm_job_id)
        put_string(text, "slurm_job_id", slurm_job_id);
    es_status_counts_json(&state->counts, text);
    es_buf_printf(text, "\"running\":%u,", state->n_running);
    put_number(text, "rate_per_s", state->rate_per_s);
    put_number(text, "eta_s", state->eta_s);
    es_status_suspects_json(grid, state, text);
    es_buf_printf(text, "\"evaluated\":%u,\"skipped\":%u,\"retries\":%u,\"workers\":[",
                  state->n_evaluated, state->n_skipped, state->n_retries);
    for (uint32_t i = 0; i < state->n_workers; i++) {
        es_buf_puts(text, i ? ",\n" : "\n");
        put_worker(text, grid, &state->workers[i]);
    }
    es_buf_putc(text, ']');
}

void es_status_end(struct es_tally *tally, struct es_buf *text)
{
    if (tally) {
        es_buf_putc(text, ',');
        es_tally_json(tally, text);
    }
    es_buf_puts(text, "}\n");
}

int es_status_write(const char *run_dir, const char *text, size_t n,
                    int (*may_replace)(void *context, struct es_err *err), void *context,
                    struct es_err *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/" ES_STATUS_NAME, run_dir);
    if (length < 0 || (size_t)length >= sizeof path)
        return es_err_sys(err, ENAMETOOLONG, "writing the status", run_dir);
    return es_atomic_write_if(AT_FDCWD, path, text, n, may_replace, context, err);
}
