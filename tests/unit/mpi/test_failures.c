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

/* Twelve units with one attempt each, of six bundles; a worker that fails three bundles in a row is
 * quarantined. */
#define N_UNITS 12

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
    const char *const checkpoints[] = {"step0", "step1", "step2"};
    const char *const tasks[] = {"A", "B"};
    const int32_t layers[] = {1, 2};
    const struct es_sched_config config = {
        .policy = ES_POLICY_FIFO, .max_attempts = 1, .max_bundles_failed = 3};
    memset(&f, 0, sizeof f);
    *state = &f;
    if (tempdir_create(f.run_dir) < 0 || es_folder_make(f.run_dir, NULL) < 0 ||
        es_grid_create(checkpoints, 3, layers, 2, tasks, 2, &f.grid, NULL) < 0 ||
        es_units_create(f.grid, &f.units, NULL) < 0 ||
        es_cost_create(f.grid, NULL, &f.cost, NULL) < 0 ||
        es_sched_create(f.grid, &config, f.cost, &f.sched, NULL) < 0)
        return -1;
    for (uint32_t id = 0; id < N_UNITS; id++)
        (void)es_sched_add(f.sched, id, NULL);
    struct es_recorder_config recorder_config = {.units = f.units, .run_dir = f.run_dir};
    if (es_sched_join(f.sched, 0, 1, 0, NULL) < 0 || es_sched_join(f.sched, 1, 1, 0, NULL) < 0 ||
        es_recorder_start(&recorder_config, &f.recorder, NULL) < 0)
        return -1;
    return es_failures_create(2, f.sched, f.recorder, &f.failures, NULL);
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

/* Recalled units come back at once. */
static void act(struct fixture *f)
{
    struct es_action action;
    while (es_sched_next_action(f->sched, 0, &action))
        for (uint32_t i = 0; action.kind == ES_ACTION_RECALL && i < action.n_layers; i++) {
            struct es_unit unit = {action.checkpoint, action.layers[i], action.task};
            es_sched_returned(f->sched, action.worker, es_grid_id(f->grid, unit), 0);
        }
}

/* The next unit fails on worker 0. */
static void fail_next(struct fixture *f, const char *reason)
{
    struct es_result result;
    double since_s;
    bool is_new;
    act(f);
    struct es_result_entry entry = {.unit_id = es_sched_running(f->sched, 0, &since_s),
                                    .kind = ES_RESULT_FAILED};
    assert_int_not_equal(entry.unit_id, ES_GRID_NONE);
    es_result_init(&result);
    result.reason = es_result_keep(&result, reason, strlen(reason));
    uint32_t number = es_failures_reason(f->failures, reason, entry.unit_id, &is_new);
    assert_true(es_sched_failed(f->sched, 0, entry.unit_id, true, number, 0));
    assert_int_equal(es_failures_keep(f->failures, 0, &entry, &result, NULL), 0);
    es_result_clear(&result);
    f->last = entry.unit_id;
}

static void succeed_next(struct fixture *f)
{
    const struct es_times times = {.total_s = 1, .load_s = 0, .pass_s = 0, .score_s = 1};
    double since_s;
    act(f);
    es_sched_done(f->sched, 0, es_sched_running(f->sched, 0, &since_s), &times, 0);
}

