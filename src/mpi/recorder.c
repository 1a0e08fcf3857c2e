#include "mpi/recorder_state.h"

#include "core/mem.h"
#include "sys/await.h"
#include "sys/clock.h"

#include <math.h>
#include <stdlib.h>

/* The first snapshot is due when a start has had its moment: a short run does without. */
#define SNAPSHOT_FIRST_S 1.0

static void note(struct es_recorder *recorder, const struct es_err *err, bool is_final)
{
    pthread_mutex_lock(&recorder->mutex);
    if (!recorder->is_final && (!recorder->has_fault || is_final))
        recorder->fault = *err;
    recorder->has_fault = true;
    recorder->is_final = recorder->is_final || is_final;
    pthread_mutex_unlock(&recorder->mutex);
}

void es_recorder_note_fault(struct es_recorder *recorder, const struct es_err *err)
{
    note(recorder, err, false);
}

void es_recorder_note_loss(struct es_recorder *recorder, const char *doing)
{
    struct es_err err = {0};
    es_err_nomem(&err, doing);
    note(recorder, &err, true);
}

/* At the end, what could not be written before counts only if it cannot be written now either. */
static void forget_fault(struct es_recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    if (!recorder->is_final)
        recorder->has_fault = false;
    pthread_mutex_unlock(&recorder->mutex);
}

static void apply(struct es_recorder *recorder, struct es_mailbox *results)
{
    for (struct es_letter *letter; (letter = es_mailbox_take(results));) {
        struct es_message message;
        uint32_t source;
        es_letter_open(letter, &source, &message);
        es_recorder_apply(recorder, &message);
        es_message_clear(&message);
    }
    es_recorder_flush_progress(recorder);
}

/* Looks whether the run's lock is kept: by the last beat, or by one more before the last writes. */
static void mind_lock(struct es_recorder *recorder, bool is_ending)
{
    struct es_err err = {0};
    if (!recorder->config.keeper || recorder->is_locked_out || recorder->has_left ||
        (is_ending ? es_keeper_look : es_keeper_check)(recorder->config.keeper, &err) == 0)
        return;
    recorder->is_locked_out = err.code == ES_ERR_BUSY;
    note(recorder, &err, recorder->is_locked_out);
}

/* Waits, with the mutex held, until there is something to do. */
static void wait_for_work(struct es_recorder *recorder)
{
    while (!recorder->results.first && !recorder->status_text && !recorder->is_ending) {
        double wait_s = ES_LOCK_BEAT_S; /* the lock is minded that often */
        if (recorder->is_dirty && es_recorder_may_write(recorder))
            wait_s = fmin(wait_s, recorder->snapshot_due_s - es_clock_mono_s());
        wait_s = fmin(wait_s, es_recorder_look_wait_s(recorder));
        if (wait_s <= 0)
            return;
        int64_t until_ns = es_clock_after_ns(es_clock_mono_ns(), wait_s) + 1;
        if (!es_await_cond(&recorder->wake, &recorder->mutex, until_ns))
            return;
    }
}

/* Takes what was handed over, when there is something to do; whether it was the last. */
static bool take_work(struct es_recorder *recorder, struct es_mailbox *ret_results)
{
    pthread_mutex_lock(&recorder->mutex);
    wait_for_work(recorder);
    *ret_results = recorder->results;
    recorder->results = (struct es_mailbox){0};
    if (recorder->status_text) {
        es_recorder_forget_status(recorder);
        recorder->unwritten_status = recorder->status_text;
        recorder->unwritten_n = recorder->status_n;
    }
    recorder->status_text = NULL;
    bool is_last = recorder->is_ending;
    pthread_mutex_unlock(&recorder->mutex);
    return is_last;
}

static void *recorder_main(void *arg)
{
    struct es_recorder *recorder = arg;
    bool is_ending = false;
    es_recorder_look_at_previous(recorder);
    es_tally_read_reasons(recorder->tally);
    while (!is_ending) {
        struct es_mailbox results;
        is_ending = take_work(recorder, &results);
        if (is_ending)
            forget_fault(recorder);
        mind_lock(recorder, is_ending);
        if (results.first || is_ending) /* at the end, lines that could not be written before too */
            apply(recorder, &results);
        if (is_ending && es_recorder_minds_company(recorder))
            es_recorder_end_company(recorder);
        else if (!is_ending && es_recorder_look_wait_s(recorder) <= 0)
            es_recorder_look_around(recorder);
        es_recorder_write_status(recorder);
        if (recorder->is_dirty && es_recorder_may_write(recorder) &&
            (is_ending || es_clock_mono_s() >= recorder->snapshot_due_s))
            es_recorder_write_snapshot(recorder);
    }
    es_recorder_look_back(recorder);
    return NULL;
}

static void recorder_free(struct es_recorder *recorder)
{
    es_mailbox_clear(&recorder->news);
    es_company_free(recorder->company);
    es_last_look_free(recorder->last_look);
    es_tally_free(recorder->tally);
    free(recorder->has_line);
    free(recorder->is_lost);
    es_progress_close(recorder->progress);
    es_recorder_forget_status(recorder);
    es_result_clear(&recorder->result);
    es_result_clear(&recorder->scratch);
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
    recorder->is_owner = true;
    recorder->is_dirty = true; /* what the scan found belongs in the store, too */
    recorder->snapshot_due_s = es_clock_mono_s() + SNAPSHOT_FIRST_S;
    es_result_init(&recorder->result);
    es_result_init(&recorder->scratch);
    pthread_mutex_init(&recorder->mutex, NULL);
    es_await_init_cond(&recorder->wake);
    int rc = es_tally_create(config->units, config->company ? config->company->layout : NULL,
                             config->run_dir, &recorder->tally, err);
    if (rc == 0)
        rc = es_progress_open(config->run_dir, &recorder->progress, err);
    if (rc == 0 && config->company)
        rc = es_recorder_start_company(recorder, err);
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
    struct es_letter *letter = es_letter_create(0, message);
    if (!letter) {
        es_recorder_note_loss(recorder, "recording results");
        return;
    }
    pthread_mutex_lock(&recorder->mutex);
    es_mailbox_put(&recorder->results, letter);
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

bool es_recorder_news(struct es_recorder *recorder, struct es_message *ret_message)
{
    pthread_mutex_lock(&recorder->mutex);
    struct es_letter *letter = es_mailbox_take(&recorder->news);
    pthread_mutex_unlock(&recorder->mutex);
    if (!letter)
        return false;
    uint32_t source;
    es_letter_open(letter, &source, ret_message);
    return true;
}

void es_recorder_want_to_leave(struct es_recorder *recorder, uint32_t n_parked)
{
    pthread_mutex_lock(&recorder->mutex);
    recorder->n_to_leave = n_parked;
    pthread_mutex_unlock(&recorder->mutex);
}

bool es_recorder_has_left(struct es_recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    bool has_left = recorder->has_left;
    pthread_mutex_unlock(&recorder->mutex);
    return has_left;
}

bool es_recorder_fault(struct es_recorder *recorder, struct es_err *ret_err, bool *ret_is_final)
{
    pthread_mutex_lock(&recorder->mutex);
    bool has_fault = recorder->has_fault;
    if (has_fault) {
        *ret_err = recorder->fault;
        *ret_is_final = recorder->is_final;
    }
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
