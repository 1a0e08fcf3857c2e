#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "evalsweep/sim.h"
#include "evalsweep/synthetic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A grid of so many checkpoints, layers first_layer and on, and tasks. */
static struct es_grid *make_grid(uint32_t n_checkpoints, int32_t first_layer, uint32_t n_layers,
                                 uint32_t n_tasks)
{
    static char names[200][16];
    const char *texts[200];
    int32_t layers[50];
    struct es_grid *grid;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(names[i], sizeof names[i], "step%d", i);
        texts[i] = names[i];
    }
    for (uint32_t i = 0; i < n_layers; i++)
        layers[i] = first_layer + (int32_t)i;
    assert_int_equal(
        es_grid_create(texts, n_checkpoints, layers, n_layers, texts, n_tasks, &grid, NULL), 0);
    return grid;
}

/* Two checkpoints x 3 layers x 1 task: units of 10 s, of which 4 s are the pass; loads of 30 and 50
 * s. */
static const float SMALL_UNIT_S[] = {10, 10, 10, 10, 10, 10};
static const float SMALL_PASS_S[] = {4, 4};
static const double SMALL_LOAD_S[] = {30, 50};
static const struct es_sim_times SMALL = {SMALL_UNIT_S, SMALL_LOAD_S, SMALL_PASS_S};

static struct es_sim_config config_of(uint32_t n_workers)
{
    return (struct es_sim_config){
        .sched = {.policy = ES_POLICY_AFFINE, .max_attempts = 2, .prefetch_s = 0.05},
        .n_workers = n_workers,
    };
}

static int simulate(const struct es_grid *grid, const uint8_t *pending,
                    const struct es_sim_times *times, const struct es_sim_config *config,
                    struct es_sim_result *ret_result)
{
    const double task_cost_s[] = {10};
    struct es_cost_hints hints = {
        .load_s = times->load_s[0], .pass_share = 0.4, .task_cost_s = task_cost_s};
    struct es_cost *cost;
    assert_int_equal(es_cost_create(grid, &hints, &cost, NULL), 0);
    int rc = es_sim_run(grid, pending, cost, times, config, ret_result, NULL);
    es_cost_free(cost);
    return rc;
}

static void assert_close(double actual, double expected)
{
    if (!(fabs(actual - expected) <= 1e-6 * (1 + fabs(expected))))
        fail_msg("%.9g is not %.9g", actual, expected);
}

static void one_worker_pays_loads_and_passes_once(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    struct es_sim_config config = config_of(1);
    struct es_sim_result result;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 30 + 50 + 2 * (4 + 3 * 6));
    assert_close(result.lower_bound_s, 44);
    assert_close(result.work_s, 44);
    assert_close(result.load_s, 80);
    assert_close(result.idle_s, 0);
    assert_int_equal(result.n_loads, 2);
    assert_int_equal(result.n_units_done, 6);
    assert_int_equal(result.n_units_failed, 0);
    assert_true(result.n_messages > 6);
    es_grid_free(grid);
}

static void two_workers_take_a_checkpoint_each(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    struct es_sim_config config = config_of(2);
    struct es_sim_result result;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 50 + 22);
    assert_close(result.lower_bound_s, 22);
    assert_close(result.idle_s, 20);
    es_grid_free(grid);
}

static void only_what_is_pending_runs(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    struct es_sim_config config = config_of(1);
    struct es_sim_result result;
    const uint8_t pending[] = {0, 1, 0, 0, 0, 0};
    assert_int_equal(simulate(grid, pending, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 40);
    assert_int_equal(result.n_units_done, 1);
    es_grid_exclude(grid, 0, ES_GRID_ANY, 0);
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 72);
    const uint8_t none[6] = {0};
    assert_int_equal(simulate(grid, none, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 0);
    assert_close(result.lower_bound_s, 0);
    es_grid_free(grid);
}

static void messages_take_their_time(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(1, 0, 1, 1);
    struct es_sim_config config = config_of(1);
    struct es_sim_result result;
    config.message_s = 0.5;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 30 + 10 + 2 * 0.5);
    es_grid_free(grid);
}

