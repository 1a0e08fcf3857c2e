/* The store: results.h5, a netCDF-4 compatible HDF5 file of all results and completion status.
 *
 * Written as a whole new file and renamed; the previous one stays as a hard link under .evalsweep/
 * until the next, so that NFS readers do not lose it under their feet. The same results make the
 * same bytes, in whatever order they came in. docs/store.md has the schema.
 *
 * Whatever damage a store has, reading it is an error and no worse: a checksum of the whole file is
 * compared before HDF5 sees it. A store that another program wrote to has none any more and is
 * refused too; the markers have it all.
 *
 * HDF5's serial library is not to be called by two threads: all functions here from one thread at a
 * time. HDF5's own error printing is off while they run; its innermost message is the `why`.
 */
#ifndef EVALSWEEP_STORE_H
#define EVALSWEEP_STORE_H

#include "evalsweep/units.h"

#include <stdbool.h>

/* Its name in the run folder. */
#define ES_STORE_NAME "results.h5"

/* One root attribute; a list of them is where provenance goes. Each name once, and none of those
 * that the store has itself: Conventions, title, evalsweep_schema, evaluator_*. */
struct es_attribute {
    const char *name;
    const char *value;
};

/* What to write where, beside the table. Borrowed for the call. */
struct es_store_write {
    const char *run_dir;
    const struct es_attribute *attributes; /* [n_attributes] */
    size_t n_attributes;
    bool fsync;
    /* Asked when all is written, before the file that is there is replaced: an error leaves it. A
     * file server may have been away for long, and the run be another job's. NULL: not asked. */
    int (*may_replace)(void *context, struct es_err *err);
    void *context;
};

/* Writes run_dir/results.h5 from the table, of which nothing is copied but a block at a time. On
 * failure the file that was there still is. ES_ERR_IO: a full disk, for instance. */
int es_store_write(const struct es_store_write *request, struct es_units *units,
                   struct es_err *err);

/* The same to a path of the caller's, without the hard link. */
int es_store_write_file(const char *path, const struct es_attribute *attributes,
                        size_t n_attributes, struct es_units *units, struct es_err *err);

/* One run of several that are written to one file. */
struct es_store_run {
    struct es_units *units;                /* its grid has the axes of the file's */
    const struct es_attribute *attributes; /* [n_attributes]: texts of this run */
    size_t n_attributes;
};

/* What es_store_merge writes. */
struct es_store_merge {
    const char *path;
    const struct es_attribute *attributes; /* [n_attributes]: of the file */
    size_t n_attributes;
    const struct es_grid *grid; /* its axes are the file's */
    const char *const *runs;    /* [n_runs] names, at least one, none twice */
    uint32_t n_runs;
    /* Gives the runs, one after the other; what it gives stays until it is called again, or
     * es_store_merge returns. Its failure is that of es_store_merge. */
    int (*load)(void *context, uint32_t run, struct es_store_run *ret_run, struct es_err *err);
    void *context;
};

/* Writes the results of several runs to one file: the variables of a store with a dimension `run`
 * before the others, whole or not at all. Of what there is in memory only one run is. */
int es_store_merge(const struct es_store_merge *request, struct es_err *err);

/* Whether a merge may be written to path: there is nothing, or an earlier merge. ES_ERR_USAGE: what
 * is there is something else. */
int es_store_check_merge(const char *path, struct es_err *err);

/* Reads what a store knows of the table's units, by name: status, scores, metrics, marker identity;
 * and what evaluators said of themselves. Units that are pending there, or excluded here, are left
 * as they are. ret_n_outside (may be NULL): done units of the store that the table's grid has not,
 * or excludes. ES_ERR_NOENT: there is none, or one of an older schema, of which nothing is read.
 * ES_ERR_STORE: it is damaged or no store of ours; nothing of it stays in the table, whose units
 * are pending again. */
int es_store_read(const char *path, struct es_units *units, uint32_t *ret_n_outside,
                  struct es_err *err);

/* The grid of a store with its exclusions, for when there is no job file. Free with es_grid_free.
 */
int es_store_read_grid(const char *path, struct es_grid **ret_grid, struct es_err *err);

/* The value of a root attribute, allocated; NULL: none. */
char *es_store_read_attribute(const char *path, const char *name);

/* The version of the HDF5 library in use: "1.10.8". */
void es_store_hdf5_version(char ret_text[40]);

#endif
