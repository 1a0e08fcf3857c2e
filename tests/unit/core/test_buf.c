#include "core/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"

#include <math.h>
#include <string.h>

static int stop_failing(void **state)
{
    (void)state;
    es_mem_fail_after(-1);
    return 0;
}

static void test_appends(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    es_buf_puts(&buf, "ab");
    es_buf_putc(&buf, 'c');
    es_buf_append(&buf, "d\0e", 3);
    es_buf_append(&buf, NULL, 0);
    es_buf_printf(&buf, "%d-%s", 12, "x");
    assert_false(buf.failed);
    assert_int_equal(buf.len, 10);
    assert_memory_equal(buf.data, "abcd\0e12-x", 11);
    es_buf_clear(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.len + buf.cap, 0);
    es_buf_puts(&buf, "again");
    assert_string_equal(buf.data, "again");
    es_buf_clear(&buf);
}

static void test_grows_far(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    for (int i = 0; i < 10000; i++)
        es_buf_printf(&buf, "%05d", i);
    assert_false(buf.failed);
    assert_int_equal(buf.len, 50000);
    assert_int_equal(strlen(buf.data), 50000);
    assert_memory_equal(buf.data + (size_t)5 * 1234, "01234", 5);
    es_buf_clear(&buf);
}

static void test_reserve(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    es_buf_puts(&buf, "ab");
    char *room = es_buf_reserve(&buf, 100);
    assert_ptr_equal(room, buf.data + 2);
    assert_int_equal(buf.len, 2);
    assert_true(buf.cap >= 103);
    assert_null(es_buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.failed);
    assert_string_equal(buf.data, "ab");
    es_buf_clear(&buf);
}

static void test_reset_keeps_the_memory(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    es_buf_reset(&buf); /* nothing yet is fine */
    assert_null(buf.data);
    es_buf_puts(&buf, "abc");
    buf.failed = true;
    size_t cap = buf.cap;
    es_buf_reset(&buf);
    assert_false(buf.failed);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.cap, cap);
    assert_string_equal(buf.data, "");
    es_buf_clear(&buf);
}

static void test_consume(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    es_buf_consume(&buf, 5);
    assert_null(buf.data);
    es_buf_puts(&buf, "abcdef");
    es_buf_consume(&buf, 0);
    assert_string_equal(buf.data, "abcdef");
    es_buf_consume(&buf, 2);
    assert_int_equal(buf.len, 4);
    assert_string_equal(buf.data, "cdef");
    es_buf_consume(&buf, 100);
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.data, "");
    es_buf_clear(&buf);
}

static void test_failure_sticks_and_data_stays(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    es_buf_puts(&buf, "abc");
    es_mem_fail_after(0);
    es_buf_printf(&buf, "%0200d", 1);
    assert_true(buf.failed);
    assert_string_equal(buf.data, "abc");
    es_mem_fail_after(-1);
    es_buf_puts(&buf, "d");
    assert_true(buf.failed);
    assert_string_equal(buf.data, "abcd");
    es_buf_clear(&buf);
    assert_false(buf.failed);
}

static void test_json_string(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t len;
        const char *json;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"\n\t\r", 3, "\"\\n\\t\\u000d\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"\x7f\x1b", 2, "\"\\u007f\\u001b\""},
        {"gr\xc3\xbc\xc3\x9f", 6, "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xf0\x9f\x98\x80!", 5, "\"\xf0\x9f\x98\x80!\""},
        {"a\xff", 2, "\"a\xef\xbf\xbd\""},
        {"\xc3", 1, "\"\xef\xbf\xbd\""},                   /* cut short */
        {"\xe2\x82z", 3, "\"\xef\xbf\xbd\xef\xbf\xbdz\""}, /* cut short, then a letter */
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_buf buf = {0};
        es_buf_json_string(&buf, rows[i].text, rows[i].len);
        assert_false(buf.failed);
        assert_string_equal(buf.data, rows[i].json);
        es_buf_clear(&buf);
    }
}

static void test_json_double(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *json;
    } rows[] = {
        {0.61, "0.61"},
        {3, "3"},
        {-0.5, "-0.5"},
        {(double)NAN, "null"},
        {(double)INFINITY, "null"},
        {-(double)INFINITY, "null"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_buf buf = {0};
        es_buf_json_double(&buf, rows[i].value);
        assert_string_equal(buf.data, rows[i].json);
        es_buf_clear(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_grows_far),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_reset_keeps_the_memory),
        cmocka_unit_test(test_consume),
        cmocka_unit_test_teardown(test_failure_sticks_and_data_stays, stop_failing),
        cmocka_unit_test(test_json_string),
        cmocka_unit_test(test_json_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
