/* What becomes of units, and how a run ends. */
#include "unit/mpi/coordinator_fixture.h"
#include "unit/mpi/scripted_workers.h"

#include "run/lease.h"

static void all_units_are_done_by_several_workers(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    run(f, MAX_WORKERS);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_FINISHED);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.n_evaluated, 60);
    assert_int_equal(n_lines(f->run_dir, "progress.csv"), 61);
    assert_table_equals_markers(f);
}

static void a_persistent_evaluator_sees_each_unit_once(void **state)
{
    struct fixture *f = *state;
    load_job(f, fake(f, "persistent", "", ""), false);
    run(f, 1);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(n_lines(f->run_dir, "count"), 60);
    assert_table_equals_markers(f);
}

static void a_one_shot_evaluator_sees_each_unit_once(void **state)
{
    struct fixture *f = *state;
    load_job(f, fake(f, "one-shot", "", ""), false);
    run(f, 1);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(n_lines(f->run_dir, "count"), 60);
    assert_table_equals_markers(f);
}

static void what_is_done_is_not_run_again(void **state)
{
    struct fixture *f = *state;
    load_job(f, fake(f, "persistent", "", ""), false);
    struct es_result result;
    es_result_init(&result);
    for (uint32_t id = 0; id < 50; id++)
        assert_int_equal(es_units_set_result(f->units, id, ES_STATUS_DONE, &result, NULL), 0);
    es_result_clear(&result);
    run(f, 1);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.n_evaluated, 10);
    assert_int_equal(f->outcome.state.n_skipped, 50);
    assert_int_equal(n_lines(f->run_dir, "count"), 10);
}

/* Somebody else leaves a file in the folder of the last unit. */
static void place_file(struct fixture *f, const char *name, const char *text)
{
    char path[TEMPDIR_SIZE + 256];
    struct es_buf dir = {0};
    es_layout_unit_dir(f->layout, f->job->grid, (struct es_unit){4, 3, 2}, &dir);
    (void)snprintf(path, sizeof path, "%s/%s", f->run_dir, dir.data);
    assert_true(es_mkdir_all_at(AT_FDCWD, path) >= 0);
    (void)snprintf(path, sizeof path, "%s/%s/%s", f->run_dir, dir.data, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    close(fd);
    es_buf_clear(&dir);
}

/* Somebody else, an old array script say, finished a unit after the scan. */
static void a_marker_that_appeared_since_the_scan_is_found(void **state)
{
    struct fixture *f = *state;
    load_job(f, fake(f, "persistent", "", ""), false);
    place_file(f, "done.json", "{\"main_score\":0.25}");
    run(f, 1);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.n_evaluated, 59);
    assert_int_equal(f->outcome.state.n_skipped, 1);
    assert_int_equal(n_lines(f->run_dir, "count"), 59);
    assert_int_equal(n_lines(f->run_dir, "progress.csv"), 60); /* its line is its writer's affair */
    assert_true(es_units_columns(f->units).main_score[59] == 0.25);
    assert_table_equals_markers(f);
}

/* Another driver has one bundle, in which a unit is done, and keeps the rest; and a unit elsewhere
 * has failed on it. */
static void with_nothing_else_left_the_run_is_left_to_others(void **state)
{
    struct fixture *f = *state;
    struct es_lock *other;
    char name[ES_LEASE_NAME_SIZE], path[TEMPDIR_SIZE + 256];
    bool is_ours;
    load_job(f, fake(f, "persistent", "", ""), false);
    assert_int_equal(es_lock_acquire(f->run_dir, 60, &f->lock, NULL), 0);
    es_lock_set_ready(f->lock);
    assert_int_equal(es_lock_join(f->run_dir, 60, &other, NULL), 0);
    es_lease_name("step2", "B", name);
    (void)snprintf(path, sizeof path, "%s/.evalsweep/leases", f->run_dir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(es_lease_take(fd, name, es_lock_id(other), &is_ours), 0);
    close(fd);
    place_file(f, "failed.json", "{}");
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_LEFT);
    assert_int_equal(f->outcome.state.counts.done, 55);
    assert_int_equal(f->outcome.state.counts.failed, 1);
    assert_int_equal(f->outcome.state.counts.pending, 4);
    assert_int_equal(n_lines(f->run_dir, "count"), 55);
    assert_true(es_lock_owns(other));
    es_lock_release(other);
    es_lock_release(f->lock);
}

