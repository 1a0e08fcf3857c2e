/* The half of blame that the scheduler drives; what it is for stands in evalsweep/blame.h.
 *
 *     es_blame_create(grid, max_bundles, &blame, &err);
 *     es_blame_add_workers(blame, n), es_blame_set_active(blame, worker, true)
 *     es_blame_succeeded / es_blame_failed (blame, ..., now_s)
 *     while (es_blame_next(blame, &verdict)) ... the scheduler carries it out ...
 *
 * The verdicts of one event are to be taken before the next event.
 */
#ifndef ES_CORE_BLAME_H
#define ES_CORE_BLAME_H

#include "evalsweep/blame.h"

#include <stddef.h>

struct es_blame;

/* max_bundles: bundles in a row for a quarantine; 0: nothing and nobody is ever suspected. */
int es_blame_create(const struct es_grid *grid, uint32_t max_bundles, struct es_blame **ret_blame,
                    struct es_err *err);
/* NULL is fine. */
void es_blame_free(struct es_blame *blame);

/* Room for workers 0 to n - 1. ES_ERR_NOMEM: as it was. */
int es_blame_add_workers(struct es_blame *blame, size_t n);
/* A worker is there to work, or is not. When it goes, its unconfirmed failures are retracted, and a
 * quarantine is over. */
/* No failure so far is retracted any more. */
void es_blame_confirm_all(struct es_blame *blame);
void es_blame_set_active(struct es_blame *blame, uint32_t worker, bool is_active);

/* A unit succeeded on a worker. */
void es_blame_succeeded(struct es_blame *blame, uint32_t worker, uint32_t unit_id, double now_s);
/* A unit was done by another job: its task and checkpoint work, which says nothing of the worker.
 */
void es_blame_found(struct es_blame *blame, uint32_t unit_id);

struct es_failure {
    uint32_t worker;
    uint32_t unit_id;
    uint32_t reason;
    bool is_first;      /* the unit had not failed before, or that was retracted */
    bool is_fresh_left; /* units that were never tried are left; without, an outage cannot be told
                           from bad units */
};
void es_blame_failed(struct es_blame *blame, const struct es_failure *failure, double now_s);

/* What an earlier start blocked is blocked from the beginning, and probed at once. */
void es_blame_suspect(struct es_blame *blame, const struct es_suspect *suspect, double now_s);

/* The next verdict of the last event. */
bool es_blame_next(struct es_blame *blame, struct es_blame_verdict *ret_verdict);
/* After SETTLED: a failure of the worker that was retracted, the newest first; ES_GRID_NONE: no
 * more. */
uint32_t es_blame_next_retracted(struct es_blame *blame, uint32_t worker);

/* How many of what is blocked cover the unit. */
uint32_t es_blame_n_covering(const struct es_blame *blame, uint32_t unit_id);

/* How a worker may be used. */
enum es_trust {
    ES_TRUST_FULL,
    ES_TRUST_DOUBTFUL,  /* single units, and not what es_blame_avoid tells */
    ES_TRUST_PROBATION, /* a single unit, to show that it works again */
    ES_TRUST_PAUSED,    /* nothing before es_blame_paused_until */
};
enum es_trust es_blame_trust(const struct es_blame *blame, uint32_t worker);
double es_blame_paused_until(const struct es_blame *blame, uint32_t worker);
void es_blame_end_pause(struct es_blame *blame, uint32_t worker);
/* What a doubtful worker should not get; ES_GRID_NONE: anything. */
void es_blame_avoid(const struct es_blame *blame, uint32_t worker, uint32_t *ret_task,
                    uint32_t *ret_checkpoint);
/* Where in the grid a worker failed last, while it is doubtful. */
struct es_unit es_blame_last_failed(const struct es_blame *blame, uint32_t worker);
/* Whether all that a doubtful worker failed in a row is of one task, or of one checkpoint, which
 * has never succeeded. */
bool es_blame_has_common(const struct es_blame *blame, uint32_t worker);
/* Nothing else is there for a doubtful worker: what its failures have in common is blocked where
 * may_guess, else the last bundle. Probes will show whether that was right. */
void es_blame_no_alternative(struct es_blame *blame, uint32_t worker, bool may_guess, double now_s);
/* Whether a worker succeeded with the last thing it did, as far as it is known. */
bool es_blame_is_good(const struct es_blame *blame, uint32_t worker);

/* What is blocked: the i-th, until the next event. */
uint32_t es_blame_n_blocked(const struct es_blame *blame);
const struct es_suspect *es_blame_blocked(const struct es_blame *blame, uint32_t i);
/* When the next probe is due; INFINITY: not before one under way has ended. */
double es_blame_probe_due_s(const struct es_blame *blame);
/* Whether the i-th is to be probed now; is_last: nothing else is left to do, and it was not probed
 * a few times since the last success. */
bool es_blame_is_due(const struct es_blame *blame, uint32_t i, bool is_last, double now_s);
/* Whether something is blocked that may as well be an outage: the end has to wait for its probes.
 */
bool es_blame_waits(const struct es_blame *blame, double now_s);
/* The i-th is probed with this unit. */
void es_blame_probing(struct es_blame *blame, uint32_t i, uint32_t unit_id, bool is_last);
/* It has no unit for the worker at hand: asked again in a second; or none at all: not asked again
 * before es_blame_covered. */
void es_blame_not_probing(struct es_blame *blame, uint32_t i, bool has_units, double now_s);
/* Whether a unit that waits on a worker is to be given back: it is covered, and is no probe. */
bool es_blame_wants_back(const struct es_blame *blame, uint32_t unit_id);
/* A unit that is blocked is set aside: for the first time, or untried after a probe; or a probe
 * ended elsewhere. */
void es_blame_covered(struct es_blame *blame, uint32_t unit_id, double now_s);

/* The outage, or NULL. Its probe_s tells when a worker should run the next unit. */
const struct es_suspect *es_blame_outage(const struct es_blame *blame);
void es_blame_outage_probing(struct es_blame *blame, uint32_t worker, double now_s);
/* Nothing is left that was never tried: failures count again. */
void es_blame_end_outage(struct es_blame *blame, double now_s);

/* Workers in quarantine, into ret_suspects[n_most]; how many. */
uint32_t es_blame_quarantined(const struct es_blame *blame, struct es_suspect *ret_suspects,
                              uint32_t n_most);

#endif
