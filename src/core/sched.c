/* The scheduler as a whole, and what is asked about its state. */
#include "core/sched_state.h"

#include "core/mem.h"

#include <stdlib.h>

/* A unit that takes so many times longer than expected, and so long at least, is taken for hung. */
#define TIMEOUT_TIMES 20
#define TIMEOUT_LEAST_S 900.0
/* So many measurements make an expectation. */
#define MEASURED_ENOUGH 5

const char *const es_policy_names[ES_N_POLICIES + 1] = {
    [ES_POLICY_AFFINE] = "affine",
    [ES_POLICY_LPT] = "lpt",
    [ES_POLICY_FIFO] = "fifo",
    [ES_POLICY_STATIC] = "static",
};

static const struct es_policy_traits POLICIES[ES_N_POLICIES] = {
    [ES_POLICY_AFFINE] = {.by_checkpoint = true, .by_length = true, .joins = true, .recalls = true},
    [ES_POLICY_LPT] = {.one_group = true, .by_length = true, .recalls = true},
    [ES_POLICY_FIFO] = {.one_group = true, .recalls = true},
    [ES_POLICY_STATIC] = {.retry_anywhere = true},
};

static uint32_t count_groups(const struct es_sched *sched)
{
    if (sched->policy.by_checkpoint)
        return sched->n_checkpoints;
    if (sched->policy.one_group || sched->config.n_static == 0)
        return 1;
    return sched->config.n_static < sched->n_bundles ? sched->config.n_static : sched->n_bundles;
}

static bool allocate(struct es_sched *sched)
{
    sched->units = es_mem_calloc(sched->n_units, sizeof *sched->units);
    sched->bundles = es_mem_calloc(sched->n_bundles, sizeof *sched->bundles);
    sched->bundle_nodes = es_mem_calloc(sched->n_bundles, sizeof *sched->bundle_nodes);
    sched->groups = es_mem_calloc(sched->n_groups, sizeof *sched->groups);
    sched->work_nodes = es_mem_calloc(sched->n_groups, sizeof *sched->work_nodes);
    sched->longest_nodes = es_mem_calloc(sched->n_groups, sizeof *sched->longest_nodes);
    sched->layers = es_mem_calloc(sched->n_layers, sizeof *sched->layers);
    sched->n_measured = es_mem_calloc(sched->n_tasks, sizeof *sched->n_measured);
    sched->is_begun = es_mem_calloc(sched->n_tasks, sizeof *sched->is_begun);
    return sched->units && sched->bundles && sched->bundle_nodes && sched->groups &&
           sched->work_nodes && sched->longest_nodes && sched->layers && sched->n_measured &&
           sched->is_begun;
}

static void make_empty(struct es_sched *sched)
{
    for (uint32_t b = 0; b < sched->n_bundles; b++)
        sched->bundles[b].units = ES_UNIT_LIST_EMPTY;
    for (uint32_t g = 0; g < sched->n_groups; g++)
        sched->groups[g] = (struct es_group){.bundles = ES_HEAP_EMPTY,
                                             .ends = ES_HEAP_EMPTY,
                                             .victims = ES_HEAP_EMPTY,
                                             .idle = ES_HEAP_EMPTY};
    for (uint32_t i = 0; i < ES_SCHED_N_DELAYED; i++)
        sched->delayed[i] = ES_UNIT_LIST_EMPTY;
    es_heap_init(sched->bundle_nodes, 0, sched->n_bundles);
    es_heap_init(sched->work_nodes, 0, sched->n_groups);
    es_heap_init(sched->longest_nodes, 0, sched->n_groups);
    sched->untouched_work = sched->untouched_longest = ES_HEAP_EMPTY;
    sched->touched_drain = sched->touched_longest = ES_HEAP_EMPTY;
    sched->wake = sched->victims = sched->idle = ES_HEAP_EMPTY;
}

int es_sched_create(const struct es_grid *grid, const struct es_sched_config *config,
                    struct es_cost *cost, struct es_sched **ret_sched, struct es_err *err)
{
    struct es_sched *sched = es_mem_calloc(1, sizeof *sched);
    if (!sched)
        return es_err_nomem(err, "scheduling");
    sched->grid = grid;
    sched->cost = cost;
    sched->config = *config;
    sched->policy = POLICIES[config->policy];
    sched->n_checkpoints = es_grid_n_checkpoints(grid);
    sched->n_layers = es_grid_n_layers(grid);
    sched->n_tasks = es_grid_n_tasks(grid);
    sched->n_units = es_grid_n_units(grid);
    sched->n_bundles = sched->n_checkpoints * sched->n_tasks;
    sched->n_groups = count_groups(sched);
    sched->start_s = (double)NAN;
    sched->end_s = (double)INFINITY;
    sched->late = sched->blocked = ES_UNIT_LIST_EMPTY;
    sched->fit = sched->shortest = ES_HEAP_EMPTY;
    int rc = allocate(sched) ? es_blame_create(grid, config->max_bundles_failed, &sched->blame, err)
                             : es_err_nomem(err, "scheduling");
    if (rc < 0) {
        es_sched_free(sched);
        return rc;
    }
    make_empty(sched);
    *ret_sched = sched;
    return 0;
}

