/* The run folder's own files, under .evalsweep/: the job as run, and the epoch; beside them, what
 * run/lock.h and run/lease.h put into drivers/ and leases/. */
#ifndef ES_RUN_FOLDER_H
#define ES_RUN_FOLDER_H

#include "evalsweep/error.h"
#include "evalsweep/jobfile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ES_FOLDER_NAME ".evalsweep"
#define ES_FOLDER_DRIVERS "drivers" /* below it */
#define ES_FOLDER_LEASES "leases"

/* Makes <run_dir>/.evalsweep with all folders above it and the two below. */
int es_folder_make(const char *run_dir, struct es_err *err);

/* Removes the temporary files that a killed driver left in the run folder and in .evalsweep/. Only
 * for the holder of the lock. */
void es_folder_sweep(const char *run_dir);

/* The saved job; overrides may be NULL. ES_ERR_NOENT: there is none (an old tree). Other errors
 * name the saved file. */
int es_folder_load_job(const char *run_dir, const struct es_job_overrides *overrides,
                       struct es_job **ret_job, struct es_err *err);

/* Saves the text of the job as run; it survives a power loss, after which a requeued job would
 * stand before an empty file. */
int es_folder_write_job(const char *run_dir, const char *text, size_t n, struct es_err *err);

/* When the run was started that is going on: the time of its job file, by the file server's clock,
 * as are those of markers. A driver that joins, or takes over in mid-run, does not start it anew.
 */
int es_folder_started(const char *run_dir, int64_t *ret_started_ns, struct es_err *err);

/* The epoch: markers older than it are pending. INT64_MIN when there is none. It is the time of the
 * epoch file itself, so that the file server's clock is compared with itself. */
int es_folder_epoch(const char *run_dir, int64_t *ret_not_before_ns, struct es_err *err);

/* Begins a new epoch, unless the one that is there was begun under the same Slurm job id (a
 * restarted or requeued job must not begin again for ever). slurm_job_id may be NULL. */
int es_folder_begin_epoch(const char *run_dir, const char *slurm_job_id, struct es_err *err);

#endif
