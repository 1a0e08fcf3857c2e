#include "evalsweep/synthetic.h"

#include "core/mem.h"
#include "core/num.h"

#include <math.h>
#include <stdlib.h>

/* Fitted to the measured sweep: layer 0 takes 32 s on average, layer 24 takes 141 s, and 5 % of the
 * units take half of the time. Standard deviations are of logarithms. */
#define MEDIAN_TASK_S 20.0
#define SD_TASK 1.75
#define FIRST_LAYER 0.36
#define PER_LAYER ((1.59 - FIRST_LAYER) / 24)
#define SD_TASK_SLOPE 0.25 /* how differently tasks grow with the layer */
#define SD_CHECKPOINT 0.02
#define SD_BUNDLE 0.09
#define SD_UNIT 0.06

struct es_synthetic {
    float *unit_s;
    float *pass_s;
    double *load_s;
    double *speed;
};

/* Of a standard normal: the probability of less than z, and the z below which it has probability p.
 */
static double normal_below(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

static double normal_quantile(double p)
{
    double low = -10, high = 10;
    while (high - low > 1e-9) {
        double middle = (low + high) / 2;
        if (normal_below(middle) < p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Fisher and Yates. */
static void shuffle(struct es_rng *rng, double *values, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)es_rng_below(rng, i);
        double swap = values[i - 1];
        values[i - 1] = values[j];
        values[j] = swap;
    }
}

/* The means of n equally likely parts of the distribution, in a drawn order: a few dozen free draws
 * from so wide a one would make sweeps that have little in common. */
static double *task_means(struct es_rng *rng, uint32_t n)
{
    double *means_s = es_mem_calloc(n, sizeof *means_s);
    if (!means_s)
        return NULL;
    double all_s = n * MEDIAN_TASK_S * exp(SD_TASK * SD_TASK / 2), below = 0;
    for (uint32_t i = 0; i < n; i++) {
        double next = i + 1 < n ? normal_below(normal_quantile((i + 1.0) / n) - SD_TASK) : 1;
        means_s[i] = all_s * (next - below);
        below = next;
    }
    shuffle(rng, means_s, n);
    return means_s;
}

/* `share` of the values (in drawn places) are `odd`, the others `usual`. */
static double *two_kinds(struct es_rng *rng, uint32_t n, double share, double usual, double odd)
{
    double *values = es_mem_calloc(n, sizeof *values);
    if (!values)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        values[i] = i < lround(share * n) ? odd : usual;
    shuffle(rng, values, n);
    return values;
}

static int fill(struct es_synthetic *synthetic, const struct es_grid *grid, struct es_rng *rng,
                double pass_share)
{
    uint32_t n_tasks = es_grid_n_tasks(grid), n_layers = es_grid_n_layers(grid);
    double *mean_s = task_means(rng, n_tasks);
    double *slope = es_mem_calloc(n_tasks, sizeof *slope);
    if (!mean_s || !slope) {
        free(mean_s);
        free(slope);
        return ES_ERR_NOMEM;
    }
    for (uint32_t t = 0; t < n_tasks; t++)
        slope[t] = PER_LAYER * exp(SD_TASK_SLOPE * es_rng_normal(rng));
    for (uint32_t c = 0; c < es_grid_n_checkpoints(grid); c++) {
        double checkpoint = exp(SD_CHECKPOINT * es_rng_normal(rng));
        for (uint32_t t = 0; t < n_tasks; t++) {
            double bundle_s = mean_s[t] * checkpoint * exp(SD_BUNDLE * es_rng_normal(rng));
            double shortest_s = (double)INFINITY;
            for (uint32_t l = 0; l < n_layers; l++) {
                double layer = FIRST_LAYER + slope[t] * es_grid_layer(grid, l);
                double unit_s = bundle_s * layer * exp(SD_UNIT * es_rng_normal(rng));
                synthetic->unit_s[es_grid_id(grid, (struct es_unit){c, l, t})] = (float)unit_s;
                shortest_s = fmin(shortest_s, unit_s);
            }
            synthetic->pass_s[c * n_tasks + t] = (float)(pass_share * shortest_s);
        }
    }
    free(mean_s);
    free(slope);
    return 0;
}

int es_synthetic_create(const struct es_grid *grid, uint32_t n_workers,
                        const struct es_synthetic_config *config,
                        struct es_synthetic **ret_synthetic, struct es_err *err)
{
    uint32_t n_checkpoints = es_grid_n_checkpoints(grid);
    struct es_rng rng, workers_rng; /* whatever runs it, it is the same sweep */
    struct es_synthetic *synthetic = es_mem_calloc(1, sizeof *synthetic);
    if (!synthetic)
        return es_err_nomem(err, "making up times");
    es_rng_init(&rng, config->seed);
    es_rng_init(&workers_rng, ~config->seed);
    synthetic->unit_s = es_mem_calloc(es_grid_n_units(grid), sizeof *synthetic->unit_s);
    synthetic->pass_s =
        es_mem_calloc((size_t)n_checkpoints * es_grid_n_tasks(grid), sizeof *synthetic->pass_s);
    synthetic->load_s = two_kinds(&rng, n_checkpoints, config->slow_load_share, config->load_s,
                                  config->load_s * config->slow_load_factor);
    synthetic->speed = two_kinds(&workers_rng, n_workers, config->slow_node_share, 1, 0.5);
    if (!synthetic->unit_s || !synthetic->pass_s || !synthetic->load_s || !synthetic->speed ||
        fill(synthetic, grid, &rng, config->pass_share) < 0) {
        es_synthetic_free(synthetic);
        return es_err_nomem(err, "making up times");
    }
    *ret_synthetic = synthetic;
    return 0;
}

void es_synthetic_free(struct es_synthetic *synthetic)
{
    if (!synthetic)
        return;
    free(synthetic->unit_s);
    free(synthetic->pass_s);
    free(synthetic->load_s);
    free(synthetic->speed);
    free(synthetic);
}

struct es_sim_times es_synthetic_times(const struct es_synthetic *synthetic)
{
    return (struct es_sim_times){
        .unit_s = synthetic->unit_s, .load_s = synthetic->load_s, .pass_s = synthetic->pass_s};
}

const double *es_synthetic_speeds(const struct es_synthetic *synthetic)
{
    return synthetic->speed;
}
