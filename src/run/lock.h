/* The lock: one owner a run, on any file system that has link(2), NFS included; and other drivers
 * that have joined it.
 *
 * Every driver has a file of its own, <run_dir>/.evalsweep/drivers/<id> (run/holder.h). The lock,
 * <run_dir>/.evalsweep/lock, is a second name of its owner's file: moving the one counter keeps
 * both alive. It appears whole, by link(2). A lock whose holder is gone is replaced by rename(2);
 * and so is that of an owner which hands the run over, by the file of the heir, that then finds the
 * lock to be its own. Only who has linked lock.takeover may do either, for the moment that it
 * takes, so that nobody ever replaces a lock that was itself just taken, or leaves with one just
 * handed to it.
 *
 * The counter is moved through the descriptor from the beginning: a driver that was taken for gone
 * in spite of all (it was stopped for long) moves nobody else's, and is told.
 *
 * Threads: any may beat; one calls the rest.
 */
#ifndef ES_RUN_LOCK_H
#define ES_RUN_LOCK_H

#include "evalsweep/error.h"

#include <stdbool.h>

#define ES_LOCK_STALE_S 60.0
#define ES_LOCK_BEAT_S 5.0

struct es_lock;

struct es_lock_request {
    const char *run_dir; /* whose .evalsweep folder is there */
    double stale_s;      /* ES_LOCK_STALE_S, but in tests */
    bool may_join;
    /* Told, once, what is waited for, if it takes more than a moment. NULL: nobody is. */
    void (*note)(const char *text, void *context);
    void *context;
};

/* Takes the lock of a run. While it cannot be told whether a holder elsewhere lives, waits up to
 * stale_s for its counter to move. ES_ERR_BUSY: another driver holds it, and `why` says who.
 * With may_join, where another driver holds it, joins the run: es_lock_owns tells which it was.
 * Waits for a holder that is just starting to be ready; ES_ERR_BUSY if it does not get so. */
int es_lock_enter(const struct es_lock_request *request, struct es_lock **ret_lock,
                  struct es_err *err);

/* The same, to take it alone; or to join; telling nobody. */
int es_lock_acquire(const char *run_dir, double stale_s, struct es_lock **ret_lock,
                    struct es_err *err);
int es_lock_join(const char *run_dir, double stale_s, struct es_lock **ret_lock,
                 struct es_err *err);

/* This driver's id: what leases name. */
const char *es_lock_id(const struct es_lock *lock);

/* The owner's files of the run are written: others may join. At the next beat they can see it. */
void es_lock_set_ready(struct es_lock *lock);

/* Whether the lock is ours: taken, or handed over. */
bool es_lock_owns(struct es_lock *lock);

/* Takes the lock if nobody holds it, or who does is gone; waits for nothing, and is called every
 * few seconds, from which it sees counters move. Whether the lock is ours then. */
bool es_lock_try(struct es_lock *lock);

/* Leaves the run to others, for good: as the owner, to the driver of that id, which owns it from
 * then on; else (heir NULL), to the owner. False: not now, for the heir or the owner is gone, or
 * the lock is our own by now; it may be tried again. */
bool es_lock_leave(struct es_lock *lock, const char *heir);

/* Moves the counter; to be called every ES_LOCK_BEAT_S (run/keeper.h does). ES_ERR_BUSY: the lock
 * was taken over, or this driver taken for gone. ES_ERR_NOENT: all of the run folder is gone. */
int es_lock_beat(struct es_lock *lock, struct es_err *err);

/* Removes the driver's file, and the lock if it is still ours, and frees it. NULL is fine. */
void es_lock_release(struct es_lock *lock);

#endif
