#include "run/status.h"

#include "helper/tempdir.h"
#include "sys/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char run_dir[TEMPDIR_SIZE];
static struct es_grid *grid;

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
    es_grid_free(grid);
    tempdir_remove(run_dir);
    return 0;
}

/* What is read back of a state, so many seconds after it was written. */
static struct es_status_seen seen_of(const struct es_run_state *state, double after_s)
{
    struct es_buf text = {0};
    struct es_status_seen seen;
    struct es_err err = {0};
    es_status_text(grid, state, &text);
    assert_int_equal(es_status_write(run_dir, text.data, text.len, NULL), 0);
    if (es_status_read(run_dir, es_clock_wall_s() + after_s, &seen, &err) < 0)
        fail_msg("%s: %s", err.subject, err.why);
    es_buf_clear(&text);
    free(seen.text);
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
    struct es_status_seen seen = seen_of(&at_work, 0);
    assert_true(seen.alive);
    assert_false(seen.has_ended);
    assert_int_equal(seen.n_running, 1);
    assert_true(seen.rate_per_s == 0.5);
    assert_true(isnan(seen.eta_s));
    seen = seen_of(&at_work, 3600); /* silent since */
    assert_false(seen.alive);
    assert_false(seen.has_ended);
    assert_int_equal(seen.n_running, 0);
    assert_true(isnan(seen.rate_per_s));
}

static void its_last_word_is_why_it_ended_with_work_left(void **state)
{
    (void)state;
    struct es_run_state ended = {.why_ended = "no worker is left: \"\xc3\xa9\"\n"};
    struct es_status_seen seen = seen_of(&ended, 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_driver_at_work_tells_how_it_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(its_last_word_is_why_it_ended_with_work_left, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
