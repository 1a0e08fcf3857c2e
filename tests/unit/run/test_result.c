/* Scores out of JSON texts: markers of ours and of others, result.json, MTEB files, reply lines. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/attributes.h"
#include "core/mem.h"
#include "core/num.h"
#include "run/marker.h"
#include "run/result_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE ((double)NAN)
#define LEN(array) (sizeof(array) / sizeof(array)[0])

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b;
}

static void check_number(const char *what, double found, double expected)
{
    if (!same(found, expected))
        fail_msg("%s: %.17g, expected %.17g", what, found, expected);
}

/* The metrics as one text: "split/subset/metric=value ...". */
static void metrics_text(const struct es_result *result, struct es_buf *text)
{
    es_buf_reset(text);
    for (size_t i = 0; i < result->n_metrics; i++) {
        const struct es_metric *metric = &result->metrics[i];
        es_buf_printf(text, "%s%s/%s/%s=", i ? " " : "", es_result_text(result, metric->split),
                      es_result_text(result, metric->subset),
                      es_result_text(result, metric->metric));
        es_buf_json_double(text, metric->value);
    }
    es_buf_puts(text, "");
}

struct row {
    const char *name;
    const char *json;
    bool has_score;
    double main_score;
    double time_s;
    const char *metrics;
};

