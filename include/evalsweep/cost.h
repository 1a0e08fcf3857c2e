/* What units are expected to cost, in seconds: loading a checkpoint, a forward pass for a
 * (checkpoint, task), scoring a unit. Learns from whatever is measured.
 *
 * Cost of a bundle on a worker = load(checkpoint), if the worker has another one
 *                              + pass(checkpoint, task) + sum over its layers of score(unit).
 *
 * score = scale x task x checkpoint x layer x (task, layer); pass and load likewise. Each factor is
 * kept as a logarithm with a variance: a measurement moves those most that are known least, never
 * further than what is plausible, so that one outlier does not wreck them: a Kalman step (Kalman
 * 1960) that keeps no covariances. The job file's hints are the prior; earlier markers and the
 * store replace them; this run's own measurements outweigh both.
 *
 * Pure: no clock, no files. Threads: none of its own; one owner at a time.
 */
#ifndef EVALSWEEP_COST_H
#define EVALSWEEP_COST_H

#include "evalsweep/grid.h"

#include <stdbool.h>

/* Opaque: what is believed of one grid's costs. */
struct es_cost;

/* What the job file says of costs beforehand. */
struct es_cost_hints {
    double load_s;             /* to load a checkpoint; NaN: not known */
    double pass_share;         /* 0..1: the part of a unit's time that its bundle shares */
    const double *task_cost_s; /* [n_tasks] seconds of one unit; NaN: not known. NULL: none known */
};

/* Where a measurement comes from; a later kind outweighs an earlier one. */
enum es_cost_source { ES_COST_EARLIER, ES_COST_THIS_RUN };

/* What a unit paid beside its own score, as far as it is known from where it ran. */
enum es_cost_paid {
    ES_COST_PAID_NOTHING, /* or not known */
    ES_COST_PAID_PASS,    /* the first of its bundle on its worker */
    ES_COST_PAID_LOAD,    /* the first on its checkpoint: load and pass */
};

/* What one unit took. Parts that were not reported are NaN. */
struct es_times {
    double total_s; /* as the worker measured it, load and pass included */
    double load_s;
    double pass_s;
    double score_s;
};

/* Beliefs about a grid's costs, which is borrowed until the free. `hints` may be NULL: nothing
 * known; they are copied. ES_ERR_NOMEM. Free with es_cost_free. */
int es_cost_create(const struct es_grid *grid, const struct es_cost_hints *hints,
                   struct es_cost **ret_cost, struct es_err *err);
/* NULL is fine. */
void es_cost_free(struct es_cost *cost);

/* Learns from one measured unit. What cannot be told apart is not learned from: a total without
 * parts that holds a load says nothing of the score. Times that are not numbers or negative say
 * nothing. */
void es_cost_observe(struct es_cost *cost, enum es_cost_source source, uint32_t unit_id,
                     const struct es_times *times, enum es_cost_paid paid);

/* A unit has run for so long without an end, and is taken to need `unit_s`. Teaches something only
 * of a task that was never measured. */
void es_cost_observe_running(struct es_cost *cost, uint32_t unit_id, double unit_s);

/* The logarithm of measured over expected seconds of a unit's own part, NaN if the times say
 * nothing of it; and the variance that such a logarithm has. Teaches nothing. */
double es_cost_surprise(const struct es_cost *cost, uint32_t unit_id, const struct es_times *times,
                        enum es_cost_paid paid, double *ret_variance);

/* Expected seconds to load a checkpoint (an index); finite and > 0, whatever is known. */
double es_cost_load(const struct es_cost *cost, uint32_t checkpoint);
/* Expected seconds of the forward pass of a (checkpoint, task); finite, and 0 unless a hint or a
 * measurement says otherwise. */
double es_cost_pass(const struct es_cost *cost, uint32_t checkpoint, uint32_t task);
/* Expected seconds of a unit's own part, pass and load left out; finite and > 0. */
double es_cost_score(const struct es_cost *cost, uint32_t unit_id);
double es_cost_score_of(const struct es_cost *cost, struct es_unit unit); /* the same, by indices */

/* Whether a task was measured or hinted at, or is taken for one like the others. */
bool es_cost_is_known(const struct es_cost *cost, uint32_t task);

#endif
