/* The recorder: the one thread of rank 0 that writes progress.csv, status.json and the store, minds
 * the lock, and alone calls HDF5 during a run, so that dispatch never waits for a file server.
 *
 * It owns the table of units from start to finish: results go in as the messages they came in.
 *
 * With company (mpi/company.h) it also minds the other drivers of the run. Only while the lock is
 * ours does it write those files; a driver that comes to own the lock in mid-run catches up first.
 */
#ifndef ES_MPI_RECORDER_H
#define ES_MPI_RECORDER_H

#include "evalsweep/store.h"
#include "evalsweep/units.h"
#include "mpi/company.h"
#include "mpi/wire.h"
#include "run/keeper.h"

struct es_recorder;

struct es_recorder_config {
    struct es_units *units; /* the recorder's from start to finish */
    const char *run_dir;    /* borrowed, as all texts here */
    const struct es_attribute *attributes;
    size_t n_attributes;
    struct es_keeper *keeper;                /* of the run's lock; NULL: none (tests) */
    const struct es_company_config *company; /* NULL: no other driver can take part */
    bool sync;                               /* run.fsync */
};

int es_recorder_start(const struct es_recorder_config *config, struct es_recorder **ret_recorder,
                      struct es_err *err);

/* Hands over a RESULTS message (taken, emptied). FAILED is a try of a unit that stays
 * pending, LOST the end of one. Any thread. */
void es_recorder_add(struct es_recorder *recorder, struct es_message *message);

/* Hands over a new text for status.json, as es_status_text has it (taken: allocated, or NULL when
 * there was no memory). The recorder adds what the table tells. */
void es_recorder_set_status(struct es_recorder *recorder, char *text, size_t n);

/* What was found out of parked units since the last call: a RESULTS message, the caller's. False:
 * nothing. */
bool es_recorder_news(struct es_recorder *recorder, struct es_message *ret_message);

/* Says that nothing is left to do here but n_parked units that others have (0: that is not so, or
 * no more): if the recorder has just those, too, and the others live, it leaves the run to them. */
void es_recorder_want_to_leave(struct es_recorder *recorder, uint32_t n_parked);

/* Whether it has left, once and for all. */
bool es_recorder_has_left(struct es_recorder *recorder);

/* The first failure to write since the last call, or one that is final. False: there was none.
 * Final: the run must end, for another driver took it over (ES_ERR_BUSY; nothing more is written),
 * or because something was forgotten, out of memory. */
bool es_recorder_fault(struct es_recorder *recorder, struct es_err *ret_err, bool *ret_is_final);

/* Applies and writes everything (what others did since, too, where there were any), joins the
 * thread and frees the recorder; the table is the caller's again. The error is the first that
 * es_recorder_fault did not tell yet, or that of the last writes (ES_ERR_BUSY: they were not done,
 * for the run is another driver's). NULL is fine. */
int es_recorder_finish(struct es_recorder *recorder, struct es_err *err);

#endif