static const struct row rows[] = {
    {"status alone", "{\"status\":\"done\"}", false, NONE, NONE, ""},
    {"no object", "[1,2]", false, NONE, NONE, ""},
    {"a number", " 3.5\n", false, NONE, NONE, ""},
    {"a text", "\"main_score\"", false, NONE, NONE, ""},
    {"null", "null", false, NONE, NONE, ""},
    {"empty object", "{}", false, NONE, NONE, ""},
    {"main score", "{\"main_score\":0.5,\"evaluation_time\":2}", true, 0.5, 2, ""},
    {"time_s", "{\"main_score\":-1,\"time_s\":7}", true, -1, 7, ""},
    {"time in seconds first", "{\"time_s\":7,\"evaluation_time\":6,\"evaluation_time_s\":5}", false,
     NONE, 5, ""},
    {"main score null", "{\"main_score\":null}", true, NONE, NONE, ""},
    {"main score NaN", "{\"main_score\":NaN}", true, NONE, NONE, ""},
    {"main score Infinity", "{\"main_score\":-Infinity}", true, NONE, NONE, ""},
    {"main score overflows", "{\"main_score\":1e999}", true, NONE, NONE, ""},
    {"main score of a wrong type", "{\"main_score\":\"0.5\"}", false, NONE, NONE, ""},
    {"capitals are another key", "{\"Main_Score\":0.5}", false, NONE, NONE, ""},
    {"the first of two", "{\"main_score\":0.5,\"main_score\":0.7}", true, 0.5, NONE, ""},
    {"our result.json",
     "{\"main_score\":0.25,\"metrics\":[{\"split\":\"dev\",\"subset\":\"en\",\"metric\":\"f1\","
     "\"value\":1},{\"metric\":\"ap\",\"value\":null}]}",
     true, 0.25, NONE, "dev/en/f1=1 test/default/ap=null"},
    {"metrics of wrong types",
     "{\"metrics\":[1,null,[],{},{\"metric\":3,\"value\":1},{\"metric\":\"a\",\"value\":\"1\"},"
     "{\"metric\":\"b\"},{\"metric\":\"c\",\"split\":[],\"subset\":7,\"value\":2}]}",
     true, NONE, NONE, "test/default/c=2"},
    {"metrics no list", "{\"metrics\":{\"accuracy\":1}}", false, NONE, NONE, ""},
    {"schema and no score", "{\"schema\":1,\"main_score\":null,\"metrics\":[]}", true, NONE, NONE,
     ""},
    {"invalid UTF-8 in a name", "{\"metrics\":[{\"metric\":\"a\xff\xc3\xa4\",\"value\":1}]}", true,
     NONE, NONE, "test/default/a\xef\xbf\xbd\xc3\xa4=1"},
    {"below its task's name", "{\"STS12\":{\"main_score\":0.75}}", true, 0.75, NONE, ""},
    {"below another's", "{\"STS13\":{\"main_score\":0.75}}", false, NONE, NONE, ""},

    {"mteb 2.x",
     "{\"dataset_revision\":\"a0d5\",\"task_name\":\"STS12\",\"mteb_version\":\"2.1.0\",\"scores\":"
     "{\"test\":[{\"pearson\":0.5,\"main_score\":0.25,\"hf_subset\":\"default\","
     "\"languages\":[\"eng-Latn\"]}]},\"evaluation_time\":12.5,\"kg_co2_emissions\":null}",
     true, 0.25, 12.5, "test/default/pearson=0.5 test/default/main_score=0.25"},
    {"mteb 2.x, splits and subsets",
     "{\"scores\":{\"test\":[{\"main_score\":0.5,\"hf_subset\":\"en\"},"
     "{\"main_score\":0.25,\"hf_subset\":\"de\"}],\"validation\":[{\"main_score\":0.75}]}}",
     true, 0.5, NONE,
     "test/en/main_score=0.5 test/de/main_score=0.25 validation/default/main_score=0.75"},
    {"mteb 2.x, lists and null and NaN",
     "{\"scores\":{\"test\":[{\"accuracy\":null,\"f1\":NaN,\"ap\":[0.1,0.2],\"ok\":true,"
     "\"scores_per_experiment\":[{\"accuracy\":1}],\"main_score\":0.5}]}}",
     true, 0.5, NONE,
     "test/default/accuracy=null test/default/f1=null test/default/main_score=0.5"},
    {"mteb 2.x, one main score missing",
     "{\"scores\":{\"test\":[{\"main_score\":0.5},{\"hf_subset\":\"de\",\"f1\":1}]}}", true, NONE,
     NONE, "test/default/main_score=0.5 test/de/f1=1"},
    {"mteb 2.x, one main score NaN",
     "{\"scores\":{\"test\":[{\"main_score\":NaN},{\"main_score\":1}]}}", true, NONE, NONE,
     "test/default/main_score=null test/default/main_score=1"},
    {"mteb 2.x in an old marker",
     "{\"status\":\"done\",\"main_score\":0.125,\"evaluation_time\":3,\"scores\":{\"test\":"
     "[{\"main_score\":0.5}]}}",
     true, 0.125, 3, "test/default/main_score=0.5"},
    {"scores are empty", "{\"scores\":{}}", false, NONE, NONE, ""},
    {"scores of an empty split", "{\"scores\":{\"test\":[]}}", false, NONE, NONE, ""},
    {"scores of wrong types", "{\"scores\":{\"test\":[1,\"a\",null],\"dev\":\"x\",\"train\":{}}}",
     false, NONE, NONE, ""},
    {"flat scores", "{\"scores\":{\"accuracy\":0.5,\"main_score\":0.5}}", true, 0.5, NONE,
     "test/default/accuracy=0.5 test/default/main_score=0.5"},

    {"mteb 1.x early, flat",
     "{\"dataset_revision\":\"a0d5\",\"mteb_dataset_name\":\"STS12\",\"mteb_version\":\"1.1.1\","
     "\"test\":{\"cos_sim\":{\"pearson\":0.5,\"spearman\":0.25},\"evaluation_time\":2.5,"
     "\"main_score\":0.25}}",
     true, 0.25, 2.5,
     "test/default/cos_sim_pearson=0.5 test/default/cos_sim_spearman=0.25 "
     "test/default/main_score=0.25"},
    {"mteb 0.x, no main score",
     "{\"mteb_version\":\"0.0.2\",\"test\":{\"cos_sim\":{\"spearman\":0.25},"
     "\"dot\":{\"spearman\":0.5},\"evaluation_time\":2.5}}",
     true, NONE, 2.5, "test/default/cos_sim_spearman=0.25 test/default/dot_spearman=0.5"},
    {"mteb 1.x early, by language",
     "{\"mteb_version\":\"1.1.1\",\"test\":{\"en\":{\"accuracy\":0.5,\"main_score\":0.5},"
     "\"de\":{\"accuracy\":0.25,\"main_score\":0.25},\"evaluation_time\":1},"
     "\"validation\":{\"evaluation_time\":2,\"en\":{\"main_score\":0.75}}}",
     true, 0.5, 3,
     "test/en/accuracy=0.5 test/en/main_score=0.5 test/de/accuracy=0.25 "
     "test/de/main_score=0.25 validation/en/main_score=0.75"},
    {"mteb 1.x early, no version", "{\"test\":{\"ndcg_at_10\":0.5,\"main_score\":0.5}}", true, 0.5,
     NONE, "test/default/ndcg_at_10=0.5 test/default/main_score=0.5"},
    {"an object that is no split", "{\"config\":{\"seed\":3}}", false, NONE, NONE, ""},
};

