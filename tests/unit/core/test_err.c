#include "evalsweep/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_code_texts(void **state)
{
    (void)state;
#define CHECK(name, value, text)                                                                   \
    assert_int_equal(ES_##name, value);                                                            \
    assert_string_equal(es_code_text(ES_##name), text);
    ES_CODES(CHECK)
#undef CHECK
    assert_string_equal(es_code_text((enum es_code) - 99), "unknown error");
}

static void test_set_fills_all_parts(void **state)
{
    (void)state;
    struct es_err err = {.sys_errno = 7};
    assert_int_equal(es_err_set(&err, ES_ERR_PARSE, "reading", "a.json", "line %d: %s", 3, "odd"),
                     ES_ERR_PARSE);
    assert_int_equal(err.code, ES_ERR_PARSE);
    assert_int_equal(err.sys_errno, 0);
    assert_string_equal(err.doing, "reading");
    assert_string_equal(err.subject, "a.json");
    assert_string_equal(err.why, "line 3: odd");
}

static void test_set_from_its_own_parts(void **state)
{
    (void)state;
    struct es_err err = {0};
    es_err_set(&err, ES_ERR_IO, "reading", "a.json", "gone");
    es_err_set(&err, ES_ERR_USAGE, "loading", err.subject, "because: %s", err.why);
    assert_string_equal(err.subject, "a.json");
    assert_string_equal(err.why, "because: gone");
}

static void test_null_is_not_wanted(void **state)
{
    (void)state;
    assert_int_equal(es_err_set(NULL, ES_ERR_STORE, "a", "b", "c"), ES_ERR_STORE);
    assert_int_equal(es_err_sys(NULL, ENOENT, "a", "b"), ES_ERR_NOENT);
    assert_int_equal(es_err_nomem(NULL, "a"), ES_ERR_NOMEM);
}

static void test_sys_codes(void **state)
{
    (void)state;
    const struct {
        int sys_errno;
        enum es_code code;
        const char *why;
    } rows[] = {
        {ENOENT, ES_ERR_NOENT, "No such file or directory"},
        {ENOMEM, ES_ERR_NOMEM, "Cannot allocate memory"},
        {EACCES, ES_ERR_IO, "Permission denied"},
        {ENOSPC, ES_ERR_IO, "No space left on device"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_err err = {0};
        assert_int_equal(es_err_sys(&err, rows[i].sys_errno, "opening", "f"), rows[i].code);
        assert_int_equal(err.code, rows[i].code);
        assert_int_equal(err.sys_errno, rows[i].sys_errno);
        assert_string_equal(err.why, rows[i].why);
    }
}

static void test_nomem(void **state)
{
    (void)state;
    struct es_err err = {0};
    char text[100];
    assert_int_equal(es_err_nomem(&err, "building the grid"), ES_ERR_NOMEM);
    es_err_text(&err, text, sizeof text);
    assert_string_equal(text, "building the grid: out of memory");
}

static void test_too_long_is_cut(void **state)
{
    (void)state;
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct es_err err = {0};
    es_err_set(&err, ES_ERR_IO, longer, longer, "%s", longer);
    assert_int_equal(strlen(err.doing), sizeof err.doing - 1);
    assert_int_equal(strlen(err.subject), sizeof err.subject - 1);
    assert_int_equal(strlen(err.why), sizeof err.why - 1);
}

static void test_text_leaves_out_what_is_empty(void **state)
{
    (void)state;
    const struct {
        const char *doing, *subject, *why, *text;
    } rows[] = {
        {"reading", "a.json", "gone", "reading: a.json: gone"},
        {"reading", NULL, "gone", "reading: gone"},
        {NULL, "a.json", "gone", "a.json: gone"},
        {NULL, NULL, "gone", "gone"},
        {"reading", "", "", "reading"},
        {NULL, NULL, "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_err err = {0};
        char text[100] = "before";
        es_err_set(&err, ES_ERR_IO, rows[i].doing, rows[i].subject, "%s", rows[i].why);
        es_err_text(&err, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_text_of_every_size(void **state)
{
    (void)state;
    const char whole[] = "reading: a.json: gone";
    struct es_err err = {0};
    es_err_set(&err, ES_ERR_IO, "reading", "a.json", "gone");
    for (size_t size = 0; size <= sizeof whole; size++) {
        char text[sizeof whole + 1];
        memset(text, '#', sizeof text);
        es_err_text(&err, text, size);
        assert_int_equal(text[size], '#');
        if (size == 0)
            continue;
        size_t len = strlen(text);
        assert_true(len < size);
        assert_memory_equal(text, whole, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_texts),
        cmocka_unit_test(test_set_fills_all_parts),
        cmocka_unit_test(test_set_from_its_own_parts),
        cmocka_unit_test(test_null_is_not_wanted),
        cmocka_unit_test(test_sys_codes),
        cmocka_unit_test(test_nomem),
        cmocka_unit_test(test_too_long_is_cut),
        cmocka_unit_test(test_text_leaves_out_what_is_empty),
        cmocka_unit_test(test_text_of_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
