#include "sys/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

static int stop_failing(void **state)
{
    (void)state;
    es_mem_fail_after(-1);
    return 0;
}

/* From memory that ends with the text: reading on would crash, in cJSON too, which no sanitizer
 * looks into. */
static int parse(const char *text, size_t n, cJSON **ret_root, struct es_err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n / page + 1) * page;
    char *pages =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + room, page, PROT_NONE), 0);
    memcpy(pages + room - n, text, n);
    int rc = es_json_parse(pages + room - n, n, "a.json", ret_root, err);
    assert_int_equal(munmap(pages, room + page), 0);
    return rc;
}

static void test_valid(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *printed;
    } rows[] = {
        {"null", "null"},
        {"true", "true"},
        {" 1 \r\n\t", "1"},
        {"-1.5e2", "-150"},
        {"\"a\"", "\"a\""},
        {"\"\\u00fc\"", "\"\xc3\xbc\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"{\"a\": [1, {\"b\": null}]}\n", "{\"a\":[1,{\"b\":null}]}"},
        {"\xef\xbb\xbf{}", "{}"}, /* a byte order mark */
        {"[NaN, Infinity, -Infinity]", "[null,null,null]"},
        {"{\"main_score\": NaN}", "{\"main_score\":null}"},
        {"NaN", "null"},
        {"{\"NaN\": \"NaN, \\\"-Infinity\\\" \\\\\", \"b\": NaN}",
         "{\"NaN\":\"NaN, \\\"-Infinity\\\" \\\\\",\"b\":null}"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        cJSON *root = NULL;
        struct es_err err = {0};
        if (parse(rows[i].text, strlen(rows[i].text), &root, &err) != 0)
            fail_msg("%s: %s", rows[i].text, err.why);
        assert_int_equal(err.code, 0);
        char *printed = cJSON_PrintUnformatted(root);
        assert_string_equal(printed, rows[i].printed);
        cJSON_free(printed);
        cJSON_Delete(root);
    }
}

static void test_faults(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"", "it is empty"},
        {" ", NULL},
        {"{", NULL},
        {"}", "line 1, column 1: not valid JSON"},
        {"{\"a\":1,", NULL}, /* cJSON 1.7.15 reads behind the end of this one */
        {"{\"a\":1,\n", NULL},
        {"[1,", NULL},
        {"{\"a\"", NULL},
        {"{\"a\":", NULL},
        {"\"abc", NULL},
        {"\"abc\\", NULL},
        {"\"\\u12", NULL},
        {"nul", NULL},
        {"nan", NULL},
        {"-NaN", NULL},
        {"xNaN", NULL},
        {"{\"a\": Na}", NULL},
        {"1 2", "line 1, column 3: not valid JSON"},
        {"{}\n{}", "line 2, column 1: not valid JSON"},
        {"{} x", "line 1, column 4: not valid JSON"},
        {"{\n  \"a\": 1,\n  \"b\" 2\n}", "line 3, column 7: not valid JSON"},
        {"{\n \"a\": NaN,\n \"b\": }", "line 3, column 7: not valid JSON"},
        {"{'a': 1}", NULL},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        cJSON *root = NULL;
        struct es_err err = {0};
        if (parse(rows[i].text, strlen(rows[i].text), &root, &err) != ES_ERR_PARSE)
            fail_msg("%s", rows[i].text);
        assert_null(root);
        assert_int_equal(err.code, ES_ERR_PARSE);
        assert_string_equal(err.doing, "reading JSON");
        assert_string_equal(err.subject, "a.json");
        if (rows[i].why)
            assert_string_equal(err.why, rows[i].why);
    }
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    cJSON *root = NULL;
    static const char zeros[4096], deep_open = '[';
    assert_int_equal(parse(zeros, sizeof zeros, &root, NULL), ES_ERR_PARSE);
    assert_int_equal(parse("{}\0", 3, &root, NULL), ES_ERR_PARSE);
    assert_int_equal(parse("\x89HDF\r\n\x1a\n", 8, &root, NULL), ES_ERR_PARSE);
    char deep[100000];
    memset(deep, deep_open, sizeof deep);
    assert_int_equal(parse(deep, sizeof deep, &root, NULL), ES_ERR_PARSE);
    assert_null(root);
}

/* Whatever is left of a file whose writer was cut off is refused, and nothing is read behind it. */
static void test_torn_at_every_byte(void **state)
{
    (void)state;
    const char text[] =
        "{\"main_score\": 0.5, \"metrics\": [{\"split\": \"t\\u00e9st\", \"value\": "
        "NaN}, {\"a\": -Infinity}], \"status\": \"done\"}";
    cJSON *root = NULL;
    for (size_t n = 0; n < sizeof text - 1; n++)
        if (parse(text, n, &root, NULL) != ES_ERR_PARSE)
            fail_msg("%zu bytes", n);
    assert_null(root);
    assert_int_equal(parse(text, sizeof text - 1, &root, NULL), 0);
    cJSON_Delete(root);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    cJSON *root = NULL;
    struct es_err err = {0};
    es_mem_fail_after(0);
    assert_int_equal(es_json_parse("[NaN]", 5, "a.json", &root, &err), ES_ERR_NOMEM);
    assert_null(root);
    assert_int_equal(err.code, ES_ERR_NOMEM);
}

static void test_get(void **state)
{
    (void)state;
    const char text[] = "{\"a\": 1, \"A\": 2, \"s\": \"text\", \"n\": null, \"big\": 1e999,"
                        " \"list\": [1], \"t\": true}";
    cJSON *root = NULL;
    assert_int_equal(parse(text, sizeof text - 1, &root, NULL), 0);
    const cJSON *list = es_json_get(root, "list");
    assert_true(cJSON_IsArray(list));
    assert_null(es_json_get(root, "LIST"));
    assert_null(es_json_get(root, ""));
    assert_null(es_json_get(list, "a"));
    assert_null(es_json_get(NULL, "a"));

    assert_string_equal(es_json_get_string(root, "s"), "text");
    assert_null(es_json_get_string(root, "a"));
    assert_null(es_json_get_string(root, "n"));
    assert_null(es_json_get_string(root, "none"));
    assert_null(es_json_get_string(NULL, "s"));

    assert_true(es_json_get_double(root, "a") == 1);
    assert_true(es_json_get_double(root, "A") == 2);
    const char *const missing[] = {"s", "n", "t", "list", "none", "big"};
    for (size_t i = 0; i < N_ROWS(missing); i++)
        if (!isnan(es_json_get_double(root, missing[i])))
            fail_msg("%s", missing[i]);
    assert_true(isnan(es_json_get_double(NULL, "a")));
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_torn_at_every_byte),
        cmocka_unit_test_teardown(test_out_of_memory, stop_failing),
        cmocka_unit_test(test_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
