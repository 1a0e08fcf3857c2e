/* The scan: which units of the grid have a marker.
 *
 * Asks for the grid's markers folder by folder, with several threads, since a parallel file system
 * answers slowly and in parallel. A folder that is not there costs one call for all the units below
 * it. A marker whose unit the table already has done, with the same identity (inode, size, mtime),
 * is not read.
 */
#ifndef ES_RUN_SCAN_H
#define ES_RUN_SCAN_H

#include "evalsweep/error.h"
#include "evalsweep/units.h"
#include "run/layout.h"
#include "run/marker.h"

struct es_scan_options {
    int64_t not_before_ns; /* markers older than this are pending (INT64_MIN: any age counts) */
    bool look_for_failed;  /* a failed.json where there is no valid marker is that of a failed unit;
                              else of a pending one, whose failed tries it tells */
    int64_t failed_not_before_ns; /* older ones do not count (0: any age does) */
    const uint8_t *stays_failed; /* [n_units] 1: failed in the table is enough; NULL: it never is */
    uint32_t n_threads;          /* 0: a default */
};

struct es_scan_summary {
    uint32_t n_markers[ES_MARKER_N_STATES]; /* a count for each unit that is not excluded */
    uint32_t n_known;   /* of the valid markers, those that were not read again */
    uint32_t n_older;   /* of those that count as missing, older than not_before_ns */
    uint32_t first_bad; /* the first unit with a bad marker, or ES_GRID_NONE */
    uint64_t n_calls;   /* system calls made on the tree */
};

/* Brings the table up to date: done (with scores), failed, or pending. Units excluded stay so.
 * Scores that the table holds for units without a valid marker are dropped: markers are the truth.
 * A run folder that is not there is an empty one. ES_ERR_IO when a folder cannot be looked into,
 * or the one above all units is a link to nothing or no folder, since nobody can tell what is done;
 * the table may then be brought up to date in part. */
int es_scan(const char *run_dir, const struct es_layout *layout,
            const struct es_scan_options *options, struct es_units *units,
            struct es_scan_summary *ret_summary, struct es_err *err);

/* The grid that the folders of an old tree show under the default layout: steps by number, layers
 * by number, tasks by name. ES_ERR_NOENT when there is none. Free with es_grid_free. */
int es_scan_discover(const char *run_dir, struct es_grid **ret_grid, struct es_err *err);

#endif
