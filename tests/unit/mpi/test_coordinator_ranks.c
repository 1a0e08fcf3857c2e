/* Ranks that break, leave, speak another protocol or fall silent. */
#include "unit/mpi/coordinator_fixture.h"
#include "unit/mpi/scripted_workers.h"

static void a_worker_that_breaks_after_the_end_changes_nothing(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    f->last_worker = late_broken_worker;
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_FINISHED);
    assert_int_equal(f->outcome.state.counts.done, 60);
}

/* A signal came to the worker's rank only, under mpirun. */
static void a_rank_that_drains_by_itself_is_done_without(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    f->late = (struct es_buf){0};
    es_drain_encode(0, &f->late);
    run(f, 2);
    assert_int_equal(f->outcome.ending, ES_ENDING_FINISHED);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_non_null(strstr(f->notes, "worker 1 on h is out: a signal told its rank to stop"));
    renew(state);
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    f->late = (struct es_buf){0};
    es_drain_encode(0, &f->late);
    run(f, 1); /* the last one: stopped, and not out of workers */
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_int_equal(f->outcome.state.counts.pending, 60);
}

static void ranks_that_do_not_speak_the_protocol_are_refused(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\"}", false);
    assert_int_equal(es_local_hub_create(2, &f->hub, NULL), 0);
    greet(f, 0);
    struct es_buf buf = {0};
    es_plain_encode(ES_MESSAGE_HELLO, &buf); /* of another version, say */
    assert_int_equal(es_transport_send_buf(es_local_hub_endpoint(f->hub, 1), 0, &buf), 0);
    struct es_recorder *recorder;
    struct es_recorder_config recorder_config = {.units = f->units, .run_dir = f->run_dir};
    assert_int_equal(es_recorder_start(&recorder_config, &recorder, NULL), 0);
    struct es_coordinator_config config = {.job = f->job,
                                           .cost = f->cost,
                                           .transport = es_local_hub_endpoint(f->hub, 0),
                                           .recorder = recorder,
                                           .pending = f->pending,
                                           .n_pending = 1,
                                           .run_dir = f->run_dir,
                                           .versions_json = "{}",
                                           .signal_fd = -1,
                                           .note = note,
                                           .context = f};
    assert_int_equal(es_coordinator_run(&config, &f->outcome, &f->err), ES_ERR_USAGE);
    assert_int_equal(f->outcome.ending, ES_ENDING_CANNOT_START);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
}

static void begin_silence(struct fixture *f, void *(*last_worker)(void *), double suspect_s,
                          double given_up_s)
{
    load_job(f, SLOW, false);
    f->last_worker = last_worker;
    f->pulse =
        (struct es_pulse_limits){.beat_s = 0.05, .suspect_s = suspect_s, .given_up_s = given_up_s};
}

static void what_a_dead_worker_held_is_done_by_others(void **state)
{
    struct fixture *f = *state;
    begin_silence(f, dying_worker, 0.2, 0.6);
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_FINISHED);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.n_evaluated, 60);
    assert_int_equal(f->outcome.n_silent, 1);
    assert_non_null(strstr(f->notes, "worker 2 on h is silent for 0 s: gets nothing new"));
    assert_non_null(strstr(f->notes, "worker 2 on h is out: silent for 1 s (device gpu7)"));
    assert_null(strstr(f->notes, "worker 1 on"));
    assert_table_equals_markers(f);
}

static void one_that_comes_back_works_on_and_nothing_counts_twice(void **state)
{
    struct fixture *f = *state;
    begin_silence(f, waking_worker, 0.2, 0.4);
    f->awaited_note = "is out: silent";
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.counts.pending, 0);
    assert_int_equal(f->outcome.state.n_evaluated, 60);
    assert_int_equal(f->outcome.n_silent, 0);
    assert_non_null(strstr(f->notes, "worker 2 on h is heard again"));
    assert_int_equal(n_lines(f->run_dir, "progress.csv"), 61);
    assert_true(f->n_more > 0);
}

