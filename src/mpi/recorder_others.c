/* What the recorder has to do with other drivers of the run. */
#include "mpi/recorder_state.h"

#include "core/mem.h"
#include "mpi/catchup.h"
#include "sys/clock.h"

#include <math.h>
#include <time.h>

/* Others are looked after so often; more often while it is waited for what they do. */
#define LOOK_S 2.0
#define LOOK_SOON_S 0.5
/* What a driver that ends gives the owner to be seen alive. */
#define LEAVE_TRIES 20
#define LEAVE_PAUSE_NS 50000000L

bool es_recorder_minds_company(const struct es_recorder *recorder)
{
    return recorder->company && !recorder->is_locked_out && !recorder->has_left;
}

double es_recorder_look_wait_s(const struct es_recorder *recorder)
{
    double due_s = recorder->look_due_s;
    if (!es_recorder_minds_company(recorder))
        return (double)INFINITY;
    if (es_company_n_parked(recorder->company) > 0)
        due_s -= LOOK_S - LOOK_SOON_S;
    return due_s - es_clock_mono_s();
}

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
        es_recorder_note_fault(recorder, &err);
    recorder->is_owner = true;
    recorder->is_dirty = true;
    es_recorder_flush_progress(recorder);
}

static void send_news(struct es_recorder *recorder, struct es_buf *news)
{
    struct es_message message = {0};
    struct es_letter *letter = NULL;
    if (es_message_take(news, &message) == 0) {
        es_recorder_apply(recorder, &message);
        es_recorder_flush_progress(recorder);
        letter = es_letter_create(0, &message);
    }
    if (!letter) {
        es_recorder_note_loss(recorder, "telling what other drivers did");
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
    if (recorder->is_dirty && es_recorder_may_write(recorder))
        es_recorder_write_snapshot(recorder);
    if (!es_company_leave(recorder->company))
        return;
    recorder->is_owner = false;
    pthread_mutex_lock(&recorder->mutex);
    recorder->has_left = true;
    pthread_mutex_unlock(&recorder->mutex);
}

void es_recorder_look_around(struct es_recorder *recorder)
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

void es_recorder_end_company(struct es_recorder *recorder)
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

void es_recorder_look_at_previous(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (recorder->company && es_recorder_may_write(recorder) &&
        es_catch_up_previous(recorder->config.company, recorder->config.run_dir,
                             recorder->config.units, recorder->progress, &err) < 0)
        es_recorder_note_fault(recorder, &err);
    es_recorder_flush_progress(recorder);
}

void es_recorder_look_back(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (recorder->last_look && es_recorder_may_write(recorder) &&
        es_company_is_complete(recorder->company) &&
        es_last_look_check(recorder->last_look, recorder->config.run_dir, &err) < 0)
        es_recorder_note_fault(recorder, &err);
}

int es_recorder_start_company(struct es_recorder *recorder, struct es_err *err)
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
