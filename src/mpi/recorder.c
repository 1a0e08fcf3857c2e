#include "mpi/recorder.h"

#include "core/mem.h"
#include "mpi/catchup.h"
#include "mpi/lastlook.h"
#include "mpi/mailbox.h"
#include "run/progress.h"
#include "run/status.h"
#include "run/tally.h"
#include "sys/await.h"
#include "sys/clock.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A snapshot at most this often, and never more than 1 % of the time; the first one when a start
 * has had its moment, which a short run does without. */
#define SNAPSHOT_FIRST_S 1.0
#define SNAPSHOT_INTERVAL_S 5.0
#define SNAPSHOT_SHARE 0.01
/* Others are looked after so often; more often while it is waited for what they do. */
#define LOOK_S 2.0
#define LOOK_SOON_S 0.5
/* What a driver that ends gives the owner to be seen alive. */
#define LEAVE_TRIES 20
#define LEAVE_PAUSE_NS 50000000L

struct es_recorder {
    struct es_recorder_config config;
    struct es_progress *progress;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards everything below it up to the next comment */
    pthread_cond_t wake;
    struct es_mailbox results;
    char *status_text;
    size_t status_n;
    bool is_ending;
    bool has_fault;
    bool is_final; /* the fault: nothing makes it good any more */
    struct es_err fault;
    struct es_mailbox news; /* for the coordinator */
    uint32_t n_to_leave;
    bool has_left;
    /* The thread's own. */
    struct es_company *company;     /* NULL: none */
    uint8_t *has_line;              /* [n_units] with company: whose lines are in progress.csv */
    uint8_t *is_lost;               /* [n_units] with company: what failed for good here */
    struct es_last_look *last_look; /* with company: where there are markers */
    struct es_tally *tally;         /* for status.json */
    bool is_owner;
    double look_due_s;
    struct es_result result;
    char *unwritten_status; /* the newest one, until it is written */
    size_t unwritten_n;
    bool is_dirty; /* the store is behind the table */
    bool is_locked_out;
    double snapshot_due_s;
};

static void note(struct es_recorder *recorder, const struct es_err *err, bool is_final)
{
    pthread_mutex_lock(&recorder->mutex);
    if (!recorder->is_final && (!recorder->has_fault || is_final))
        recorder->fault = *err;
    recorder->has_fault = true;
    recorder->is_final = recorder->is_final || is_final;
    pthread_mutex_unlock(&recorder->mutex);
}

/* Something could not be written: it is tried again. */
static void note_fault(struct es_recorder *recorder, const struct es_err *err)
{
    note(recorder, err, false);
}

/* Out of memory, something was forgotten: a result, or what somebody waits for. The run must end,
 * and the next start finds it in the markers. */
static void note_loss(struct es_recorder *recorder, const char *doing)
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

/* Whether the run's files are this driver's to write. */
static bool may_write(const struct es_recorder *recorder)
{
    return recorder->is_owner && !recorder->is_locked_out;
}

/* A line of progress.csv: one for each unit, by whoever owns the run when it learns of it. */
static void add_line(struct es_recorder *recorder, const struct es_result_entry *entry,
                     enum es_status status)
{
    uint8_t *has_line = recorder->has_line;
    bool was_found = entry->kind == ES_RESULT_FOUND || entry->kind == ES_RESULT_FOUND_FAILED;
    if (was_found && (!recorder->company || (entry->kind == ES_RESULT_FOUND &&
                                             !es_is_of_run(recorder->config.company,
                                                           recorder->result.rank, &entry->marker))))
        return;
    if (!recorder->is_owner || (has_line && has_line[entry->unit_id]))
        return;
    if (has_line)
        has_line[entry->unit_id] = 1;
    es_progress_add(recorder->progress, es_units_grid(recorder->config.units), entry->unit_id,
                    status, &recorder->result);
}

static void apply_entry(struct es_recorder *recorder, const struct es_result_entry *entry)
{
    struct es_units *units = recorder->config.units;
    struct es_result *result = &recorder->result;
    enum es_status status = ES_STATUS_DONE;
    if (entry->kind == ES_RESULT_RETURNED || entry->kind == ES_RESULT_KEPT ||
        entry->kind == ES_RESULT_FAILED || entry->unit_id >= es_grid_n_units(es_units_grid(units)))
        return;
    if (entry->kind == ES_RESULT_ELSEWHERE) {
        if (recorder->company && es_company_park(recorder->company, entry->unit_id) < 0)
            note_loss(recorder, "watching what another driver does");
        return;
    }
    if (entry->kind == ES_RESULT_LOST || entry->kind == ES_RESULT_FOUND_FAILED)
        status = ES_STATUS_FAILED;
    if (es_units_set_result(units, entry->unit_id, status, result, &entry->marker) < 0)
        note_loss(recorder, "recording a result");
    if (recorder->is_lost)
        recorder->is_lost[entry->unit_id] = entry->kind == ES_RESULT_LOST;
    if (status == ES_STATUS_FAILED)
        es_tally_note(recorder->tally, entry->unit_id, es_result_text(result, result->reason));
    recorder->is_dirty = true;
    if (recorder->last_look && status == ES_STATUS_DONE)
        es_last_look_note(recorder->last_look, entry->unit_id);
    add_line(recorder, entry, status);
    if (recorder->company)
        es_company_settle(recorder->company, entry->unit_id);
}

