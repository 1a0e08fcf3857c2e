#include "evalsweep/cost.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>

/* With no knowledge at all. */
#define DEFAULT_UNIT_S 60.0
#define DEFAULT_LOAD_S 30.0
#define SHORTEST_S 1e-6
#define LOG_MOST 20.0 /* of any factor */

/* Standard deviations of logarithms: how far apart things are before anything is measured, from
 * what was seen of language models on MTEB. */
#define SD_UNKNOWN 2.0
#define SD_HINTED 0.7
#define SD_TASK 1.3
#define SD_LAYER 0.4
#define SD_CELL 0.30 /* of a (task, layer) from task x layer */
#define SD_CHECKPOINT 0.2
/* The first few checkpoints say as much of the tasks as of themselves: what is taken for the others
 * follows their mean with reserve. */
#define CHECKPOINTS_BEFORE 8.0
#define SD_PASS 1.0 /* of a task's pass from what those of others make likely */
#define SD_LOAD_CHECKPOINT 0.5
#define SD_NOISE 0.12         /* of a unit measured in this run */
#define SD_NOISE_EARLIER 0.18 /* of one measured before: another machine, other settings */
#define SD_LEAST 0.02         /* nothing is ever known better, so that it can still follow */
#define SD_MOST 1.5
#define SD_MOVE 2.5 /* a measurement moves an estimate by at most so many of its own */

/* A load is told from a total if the rest was measured so often elsewhere and is known to such a
 * part of it. */
#define LOAD_MEASURED 3
#define LOAD_DOUBT 0.25

/* One factor of a product, as far as it is known. */
struct factor {
    float value; /* exp(log) */
    float log;
    float variance; /* of log */
    uint32_t n;     /* measurements; a hint counts as one */
};

/* Factors of one kind. What was never measured is taken for the mean of those that were. */
struct kind {
    struct factor *factors;
    struct factor usual;
    double n_before; /* so many are taken to have been measured as 1 before */
    double sum_log;
    uint32_t n_measured;
};

struct es_cost {
    const struct es_grid *grid;
    uint32_t n_layers, n_tasks;
    struct kind tasks;  /* [n_tasks] seconds at a middling layer */
    struct kind layers; /* [n_layers] */
    struct kind cells;  /* [n_tasks * n_layers] seconds, each for itself once it was measured */
    struct kind checkpoints; /* [n_checkpoints] */
    struct kind passes;      /* [n_tasks] seconds, once measured */
    struct factor pass_part; /* of a pass over scoring; n == 0: passes cost nothing */
    struct kind loads;       /* [n_checkpoints] seconds */
    bool load_hinted;
};

static void set(struct factor *factor, double log_value, double variance)
{
    factor->log = (float)fmin(fmax(log_value, -LOG_MOST), LOG_MOST);
    factor->value = expf(factor->log);
    factor->variance = (float)variance;
}

static bool kind_init(struct kind *kind, uint32_t n, double value, double sd)
{
    kind->factors = es_mem_calloc(n, sizeof *kind->factors);
    set(&kind->usual, log(value), sd * sd);
    return kind->factors != NULL;
}

static const struct factor *get(const struct kind *kind, uint32_t i)
{
    return kind->factors[i].n > 0 ? &kind->factors[i] : &kind->usual;
}

/* As get, to be learned from: from now on it stands for itself. */
static struct factor *begin(struct kind *kind, uint32_t i, double own_sd)
{
    struct factor *factor = &kind->factors[i];
    if (factor->n > 0)
        return factor;
    double sd2 = kind->n_measured > 0 ? own_sd * own_sd : (double)kind->usual.variance;
    set(factor, (double)kind->usual.log, sd2);
    kind->sum_log += (double)factor->log;
    kind->n_measured++;
    return factor;
}

/* Moves a factor, and what is taken for the others of its kind. */
static void move(struct kind *kind, struct factor *factor, double step, double variance)
{
    set(factor, (double)factor->log + step, variance);
    factor->n++;
    if (!kind || kind->n_measured == 0) /* what a new one begins from is found otherwise */
        return;
    kind->sum_log += step;
    set(&kind->usual, kind->sum_log / (kind->n_measured + kind->n_before),
        (double)kind->usual.variance);
}

