#include "run/status.h"

#include "core/mem.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_LIMIT_BYTES ((size_t)64 << 20)

static uint32_t count_of(const cJSON *object, const char *key)
{
    double value = es_json_get_double(object, key);
    return value > 0 && value < UINT32_MAX ? (uint32_t)value : 0;
}

/* None where they are more than a grid can have: their sums would overflow. */
static struct es_counts counts_of(const cJSON *object)
{
    const struct es_counts counts = {.done = count_of(object, "done"),
                                     .pending = count_of(object, "pending"),
                                     .failed = count_of(object, "failed"),
                                     .excluded = count_of(object, "excluded")};
    const uint64_t n = (uint64_t)counts.done + counts.pending + counts.failed + counts.excluded;
    return n <= ES_GRID_MAX_UNITS ? counts : (struct es_counts){0};
}

/* A rate, or a time; NaN for one below 0 too. */
static double amount_of(const cJSON *object, const char *key)
{
    double value = es_json_get_double(object, key);
    return value >= 0 ? value : (double)NAN;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const char *text = es_json_get_string(object, key);
    return text ? text : "";
}

/* An array for the items of the list under key; *ret_n 0 and NULL: no list, or an empty one. */
static int make_array(const cJSON *root, const char *key, size_t size_bytes,
                      const cJSON **ret_first, void **ret_array, struct es_err *err)
{
    const cJSON *list = es_json_get(root, key);
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    *ret_first = n > 0 ? list->child : NULL;
    if (n <= 0)
        return 0;
    *ret_array = es_mem_calloc((size_t)n, size_bytes);
    return *ret_array ? 0 : es_err_nomem(err, "reading the status");
}

static int read_workers(const cJSON *root, struct es_status_seen *seen, struct es_err *err)
{
    const cJSON *item;
    void *array = NULL;
    if (make_array(root, "workers", sizeof *seen->workers, &item, &array, err) < 0)
        return ES_ERR_NOMEM;
    seen->workers = array;
    for (; item; item = item->next) {
        double layer = es_json_get_double(item, "layer");
        double running_s = amount_of(item, "running_s");
        seen->workers[seen->n_workers++] = (struct es_status_worker){
            .worker = count_of(item, "worker"),
            .host = text_of(item, "host"),
            .device = text_of(item, "device"),
            .is_out = cJSON_IsTrue(es_json_get(item, "out")),
            .is_running = !isnan(running_s) && es_json_get_string(item, "checkpoint"),
            .checkpoint = text_of(item, "checkpoint"),
            .task = text_of(item, "task"),
            .layer = layer >= 0 && layer <= INT32_MAX ? (int32_t)layer : 0,
            .running_s = running_s,
            .expected_s = amount_of(item, "expected_s"),
        };
    }
    return 0;
}

static int read_checkpoints(const cJSON *root, struct es_status_seen *seen, struct es_err *err)
{
    const cJSON *item;
    void *array = NULL;
    if (make_array(root, "checkpoints", sizeof *seen->checkpoints, &item, &array, err) < 0)
        return ES_ERR_NOMEM;
    seen->checkpoints = array;
    for (; item; item = item->next) {
        const struct es_counts counts = counts_of(item);
        seen->checkpoints[seen->n_checkpoints++] = (struct es_status_checkpoint){
            text_of(item, "checkpoint"), counts.done, counts.pending, counts.failed};
    }
    return 0;
}

static int read_failures(const cJSON *root, struct es_status_seen *seen, struct es_err *err)
{
    const cJSON *item;
    void *array = NULL;
    if (make_array(root, "failures", sizeof *seen->failures, &item, &array, err) < 0)
        return ES_ERR_NOMEM;
    seen->failures = array;
    for (; item; item = item->next)
        seen->failures[seen->n_failures++] = (struct es_status_failure){
            text_of(item, "reason"), count_of(item, "units"), es_json_get_string(item, "log")};
    return 0;
}