/* The unit fails, and a second later it is to be tried elsewhere, if there is anybody. */
static void a_suspect_gets_nothing_new(void **state)
{
    struct fixture *f = *state;
    struct es_result result;
    load_job(f,
             fake(f, "persistent", ",\"--fail-unit\",\"step\",\"--exit\",\"7\"", ",\"retries\":1"),
             false);
    f->last_worker = suspected_worker;
    f->pulse = (struct es_pulse_limits){.beat_s = 0.05, .suspect_s = 0.2, .given_up_s = 4};
    es_result_init(&result);
    for (uint32_t id = 1; id < 60; id++)
        assert_int_equal(es_units_set_result(f->units, id, ES_STATUS_DONE, &result, NULL), 0);
    es_result_clear(&result);
    f->awaited_note = "worker 2 on h is silent";
    run(f, 2);
    assert_int_equal(f->outcome.state.counts.failed, 1);
    assert_int_equal(n_lines(f->run_dir, "count"), 2);
    assert_int_equal(f->n_more, 0);
}

static void a_suspects_results_count(void **state)
{
    struct fixture *f = *state;
    begin_silence(f, waking_worker, 0.2, 1000);
    f->awaited_note = "gets nothing new";
    run(f, 2);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.n_evaluated, 60);
    assert_non_null(strstr(f->notes, "worker 2 on h is heard again"));
    assert_null(strstr(f->notes, "is out"));
    assert_true(f->n_more > 0);
}

static void a_rank_that_never_greets_is_left_out(void **state)
{
    struct fixture *f = *state;
    begin_silence(f, dying_worker, 0.2, 0.4);
    f->last_is_mute = true;
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_FINISHED);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.n_silent, 1);
    assert_non_null(strstr(f->notes, "rank 2 on (no host: it did not greet) is left out"));
}

/* Nothing runs, so nothing is waited for: not even that all greet. */
static void a_signal_while_ranks_greet_ends_the_run(void **state)
{
    struct fixture *f = *state;
    begin_silence(f, dying_worker, 500, 1000);
    f->last_is_mute = true;
    send_signal(f, SIGUSR1);
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_int_equal(f->outcome.state.counts.pending, 60);
    assert_status_tells(f, strsignal(SIGUSR1));
}

static void without_a_worker_that_is_heard_the_run_ends(void **state)
{
    struct fixture *f = *state;
    for (int is_mute = 0; is_mute < 2; is_mute++) {
        begin_silence(f, dying_worker, 0.1, 0.2);
        f->last_is_mute = is_mute;
        run(f, 1);
        assert_int_equal(f->outcome.ending, ES_ENDING_NO_WORKER);
        assert_int_equal(f->outcome.state.counts.pending, 60);
        assert_status_tells(f, "no worker is left");
        renew(state);
    }
}

static void a_drain_does_not_wait_for_a_suspect(void **state)
{
    struct fixture *f = *state;
    begin_silence(f, dying_worker, 0.2, 1000);
    f->job->limits.grace_s = 1000;
    f->awaited_note = "worker 2 on h is silent";
    f->signal_then = SIGUSR1;
    double begun_s = es_clock_mono_s();
    run(f, 2);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_true(es_clock_mono_s() - begun_s < 500); /* of the grace */
    assert_true(f->outcome.state.counts.pending > 0);
    assert_table_equals_markers(f);
}

static void what_a_worker_held_that_left_is_done_by_others(void **state)
{
    struct fixture *f = *state;
    load_job(f, SLOW, false);
    f->last_worker = leaving_worker;
    run(f, 2);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_non_null(strstr(f->notes, "worker 2 on h is out: it left"));
}

/* Submitted again, it may have better workers. */
static void a_worker_that_breaks_while_the_run_stops_does_not_end_it(void **state)
{
    struct fixture *f = *state;
    load_job(f, SLOW, false);
    f->job->limits.grace_s = 1000;
    f->last_worker = breaking_worker;
    run(f, 1);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_int_equal(f->outcome.state.counts.pending, 60);
}

int main(void)
{
    es_signal_block();
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_worker_that_breaks_after_the_end_changes_nothing),
        CASE(a_rank_that_drains_by_itself_is_done_without),
        CASE(ranks_that_do_not_speak_the_protocol_are_refused),
        CASE(what_a_dead_worker_held_is_done_by_others),
        CASE(one_that_comes_back_works_on_and_nothing_counts_twice),
        CASE(a_suspect_gets_nothing_new),
        CASE(a_suspects_results_count),
        CASE(a_rank_that_never_greets_is_left_out),
        CASE(a_signal_while_ranks_greet_ends_the_run),
        CASE(without_a_worker_that_is_heard_the_run_ends),
        CASE(a_drain_does_not_wait_for_a_suspect),
        CASE(what_a_worker_held_that_left_is_done_by_others),
        CASE(a_worker_that_breaks_while_the_run_stops_does_not_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