static void test_forms(void **state)
{
    (void)state;
    struct es_result result;
    struct es_buf metrics = {0};
    es_result_init(&result);
    for (size_t i = 0; i < LEN(rows); i++) {
        const struct row *row = &rows[i];
        bool has_score = !row->has_score;
        print_message("%s\n", row->name);
        assert_true(es_result_parse(row->json, strlen(row->json), "STS12", &result, &has_score));
        assert_int_equal(has_score, row->has_score);
        check_number("main_score", result.main_score, row->main_score);
        check_number("evaluation_time_s", result.evaluation_time_s, row->time_s);
        metrics_text(&result, &metrics);
        assert_string_equal(metrics.data, row->metrics);
        assert_false(result.failed);
    }
    es_buf_clear(&metrics);
    es_result_clear(&result);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "{\"main_score\":0.5",
        "{\"main_score\":0.5}}",
        "{\"main_score\":0.5} x",
        "nan",
        "\x7f\x45LF",
        "{\"a\":}",
        "{'a':1}",
        "{\"a\" 1}",
        "[1,]x",
        "\"abc",
        "{\"a\":1}\n{}",
    };
    struct es_result result;
    es_result_init(&result);
    for (size_t i = 0; i < LEN(texts); i++) {
        bool has_score = true;
        print_message("%s\n", texts[i]);
        assert_false(es_result_parse(texts[i], strlen(texts[i]), "STS12", &result, &has_score));
        assert_true(has_score); /* untouched */
        check_number("main_score", result.main_score, NONE);
        assert_int_equal(result.n_metrics, 0);
    }
    assert_false(es_result_parse("\0\0\0\0", 4, "STS12", &result, NULL));
    assert_false(es_result_parse("{}\0\0", 4, "STS12", &result, NULL));
    es_result_clear(&result);
}

static void test_deep_nesting(void **state)
{
    (void)state;
    struct es_result result;
    struct es_buf text = {0};
    es_result_init(&result);
    for (int depth = 100; depth <= 1000000; depth *= 100) { /* cJSON's limit lies at 1000 */
        es_buf_reset(&text);
        es_buf_puts(&text, "{\"mteb_version\":\"1\",\"test\":{\"main_score\":1,\"x\":");
        for (int i = 0; i < depth; i++)
            es_buf_puts(&text, "{\"a\":");
        es_buf_puts(&text, "2");
        for (int i = 0; i < depth + 2; i++)
            es_buf_putc(&text, '}');
        bool parsed = es_result_parse(text.data, text.len, "STS12", &result, NULL);
        assert_int_equal(parsed, depth < 1000);
        assert_int_equal(result.n_metrics, parsed ? 1 : 0);
    }
    es_buf_clear(&text);
    es_result_clear(&result);
}

/* A name of megabytes above many scores must not stand there once for each of them. */
static void test_long_names(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"mteb_version\":\"1\",\"test\":{\"main_score\":1,\"%s\":{\"a\":1,\"b\":2}}}",
        "{\"mteb_version\":\"1\",\"%s\":{\"main_score\":1}}",
        "{\"scores\":{\"test\":[{\"hf_subset\":\"%s\",\"main_score\":1}]}}",
        "{\"main_score\":1,\"metrics\":[{\"split\":\"%s\",\"metric\":\"m\",\"value\":1}]}",
        "{\"main_score\":1,\"metrics\":[{\"metric\":\"%s\",\"value\":1}]}",
    };
    static char name[5000];
    struct es_result result;
    struct es_buf text = {0};
    es_result_init(&result);
    for (size_t i = 0; i < LEN(forms); i++) {
        size_t n_metrics[2];
        for (int is_long = 0; is_long < 2; is_long++) {
            memset(name, 'n', sizeof name - 1);
            name[is_long ? sizeof name - 1 : 900] = '\0';
            es_buf_reset(&text);
            es_buf_printf(&text, forms[i], name);
            assert_true(es_result_parse(text.data, text.len, "STS12", &result, NULL));
            n_metrics[is_long] = result.n_metrics;
            assert_true(result.text_len < 2500);
            check_number("main_score", result.main_score, 1);
        }
        assert_true(n_metrics[1] < n_metrics[0]);
    }
    /* Within the limit, and beyond it once each byte that is no UTF-8 has become three: it could be
     * written, and not be read again. */
    memset(name, 0xff, 400);
    name[400] = '\0';
    es_buf_reset(&text);
    es_buf_printf(&text, forms[4], name);
    assert_true(es_result_parse(text.data, text.len, "STS12", &result, NULL));
    assert_int_equal(result.n_metrics, 0);
    es_buf_clear(&text);
    es_result_clear(&result);
}

