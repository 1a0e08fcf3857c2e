#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "core/num.h"
#include "evalsweep/cost.h"

#include <math.h>
#include <stdio.h>

#define N_CHECKPOINTS 6
#define N_LAYERS 5
#define N_TASKS 8

static struct es_grid *grid;

static int make_grid(void **state)
{
    (void)state;
    const char *names[] = {"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"};
    const int32_t layers[] = {0, 6, 12, 18, 24};
    return es_grid_create(names, N_CHECKPOINTS, layers, N_LAYERS, names, N_TASKS, &grid, NULL);
}

static int free_grid(void **state)
{
    (void)state;
    es_grid_free(grid);
    return 0;
}

static struct es_cost *create(const struct es_cost_hints *hints)
{
    struct es_cost *cost;
    assert_int_equal(es_cost_create(grid, hints, &cost, NULL), 0);
    return cost;
}

static uint32_t id_of(uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    return es_grid_id(grid, (struct es_unit){checkpoint, layer, task});
}

static void observe(struct es_cost *cost, uint32_t unit_id, double total_s)
{
    struct es_times times = {total_s, (double)NAN, (double)NAN, (double)NAN};
    es_cost_observe(cost, ES_COST_THIS_RUN, unit_id, &times, ES_COST_PAID_NOTHING);
}

static void assert_near(double actual, double expected, double part)
{
    if (!(fabs(actual - expected) <= part * fabs(expected)))
        fail_msg("%g is not within %g of %g", actual, part, expected);
}

/* Seconds of a unit in a sweep whose tasks differ widely and grow differently with the layer. */
static double truth(struct es_unit unit)
{
    return (0.5 + unit.task * unit.task * 10) * (1 + unit.layer * (0.2 + 0.1 * unit.task));
}

static void knows_nothing_and_is_sane(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        assert_true(isfinite(es_cost_score(cost, id)) && es_cost_score(cost, id) > 0);
        assert_true(es_cost_score(cost, id) == es_cost_score(cost, 0));
    }
    assert_true(isfinite(es_cost_load(cost, 0)) && es_cost_load(cost, 0) > 0);
    assert_true(es_cost_pass(cost, 0, 0) == 0);
    assert_true(!es_cost_is_known(cost, 0));
    es_cost_free(cost);
}

static void hints_are_the_prior(void **state)
{
    (void)state;
    double tasks[N_TASKS];
    for (int t = 0; t < N_TASKS; t++)
        tasks[t] = (double)NAN;
    tasks[2] = 5;
    tasks[3] = 500;
    struct es_cost_hints hints = {.load_s = 77, .pass_share = 0.25, .task_cost_s = tasks};
    struct es_cost *cost = create(&hints);
    assert_near(es_cost_load(cost, 3), 77, 1e-6);
    assert_near(es_cost_score(cost, id_of(1, 1, 2)), 3.75, 1e-5);
    assert_near(es_cost_pass(cost, 1, 2), 1.25, 1e-5);
    assert_near(es_cost_score(cost, id_of(1, 1, 3)), 375, 1e-5);
    assert_near(es_cost_score(cost, id_of(1, 1, 0)), 37.5, 1e-5); /* halfway, in logarithms */
    assert_true(es_cost_is_known(cost, 2) && !es_cost_is_known(cost, 0));
    es_cost_free(cost);
}

static void nonsense_in_hints_is_no_hint(void **state)
{
    (void)state;
    const double tasks[N_TASKS] = {-1, (double)INFINITY, (double)NAN, 0, 3, 3, 3, 3};
    const struct es_cost_hints hints = {.load_s = -5, .pass_share = 7, .task_cost_s = tasks};
    struct es_cost *cost = create(&hints);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++)
        assert_true(isfinite(es_cost_score(cost, id)) && es_cost_score(cost, id) > 0);
    assert_near(es_cost_score(cost, id_of(0, 0, 0)), es_cost_score(cost, id_of(0, 0, 2)), 1e-9);
    assert_true(isfinite(es_cost_load(cost, 0)) && es_cost_load(cost, 0) > 0);
    assert_true(isfinite(es_cost_pass(cost, 0, 0)));
    es_cost_free(cost);
}

static void one_checkpoint_tells_of_the_others(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        struct es_unit unit = es_grid_unit(grid, id);
        struct es_times times = {truth(unit), (double)NAN, (double)NAN, (double)NAN};
        if (unit.checkpoint == 2)
            es_cost_observe(cost, ES_COST_EARLIER, id, &times, ES_COST_PAID_NOTHING);
    }
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++)
        assert_near(es_cost_score(cost, id), truth(es_grid_unit(grid, id)), 0.1);
    es_cost_free(cost);
}