static bool is_seconds(double value)
{
    return isfinite(value) && value >= 0;
}

static void hint_tasks(struct es_cost *cost, const double *task_cost_s, double share)
{
    for (uint32_t t = 0; t < cost->n_tasks; t++) {
        if (!is_seconds(task_cost_s[t]))
            continue;
        struct factor *task = begin(&cost->tasks, t, SD_HINTED);
        double log_s = log(fmax(task_cost_s[t] * (1 - share), SHORTEST_S));
        move(&cost->tasks, task, log_s - (double)task->log, SD_HINTED * SD_HINTED);
    }
}

int es_cost_create(const struct es_grid *grid, const struct es_cost_hints *hints,
                   struct es_cost **ret_cost, struct es_err *err)
{
    uint32_t n_checkpoints = es_grid_n_checkpoints(grid);
    struct es_cost *cost = es_mem_calloc(1, sizeof *cost);
    if (!cost)
        return es_err_nomem(err, "estimating costs");
    cost->grid = grid;
    cost->n_layers = es_grid_n_layers(grid);
    cost->n_tasks = es_grid_n_tasks(grid);
    double share = hints && hints->pass_share > 0 ? fmin(hints->pass_share, 0.999) : 0;
    cost->load_hinted = hints && is_seconds(hints->load_s);
    if (share > 0) {
        set(&cost->pass_part, log(share / (1 - share)), SD_HINTED * SD_HINTED);
        cost->pass_part.n = 1;
    }
    if (!kind_init(&cost->tasks, cost->n_tasks, DEFAULT_UNIT_S * (1 - share), SD_UNKNOWN) ||
        !kind_init(&cost->layers, cost->n_layers, 1, SD_LAYER) ||
        !kind_init(&cost->cells, cost->n_tasks * cost->n_layers, 1, SD_CELL) ||
        !kind_init(&cost->checkpoints, n_checkpoints, 1, SD_CHECKPOINT) ||
        !kind_init(&cost->passes, cost->n_tasks, 1, SD_PASS) ||
        !kind_init(&cost->loads, n_checkpoints,
                   cost->load_hinted ? fmax(hints->load_s, SHORTEST_S) : DEFAULT_LOAD_S,
                   cost->load_hinted && hints->load_s > 0 ? SD_HINTED : SD_UNKNOWN)) {
        es_cost_free(cost);
        return es_err_nomem(err, "estimating costs");
    }
    cost->checkpoints.n_before = CHECKPOINTS_BEFORE;
    if (hints && hints->task_cost_s)
        hint_tasks(cost, hints->task_cost_s, share);
    *ret_cost = cost;
    return 0;
}

void es_cost_free(struct es_cost *cost)
{
    if (!cost)
        return;
    free(cost->tasks.factors);
    free(cost->layers.factors);
    free(cost->cells.factors);
    free(cost->checkpoints.factors);
    free(cost->passes.factors);
    free(cost->loads.factors);
    free(cost);
}

/* Moves one or two factors of a product towards a measurement, whose logarithm exceeds the expected
 * one by `surprise`: a Kalman step that keeps no covariances. What lies too far out moves them no
 * further than what is plausible, but makes them less sure of themselves, so that the next
 * measurement settles whether it was an outlier. `b` may be NULL, and the kinds too. */
static void learn(struct kind *a_kind, struct factor *a, struct kind *b_kind, struct factor *b,
                  double surprise, double noise)
{
    struct kind *kinds[] = {a_kind, b_kind};
    struct factor *factors[] = {a, b};
    double variance = noise + (double)a->variance + (b ? (double)b->variance : 0);
    double most = SD_MOVE * sqrt(variance);
    double excess = fmax(fabs(surprise) - most, 0);
    double step = fmin(fmax(surprise, -most), most);
    for (int i = 0; i < (b ? 2 : 1); i++) {
        double own = (double)factors[i]->variance, gain = own / variance;
        double after = own * (1 - gain) + gain * excess * excess / 4;
        after = fmin(fmax(after, SD_LEAST * SD_LEAST), fmax(own, SD_MOST * SD_MOST));
        move(kinds[i], factors[i], gain * step, after);
    }
}

static uint32_t cell_of(const struct es_cost *cost, struct es_unit unit)
{
    return unit.task * cost->n_layers + unit.layer;
}