static void speeds_divide_units_but_not_loads(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(1, 0, 3, 1);
    const double speed[] = {0.5};
    struct es_sim_config config = config_of(1);
    struct es_sim_result result;
    config.speed = speed;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 30 + 2 * 22);
    assert_close(result.lower_bound_s, 44);
    es_grid_free(grid);
}

static void late_workers_wait_to_be_there(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    const double join_s[] = {7};
    struct es_sim_config config = config_of(1);
    struct es_sim_result result;
    config.join_s = join_s;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_close(result.makespan_s, 7 + 124);
    assert_close(result.idle_s, 7);
    es_grid_free(grid);
}

static void work_is_left_when_nobody_is(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    const double leave_s[] = {45};
    struct es_sim_config config = config_of(1);
    struct es_sim_result result;
    config.leave_s = leave_s;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_true(result.n_units_done < 6);
    assert_close(result.makespan_s, 45);
    es_grid_free(grid);
}

static void every_try_fails(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    struct es_sim_config config = config_of(2);
    struct es_sim_result result;
    config.failure_probability = 1;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_int_equal(result.n_units_done, 0);
    assert_int_equal(result.n_units_failed, 6);
    es_grid_free(grid);
}

static void faults_hit_what_they_name(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(3, 0, 2, 3);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        struct es_unit unit = es_grid_unit(grid, id);
        for (uint32_t worker = 0; worker < 3; worker++) {
            const bool expected[] = {
                [ES_FAULT_TASK] = unit.task == 1, [ES_FAULT_CHECKPOINT] = unit.checkpoint == 1,
                [ES_FAULT_WORKER] = worker == 1,  [ES_FAULT_UNIT] = false,
                [ES_FAULT_OUTAGE] = true,
            };
            for (int kind = 0; kind < ES_N_FAULT_KINDS; kind++) {
                const struct es_sim_fault fault = {
                    .kind = (enum es_sim_fault_kind)kind, .index = 1, .for_s = (double)INFINITY};
                assert_int_equal(es_sim_is_faulty(grid, &fault, 1, worker, id, 0), expected[kind]);
            }
        }
        assert_false(es_sim_is_faulty(grid, NULL, 0, 0, id, 0));
    }
    es_grid_free(grid);
}

static void faults_have_their_time(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 2, 2);
    for (int kind = 0; kind < ES_N_FAULT_KINDS; kind++) {
        const struct es_sim_fault faults[] = {
            {.kind = ES_FAULT_TASK, .index = 1, .for_s = (double)INFINITY}, /* not this unit's */
            {.kind = (enum es_sim_fault_kind)kind, .share = 1, .after_s = 10, .for_s = 5},
        };
        assert_false(es_sim_is_faulty(grid, faults, 2, 0, 0, 9.999));
        assert_true(es_sim_is_faulty(grid, faults, 2, 0, 0, 10));
        assert_true(es_sim_is_faulty(grid, faults, 2, 0, 0, 14.999));
        assert_false(es_sim_is_faulty(grid, faults, 2, 0, 0, 15));
        assert_false(es_sim_is_faulty(grid, faults, 1, 0, 0, 12));
    }
    es_grid_free(grid);
}

