#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "evalsweep/error.h"

#include <stdlib.h>
#include <string.h>

static int stop_failing(void **state)
{
    (void)state;
    es_mem_fail_after(-1);
    return 0;
}

static void test_zeroed(void **state)
{
    (void)state;
    int *numbers = es_mem_calloc(3, sizeof *numbers);
    assert_non_null(numbers);
    assert_int_equal(numbers[0] | numbers[1] | numbers[2], 0);
    free(numbers);
    void *empty = es_mem_calloc(0, 8);
    assert_non_null(empty);
    free(empty);
    assert_null(es_mem_calloc(SIZE_MAX / 2, 4));
    assert_null(es_mem_calloc(SIZE_MAX / 4 + 1, 4));
}

static void test_resize(void **state)
{
    (void)state;
    char *block = es_mem_resize(NULL, 4, 1);
    assert_non_null(block);
    memcpy(block, "abc", 4);
    block = es_mem_resize(block, 4000, 1);
    assert_non_null(block);
    assert_string_equal(block, "abc");
    assert_null(es_mem_resize(block, SIZE_MAX / 4, 8));
    assert_string_equal(block, "abc");
    free(block);
}

static void test_grow_doubles_and_keeps(void **state)
{
    (void)state;
    void *block = NULL;
    size_t n_cap = 0;
    assert_int_equal(es_mem_grow(&block, &n_cap, 1, sizeof(int)), 0);
    assert_int_equal(n_cap, 8);
    ((int *)block)[0] = 42;
    void *before = block;
    assert_int_equal(es_mem_grow(&block, &n_cap, 8, sizeof(int)), 0);
    assert_ptr_equal(block, before);
    assert_int_equal(es_mem_grow(&block, &n_cap, 17, sizeof(int)), 0);
    assert_int_equal(n_cap, 32);
    assert_int_equal(((int *)block)[0], 42);
    before = block;
    assert_int_equal(es_mem_grow(&block, &n_cap, SIZE_MAX / 2, sizeof(int)), ES_ERR_NOMEM);
    assert_int_equal(es_mem_grow(&block, &n_cap, SIZE_MAX / 64, sizeof(int) * 32), ES_ERR_NOMEM);
    assert_ptr_equal(block, before);
    assert_int_equal(n_cap, 32);
    free(block);
}

static void test_copies(void **state)
{
    (void)state;
    char *whole = es_mem_strdup("abc"), *part = es_mem_strndup("abcdef", 2);
    assert_string_equal(whole, "abc");
    assert_string_equal(part, "ab");
    free(whole);
    free(part);
}

static void test_fail_after(void **state)
{
    (void)state;
    void *block = NULL;
    size_t n_cap = 0;
    es_mem_fail_after(2);
    void *first = es_mem_calloc(1, 1);
    char *second = es_mem_strdup("a");
    assert_non_null(first);
    assert_non_null(second);
    for (int i = 0; i < 3; i++) {
        assert_null(es_mem_calloc(1, 1));
        assert_null(es_mem_resize(NULL, 1, 1));
        assert_null(es_mem_strdup("a"));
        assert_int_equal(es_mem_grow(&block, &n_cap, 1, 1), ES_ERR_NOMEM);
    }
    assert_null(block);
    assert_int_equal(n_cap, 0);
    es_mem_fail_after(-1);
    void *after = es_mem_calloc(1, 1);
    assert_non_null(after);
    free(first);
    free(second);
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_grow_doubles_and_keeps),
        cmocka_unit_test(test_copies),
        cmocka_unit_test_teardown(test_fail_after, stop_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
