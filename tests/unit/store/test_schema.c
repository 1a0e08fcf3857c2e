#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "store/schema.h"

/* Boxes cover all units once, in the order of ids, within the bound, none needlessly small. */
static void test_boxes(void **state)
{
    static const struct {
        hsize_t dims[ES_N_AXES];
        int n_boxes;
    } rows[] = {
        {{1, 1, 1}, 1},          {{154, 25, 56}, 4}, {{3, 300, 301}, 6}, {{2, 2, 66000}, 8},
        {{1, 1, 65536}, 1},      {{1, 1, 65537}, 2}, {{65536, 1, 1}, 1}, {{70000, 1, 1}, 2},
        {{2, 65536, 1}, 2},      {{2, 1, 65536}, 2}, {{3, 1, 40000}, 3}, {{4, 1, 30000}, 2},
        {{200, 1000, 100}, 400},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const hsize_t *dims = rows[i].dims;
        struct es_store_box box = {0};
        hsize_t next_id = 0;
        int n_boxes = 0;
        while (es_store_box_next(dims, &box)) {
            assert_int_equal(box.first_id, next_id);
            assert_true(box.n_units > 0 && box.n_units <= ES_STORE_BLOCK);
            assert_int_equal(box.n_units, box.count[0] * box.count[1] * box.count[2]);
            for (int axis = 0; axis < ES_N_AXES; axis++)
                assert_true(box.start[axis] + box.count[axis] <= dims[axis]);
            assert_int_equal(box.first_id,
                             (box.start[0] * dims[1] + box.start[1]) * dims[2] + box.start[2]);
            next_id += box.n_units;
            n_boxes++;
        }
        assert_int_equal(next_id, dims[0] * dims[1] * dims[2]);
        assert_int_equal(n_boxes, rows[i].n_boxes);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_boxes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