double es_cost_score_of(const struct es_cost *cost, struct es_unit unit)
{
    const struct factor *cell = &cost->cells.factors[cell_of(cost, unit)];
    double checkpoint = (double)get(&cost->checkpoints, unit.checkpoint)->value;
    if (cell->n > 0)
        return (double)cell->value * checkpoint;
    return (double)get(&cost->tasks, unit.task)->value *
           (double)get(&cost->layers, unit.layer)->value * checkpoint;
}

double es_cost_score(const struct es_cost *cost, uint32_t unit_id)
{
    return es_cost_score_of(cost, es_grid_unit(cost->grid, unit_id));
}

bool es_cost_is_known(const struct es_cost *cost, uint32_t task)
{
    return cost->tasks.factors[task].n > 0;
}

double es_cost_pass(const struct es_cost *cost, uint32_t checkpoint, uint32_t task)
{
    if (cost->pass_part.n == 0)
        return 0;
    const struct factor *pass = &cost->passes.factors[task];
    double usual_s = pass->n > 0
                         ? (double)pass->value
                         : (double)cost->pass_part.value * (double)get(&cost->tasks, task)->value;
    return usual_s * (double)get(&cost->checkpoints, checkpoint)->value;
}

double es_cost_load(const struct es_cost *cost, uint32_t checkpoint)
{
    return (double)get(&cost->loads, checkpoint)->value;
}

/* Measured over expected seconds of the unit's own part; NaN if the times do not tell it. */
static double score_ratio(const struct es_cost *cost, struct es_unit unit,
                          const struct es_times *times, enum es_cost_paid paid)
{
    double score_s = es_cost_score_of(cost, unit);
    if (is_seconds(times->score_s))
        return times->score_s / score_s;
    if (!is_seconds(times->total_s))
        return (double)NAN;
    double own_s = times->total_s;
    if (is_seconds(times->load_s))
        own_s -= times->load_s;
    else if (paid == ES_COST_PAID_LOAD)
        return (double)NAN;
    if (is_seconds(times->pass_s))
        own_s -= times->pass_s;
    else if (paid != ES_COST_PAID_NOTHING) /* not told apart: score and pass as one */
        score_s += es_cost_pass(cost, unit.checkpoint, unit.task);
    return own_s / score_s;
}

static double log_ratio(double measured_s, double expected_s)
{
    return log(fmax(measured_s, SHORTEST_S) / expected_s);
}

/* Of the logarithm of a unit's measured over its expected seconds. */
static double score_variance(const struct es_cost *cost, struct es_unit unit)
{
    const struct factor *cell = get(&cost->cells, cell_of(cost, unit));
    double variance = SD_NOISE * SD_NOISE + (double)cell->variance +
                      (double)get(&cost->checkpoints, unit.checkpoint)->variance;
    if (cell->n == 0)
        variance += (double)get(&cost->tasks, unit.task)->variance +
                    (double)get(&cost->layers, unit.layer)->variance;
    return variance;
}

double es_cost_surprise(const struct es_cost *cost, uint32_t unit_id, const struct es_times *times,
                        enum es_cost_paid paid, double *ret_variance)
{
    struct es_unit unit = es_grid_unit(cost->grid, unit_id);
    double ratio = score_ratio(cost, unit, times, paid);
    if (isnan(ratio))
        return ratio;
    *ret_variance = score_variance(cost, unit);
    return log_ratio(ratio, 1);
}

static void learn_pass(struct es_cost *cost, struct es_unit unit, double pass_s, double noise)
{
    struct factor *pass = &cost->passes.factors[unit.task], *part = &cost->pass_part;
    double usual_s =
        fmax(pass_s, SHORTEST_S) / (double)get(&cost->checkpoints, unit.checkpoint)->value;
    double likely = log(usual_s / (double)get(&cost->tasks, unit.task)->value);
    if (part->n == 0)
        set(part, likely, SD_UNKNOWN * SD_UNKNOWN);
    if (pass->n == 0)
        set(pass, (double)part->log + (double)get(&cost->tasks, unit.task)->log,
            (double)part->variance + SD_PASS * SD_PASS);
    learn(&cost->passes, pass, NULL, NULL, log(usual_s) - (double)pass->log, noise);
    learn(NULL, part, NULL, NULL, likely - (double)part->log, noise + SD_PASS * SD_PASS);
}

