#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/gridunion.h"
#include "core/mem.h"
#include "helper/make_grid.h"

static struct es_grid *first(void)
{
    static const char *const checkpoints[] = {"final", "step1000", "step8"};
    static const int32_t layers[] = {24, 3};
    static const char *const tasks[] = {"STS12", "B"};
    return make_grid(checkpoints, 3, layers, 2, tasks, 2);
}

static struct es_grid *second(void)
{
    static const char *const checkpoints[] = {"step0", "run-8", "best", "step8", "final"};
    static const int32_t layers[] = {12, 3};
    static const char *const tasks[] = {"C", "B", "A"};
    return make_grid(checkpoints, 5, layers, 2, tasks, 3);
}

static void axes_have_all_in_order(void **state)
{
    static const char *const checkpoints[] = {"step0",    "step8", "run-8",
                                              "step1000", "final", "best"};
    static const int32_t layers[] = {3, 12, 24};
    static const char *const tasks[] = {"STS12", "B", "C", "A"};
    struct es_grid *grids[] = {first(), second()}, *axes = NULL;
    (void)state;
    es_grid_exclude(grids[0], 0, ES_GRID_ANY, ES_GRID_ANY);
    assert_int_equal(es_grid_union((const struct es_grid *const *)grids, 2, &axes, NULL), 0);
    assert_int_equal(es_grid_n_checkpoints(axes), 6);
    assert_int_equal(es_grid_n_layers(axes), 3);
    assert_int_equal(es_grid_n_tasks(axes), 4);
    assert_int_equal(es_grid_n_excluded(axes), 0);
    for (uint32_t i = 0; i < 6; i++)
        assert_string_equal(es_grid_checkpoint(axes, i), checkpoints[i]);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(es_grid_layer(axes, i), layers[i]);
    for (uint32_t i = 0; i < 4; i++)
        assert_string_equal(es_grid_task(axes, i), tasks[i]);
    es_grid_free(axes);
    es_grid_free(grids[0]);
    es_grid_free(grids[1]);
}

static void a_spread_grid_has_its_own_units_only(void **state)
{
    struct es_grid *grids[] = {first(), second()}, *axes = NULL, *spread = NULL;
    (void)state;
    es_grid_exclude(grids[0], 1, ES_GRID_ANY, 1);
    assert_int_equal(es_grid_union((const struct es_grid *const *)grids, 2, &axes, NULL), 0);
    assert_int_equal(es_grid_spread(grids[0], axes, &spread, NULL), 0);
    assert_int_equal(es_grid_n_units(spread), 72);
    assert_int_equal(es_grid_n_units(spread) - es_grid_n_excluded(spread), 12 - 2);
    for (uint32_t id = 0; id < 12; id++) {
        const struct es_unit unit = es_grid_unit(grids[0], id);
        const struct es_unit to = {
            es_grid_find_checkpoint(spread, es_grid_checkpoint(grids[0], unit.checkpoint)),
            es_grid_find_layer(spread, es_grid_layer(grids[0], unit.layer)),
            es_grid_find_task(spread, es_grid_task(grids[0], unit.task))};
        assert_int_equal(es_grid_is_excluded(spread, es_grid_id(spread, to)),
                         es_grid_is_excluded(grids[0], id));
    }
    for (uint32_t i = 0; i < 6; i++)
        assert_string_equal(es_grid_checkpoint(spread, i), es_grid_checkpoint(axes, i));
    es_grid_free(spread);
    es_grid_free(axes);
    es_grid_free(grids[0]);
    es_grid_free(grids[1]);
}

static void out_of_memory(void **state)
{
    struct es_grid *grids[] = {first(), second()}, *axes = NULL, *spread = NULL;
    (void)state;
    for (long n = 0; !axes; n++) {
        es_mem_fail_after(n);
        int rc = es_grid_union((const struct es_grid *const *)grids, 2, &axes, NULL);
        es_mem_fail_after(-1);
        assert_int_equal(rc, axes ? 0 : ES_ERR_NOMEM);
    }
    for (long n = 0; !spread; n++) {
        es_mem_fail_after(n);
        int rc = es_grid_spread(grids[0], axes, &spread, NULL);
        es_mem_fail_after(-1);
        assert_int_equal(rc, spread ? 0 : ES_ERR_NOMEM);
    }
    es_grid_free(spread);
    es_grid_free(axes);
    es_grid_free(grids[0]);
    es_grid_free(grids[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_have_all_in_order),
        cmocka_unit_test(a_spread_grid_has_its_own_units_only),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