/* The same units whoever runs them, and those of a smaller share are in a larger one. */
static void a_share_of_units_is_always_the_same(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(20, 0, 25, 20);
    const double SHARES[] = {0, 0.1, 0.3, 1};
    uint32_t n[4] = {0}, n_units = es_grid_n_units(grid);
    for (uint32_t id = 0; id < n_units; id++) {
        bool was = false;
        for (size_t i = 0; i < 4; i++) {
            const struct es_sim_fault fault = {
                .kind = ES_FAULT_UNIT, .share = SHARES[i], .for_s = (double)INFINITY};
            bool is = es_sim_is_faulty(grid, &fault, 1, 0, id, 0);
            assert_int_equal(is, es_sim_is_faulty(grid, &fault, 1, 7, id, 1e6));
            assert_true(is || !was);
            was = is;
            n[i] += is;
        }
    }
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(n[i] - SHARES[i] * n_units) <= 0.02 * n_units);
    assert_true(n[0] == 0 && n[3] == n_units);
    es_grid_free(grid);
}

/* A grid of units that take 10 s each, with a fault, for so many workers. */
static struct es_sim_result run_faulty(uint32_t n_checkpoints, uint32_t n_layers, uint32_t n_tasks,
                                       uint32_t n_workers, struct es_sim_fault fault)
{
    static float unit_s[4096];
    static double load_s[64];
    struct es_grid *grid = make_grid(n_checkpoints, 0, n_layers, n_tasks);
    struct es_sim_times times = {.unit_s = unit_s, .load_s = load_s};
    struct es_sim_config config = config_of(n_workers);
    struct es_sim_result result;
    struct es_cost *cost;
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++)
        unit_s[id] = 10;
    config.sched.max_bundles_failed = 5;
    config.sched.retry_delay_s = 1;
    config.faults = &fault;
    config.n_faults = 1;
    config.fault_takes = 0.5;
    config.outage_s = 7200;
    assert_int_equal(es_cost_create(grid, NULL, &cost, NULL), 0);
    assert_int_equal(es_sim_run(grid, NULL, cost, &times, &config, &result, NULL), 0);
    es_cost_free(cost);
    es_grid_free(grid);
    assert_close(result.failed_s, 5 * (double)result.n_failed_tries);
    return result;
}

static void a_bad_task_is_blocked(void **state)
{
    (void)state;
    struct es_sim_fault fault = {.kind = ES_FAULT_TASK, .index = 2, .for_s = (double)INFINITY};
    struct es_sim_result result = run_faulty(8, 8, 8, 4, fault);
    assert_int_equal(result.n_units_done, 7 * 64);
    assert_int_equal(result.n_units_blocked + result.n_units_failed, 64);
    assert_true(result.n_units_blocked >= 50 && result.n_failed_tries <= 40);
    assert_true(result.n_failed_tries_most <= result.n_failed_tries);
    assert_true(4 * result.n_failed_tries_most >= result.n_failed_tries);
}

static void a_bad_checkpoint_is_blocked(void **state)
{
    (void)state;
    struct es_sim_fault fault = {
        .kind = ES_FAULT_CHECKPOINT, .index = 2, .for_s = (double)INFINITY};
    struct es_sim_result result = run_faulty(8, 8, 8, 4, fault);
    assert_int_equal(result.n_units_done, 7 * 64);
    assert_int_equal(result.n_units_blocked + result.n_units_failed, 64);
    assert_true(result.n_units_blocked >= 50 && result.n_failed_tries <= 40);
}

static void a_bad_worker_is_quarantined(void **state)
{
    (void)state;
    struct es_sim_fault fault = {
        .kind = ES_FAULT_WORKER, .index = 1, .after_s = 100, .for_s = (double)INFINITY};
    struct es_sim_result result = run_faulty(8, 8, 8, 4, fault);
    assert_int_equal(result.n_units_done, 512);
    assert_int_equal(result.n_units_failed + result.n_units_blocked, 0);
    assert_int_equal(result.n_failed_tries, result.n_failed_tries_most); /* all on one worker */
    assert_true(result.n_failed_tries >= 5 && result.n_failed_tries <= 20);
}

