#include "mpi/recorder.h"

#include "helper/tempdir.h"
#include "run/folder.h"
#include "run/status.h"
#include "sys/clock.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char run_dir[TEMPDIR_SIZE];
static struct es_grid *grid;
static struct es_units *units;

static int setup(void **state)
{
    (void)state;
    const char *const checkpoints[] = {"step0", "step1"};
    const char *const tasks[] = {"A"};
    const int32_t layers[] = {1, 2};
    if (tempdir_create(run_dir) < 0 || es_folder_make(run_dir, NULL) < 0)
        return -1;
    return es_grid_create(checkpoints, 2, layers, 2, tasks, 1, &grid, NULL) < 0
               ? -1
               : es_units_create(grid, &units, NULL);
}

static int teardown(void **state)
{
    (void)state;
    es_units_free(units);
    es_grid_free(grid);
    tempdir_remove(run_dir);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[TEMPDIR_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", run_dir, name);
    return path;
}

static struct es_recorder *start(struct es_keeper *keeper)
{
    struct es_recorder *recorder;
    struct es_recorder_config config = {
        .units = units, .run_dir = run_dir, .keeper = keeper};
    assert_int_equal(es_recorder_start(&config, &recorder, NULL), 0);
    return recorder;
}

/* Hands over one result of a unit. */
static void add(struct es_recorder *recorder, uint32_t unit_id, enum es_result_kind kind,
                int32_t attempt, bool may_retry, double score)
{
    struct es_result result;
    struct es_buf buf = {0};
    struct es_message message;
    struct es_result_entry entry = {.unit_id = unit_id, .kind = kind, .may_retry = may_retry};
    es_result_init(&result);
    result.main_score = score;
    result.attempt = attempt;
    es_results_begin(&buf);
    es_results_add(&buf, &entry, &result);
    es_result_clear(&result);
    assert_int_equal(es_message_take(&buf, &message), 0);
    es_recorder_add(recorder, &message);
    assert_int_equal(message.n, 0); /* taken */
}

static void results_reach_table_csv_and_store(void **state)
{
    (void)state;
    struct es_recorder *recorder = start(NULL);
    add(recorder, 0, ES_RESULT_DONE, 1, true, 0.5);
    add(recorder, 1, ES_RESULT_FAILED, 1, true, (double)NAN);
    add(recorder, 2, ES_RESULT_LOST, 1, false, (double)NAN);
    add(recorder, 1, ES_RESULT_LOST, 2, true, (double)NAN);
    add(recorder, 3, ES_RESULT_FAILED, 2, false, (double)NAN); /* not said to be for good */
    add(recorder, 3, ES_RESULT_RETURNED, 1, true, 0);
    add(recorder, 99, ES_RESULT_DONE, 1, true, 0.5); /* no such unit */
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    const struct es_units_columns columns = es_units_columns(units);
    assert_int_equal(columns.status[0], ES_STATUS_DONE);
    assert_int_equal(columns.status[1], ES_STATUS_FAILED);
    assert_int_equal(columns.status[2], ES_STATUS_FAILED);
    assert_int_equal(columns.status[3], ES_STATUS_PENDING);
    assert_true(columns.main_score[0] == 0.5);
    struct es_units *stored;
    assert_int_equal(es_units_create(grid, &stored, NULL), 0);
    assert_int_equal(es_store_read(path_of(ES_STORE_NAME), stored, NULL, NULL), 0);
    assert_memory_equal(es_units_columns(stored).status, columns.status, 4);
    es_units_free(stored);
    FILE *csv = fopen(path_of("progress.csv"), "re");
    char line[512];
    int n_lines = 0;
    assert_non_null(csv);
    while (fgets(line, sizeof line, csv))
        n_lines++;
    assert_int_equal(fclose(csv), 0);
    assert_int_equal(n_lines, 1 + 3);
}

static void what_the_scan_found_is_stored_at_once(void **state)
{
    (void)state;
    struct es_recorder *recorder = start(NULL);
    for (int i = 0; i < 4000 && access(path_of(ES_STORE_NAME), F_OK) < 0; i++)
        (void)poll(NULL, 0, 5);
    assert_int_equal(access(path_of(ES_STORE_NAME), F_OK), 0);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
}

static void a_failure_to_write_is_told_once(void **state)
{
    (void)state;
    struct es_err err = {0};
    struct es_recorder *recorder = start(NULL);
    assert_int_equal(mkdir(path_of("status.json"), 0777), 0); /* cannot be replaced by a file */
    es_recorder_set_status(recorder, strdup("{}"), 2);
    bool told = false;
    for (int i = 0; i < 4000 && !told; i++) {
        told = es_recorder_fault(recorder, &err);
        (void)poll(NULL, 0, 5);
    }
    assert_true(told);
    assert_non_null(strstr(err.subject, "status.json"));
    assert_false(es_recorder_fault(recorder, &err));
    assert_int_equal(rmdir(path_of("status.json")), 0);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    assert_int_equal(access(path_of("status.json"), R_OK), 0); /* written after all */
}

static void what_was_mended_before_the_end_is_no_fault(void **state)
{
    (void)state;
    struct es_recorder *recorder = start(NULL);
    assert_int_equal(mkdir(path_of("progress.csv"), 0777), 0);
    add(recorder, 0, ES_RESULT_DONE, 1, true, 0.5);
    for (int i = 0; i < 4000 && access(path_of(ES_STORE_NAME), F_OK) < 0; i++)
        (void)poll(NULL, 0, 5);
    assert_int_equal(rmdir(path_of("progress.csv")), 0);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    assert_int_equal(access(path_of("progress.csv"), R_OK), 0);
}

static void what_is_not_mended_by_the_end_is_told(void **state)
{
    (void)state;
    struct es_err err = {0};
    struct es_recorder *recorder = start(NULL);
    assert_int_equal(mkdir(path_of("progress.csv"), 0777), 0);
    add(recorder, 0, ES_RESULT_DONE, 1, true, 0.5);
    assert_int_equal(es_recorder_finish(recorder, &err), ES_ERR_IO);
    assert_non_null(strstr(err.subject, "progress.csv"));
}

static void wait_until_lost(struct es_keeper *keeper)
{
    for (int i = 0; i < 4000 && es_keeper_check(keeper, NULL) != ES_ERR_BUSY; i++)
        (void)poll(NULL, 0, 5);
    assert_int_equal(es_keeper_check(keeper, NULL), ES_ERR_BUSY);
}

static void a_driver_that_was_taken_over_writes_nothing_more(void **state)
{
    (void)state;
    struct es_lock *lock;
    struct es_keeper *keeper;
    struct es_err err = {0};
    assert_int_equal(es_lock_acquire(run_dir, 1, &lock, NULL), 0);
    assert_int_equal(unlink(path_of(".evalsweep/lock")), 0);
    assert_int_equal(es_keeper_start(lock, 0.005, &keeper, NULL), 0);
    wait_until_lost(keeper);
    struct es_recorder *recorder = start(keeper);
    bool told = false;
    for (int i = 0; i < 4000 && !told; i++) {
        told = es_recorder_fault(recorder, &err) && err.code != ES_ERR_IO;
        (void)poll(NULL, 0, 5);
    }
    assert_true(told);
    assert_int_equal(err.code, ES_ERR_BUSY);
    add(recorder, 0, ES_RESULT_DONE, 1, true, 0.5);
    es_recorder_set_status(recorder, strdup("{}"), 2);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    assert_int_equal(access(path_of(ES_STATUS_NAME), F_OK), -1);
    assert_int_equal(access(path_of("progress.csv"), F_OK), -1);
    es_keeper_stop(keeper);
    es_lock_release(lock);
}

/* It must not look as if the store had been written. */
static void a_lock_found_lost_at_the_end_is_told(void **state)
{
    (void)state;
    struct es_lock *lock;
    struct es_err err = {0};
    struct es_keeper *keeper;
    assert_int_equal(es_lock_acquire(run_dir, 1, &lock, NULL), 0);
    assert_int_equal(unlink(path_of(".evalsweep/lock")), 0);
    assert_int_equal(es_keeper_start(lock, 0.005, &keeper, NULL), 0);
    wait_until_lost(keeper);
    assert_int_equal(es_recorder_finish(start(keeper), &err), ES_ERR_BUSY);
    assert_int_equal(err.code, ES_ERR_BUSY);
    es_keeper_stop(keeper);
    es_lock_release(lock);
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(results_reach_table_csv_and_store),
        TEST_OF(what_the_scan_found_is_stored_at_once),
        TEST_OF(a_failure_to_write_is_told_once),
        TEST_OF(what_was_mended_before_the_end_is_no_fault),
        TEST_OF(what_is_not_mended_by_the_end_is_told),
        TEST_OF(a_driver_that_was_taken_over_writes_nothing_more),
        TEST_OF(a_lock_found_lost_at_the_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
