#include "cli/forecast.h"

#include "core/mem.h"
#include "evalsweep/cost.h"
#include "evalsweep/sim.h"

#include <math.h>
#include <stdlib.h>

/* What `run` uses between its ranks. */
#define MESSAGE_S 0.001

struct es_forecast {
    const struct es_grid *grid;
    struct es_cost *cost;
    bool is_measured;
    enum es_policy policy;
    uint8_t *pending; /* [n_units] */
    uint32_t n_pending;
    float *unit_s;  /* [n_units] expected times, as the simulated truth */
    float *pass_s;  /* [n_checkpoints * n_tasks] */
    double *load_s; /* [n_checkpoints] */
};

int es_forecast_learn(const struct es_target *target, struct es_units *units,
                      struct es_cost **ret_cost, bool *ret_is_measured, struct es_err *err)
{
    struct es_cost_hints hints = {.load_s = (double)NAN};
    struct es_units_columns columns = es_units_columns(units);
    bool is_measured = false;
    if (target->job) {
        hints = (struct es_cost_hints){.load_s = target->job->schedule.checkpoint_load_s,
                                       .pass_share = target->job->schedule.pass_share,
                                       .task_cost_s = target->job->schedule.task_cost_s};
        for (uint32_t t = 0; hints.task_cost_s && t < es_grid_n_tasks(target->grid); t++)
            is_measured |= !isnan(hints.task_cost_s[t]);
    }
    struct es_cost *cost = NULL;
    int rc = es_cost_create(target->grid, &hints, &cost, err);
    if (rc < 0)
        return rc;
    for (uint32_t id = 0; id < columns.n_units; id++) {
        if (columns.status[id] != ES_STATUS_DONE || isnan(columns.evaluation_time_s[id]))
            continue;
        struct es_times times = {columns.evaluation_time_s[id], (double)NAN, (double)NAN,
                                 (double)NAN};
        es_cost_observe(cost, ES_COST_EARLIER, id, &times, ES_COST_PAID_NOTHING);
        is_measured = true;
    }
    *ret_cost = cost;
    *ret_is_measured = is_measured;
    return 0;
}

static void fill_times(struct es_forecast *f)
{
    uint32_t n_tasks = es_grid_n_tasks(f->grid);
    for (uint32_t c = 0; c < es_grid_n_checkpoints(f->grid); c++) {
        f->load_s[c] = es_cost_load(f->cost, c);
        for (uint32_t t = 0; t < n_tasks; t++)
            f->pass_s[c * n_tasks + t] = (float)es_cost_pass(f->cost, c, t);
    }
    for (uint32_t id = 0; id < es_grid_n_units(f->grid); id++) {
        struct es_unit unit = es_grid_unit(f->grid, id);
        f->unit_s[id] =
            (float)es_cost_score(f->cost, id) + f->pass_s[unit.checkpoint * n_tasks + unit.task];
    }
}

int es_forecast_create(const struct es_target *target, struct es_units *units, bool retries_failed,
                       struct es_forecast **ret_forecast, struct es_err *err)
{
    uint32_t n_units = es_grid_n_units(target->grid);
    uint32_t n_checkpoints = es_grid_n_checkpoints(target->grid);
    struct es_forecast *f = es_mem_calloc(1, sizeof *f);
    if (!f)
        return es_err_nomem(err, "predicting the wall time");
    f->grid = target->grid;
    f->policy = target->job ? target->job->schedule.policy : ES_POLICY_AFFINE;
    f->pending = es_mem_calloc(n_units, sizeof *f->pending);
    f->unit_s = es_mem_calloc(n_units, sizeof *f->unit_s);
    f->pass_s = es_mem_calloc((size_t)n_checkpoints * es_grid_n_tasks(f->grid), sizeof *f->pass_s);
    f->load_s = es_mem_calloc(n_checkpoints, sizeof *f->load_s);
    int rc = 0;
    if (!f->pending || !f->unit_s || !f->pass_s || !f->load_s)
        rc = es_err_nomem(err, "predicting the wall time");
    if (rc == 0)
        rc = es_forecast_learn(target, units, &f->cost, &f->is_measured, err);
    if (rc < 0) {
        es_forecast_free(f);
        return rc;
    }
    const int8_t *status = es_units_columns(units).status;
    for (uint32_t id = 0; id < n_units; id++) {
        f->pending[id] =
            status[id] == ES_STATUS_PENDING || (retries_failed && status[id] == ES_STATUS_FAILED);
        f->n_pending += f->pending[id];
    }
    fill_times(f);
    *ret_forecast = f;
    return 0;
}

void es_forecast_free(struct es_forecast *forecast)
{
    if (!forecast)
        return;
    es_cost_free(forecast->cost);
    free(forecast->pending);
    free(forecast->unit_s);
    free(forecast->pass_s);
    free(forecast->load_s);
    free(forecast);
}

bool es_forecast_is_measured(const struct es_forecast *forecast)
{
    return forecast->is_measured;
}

double es_forecast_load_s(const struct es_forecast *forecast)
{
    uint32_t n = es_grid_n_checkpoints(forecast->grid);
    double sum_s = 0;
    for (uint32_t c = 0; c < n; c++)
        sum_s += forecast->load_s[c];
    return sum_s / n;
}

int es_forecast_wall_s(struct es_forecast *forecast, uint32_t n_workers, double *ret_wall_s,
                       struct es_err *err)
{
    struct es_sim_times times = {
        .unit_s = forecast->unit_s, .load_s = forecast->load_s, .pass_s = forecast->pass_s};
    struct es_sim_config config = {
        .sched = {.policy = forecast->policy,
                  .n_static = n_workers,
                  .max_attempts = 1,
                  .prefetch_s = ES_SCHED_PREFETCH_S},
        .n_workers = n_workers,
        .message_s = MESSAGE_S,
    };
    struct es_sim_result result;
    int rc = es_sim_run(forecast->grid, forecast->pending, forecast->cost, &times, &config, &result,
                        err);
    if (rc < 0)
        return rc;
    *ret_wall_s = result.makespan_s;
    return 0;
}

/* Doubles until it fits, then halves the interval. */
int es_forecast_workers_for(struct es_forecast *forecast, double limit_s, uint32_t *ret_n_workers,
                            struct es_err *err)
{
    uint32_t too_few = 0, enough = 1;
    double wall_s;
    int rc;
    for (;;) {
        rc = es_forecast_wall_s(forecast, enough, &wall_s, err);
        if (rc < 0)
            return rc;
        if (wall_s <= limit_s)
            break;
        if (enough >= forecast->n_pending || enough >= 1u << 20) {
            *ret_n_workers = 0;
            return 0;
        }
        too_few = enough;
        enough *= 2;
    }
    while (enough - too_few > 1) {
        uint32_t middle = too_few + (enough - too_few) / 2;
        rc = es_forecast_wall_s(forecast, middle, &wall_s, err);
        if (rc < 0)
            return rc;
        if (wall_s <= limit_s)
            enough = middle;
        else
            too_few = middle;
    }
    *ret_n_workers = enough;
    return 0;
}
