#include "core/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"
#include "core/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int stop_failing(void **state)
{
    (void)state;
    es_mem_fail_after(-1);
    return 0;
}

/* The text of a set, which is cleared; borrowed until the next call. */
static const char *text_of(struct es_attributes *set)
{
    static struct es_buf text;
    es_buf_reset(&text);
    assert_false(set->entries.failed);
    es_attributes_write(set, &text);
    es_attributes_clear(set);
    assert_false(text.failed);
    if (!text.len)
        return "";
    assert_true(es_attributes_are_valid(text.data));
    assert_true(text.len <= ES_ATTRIBUTES_LIMIT_BYTES);
    return text.data;
}

static void test_made(void **state)
{
    (void)state;
    struct es_attributes set = {0};
    assert_string_equal(text_of(&set), "");
    es_attributes_add_text(&set, "pooling", "mean");
    es_attributes_add_number(&set, "n_layers", 24);
    es_attributes_add_bool(&set, "normalize", false);
    es_attributes_add_bool(&set, "B", true);
    es_attributes_add_number(&set, "_x", -0.1);
    es_attributes_add_text(&set, "note", "a \"b\" \\ \n\x01 \x7f \xc3\xa9 \xff.");
    es_attributes_add_text(&set, "n", "");
    assert_string_equal(text_of(&set),
                        "{\"B\":true,\"_x\":-0.1,\"n\":\"\",\"n_layers\":24,\"normalize\":false,"
                        "\"note\":\"a \\\"b\\\" \\\\ \\n\\u0001 \\u007f \xc3\xa9 \xef\xbf\xbd.\","
                        "\"pooling\":\"mean\"}");
}

static void test_left_out(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "1a", "a-b", "a b", "a\"", "\xc3\xa9", "a.b", "a/b"};
    struct es_attributes set = {0};
    char name[ES_ATTRIBUTE_NAME_LIMIT + 2], value[ES_ATTRIBUTES_LIMIT_BYTES + 1];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        es_attributes_add_text(&set, bad[i], "x");
    es_attributes_add_number(&set, "nan", (double)NAN);
    es_attributes_add_number(&set, "inf", (double)-INFINITY);
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    es_attributes_add_bool(&set, name, true);
    assert_int_equal(set.n, 0);
    name[sizeof name - 2] = '\0';
    es_attributes_add_bool(&set, name, true);
    assert_int_equal(set.n, 1);
    es_attributes_add_bool(&set, name, false); /* the first one stays */
    es_attributes_clear(&set);

    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    es_attributes_add_text(&set, "a", value);
    assert_int_equal(set.n, 0);
    value[ES_ATTRIBUTES_LIMIT_BYTES - strlen("{\"a\":\"\"}")] = '\0';
    es_attributes_add_text(&set, "a", value);
    es_attributes_add_bool(&set, "b", true); /* no room */
    assert_int_equal(strlen(text_of(&set)), ES_ATTRIBUTES_LIMIT_BYTES);

    for (int i = 0; i <= ES_ATTRIBUTES_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        es_attributes_add_number(&set, name, i);
    }
    assert_int_equal(set.n, ES_ATTRIBUTES_MAX);
    assert_null(strstr(text_of(&set), "\"n32\""));
}

static void test_read(void **state)
{
    (void)state;
    static const char note[] = "a \"b\" \\ \n\t\x01\x7f \xc3\xa9";
    struct es_attributes set = {0};
    struct es_attribute_item item;
    struct es_buf text = {0};
    es_attributes_add_text(&set, "note", note);
    es_attributes_add_number(&set, "a", 1.5e300);
    es_attributes_add_bool(&set, "b", true);
    es_attributes_add_bool(&set, "c", false);
    const char *at = text_of(&set);
    assert_true(es_attributes_next(&at, &item));
    assert_memory_equal(item.name, "a", item.name_len);
    assert_int_equal(es_attribute_kind(&item), ES_ATTRIBUTE_NUMBER);
    assert_true(es_attribute_number(&item) == 1.5e300);
    assert_true(es_attributes_next(&at, &item));
    assert_int_equal(es_attribute_kind(&item), ES_ATTRIBUTE_BOOL);
    assert_true(es_attribute_number(&item) == 1);
    assert_true(es_attributes_next(&at, &item));
    assert_true(es_attribute_number(&item) == 0);
    assert_true(es_attributes_next(&at, &item));
    assert_int_equal(item.name_len, 4);
    assert_int_equal(es_attribute_kind(&item), ES_ATTRIBUTE_TEXT);
    es_attribute_text(&item, &text);
    assert_string_equal(text.data, note);
    es_buf_clear(&text);
    assert_false(es_attributes_next(&at, &item));
    at = "";
    assert_false(es_attributes_next(&at, &item));
}

static void test_valid(void **state)
{
    (void)state;
    static const char *const valid[] = {"", "{\"a\":1}", "{\"a\":-0}", "{\"a\":true,\"b\":\"\"}",
                                        "{\"A\":1e+300,\"_\":0.25,\"a\":\"\xc3\xa9\\n\\u001f\"}"};
    static const char *const invalid[] = {
        "{}",
        "{",
        "x",
        "[1]",
        " {\"a\":1}",
        "{\"a\":1} ",
        "{\"a\":1}}",
        "{\"a\":1,}",
        "{\"a\" :1}",
        "{\"a\": 1}",
        "{\"a\":1.0}",
        "{\"a\":+1}",
        "{\"a\":01}",
        "{\"a\":1e5}",
        "{\"a\":0x10}",
        "{\"a\":nan}",
        "{\"a\":null}",
        "{\"a\":inf}",
        "{\"a\":1e999}",
        "{\"a\":tru}",
        "{\"a\":}",
        "{\"a\":truely}",
        "{\"a\":[]}",
        "{\"a\":{\"b\":1}}",
        "{\"a\":\"x}",
        "{\"a\":\"\\u0041\"}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\u000a\"}",
        "{\"a\":\"\\u001F\"}",
        "{\"a\":\"\\/\"}",
        "{\"a\":\"\\u00\"}",
        "{\"a\":\"\x01\"}",
        "{\"a\":\"\x7f\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc3\"}",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"1\":1}",
        "{\"\":1}",
        "{\"a\\n\":1}",
        "{a:1}",
        "{\"a",
        "{\"a\":",
        "{\"a\":\"\\",
        "{\"a\":1,\"b\"",
    };
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++)
        if (!es_attributes_are_valid(valid[i]))
            fail_msg("%s", valid[i]);
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++)
        if (es_attributes_are_valid(invalid[i]))
            fail_msg("%s", invalid[i]);
}

