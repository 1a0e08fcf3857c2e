#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "run/starts.h"

#include "helper/run_dir.h"

#include <string.h>

/* Appends to the file as a driver that is killed in mid-write would. */
static void tear(const char *text)
{
    char path[TEMPDIR_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/.evalsweep/starts.jsonl", run_dir);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_lines(const char *expected)
{
    struct es_buf text = {0};
    assert_int_equal(es_starts_read(run_dir, &text, NULL), 0);
    assert_string_equal(text.len ? text.data : "", expected);
    es_buf_clear(&text);
}

static void every_start_is_there(void **state)
{
    (void)state;
    assert_lines("");
    assert_int_equal(es_starts_add(run_dir, "{\"started\":\"a\"}", NULL), 0);
    assert_lines("{\"started\":\"a\"}\n");
    tear("{\"started\":\"to");
    assert_lines("{\"started\":\"a\"}\n");
    assert_int_equal(es_starts_add(run_dir, "{\"started\":\"b\"}", NULL), 0);
    tear("[1]\n\n\x01\n");
    assert_lines("{\"started\":\"a\"}\n{\"started\":\"b\"}\n");
}

static void of_many_the_first_and_the_last(void **state)
{
    char line[64], first[64];
    struct es_buf text = {0};
    (void)state;
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(line, sizeof line, "{\"started\":\"number %d\"}", i);
        assert_int_equal(es_starts_add(run_dir, line, NULL), 0);
    }
    assert_int_equal(es_starts_read(run_dir, &text, NULL), 0);
    (void)snprintf(first, sizeof first, "{\"started\":\"number 0\"}\n");
    assert_memory_equal(text.data, first, strlen(first));
    assert_non_null(strstr(text.data, line));
    assert_null(strstr(text.data, "number 1\""));
    assert_in_range(text.len, (64 << 10) - 100, (64 << 10) + 100);
    es_buf_clear(&text);
}

static void a_start_that_is_too_long_is_left_out(void **state)
{
    struct es_buf line = {0};
    (void)state;
    es_buf_puts(&line, "{\"started\":\"");
    for (int i = 0; i < 64 << 10; i++)
        es_buf_putc(&line, 'x');
    es_buf_puts(&line, "\"}");
    assert_int_equal(es_starts_add(run_dir, line.data, NULL), 0);
    assert_int_equal(es_starts_add(run_dir, "{\"started\":\"a\"}", NULL), 0);
    assert_lines("{\"started\":\"a\"}\n");
    es_buf_clear(&line);
}

static void no_folder_is_an_error_to_write(void **state)
{
    struct es_buf text = {0};
    struct es_err err = {0};
    (void)state;
    assert_int_equal(es_starts_add("/nonexistent", "{}", &err), ES_ERR_NOENT);
    assert_non_null(strstr(err.subject, "/nonexistent"));
    assert_int_equal(es_starts_read("/nonexistent", &text, NULL), 0);
    assert_int_equal(text.len, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_start_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(of_many_the_first_and_the_last, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_that_is_too_long_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(no_folder_is_an_error_to_write, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