static bool was_settled(struct fixture *f)
{
    struct es_blame_verdict verdict;
    bool was = false;
    while (es_sched_next_verdict(f->sched, &verdict))
        was |= verdict.kind == ES_BLAME_SETTLED && verdict.suspect.worker == 0;
    return was;
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

static void a_failure_counts_once_its_worker_has_succeeded(void **state)
{
    struct fixture *f = *state;
    uint32_t n_retracted;
    size_t n;
    fail_next(f, "x");
    assert_false(was_settled(f));
    succeed_next(f);
    assert_true(was_settled(f));
    assert_int_equal(es_failures_settle(f->failures, 1, &n_retracted), 0); /* another worker's */
    assert_int_equal(es_failures_settle(f->failures, 0, &n_retracted), 1);
    assert_int_equal(n_retracted, 0);
    assert_int_equal(es_failures_settle(f->failures, 0, &n_retracted), 0);
    uint32_t *disowned = es_failures_take_disowned(f->failures, &n);
    assert_int_equal(n, 0);
    free(disowned);
    assert_int_equal(n_recorded(f), 1);
}

static void a_quarantined_worker_fails_nothing(void **state)
{
    struct fixture *f = *state;
    uint32_t n_retracted, n_failed = 0;
    size_t n;
    while (!was_settled(f)) {
        fail_next(f, "x");
        n_failed++;
    }
    assert_true(n_failed >= 3);
    assert_int_equal(es_failures_settle(f->failures, 0, &n_retracted), 0);
    assert_int_equal(n_retracted, n_failed);
    assert_int_equal(es_sched_n_pending(f->sched) + es_sched_n_held(f->sched), N_UNITS);
    uint32_t *disowned = es_failures_take_disowned(f->failures, &n);
    assert_int_equal(n, n_failed);
    assert_int_equal(disowned[n - 1], f->last);
    free(disowned);
    assert_int_equal(n_recorded(f), 0);
}

/* What is still FAILED in the scheduler at the end of the run counts. */
static void what_was_not_retracted_at_the_end_counts(void **state)
{
    struct fixture *f = *state;
    uint32_t n_retracted;
    fail_next(f, "x");
    assert_false(was_settled(f));
    assert_int_equal(es_failures_settle(f->failures, 0, &n_retracted), 1);
    assert_int_equal(n_recorded(f), 1);
}

static void reasons_that_differ_in_numbers_are_one(void **state)
{
    struct fixture *f = *state;
    bool is_new;
    assert_int_equal(es_failures_most_frequent(f->failures).n, 0);
    uint32_t memory = es_failures_reason(f->failures, "tried to allocate 20.00 MiB", 1, &is_new);
    assert_true(is_new);
    assert_int_equal(es_failures_reason(f->failures, "tried to allocate 7.5 MiB", 2, &is_new),
                     memory);
    assert_false(is_new);
    assert_int_not_equal(es_failures_reason(f->failures, "tried to free 7.5 MiB", 3, &is_new),
                         memory);
    assert_true(is_new);
    assert_string_equal(es_failures_reason_text(f->failures, memory),
                        "tried to allocate 20.00 MiB");
    assert_string_equal(es_failures_reason_text(f->failures, ES_GRID_NONE), "unknown");
    struct es_common_failure most = es_failures_most_frequent(f->failures);
    assert_string_equal(most.reason, "tried to allocate 20.00 MiB");
    assert_int_equal(most.n, 2);
    assert_int_equal(most.unit_id, 2);
}

static void too_many_different_reasons_are_not_told_apart(void **state)
{
    struct fixture *f = *state;
    char reason[64];
    bool is_new = true;
    uint32_t number = 0;
    for (int i = 0; i < 2000; i++) {
        int n = 0;
        for (int bits = i; n < 12; bits /= 2) /* letters, as numbers are all alike */
            reason[n++] = bits % 2 ? 'b' : 'a';
        reason[n] = '\0';
        number = es_failures_reason(f->failures, reason, 0, &is_new);
    }
    assert_string_equal(es_failures_reason_text(f->failures, number), "other reasons");
    assert_false(is_new); /* told once */
    assert_int_equal(es_failures_most_frequent(f->failures).n, 2000 - 1023);
    assert_int_equal(es_failures_reason(f->failures, "aaaaaaaaaaaa", 5, &is_new), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_failure_counts_once_its_worker_has_succeeded),
        CASE(a_quarantined_worker_fails_nothing),
        CASE(what_was_not_retracted_at_the_end_counts),
        CASE(reasons_that_differ_in_numbers_are_one),
        CASE(too_many_different_reasons_are_not_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
