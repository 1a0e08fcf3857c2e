#include "evalsweep/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_UNITS = 12 };

struct fixture {
    struct es_grid *grid;
    struct es_units *units;
    struct es_result result;
};

static int set_up(void **state)
{
    static const char *const checkpoints[] = {"a", "b", "c"}, *const tasks[] = {"t", "u"};
    static const int32_t layers[] = {1, 2};
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || es_grid_create(checkpoints, 3, layers, 2, tasks, 2, &f->grid, NULL) < 0)
        return -1;
    es_grid_exclude(f->grid, 0, 0, 0);
    es_result_init(&f->result);
    *state = f;
    return es_units_create(f->grid, &f->units, NULL);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    es_mem_fail_after(-1);
    es_result_clear(&f->result);
    es_units_free(f->units);
    es_grid_free(f->grid);
    free(f);
    return 0;
}

static void assert_unscored(const struct es_units_columns *columns, uint32_t id)
{
    assert_true(isnan(columns->main_score[id]));
    assert_true(isnan(columns->evaluation_time_s[id]));
    assert_true(isnan(columns->finished_s[id]));
    assert_int_equal(columns->attempts[id], 0);
    assert_int_equal(columns->worker[id], -1);
    assert_true(isnan(columns->started_s[id]) && isnan(columns->load_s[id]));
    assert_true(isnan(columns->pass_s[id]) && isnan(columns->score_s[id]));
    assert_int_equal(columns->host[id] + columns->device[id] + columns->reason[id], 0);
    assert_int_equal(columns->marker[id].inode, 0);
    assert_int_equal(columns->marker[id].size_bytes, 0);
    assert_int_equal(columns->marker[id].mtime_ns, 0);
}

static void test_begins_pending(void **state)
{
    struct fixture *f = *state;
    struct es_units_columns columns = es_units_columns(f->units);
    assert_ptr_equal(es_units_grid(f->units), f->grid);
    assert_int_equal(columns.n_units, N_UNITS);
    assert_int_equal(columns.n_rows, 0);
    for (uint32_t id = 0; id < N_UNITS; id++) {
        uint32_t first;
        assert_int_equal(columns.status[id], id == 0 ? ES_STATUS_EXCLUDED : ES_STATUS_PENDING);
        assert_unscored(&columns, id);
        assert_int_equal(es_units_rows_of(f->units, id, &first), 0);
    }
    for (int kind = ES_NAME_SPLIT; kind <= ES_NAME_METRIC; kind++)
        assert_int_equal(es_units_n_names(f->units, (enum es_name_kind)kind), 0);
    es_units_free(NULL);
}

