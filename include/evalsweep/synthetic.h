/* Made-up times of the shape of a measured sweep: Pythia-410m on MTEB, 14 checkpoints x 25 layers x
 * 32 tasks. Task means are log-normal over two orders of magnitude, so that 5 % of the units take
 * half of the time; a unit's time grows linearly with the layer, and hardly depends on the
 * checkpoint.
 *
 * Pure; the same grid size and seed give the same times. Threads: any.
 */
#ifndef EVALSWEEP_SYNTHETIC_H
#define EVALSWEEP_SYNTHETIC_H

#include "evalsweep/sim.h"

/* What the sweep is like. */
struct es_synthetic_config {
    uint64_t seed;
    double load_s;     /* to load a checkpoint */
    double pass_share; /* 0..1: the part of a unit's time that its bundle shares */
    double
        slow_load_share; /* 0..1: of the checkpoints, which take slow_load_factor times as long */
    double slow_load_factor;
    double slow_node_share; /* 0..1: share of workers that are half as fast */
};

/* Opaque: the times of one grid and the speeds of its workers. */
struct es_synthetic;

/* Makes them up for every unit of the grid. ES_ERR_NOMEM. Free with es_synthetic_free. */
int es_synthetic_create(const struct es_grid *grid, uint32_t n_workers,
                        const struct es_synthetic_config *config,
                        struct es_synthetic **ret_synthetic, struct es_err *err);
/* NULL is fine. */
void es_synthetic_free(struct es_synthetic *synthetic);

/* The times, for es_sim_run; borrowed until the free. */
struct es_sim_times es_synthetic_times(const struct es_synthetic *synthetic);
/* Relative speeds [n_workers]; borrowed until the free. */
const double *es_synthetic_speeds(const struct es_synthetic *synthetic);

#endif