static void a_slow_checkpoint_is_told_from_slow_tasks(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        struct es_unit unit = es_grid_unit(grid, id);
        if (unit.checkpoint < 5)
            observe(cost, id, truth(unit));
        else if (unit.task < 4)
            observe(cost, id, 2 * truth(unit));
    }
    for (uint32_t task = 4; task < N_TASKS; task++) {
        struct es_unit slow = {5, 3, task}, other = {1, 3, task};
        assert_near(es_cost_score_of(cost, slow), 2 * truth(slow), 0.25);
        assert_near(es_cost_score_of(cost, other), truth(other), 0.15);
    }
    es_cost_free(cost);
}

static void unknown_checkpoints_are_taken_for_the_mean_of_the_known(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    /* The first one, and all others but one. */
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        struct es_unit unit = es_grid_unit(grid, id);
        if (unit.checkpoint + 1 < N_CHECKPOINTS)
            observe(cost, id, (unit.checkpoint == 0 ? 1 : 1.5) * truth(unit));
    }
    struct es_unit unit = {N_CHECKPOINTS - 1, 1, 3};
    double towards = log(es_cost_score_of(cost, unit) / truth(unit)) / log(1.5);
    assert_true(towards > 0.3 && towards < 1);
    es_cost_free(cost);
}

static void an_outlier_does_not_wreck_it(void **state)
{
    (void)state;
    const double factors[] = {1e-4, 1e4};
    for (int i = 0; i < 2; i++) {
        double factor = factors[i];
        struct es_cost *cost = create(NULL);
        for (uint32_t id = 0; id < es_grid_n_units(grid); id++)
            observe(cost, id, truth(es_grid_unit(grid, id)));
        struct es_unit unit = {1, 2, 3};
        double before_s = es_cost_score_of(cost, unit);
        observe(cost, es_grid_id(grid, unit), factor * truth(unit));
        assert_near(es_cost_score_of(cost, unit), before_s, 0.7);
        struct es_unit sibling = {1, 1, 3};
        assert_near(es_cost_score_of(cost, sibling), truth(sibling), 0.5);
        for (uint32_t c = 2; c < N_CHECKPOINTS; c++)
            observe(cost, id_of(c, 2, 3), truth(unit));
        assert_near(es_cost_score_of(cost, unit), truth(unit), 0.2);
        es_cost_free(cost);
    }
}

static void follows_a_change_that_stays(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    for (int i = 0; i < 50; i++)
        observe(cost, 0, 10);
    for (int i = 0; i < 15; i++)
        observe(cost, 0, 1000);
    assert_near(es_cost_score(cost, 0), 1000, 0.2);
    es_cost_free(cost);
}

static void this_run_outweighs_earlier_ones(void **state)
{
    (void)state;
    const struct es_times earlier = {100, (double)NAN, (double)NAN, (double)NAN};
    struct es_cost *cost = create(NULL);
    es_cost_observe(cost, ES_COST_EARLIER, 0, &earlier, ES_COST_PAID_NOTHING);
    observe(cost, 0, 50);
    assert_true(es_cost_score(cost, 0) < sqrt(50.0 * 100.0));
    es_cost_free(cost);
}

static void the_first_after_a_load_tells_only_with_parts(void **state)
{
    (void)state;
    const struct es_times total = {500, (double)NAN, (double)NAN, (double)NAN};
    const struct es_times parts = {500, 480, (double)NAN, (double)NAN};
    struct es_cost *cost = create(NULL);
    double before_s = es_cost_score(cost, 0), variance = 7;
    assert_true(isnan(es_cost_surprise(cost, 0, &total, ES_COST_PAID_LOAD, &variance)));
    assert_true(variance == 7);
    es_cost_observe(cost, ES_COST_THIS_RUN, 0, &total, ES_COST_PAID_LOAD);
    assert_true(es_cost_score(cost, 0) == before_s);
    assert_true(es_cost_surprise(cost, 0, &parts, ES_COST_PAID_LOAD, &variance) < 0);
    es_cost_observe(cost, ES_COST_THIS_RUN, 0, &parts, ES_COST_PAID_LOAD);
    assert_near(es_cost_score(cost, 0), 20, 0.1);
    es_cost_free(cost);
}

static void loads_are_learned_by_checkpoint(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    for (int i = 0; i < 5; i++) {
        const struct es_times usual = {100, 20, (double)NAN, (double)NAN};
        const struct es_times slow = {300, 200, (double)NAN, (double)NAN};
        es_cost_observe(cost, ES_COST_THIS_RUN, id_of(0, 0, 0), &usual, ES_COST_PAID_LOAD);
        es_cost_observe(cost, ES_COST_THIS_RUN, id_of(2, 0, 0), &usual, ES_COST_PAID_LOAD);
        es_cost_observe(cost, ES_COST_THIS_RUN, id_of(1, 0, 0), &slow, ES_COST_PAID_LOAD);
    }
    assert_near(es_cost_load(cost, 0), 20, 0.1);
    assert_near(es_cost_load(cost, 1), 200, 0.2);
    assert_true(es_cost_load(cost, 4) > 20 && es_cost_load(cost, 4) < 90); /* between them */
    es_cost_free(cost);
}