static void bad_units_fail_by_themselves(void **state)
{
    (void)state;
    struct es_sim_fault fault = {.kind = ES_FAULT_UNIT, .share = 0.02, .for_s = (double)INFINITY};
    struct es_sim_result result = run_faulty(8, 8, 8, 4, fault);
    struct es_grid *grid = make_grid(8, 0, 8, 8);
    uint32_t n_bad = 0;
    for (uint32_t id = 0; id < 512; id++)
        n_bad += es_sim_is_faulty(grid, &fault, 1, 0, id, 0);
    assert_true(n_bad > 0);
    assert_int_equal(result.n_units_done, 512 - n_bad);
    assert_int_equal(result.n_units_failed, n_bad);
    assert_int_equal(result.n_failed_tries, 2 * n_bad); /* as often as it may be tried */
    es_grid_free(grid);
}

static void an_outage_passes(void **state)
{
    (void)state;
    struct es_sim_fault fault = {.kind = ES_FAULT_OUTAGE, .after_s = 200, .for_s = 1000};
    struct es_sim_result result = run_faulty(8, 8, 8, 4, fault);
    assert_int_equal(result.n_units_done, 512);
    assert_int_equal(result.n_units_failed + result.n_units_blocked, 0);
    assert_true(result.makespan_s > 1280 + 1000 && result.makespan_s < 1280 + 1000 + 120);
    assert_true(result.n_failed_tries < 100);
}

/* An outage that does not pass ends the run: after outage_s, or a minute if nothing was ever done.
 */
static void an_outage_that_stays_ends_the_run(void **state)
{
    (void)state;
    struct es_sim_fault fault = {
        .kind = ES_FAULT_OUTAGE, .after_s = 200, .for_s = (double)INFINITY};
    struct es_sim_result result = run_faulty(8, 40, 8, 4, fault);
    assert_true(result.n_units_done >= 76 && result.n_units_done <= 84);
    assert_int_equal(result.n_units_failed + result.n_units_blocked, 0);
    assert_true(result.makespan_s > 200 + 7200 && result.makespan_s < 200 + 7200 + 120);
    fault.after_s = 0;
    result = run_faulty(8, 40, 8, 4, fault);
    assert_int_equal(result.n_units_done + result.n_units_failed + result.n_units_blocked, 0);
    assert_true(result.makespan_s > 60 && result.makespan_s < 60 + 120);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    struct es_sim_config config = config_of(2);
    struct es_cost *cost;
    int rc = ES_ERR_NOMEM;
    for (long n = 0; rc == ES_ERR_NOMEM; n++) {
        struct es_sim_result result = {.n_loads = 77};
        assert_int_equal(es_cost_create(grid, NULL, &cost, NULL), 0);
        es_mem_fail_after(n);
        rc = es_sim_run(grid, NULL, cost, &SMALL, &config, &result, NULL);
        es_mem_fail_after(-1);
        assert_true(rc == 0 || result.n_loads == 77);
        es_cost_free(cost);
    }
    assert_int_equal(rc, 0);
    es_grid_free(grid);
}

/* A made-up sweep, nothing known before but what a load takes. */
static struct es_sim_result run_synthetic(const struct es_grid *grid, enum es_policy policy,
                                          uint32_t n_workers,
                                          const struct es_synthetic_config *synthetic_config)
{
    struct es_synthetic *synthetic;
    assert_int_equal(es_synthetic_create(grid, n_workers, synthetic_config, &synthetic, NULL), 0);
    struct es_sim_times times = es_synthetic_times(synthetic);
    struct es_sim_config config = config_of(n_workers);
    config.sched.policy = policy;
    config.sched.n_static = n_workers;
    config.message_s = 0.001;
    config.speed = es_synthetic_speeds(synthetic);
    struct es_cost_hints hints = {.load_s = synthetic_config->load_s,
                                  .pass_share = synthetic_config->pass_share};
    struct es_sim_result result;
    struct es_cost *cost;
    assert_int_equal(es_cost_create(grid, &hints, &cost, NULL), 0);
    assert_int_equal(es_sim_run(grid, NULL, cost, &times, &config, &result, NULL), 0);
    assert_int_equal(result.n_units_done, es_grid_n_units(grid));
    es_cost_free(cost);
    es_synthetic_free(synthetic);
    return result;
}

