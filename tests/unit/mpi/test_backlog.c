#include "mpi/backlog.h"

#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const checkpoints[] = {"step0", "step1"};
static const char *const tasks[] = {"A", "B", "C"};
static const int32_t layer_numbers[] = {21, 22, 23, 24};

struct fixture {
    struct es_grid *grid;
    struct es_backlog backlog;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    *state = &f;
    return es_grid_create(checkpoints, 2, layer_numbers, 4, tasks, 3, &f.grid, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    es_backlog_clear(&f->backlog);
    es_grid_free(f->grid);
    return 0;
}

/* Appends one bundle of n layers from `first` on, each at attempt 1. */
static int append(struct fixture *f, uint32_t checkpoint, uint32_t task, uint32_t first, uint32_t n)
{
    struct es_wire_layer layers[8];
    for (uint32_t i = 0; i < n; i++)
        layers[i] = (struct es_wire_layer){.layer = first + i, .attempt = 1};
    struct es_wire_bundle bundle = {checkpoint, task, ES_GRID_NONE, n};
    struct es_buf buf = {0};
    struct es_message message;
    es_assign_begin(&buf);
    es_assign_add(&buf, &bundle, layers);
    assert_int_equal(es_message_take(&buf, &message), 0);
    int rc = es_backlog_append(&f->backlog, f->grid, &message);
    es_message_clear(&message);
    return rc;
}

static void assert_next(struct fixture *f, uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    struct es_unit unit;
    uint32_t attempt;
    const struct es_backlog_bundle *bundle;
    assert_true(es_backlog_take(&f->backlog, &unit, &attempt, &bundle));
    assert_int_equal(unit.checkpoint, checkpoint);
    assert_int_equal(unit.layer, layer);
    assert_int_equal(unit.task, task);
    assert_int_equal(attempt, 1);
}

static void assert_empty(struct fixture *f)
{
    struct es_unit unit;
    uint32_t attempt;
    const struct es_backlog_bundle *bundle;
    assert_int_equal(f->backlog.n_waiting, 0);
    assert_false(es_backlog_take(&f->backlog, &unit, &attempt, &bundle));
}

static void units_come_in_the_order_of_assignment(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 1, 2, 0, 2), 0);
    assert_int_equal(append(f, 0, 0, 3, 1), 0);
    assert_int_equal(f->backlog.n_waiting, 3);
    assert_next(f, 1, 0, 2);
    assert_next(f, 1, 1, 2);
    assert_next(f, 0, 3, 0);
    assert_empty(f);
    assert_int_equal(append(f, 0, 1, 0, 1), 0);
    assert_next(f, 0, 0, 1);
    assert_empty(f);
}

static void a_bundle_names_its_layers(void **state)
{
    struct fixture *f = *state;
    struct es_unit unit;
    uint32_t attempt;
    const struct es_backlog_bundle *bundle;
    assert_int_equal(append(f, 0, 0, 1, 3), 0);
    assert_true(es_backlog_take(&f->backlog, &unit, &attempt, &bundle));
    assert_int_equal(bundle->head.n_layers, 3);
    assert_int_equal(bundle->layer_numbers[0], 22);
    assert_int_equal(bundle->layer_numbers[2], 24);
}

static void only_what_waits_can_be_removed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 0, 0, 0, 4), 0);
    assert_next(f, 0, 0, 0);
    assert_false(es_backlog_remove(&f->backlog, (struct es_unit){0, 0, 0})); /* taken */
    assert_false(es_backlog_remove(&f->backlog, (struct es_unit){0, 1, 1})); /* another task */
    assert_true(es_backlog_remove(&f->backlog, (struct es_unit){0, 2, 0}));
    assert_false(es_backlog_remove(&f->backlog, (struct es_unit){0, 2, 0}));
    assert_int_equal(f->backlog.n_waiting, 2);
    assert_next(f, 0, 1, 0);
    assert_next(f, 0, 3, 0);
    assert_empty(f);
}

static void the_rest_of_a_bundle_can_be_removed(void **state)
{
    struct fixture *f = *state;
    struct es_unit unit;
    uint32_t n = 0;
    assert_int_equal(append(f, 0, 0, 0, 3), 0);
    assert_int_equal(append(f, 0, 1, 0, 1), 0);
    assert_int_equal(append(f, 0, 0, 3, 1), 0); /* another piece of it */
    assert_next(f, 0, 0, 0);
    for (; es_backlog_remove_of(&f->backlog, 0, 0, &unit); n++)
        assert_int_equal(unit.layer, n + 1);
    assert_int_equal(n, 3);
    assert_int_equal(f->backlog.n_waiting, 1);
    assert_next(f, 0, 0, 1);
    assert_empty(f);
}

static void units_outside_the_grid_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(append(f, 2, 0, 0, 1), ES_ERR_PROTOCOL);
    assert_int_equal(append(f, 0, 3, 0, 1), ES_ERR_PROTOCOL);
    assert_int_equal(append(f, 0, 0, 4, 1), ES_ERR_PROTOCOL);
    assert_empty(f);
}

static void what_there_is_no_memory_for_is_not_lost(void **state)
{
    struct fixture *f = *state;
    for (long n = 0; n < 4; n++) {
        struct es_wire_bundle head = {.next_checkpoint = ES_GRID_NONE, .n_layers = 1};
        struct es_wire_layer layer = {.attempt = 1};
        struct es_buf buf = {0};
        struct es_message message;
        es_assign_begin(&buf);
        es_assign_add(&buf, &head, &layer);
        assert_int_equal(es_message_take(&buf, &message), 0);
        es_mem_fail_after(n);
        int rc = es_backlog_append(&f->backlog, f->grid, &message);
        es_mem_fail_after(-1);
        es_message_clear(&message);
        assert_int_equal(rc, ES_ERR_NOMEM);
        assert_int_equal(f->backlog.n_waiting, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(units_come_in_the_order_of_assignment, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bundle_names_its_layers, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_waits_can_be_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rest_of_a_bundle_can_be_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(units_outside_the_grid_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_there_is_no_memory_for_is_not_lost, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
