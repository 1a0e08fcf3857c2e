#include "run/status.h"

#include "helper/tempdir.h"
#include "sys/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char run_dir[TEMPDIR_SIZE];
static struct es_grid *grid;
static struct es_status_seen seen; /* what was read last */

static int setup(void **state)
{
    (void)state;
    const char *const names[] = {"a"};
    const int32_t layers[] = {1, 2};
    return tempdir_create(run_dir) < 0 ||
           es_grid_create(names, 1, layers, 2, names, 1, &grid, NULL) < 0;
}

static int teardown(void **state)
{
    (void)state;
    es_status_clear(&seen);
    es_grid_free(grid);
    tempdir_remove(run_dir);
    return 0;
}

static int no_check(void *context, struct es_err *err)
{
    (void)context;
    (void)err;
    return 0;
}

/* What is read back of a state, so many seconds after it was written: until the next call. */
static struct es_status_seen seen_of(const struct es_run_state *state, double after_s)
{
    struct es_buf text = {0};
    struct es_err err = {0};
    es_status_text(grid, state, &text);
    es_status_end(NULL, &text);
    es_status_clear(&seen);
    assert_int_equal(es_status_write(run_dir, text.data, text.len, no_check, NULL, NULL), 0);
    if (es_status_read(run_dir, es_clock_wall_s() + after_s, &seen, &err) < 0)
        fail_msg("%s: %s", err.subject, err.why);
    es_buf_clear(&text);
    return seen;
}

static void a_driver_at_work_tells_how_it_goes(void **state)
{
    (void)state;
    const struct es_worker_state worker = {.host = "h\"", .device = "3", .unit_id = 1};
    const struct es_run_state at_work = {.alive = true,
                                         .n_running = 1,
                                         .rate_per_s = 0.5,
                                         .eta_s = (double)NAN,
                                         .workers = &worker,
                                         .n_workers = 1};
    (void)seen_of(&at_work, 0);
    assert_true(seen.alive);
    assert_false(seen.has_ended);
    assert_int_equal(seen.n_running, 1);
    assert_true(seen.rate_per_s == 0.5);
    assert_true(isnan(seen.eta_s));
    assert_int_equal(seen.n_workers, 1);
    assert_string_equal(seen.workers[0].host, "h\"");
    assert_true(seen.workers[0].is_running);
    assert_string_equal(seen.workers[0].task, "a");
    assert_int_equal(seen.workers[0].layer, 2);
    (void)seen_of(&at_work, 3600); /* silent since */
    assert_false(seen.alive);
    assert_false(seen.has_ended);
    assert_int_equal(seen.n_running, 0);
    assert_int_equal(seen.n_workers, 0);
    assert_true(isnan(seen.rate_per_s));
}

static void its_last_word_is_why_it_ended_with_work_left(void **state)
{
    (void)state;
    struct es_run_state ended = {.why_ended = "no worker is left: \"\xc3\xa9\"\n"};
    (void)seen_of(&ended, 0);
    assert_true(seen.has_ended);
    assert_false(seen.alive);
    assert_string_equal(seen.why_ended, ended.why_ended);
    ended.why_ended = NULL; /* nothing was left */
    assert_string_equal(seen_of(&ended, 0).why_ended, "");
    char longest[2000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    ended.why_ended = longest;
    assert_int_equal(strlen(seen_of(&ended, 0).why_ended), sizeof seen.why_ended - 1);
}

#define NOW_S 1.8e9

static void what_it_tells_depends_on_its_age(void **state)
{
    (void)state;
    static const struct {
        const char *age_s; /* of the file, when it is read */
        bool says_alive, alive, has_ended, is_ahead;
    } rows[] = {
        {"0", true, true, false, false},
        {"5.9", true, true, false, false},
        {"6.1", true, false, false, false},
        {"-59", true, true, false, false}, /* clocks that differ */
        {"-61", true, false, false, true},
        {"-1e300", true, false, false, true},
        {"1e300", true, false, false, false},
        {"0", false, false, true, false},
        {"-61", false, false, true, true},
        {NULL, true, false, false, false}, /* no time at all */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256], updated[64] = "null";
        if (rows[i].age_s)
            (void)snprintf(updated, sizeof updated, "%.17g", NOW_S - strtod(rows[i].age_s, NULL));
        int n = snprintf(text, sizeof text,
                         "{\"updated_s\":%s,\"alive\":%s,\"host\":\"h\",\"running\":3,"
                         "\"rate_per_s\":2,\"eta_s\":7}",
                         updated, rows[i].says_alive ? "true" : "false");
        assert_int_equal(es_status_write(run_dir, text, (size_t)n, no_check, NULL, NULL), 0);
        es_status_clear(&seen);
        assert_int_equal(es_status_read(run_dir, NOW_S, &seen, NULL), 0);
        if (seen.alive != rows[i].alive || seen.has_ended != rows[i].has_ended ||
            seen.is_ahead != rows[i].is_ahead)
            fail_msg("row %zu", i);
        assert_int_equal(seen.n_running, seen.alive ? 3 : 0);
        assert_true(seen.alive ? seen.eta_s == 7 : isnan(seen.eta_s));
        assert_string_equal(seen.host, "h");
    }
}