static double synthetic_ratio(const struct es_grid *grid, enum es_policy policy, uint32_t n_workers,
                              const struct es_synthetic_config *config)
{
    struct es_sim_result result = run_synthetic(grid, policy, n_workers, config);
    return result.makespan_s / (result.lower_bound_s + config->load_s);
}

static void the_bound_is_near(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_workers;
        struct es_synthetic_config config;
        double most;
    } cases[] = {
        {16, {.seed = 1}, 1.01},
        {256, {.seed = 2}, 1.01},
        {16, {.seed = 3, .load_s = 60}, 1.03},
        {64, {.seed = 4, .load_s = 60}, 1.03},
        {256, {.seed = 5, .load_s = 60}, 1.03},
        {64, {.seed = 6, .load_s = 60, .pass_share = 0.3}, 1.03},
        {64, {.seed = 7, .load_s = 60, .slow_node_share = 0.3}, 1.03},
        {64, {.seed = 8, .load_s = 60, .slow_load_share = 0.2, .slow_load_factor = 5}, 1.05},
    };
    struct es_grid *grid = make_grid(154, 21, 4, 40);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double ratio =
            synthetic_ratio(grid, ES_POLICY_AFFINE, cases[i].n_workers, &cases[i].config);
        if (!(ratio >= 0.99 && ratio <= cases[i].most))
            fail_msg("case %zu: %g times the bound and one load", i, ratio);
    }
    es_grid_free(grid);
}

/* Four checkpoints of equal units, of which nothing is known, for four workers. */
static void nobody_leaves_a_checkpoint_for_one_like_it(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(4, 0, 4, 1);
    float unit_s[16];
    double load_s[4];
    for (size_t i = 0; i < 16; i++)
        unit_s[i] = 100;
    for (int half_load_s = 5; half_load_s <= 30; half_load_s += 5) {
        struct es_cost_hints hints = {.load_s = 2 * half_load_s};
        struct es_sim_config config = config_of(4);
        struct es_sim_result result;
        struct es_cost *cost;
        for (size_t i = 0; i < 4; i++)
            load_s[i] = 2 * half_load_s;
        struct es_sim_times times = {.unit_s = unit_s, .load_s = load_s};
        assert_int_equal(es_cost_create(grid, &hints, &cost, NULL), 0);
        assert_int_equal(es_sim_run(grid, NULL, cost, &times, &config, &result, NULL), 0);
        assert_int_equal(result.n_loads, 4);
        assert_close(result.makespan_s, 400 + 2 * half_load_s);
        es_cost_free(cost);
    }
    es_grid_free(grid);
}

/* What is expected of the whole is right long before its end, though nothing is known at the start.
 */
static void the_end_is_foreseen(void **state)
{
    (void)state;
    struct es_grid *grids[] = {make_grid(60, 21, 4, 20), make_grid(14, 0, 25, 32)};
    double sum = 0;
    for (int i = 0; i < 10; i++) {
        struct es_synthetic_config config = {.seed = (uint64_t)i, .load_s = 60};
        double good = run_synthetic(grids[i % 2], ES_POLICY_AFFINE, 16, &config).eta_good;
        if (!(good > 0.7 && good <= 1))
            fail_msg("seed %d: right for %g of the time", i, good);
        sum += good;
    }
    assert_true(sum / 10 > 0.9);
    es_grid_free(grids[0]);
    es_grid_free(grids[1]);
}