static void test_set_and_reset(void **state)
{
    struct fixture *f = *state;
    struct es_file_id marker = {.inode = 7, .size_bytes = 8, .mtime_ns = 9};
    f->result.main_score = 0.5;
    f->result.evaluation_time_s = 2;
    f->result.finished_s = 1e9;
    f->result.attempt = 3;
    f->result.rank = 4;
    f->result.started_s = 9e8;
    f->result.load_s = 1;
    f->result.pass_s = 2;
    f->result.score_s = 3;
    f->result.host = es_result_keep(&f->result, "node7", 5);
    f->result.device = es_result_keep(&f->result, "0,1", 3);
    f->result.reason = es_result_keep(&f->result, "none, since it is done", 22);
    es_result_add_metric(&f->result, "test", "default", "accuracy", 0.5);
    es_result_add_metric(&f->result, "test", "en", "f1", 0.25);
    assert_int_equal(es_units_set_result(f->units, 5, ES_STATUS_DONE, &f->result, &marker), 0);
    struct es_units_columns columns = es_units_columns(f->units);
    assert_int_equal(columns.status[5], ES_STATUS_DONE);
    assert_true(columns.main_score[5] == 0.5 && columns.evaluation_time_s[5] == 2);
    assert_true(columns.finished_s[5] == 1e9);
    assert_int_equal(columns.attempts[5], 3);
    assert_int_equal(columns.worker[5], 4);
    assert_true(columns.started_s[5] == 9e8);
    assert_true(columns.load_s[5] == 1 && columns.pass_s[5] == 2 && columns.score_s[5] == 3);
    assert_string_equal(es_units_name(f->units, ES_NAME_HOST, columns.host[5]), "node7");
    assert_string_equal(es_units_name(f->units, ES_NAME_DEVICE, columns.device[5]), "0,1");
    assert_int_equal(columns.reason[5], 0);
    assert_memory_equal(&columns.marker[5], &marker, sizeof marker);
    uint32_t first;
    assert_int_equal(es_units_rows_of(f->units, 5, &first), 2);
    const struct es_metric_row *row = &columns.rows[first + 1];
    assert_int_equal(row->unit, 5);
    assert_true(row->value == 0.25);
    assert_string_equal(es_units_name(f->units, ES_NAME_SPLIT, row->split), "test");
    assert_string_equal(es_units_name(f->units, ES_NAME_SUBSET, row->subset), "en");
    assert_string_equal(es_units_name(f->units, ES_NAME_METRIC, row->metric), "f1");
    assert_int_equal(es_units_n_names(f->units, ES_NAME_SPLIT), 1);
    assert_int_equal(es_units_n_names(f->units, ES_NAME_SUBSET), 2);

    assert_int_equal(es_units_set_result(f->units, 5, ES_STATUS_FAILED, &f->result, NULL), 0);
    assert_int_equal(es_units_columns(f->units).status[5], ES_STATUS_FAILED);
    assert_int_equal(es_units_columns(f->units).marker[5].inode, 0);

    es_units_reset(f->units, 5);
    columns = es_units_columns(f->units);
    assert_int_equal(columns.status[5], ES_STATUS_PENDING);
    assert_unscored(&columns, 5);
    assert_int_equal(es_units_rows_of(f->units, 5, &first), 0);
}

/* A result that says nothing but these attributes. */
static void set_attributes(struct fixture *f, uint32_t id, enum es_status status,
                           const char *attributes)
{
    es_result_reset(&f->result);
    f->result.attributes = es_result_keep(&f->result, attributes, strlen(attributes));
    assert_int_equal(es_units_set_result(f->units, id, status, &f->result, NULL), 0);
}

static void test_attributes_are_merged(void **state)
{
    struct fixture *f = *state;
    static const char one[] = "{\"model\":\"x\",\"version\":1}", two[] = "{\"version\":2}";
    assert_string_equal(es_units_attributes(f->units), "");
    set_attributes(f, 3, ES_STATUS_DONE, "");
    assert_string_equal(es_units_attributes(f->units), "");
    set_attributes(f, 4, ES_STATUS_DONE, one);
    set_attributes(f, 5, ES_STATUS_FAILED, one);
    assert_string_equal(es_units_attributes(f->units), one);
    set_attributes(f, 6, ES_STATUS_DONE, two);
    assert_string_equal(es_units_attributes(f->units),
                        "{\"model\":\"x\",\"version\":\"(differs)\"}");
    assert_int_equal(es_units_add_attributes(f->units, "{\"dtype\":\"f\"}"), 0);
    assert_string_equal(es_units_attributes(f->units),
                        "{\"dtype\":\"f\",\"model\":\"x\",\"version\":\"(differs)\"}");
}

/* As when everything is evaluated again: what earlier results said is of no result any more. */
static void test_attributes_go_with_the_last_result(void **state)
{
    struct fixture *f = *state;
    static const char one[] = "{\"version\":1}", two[] = "{\"version\":2}";
    set_attributes(f, 3, ES_STATUS_DONE, one);
    set_attributes(f, 3, ES_STATUS_DONE, one);
    set_attributes(f, 4, ES_STATUS_FAILED, one);
    es_units_reset(f->units, 3);
    es_units_reset(f->units, 5);
    assert_string_equal(es_units_attributes(f->units), one);
    es_units_reset(f->units, 4);
    assert_string_equal(es_units_attributes(f->units), "");
    set_attributes(f, 4, ES_STATUS_DONE, two);
    assert_string_equal(es_units_attributes(f->units), two);
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    f->result.main_score = 1;
    for (uint32_t id = 1; id < 4; id++)
        assert_int_equal(es_units_set_result(f->units, id, ES_STATUS_DONE, &f->result, NULL), 0);
    assert_int_equal(es_units_set_result(f->units, 4, ES_STATUS_FAILED, &f->result, NULL), 0);
    es_result_reset(&f->result); /* no score */
    assert_int_equal(es_units_set_result(f->units, 5, ES_STATUS_DONE, &f->result, NULL), 0);
    assert_int_equal(es_units_set_result(f->units, 6, ES_STATUS_FAILED, &f->result, NULL), 0);
    struct es_counts counts = es_units_count(f->units);
    assert_int_equal(counts.done, 4);
    assert_int_equal(counts.failed, 2);
    assert_int_equal(counts.excluded, 1);
    assert_int_equal(counts.pending, N_UNITS - 7);
    assert_int_equal(counts.done_without_score, 1);
}

