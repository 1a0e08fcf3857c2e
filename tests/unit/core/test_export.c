#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "evalsweep/export.h"

#include <math.h>
#include <string.h>

#define HEADER                                                                                     \
    "checkpoint,step,layer,task,status,split,subset,metric,value,main_score,evaluation_time_s\n"

static const struct es_export long_csv = {0};

struct table {
    struct es_grid *grid;
    struct es_units *units;
};

static struct table make_table(uint32_t n_tasks)
{
    static const char *const checkpoints[] = {"step1000", "a, \"b\""};
    static const int32_t layers[] = {21};
    static const char *const names[] = {"STS12", "Banking77", "C", "D"};
    struct table table;
    assert_int_equal(es_grid_create(checkpoints, 2, layers, 1, names, n_tasks, &table.grid, NULL),
                     0);
    assert_int_equal(es_units_create(table.grid, &table.units, NULL), 0);
    return table;
}

static void free_table(struct table *table)
{
    es_units_free(table->units);
    es_grid_free(table->grid);
}

static int collect(void *ctx, const char *bytes, size_t n)
{
    es_buf_append(ctx, bytes, n);
    return 0;
}

static void test_lines(void **state)
{
    (void)state;
    struct table table = make_table(4);
    struct es_result result;
    struct es_buf text = {0};
    es_result_init(&result);
    result.main_score = 0.61;
    result.evaluation_time_s = 12.25;
    es_result_add_metric(&result, "test", "default", "accuracy", 0.1);
    es_result_add_metric(&result, "test", "en,de", "line\rfeed", (double)NAN);
    es_units_set_result(table.units, 0, ES_STATUS_DONE, &result, NULL);
    es_units_set_result(table.units, 2, ES_STATUS_FAILED, &result, NULL);
    es_result_reset(&result);
    es_units_set_result(table.units, 3, ES_STATUS_DONE, &result, NULL);
    result.main_score = -1e-300;
    es_units_set_result(table.units, 5, ES_STATUS_DONE, &result, NULL);
    es_result_clear(&result);
    assert_int_equal(es_export_table(&long_csv, table.units, collect, &text, NULL), 0);
    assert_string_equal(text.data, HEADER
                        "step1000,1000,21,STS12,done,test,default,accuracy,0.1,0.61,12.25\n"
                        "step1000,1000,21,STS12,done,test,\"en,de\",\"line\rfeed\",,0.61,12.25\n"
                        "step1000,1000,21,D,done,,,main_score,,,\n"
                        "\"a, \"\"b\"\"\",,21,Banking77,done,,,main_score,-1e-300,-1e-300,\n");
    es_buf_clear(&text);
    free_table(&table);
}

/* Four units of which three are done, with metrics of every kind of name. */
static struct table make_varied(void)
{
    struct table table = make_table(2);
    struct es_result result;
    es_result_init(&result);
    result.main_score = 0.61;
    result.evaluation_time_s = 12.25;
    es_result_add_metric(&result, "test", "default", "accuracy", 0.1);
    es_result_add_metric(&result, "test", "en/de", "accuracy", (double)NAN);
    es_result_add_metric(&result, "", "", "step", 3);
    es_units_set_result(table.units, 0, ES_STATUS_DONE, &result, NULL);
    es_units_set_result(table.units, 1, ES_STATUS_FAILED, &result, NULL);
    es_result_reset(&result);
    es_units_set_result(table.units, 2, ES_STATUS_DONE, &result, NULL);
    result.main_score = 0.5;
    es_result_add_metric(&result, "", "", "a/b/c", 0.75);
    es_result_add_metric(&result, "test", "default", "accuracy", 0.2);
    es_result_add_metric(&result, "a", "b", "c", 0.25);
    es_result_add_metric(&result, "", "", "max", 1e300);
    es_units_set_result(table.units, 3, ES_STATUS_DONE, &result, NULL);
    es_result_clear(&result);
    return table;
}

static void check_text(struct es_export request, const char *expected)
{
    struct table table = make_varied();
    struct es_buf text = {0};
    assert_int_equal(es_export_table(&request, table.units, collect, &text, NULL), 0);
    assert_string_equal(text.data, expected);
    es_buf_clear(&text);
    free_table(&table);
}

#define UNIT0                                                                                      \
    "{\"checkpoint\":\"step1000\",\"step\":1000,\"layer\":21,\"task\":\"STS12\",\"status\":"       \
    "\"done\","