static void test_circumstances(void **state)
{
    (void)state;
    const char *json =
        "{\"main_score\":1,\"started\":\"2026-01-15T04:52:14Z\",\"finished\":\"2026-01-15 "
        "04:53:14\","
        "\"host\":\"n1\",\"device\":\"cuda:0\",\"rank\":3,\"attempt\":2,\"load_s\":1.5,"
        "\"pass_s\":2.5,\"score_s\":0.5,\"reason\":\"why\"}";
    const char *wrong = "{\"main_score\":1,\"started\":5,\"finished\":\"soon\",\"host\":{},"
                        "\"device\":null,\"rank\":1.5,\"attempt\":\"2\",\"load_s\":\"x\","
                        "\"pass_s\":[],\"score_s\":true,\"reason\":1}";
    struct es_result result;
    es_result_init(&result);
    assert_true(es_result_parse(json, strlen(json), "STS12", &result, NULL));
    check_number("started", result.started_s, 1768452734);
    check_number("finished", result.finished_s, 1768452794);
    check_number("load", result.load_s, 1.5);
    check_number("pass", result.pass_s, 2.5);
    check_number("score", result.score_s, 0.5);
    assert_string_equal(es_result_text(&result, result.host), "n1");
    assert_string_equal(es_result_text(&result, result.device), "cuda:0");
    assert_string_equal(es_result_text(&result, result.reason), "why");
    assert_int_equal(result.rank, 3);
    assert_int_equal(result.attempt, 2);

    assert_true(es_result_parse(wrong, strlen(wrong), "STS12", &result, NULL));
    check_number("started", result.started_s, NONE);
    check_number("finished", result.finished_s, NONE);
    check_number("load", result.load_s, NONE);
    check_number("pass", result.pass_s, NONE);
    check_number("score", result.score_s, NONE);
    assert_int_equal(result.host, 0);
    assert_int_equal(result.device, 0);
    assert_int_equal(result.reason, 0);
    assert_int_equal(result.rank, -1);
    assert_int_equal(result.attempt, 0);
    es_result_clear(&result);
}

static void check_same_result(const struct es_result *a, const struct es_result *b)
{
    struct es_buf metrics_a = {0}, metrics_b = {0};
    check_number("main_score", a->main_score, b->main_score);
    check_number("evaluation_time_s", a->evaluation_time_s, b->evaluation_time_s);
    check_number("started_s", a->started_s, b->started_s);
    check_number("finished_s", a->finished_s, b->finished_s);
    check_number("load_s", a->load_s, b->load_s);
    check_number("pass_s", a->pass_s, b->pass_s);
    check_number("score_s", a->score_s, b->score_s);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->rank, b->rank);
    assert_string_equal(es_result_text(a, a->host), es_result_text(b, b->host));
    assert_string_equal(es_result_text(a, a->device), es_result_text(b, b->device));
    assert_string_equal(es_result_text(a, a->reason), es_result_text(b, b->reason));
    assert_string_equal(es_result_text(a, a->attributes), es_result_text(b, b->attributes));
    metrics_text(a, &metrics_a);
    metrics_text(b, &metrics_b);
    assert_string_equal(metrics_a.data, metrics_b.data);
    for (size_t i = 0; i < a->n_metrics; i++) /* the text would hide NaN and null alike */
        check_number("metric", a->metrics[i].value, b->metrics[i].value);
    es_buf_clear(&metrics_a);
    es_buf_clear(&metrics_b);
}

static double random_value(struct es_rng *rng)
{
    switch (es_rng_below(rng, 7)) {
    case 0:
        return (double)NAN;
    case 1:
        return 0;
    case 2:
        return (double)es_rng_below(rng, 1000);
    case 3:
        return (double)es_rng_below(rng, 1000000) / 1000;
    case 4:
        return es_rng_normal(rng) * 1e-9;
    case 5:
        return es_rng_normal(rng) * 1e20;
    default:
        return es_rng_normal(rng);
    }
}