/* A load that was reported, or else what a total holds beyond the unit's own part, where that is
 * known well beside the load that is expected. (A choice that does not depend on the total, so that
 * it is wrong to neither side; but where there was a hint, only a shorter load is believed: what is
 * not understood about a unit would be taken for a load.) */
static void learn_load(struct es_cost *cost, struct es_unit unit, const struct es_times *times,
                       double noise)
{
    double expected_s = es_cost_load(cost, unit.checkpoint), load_s = times->load_s;
    if (!is_seconds(load_s)) {
        double pass_s = es_cost_pass(cost, unit.checkpoint, unit.task);
        double own_s = es_cost_score_of(cost, unit) + pass_s;
        double sd_s = own_s * sqrt(score_variance(cost, unit));
        if (!is_seconds(times->total_s) || sd_s > LOAD_DOUBT * expected_s ||
            cost->cells.factors[cell_of(cost, unit)].n < LOAD_MEASURED)
            return;
        load_s = times->total_s - own_s;
        if (cost->load_hinted && load_s > expected_s)
            return;
    }
    learn(&cost->loads, begin(&cost->loads, unit.checkpoint, SD_LOAD_CHECKPOINT), NULL, NULL,
          log_ratio(load_s, expected_s), noise);
}

static void learn_score(struct es_cost *cost, struct es_unit unit, double surprise, double noise)
{
    struct factor *task = begin(&cost->tasks, unit.task, SD_TASK);
    struct factor *layer = begin(&cost->layers, unit.layer, SD_LAYER);
    struct factor *cell = &cost->cells.factors[cell_of(cost, unit)];
    double product = (double)task->log + (double)layer->log;
    if (cell->n == 0) { /* known by its task and layer alone, it tells nothing of the checkpoint */
        double variance = (double)task->variance + (double)layer->variance + SD_CELL * SD_CELL;
        set(cell, product, variance);
        learn(&cost->cells, cell, NULL, NULL, surprise, noise);
        learn(&cost->tasks, task, &cost->layers, layer, surprise, noise + SD_CELL * SD_CELL);
        return;
    }
    struct factor *checkpoint = begin(&cost->checkpoints, unit.checkpoint, SD_CHECKPOINT);
    double from_product = surprise + (double)cell->log - product;
    learn(&cost->cells, cell, &cost->checkpoints, checkpoint, surprise, noise);
    learn(&cost->tasks, task, &cost->layers, layer, from_product, noise + SD_CELL * SD_CELL);
}

void es_cost_observe(struct es_cost *cost, enum es_cost_source source, uint32_t unit_id,
                     const struct es_times *times, enum es_cost_paid paid)
{
    struct es_unit unit = es_grid_unit(cost->grid, unit_id);
    double sd_noise = source == ES_COST_THIS_RUN ? SD_NOISE : SD_NOISE_EARLIER;
    double noise = sd_noise * sd_noise;
    double ratio = score_ratio(cost, unit, times, paid);
    if (paid == ES_COST_PAID_LOAD)
        learn_load(cost, unit, times, noise);
    if (is_seconds(times->pass_s) && (times->pass_s > 0 || paid != ES_COST_PAID_NOTHING) &&
        (times->pass_s > 0 || cost->pass_part.n > 0))
        learn_pass(cost, unit, times->pass_s, noise);
    if (!isnan(ratio))
        learn_score(cost, unit, log_ratio(ratio, 1), noise);
}

void es_cost_observe_running(struct es_cost *cost, uint32_t unit_id, double unit_s)
{
    struct es_unit unit = es_grid_unit(cost->grid, unit_id);
    struct factor *task = &cost->tasks.factors[unit.task];
    double surprise = log_ratio(unit_s, es_cost_score_of(cost, unit));
    bool measured = cost->cells.factors[cell_of(cost, unit)].n > 0 ||
                    (task->n > 0 && (double)task->variance < SD_HINTED * SD_HINTED / 2);
    if (measured || !(surprise > 0))
        return;
    task = begin(&cost->tasks, unit.task, SD_TASK);
    move(&cost->tasks, task, surprise, (double)task->variance);
}