static void simple_policies_are_worse(void **state)
{
    (void)state;
    const struct es_synthetic_config config = {.seed = 1, .load_s = 60};
    struct es_grid *grid = make_grid(154, 21, 4, 40);
    double affine = synthetic_ratio(grid, ES_POLICY_AFFINE, 128, &config);
    for (int policy = ES_POLICY_LPT; policy <= ES_POLICY_STATIC; policy++)
        assert_true(synthetic_ratio(grid, (enum es_policy)policy, 128, &config) > affine + 0.02);
    es_grid_free(grid);
}

static int descending(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* Sum of the units of one layer, or of one checkpoint; ES_GRID_ANY: of all. */
static double sum_of(const struct es_grid *grid, const float *unit_s, uint32_t checkpoint,
                     uint32_t layer)
{
    double sum_s = 0;
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        struct es_unit unit = es_grid_unit(grid, id);
        bool in = (checkpoint == ES_GRID_ANY || checkpoint == unit.checkpoint) &&
                  (layer == ES_GRID_ANY || layer == unit.layer);
        sum_s += in ? (double)unit_s[id] : 0;
    }
    return sum_s;
}

static void made_up_times_have_the_measured_shape(void **state)
{
    (void)state;
    const struct es_synthetic_config config = {.seed = 1, .load_s = 60, .pass_share = 0.5};
    struct es_grid *grid = make_grid(14, 0, 25, 32);
    struct es_synthetic *synthetic;
    assert_int_equal(es_synthetic_create(grid, 4, &config, &synthetic, NULL), 0);
    struct es_sim_times times = es_synthetic_times(synthetic);
    uint32_t n = es_grid_n_units(grid);
    double all_s = sum_of(grid, times.unit_s, ES_GRID_ANY, ES_GRID_ANY);
    assert_true(all_s / n > 50 && all_s / n < 150);
    double first_s = sum_of(grid, times.unit_s, ES_GRID_ANY, 0);
    double last_s = sum_of(grid, times.unit_s, ES_GRID_ANY, 24);
    assert_true(last_s > 3.5 * first_s && last_s < 6 * first_s);
    for (uint32_t c = 0; c < 14; c++) /* hardly by checkpoint */
        assert_true(fabs(sum_of(grid, times.unit_s, c, ES_GRID_ANY) * 14 / all_s - 1) < 0.15);
    float *sorted = es_mem_calloc(n, sizeof *sorted);
    memcpy(sorted, times.unit_s, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, descending);
    double longest_s = 0;
    for (uint32_t i = 0; i < n / 20; i++)
        longest_s += (double)sorted[i];
    assert_true(longest_s > 0.4 * all_s && longest_s < 0.6 * all_s);
    assert_true(sorted[0] > 300 * sorted[n - 1]);
    for (uint32_t c = 0; c < 14; c++) {
        assert_true(times.load_s[c] == 60);
        for (uint32_t t = 0; t < 32; t++)
            assert_true(times.pass_s[c * 32 + t] <=
                        times.unit_s[es_grid_id(grid, (struct es_unit){c, 0, t})]);
    }
    free(sorted);
    es_synthetic_free(synthetic);
    es_grid_free(grid);
}

static void made_up_times_are_those_of_the_seed(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(5, 0, 3, 4);
    struct es_synthetic *made[3];
    for (uint32_t i = 0; i < 3; i++) {
        struct es_synthetic_config config = {.seed = i < 2 ? 1 : 2,
                                             .load_s = 10,
                                             .slow_load_share = 0.4,
                                             .slow_load_factor = 3,
                                             .slow_node_share = 0.5};
        assert_int_equal(es_synthetic_create(grid, 4 + 2 * i, &config, &made[i], NULL), 0);
    }
    struct es_sim_times a = es_synthetic_times(made[0]), b = es_synthetic_times(made[1]);
    struct es_sim_times other = es_synthetic_times(made[2]);
    size_t size_bytes = es_grid_n_units(grid) * sizeof *a.unit_s;
    assert_memory_equal(a.unit_s, b.unit_s, size_bytes); /* whatever runs it */
    assert_true(memcmp(a.unit_s, other.unit_s, size_bytes) != 0);
    double loads_s = 0, speeds = 0;
    for (int c = 0; c < 5; c++)
        loads_s += a.load_s[c];
    for (int w = 0; w < 4; w++)
        speeds += es_synthetic_speeds(made[0])[w];
    assert_close(loads_s, 3 * 10 + 2 * 30);
    assert_close(speeds, 2 * 1 + 2 * 0.5);
    for (int i = 0; i < 3; i++)
        es_synthetic_free(made[i]);
    es_grid_free(grid);
}