static void random_attributes(struct es_rng *rng, struct es_result *result)
{
    static const char *const values[] = {"mean", "", "\"a\"\\", "\n\x01\x7f", "\xc3\xa9"};
    struct es_attributes set = {0};
    struct es_buf text = {0};
    for (uint64_t n = es_rng_below(rng, 4); n > 0; n--) {
        char name[] = {(char)('a' + es_rng_below(rng, 4)), '\0'};
        if (es_rng_below(rng, 2))
            es_attributes_add_number(&set, name, random_value(rng));
        else if (es_rng_below(rng, 2))
            es_attributes_add_bool(&set, name, es_rng_below(rng, 2));
        else
            es_attributes_add_text(&set, name, values[es_rng_below(rng, LEN(values))]);
    }
    es_attributes_write(&set, &text);
    result->attributes = es_result_keep(result, text.data, text.len);
    es_attributes_clear(&set);
    es_buf_clear(&text);
}

static void random_result(struct es_rng *rng, struct es_result *result)
{
    static const char *const names[] = {"test", "default",       "accuracy",   "ndcg_at_10", "",
                                        "x y",  "en-de",         "validation", "f1",         "ap",
                                        "de",   "cos_sim \"x\"", "\xc3\xa4",   "a\\b"};
    es_result_reset(result);
    result->main_score = random_value(rng);
    result->evaluation_time_s = fabs(random_value(rng));
    double *parts[] = {&result->load_s, &result->pass_s, &result->score_s};
    for (int i = 0; i < 3; i++)
        *parts[i] = fabs(random_value(rng));
    if (es_rng_below(rng, 4)) /* whole seconds, of the years 1019 to 5138 */
        result->started_s = (double)es_rng_below(rng, 130000000000) - 30000000000.0;
    if (es_rng_below(rng, 4))
        result->finished_s = (double)es_rng_below(rng, 4000000000);
    result->attempt = (int32_t)es_rng_below(rng, 4);
    result->rank = (int32_t)es_rng_below(rng, 300) - 1;
    const char *host = names[es_rng_below(rng, LEN(names))];
    result->host = es_result_keep(result, host, strlen(host));
    result->device = es_result_keep(result, "cuda:0", 6);
    random_attributes(rng, result);
    for (uint64_t n = es_rng_below(rng, 5); n > 0; n--)
        es_result_add_metric(result, names[es_rng_below(rng, LEN(names))],
                             names[es_rng_below(rng, LEN(names))],
                             names[es_rng_below(rng, LEN(names))], random_value(rng));
}

static struct es_grid *make_grid(void)
{
    static const char *const checkpoints[] = {"step0", "st\xc3\xa9p \"1\""}, *const tasks[] = {
                                                                                 "STS12"};
    static const int32_t layers[] = {0, 22};
    struct es_grid *grid;
    assert_int_equal(es_grid_create(checkpoints, 2, layers, 2, tasks, 1, &grid, NULL), 0);
    return grid;
}

/* Whatever the writer makes reads back the same, by the short way (where that takes it) and by the
 * long one. */
static void test_round_trip(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    struct es_rng rng;
    struct es_result written, found, quick;
    struct es_buf text = {0};
    uint32_t n_quick = 0;
    es_rng_init(&rng, 7);
    es_result_init(&written);
    es_result_init(&found);
    es_result_init(&quick);
    for (int i = 0; i < 5000; i++) {
        random_result(&rng, &written);
        struct es_unit unit = es_grid_unit(grid, (uint32_t)es_rng_below(&rng, 4));
        const char *versions = i % 3 ? "{\"evalsweep\":\"0.1.0\",\"python\":\"3.11\"}" : "{}";
        es_marker_text(grid, unit, &written, versions, "", NULL, 0, &text);
        es_result_reset(&found);
        assert_int_equal(es_result_merge(text.data, text.len, "STS12", &found), ES_FORM_COMPLETE);
        check_same_result(&found, &written);
        es_result_reset(&quick);
        if (es_result_quick(text.data, text.len, &quick)) {
            check_same_result(&quick, &written);
            n_quick++;
        }
    }
    assert_in_range(n_quick, 500, 4500); /* both ways were taken */
    es_result_clear(&written);
    es_result_clear(&found);
    es_result_clear(&quick);
    es_buf_clear(&text);
    es_grid_free(grid);
}

