#include "run/status.h"

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
    es_buf_printf(text, "\"total\":%u,\"done\":%u,\"pending\":%u,\"failed\":%u,\"excluded\":%u,",
                  es_counts_total(counts), counts->done, counts->pending, counts->failed,
                  counts->excluded);
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
    }
    es_buf_printf(text, "\"out\":%s}", worker->is_out ? "true" : "false");
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

int es_status_write(const char *run_dir, const char *text, size_t n, struct es_err *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/" ES_STATUS_NAME, run_dir);
    if (length < 0 || (size_t)length >= sizeof path)
        return es_err_sys(err, ENAMETOOLONG, "writing the status", run_dir);
    return es_atomic_write(AT_FDCWD, path, text, n, false, NULL, err);
}