static bool kind_of(const char *name, enum es_suspect_kind *ret_kind)
{
    for (int kind = 0; kind < ES_N_SUSPECT_KINDS; kind++)
        if (strcmp(es_suspect_kind_names[kind], name) == 0) {
            *ret_kind = (enum es_suspect_kind)kind;
            return true;
        }
    return false;
}

static int read_suspects(const cJSON *root, struct es_status_seen *seen, struct es_err *err)
{
    const cJSON *item;
    void *array = NULL;
    enum es_suspect_kind kind;
    if (make_array(root, "suspects", sizeof *seen->suspects, &item, &array, err) < 0)
        return ES_ERR_NOMEM;
    seen->suspects = array;
    for (; item; item = item->next) {
        double layer = es_json_get_double(item, "layer");
        if (!kind_of(text_of(item, "kind"), &kind))
            continue; /* of a newer version, perhaps */
        seen->suspects[seen->n_suspects++] = (struct es_status_suspect){
            .kind = kind,
            .name = text_of(item, "name"),
            .task = text_of(item, "task"),
            .checkpoint = text_of(item, "checkpoint"),
            .layer = layer >= INT32_MIN && layer <= INT32_MAX ? (int32_t)layer : 0,
            .worker = count_of(item, "worker"),
            .host = text_of(item, "host"),
            .device = text_of(item, "device"),
            .reason = text_of(item, "reason"),
            .n_failed = count_of(item, "failed"),
            .n_workers = count_of(item, "workers"),
            .n_blocked = count_of(item, "blocked"),
            .n_probes = count_of(item, "probes"),
            .log = es_json_get_string(item, "log"),
        };
    }
    return 0;
}

bool es_status_suspect_resolve(const struct es_status_suspect *seen, const struct es_grid *grid,
                               struct es_suspect *ret_suspect)
{
    struct es_suspect suspect = {.kind = seen->kind,
                                 .checkpoint = ES_GRID_ANY,
                                 .layer = ES_GRID_ANY,
                                 .task = ES_GRID_ANY,
                                 .worker = ES_GRID_NONE,
                                 .unit_id = ES_GRID_NONE};
    bool has_checkpoint = seen->kind == ES_SUSPECT_CHECKPOINT || seen->kind == ES_SUSPECT_BUNDLE;
    bool has_task = seen->kind != ES_SUSPECT_CHECKPOINT, has_layer = seen->kind == ES_SUSPECT_LAYER;
    if (seen->kind >= ES_SUSPECT_WORKER)
        return false;
    if (has_checkpoint)
        suspect.checkpoint = es_grid_find_checkpoint(grid, seen->checkpoint);
    if (has_task)
        suspect.task = es_grid_find_task(grid, seen->task);
    if (has_layer)
        suspect.layer = es_grid_find_layer(grid, seen->layer);
    if ((has_checkpoint && suspect.checkpoint == ES_GRID_NONE) ||
        (has_task && suspect.task == ES_GRID_NONE) || (has_layer && suspect.layer == ES_GRID_NONE))
        return false;
    *ret_suspect = suspect;
    return true;
}

uint32_t es_status_count_blocked(struct es_status_seen *seen, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    const struct es_grid *grid = es_units_grid(units);
    struct es_suspect *suspects = es_mem_calloc(seen->n_suspects, sizeof *suspects);
    uint32_t n = 0, n_resolved = 0;
    for (uint32_t i = 0; suspects && i < seen->n_suspects; i++) {
        struct es_status_suspect *suspect = &seen->suspects[i];
        suspect->n_blocked = 0;
        if (es_status_suspect_resolve(suspect, grid, &suspects[n_resolved]))
            suspects[n_resolved++].worker = i; /* which one it is */
    }
    for (uint32_t id = 0; n_resolved > 0 && id < columns.n_units; id++) {
        bool is_blocked = false;
        if (columns.status[id] != ES_STATUS_PENDING)
            continue;
        for (uint32_t i = 0; i < n_resolved; i++) {
            bool does = es_suspect_covers(&suspects[i], es_grid_unit(grid, id));
            seen->suspects[suspects[i].worker].n_blocked += does;
            is_blocked |= does;
        }
        n += is_blocked;
    }
    free(suspects);
    return n;
}

