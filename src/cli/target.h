/* What a command works on: a job file, or a run folder (with its saved job, or an old tree whose
 * folders show the grid). */
#ifndef ES_CLI_TARGET_H
#define ES_CLI_TARGET_H

#include "cli/opt.h"
#include "evalsweep/jobfile.h"
#include "evalsweep/units.h"
#include "run/layout.h"
#include "run/lock.h"
#include "run/scan.h"

struct es_target {
    struct es_job *job;         /* NULL for an old tree */
    struct es_grid *old_grid;   /* of an old tree, owned; else NULL */
    const struct es_grid *grid; /* whichever there is */
    struct es_layout *layout;
    char *run_dir;
    int64_t not_before_ns;        /* the run's epoch; INT64_MIN: none */
    int64_t failed_not_before_ns; /* older failed.json do not count; 0: any does */
    uint32_t n_outside; /* once scanned: results in the store that the grid does not have */
};

/* Opens a JOB or RUN_DIR. sets may be NULL. The environment's RUN_ID counts for a job file only. */
int es_target_open(const char *path, const struct es_opt_list *sets, struct es_target *ret_target,
                   struct es_err *err);
/* Only where its run is: *ret_run_dir is the caller's (free). */
int es_target_find(const char *path, const struct es_opt_list *sets, char **ret_run_dir,
                   struct es_err *err);
void es_target_close(struct es_target *target);

/* The table of its units, from the store and the markers. A store that cannot be read is said and
 * done without. Free with es_units_free. */
int es_target_scan(struct es_target *target, bool look_for_failed, struct es_units **ret_units,
                   struct es_scan_summary *ret_summary, struct es_err *err);

/* Takes the lock of a run whose folder is made, or joins it (run/lock.h); tells of a long wait. */
int es_target_enter(const struct es_target *target, bool may_join, struct es_lock **ret_lock,
                    struct es_err *err);

/* Takes the run's lock, for a command that changes the run. A run folder that is not there
 * (mistyped, perhaps) is an error, and not made. */
int es_target_lock(const struct es_target *target, struct es_lock **ret_lock, struct es_err *err);

/* Removes a unit's failed.json, or its marker; one that is not there is fine. */
int es_target_clear_unit(const struct es_target *target, int run_dir_fd, uint32_t unit_id,
                         bool done, struct es_buf *scratch, struct es_err *err);

/* How many markers are there that do not count as done. */
uint32_t es_target_n_bad_markers(const struct es_scan_summary *summary);

/* Says which markers were found bad, and how many results the grid does not have, if any. */
void es_target_say_findings(const struct es_target *target, const struct es_scan_summary *summary);

/* A part of a grid: units whose checkpoint, layer and task are all selected. */
struct es_selection {
    uint8_t *checkpoints; /* [n_checkpoints] */
    uint8_t *layers;
    uint8_t *tasks;
};

/* Adds a value of an axis ("checkpoint", "layer" or "task"); an axis without values selects all.
 * ES_ERR_USAGE: no such axis, or no such value in the grid. */
int es_selection_add(struct es_selection *selection, const struct es_grid *grid, const char *axis,
                     const char *value, struct es_err *err);
/* "checkpoint=step0,task=STS12"; a comma within a name stands behind a backslash. */
int es_selection_add_text(struct es_selection *selection, const struct es_grid *grid,
                          const char *text, struct es_err *err);
bool es_selection_has(const struct es_selection *selection, struct es_unit unit);
void es_selection_clear(struct es_selection *selection);

#endif