static void a_failing_unit_is_retried_and_then_failed(void **state)
{
    struct fixture *f = *state;
    load_job(
        f,
        fake(f, "persistent", ",\"--fail-unit\",\"step1/22/B\",\"--exit\",\"7\"", ",\"retries\":1"),
        false);
    run(f, 1);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_FINISHED);
    assert_int_equal(f->outcome.state.counts.done, 59);
    assert_int_equal(f->outcome.state.counts.failed, 1);
    assert_int_equal(f->outcome.state.n_retries, 1);
    assert_non_null(
        strstr(f->notes, "step1/layer_22/B failed on worker 1 (attempt 1): exit code 7"));
    assert_null(strstr(f->notes, "attempt 2")); /* its reason was told already */
    assert_table_equals_markers(f);
}

static void a_unit_that_must_not_be_retried_is_not(void **state)
{
    struct fixture *f = *state;
    load_job(f,
             fake(f, "persistent", ",\"--fail-unit\",\"step1/22/B\",\"--error\"", ",\"retries\":5"),
             false);
    run(f, 1);
    assert_int_equal(f->outcome.state.counts.failed, 1);
    assert_int_equal(f->outcome.state.n_retries, 0);
    assert_int_equal(n_lines(f->run_dir, "progress.csv"), 61);
}

static void a_command_that_cannot_be_started_ends_the_run(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"persistent\",\"command\":[\"no-such-command-anywhere\"]}", false);
    run(f, 1);
    assert_int_equal(f->rc, ES_ERR_SPAWN);
    assert_int_equal(f->outcome.ending, ES_ENDING_CANNOT_START);
    assert_non_null(strstr(f->err.why, "no-such-command-anywhere"));
    assert_non_null(strstr(f->outcome.why_ended, "no-such-command-anywhere"));
    assert_status_tells(f, f->outcome.why_ended);
    assert_int_equal(f->outcome.state.counts.pending, 60);
}

static void a_failure_of_a_unit_that_others_did_is_cleared_away(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    f->last_worker = late_failing_worker;
    run(f, 2);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.counts.failed, 0);
    assert_int_equal(f->outcome.n_disowned, 1);
    assert_int_equal(f->outcome.disowned[0], 17);
}

/* Its own marker is kept, so what it says is what the table must say; with no score in it, that of
 * the reply or result file. */
static void the_evaluators_own_marker_is_what_counts(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *mode, *marker;
        double score; /* NaN: the evaluator's */
    } rows[] = {{"persistent", "\\\"none\\\":0", (double)NAN},
                {"persistent", "\\\"main_score\\\":0.25", 0.25},
                {"one-shot", "\\\"main_score\\\":0.25", 0.25}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char arguments[256];
        (void)snprintf(arguments, sizeof arguments, ",\"--marker\",\"%s\"", rows[i].marker);
        load_job(f, fake(f, rows[i].mode, arguments, ""), false);
        run(f, 1);
        assert_int_equal(f->outcome.state.counts.done, 60);
        double score = es_units_columns(f->units).main_score[7];
        assert_true(!isnan(score));
        if (!isnan(rows[i].score))
            assert_true(score == rows[i].score);
        assert_table_equals_markers(f);
        renew(state);
    }
}

static void a_signal_drains_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    load_job(f, fake(f, "persistent", ",\"--hang\",\"--fail-unit\",\"step2\"", ""), false);
    f->job->limits.grace_s = 0;
    send_signal(f, SIGUSR1); /* is there before the first unit */
    run(f, 1);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_int_equal(f->outcome.state.counts.failed, 0);
    assert_int_equal(f->outcome.state.counts.done + f->outcome.state.counts.pending, 60);
    assert_table_equals_markers(f);
}

/* The scan, before the coordinator begins, counts. */
static void the_time_limit_counts_from_the_jobs_start(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    f->job->limits.time_limit_s = 1000;
    f->job->limits.grace_s = 10;
    f->started_s = es_clock_mono_s() - 995;
    run(f, 1);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_int_equal(f->outcome.state.counts.pending, 60);
    assert_non_null(strstr(f->outcome.why_ended, "time limit"));
    assert_table_equals_markers(f);
}

