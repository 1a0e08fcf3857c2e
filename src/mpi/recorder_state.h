/* What the recorder is made of. Only recorder*.c look in here.
 *
 *     recorder.c         its thread, and what others hand over and ask
 *     recorder_files.c   the table of units, progress.csv, status.json and the store
 *     recorder_others.c  the other drivers of the run
 *
 * All but recorder.c's is the thread's to call.
 */
#ifndef ES_MPI_RECORDER_STATE_H
#define ES_MPI_RECORDER_STATE_H

#include "mpi/lastlook.h"
#include "mpi/mailbox.h"
#include "mpi/recorder.h"
#include "run/progress.h"
#include "run/tally.h"

#include <pthread.h>

struct es_recorder {
    struct es_recorder_config config;
    struct es_progress *progress;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows, but for the thread's own */
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
    struct es_result scratch;
    char *unwritten_status; /* the newest one, until it is written */
    size_t unwritten_n;
    bool is_dirty; /* the store is behind the table */
    bool is_locked_out;
    double snapshot_due_s;
};

/* recorder.c */

/* Something could not be written: it is tried again. */
void es_recorder_note_fault(struct es_recorder *recorder, const struct es_err *err);
/* Out of memory, something was forgotten: a result, or what somebody waits for. The run must end,
 * and the next start finds it in the markers. */
void es_recorder_note_loss(struct es_recorder *recorder, const char *doing);

/* recorder_files.c */

/* Whether the run's files are this driver's to write. */
bool es_recorder_may_write(const struct es_recorder *recorder);
/* A RESULTS message goes into the table, and as lines to progress.csv, of which the flush writes
 * those that are not written yet. */
void es_recorder_apply(struct es_recorder *recorder, const struct es_message *message);
void es_recorder_flush_progress(struct es_recorder *recorder);
void es_recorder_write_snapshot(struct es_recorder *recorder);
void es_recorder_write_status(struct es_recorder *recorder);
void es_recorder_forget_status(struct es_recorder *recorder);

/* recorder_others.c */

int es_recorder_start_company(struct es_recorder *recorder, struct es_err *err);
/* Whether the others are this driver's affair (any more). */
bool es_recorder_minds_company(const struct es_recorder *recorder);
/* How long the others need not be looked after; INFINITY: for ever. */
double es_recorder_look_wait_s(const struct es_recorder *recorder);
/* At the start: adds the lines that the driver before did not come to write. */
void es_recorder_look_at_previous(struct es_recorder *recorder);
void es_recorder_look_around(struct es_recorder *recorder);
/* At the end: a driver that has joined leaves to the owner; if there is none, it is the last, and
 * the run's files are its to write. The owner takes in what was done by others that have left. */
void es_recorder_end_company(struct es_recorder *recorder);
/* At the end: whether what is done is still there. With work left, the next start sees that. */
void es_recorder_look_back(struct es_recorder *recorder);

#endif
