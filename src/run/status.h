/* status.json: the live state of a run, for `evalsweep status` on any node.
 *
 * The coordinator gives the text its beginning (es_status_text), and the recorder its end
 * (es_status_end with what a struct es_tally tells) and a place (es_status_write).
 */
#ifndef ES_RUN_STATUS_H
#define ES_RUN_STATUS_H

#include "core/buf.h"
#include "evalsweep/blame.h"
#include "evalsweep/error.h"
#include "evalsweep/units.h"
#include "run/layout.h"
#include "run/tally.h"

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
    uint32_t unit_id;  /* what it runs, or ES_GRID_NONE */
    double running_s;  /* for how long */
    double expected_s; /* how long it was expected to; NaN: not known */
    bool is_out;       /* broken or gone */
};

/* Something under suspicion. */
struct es_suspect_state {
    struct es_suspect what;
    uint32_t n_blocked; /* units that it keeps from being run */
    const char *reason;
    const char *host; /* of a worker, else "", as the next */
    const char *device;
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
    const struct es_suspect_state *suspects; /* [n_suspects] */
    uint32_t n_suspects;
    const struct es_layout *layout; /* where their logs are; NULL: units have no folders */
};

/* The keys that `status`, `plan` and `run` share in their JSON: total, done, pending, failed,
 * excluded, blocked (without braces, a comma at the end). */
void es_status_counts_json(const struct es_counts *counts, struct es_buf *text);

/* "suspects":[...] of the state, a comma at the end. */
void es_status_suspects_json(const struct es_grid *grid, const struct es_run_state *state,
                             struct es_buf *text);
/* The text of status.json but for its end: an object that is still open. */
void es_status_text(const struct es_grid *grid, const struct es_run_state *state,
                    struct es_buf *text);

/* Completes it: with the counts by checkpoint and the commonest failures, unless tally is NULL. */
void es_status_end(struct es_tally *tally, struct es_buf *text);

/* Replaces <run_dir>/status.json, if may_replace (asked at the last moment) returns no error. */
int es_status_write(const char *run_dir, const char *text, size_t n,
                    int (*may_replace)(void *context, struct es_err *err), void *context,
                    struct es_err *err);

/* One line of it for each checkpoint, and for a reason that units failed for. */
struct es_status_checkpoint {
    const char *name;
    uint32_t done;
    uint32_t pending;
    uint32_t failed;
};
struct es_status_failure {
    const char *reason;
    uint32_t n_units;
    const char *log; /* relative to the run folder; NULL: none was found */
};
struct es_status_worker {
    uint32_t worker;
    const char *host;
    const char *device;
    bool is_out;
    bool is_running;        /* a unit: */
    const char *checkpoint; /* "" when it runs none, and task */
    const char *task;
    int32_t layer;
    double running_s;  /* for how long, when it was written */
    double expected_s; /* NaN: not known */
};

/* Something under suspicion, as it was written; texts that its kind does not have are "". */
struct es_status_suspect {
    enum es_suspect_kind kind;
    const char *name; /* "STS13", "step1000/STS13", "STS13 layer 24", "3" */
    const char *task;
    const char *checkpoint;
    int32_t layer;   /* of kind LAYER */
    uint32_t worker; /* of kind WORKER, as the next two */
    const char *host;
    const char *device;
    const char *reason;
    uint32_t n_failed;
    uint32_t n_workers;
    uint32_t n_blocked;
    uint32_t n_probes;
    const char *log; /* relative to the run folder; NULL: not known */
};

/* What is read back. Whatever the file says: texts are there, counts add up to no more units than a
 * grid can have, rates and times are not below 0, or NaN. */
struct es_status_seen {
    bool alive;
    bool has_ended;      /* its last word was that it ends */
    char why_ended[600]; /* with work left; empty: nothing was left, or it is not known */
    bool is_ahead;       /* dated in the future: one of the clocks is wrong */
    double updated_s;    /* since 1970 UTC; NaN: not known */
    struct es_counts counts;
    uint32_t n_running;
    double rate_per_s;
    double eta_s;
    uint32_t n_evaluated, n_skipped, n_retries;
    char host[256];
    char slurm_job_id[64];            /* "": none */
    struct es_status_worker *workers; /* [n_workers]; of one that is not alive: none */
    uint32_t n_workers;
    struct es_status_checkpoint *checkpoints; /* [n_checkpoints] */
    uint32_t n_checkpoints;
    struct es_status_failure *failures; /* [n_failures], the commonest first */
    uint32_t n_failures;
    struct es_status_suspect *suspects; /* [n_suspects] */
    uint32_t n_suspects;
    struct cJSON *tree; /* has the texts */
};
/* ES_ERR_NOENT: there is none. Release with es_status_clear. */
int es_status_read(const char *run_dir, double now_s, struct es_status_seen *ret_seen,
                   struct es_err *err);
void es_status_clear(struct es_status_seen *seen);

/* "task STS13", "task STS13 with checkpoint step1000", "worker 2 on node7 (device 1)". */
void es_status_suspect_subject(const struct es_status_suspect *suspect, struct es_buf *text);
/* "12 failed attempts on 3 workers". */
void es_status_suspect_evidence(const struct es_status_suspect *suspect, struct es_buf *text);
/* "task STS13: 12 failed attempts on 3 workers; 148 units blocked: KeyError: 'sentence1'". */
void es_status_suspect_text(const struct es_status_suspect *suspect, struct es_buf *text);
/* As status.json has it: an object. */
void es_status_suspect_json(const struct es_status_suspect *suspect, struct es_buf *text);

/* The same of a suspect that was not written yet; its texts are borrowed, or in the buffers. */
struct es_suspect_seen {
    struct es_status_suspect seen;
    struct es_buf name, log;
};
void es_suspect_see(const struct es_grid *grid, const struct es_layout *layout,
                    const struct es_suspect_state *suspect, struct es_suspect_seen *ret_seen);
void es_suspect_seen_clear(struct es_suspect_seen *seen);

/* What a suspect that was read covers in a grid. False: nothing, or names that the grid lacks. */
bool es_status_suspect_resolve(const struct es_status_suspect *seen, const struct es_grid *grid,
                               struct es_suspect *ret_suspect);
/* How many pending units of the table the suspects cover, and in n_blocked of each, how many it
 * does. */
uint32_t es_status_count_blocked(struct es_status_seen *seen, struct es_units *units);

/* What a driver tells of its doings counts while it is alive: forgets that of one that is not. */
void es_status_forget_doings(struct es_status_seen *seen);

#endif