/* It does not wait for the limit, which is minutes away. */
static void a_run_ends_when_no_unit_that_is_left_can_end_in_time(void **state)
{
    struct fixture *f = *state;
    const double task_cost_s[] = {0.001, 1e9, 0.001}; /* however fast the workers turn out */
    const struct es_cost_hints hints = {.load_s = 0.001, .task_cost_s = task_cost_s};
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    es_cost_free(f->cost);
    assert_int_equal(es_cost_create(f->job->grid, &hints, &f->cost, NULL), 0);
    f->job->limits.time_limit_s = 1000;
    f->started_s = es_clock_mono_s();
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_int_equal(f->outcome.state.counts.done, 40);
    assert_int_equal(f->outcome.state.counts.pending, 20);
    assert_status_tells(f, "no unit that is left is expected to end within the time limit");
    assert_table_equals_markers(f);
}

/* What it was may be waited for. */
static void a_run_whose_recorder_has_forgotten_something_ends(void **state)
{
    struct fixture *f = *state;
    load_job(f, SLOW, false);
    f->forgets = true;
    run(f, 1);
    assert_int_equal(f->rc, ES_ERR_NOMEM);
    assert_string_equal(f->err.doing, "recording results");
    assert_true(f->outcome.state.counts.pending > 0);
    assert_table_equals_markers(f);
}

/* Whatever there was no memory for, nobody waits for it. */
static void a_turn_without_memory_ends_the_run_or_does_no_harm(void **state)
{
    uint32_t n_ended = 0, n_harmless = 0;
    (void)alarm(100);
    for (long n = 1; n < 16 || (n_harmless == 0 && n < 500); n++) {
        struct fixture *f = *state;
        load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
        f->awaited_note = "worker 1: ";
        f->n_allocations = n;
        run(f, 1);
        bool has_ended = f->rc == ES_ERR_NOMEM ||
                         f->outcome.ending == ES_ENDING_NO_WORKER; /* it was the worker's memory */
        if (!has_ended)
            assert_int_equal(f->outcome.state.counts.done, 60);
        n_ended += has_ended;
        n_harmless += !has_ended;
        renew(state);
    }
    (void)alarm(0);
    assert_true(n_ended >= 2);
    assert_true(n_harmless >= 1); /* which is the first is up to the threads that run beside */
}

/* A rank tells of units that it was not given (it was given up before, say). */
static void results_of_units_not_held_are_not_counted(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    struct es_result result;
    es_result_init(&result);
    f->late = (struct es_buf){0};
    es_results_begin(&f->late);
    for (uint32_t id = 0; id < 3; id++) {
        struct es_result_entry entry = {.unit_id = id, .kind = ES_RESULT_DONE, .total_s = 1};
        es_results_add(&f->late, &entry, &result);
    }
    es_result_clear(&result);
    run(f, 2);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.counts.pending, 0);
    assert_int_equal(f->outcome.state.n_evaluated, 60);
    assert_table_equals_markers(f);
}

int main(void)
{
    es_signal_block();
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(all_units_are_done_by_several_workers),
        CASE(a_persistent_evaluator_sees_each_unit_once),
        CASE(a_one_shot_evaluator_sees_each_unit_once),
        CASE(what_is_done_is_not_run_again),
        CASE(a_marker_that_appeared_since_the_scan_is_found),
        CASE(with_nothing_else_left_the_run_is_left_to_others),
        CASE(a_failing_unit_is_retried_and_then_failed),
        CASE(a_unit_that_must_not_be_retried_is_not),
        CASE(a_command_that_cannot_be_started_ends_the_run),
        CASE(a_failure_of_a_unit_that_others_did_is_cleared_away),
        CASE(the_evaluators_own_marker_is_what_counts),
        CASE(a_signal_drains_and_loses_nothing),
        CASE(the_time_limit_counts_from_the_jobs_start),
        CASE(a_run_ends_when_no_unit_that_is_left_can_end_in_time),
        CASE(a_run_whose_recorder_has_forgotten_something_ends),
        CASE(a_turn_without_memory_ends_the_run_or_does_no_harm),
        CASE(results_of_units_not_held_are_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
