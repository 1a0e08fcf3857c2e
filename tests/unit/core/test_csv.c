#include "core/csv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void fields_are_quoted_where_they_need_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } rows[] = {{"", ""},
                {"STS12", "STS12"},
                {"with space", "with space"},
                {"a,b", "\"a,b\""},
                {"say \"x\"", "\"say \"\"x\"\"\""},
                {"two\nlines", "\"two\nlines\""},
                {"to the left\r", "\"to the left\r\""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_buf line = {0};
        es_csv_put_text(&line, rows[i].text);
        assert_string_equal(line.data ? line.data : "", rows[i].field);
        es_buf_clear(&line);
    }
    struct es_buf line = {0};
    es_csv_put_double(&line, 0.5);
    es_buf_putc(&line, ',');
    es_csv_put_double(&line, (double)NAN);
    assert_string_equal(line.data, "0.5,");
    es_buf_clear(&line);
}

static void assert_fields(const char *text, const char *const *fields, const bool *goes_on,
                          size_t n)
{
    const char *at = text, *end = text + strlen(text);
    struct es_buf field = {0};
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(es_csv_take_field(&at, end, &field), goes_on[i]);
        assert_string_equal(field.data ? field.data : "", fields[i]);
    }
    assert_ptr_equal(at, end);
    es_buf_clear(&field);
}

static void records_are_read_back(void **state)
{
    (void)state;
    assert_fields("a,b\nc,\n", (const char *const[]){"a", "b", "c", ""},
                  (const bool[]){true, false, true, false}, 4);
    assert_fields("a,b\r\nc", (const char *const[]){"a", "b", "c"},
                  (const bool[]){true, false, false}, 3);
    assert_fields("\"x,\"\"y\"\"\n\",z", (const char *const[]){"x,\"y\"\n", "z"},
                  (const bool[]){true, false}, 2);
    assert_fields("\"open", (const char *const[]){"open"}, (const bool[]){false}, 1);
    assert_fields("", (const char *const[]){""}, (const bool[]){false}, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_quoted_where_they_need_it),
        cmocka_unit_test(records_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