void es_sched_free(struct es_sched *sched)
{
    if (!sched)
        return;
    es_blame_free(sched->blame);
    free(sched->units);
    free(sched->bundles);
    free(sched->bundle_nodes);
    free(sched->groups);
    free(sched->work_nodes);
    free(sched->longest_nodes);
    free(sched->layers);
    free(sched->n_measured);
    free(sched->is_begun);
    free(sched->fit_nodes);
    free(sched->short_nodes);
    free(sched->workers);
    free(sched->wake_nodes);
    free(sched->end_nodes);
    free(sched->member_nodes);
    free(sched->victim_nodes);
    free(sched);
}

bool es_sched_finished(const struct es_sched *sched)
{
    return es_sched_n_pending(sched) + sched->n_held + sched->n_parked == 0;
}

uint32_t es_sched_n_pending(const struct es_sched *sched)
{
    return sched->n_ready + sched->n_delayed + sched->n_promised + sched->late.n + sched->blocked.n;
}

uint32_t es_sched_n_blocked(const struct es_sched *sched)
{
    return sched->blocked.n;
}

uint32_t es_sched_n_held(const struct es_sched *sched)
{
    return sched->n_held;
}

uint32_t es_sched_n_parked(const struct es_sched *sched)
{
    return sched->n_parked;
}

static const struct es_sched_worker *alive(const struct es_sched *sched, uint32_t worker)
{
    return worker < sched->workers_cap && sched->workers[worker].alive ? &sched->workers[worker]
                                                                       : NULL;
}

bool es_sched_is_there(const struct es_sched *sched, uint32_t worker)
{
    return alive(sched, worker) != NULL;
}

uint32_t es_sched_n_held_by(const struct es_sched *sched, uint32_t worker)
{
    const struct es_sched_worker *own = alive(sched, worker);
    return own ? own->queue.n : 0;
}

uint32_t es_sched_n_workers(const struct es_sched *sched)
{
    return sched->n_workers;
}

uint32_t es_sched_running(const struct es_sched *sched, uint32_t worker, double *ret_since_s)
{
    const struct es_sched_worker *own = alive(sched, worker);
    if (!own || own->queue.n == 0)
        return ES_GRID_NONE;
    *ret_since_s = own->since_s;
    return own->queue.first;
}

bool es_sched_is_held_by(const struct es_sched *sched, uint32_t worker, uint32_t unit_id)
{
    return worker < sched->workers_cap && unit_id < sched->n_units &&
           sched->units[unit_id].state == ES_UNIT_HELD && sched->units[unit_id].worker == worker;
}

double es_sched_expected_s(const struct es_sched *sched, uint32_t unit_id)
{
    struct es_unit unit = es_grid_unit(sched->grid, unit_id);
    if (sched->n_measured[unit.task] < MEASURED_ENOUGH)
        return (double)NAN;
    return es_cost_load(sched->cost, unit.checkpoint) +
           es_cost_pass(sched->cost, unit.checkpoint, unit.task) +
           es_cost_score(sched->cost, unit_id);
}

double es_sched_timeout_s(const struct es_sched *sched, uint32_t unit_id)
{
    double expected_s = es_sched_expected_s(sched, unit_id);
    if (isnan(expected_s))
        return 0;
    return ldexp(fmax(TIMEOUT_TIMES * expected_s, TIMEOUT_LEAST_S),
                 (int)sched->units[unit_id].n_failed);
}

bool es_sched_has_failed(const struct es_sched *sched, uint32_t unit_id)
{
    return sched->units[unit_id].state == ES_UNIT_FAILED;
}

uint32_t es_sched_attempt(const struct es_sched *sched, uint32_t unit_id)
{
    return sched->units[unit_id].n_failed + sched->units[unit_id].n_retracted + 1u;
}

bool es_sched_is_last_attempt(const struct es_sched *sched, uint32_t unit_id)
{
    return sched->units[unit_id].n_failed + 1u >= sched->config.max_attempts;
}

bool es_sched_was_tried(const struct es_sched *sched, uint32_t unit_id)
{
    return sched->units[unit_id].tried;
}

double es_sched_eta(const struct es_sched *sched, double now_s)
{
    double eta_s = es_sched_left_s(sched, now_s);
    if (sched->n_parked > 0 && es_sched_n_pending(sched) + sched->n_held == 0)
        return (double)NAN; /* others do the rest, at a pace that nobody here knows */
    for (size_t w = 0; w < sched->workers_cap; w++) /* whoever will be last with what it holds */
        if (sched->workers[w].alive && sched->workers[w].queue.n > 0)
            eta_s = fmax(eta_s, sched->workers[w].end_s - now_s);
    return eta_s;
}
