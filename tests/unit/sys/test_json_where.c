#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "sys/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cJSON *parse(const char *text)
{
    cJSON *root = NULL;
    assert_int_equal(es_json_parse(text, strlen(text), "test", &root, NULL), 0);
    return root;
}

static void test_path_add_key(void **state)
{
    static const struct {
        const char *key, *path;
    } rows[] = {
        {"grid", "$.grid"},
        {"a-b_9", "$.a-b_9"},
        {"", "$[\"\"]"},
        {"a.b", "$[\"a.b\"]"},
        {"a b", "$[\"a b\"]"},
        {"x\"y\\", "$[\"x\\\"y\\\\\"]"},
        {"gr\xc3\xb6\xc3\x9f", "$[\"gr\xc3\xb6\xc3\x9f\"]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_buf path = {0};
        es_buf_putc(&path, '$');
        es_json_path_add_key(&path, rows[i].key);
        assert_string_equal(path.data, rows[i].path);
        es_buf_clear(&path);
    }
}

static void test_path_of(void **state)
{
    (void)state;
    cJSON *root = parse("{\"a\": [1, {\"b c\": [true, \"x\"]}], \"d\": {}}");
    const cJSON *list = es_json_get(cJSON_GetArrayItem(es_json_get(root, "a"), 1), "b c");
    struct es_buf path = {0};
    assert_true(es_json_path_of(root, root, &path));
    assert_string_equal(path.data, "$");
    es_buf_reset(&path);
    assert_true(es_json_path_of(root, cJSON_GetArrayItem(list, 1), &path));
    assert_string_equal(path.data, "$.a[1][\"b c\"][1]");
    es_buf_reset(&path);
    cJSON *stranger = cJSON_CreateNull();
    assert_false(es_json_path_of(root, stranger, &path));
    assert_int_equal(path.len, 0);
    cJSON_Delete(stranger);
    cJSON_Delete(root);
    es_buf_clear(&path);
}

static void test_find_duplicate(void **state)
{
    static const struct {
        const char *text, *path; /* NULL: there is none */
    } rows[] = {
        {"{}", NULL},
        {"3", NULL},
        {"{\"a\": 1, \"A\": 2}", NULL},
        {"{\"a\": {\"x\": 1}, \"b\": {\"x\": 1}}", NULL},
        {"[{\"x\": 1}, {\"x\": 1}]", NULL},
        {"{\"a\": 1, \"a\": 2}", "$.a"},
        {"{\"a\": 1, \"\\u0061\": 2}", "$.a"},
        {"{\"grid\": {\"layers\": [], \"t\": 1, \"layers\": []}}", "$.grid.layers"},
        {"[0, {\"b\": [{\"q r\": 1, \"q r\": 1}]}]", "$[1].b[0][\"q r\"]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cJSON *root = parse(rows[i].text);
        char path[64] = "untouched";
        assert_int_equal(es_json_find_duplicate(root, path, sizeof path), rows[i].path != NULL);
        assert_string_equal(path, rows[i].path ? rows[i].path : "untouched");
        cJSON_Delete(root);
    }
}

/* An object large enough for the table, with and without a repeated key, and without memory. */
static void test_find_duplicate_among_many(void **state)
{
    (void)state;
    for (int repeat = 0; repeat < 2; repeat++) {
        struct es_buf text = {0};
        es_buf_puts(&text, "{\"k\": {\"first\": 0");
        for (int i = 0; i < 1000; i++)
            es_buf_printf(&text, ", \"key%d\": %d", repeat && i == 700 ? 123 : i, i);
        es_buf_puts(&text, "}}");
        cJSON *root = parse(text.data);
        char path[64];
        assert_int_equal(es_json_find_duplicate(root, path, sizeof path), repeat);
        if (repeat)
            assert_string_equal(path, "$.k.key123");
        for (long n = 0; n < 30; n++) { /* found all the same, though its path may not be */
            es_mem_fail_after(n);
            bool found = es_json_find_duplicate(root, path, sizeof path);
            es_mem_fail_after(-1);
            assert_int_equal(found, repeat);
        }
        cJSON_Delete(root);
        es_buf_clear(&text);
    }
}

static void test_line_of(void **state)
{
    static const char text[] = "\n{ \"a\":\n   1,\n"                /* lines 1 to 3 */
                               "  \"list\": [\"x\", [],\n"          /* 4 */
                               "    {\"b\\\"c\": \"]},\\\"\"},\n"   /* 5 */
                               "    NaN,\n"                         /* 6 */
                               "    -Infinity ],\n"                 /* 7 */
                               "  \"gr\\u00f6\\u00df\": {\n"        /* 8 */
                               "    \"\\ud83d\\ude00\": 4,\n"       /* 9 */
                               "    \"a.b\":\n     5},\n"           /* 10, 11 */
                               "  \"twice\": 1,\n  \"twice\": 2,\n" /* 12, 13 */
                               "  \"last\":{}\n}\n";                /* 14 */
    static const struct {
        const char *path;
        size_t line;
    } rows[] = {
        {"$", 2},
        {"$.a", 3},
        {"$.list", 4},
        {"$.list[0]", 4},
        {"$.list[1]", 4},
        {"$.list[2]", 5},
        {"$.list[2][\"b\\\"c\"]", 5},
        {"$.list[3]", 6},
        {"$.list[4]", 7},
        {"$[\"gr\xc3\xb6\xc3\x9f\"]", 8},
        {"$[\"gr\\u00f6\xc3\x9f\"][\"\xf0\x9f\x98\x80\"]", 9},
        {"$[\"gr\xc3\xb6\xc3\x9f\"][\"a.b\"]", 11},
        {"$.twice", 13},
        {"$.last", 14},
        /* nothing there: the nearest above */
        {"$.list[5]", 4},
        {"$.list[2].none.none", 5},
        {"$.a.b", 3},
        {"$.a[0]", 3},
        {"$.none", 2},
        {"$[0]", 2},
        {"", 2},
        {"$[\"", 2},
        {"$[\"a", 2},
        {"$[", 2},
        {"nonsense", 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t line = es_json_line_of(text, sizeof text - 1, rows[i].path);
        if (line != rows[i].line)
            fail_msg("%s: line %zu, not %zu", rows[i].path, line, rows[i].line);
    }
}

static void test_line_of_byte_order_mark(void **state)
{
    static const char text[] = "\xef\xbb\xbf{\n\"a\":\n1}";
    (void)state;
    assert_int_equal(es_json_line_of(text, sizeof text - 1, "$.a"), 3);
}

/* Whatever it is given, it stays within the text: every front of a text, under the sanitizer. */
static void test_line_of_cut_text(void **state)
{
    static const char text[] =
        "{\"a\\u00f6\": [1, {\"b\": \"\\ud83d\\ude00\\\"\"}, [[]]], \"c\": 2}";
    static const char *const paths[] = {"$.c", "$[\"a\xc3\xb6\"][1].b", "$[\"a\xc3\xb6\"][2][0]"};
    (void)state;
    for (size_t n = 0; n < sizeof text; n++) {
        char *front = malloc(n ? n : 1);
        assert_non_null(front);
        memcpy(front, text, n);
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
            assert_int_equal(es_json_line_of(front, n, paths[i]), 1);
        free(front);
    }
}

/* Both agree on every item of a tree: a path leads to the line that its value is on. */
static void test_paths_and_lines_agree(void **state)
{
    (void)state;
    struct es_buf text = {0};
    es_buf_puts(&text, "{\n");
    for (int i = 0; i < 50; i++)
        es_buf_printf(&text, "\"k%d \\\"\\u%04x\": [0, {\"n\":\n%d}]%s\n", i, 0x3b1 + i, 2 * i + 3,
                      i < 49 ? "," : "");
    es_buf_putc(&text, '}');
    cJSON *root = parse(text.data);
    for (const cJSON *item = root->child; item; item = item->next) {
        const cJSON *n = es_json_get(cJSON_GetArrayItem(item, 1), "n");
        struct es_buf path = {0};
        assert_true(es_json_path_of(root, n, &path));
        assert_int_equal(es_json_line_of(text.data, text.len, path.data), n->valueint);
        es_buf_clear(&path);
    }
    cJSON_Delete(root);
    es_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_add_key),     cmocka_unit_test(test_path_of),
        cmocka_unit_test(test_find_duplicate),   cmocka_unit_test(test_find_duplicate_among_many),
        cmocka_unit_test(test_line_of),          cmocka_unit_test(test_line_of_byte_order_mark),
        cmocka_unit_test(test_line_of_cut_text), cmocka_unit_test(test_paths_and_lines_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
