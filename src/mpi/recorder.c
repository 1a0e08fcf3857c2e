#include "mpi/recorder.h"

#include "core/mem.h"
#include "run/progress.h"
#include "run/status.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

/* A snapshot at most this often, and never more than 1 % of the time; the first one when a start has had
 * its moment, which a short run does without. */
#define SNAPSHOT_FIRST_S 1.0
#define SNAPSHOT_INTERVAL_S 5.0
#define SNAPSHOT_SHARE 0.01

struct item {
    struct item *next;
    struct es_message message;
};

struct es_recorder {
    struct es_recorder_config config;
    struct es_progress *progress;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards everything below it up to the next comment */
    pthread_cond_t wake;
    struct item *first;
    struct item **last;
    char *status_text;
    size_t status_n;
    bool is_ending;
    bool has_fault;
    struct es_err fault;
    /* The thread's own. */
    struct es_result result;
    char *unwritten_status; /* the newest one, until it is written */
    size_t unwritten_n;
    bool is_dirty; /* the store is behind the table */
    bool is_locked_out;
    double snapshot_due_s;
};

static void note_fault(struct es_recorder *recorder, const struct es_err *err)
{
    pthread_mutex_lock(&recorder->mutex);
    if (!recorder->has_fault) {
        recorder->has_fault = true;
        recorder->fault = *err;
    }
    pthread_mutex_unlock(&recorder->mutex);
}

/* At the end, what could not be written before counts only if it cannot be written now either. */
static void forget_fault(struct es_recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    if (recorder->fault.code != ES_ERR_BUSY && recorder->fault.code != ES_ERR_NOMEM)
        recorder->has_fault = false;
    pthread_mutex_unlock(&recorder->mutex);
}

static void apply_entry(struct es_recorder *recorder, const struct es_result_entry *entry,
                        struct es_err *err)
{
    struct es_units *units = recorder->config.units;
    struct es_result *result = &recorder->result;
    const struct es_grid *grid = es_units_grid(units);
    enum es_status status = entry->kind == ES_RESULT_LOST ? ES_STATUS_FAILED : ES_STATUS_DONE;
    if (entry->kind == ES_RESULT_RETURNED || entry->kind == ES_RESULT_KEPT ||
        entry->kind == ES_RESULT_FAILED || entry->unit_id >= es_grid_n_units(grid))
        return;
    if (es_units_set_result(units, entry->unit_id, status, result, &entry->marker) < 0)
        es_err_nomem(err, "recording a result");
    recorder->is_dirty = true;
    if (entry->kind != ES_RESULT_FOUND)
        es_progress_add(recorder->progress, grid, entry->unit_id, status, result);
}

static void apply(struct es_recorder *recorder, struct item *items)
{
    struct es_err err = {0};
    while (items) {
        struct item *item = items;
        struct es_wire_reader reader = es_wire_read(&item->message);
        struct es_result_entry entry;
        while (es_results_next(&reader, &entry, &recorder->result))
            apply_entry(recorder, &entry, &err);
        items = item->next;
        es_message_clear(&item->message);
        free(item);
    }
    if (!recorder->is_locked_out)
        (void)es_progress_flush(recorder->progress, &err);
    if (err.code)
        note_fault(recorder, &err);
}

static void write_snapshot(struct es_recorder *recorder)
{
    struct es_err err = {0};
    struct es_store_write request = {
        .run_dir = recorder->config.run_dir,
        .attributes = recorder->config.attributes,
        .n_attributes = recorder->config.n_attributes,
        .fsync = recorder->config.sync,
    };
    double begun_s = es_clock_mono_s();
    if (es_store_write(&request, recorder->config.units, &err) == 0)
        recorder->is_dirty = false;
    else
        note_fault(recorder, &err);
    double ended_s = es_clock_mono_s();
    double interval_s = (ended_s - begun_s) / SNAPSHOT_SHARE;
    recorder->snapshot_due_s =
        ended_s + (interval_s > SNAPSHOT_INTERVAL_S ? interval_s : SNAPSHOT_INTERVAL_S);
}

static void forget_status(struct es_recorder *recorder)
{
    free(recorder->unwritten_status);
    recorder->unwritten_status = NULL;
}

static void write_status(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (!recorder->unwritten_status || recorder->is_locked_out)
        return;
    if (es_status_write(recorder->config.run_dir, recorder->unwritten_status,
                        recorder->unwritten_n, &err) == 0)
        forget_status(recorder);
    else
        note_fault(recorder, &err);
}

/* Looks whether the run's lock is kept. */
static void mind_lock(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (!recorder->config.keeper || recorder->is_locked_out ||
        es_keeper_check(recorder->config.keeper, &err) == 0)
        return;
    recorder->is_locked_out = err.code == ES_ERR_BUSY;
    note_fault(recorder, &err);
}