#define UNIT2                                                                                      \
    "{\"checkpoint\":\"a, "                                                                        \
    "\\\"b\\\"\",\"step\":null,\"layer\":21,\"task\":\"STS12\",\"status\":\"done\","
#define UNIT3                                                                                      \
    "{\"checkpoint\":\"a, "                                                                        \
    "\\\"b\\\"\",\"step\":null,\"layer\":21,\"task\":\"Banking77\",\"status\":\"done\","
#define BACK0 "\"main_score\":0.61,\"evaluation_time_s\":12.25"
#define BACK2 "\"main_score\":null,\"evaluation_time_s\":null"
#define BACK3 "\"main_score\":0.5,\"evaluation_time_s\":null"

static void test_json_lines(void **state)
{
    (void)state;
    check_text(
        (struct es_export){.format = ES_EXPORT_JSONL}, UNIT0
        "\"split\":\"test\",\"subset\":\"default\",\"metric\":\"accuracy\",\"value\":0.1," BACK0
        "}\n" UNIT0
        "\"split\":\"test\",\"subset\":\"en/de\",\"metric\":\"accuracy\",\"value\":null," BACK0
        "}\n" UNIT0 "\"split\":null,\"subset\":null,\"metric\":\"step\",\"value\":3," BACK0
        "}\n" UNIT2 "\"split\":null,\"subset\":null,\"metric\":\"main_score\",\"value\":null," BACK2
        "}\n" UNIT3 "\"split\":null,\"subset\":null,\"metric\":\"a/b/c\",\"value\":0.75," BACK3
        "}\n" UNIT3
        "\"split\":\"test\",\"subset\":\"default\",\"metric\":\"accuracy\",\"value\":0.2," BACK3
        "}\n" UNIT3 "\"split\":\"a\",\"subset\":\"b\",\"metric\":\"c\",\"value\":0.25," BACK3
        "}\n" UNIT3 "\"split\":null,\"subset\":null,\"metric\":\"max\",\"value\":1e+300," BACK3
        "}\n");
}

static void test_wide(void **state)
{
    (void)state;
    check_text((struct es_export){.is_wide = true},
               "checkpoint,step,layer,task,status,main_score,evaluation_time_s,"
               "test/default/accuracy,test/en\\/de/accuracy,//step,//a/b/c,a/b/c,max\n"
               "step1000,1000,21,STS12,done,0.61,12.25,0.1,,3,,,\n"
               "\"a, \"\"b\"\"\",,21,STS12,done,,,,,,,,\n"
               "\"a, \"\"b\"\"\",,21,Banking77,done,0.5,,0.2,,,0.75,0.25,1e+300\n");
}

/* Whatever metrics are called: the keys of a line differ. */
static void test_wide_columns_all_have_names_of_their_own(void **state)
{
    (void)state;
    struct table table = make_table(1);
    struct es_result result;
    struct es_buf text = {0};
    const struct es_export request = {.is_wide = true};
    es_result_init(&result);
    es_result_add_metric(&result, "", "", "//step", 1);
    es_result_add_metric(&result, "", "", "step", 2);
    es_result_add_metric(&result, "", "", "////step", 3);
    es_units_set_result(table.units, 0, ES_STATUS_DONE, &result, NULL);
    assert_int_equal(es_export_table(&request, table.units, collect, &text, NULL), 0);
    assert_string_equal(text.data,
                        "checkpoint,step,layer,task,status,main_score,evaluation_time_s,//step,"
                        "////step,//////step\nstep1000,1000,21,STS12,done,,,1,2,3\n");
    es_result_clear(&result);
    es_buf_clear(&text);
    free_table(&table);
}

static void test_wide_json_lines_all_have_every_key(void **state)
{
    (void)state;
    static const char *const metrics[] = {"accuracy"};
    check_text(
        (struct es_export){
            .format = ES_EXPORT_JSONL, .is_wide = true, .metrics = metrics, .n_metrics = 1},
        UNIT0 BACK0
        ",\"test/default/accuracy\":0.1,\"test/en\\\\/de/accuracy\":null}\n" UNIT2 BACK2
        ",\"test/default/accuracy\":null,\"test/en\\\\/de/accuracy\":null}\n" UNIT3 BACK3
        ",\"test/default/accuracy\":0.2,\"test/en\\\\/de/accuracy\":null}\n");
}

