#include "evalsweep/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const checkpoints[] = {"step0", "step10", "final"};
static const int32_t layers[] = {21, 0, 7, 24};
static const char *const tasks[] = {"STS12", "Banking77"};

static int stop_failing(void **state)
{
    (void)state;
    es_mem_fail_after(-1);
    return 0;
}

static struct es_grid *make_grid(void)
{
    struct es_grid *grid = NULL;
    assert_int_equal(es_grid_create(checkpoints, 3, layers, 4, tasks, 2, &grid, NULL), 0);
    return grid;
}

static void test_axes(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    assert_int_equal(es_grid_n_checkpoints(grid), 3);
    assert_int_equal(es_grid_n_layers(grid), 4);
    assert_int_equal(es_grid_n_tasks(grid), 2);
    assert_int_equal(es_grid_n_units(grid), 24);
    assert_int_equal(es_grid_n_excluded(grid), 0);
    assert_string_equal(es_grid_checkpoint(grid, 1), "step10");
    assert_int_equal(es_grid_layer(grid, 3), 24);
    assert_string_equal(es_grid_task(grid, 1), "Banking77");
    assert_ptr_not_equal(es_grid_task(grid, 1), tasks[1]);
    es_grid_free(grid);
    es_grid_free(NULL);
}

static void test_ids(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    uint32_t id = 0;
    for (uint32_t c = 0; c < 3; c++)
        for (uint32_t l = 0; l < 4; l++)
            for (uint32_t t = 0; t < 2; t++, id++) {
                assert_int_equal(es_grid_id(grid, (struct es_unit){c, l, t}), id);
                struct es_unit unit = es_grid_unit(grid, id);
                assert_int_equal(unit.checkpoint, c);
                assert_int_equal(unit.layer, l);
                assert_int_equal(unit.task, t);
            }
    es_grid_free(grid);
}

static void test_find(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(es_grid_find_checkpoint(grid, checkpoints[i]), i);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(es_grid_find_layer(grid, layers[i]), i);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(es_grid_find_task(grid, tasks[i]), i);
    assert_int_equal(es_grid_find_checkpoint(grid, "step1"), ES_GRID_NONE);
    assert_int_equal(es_grid_find_checkpoint(grid, ""), ES_GRID_NONE);
    assert_int_equal(es_grid_find_layer(grid, 2), ES_GRID_NONE);
    assert_int_equal(es_grid_find_layer(grid, INT32_MIN), ES_GRID_NONE);
    assert_int_equal(es_grid_find_task(grid, "sts12"), ES_GRID_NONE);
    es_grid_free(grid);
}

static void test_exclude(void **state)
{
    (void)state;
    const struct {
        uint32_t checkpoint, layer, task;
        uint32_t n_excluded; /* in all, so far */
    } rows[] = {
        {0, 1, 0, 1},
        {0, 1, 0, 1}, /* again */
        {0, ES_GRID_ANY, 0, 4},
        {ES_GRID_ANY, 3, ES_GRID_ANY, 9},
        {3, 0, 0, 9}, /* no such index */
        {0, 4, 0, 9},
        {0, 0, 2, 9},
        {2, ES_GRID_ANY, ES_GRID_ANY, 15},
        {ES_GRID_ANY, ES_GRID_ANY, ES_GRID_ANY, 24},
    };
    struct es_grid *grid = make_grid();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        es_grid_exclude(grid, rows[i].checkpoint, rows[i].layer, rows[i].task);
        uint32_t n = 0;
        for (uint32_t id = 0; id < 24; id++)
            n += es_grid_is_excluded(grid, id);
        assert_int_equal(n, rows[i].n_excluded);
        assert_int_equal(es_grid_n_excluded(grid), rows[i].n_excluded);
        if (i == 3) { /* checkpoint 0 with task 0, and layer 3 */
            for (uint32_t id = 0; id < 24; id++) {
                struct es_unit u = es_grid_unit(grid, id);
                bool expected = (u.checkpoint == 0 && u.task == 0) || u.layer == 3;
                assert_int_equal(es_grid_is_excluded(grid, id), expected);
            }
        }
    }
    assert_int_equal(es_grid_n_units(grid), 24);
    es_grid_free(grid);
}

