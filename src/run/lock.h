/* The lock: one driver a run, on any file system that has link(2), NFS included.
 *
 * <run_dir>/.evalsweep/lock names its holder: host, boot, pid, Slurm job, step and restart count, and a
 * counter that the holder moves. It appears whole, by link(2) from a temporary file. A holder is
 * gone when
 *   - it ran under the same boot (and pid namespace), and the process is not there any more;
 *   - it has the same Slurm job id and a lower restart count or step id: Slurm ended it;
 *   - its counter has not moved for ES_LOCK_STALE_S on the observer's own monotonic clock.
 * Then a new one is renamed into its place. Only who has linked lock.takeover may do that, for the
 * moment that it takes, so that nobody ever replaces a lock that was itself just taken.
 *
 * The counter is moved in the file that was linked, through the descriptor from then: a holder whose
 * lock was taken over in spite of all (it was stopped for long) moves nobody else's, and is told.
 */
#ifndef ES_RUN_LOCK_H
#define ES_RUN_LOCK_H

#include "evalsweep/error.h"

#include <stdint.h>

#define ES_LOCK_STALE_S 60.0
#define ES_LOCK_BEAT_S 5.0

struct es_lock;

/* Takes the lock of a run whose .evalsweep folder is there. While it cannot be told whether a holder
 * elsewhere lives, waits up to stale_s (ES_LOCK_STALE_S, but in tests) for its counter to move.
 * ES_ERR_BUSY: another driver holds it, and `why` says who. */
int es_lock_acquire(const char *run_dir, double stale_s, struct es_lock **ret_lock,
                    struct es_err *err);

/* Moves the counter; to be called every ES_LOCK_BEAT_S (run/keeper.h does). ES_ERR_BUSY: the lock was taken over. Any one
 * thread. */
int es_lock_beat(struct es_lock *lock, struct es_err *err);

/* Removes the lock if it is still ours, and frees it. NULL is fine. */
void es_lock_release(struct es_lock *lock);

#endif
