#include "run/status.h"

#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_LIMIT_BYTES ((size_t)64 << 20)

void es_status_counts_json(const struct es_counts *counts, struct es_buf *text)
{
    es_buf_printf(text, "\"total\":%u,\"done\":%u,\"pending\":%u,\"failed\":%u,\"excluded\":%u,",
                  counts->done + counts->pending + counts->failed, counts->done, counts->pending,
                  counts->failed, counts->excluded);
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
    es_buf_puts(text, "]}\n");
}

static int status_path(const char *run_dir, char *ret_path, size_t size_bytes)
{
    int n = snprintf(ret_path, size_bytes, "%s/" ES_STATUS_NAME, run_dir);
    return n < 0 || (size_t)n >= size_bytes ? ES_ERR_USAGE : 0;
}

int es_status_write(const char *run_dir, const char *text, size_t n, struct es_err *err)
{
    char path[PATH_MAX];
    if (status_path(run_dir, path, sizeof path) < 0)
        return es_err_sys(err, ENAMETOOLONG, "writing the status", run_dir);
    return es_atomic_write(AT_FDCWD, path, text, n, false, NULL, err);
}

int es_status_read(const char *run_dir, double now_s, struct es_status_seen *ret_seen,
                   struct es_err *err)
{
    char path[PATH_MAX];
    struct es_buf text = {0};
    cJSON *root = NULL;
    if (status_path(run_dir, path, sizeof path) < 0)
        return es_err_sys(err, ENAMETOOLONG, "reading the status", run_dir);
    if (es_file_read_at(AT_FDCWD, path, STATUS_LIMIT_BYTES, &text, NULL) < 0) {
        es_buf_clear(&text);
        return es_file_read_error(err, errno, "reading the status", path);
    }
    int rc = es_json_parse(text.data, text.len, path, &root, err);
    if (rc < 0) {
        es_buf_clear(&text);
        return rc;
    }
    struct es_status_seen seen = {
        .updated_s = es_json_get_double(root, "updated_s"),
        .rate_per_s = es_json_get_double(root, "rate_per_s"),
        .eta_s = es_json_get_double(root, "eta_s"),
        .text = text.data,
        .text_n = text.len,
    };
    double n_running = es_json_get_double(root, "running");
    const char *host = es_json_get_string(root, "host");
    const char *why_ended = es_json_get_string(root, "ended");
    (void)snprintf(seen.host, sizeof seen.host, "%s", host ? host : "");
    seen.has_ended = !cJSON_IsTrue(es_json_get(root, "alive"));
    (void)snprintf(seen.why_ended, sizeof seen.why_ended, "%s",
                   seen.has_ended && why_ended ? why_ended : "");
    seen.is_ahead = seen.updated_s - now_s > ES_STATUS_SKEW_S;
    seen.alive =
        !seen.has_ended && !seen.is_ahead && now_s - seen.updated_s < 3 * ES_STATUS_INTERVAL_S;
    if (seen.alive && n_running > 0 && n_running < UINT32_MAX)
        seen.n_running = (uint32_t)n_running;
    if (!seen.alive) /* a rate of the dead says nothing */
        seen.rate_per_s = seen.eta_s = (double)NAN;
    cJSON_Delete(root);
    *ret_seen = seen;
    return 0;
}
