/* status.json: the live state of a run, for `evalsweep status` on any node. */
#ifndef ES_RUN_STATUS_H
#define ES_RUN_STATUS_H

#include "core/buf.h"
#include "evalsweep/error.h"
#include "evalsweep/units.h"

#include <stdbool.h>

#define ES_STATUS_NAME "status.json"

/* A driver writes its state this often; one that was silent for three times as long is dead. Clocks
 * of two machines may differ by so much; what is dated further ahead says nothing of now. */
#define ES_STATUS_INTERVAL_S 2.0
#define ES_STATUS_SKEW_S 60.0

/* One worker's line. */
struct es_worker_state {
    uint32_t worker;
    const char *host;
    const char *device;
    uint32_t unit_id; /* what it runs, or ES_GRID_NONE */
    double running_s; /* for how long */
    bool is_out;      /* broken or gone */
};

/* The state of a run as its driver knows it. */
struct es_run_state {
    bool alive;            /* false in the last one of a driver */
    const char *why_ended; /* in that one, with work left; else NULL */
    struct es_counts counts;
    uint32_t n_running;
    double rate_per_s; /* NaN: not known, as eta_s */
    double eta_s;
    uint32_t n_evaluated; /* by this driver */
    uint32_t n_skipped;   /* done before it started, or meanwhile by others */
    uint32_t n_retries;
    const struct es_worker_state *workers; /* [n_workers] */
    uint32_t n_workers;
};

/* The keys that `status`, `plan` and `run` share in their JSON: total, done, pending, failed,
 * excluded (without braces, a comma at the end). */
void es_status_counts_json(const struct es_counts *counts, struct es_buf *text);

/* The text of status.json. */
void es_status_text(const struct es_grid *grid, const struct es_run_state *state,
                    struct es_buf *text);

/* Replaces <run_dir>/status.json. */
int es_status_write(const char *run_dir, const char *text, size_t n, struct es_err *err);

/* What `status` reads back. */
struct es_status_seen {
    bool alive;
    bool has_ended;      /* its last word was that it ends */
    char why_ended[600]; /* with work left; empty: nothing was left, or it is not known */
    bool is_ahead;       /* dated in the future: one of the clocks is wrong */
    double updated_s;    /* since 1970 UTC; NaN: not known */
    uint32_t n_running;
    double rate_per_s;
    double eta_s;
    char host[256];
    char *text; /* the file; free with free() */
    size_t text_n;
};
/* ES_ERR_NOENT: there is none. */
int es_status_read(const char *run_dir, double now_s, struct es_status_seen *ret_seen,
                   struct es_err *err);

#endif
