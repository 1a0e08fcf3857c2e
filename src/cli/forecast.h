/* How long what is left will take: the simulator, with the times that earlier evaluations took. */
#ifndef ES_CLI_FORECAST_H
#define ES_CLI_FORECAST_H

#include "cli/target.h"

struct es_forecast;

/* For the pending units of the table, and the failed ones if retries_failed. Target and table are
 * borrowed until the free. */
int es_forecast_create(const struct es_target *target, struct es_units *units, bool retries_failed,
                       struct es_forecast **ret_forecast, struct es_err *err);
void es_forecast_free(struct es_forecast *forecast);

/* Whether it stands on measured times or hints; otherwise it is a guess. */
bool es_forecast_is_measured(const struct es_forecast *forecast);

/* What it takes a checkpoint to load, on average. */
double es_forecast_load_s(const struct es_forecast *forecast);

/* Predicted wall time in seconds with this many workers of equal speed. */
int es_forecast_wall_s(struct es_forecast *forecast, uint32_t n_workers, double *ret_wall_s,
                       struct es_err *err);

/* The smallest number of workers that ends within limit_s; 0 when none does. */
int es_forecast_workers_for(struct es_forecast *forecast, double limit_s, uint32_t *ret_n_workers,
                            struct es_err *err);

/* A cost model with the target's hints, taught what the table's finished units took. */
int es_forecast_learn(const struct es_target *target, struct es_units *units,
                      struct es_cost **ret_cost, bool *ret_is_measured, struct es_err *err);

#endif