static void apply_message(struct es_recorder *recorder, const struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    struct es_result_entry entry;
    while (es_results_next(&reader, &entry, &recorder->result))
        apply_entry(recorder, &entry);
}

static void flush_progress(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (may_write(recorder) && es_progress_flush(recorder->progress, &err) < 0)
        note_fault(recorder, &err);
}

static void apply(struct es_recorder *recorder, struct es_mailbox *results)
{
    for (struct es_letter *letter; (letter = es_mailbox_take(results));) {
        struct es_message message;
        uint32_t source;
        es_letter_open(letter, &source, &message);
        apply_message(recorder, &message);
        es_message_clear(&message);
    }
    flush_progress(recorder);
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
    struct es_buf text = {0};
    if (!recorder->unwritten_status || !may_write(recorder))
        return;
    es_buf_append(&text, recorder->unwritten_status, recorder->unwritten_n);
    es_status_end(recorder->tally, &text);
    int rc = text.failed ? es_err_nomem(&err, "writing the status")
                         : es_status_write(recorder->config.run_dir, text.data, text.len, &err);
    if (rc == 0)
        forget_status(recorder);
    else
        note_fault(recorder, &err);
    es_buf_clear(&text);
}

/* --- Other drivers --- */

/* Takes in what others did; from then on the files are this driver's to write. */
static void catch_up(struct es_recorder *recorder)
{
    struct es_err err = {0};
    struct es_progress *progress;
    int rc = es_progress_open(recorder->config.run_dir, &progress, &err); /* as it is by now */
    if (rc == 0) {
        es_progress_close(recorder->progress);
        recorder->progress = progress;
        rc = es_catch_up(recorder->config.company, recorder->config.run_dir, recorder->config.units,
                         progress, recorder->has_line, recorder->is_lost, &err);
        es_tally_read_reasons(recorder->tally);
    }
    if (rc < 0)
        note_fault(recorder, &err);
    recorder->is_owner = true;
    recorder->is_dirty = true;
    flush_progress(recorder);
}

static void send_news(struct es_recorder *recorder, struct es_buf *news)
{
    struct es_message message = {0};
    struct es_letter *letter = NULL;
    if (es_message_take(news, &message) == 0) {
        apply_message(recorder, &message);
        flush_progress(recorder);
        letter = es_letter_create(0, &message);
    }
    if (!letter) {
        note_loss(recorder, "telling what other drivers did");
        return;
    }
    pthread_mutex_lock(&recorder->mutex);
    es_mailbox_put(&recorder->news, letter);
    pthread_mutex_unlock(&recorder->mutex);
}

/* Leaves if that is wanted, and all is told and written. */
static void leave_if_wanted(struct es_recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    uint32_t n = recorder->n_to_leave;
    bool may_leave = n > 0 && n == es_company_n_parked(recorder->company) &&
                     !recorder->results.first && !recorder->news.first && !recorder->has_left;
    pthread_mutex_unlock(&recorder->mutex);
    if (!may_leave)
        return;
    if (recorder->is_dirty && may_write(recorder))
        write_snapshot(recorder);
    if (!es_company_leave(recorder->company))
        return;
    recorder->is_owner = false;
    pthread_mutex_lock(&recorder->mutex);
    recorder->has_left = true;
    pthread_mutex_unlock(&recorder->mutex);
}

static void look_around(struct es_recorder *recorder)
{
    struct es_buf news = {0};
    es_company_look(recorder->company, &news);
    if (es_company_owns(recorder->company) && !recorder->is_owner)
        catch_up(recorder);
    if (news.len || news.failed)
        send_news(recorder, &news);
    leave_if_wanted(recorder);
    recorder->look_due_s = es_clock_mono_s() + LOOK_S;
}

/* At the end: a driver that has joined leaves to the owner; if there is none, it is the last, and
 * the run's files are its to write. The owner takes in what was done by others that have left. */