static void test_valid_within_limits(void **state)
{
    (void)state;
    struct es_buf text = {0};
    for (int i = 0; i <= ES_ATTRIBUTES_MAX; i++)
        es_buf_printf(&text, "%c\"n%02d\":1", i ? ',' : '{', i);
    es_buf_putc(&text, '}');
    assert_false(es_attributes_are_valid(text.data));
    text.len -= strlen(",\"n32\":1}");
    text.data[text.len] = '\0';
    es_buf_putc(&text, '}');
    assert_true(es_attributes_are_valid(text.data));
    es_buf_reset(&text);
    es_buf_puts(&text, "{\"a\":\"");
    while (text.len < ES_ATTRIBUTES_LIMIT_BYTES - 2)
        es_buf_putc(&text, 'x');
    size_t len = text.len;
    es_buf_puts(&text, "\"}");
    assert_true(es_attributes_are_valid(text.data));
    text.len = len;
    es_buf_puts(&text, "x\"}");
    assert_false(es_attributes_are_valid(text.data));
    es_buf_clear(&text);
}

/* What merging does to `*merged`; the answer of es_attributes_are_merged must fit it. */
static void merge(struct es_buf *merged, const char *text)
{
    struct es_buf both = {0};
    const char *before = merged->data ? merged->data : "";
    es_attributes_merge(before, text, &both);
    assert_false(both.failed);
    assert_int_equal(es_attributes_are_merged(before, text),
                     strcmp(both.data ? both.data : "", before) == 0);
    es_buf_clear(merged);
    *merged = both;
}

static void test_merged(void **state)
{
    (void)state;
    static const struct {
        const char *texts[4];
        const char *merged;
    } rows[] = {
        {{"", ""}, ""},
        {{"", "{\"a\":1}", ""}, "{\"a\":1}"},
        {{"{\"a\":1}", "{\"a\":1}"}, "{\"a\":1}"},
        {{"{\"a\":1}", "{\"a\":2}"}, "{\"a\":\"(differs)\"}"},
        {{"{\"a\":1}", "{\"a\":\"1\"}"}, "{\"a\":\"(differs)\"}"},
        {{"{\"a\":1}", "{\"a\":2}", "{\"a\":1}"}, "{\"a\":\"(differs)\"}"},
        {{"{\"b\":1}", "{\"a\":true,\"c\":\"x\"}"}, "{\"a\":true,\"b\":1,\"c\":\"x\"}"},
        {{"{\"a\":1,\"ab\":1}", "{\"ab\":1,\"b\":\"y\"}", "{\"b\":\"yy\"}"},
         "{\"a\":1,\"ab\":1,\"b\":\"(differs)\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int backwards = 0; backwards < 2; backwards++) {
            struct es_buf merged = {0};
            for (int k = 0; k < 4; k++)
                if (rows[i].texts[backwards ? 3 - k : k])
                    merge(&merged, rows[i].texts[backwards ? 3 - k : k]);
            assert_string_equal(merged.data ? merged.data : "", rows[i].merged);
            es_buf_clear(&merged);
        }
    }
}

/* Sets of random names and values, more names than are kept: the same in any order. */
static void test_merged_in_any_order(void **state)
{
    (void)state;
    enum { N_SETS = 40, N_NAMES = 100 };
    struct es_rng rng;
    es_rng_init(&rng, 1);
    for (int round = 0; round < 50; round++) {
        char *sets[N_SETS];
        struct es_buf merged[2] = {{0}, {0}};
        for (int i = 0; i < N_SETS; i++) {
            struct es_attributes set = {0};
            for (int k = 0; k < 6; k++) {
                char name[16];
                (void)snprintf(name, sizeof name, "n%d", (int)es_rng_below(&rng, N_NAMES));
                es_attributes_add_number(&set, name, (double)(es_rng_below(&rng, 20) == 0));
            }
            sets[i] = strdup(text_of(&set));
            assert_non_null(sets[i]);
        }
        for (int i = 0; i < N_SETS; i++) {
            merge(&merged[0], sets[i]);
            merge(&merged[1], sets[(i * 7 + round) % N_SETS]);
        }
        assert_string_equal(merged[0].data, merged[1].data);
        for (int i = 0; i < N_SETS; i++) {
            assert_true(es_attributes_are_merged(merged[0].data, sets[i]));
            free(sets[i]);
        }
        es_buf_clear(&merged[0]);
        es_buf_clear(&merged[1]);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct es_attributes set = {0};
    es_mem_fail_after(0);
    es_attributes_add_text(&set, "a", "b");
    es_attributes_add_number(&set, "b", 1);
    assert_true(set.entries.failed);
    assert_int_equal(set.n, 0);
    es_mem_fail_after(-1);
    es_attributes_clear(&set);
    assert_false(set.entries.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_valid_within_limits),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_merged_in_any_order),
        cmocka_unit_test_teardown(test_no_memory, stop_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
