/* Between the parts of the scan: the way down the layout, the folders still to look into, and one
 * thread's work on them. */
#ifndef ES_RUN_SCAN_INTERNAL_H
#define ES_RUN_SCAN_INTERNAL_H

#include "run/marker_internal.h"
#include "run/scan.h"

#include <pthread.h>

/* ---- scan_steps.c: the layout in steps, each binding axes that those above leave open ---- */

#define ES_SCAN_MAX_STEPS 4

struct es_scan_steps {
    const struct es_layout *layout; /* borrowed */
    const struct es_grid *grid;     /* borrowed */
    uint32_t n;
    uint32_t first_level[ES_SCAN_MAX_STEPS + 1]; /* of the layout; and where the last ends */
    unsigned binds[ES_SCAN_MAX_STEPS];           /* axes, as bits; 0 for the first step */
};

void es_scan_steps_init(const struct es_layout *layout, const struct es_grid *grid,
                        struct es_scan_steps *steps);

/* Appends the folder names of steps [first, end), "." if there are none. */
void es_scan_steps_path(const struct es_scan_steps *steps, uint32_t first, uint32_t end,
                        struct es_unit unit, struct es_buf *path);

/* How many ways there are to bind some axes. */
uint64_t es_scan_n_ways(const struct es_grid *grid, unsigned axes);

/* unit with those axes bound in the nth way. */
struct es_unit es_scan_bind(const struct es_grid *grid, unsigned axes, uint64_t nth,
                            struct es_unit unit);

/* ---- scan_top.c ---- */

/* Whether a folder that is not there is behind a symbolic link to nothing, such as outputs/ on a
 * file system that is not mounted or was emptied. If so, path is cut behind that link. */
bool es_scan_is_cut_off(int run_fd, char *path);

/* ---- scan_queue.c: folders to look into, last in first out ---- */

struct es_scan_folder {
    struct es_unit unit; /* its bound axes */
    uint32_t n_steps;    /* it is the folder of steps [0, n_steps) */
    uint64_t first;      /* the ways to bind the next step's axes, from here on */
};

struct es_scan_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct es_scan_folder *folders;
    size_t n;
    size_t cap;
    uint32_t n_busy; /* threads that may yet add folders */
    bool stopped;
};

void es_scan_queue_init(struct es_scan_queue *queue);
void es_scan_queue_clear(struct es_scan_queue *queue);

/* 0, or ES_ERR_NOMEM. */
int es_scan_queue_push(struct es_scan_queue *queue, struct es_scan_folder folder);

/* Waits for a folder. False: none is left and none will come. Each folder taken must be followed by
 * es_scan_queue_done. */
bool es_scan_queue_take(struct es_scan_queue *queue, struct es_scan_folder *ret_folder);
void es_scan_queue_done(struct es_scan_queue *queue);

/* Makes everybody's take return false. */
void es_scan_queue_stop(struct es_scan_queue *queue);

/* ---- scan_worker.c: one thread's work ---- */

struct es_scan_shared {
    struct es_scan_steps steps;
    const struct es_scan_options *options;
    struct es_scan_queue queue;
    int run_fd;
    pthread_mutex_t lock; /* for what follows, and the table's rows */
    struct es_units *units;
    struct es_scan_summary summary;
    int rc; /* the first failure */
    struct es_err err;
};

/* Looks into folders until there are none. */
void es_scan_work(struct es_scan_shared *shared);

/* For a run folder that is not there. */
void es_scan_all_missing(struct es_scan_shared *shared);

#endif
