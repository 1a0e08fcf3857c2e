#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/sched_state.h"

#define N_LAYERS 4
#define N_TASKS 3
#define N_CHECKPOINTS 2

/* The first task is known to take 100 s, and of the others nothing is known. */
static int begin(void **state)
{
    static const char *const checkpoints[] = {"step0", "step1"};
    static const char *const tasks[] = {"A", "B", "C"};
    static const int32_t layers[] = {0, 1, 2, 3};
    static const double task_cost_s[] = {100, (double)NAN, (double)NAN};
    const struct es_cost_hints hints = {.load_s = 30, .task_cost_s = task_cost_s};
    const struct es_sched_config config = {.policy = ES_POLICY_AFFINE, .max_attempts = 1};
    struct es_grid *grid;
    struct es_cost *cost;
    struct es_sched *sched;
    assert_int_equal(
        es_grid_create(checkpoints, N_CHECKPOINTS, layers, N_LAYERS, tasks, N_TASKS, &grid, NULL),
        0);
    assert_int_equal(es_cost_create(grid, &hints, &cost, NULL), 0);
    assert_int_equal(es_sched_create(grid, &config, cost, &sched, NULL), 0);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++)
        assert_int_equal(es_sched_add(sched, id, NULL), 0);
    *state = sched;
    return 0;
}

static int end(void **state)
{
    struct es_sched *sched = *state;
    struct es_cost *cost = sched->cost;
    const struct es_grid *grid = sched->grid;
    es_sched_free(sched);
    es_cost_free(cost);
    es_grid_free((struct es_grid *)grid);
    return 0;
}

/* A unit of task A took so long. */
static void learn(struct es_sched *sched, double took_s)
{
    const struct es_times times = {took_s, 0, 0, took_s};
    uint32_t unit_id = es_grid_id(sched->grid, (struct es_unit){0, 0, 0});
    es_cost_observe(sched->cost, ES_COST_THIS_RUN, unit_id, &times, ES_COST_PAID_NOTHING);
}

static void assert_is_up_to_date(const struct es_sched *sched, uint32_t bundle)
{
    double work_s = es_bundle_pass_s(sched, bundle);
    uint32_t id = sched->bundles[bundle].units.first;
    for (; id != ES_NONE; id = sched->units[id].next)
        work_s += es_bundle_unit_s(sched, bundle, id);
    if (!(fabs((double)sched->bundles[bundle].work_s - work_s) <= 0.05 * work_s))
        fail_msg("%g, not %g", (double)sched->bundles[bundle].work_s, work_s);
}

static void what_is_left_is_priced_anew(void **state)
{
    struct es_sched *sched = *state;
    uint32_t ids[N_LAYERS];
    assert_is_up_to_date(sched, 0);
    learn(sched, 1000);
    (void)es_bundle_take_longest(sched, 0);
    assert_is_up_to_date(sched, 0);
    learn(sched, 5000);
    assert_int_equal(es_bundle_take(sched, 0, 0, 1, 1, ids), 1);
    assert_is_up_to_date(sched, 0);
    learn(sched, 10000);
    es_bundle_remove(sched, sched->bundles[0].units.first);
    assert_is_up_to_date(sched, 0);
}

/* Also what stands in bundles that nobody takes from. */
static void a_measured_task_is_priced_anew_everywhere(void **state)
{
    struct es_sched *sched = *state;
    learn(sched, 1000);
    es_bundle_refresh(sched, 0);
    for (uint32_t bundle = 0; bundle < N_CHECKPOINTS * N_TASKS; bundle += N_TASKS)
        assert_is_up_to_date(sched, bundle);
}

static void others_follow_by_and_by(void **state)
{
    struct es_sched *sched = *state;
    learn(sched, 1000);
    for (int i = 0; i < 20; i++)
        es_bundle_refresh(sched, 1);
    for (uint32_t bundle = 0; bundle < N_CHECKPOINTS * N_TASKS; bundle++)
        assert_is_up_to_date(sched, bundle);
}

static void unknown_tasks_come_first(void **state)
{
    struct es_sched *sched = *state;
    uint32_t first[N_CHECKPOINTS];
    for (uint32_t checkpoint = 0; checkpoint < N_CHECKPOINTS; checkpoint++) {
        first[checkpoint] = es_bundle_first_for(sched, checkpoint, 0) % N_TASKS;
        assert_int_not_equal(first[checkpoint], 0);
        double longest_s = es_group_longest_s(sched, checkpoint);
        assert_true(longest_s > 90 && longest_s < 110); /* taken for one like A */
    }
    assert_int_not_equal(first[0], first[1]);
}

static void what_nobody_has_tried_comes_before_what_somebody_has(void **state)
{
    struct es_sched *sched = *state;
    uint32_t ids[N_LAYERS], first = es_bundle_first_for(sched, 1, 0) % N_TASKS;
    assert_true(es_bundle_take(sched, first, 0, 1e9, N_LAYERS, ids) >
                0); /* on the other checkpoint */
    uint32_t next = es_bundle_first_for(sched, 1, 0) % N_TASKS;
    assert_true(next != first && next != 0);
    assert_true(es_bundle_take(sched, next, 0, 1e9, N_LAYERS, ids) > 0);
    assert_int_not_equal(es_bundle_first_for(sched, 1, 0) % N_TASKS, 0); /* may still be longer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_left_is_priced_anew, begin, end),
        cmocka_unit_test_setup_teardown(a_measured_task_is_priced_anew_everywhere, begin, end),
        cmocka_unit_test_setup_teardown(others_follow_by_and_by, begin, end),
        cmocka_unit_test_setup_teardown(unknown_tasks_come_first, begin, end),
        cmocka_unit_test_setup_teardown(what_nobody_has_tried_comes_before_what_somebody_has, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
