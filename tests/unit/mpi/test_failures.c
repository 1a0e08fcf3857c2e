#include "mpi/failures.h"

#include "core/buf.h"
#include "helper/tempdir.h"
#include "run/folder.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Four units with one try each; a worker is bad when three in a row failed on it. */
struct fixture {
    char run_dir[TEMPDIR_SIZE];
    struct es_grid *grid;
    struct es_units *units;
    struct es_cost *cost;
    struct es_sched *sched;
    struct es_recorder *recorder;
    struct es_failures *failures;
    uint32_t last; /* unit that failed */
};

static int setup(void **state)
{
    static struct fixture f;
    const char *const checkpoints[] = {"step0", "step1"};
    const char *const tasks[] = {"A"};
    const int32_t layers[] = {1, 2};
    const struct es_sched_config config = {
        .policy = ES_POLICY_FIFO, .max_attempts = 1, .prefetch_s = 1e9};
    memset(&f, 0, sizeof f);
    *state = &f;
    if (tempdir_create(f.run_dir) < 0 || es_folder_make(f.run_dir, NULL) < 0 ||
        es_grid_create(checkpoints, 2, layers, 2, tasks, 1, &f.grid, NULL) < 0 ||
        es_units_create(f.grid, &f.units, NULL) < 0 ||
        es_cost_create(f.grid, NULL, &f.cost, NULL) < 0 ||
        es_sched_create(f.grid, &config, f.cost, &f.sched, NULL) < 0)
        return -1;
    for (uint32_t id = 0; id < 4; id++)
        (void)es_sched_add(f.sched, id, NULL);
    struct es_recorder_config recorder_config = {.units = f.units, .run_dir = f.run_dir};
    if (es_sched_join(f.sched, 0, 1, 0, NULL) < 0 ||
        es_recorder_start(&recorder_config, &f.recorder, NULL) < 0)
        return -1;
    return es_failures_create(2, 3, f.sched, f.recorder, &f.failures, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    es_failures_free(f->failures);
    (void)es_recorder_finish(f->recorder, NULL);
    es_sched_free(f->sched);
    es_cost_free(f->cost);
    es_units_free(f->units);
    es_grid_free(f->grid);
    tempdir_remove(f->run_dir);
    return 0;
}

/* The next unit fails on worker 0; whether the worker is to be taken out. */
static bool fail_next(struct fixture *f, const char *reason)
{
    struct es_action action;
    struct es_result result;
    double since_s;
    while (es_sched_next_action(f->sched, 0, &action))
        continue;
    struct es_result_entry entry = {.unit_id = es_sched_running(f->sched, 0, &since_s),
                                    .kind = ES_RESULT_FAILED};
    es_result_init(&result);
    result.reason = es_result_keep(&result, reason, strlen(reason));
    assert_true(es_sched_failed(f->sched, 0, entry.unit_id, true, 0));
    assert_int_equal(es_failures_add(f->failures, 0, &entry, &result, true, NULL), 0);
    es_result_clear(&result);
    f->last = entry.unit_id;
    return es_failures_is_bad(f->failures, 0);
}

/* How many units the table and progress.csv call failed, in the end. */
static uint32_t n_recorded(struct fixture *f)
{
    struct es_buf text = {0};
    char path[TEMPDIR_SIZE + 32];
    uint32_t n = 0;
    assert_int_equal(es_recorder_finish(f->recorder, NULL), 0);
    f->recorder = NULL;
    (void)snprintf(path, sizeof path, "%s/progress.csv", f->run_dir);
    (void)es_file_read_at(AT_FDCWD, path, 65536, &text, NULL); /* without a line there is no file */
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '\n';
    es_buf_clear(&text);
    n -= n > 0; /* the header */
    assert_int_equal(n, es_units_count(f->units).failed);
    return n;
}

static void a_failure_counts_once_the_worker_is_known_to_be_good(void **state)
{
    struct fixture *f = *state;
    assert_false(fail_next(f, "x"));
    assert_false(fail_next(f, "x"));
    assert_int_equal(es_failures_confirm(f->failures, 1), 0); /* another worker's success */
    assert_int_equal(es_failures_confirm(f->failures, 0), 2);
    assert_int_equal(es_failures_confirm(f->failures, 0), 0);
    assert_false(fail_next(f, "x")); /* it begins to count anew */
    es_sched_leave(f->sched, 0, 0);
    assert_int_equal(es_failures_forgive(f->failures, 0, 0), 1);
    assert_int_equal(es_sched_n_pending(f->sched), 2);
    assert_int_equal(n_recorded(f), 2);
}

static void a_bad_worker_fails_nothing(void **state)
{
    struct fixture *f = *state;
    size_t n;
    assert_false(fail_next(f, "x"));
    assert_false(fail_next(f, "x"));
    assert_true(fail_next(f, "x"));
    es_sched_leave(f->sched, 0, 0);
    assert_int_equal(es_failures_forgive(f->failures, 0, 0), 3);
    assert_int_equal(es_sched_n_pending(f->sched), 4);
    assert_int_equal(es_sched_join(f->sched, 0, 1, 0, NULL), 0); /* better by now, perhaps */
    uint32_t first = f->last;
    (void)fail_next(f, "x"); /* for good this time: its failed.json is to stay */
    assert_int_equal(es_failures_confirm(f->failures, 0), 1);
    uint32_t *forgiven = es_failures_take_forgiven(f->failures, &n);
    assert_int_equal(n, f->last == 3 ? 3 : 2);
    assert_int_equal(forgiven[0], f->last == first ? first - 1 : first);
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(forgiven[i], f->last);
    free(forgiven);
    assert_int_equal(n_recorded(f), 1);
}

/* What it told of in the same breath: it is no bad one. */
static void a_worker_that_ends_one_well_after_all_is_good(void **state)
{
    struct fixture *f = *state;
    (void)fail_next(f, "x");
    (void)fail_next(f, "x");
    assert_true(fail_next(f, "x"));
    assert_int_equal(es_failures_confirm(f->failures, 0), 3);
    assert_false(es_failures_is_bad(f->failures, 0));
}

static void the_commonest_reason_is_told(void **state)
{
    struct fixture *f = *state;
    char reason[32];
    assert_int_equal(es_failures_commonest(f->failures).n, 0);
    (void)fail_next(f, "CUDA error");
    (void)fail_next(f, "CUDA error");
    for (int i = 0; i < 100; i++) { /* many rare ones do not push it out */
        struct es_result_entry entry = {.unit_id = 1, .kind = ES_RESULT_FAILED};
        struct es_result result;
        es_result_init(&result);
        int n = snprintf(reason, sizeof reason, "rare %d", i);
        result.reason = es_result_keep(&result, reason, (size_t)n);
        (void)es_failures_add(f->failures, 1, &entry, &result, false, NULL);
        assert_false(es_failures_is_bad(f->failures, 1)); /* always the same unit */
        es_result_clear(&result);
    }
    struct es_common_failure commonest = es_failures_commonest(f->failures);
    assert_string_equal(commonest.reason, "CUDA error");
    assert_int_equal(commonest.n, 2);
    assert_int_equal(commonest.unit_id, f->last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failure_counts_once_the_worker_is_known_to_be_good, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_bad_worker_fails_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_ends_one_well_after_all_is_good, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_commonest_reason_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