/* What a unit's rows should say: n rows, named by their place, valued by unit and version. */
static void fill(struct es_result *result, uint32_t id, int version, int n)
{
    es_result_reset(result);
    result->main_score = id + version * 1000.0;
    for (int i = 0; i < n % 4; i++) {
        const struct es_try try = {.started_s = id + version * 1000.0, .attempt = i};
        es_result_add_try(result, &try, &(struct es_try_texts){"h", "", i ? "x" : "y", ""});
    }
    for (int i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", i);
        es_result_add_metric(result, i % 2 ? "dev" : "test", "default", name,
                             id + version * 1000.0 + i / 100.0);
    }
}

static void check(struct es_units *units, uint32_t id, int version, int n)
{
    struct es_units_columns columns = es_units_columns(units);
    const struct es_try_row *earlier;
    uint32_t first;
    assert_int_equal(es_units_earlier(units, id, &earlier), n % 4);
    for (int i = 0; i < n % 4; i++) {
        assert_int_equal(earlier[i].unit, id);
        assert_int_equal(earlier[i].attempt, i);
        assert_true(earlier[i].started_s == id + version * 1000.0);
        assert_string_equal(es_units_name(units, ES_NAME_HOST, earlier[i].host), "h");
        assert_string_equal(es_units_name(units, ES_NAME_REASON, earlier[i].reason), i ? "x" : "y");
    }
    assert_int_equal(es_units_rows_of(units, id, &first), n);
    assert_true(n == 0 || first + (uint32_t)n <= columns.n_rows);
    for (int i = 0; i < n; i++) {
        const struct es_metric_row *row = &columns.rows[first + (uint32_t)i];
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(row->unit, id);
        assert_true(row->value == id + version * 1000.0 + i / 100.0);
        assert_string_equal(es_units_name(units, ES_NAME_METRIC, row->metric), name);
        assert_string_equal(es_units_name(units, ES_NAME_SPLIT, row->split),
                            i % 2 ? "dev" : "test");
    }
}

static void test_replacing_in_any_order(void **state)
{
    struct fixture *f = *state;
    int version[N_UNITS] = {0}, n_rows[N_UNITS] = {0};
    struct es_rng rng;
    es_rng_init(&rng, 3);
    size_t most = 0;
    for (int round = 1; round <= 2000; round++) {
        uint32_t id = (uint32_t)es_rng_below(&rng, N_UNITS);
        if (es_rng_below(&rng, 5) == 0) {
            n_rows[id] = 0;
            es_units_reset(f->units, id);
        } else {
            version[id] = round;
            n_rows[id] = (int)es_rng_below(&rng, 7);
            fill(&f->result, id, round, n_rows[id]);
            assert_int_equal(es_units_set_result(f->units, id, ES_STATUS_DONE, &f->result, NULL),
                             0);
        }
        size_t in_use = 0;
        for (uint32_t i = 0; i < N_UNITS; i++) {
            check(f->units, i, version[i], n_rows[i]);
            in_use += (size_t)n_rows[i];
        }
        struct es_units_columns columns = es_units_columns(f->units);
        size_t counted = 0;
        for (size_t i = 0; i < columns.n_rows; i++)
            counted += columns.rows[i].unit != ES_GRID_NONE;
        assert_int_equal(counted, in_use);
        most = columns.n_rows > most ? columns.n_rows : most;
    }
    assert_true(most < (size_t)N_UNITS * 7 * 4); /* what is replaced does not pile up */
}