static void a_load_is_told_from_totals_when_units_are_known(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    for (int i = 0; i < 10; i++)
        observe(cost, id_of(0, 0, 0), 2);
    for (int i = 0; i < 5; i++) {
        const struct es_times total = {152, (double)NAN, (double)NAN, (double)NAN};
        es_cost_observe(cost, ES_COST_THIS_RUN, id_of(0, 0, 0), &total, ES_COST_PAID_LOAD);
    }
    assert_near(es_cost_load(cost, 0), 150, 0.15);
    assert_near(es_cost_score(cost, id_of(0, 0, 0)), 2, 0.05);
    es_cost_free(cost);
}

static void passes_are_learned_from_parts(void **state)
{
    (void)state;
    struct es_cost *cost = create(NULL);
    for (uint32_t c = 0; c < 3; c++)
        for (uint32_t l = 0; l < N_LAYERS; l++) {
            const struct es_times times = {9, (double)NAN, l == 0 ? 8 : 0, 1};
            es_cost_observe(cost, ES_COST_THIS_RUN, id_of(c, l, 1), &times,
                            l == 0 ? ES_COST_PAID_PASS : ES_COST_PAID_NOTHING);
        }
    assert_near(es_cost_pass(cost, 0, 1), 8, 0.15);
    assert_near(es_cost_pass(cost, 5, 1), 8, 0.15);
    assert_near(es_cost_score(cost, id_of(5, 0, 1)), 1, 0.15);
    es_cost_free(cost);
}

static void hostile_times_leave_it_finite(void **state)
{
    (void)state;
    const double values[] = {(double)NAN, (double)INFINITY, (double)-INFINITY, -1, 0, 1e-300,
                             1e300};
    size_t n = sizeof values / sizeof *values;
    struct es_rng rng;
    es_rng_init(&rng, 3);
    struct es_cost *cost = create(NULL);
    for (int i = 0; i < 20000; i++) {
        struct es_times times = {values[es_rng_below(&rng, n)], values[es_rng_below(&rng, n)],
                                 values[es_rng_below(&rng, n)], values[es_rng_below(&rng, n)]};
        uint32_t id = (uint32_t)es_rng_below(&rng, es_grid_n_units(grid));
        es_cost_observe(cost, (enum es_cost_source)es_rng_below(&rng, 2), id, &times,
                        (enum es_cost_paid)es_rng_below(&rng, 3));
    }
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        struct es_unit unit = es_grid_unit(grid, id);
        double pass_s = es_cost_pass(cost, unit.checkpoint, unit.task);
        assert_true(isfinite(es_cost_score(cost, id)) && es_cost_score(cost, id) > 0);
        assert_true(isfinite(es_cost_load(cost, unit.checkpoint)));
        assert_true(es_cost_load(cost, unit.checkpoint) > 0);
        assert_true(isfinite(pass_s) && pass_s >= 0);
    }
    es_cost_free(cost);
}

static void out_of_memory(void **state)
{
    (void)state;
    int rc = ES_ERR_NOMEM;
    for (long n = 0; rc == ES_ERR_NOMEM; n++) {
        struct es_cost *cost = NULL;
        es_mem_fail_after(n);
        rc = es_cost_create(grid, NULL, &cost, NULL);
        es_mem_fail_after(-1);
        assert_true((rc == 0) == (cost != NULL));
        es_cost_free(cost);
    }
    assert_int_equal(rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_nothing_and_is_sane),
        cmocka_unit_test(hints_are_the_prior),
        cmocka_unit_test(nonsense_in_hints_is_no_hint),
        cmocka_unit_test(one_checkpoint_tells_of_the_others),
        cmocka_unit_test(a_slow_checkpoint_is_told_from_slow_tasks),
        cmocka_unit_test(unknown_checkpoints_are_taken_for_the_mean_of_the_known),
        cmocka_unit_test(an_outlier_does_not_wreck_it),
        cmocka_unit_test(follows_a_change_that_stays),
        cmocka_unit_test(this_run_outweighs_earlier_ones),
        cmocka_unit_test(the_first_after_a_load_tells_only_with_parts),
        cmocka_unit_test(loads_are_learned_by_checkpoint),
        cmocka_unit_test(a_load_is_told_from_totals_when_units_are_known),
        cmocka_unit_test(passes_are_learned_from_parts),
        cmocka_unit_test(hostile_times_leave_it_finite),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_grid, free_grid);
}