/* The usual marker of ours does take the short way. */
static void test_quick_is_taken(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    struct es_result result;
    struct es_buf text = {0};
    es_result_init(&result);
    result.main_score = 0.12345678901234567;
    result.started_s = 1768452734;
    result.load_s = 0.25;
    result.attributes = es_result_keep(&result, "{\"a\":1,\"b\":\"x\"}", 15);
    es_result_add_metric(&result, "test", "default", "accuracy", 0.5);
    es_marker_text(grid, es_grid_unit(grid, 0), &result, "{\"evalsweep\":\"0.1.0\"}", "", NULL, 0,
                   &text);
    es_result_reset(&result);
    assert_true(es_result_quick(text.data, text.len, &result));
    assert_string_equal(es_result_text(&result, result.attributes), "{\"a\":1,\"b\":\"x\"}");
    text.len -= strlen("{\"a\":1,\"b\":\"x\"}}\n"); /* "attributes": and no value is no JSON */
    es_buf_puts(&text, "}\n");
    es_result_reset(&result);
    assert_false(es_result_quick(text.data, text.len, &result));
    es_result_clear(&result);
    es_buf_clear(&text);
    es_grid_free(grid);
}

/* Damaged in any way, a marker is read the same by the short way or not at all. */
static void test_quick_agrees_when_damaged(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    struct es_rng rng;
    struct es_result result, quick;
    struct es_buf text = {0};
    es_rng_init(&rng, 11);
    es_result_init(&result);
    es_result_init(&quick);
    for (int i = 0; i < 20000; i++) {
        static const char bytes[] = "0123456789.-eE{}[]\":, \\nulNaI\n\xff\x01";
        random_result(&rng, &result);
        es_marker_text(grid, es_grid_unit(grid, 0), &result, "{\"evalsweep\":\"0.1.0\"}", "", NULL,
                       0, &text);
        size_t n = i % 8 ? text.len : es_rng_below(&rng, text.len);
        for (uint64_t k = es_rng_below(&rng, 3); k > 0; k--)
            text.data[es_rng_below(&rng, text.len)] = bytes[es_rng_below(&rng, sizeof bytes - 1)];
        char *exact = malloc(n ? n : 1); /* so that reading beyond the end is noticed */
        assert_non_null(exact);
        memcpy(exact, text.data, n);
        es_result_reset(&quick);
        if (es_result_quick(exact, n, &quick)) {
            es_result_reset(&result);
            assert_int_equal(es_result_merge(exact, n, "STS12", &result), ES_FORM_COMPLETE);
            check_same_result(&quick, &result);
        }
        free(exact);
    }
    es_result_clear(&result);
    es_result_clear(&quick);
    es_buf_clear(&text);
    es_grid_free(grid);
}

/* Out of memory at any point: refused or marked, never a crash. */
static void test_no_memory(void **state)
{
    (void)state;
    const char *json = rows[16].json;
    for (long n = 0; n < 20; n++) {
        struct es_result result;
        es_result_init(&result);
        es_mem_fail_after(n);
        bool parsed = es_result_parse(json, strlen(json), "STS12", &result, NULL);
        es_mem_fail_after(-1);
        assert_true(parsed);
        assert_true(result.failed || result.n_metrics == 2);
        assert_true(n > 0 || result.failed);
        es_result_clear(&result);
    }
}

static void test_reply_ok(void **state)
{
    (void)state;
    const char *line = "{\"unit\":17,\"status\":\"ok\",\"main_score\":0.5,\"metrics\":[{\"split\":"
                       "\"test\",\"subset\":\"default\",\"metric\":\"f1\",\"value\":0.25},"
                       "{\"metric\":\"ap\",\"value\":NaN}],\"load_s\":0,\"pass_s\":3.5,"
                       "\"score_s\":null}";
    struct es_reply reply = {0};
    struct es_result result;
    struct es_buf metrics = {0};
    es_result_init(&result);
    assert_int_equal(es_reply_parse(line, strlen(line), &reply, &result, NULL), 0);
    assert_int_equal(reply.unit, 17);
    assert_true(reply.ok);
    check_number("main_score", result.main_score, 0.5);
    check_number("load_s", result.load_s, 0);
    check_number("pass_s", result.pass_s, 3.5);
    check_number("score_s", result.score_s, NONE);
    metrics_text(&result, &metrics);
    assert_string_equal(metrics.data, "test/default/f1=0.25 test/default/ap=null");

    line = "{\"status\":\"ok\",\"main_score\":null}\n";
    assert_int_equal(es_reply_parse(line, strlen(line), &reply, &result, NULL), 0);
    assert_int_equal(reply.unit, -1);
    check_number("main_score", result.main_score, NONE);
    assert_int_equal(result.n_metrics, 0);
    es_buf_clear(&metrics);
    es_result_clear(&result);
}