static void read_figures(const cJSON *root, struct es_status_seen *seen)
{
    seen->updated_s = es_json_get_double(root, "updated_s");
    seen->counts = counts_of(root);
    seen->counts.blocked = count_of(root, "blocked");
    if (seen->counts.blocked > seen->counts.pending)
        seen->counts.blocked = seen->counts.pending;
    seen->n_running = count_of(root, "running");
    seen->rate_per_s = amount_of(root, "rate_per_s");
    seen->eta_s = amount_of(root, "eta_s");
    seen->n_evaluated = count_of(root, "evaluated");
    seen->n_skipped = count_of(root, "skipped");
    seen->n_retries = count_of(root, "retries");
    (void)snprintf(seen->host, sizeof seen->host, "%s", text_of(root, "host"));
    (void)snprintf(seen->slurm_job_id, sizeof seen->slurm_job_id, "%s",
                   text_of(root, "slurm_job_id"));
}

static void judge(const cJSON *root, double now_s, struct es_status_seen *seen)
{
    seen->has_ended = !cJSON_IsTrue(es_json_get(root, "alive"));
    (void)snprintf(seen->why_ended, sizeof seen->why_ended, "%s",
                   seen->has_ended ? text_of(root, "ended") : "");
    seen->is_ahead = seen->updated_s - now_s > ES_STATUS_SKEW_S;
    seen->alive =
        !seen->has_ended && !seen->is_ahead && now_s - seen->updated_s < 3 * ES_STATUS_INTERVAL_S;
    if (!seen->alive)
        es_status_forget_doings(seen);
}

static int read_file(const char *run_dir, cJSON **ret_tree, struct es_err *err)
{
    char path[PATH_MAX];
    struct es_buf text = {0};
    int rc, length = snprintf(path, sizeof path, "%s/" ES_STATUS_NAME, run_dir);
    if (length < 0 || (size_t)length >= sizeof path)
        return es_err_sys(err, ENAMETOOLONG, "reading the status", run_dir);
    if (es_file_read_at(AT_FDCWD, path, STATUS_LIMIT_BYTES, &text, NULL) < 0)
        rc = es_file_read_error(err, errno, "reading the status", path);
    else
        rc = es_json_parse(text.data, text.len, path, ret_tree, err);
    if (rc == 0 && !cJSON_IsObject(*ret_tree))
        rc = es_err_set(err, ES_ERR_PARSE, "reading the status", path, "it is no JSON object");
    es_buf_clear(&text);
    return rc;
}

int es_status_read(const char *run_dir, double now_s, struct es_status_seen *ret_seen,
                   struct es_err *err)
{
    struct es_status_seen seen = {0};
    int rc = read_file(run_dir, &seen.tree, err);
    if (rc == 0)
        rc = read_workers(seen.tree, &seen, err);
    if (rc == 0)
        rc = read_checkpoints(seen.tree, &seen, err);
    if (rc == 0)
        rc = read_failures(seen.tree, &seen, err);
    if (rc == 0)
        rc = read_suspects(seen.tree, &seen, err);
    if (rc < 0) {
        es_status_clear(&seen);
        return rc;
    }
    read_figures(seen.tree, &seen);
    judge(seen.tree, now_s, &seen);
    *ret_seen = seen;
    return 0;
}

void es_status_forget_doings(struct es_status_seen *seen)
{
    seen->alive = false;
    seen->n_running = 0;
    seen->rate_per_s = seen->eta_s = (double)NAN; /* a rate of the dead says nothing */
    seen->n_workers = 0;
}

void es_status_clear(struct es_status_seen *seen)
{
    free(seen->workers);
    free(seen->checkpoints);
    free(seen->failures);
    free(seen->suspects);
    cJSON_Delete(seen->tree);
    *seen = (struct es_status_seen){0};
}