/* A reason is the same text whether it comes from a worker as it is or from a marker, and short. */
static void test_texts_of_tries(void **state)
{
    struct fixture *f = *state;
    char raw[800];
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = i % 3 ? 'x' : '\xff';
    raw[sizeof raw - 1] = '\0';
    struct es_buf clean = {0};
    es_buf_puts_utf8(&clean, raw);
    es_result_reset(&f->result);
    f->result.reason = es_result_keep(&f->result, raw, strlen(raw));
    assert_int_equal(es_units_set_result(f->units, 1, ES_STATUS_FAILED, &f->result, NULL), 0);
    f->result.reason = es_result_keep(&f->result, clean.data, clean.len);
    assert_int_equal(es_units_set_result(f->units, 2, ES_STATUS_FAILED, &f->result, NULL), 0);
    struct es_units_columns columns = es_units_columns(f->units);
    assert_int_equal(columns.reason[1], columns.reason[2]);
    const char *kept = es_units_name(f->units, ES_NAME_REASON, columns.reason[1]);
    assert_true(strlen(kept) <= ES_TRY_TEXT_LIMIT && strlen(kept) > ES_TRY_TEXT_LIMIT - 3);
    es_buf_clear(&clean);
}

static void test_replaced_tries_do_not_pile_up(void **state)
{
    struct fixture *f = *state;
    struct es_result failed; /* without texts, for which memory is taken each time */
    es_result_init(&failed);
    es_result_reset(&f->result);
    for (int i = 0; i < 3; i++)
        es_result_add_failed(&f->result, &failed);
    assert_int_equal(f->result.n_earlier, 3);
    es_result_clear(&failed);
    for (int i = 0; i < 2000; i++) {
        if (i == 100)
            es_mem_fail_after(0); /* by then there is room for as much as ever is needed */
        assert_int_equal(es_units_set_result(f->units, 3, ES_STATUS_DONE, &f->result, NULL), 0);
    }
}

static void test_out_of_memory_in_create(void **state)
{
    struct fixture *f = *state;
    long n = 0;
    for (;; n++) {
        struct es_units *units = NULL;
        struct es_err err = {0};
        es_mem_fail_after(n);
        int rc = es_units_create(f->grid, &units, &err);
        es_mem_fail_after(-1);
        if (rc == 0) {
            es_units_free(units);
            break;
        }
        assert_int_equal(rc, ES_ERR_NOMEM);
        assert_int_equal(err.code, ES_ERR_NOMEM);
        assert_null(units);
    }
    assert_int_equal(n, 27); /* each column is one allocation: a new one is one more */
}

static void test_out_of_memory_leaves_the_unit(void **state)
{
    struct fixture *f = *state;
    long n = 0;
    for (;; n++) {
        struct es_units *units = NULL;
        assert_int_equal(es_units_create(f->grid, &units, NULL), 0);
        fill(&f->result, 3, 1, 2); /* with two earlier tries, and then three */
        assert_int_equal(es_units_set_result(units, 3, ES_STATUS_DONE, &f->result, NULL), 0);
        fill(&f->result, 3, 2, 43);
        f->result.attributes = es_result_keep(&f->result, "{\"a\":1}", 7);
        es_mem_fail_after(n);
        int rc = es_units_set_result(units, 3, ES_STATUS_FAILED, &f->result, NULL);
        es_mem_fail_after(-1);
        struct es_units_columns columns = es_units_columns(units);
        if (rc < 0) {
            assert_int_equal(rc, ES_ERR_NOMEM);
            assert_int_equal(columns.status[3], ES_STATUS_DONE);
            assert_true(columns.main_score[3] == 1003);
            assert_int_equal(columns.n_rows, 2);
            check(units, 3, 1, 2);
            assert_int_equal(es_units_set_result(units, 3, ES_STATUS_FAILED, &f->result, NULL), 0);
        }
        check(units, 3, 2, 43);
        es_units_free(units);
        if (rc == 0)
            break;
    }
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_begins_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_and_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attributes_are_merged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attributes_go_with_the_last_result, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replacing_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_texts_of_tries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replaced_tries_do_not_pile_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_memory_in_create, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_memory_leaves_the_unit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