static void test_reply_error(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool may_retry;
        const char *error;
    } cases[] = {
        {"{\"unit\":3,\"status\":\"error\",\"error\":\"CUDA out of memory\",\"retry\":true}", true,
         "CUDA out of memory"},
        {"{\"unit\":3,\"status\":\"error\",\"error\":\"no such task\",\"retry\":false}", false,
         "no such task"},
        {"{\"unit\":3,\"status\":\"error\",\"error\":\"\xff\"}", true, "\xef\xbf\xbd"},
        {"{\"unit\":3,\"status\":\"error\"}", true, "the evaluator gave no reason"},
    };
    struct es_result result;
    es_result_init(&result);
    for (size_t i = 0; i < LEN(cases); i++) {
        struct es_reply reply = {.ok = true};
        assert_int_equal(
            es_reply_parse(cases[i].line, strlen(cases[i].line), &reply, &result, NULL), 0);
        assert_false(reply.ok);
        assert_int_equal(reply.unit, 3);
        assert_int_equal(reply.may_retry, cases[i].may_retry);
        assert_string_equal(es_result_text(&result, reply.error), cases[i].error);
    }
    es_result_clear(&result);
}

static void test_reply_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *why; /* what the error must say */
    } cases[] = {
        {"", "empty"},
        {"hello", "not valid JSON"},
        {"[]", "a JSON object"},
        {"{}", "\"ok\" or \"error\""},
        {"{\"status\":\"done\"}", "\"ok\" or \"error\""},
        {"{\"status\":1}", "\"ok\" or \"error\""},
        {"{\"unit\":\"3\",\"status\":\"ok\"}", "unit"},
        {"{\"unit\":1.5,\"status\":\"ok\"}", "unit"},
        {"{\"unit\":-1,\"status\":\"ok\"}", "unit"},
        {"{\"unit\":1e300,\"status\":\"ok\"}", "unit"},
        {"{\"unit\":null,\"status\":\"ok\"}", "unit"},
        {"{\"status\":\"ok\",\"main_score\":\"0.5\"}", "main_score"},
        {"{\"status\":\"ok\",\"main_score\":true}", "main_score"},
        {"{\"status\":\"ok\",\"load_s\":-1}", "load_s"},
        {"{\"status\":\"ok\",\"pass_s\":{}}", "pass_s"},
        {"{\"status\":\"ok\",\"metrics\":{}}", "metrics"},
        {"{\"status\":\"ok\",\"metrics\":[{\"metric\":\"a\",\"value\":1},{\"metric\":\"a\"}]}",
         "entry 1"},
        {"{\"status\":\"ok\",\"metrics\":[{\"value\":1}]}", "entry 0"},
        {"{\"status\":\"ok\",\"metrics\":[{\"metric\":\"a\",\"value\":[1]}]}", "entry 0"},
        {"{\"status\":\"ok\",\"metrics\":[{\"metric\":\"a\",\"value\":1,\"split\":2}]}", "entry 0"},
        {"{\"status\":\"ok\",\"metrics\":[null]}", "entry 0"},
        {"{\"status\":\"error\",\"error\":5}", "error"},
        {"{\"status\":\"error\",\"retry\":\"no\"}", "retry"},
        {"{\"status\":\"ok\"} {\"status\":\"ok\"}", "not valid JSON"},
    };
    struct es_result result;
    es_result_init(&result);
    for (size_t i = 0; i < LEN(cases); i++) {
        struct es_reply reply = {.unit = 77};
        struct es_err err = {0};
        char text[1024];
        print_message("%s\n", cases[i].line);
        assert_int_equal(
            es_reply_parse(cases[i].line, strlen(cases[i].line), &reply, &result, &err),
            ES_ERR_PROTOCOL);
        es_err_text(&err, text, sizeof text);
        assert_non_null(strstr(text, cases[i].why));
        assert_int_equal(reply.unit, 77);
        assert_int_equal(result.n_metrics, 0);
    }
    es_result_clear(&result);
}