/* Waits, with the mutex held, until there is something to do. */
static void wait_for_work(struct es_recorder *recorder)
{
    while (!recorder->first && !recorder->status_text && !recorder->is_ending) {
        double wait_s = ES_LOCK_BEAT_S; /* the lock is minded that often */
        if (recorder->is_dirty && !recorder->is_locked_out)
            wait_s = fmin(wait_s, recorder->snapshot_due_s - es_clock_mono_s());
        if (wait_s <= 0)
            return;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += (time_t)wait_s + 1;
        if (pthread_cond_timedwait(&recorder->wake, &recorder->mutex, &until) == ETIMEDOUT)
            return;
    }
}

static void *recorder_main(void *arg)
{
    struct es_recorder *recorder = arg;
    bool is_ending = false;
    while (!is_ending) {
        pthread_mutex_lock(&recorder->mutex);
        wait_for_work(recorder);
        struct item *items = recorder->first;
        if (recorder->status_text) {
            forget_status(recorder);
            recorder->unwritten_status = recorder->status_text;
            recorder->unwritten_n = recorder->status_n;
        }
        recorder->first = NULL;
        recorder->last = &recorder->first;
        recorder->status_text = NULL;
        is_ending = recorder->is_ending;
        pthread_mutex_unlock(&recorder->mutex);
        mind_lock(recorder);
        if (is_ending)
            forget_fault(recorder);
        if (items || is_ending) /* at the end, lines that could not be written before once more */
            apply(recorder, items);
        write_status(recorder);
        if (recorder->is_dirty && !recorder->is_locked_out &&
            (is_ending || es_clock_mono_s() >= recorder->snapshot_due_s))
            write_snapshot(recorder);
    }
    return NULL;
}

static void recorder_free(struct es_recorder *recorder)
{
    es_progress_close(recorder->progress);
    forget_status(recorder);
    es_result_clear(&recorder->result);
    pthread_mutex_destroy(&recorder->mutex);
    pthread_cond_destroy(&recorder->wake);
    free(recorder);
}

int es_recorder_start(const struct es_recorder_config *config, struct es_recorder **ret_recorder,
                      struct es_err *err)
{
    struct es_recorder *recorder = es_mem_calloc(1, sizeof *recorder);
    if (!recorder)
        return es_err_nomem(err, "starting the recorder");
    recorder->config = *config;
    recorder->last = &recorder->first;
    recorder->is_dirty = true; /* what the scan found belongs in the store, too */
    recorder->snapshot_due_s = es_clock_mono_s() + SNAPSHOT_FIRST_S;
    es_result_init(&recorder->result);
    pthread_mutex_init(&recorder->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&recorder->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = es_progress_open(config->run_dir, &recorder->progress, err);
    if (rc == 0) {
        int failed = pthread_create(&recorder->thread, NULL, recorder_main, recorder);
        if (failed)
            rc = es_err_sys(err, failed, "starting the recorder", NULL);
    }
    if (rc < 0) {
        recorder_free(recorder);
        return rc;
    }
    *ret_recorder = recorder;
    return 0;
}

void es_recorder_add(struct es_recorder *recorder, struct es_message *message)
{
    struct item *item = es_mem_calloc(1, sizeof *item);
    if (!item) { /* the markers still have it: the next start consolidates them */
        struct es_err err = {0};
        es_err_nomem(&err, "recording results");
        es_message_clear(message);
        note_fault(recorder, &err);
        return;
    }
    item->message = *message;
    *message = (struct es_message){0};
    pthread_mutex_lock(&recorder->mutex);
    *recorder->last = item;
    recorder->last = &item->next;
    pthread_cond_signal(&recorder->wake);
    pthread_mutex_unlock(&recorder->mutex);
}

void es_recorder_set_status(struct es_recorder *recorder, char *text, size_t n)
{
    pthread_mutex_lock(&recorder->mutex);
    free(recorder->status_text);
    recorder->status_text = text;
    recorder->status_n = n;
    pthread_cond_signal(&recorder->wake);
    pthread_mutex_unlock(&recorder->mutex);
}

bool es_recorder_fault(struct es_recorder *recorder, struct es_err *ret_err)
{
    pthread_mutex_lock(&recorder->mutex);
    bool has_fault = recorder->has_fault;
    if (has_fault)
        *ret_err = recorder->fault;
    recorder->has_fault = false;
    pthread_mutex_unlock(&recorder->mutex);
    return has_fault;
}

int es_recorder_finish(struct es_recorder *recorder, struct es_err *err)
{
    if (!recorder)
        return 0;
    pthread_mutex_lock(&recorder->mutex);
    recorder->is_ending = true;
    pthread_cond_signal(&recorder->wake);
    pthread_mutex_unlock(&recorder->mutex);
    (void)pthread_join(recorder->thread, NULL);
    int rc = recorder->has_fault ? recorder->fault.code : 0;
    if (rc < 0 && err)
        *err = recorder->fault;
    recorder_free(recorder);
    return rc;
}
