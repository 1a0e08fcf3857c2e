#include "core/strtab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"
#include "evalsweep/error.h"

#include <stdio.h>
#include <string.h>

static int stop_failing(void **state)
{
    (void)state;
    es_mem_fail_after(-1);
    return 0;
}

static void test_codes_in_order_of_arrival(void **state)
{
    (void)state;
    struct es_strtab tab = {0};
    const char *const texts[] = {"b", "a", "b", "", "a", "ab", "c", ""};
    const uint32_t codes[] = {0, 1, 0, 2, 1, 3, 4, 2};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint32_t code = 99;
        assert_int_equal(es_strtab_add(&tab, texts[i], strlen(texts[i]), &code), 0);
        assert_int_equal(code, codes[i]);
    }
    assert_int_equal(tab.n, 5);
    assert_string_equal(tab.text[3], "ab");
    es_strtab_clear(&tab);
}

static void test_find(void **state)
{
    (void)state;
    struct es_strtab tab = {0};
    uint32_t code;
    assert_int_equal(es_strtab_find(&tab, "a", 1), ES_STRTAB_NONE);
    assert_int_equal(es_strtab_add(&tab, "abc", 3, &code), 0);
    assert_int_equal(es_strtab_add(&tab, "abcd", 3, &code),
                     0); /* the first three bytes: the same */
    assert_int_equal(code, 0);
    assert_int_equal(es_strtab_find(&tab, "abcd", 3), 0);
    assert_int_equal(es_strtab_find(&tab, "abcd", 4), ES_STRTAB_NONE);
    assert_int_equal(es_strtab_find(&tab, "ab", 2), ES_STRTAB_NONE);
    assert_int_equal(es_strtab_find(&tab, "", 0), ES_STRTAB_NONE);
    es_strtab_clear(&tab);
    assert_int_equal(es_strtab_find(&tab, "abc", 3), ES_STRTAB_NONE);
}

/* So many beginnings of one text that some fall into the same slots. */
static void test_beginnings_of_one_text_differ(void **state)
{
    (void)state;
    struct es_strtab tab = {0};
    char text[3000];
    memset(text, 'a', sizeof text);
    for (uint32_t i = 0; i < sizeof text; i++) {
        uint32_t code;
        assert_int_equal(es_strtab_add(&tab, text, sizeof text - i, &code), 0);
        assert_int_equal(code, i);
    }
    es_strtab_clear(&tab);
}

static void test_a_nul_ends_the_text(void **state)
{
    (void)state;
    struct es_strtab tab = {0};
    uint32_t code = 99;
    assert_int_equal(es_strtab_add(&tab, "a", 1, &code), 0);
    assert_int_equal(es_strtab_add(&tab, "a\0bcdefghijklmnop", 17, &code), 0);
    assert_int_equal(code, 0);
    assert_int_equal(es_strtab_find(&tab, "a\0bcdefghijklmnop", 17), 0);
    assert_int_equal(tab.n, 1);
    es_strtab_clear(&tab);
}

static void test_many(void **state)
{
    (void)state;
    struct es_strtab tab = {0};
    char text[32];
    for (uint32_t i = 0; i < 20000; i++) {
        int len = snprintf(text, sizeof text, "name %u", i);
        uint32_t code;
        assert_int_equal(es_strtab_add(&tab, text, (size_t)len, &code), 0);
        assert_int_equal(code, i);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        int len = snprintf(text, sizeof text, "name %u", i);
        assert_int_equal(es_strtab_find(&tab, text, (size_t)len), i);
        assert_string_equal(tab.text[i], text);
    }
    es_strtab_clear(&tab);
    assert_int_equal(tab.n, 0);
    uint32_t code;
    assert_int_equal(es_strtab_add(&tab, "again", 5, &code), 0);
    assert_int_equal(code, 0);
    es_strtab_clear(&tab);
}

/* Adds 100 texts with the n-th request for memory failing once, and goes on. How many adds failed.
 */
static int add_with_failure_at(long n)
{
    struct es_strtab tab = {0};
    int n_failed = 0;
    es_mem_fail_after(n);
    for (uint32_t i = 0; i < 100; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "%u", i);
        uint32_t code = 99999, n_before = tab.n;
        int rc = es_strtab_add(&tab, text, (size_t)len, &code);
        if (rc < 0) {
            assert_int_equal(rc, ES_ERR_NOMEM);
            assert_int_equal(code, 99999);
            assert_int_equal(tab.n, n_before);
            assert_int_equal(es_strtab_find(&tab, text, (size_t)len), ES_STRTAB_NONE);
            es_mem_fail_after(-1);
            n_failed++;
            rc = es_strtab_add(&tab, text, (size_t)len, &code);
        }
        assert_int_equal(rc, 0);
        assert_int_equal(code, i);
    }
    es_mem_fail_after(-1);
    es_strtab_clear(&tab);
    return n_failed;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    long n = 0;
    while (add_with_failure_at(n) == 1)
        n++;
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_in_order_of_arrival),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_beginnings_of_one_text_differ),
        cmocka_unit_test(test_a_nul_ends_the_text),
        cmocka_unit_test(test_many),
        cmocka_unit_test_teardown(test_out_of_memory, stop_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