static void test_reply_attributes(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        const char *kept;
    } cases[] = {
        {"{\"pooling\":\"mean\",\"n_layers\":24.0,\"normalize\":false}",
         "{\"n_layers\":24,\"normalize\":false,\"pooling\":\"mean\"}"},
        {"{\"a\":{\"b\":1},\"b\":[1],\"c\":null,\"d\":NaN,\"e\":-Infinity,\"f\":1e999,\"g\":true}",
         "{\"g\":true}"},
        {"{\"\":1,\"a b\":1,\"1\":1,\"a\\u0022\":1,\"\\u00e9\":1,\"a.b\":1,\"ok\":\"\\u0041\xff\"}",
         "{\"ok\":\"A\xef\xbf\xbd\"}"},
        {"{\"a\":1,\"a\":2}", "{\"a\":1}"},
        {"{}", ""},
        {"[\"a\",1]", ""},
        {"\"a\"", ""},
        {"null", ""},
    };
    struct es_reply reply = {0};
    struct es_result result;
    struct es_buf line = {0};
    es_result_init(&result);
    for (size_t i = 0; i < LEN(cases); i++) {
        es_buf_reset(&line);
        es_buf_printf(&line, "{\"status\":\"ok\",\"main_score\":0.5,\"attributes\":%s}",
                      cases[i].given);
        assert_int_equal(es_reply_parse(line.data, line.len, &reply, &result, NULL), 0);
        assert_true(reply.ok);
        check_number("main_score", result.main_score, 0.5);
        assert_string_equal(es_result_text(&result, result.attributes), cases[i].kept);
    }
    es_buf_reset(&line);
    es_buf_puts(&line, "{\"status\":\"ok\",\"attributes\":{\"a\":\"");
    for (int n = 0; n < 100000; n++)
        es_buf_putc(&line, 'x');
    es_buf_putc(&line, '"');
    for (int n = 0; n < 100000; n++)
        es_buf_printf(&line, ",\"n%d\":%d", n, n);
    es_buf_puts(&line, "}}");
    assert_int_equal(es_reply_parse(line.data, line.len, &reply, &result, NULL), 0);
    const char *kept = es_result_text(&result, result.attributes);
    assert_true(es_attributes_are_valid(kept));
    assert_non_null(strstr(kept, "\"n31\":31"));
    assert_null(strstr(kept, "\"n32\""));
    es_buf_clear(&line);
    es_result_clear(&result);
}

/* A reply that nests 100,000 deep, and one under a name of megabytes. */
static void test_reply_hostile(void **state)
{
    (void)state;
    static const char *const starts[] = {
        "{\"status\":\"ok\",\"x\":", "{\"status\":\"ok\",\"metrics\":[{\"value\":1,\"metric\":\""};
    static const char *const ends[] = {"]}", "\"}]}"};
    static const char *const faults[] = {"not valid JSON", "of at most 1000 bytes"};
    for (int i = 0; i < 2; i++) {
        struct es_buf line = {0};
        struct es_reply reply = {.unit = 77};
        struct es_result result;
        struct es_err err = {0};
        es_result_init(&result);
        es_buf_puts(&line, starts[i]);
        for (int n = 0; n < 100000; n++)
            es_buf_putc(&line, '[');
        for (int n = 1; n < 100000 && i == 0; n++)
            es_buf_putc(&line, ']');
        es_buf_puts(&line, ends[i]);
        assert_int_equal(es_reply_parse(line.data, line.len, &reply, &result, &err),
                         ES_ERR_PROTOCOL);
        assert_non_null(strstr(err.why, faults[i]));
        es_result_clear(&result);
        es_buf_clear(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_circumstances),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_quick_is_taken),
        cmocka_unit_test(test_quick_agrees_when_damaged),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_reply_ok),
        cmocka_unit_test(test_reply_error),
        cmocka_unit_test(test_reply_refused),
        cmocka_unit_test(test_reply_attributes),
        cmocka_unit_test(test_reply_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