static void test_chosen_metrics(void **state)
{
    (void)state;
    static const char *const metrics[] = {"main_score", "max"};
    check_text((struct es_export){.metrics = metrics + 1, .n_metrics = 1},
               HEADER "\"a, \"\"b\"\"\",,21,Banking77,done,,,max,1e+300,0.5,\n");
    check_text((struct es_export){.metrics = metrics, .n_metrics = 2},
               HEADER "step1000,1000,21,STS12,done,,,main_score,0.61,0.61,12.25\n"
                      "\"a, \"\"b\"\"\",,21,STS12,done,,,main_score,,,\n"
                      "\"a, \"\"b\"\"\",,21,Banking77,done,,,main_score,0.5,0.5,\n"
                      "\"a, \"\"b\"\"\",,21,Banking77,done,,,max,1e+300,0.5,\n");
}

static void test_a_metric_that_there_is_not(void **state)
{
    (void)state;
    static const char *const metrics[] = {"acuracy"};
    const struct es_export request = {.metrics = metrics, .n_metrics = 1};
    struct table varied = make_varied(), empty = make_table(1);
    struct es_buf text = {0};
    struct es_err err = {0};
    assert_int_equal(es_export_table(&request, varied.units, collect, &text, &err), ES_ERR_USAGE);
    assert_string_equal(err.subject, "acuracy");
    assert_int_equal(text.len, 0);
    assert_int_equal(es_export_table(&request, empty.units, collect, &text, &err), 0);
    assert_string_equal(text.data, HEADER); /* it may come yet */
    es_buf_clear(&text);
    free_table(&varied);
    free_table(&empty);
}

static void test_nothing_done(void **state)
{
    (void)state;
    struct table table = make_table(1);
    struct es_buf text = {0};
    assert_int_equal(es_export_table(&long_csv, table.units, collect, &text, NULL), 0);
    assert_string_equal(text.data, HEADER);
    es_buf_clear(&text);
    free_table(&table);
}

struct sink {
    size_t n_calls;
    size_t n_bytes;
    size_t largest;
    size_t fail_at; /* this call fails */
};

static int count(void *ctx, const char *bytes, size_t n)
{
    struct sink *sink = ctx;
    assert_int_equal(bytes[n - 1], '\n');
    sink->n_bytes += n;
    if (n > sink->largest)
        sink->largest = n;
    return ++sink->n_calls == sink->fail_at ? -1 : 0;
}

static void fill(struct table *table, size_t n_metrics)
{
    struct es_result result;
    es_result_init(&result);
    for (size_t i = 0; i < n_metrics; i++)
        es_result_add_metric(&result, "test", "default", "accuracy", (double)i);
    for (uint32_t id = 0; id < es_grid_n_units(table->grid); id++)
        assert_int_equal(es_units_set_result(table->units, id, ES_STATUS_DONE, &result, NULL), 0);
    es_result_clear(&result);
}

static void test_goes_out_in_pieces(void **state)
{
    (void)state;
    struct table table = make_table(4);
    struct sink sink = {0};
    struct es_err err = {0};
    fill(&table, 2000); /* more than a piece for each of the 8 units */
    assert_int_equal(es_export_table(&long_csv, table.units, count, &sink, NULL), 0);
    assert_int_equal(sink.n_calls, 8);
    assert_true(sink.largest < 200000);

    sink = (struct sink){.fail_at = 2};
    assert_int_equal(es_export_table(&long_csv, table.units, count, &sink, &err), ES_ERR_IO);
    assert_int_equal(sink.n_calls, 2);
    assert_int_equal(err.code, ES_ERR_IO);
    free_table(&table);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    static const char *const metrics[] = {"accuracy"};
    struct table table = make_varied();
    for (int wide = 0; wide <= 1; wide++) {
        const struct es_export request = {
            .is_wide = wide, .metrics = metrics, .n_metrics = (size_t)wide};
        for (long n = 0;; n++) {
            struct sink sink = {0};
            es_mem_fail_after(n);
            int rc = es_export_table(&request, table.units, count, &sink, NULL);
            es_mem_fail_after(-1);
            if (rc == 0)
                break;
            assert_int_equal(rc, ES_ERR_NOMEM);
            assert_int_equal(sink.n_calls, 0);
        }
    }
    free_table(&table);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_wide_columns_all_have_names_of_their_own),
        cmocka_unit_test(test_wide_json_lines_all_have_every_key),
        cmocka_unit_test(test_chosen_metrics),
        cmocka_unit_test(test_a_metric_that_there_is_not),
        cmocka_unit_test(test_nothing_done),
        cmocka_unit_test(test_goes_out_in_pieces),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