static void out_of_memory_making_up_times(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    const struct es_synthetic_config config = {.seed = 1};
    int rc = ES_ERR_NOMEM;
    for (long n = 0; rc == ES_ERR_NOMEM; n++) {
        struct es_synthetic *synthetic = NULL;
        es_mem_fail_after(n);
        rc = es_synthetic_create(grid, 2, &config, &synthetic, NULL);
        es_mem_fail_after(-1);
        assert_true((rc == 0) == (synthetic != NULL));
        es_synthetic_free(synthetic);
    }
    assert_int_equal(rc, 0);
    es_grid_free(grid);
}

static void failed_attempts_are_counted(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid(2, 0, 3, 1);
    const struct es_sim_fault faults[] = {
        {.kind = ES_FAULT_CHECKPOINT, .index = 1, .for_s = (double)INFINITY}};
    struct es_sim_config config = config_of(1);
    struct es_sim_result result;
    config.faults = faults;
    config.n_faults = 1;
    config.fault_takes = 0.5;
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_int_equal(result.n_units_done, 3);
    assert_int_equal(result.n_units_failed, 3);
    assert_int_equal(result.n_failed_tries, 6);
    assert_int_equal(result.n_failed_tries_most, 6);
    assert_int_equal(result.n_failed_tries_most_checkpoint, 6);
    assert_int_equal(result.n_failed_tries_most_unit, 2);
    config.n_workers = 2; /* a second attempt is another worker's, if possible */
    assert_int_equal(simulate(grid, NULL, &SMALL, &config, &result), 0);
    assert_int_equal(result.n_failed_tries, 6);
    assert_int_equal(result.n_failed_tries_most_checkpoint, result.n_failed_tries_most);
    assert_int_equal(result.n_failed_tries_most_unit, 2);
    es_grid_free(grid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_pays_loads_and_passes_once),
        cmocka_unit_test(two_workers_take_a_checkpoint_each),
        cmocka_unit_test(only_what_is_pending_runs),
        cmocka_unit_test(messages_take_their_time),
        cmocka_unit_test(speeds_divide_units_but_not_loads),
        cmocka_unit_test(late_workers_wait_to_be_there),
        cmocka_unit_test(work_is_left_when_nobody_is),
        cmocka_unit_test(every_try_fails),
        cmocka_unit_test(failed_attempts_are_counted),
        cmocka_unit_test(faults_hit_what_they_name),
        cmocka_unit_test(faults_have_their_time),
        cmocka_unit_test(a_share_of_units_is_always_the_same),
        cmocka_unit_test(a_bad_task_is_blocked),
        cmocka_unit_test(a_bad_checkpoint_is_blocked),
        cmocka_unit_test(a_bad_worker_is_quarantined),
        cmocka_unit_test(bad_units_fail_by_themselves),
        cmocka_unit_test(an_outage_passes),
        cmocka_unit_test(an_outage_that_stays_ends_the_run),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(the_bound_is_near),
        cmocka_unit_test(nobody_leaves_a_checkpoint_for_one_like_it),
        cmocka_unit_test(the_end_is_foreseen),
        cmocka_unit_test(simple_policies_are_worse),
        cmocka_unit_test(made_up_times_have_the_measured_shape),
        cmocka_unit_test(made_up_times_are_those_of_the_seed),
        cmocka_unit_test(out_of_memory_making_up_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
