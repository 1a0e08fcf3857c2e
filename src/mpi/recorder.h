/* The recorder: the one thread of rank 0 that writes progress.csv, status.json and the store, minds
 * the lock, and alone calls HDF5 during a run, so that dispatch never waits for a file server.
 *
 * It owns the table of units from start to finish: results go in as the messages they came in.
 */
#ifndef ES_MPI_RECORDER_H
#define ES_MPI_RECORDER_H

#include "evalsweep/store.h"
#include "evalsweep/units.h"
#include "mpi/wire.h"
#include "run/keeper.h"

struct es_recorder;

struct es_recorder_config {
    struct es_units *units; /* the recorder's from start to finish */
    const char *run_dir;    /* borrowed, as all texts here */
    const struct es_attribute *attributes;
    size_t n_attributes;
    struct es_keeper *keeper; /* of the run's lock; NULL: none (tests) */
    bool sync;             /* run.fsync */
};

int es_recorder_start(const struct es_recorder_config *config, struct es_recorder **ret_recorder,
                      struct es_err *err);

/* Hands over a RESULTS message (taken, emptied). FAILED says nothing yet, LOST does. Any thread. */
void es_recorder_add(struct es_recorder *recorder, struct es_message *message);

/* Hands over a new text for status.json (taken: allocated, or NULL when there was no memory). */
void es_recorder_set_status(struct es_recorder *recorder, char *text, size_t n);

/* The first failure to write since the last call. False: there was none. ES_ERR_BUSY: another driver
 * took the run over, and nothing more is written. */
bool es_recorder_fault(struct es_recorder *recorder, struct es_err *ret_err);

/* Applies and writes everything, joins the thread and frees the recorder; the table is the caller's
 * again. The error is the first that es_recorder_fault did not tell yet, or that of the last writes
 * (ES_ERR_BUSY: they were not done, for the run is another driver's). NULL is fine. */
int es_recorder_finish(struct es_recorder *recorder, struct es_err *err);

#endif