static void test_steps(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double step; /* -1: none */
    } rows[] = {
        {"step1000", 1000},
        {"step0", 0},
        {"1000", 1000},
        {"v2.step512-ema", 512},
        {"final", -1},
        {"run7_lr3", 3},
        {"step007", 7},
        {"0xab", 0},
        {"12e", 12},
        {"a12e5", 5},
        {"step-5", 5},
        {"step143000", 143000},
        {"9007199254740992", 9007199254740992.0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_grid *grid = NULL;
        assert_int_equal(es_grid_create(&rows[i].name, 1, layers, 1, tasks, 1, &grid, NULL), 0);
        double step = es_grid_step(grid, 0);
        if (rows[i].step < 0 ? !isnan(step) : step != rows[i].step)
            fail_msg("%s: %f", rows[i].name, step);
        es_grid_free(grid);
    }
}

static void test_unit_text(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    char text[100];
    es_grid_unit_text(grid, 11, text, sizeof text);
    assert_string_equal(text, "step10/layer_0/Banking77");
    es_grid_unit_text(grid, 11, text, 8);
    assert_string_equal(text, "step10/");
    es_grid_free(grid);
}

static void test_errors(void **state)
{
    (void)state;
    static const char *const twice[] = {"a", "b", "a"}, *const slash[] = {"a", "b/c"};
    static const char *const empty[] = {""};
    static const int32_t layers_twice[] = {1, 2, 1}, negative[] = {-1};
    const struct {
        const char *const *checkpoints;
        uint32_t n_checkpoints;
        const int32_t *layers;
        uint32_t n_layers;
        const char *const *tasks;
        uint32_t n_tasks;
        const char *text;
    } rows[] = {
        {checkpoints, 0, layers, 4, tasks, 2, "checkpoints: the list is empty"},
        {checkpoints, 3, layers, 0, tasks, 2, "layers: the list is empty"},
        {checkpoints, 3, layers, 4, tasks, 0, "tasks: the list is empty"},
        {twice, 3, layers, 4, tasks, 2, "checkpoints: \"a\" stands there twice"},
        {checkpoints, 3, layers_twice, 3, tasks, 2, "layers: 1 stands there twice"},
        {checkpoints, 3, layers, 4, twice, 3, "tasks: \"a\" stands there twice"},
        {checkpoints, 3, negative, 1, tasks, 2, "layers: -1 is negative"},
        {slash, 2, layers, 4, tasks, 2, "checkpoints: \"b/c\" holds a '/'"},
        {checkpoints, 3, layers, 4, empty, 1, "tasks: \"\" is empty"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_grid *grid = NULL;
        struct es_err err = {0};
        char text[200], expected[200];
        assert_int_equal(es_grid_create(rows[i].checkpoints, rows[i].n_checkpoints, rows[i].layers,
                                        rows[i].n_layers, rows[i].tasks, rows[i].n_tasks, &grid,
                                        &err),
                         ES_ERR_USAGE);
        assert_null(grid);
        es_err_text(&err, text, sizeof text);
        (void)snprintf(expected, sizeof expected, "building the grid: %s", rows[i].text);
        assert_string_equal(text, expected);
    }
}

static void test_too_many_units(void **state)
{
    (void)state;
    enum { N = 1300 }; /* 1300^3 is more than 2^31 */
    static char texts[N][8];
    static const char *names[N];
    static int32_t numbers[N];
    for (int i = 0; i < N; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%d", i);
        names[i] = texts[i];
        numbers[i] = i;
    }
    struct es_grid *grid = NULL;
    struct es_err err = {0};
    assert_int_equal(es_grid_create(names, N, numbers, N, names, N, &grid, &err), ES_ERR_USAGE);
    assert_null(grid);
    assert_string_equal(err.why,
                        "1300 checkpoints x 1300 layers x 1300 tasks are more than 2^31 units");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    long n = 0;
    for (;; n++) {
        struct es_grid *grid = NULL;
        struct es_err err = {0};
        es_mem_fail_after(n);
        int rc = es_grid_create(checkpoints, 3, layers, 4, tasks, 2, &grid, &err);
        es_mem_fail_after(-1);
        if (rc == 0) {
            assert_int_equal(err.code, 0);
            es_grid_free(grid);
            break;
        }
        assert_int_equal(rc, ES_ERR_NOMEM);
        assert_int_equal(err.code, ES_ERR_NOMEM);
        assert_null(grid);
    }
    assert_true(n > 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_exclude),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_unit_text),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_too_many_units),
        cmocka_unit_test_teardown(test_out_of_memory, stop_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
