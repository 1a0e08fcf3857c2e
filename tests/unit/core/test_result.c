#include "evalsweep/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int stop_failing(void **state)
{
    (void)state;
    es_mem_fail_after(-1);
    return 0;
}

static void assert_empty(const struct es_result *result)
{
    assert_true(isnan(result->main_score) && isnan(result->evaluation_time_s));
    assert_true(isnan(result->started_s) && isnan(result->finished_s));
    assert_true(isnan(result->load_s) && isnan(result->pass_s) && isnan(result->score_s));
    assert_int_equal(result->attempt, 0);
    assert_int_equal(result->rank, -1);
    assert_int_equal(result->n_metrics, 0);
    assert_false(result->failed);
    assert_string_equal(es_result_text(result, result->host), "");
    assert_string_equal(es_result_text(result, result->device), "");
    assert_string_equal(es_result_text(result, result->reason), "");
}

static void test_init_reset_clear(void **state)
{
    (void)state;
    struct es_result result;
    memset(&result, 0xa5, sizeof result);
    es_result_init(&result);
    assert_empty(&result);
    result.main_score = 1;
    result.rank = 3;
    result.host = es_result_keep(&result, "node1", 5);
    es_result_add_metric(&result, "test", "default", "f1", 0.5);
    result.failed = true;
    size_t text_cap = result.text_cap, metrics_cap = result.metrics_cap;
    es_result_reset(&result);
    assert_empty(&result);
    assert_int_equal(result.text_cap, text_cap);
    assert_int_equal(result.metrics_cap, metrics_cap);
    es_result_clear(&result);
    assert_empty(&result);
    assert_null(result.text);
    assert_null(result.metrics);
}

static void test_keep(void **state)
{
    (void)state;
    struct es_result result;
    es_result_init(&result);
    assert_int_equal(es_result_keep(&result, "", 0), 0);
    uint32_t first = es_result_keep(&result, "first", 5);
    uint32_t part = es_result_keep(&result, "second text", 6);
    assert_true(first != 0 && part != 0 && first != part);
    assert_string_equal(es_result_text(&result, first), "first");
    assert_string_equal(es_result_text(&result, part), "second");
    assert_string_equal(es_result_text(&result, 0), "");
    for (int i = 0; i < 1000; i++)
        assert_true(es_result_keep(&result, "0123456789", 10) != 0);
    assert_string_equal(es_result_text(&result, first), "first");
    assert_false(result.failed);
    es_result_clear(&result);
}

static void test_metrics(void **state)
{
    (void)state;
    const struct {
        const char *split, *subset, *metric;
        double value;
    } rows[] = {
        {"test", "default", "accuracy", 0.5}, {"test", "default", "f1", 0.25},
        {"test", "default", "f1", 0.125},     {"", "", "", 1},
        {"dev", "en", "accuracy", 0},         {"dev", "de", "f1", -1},
    };
    struct es_result result;
    es_result_init(&result);
    size_t n = sizeof rows / sizeof rows[0];
    for (int round = 0; round < 2; round++) { /* the second in memory used before */
        es_result_reset(&result);
        for (size_t i = 0; i < n; i++)
            es_result_add_metric(&result, rows[i].split, rows[i].subset, rows[i].metric,
                                 rows[i].value);
        assert_false(result.failed);
        assert_int_equal(result.n_metrics, n);
        for (size_t i = 0; i < n; i++) {
            const struct es_metric *metric = &result.metrics[i];
            assert_true(metric->value == rows[i].value);
            assert_string_equal(es_result_text(&result, metric->split), rows[i].split);
            assert_string_equal(es_result_text(&result, metric->subset), rows[i].subset);
            assert_string_equal(es_result_text(&result, metric->metric), rows[i].metric);
        }
    }
    es_result_clear(&result);
}

static void test_repeated_names_share_their_text(void **state)
{
    (void)state;
    struct es_result result;
    es_result_init(&result);
    es_result_add_metric(&result, "test", "default", "f1", 0);
    size_t text_len = result.text_len;
    for (int i = 0; i < 100; i++)
        es_result_add_metric(&result, "test", "default", "f1", i);
    assert_int_equal(result.text_len, text_len);
    es_result_clear(&result);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    long n = 0;
    bool failed = true;
    for (; failed; n++) {
        struct es_result result;
        es_result_init(&result);
        es_mem_fail_after(n);
        for (int i = 0; i < 50; i++) {
            char name[16];
            (void)snprintf(name, sizeof name, "metric %d", i);
            es_result_add_metric(&result, "test", "default", name, i);
            result.reason = es_result_keep(&result, "why not", 7);
        }
        es_mem_fail_after(-1);
        failed = result.failed;
        for (size_t i = 0; i < result.n_metrics; i++) /* whatever is there can be read */
            assert_true(strlen(es_result_text(&result, result.metrics[i].metric)) < 16);
        es_result_reset(&result);
        assert_empty(&result);
        es_result_clear(&result);
    }
    assert_true(n > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_reset_clear),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_repeated_names_share_their_text),
        cmocka_unit_test_teardown(test_out_of_memory, stop_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
