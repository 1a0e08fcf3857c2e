/* What is known of every unit of a grid, on rank 0: status, scores, and the marker they came from.
 *
 * Columns of length n_units, indexed by unit id, so that the store writes each as one array of
 * shape (checkpoint, layer, task). 113 bytes a unit, 24 a metric value, and 72 for each earlier try
 * of the few units that have some. What evaluators say of themselves is kept merged for all units.
 *
 * Threads: none of its own; one owner at a time.
 */
#ifndef EVALSWEEP_UNITS_H
#define EVALSWEEP_UNITS_H

#include "evalsweep/grid.h"
#include "evalsweep/result.h"

#include <stdint.h>

/* The values are those of the store's `status` variable. */
enum es_status {
    ES_STATUS_PENDING = 0,
    ES_STATUS_DONE = 1,
    ES_STATUS_FAILED = 2,
    ES_STATUS_EXCLUDED = 3,
};

/* Identifies the content of a marker: unchanged as long as all three are. All zero: no marker. */
struct es_file_id {
    uint64_t inode;
    int64_t size_bytes;
    int64_t mtime_ns;
};

/* One metric of one unit; the names are codes of the three tables below. */
struct es_metric_row {
    double value;
    uint32_t unit; /* id, or ES_GRID_NONE for a row that was replaced */
    uint32_t split;
    uint32_t subset;
    uint32_t metric;
};

/* One earlier try of one unit, which failed; the names are codes. */
struct es_try_row {
    double started_s;
    double finished_s;
    double load_s;
    double pass_s;
    double score_s;
    uint32_t unit; /* id, or ES_GRID_NONE for a row that was replaced */
    int32_t attempt;
    int32_t worker;
    uint32_t host;
    uint32_t device;
    uint32_t reason;
};

/* Opaque: the table. */
struct es_units;

/* The table's columns, each of length n_units unless it says otherwise. */
struct es_units_columns {
    uint32_t n_units;
    int8_t *status;            /* enum es_status */
    double *main_score;        /* NaN: none */
    double *evaluation_time_s; /* NaN: not known */
    double *finished_s;        /* since 1970 UTC; NaN: not known */
    int32_t *attempts;         /* 0: none */
    int32_t *worker;           /* -1: none */
    struct es_file_id *marker;
    double *started_s; /* of the try that the result is of, as all below; NaN: not known */
    double *load_s;
    double *pass_s;
    double *score_s;
    uint32_t *host; /* codes; 0: not known */
    uint32_t *device;
    uint32_t *reason;                 /* why a failed unit failed */
    const struct es_metric_row *rows; /* [n_rows], those of one unit in one run */
    size_t n_rows;
};

/* A table with every unit pending, or excluded where the grid (borrowed until the free) says so.
 * ES_ERR_NOMEM. Free with es_units_free. */
int es_units_create(const struct es_grid *grid, struct es_units **ret_units, struct es_err *err);
/* NULL is fine. */
void es_units_free(struct es_units *units);

/* The grid that it was made for. */
const struct es_grid *es_units_grid(const struct es_units *units);

/* The columns, to read and (all but rows) to write; `rows` until the next set_result. */
struct es_units_columns es_units_columns(struct es_units *units);

/* What codes of metric and try rows stand for. Those of the last three begin with "". */
enum es_name_kind {
    ES_NAME_SPLIT,
    ES_NAME_SUBSET,
    ES_NAME_METRIC,
    ES_NAME_HOST,
    ES_NAME_DEVICE,
    ES_NAME_REASON,
    ES_N_NAME_KINDS
};
/* The name of a code below es_units_n_names; borrowed until the next change of a unit. */
const char *es_units_name(const struct es_units *units, enum es_name_kind kind, uint32_t code);
/* How many codes of a kind there are, from 0. */
uint32_t es_units_n_names(const struct es_units *units, enum es_name_kind kind);

/* The rows of one unit: their first index in `rows`, and how many. */
uint32_t es_units_rows_of(const struct es_units *units, uint32_t unit_id, uint32_t *ret_first);

/* The tries of one unit that failed before the one its result is of (of a pending unit: all of
 * them), the oldest first, until the next change; how many there are. */
uint32_t es_units_earlier(const struct es_units *units, uint32_t unit_id,
                          const struct es_try_row **ret_rows);

/* Sets status, scores and metrics of a unit from a result, in place of what was there, and adds the
 * evaluator's attributes. `marker` may be NULL (not known). ES_ERR_NOMEM: the unit is unchanged. */
int es_units_set_result(struct es_units *units, uint32_t unit_id, enum es_status status,
                        const struct es_result *result, const struct es_file_id *marker);

/* Makes a unit pending whose last try failed: of the result, that try and the earlier ones are
 * kept. `scratch` is a result to reuse. ES_ERR_NOMEM: the unit is unchanged. */
int es_units_set_pending(struct es_units *units, uint32_t unit_id, const struct es_result *failed,
                         struct es_result *scratch);

/* Makes a unit pending again, without scores. */
void es_units_reset(struct es_units *units, uint32_t unit_id);

/* The attributes that came with results, merged as core/attributes.h has it; "" for none. Borrowed
 * until the next change of a unit. Those of a result that was replaced since stay merged; once no
 * unit has a result, there are none. */
const char *es_units_attributes(const struct es_units *units);

/* Adds attributes that came otherwise, for example from a store, when its units are set. */
int es_units_add_attributes(struct es_units *units, const char *attributes);

/* How many units have each status. */
struct es_counts {
    uint32_t done;
    uint32_t pending;
    uint32_t failed;
    uint32_t excluded;
    uint32_t done_without_score;
    uint32_t blocked; /* of the pending ones, as who schedules them tells; 0 where nobody did */
};
/* All but the excluded: done + pending + failed. */
uint32_t es_counts_total(const struct es_counts *counts);

/* Counts them; O(n_units). */
struct es_counts es_units_count(const struct es_units *units);

/* The same for each checkpoint: ret_counts[n_checkpoints]. */
void es_units_count_by_checkpoint(const struct es_units *units, struct es_counts *ret_counts);

#endif