static void end_company(struct es_recorder *recorder)
{
    const struct timespec pause = {.tv_nsec = LEAVE_PAUSE_NS};
    struct es_buf nothing = {0};
    bool has_left = false;
    if (recorder->look_due_s <= 0) /* so short a run that nobody looked for what the dead left */
        es_company_look(recorder->company, &nothing);
    for (int i = 0; i < LEAVE_TRIES && !es_company_owns(recorder->company) && !has_left; i++) {
        if (i)
            (void)nanosleep(&pause, NULL);
        es_company_look(recorder->company, &nothing);
        has_left = !es_company_owns(recorder->company) && es_company_leave(recorder->company);
    }
    es_buf_clear(&nothing);
    if (es_company_owns(recorder->company) && es_company_had_others(recorder->company))
        catch_up(recorder);
    es_company_drop_leases(recorder->company);
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

/* Whether the others are this driver's affair (any more). */
static bool minds_company(const struct es_recorder *recorder)
{
    return recorder->company && !recorder->is_locked_out && !recorder->has_left;
}

/* Until when the others need not be looked after; INFINITY: never. */
static double look_wait_s(const struct es_recorder *recorder)
{
    double due_s = recorder->look_due_s;
    if (!minds_company(recorder))
        return (double)INFINITY;
    if (es_company_n_parked(recorder->company) > 0)
        due_s -= LOOK_S - LOOK_SOON_S;
    return due_s - es_clock_mono_s();
}

/* Waits, with the mutex held, until there is something to do. */
static void wait_for_work(struct es_recorder *recorder)
{
    while (!recorder->results.first && !recorder->status_text && !recorder->is_ending) {
        double wait_s = ES_LOCK_BEAT_S; /* the lock is minded that often */
        if (recorder->is_dirty && may_write(recorder))
            wait_s = fmin(wait_s, recorder->snapshot_due_s - es_clock_mono_s());
        wait_s = fmin(wait_s, look_wait_s(recorder));
        if (wait_s <= 0)
            return;
        int64_t until_ns = es_clock_after_ns(es_clock_mono_ns(), wait_s) + 1;
        if (!es_await_cond(&recorder->wake, &recorder->mutex, until_ns))
            return;
    }
}

/* At the start, whether what the one before it did has its lines. */
static void look_at_previous(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (recorder->company && may_write(recorder) &&
        es_catch_up_previous(recorder->config.company, recorder->config.run_dir,
                             recorder->config.units, recorder->progress, &err) < 0)
        note_fault(recorder, &err);
    flush_progress(recorder);
}

/* At the end, whether what is done is still there. With work left, the next start sees that. */
static void look_back(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (recorder->last_look && may_write(recorder) && es_company_is_complete(recorder->company) &&
        es_last_look_check(recorder->last_look, recorder->config.run_dir, &err) < 0)
        note_fault(recorder, &err);
}

static void *recorder_main(void *arg)
{
    struct es_recorder *recorder = arg;
    bool is_ending = false;
    look_at_previous(recorder);
    es_tally_read_reasons(recorder->tally);
    while (!is_ending) {
        pthread_mutex_lock(&recorder->mutex);
        wait_for_work(recorder);
        struct es_mailbox results = recorder->results;
        recorder->results = (struct es_mailbox){0};
        if (recorder->status_text) {
            forget_status(recorder);
            recorder->unwritten_status = recorder->status_text;
            recorder->unwritten_n = recorder->status_n;
        }
        recorder->status_text = NULL;
        is_ending = recorder->is_ending;
        pthread_mutex_unlock(&recorder->mutex);
        if (is_ending)
            forget_fault(recorder);
        mind_lock(recorder, is_ending);
        if (results.first || is_ending) /* at the end, lines that could not be written before too */
            apply(recorder, &results);
        if (is_ending && minds_company(recorder))
            end_company(recorder);
        else if (!is_ending && look_wait_s(recorder) <= 0)
            look_around(recorder);
        write_status(recorder);
        if (recorder->is_dirty && may_write(recorder) &&
            (is_ending || es_clock_mono_s() >= recorder->snapshot_due_s))
            write_snapshot(recorder);
    }
    look_back(recorder);
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
    forget_status(recorder);
    es_result_clear(&recorder->result);
    pthread_mutex_destroy(&recorder->mutex);
    pthread_cond_destroy(&recorder->wake);
    free(recorder);
}

static int start_company(struct es_recorder *recorder, struct es_err *err)
{
    const struct es_grid *grid = es_units_grid(recorder->config.units);
    recorder->has_line = es_mem_calloc(es_grid_n_units(grid), 1);
    recorder->is_lost = es_mem_calloc(es_grid_n_units(grid), 1);
    if (!recorder->has_line || !recorder->is_lost)
        return es_err_nomem(err, "starting the recorder");
    int rc = es_company_create(recorder->config.company, recorder->config.run_dir, grid,
                               &recorder->company, err);
    if (rc == 0)
        recorder->is_owner = es_company_owns(recorder->company);
    if (rc == 0)
        rc = es_last_look_create(recorder->config.company->layout, recorder->config.units,
                                 &recorder->last_look, err);
    return rc;
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
    pthread_mutex_init(&recorder->mutex, NULL);
    es_await_init_cond(&recorder->wake);
    int rc = es_tally_create(config->units, config->company ? config->company->layout : NULL,
                             config->run_dir, &recorder->tally, err);
    if (rc == 0)
        rc = es_progress_open(config->run_dir, &recorder->progress, err);
    if (rc == 0 && config->company)
        rc = start_company(recorder, err);
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
        note_loss(recorder, "recording results");
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