/* Texts are texts and counts are counts, whatever stands there. */
static void a_file_with_anything_in_it_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"alive\":true,\"updated_s\":1.8e9,\"workers\":[7,null,{},{\"worker\":-1,\"layer\":1e99,"
        "\"running_s\":\"x\",\"checkpoint\":3,\"out\":1}],\"checkpoints\":[[],{\"done\":-5,"
        "\"pending\":1e300,\"failed\":\"1\"}],\"failures\":[{},{\"reason\":1,\"log\":{}}],\"done\":"
        "-1}",
        "{\"workers\":{\"a\":1},\"checkpoints\":\"x\",\"failures\":null}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(es_status_write(run_dir, texts[i], strlen(texts[i]), no_check, NULL, NULL),
                         0);
        es_status_clear(&seen);
        assert_int_equal(es_status_read(run_dir, NOW_S, &seen, NULL), 0);
        assert_int_equal(seen.n_workers, i ? 0 : 4);
        assert_int_equal(seen.n_checkpoints, i ? 0 : 2);
        assert_int_equal(seen.n_failures, i ? 0 : 2);
        assert_int_equal(seen.counts.done, 0);
        for (uint32_t w = 0; w < seen.n_workers; w++) {
            assert_string_equal(seen.workers[w].host, "");
            assert_string_equal(seen.workers[w].task, "");
            assert_false(seen.workers[w].is_running);
            assert_int_equal(seen.workers[w].worker, 0);
        }
        for (uint32_t c = 0; c < seen.n_checkpoints; c++) {
            assert_string_equal(seen.checkpoints[c].name, "");
            assert_int_equal(seen.checkpoints[c].done + seen.checkpoints[c].pending, 0);
        }
        for (uint32_t f = 0; f < seen.n_failures; f++) {
            assert_string_equal(seen.failures[f].reason, "");
            assert_null(seen.failures[f].log);
        }
    }
}

/* They are added up, and drawn as parts of the sum. */
static void counts_add_up_to_no_more_than_a_grid_can_have(void **state)
{
    (void)state;
    static const struct {
        const char *counts;
        uint32_t done, total;
    } rows[] = {
        {"\"done\":2147483640,\"pending\":3,\"failed\":4,\"excluded\":1", 2147483640u, 2147483647u},
        {"\"done\":2147483640,\"pending\":3,\"failed\":4,\"excluded\":2", 0, 0},
        {"\"done\":4000000000,\"pending\":400000000", 0, 0}, /* a sum beyond 32 bits */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        int n = snprintf(text, sizeof text, "{%s,\"checkpoints\":[{%s}]}", rows[i].counts,
                         rows[i].counts);
        assert_int_equal(es_status_write(run_dir, text, (size_t)n, no_check, NULL, NULL), 0);
        es_status_clear(&seen);
        assert_int_equal(es_status_read(run_dir, NOW_S, &seen, NULL), 0);
        assert_int_equal(seen.counts.done, rows[i].done);
        assert_int_equal(es_counts_total(&seen.counts), rows[i].total);
        assert_int_equal(seen.checkpoints[0].done, rows[i].done);
    }
}

static void rates_and_times_are_not_below_0(void **state)
{
    (void)state;
    static const char text[] = "{\"alive\":true,\"updated_s\":1.8e9,\"rate_per_s\":-1,\"eta_s\":-5,"
                               "\"workers\":[{\"checkpoint\":\"a\",\"running_s\":-1}]}";
    assert_int_equal(es_status_write(run_dir, text, strlen(text), no_check, NULL, NULL), 0);
    assert_int_equal(es_status_read(run_dir, NOW_S, &seen, NULL), 0);
    assert_true(seen.alive && isnan(seen.rate_per_s) && isnan(seen.eta_s));
    assert_false(seen.workers[0].is_running);
}

static void what_is_no_object_is_no_status(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "[]", "3", "{\"alive\":true", "null"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct es_err err = {0};
        assert_int_equal(es_status_write(run_dir, texts[i], strlen(texts[i]), no_check, NULL, NULL),
                         0);
        assert_int_equal(es_status_read(run_dir, NOW_S, &seen, &err), ES_ERR_PARSE);
        assert_non_null(strstr(err.subject, ES_STATUS_NAME));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_driver_at_work_tells_how_it_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(its_last_word_is_why_it_ended_with_work_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_it_tells_depends_on_its_age, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_with_anything_in_it_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_add_up_to_no_more_than_a_grid_can_have, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rates_and_times_are_not_below_0, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_object_is_no_status, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
