/* Coordinator, recorder and workers together, over queues between threads instead of MPI. */
#include "mpi/coordinator.h"

#include "core/mem.h"
#include "helper/tempdir.h"
#include "mpi/bridge.h"
#include "mpi/worker.h"
#include "run/folder.h"
#include "run/layout.h"
#include "run/lease.h"
#include "run/scan.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_WORKERS 4
#define SLOW "{\"mode\":\"null\",\"markers\":true,\"seconds\":0.02}"

struct fixture {
    char run_dir[TEMPDIR_SIZE];
    struct es_job *job;
    struct es_layout *layout;
    struct es_units *units;
    struct es_cost *cost;
    struct es_local_hub *hub;
    struct es_worker_args args[MAX_WORKERS + 1];
    pthread_t threads[MAX_WORKERS + 1];
    uint32_t n_workers;
    void *(*last_worker)(void *); /* a scripted one in place of the last; NULL: none */
    bool last_is_mute;            /* it does not even greet */
    struct es_pulse_limits pulse; /* beat_s > 0: the workers are bridges, which beat */
    const char *awaited_note;     /* when there is one with this in it ... */
    sem_t noted;                  /* ... the scripted worker hears of it here ... */
    int signal_then;              /* ... and the coordinator gets this signal */
    uint32_t n_more;              /* assignments that the scripted worker got later */
    struct es_lock *lock;         /* with company; NULL: without */
    bool forgets;                 /* the recorder loses a message, out of memory */
    uint32_t pending[4096];
    uint32_t n_pending;
    struct es_buf late; /* a message that rank 1 sends right after its HELLO, if there is one */
    double started_s;
    int signal_pipe[2];
    char notes[16384];
    struct es_coordinator_outcome outcome;
    struct es_err err;
    int rc;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    *state = &f;
    f.signal_pipe[0] = f.signal_pipe[1] = -1;
    if (sem_init(&f.noted, 0, 0) < 0)
        return -1;
    if (tempdir_create(f.run_dir) < 0 || es_folder_make(f.run_dir, NULL) < 0)
        return -1;
    return es_fd_pipe(&f.signal_pipe[0], &f.signal_pipe[1]) < 0 ||
           es_fd_set_nonblocking(f.signal_pipe[0]) < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    es_local_hub_free(f->hub);
    es_cost_free(f->cost);
    es_units_free(f->units);
    es_layout_free(f->layout);
    es_job_free(f->job);
    es_fd_close(&f->signal_pipe[0]);
    es_fd_close(&f->signal_pipe[1]);
    (void)sem_destroy(&f->noted);
    tempdir_remove(f->run_dir);
    return 0;
}

/* The job: 5 checkpoints x 4 layers x 3 tasks with this evaluator object. */
static void load_job(struct fixture *f, const char *evaluator, bool coordinator_works)
{
    char text[4096];
    int n = snprintf(text, sizeof text,
                     "{\"run\":{\"id\":\"t\"},\"grid\":{\"checkpoints\":"
                     "[\"step0\",\"step1\",\"step2\",\"step4\",\"step8\"],\"layers\":\"21-24\","
                     "\"tasks\":[\"A\",\"B\",\"C\"]},\"evaluator\":%s,"
                     "\"resources\":{\"coordinator_works\":%s}}",
                     evaluator, coordinator_works ? "true" : "false");
    struct es_err err = {0};
    struct es_cost_hints hints = {.load_s = 0.001};
    if (es_job_parse(text, (size_t)n, "test", NULL, &f->job, &err) < 0)
        fail_msg("%s: %s", err.subject, err.why);
    assert_int_equal(es_layout_create(f->job->layout, &f->layout, NULL), 0);
    assert_int_equal(es_units_create(f->job->grid, &f->units, NULL), 0);
    assert_int_equal(es_cost_create(f->job->grid, &hints, &f->cost, NULL), 0);
}

static void scan(struct fixture *f)
{
    struct es_scan_options options = {.not_before_ns = INT64_MIN, .look_for_failed = true};
    struct es_scan_summary summary;
    assert_int_equal(es_scan(f->run_dir, f->layout, &options, f->units, &summary, NULL), 0);
}

static void *worker_main(void *arg)
{
    es_worker_run(arg);
    return NULL;
}

/* A whole rank: it beats. */
static void *rank_main(void *arg)
{
    const struct es_worker_args *args = arg;
    const struct es_pulse_limits limits = {
        .beat_s = 0.05, .suspect_s = (double)INFINITY, .given_up_s = 1000};
    struct es_bridge *bridge = NULL;
    struct es_exit exit;
    if (es_bridge_create(args->transport, &bridge, NULL) == 0)
        (void)es_bridge_run(bridge, -1, true, &limits, &exit, NULL);
    es_bridge_free(bridge);
    return NULL;
}

static void greet(struct fixture *f, uint32_t rank)
{
    struct es_hello hello = {.node = "n", .host = "h", .n_cpus = 1, .n_cpus_node = 1};
    struct es_buf buf = {0};
    es_hello_encode(&hello, &buf);
    assert_int_equal(es_transport_send_buf(es_local_hub_endpoint(f->hub, rank), 0, &buf), 0);
}

/* Rank 0 coordinates without working; ranks 1 to n work, in a thread each. */
static void start_workers(struct fixture *f, uint32_t n)
{
    assert_int_equal(es_local_hub_create(n + 1, &f->hub, NULL), 0);
    f->n_workers = n;
    for (uint32_t r = 0; r <= n; r++)
        if (r < n || !f->last_is_mute)
            greet(f, r);
    if (f->late.len)
        assert_int_equal(es_transport_send_buf(es_local_hub_endpoint(f->hub, 1), 0, &f->late), 0);
    for (uint32_t r = 1; r <= n; r++) {
        f->args[r] = (struct es_worker_args){
            .transport = es_local_hub_endpoint(f->hub, r), .rank = r, .host = "h"};
        void *(*thread_main)(void *) = f->pulse.beat_s > 0 ? rank_main : worker_main;
        if (r == n && f->last_worker)
            thread_main = f->last_worker;
        assert_int_equal(pthread_create(&f->threads[r], NULL, thread_main, &f->args[r]), 0);
    }
}

static void send_signal(struct fixture *f, int number)
{
    struct signalfd_siginfo info = {.ssi_signo = (uint32_t)number};
    assert_int_equal(write(f->signal_pipe[1], &info, sizeof info), sizeof info);
}

static void note(void *context, bool is_trouble, const char *text)
{
    (void)is_trouble;
    struct fixture *f = context;
    size_t n = strlen(f->notes);
    (void)snprintf(f->notes + n, sizeof f->notes - n, "%s\n", text);
    if (!f->awaited_note || !strstr(text, f->awaited_note))
        return;
    f->awaited_note = NULL;
    (void)sem_post(&f->noted);
    if (f->signal_then)
        send_signal(f, f->signal_then);
}

static void make_forget(struct es_recorder *recorder)
{
    struct es_buf buf = {0};
    struct es_message message;
    es_results_begin(&buf);
    assert_int_equal(es_message_take(&buf, &message), 0);
    es_mem_fail_after(0);
    es_recorder_add(recorder, &message);
    es_mem_fail_after(-1);
}

/* Runs what is pending in the table, and looks at the folder again afterwards. */
static void run(struct fixture *f, uint32_t n_workers)
{
    struct es_recorder *recorder;
    for (uint32_t id = 0; id < es_grid_n_units(f->job->grid); id++)
        if (es_units_columns(f->units).status[id] == ES_STATUS_PENDING)
            f->pending[f->n_pending++] = id;
    struct es_company_config company = {.lock = f->lock,
                                        .layout = f->layout,
                                        .pending = f->pending,
                                        .n_pending = f->n_pending,
                                        .not_before_ns = INT64_MIN,
                                        .stale_s = 60};
    struct es_recorder_config recorder_config = {
        .units = f->units, .company = f->lock ? &company : NULL, .run_dir = f->run_dir};
    start_workers(f, n_workers);
    assert_int_equal(es_recorder_start(&recorder_config, &recorder, NULL), 0);
    if (f->forgets)
        make_forget(recorder);
    struct es_coordinator_config config = {
        .job = f->job,
        .pending = f->pending,
        .n_pending = f->n_pending,
        .counts = es_units_count(f->units),
        .cost = f->cost,
        .transport = es_local_hub_endpoint(f->hub, 0),
        .recorder = recorder,
        .run_dir = f->run_dir,
        .versions_json = "{}",
        .driver_id = f->lock ? es_lock_id(f->lock) : "",
        .not_before_ns = INT64_MIN,
        .started_s = f->started_s,
        .pulse = f->pulse,
        .signal_fd = f->signal_pipe[0],
        .note = note,
        .context = f,
    };
    f->rc = es_coordinator_run(&config, &f->outcome, &f->err);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    if (f->pulse.beat_s > 0)
        es_coordinator_send_exit(config.transport, &(struct es_exit){0});
    for (uint32_t r = 1; r <= f->n_workers; r++)
        pthread_join(f->threads[r], NULL);
}

/* The driver's last word in status.json. */
static void assert_status_tells(struct fixture *f, const char *why_ended)
{
    struct es_status_seen seen;
    assert_int_equal(es_status_read(f->run_dir, es_clock_wall_s(), &seen, NULL), 0);
    assert_true(seen.has_ended);
    assert_string_equal(seen.why_ended, why_ended);
    assert_int_equal(seen.n_checkpoints, es_grid_n_checkpoints(f->job->grid));
    struct es_counts told = {0}, counts = es_units_count(f->units);
    for (uint32_t c = 0; c < seen.n_checkpoints; c++) {
        assert_string_equal(seen.checkpoints[c].name, es_grid_checkpoint(f->job->grid, c));
        told.done += seen.checkpoints[c].done;
        told.pending += seen.checkpoints[c].pending;
        told.failed += seen.checkpoints[c].failed;
    }
    assert_int_equal(told.done, counts.done);
    assert_int_equal(told.pending, counts.pending);
    assert_int_equal(told.failed, counts.failed);
    es_status_clear(&seen);
}

/* The table, as the results made it, tells the same as the markers do. */
static void assert_table_equals_markers(struct fixture *f)
{
    struct es_counts recorded = es_units_count(f->units);
    uint32_t n = es_grid_n_units(f->job->grid);
    double scores[4096];
    memcpy(scores, es_units_columns(f->units).main_score, n * sizeof *scores);
    es_units_free(f->units);
    assert_int_equal(es_units_create(f->job->grid, &f->units, NULL), 0);
    scan(f);
    struct es_counts found = es_units_count(f->units);
    assert_int_equal(recorded.done, found.done);
    assert_int_equal(recorded.failed, found.failed);
    assert_int_equal(recorded.pending, found.pending);
    for (uint32_t id = 0; id < n; id++)
        if (es_units_columns(f->units).status[id] == ES_STATUS_DONE)
            assert_true(scores[id] == es_units_columns(f->units).main_score[id]);
}

static uint32_t n_lines(const char *dir, const char *name)
{
    char path[TEMPDIR_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    struct es_buf text = {0};
    if (es_file_read_at(AT_FDCWD, path, 1 << 24, &text, NULL) < 0)
        return 0;
    uint32_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '\n';
    es_buf_clear(&text);
    return n;
}

/* An evaluator object that runs the tests' fake evaluator with these further arguments. */
static const char *fake(struct fixture *f, const char *mode, const char *arguments,
                        const char *more_keys)
{
    static char text[2048];
    (void)snprintf(text, sizeof text,
                   "{\"mode\":\"%s\",\"command\":[\"%s\",\"--count-file\",\"%s/count\"%s%s]%s}",
                   mode, FAKE_EVALUATOR, f->run_dir,
                   strcmp(mode, "persistent") == 0 ? ",\"--persistent\"" : "", arguments,
                   more_keys);
    return text;
}

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
    assert_non_null(strstr(f->notes, "step1/layer_22/B failed on worker 1 (try 2, the last): "));
    assert_non_null(strstr(f->notes, "exit code 7"));
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

/* Takes what comes, until it is told to quit. */
static void wait_for_quit(const struct es_worker_args *args)
{
    enum es_message_type type = 0;
    while (type != ES_MESSAGE_QUIT) {
        struct pollfd fd = {.fd = es_transport_fd(args->transport), .events = POLLIN};
        struct es_message message;
        uint32_t source;
        (void)poll(&fd, 1, -1);
        while (es_transport_receive(args->transport, &source, &message)) {
            type = es_message_type(&message);
            es_message_clear(&message);
        }
    }
}

/* Finds out that it cannot work when there is nothing left to do. */
static void *late_broken_worker(void *arg)
{
    const struct es_worker_args *args = arg;
    wait_for_quit(args);
    struct es_ready ready = {.why = "no such command", .note = ""};
    struct es_buf buf = {0};
    es_ready_encode(&ready, &buf);
    (void)es_transport_send_buf(args->transport, 0, &buf);
    es_plain_encode(ES_MESSAGE_BYE, &buf);
    (void)es_transport_send_buf(args->transport, 0, &buf);
    return NULL;
}

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

/* Fails a unit, and writes so into its folder, after it was given to others. */
static void *late_failing_worker(void *arg)
{
    const struct es_worker_args *args = arg;
    struct es_result_entry entry = {.unit_id = 17, .kind = ES_RESULT_FAILED};
    struct es_result result;
    struct es_buf buf = {0};
    wait_for_quit(args);
    es_result_init(&result);
    es_results_begin(&buf);
    es_results_add(&buf, &entry, &result);
    entry.unit_id = 60; /* there is none */
    es_results_add(&buf, &entry, &result);
    es_result_clear(&result);
    (void)es_transport_send_buf(args->transport, 0, &buf);
    es_plain_encode(ES_MESSAGE_BYE, &buf);
    (void)es_transport_send_buf(args->transport, 0, &buf);
    return NULL;
}

static void a_failure_of_a_unit_that_others_did_is_cleared_away(void **state)
{
    struct fixture *f = *state;
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    f->last_worker = late_failing_worker;
    run(f, 2);
    assert_int_equal(f->outcome.state.counts.done, 60);
    assert_int_equal(f->outcome.state.counts.failed, 0);
    assert_int_equal(f->outcome.n_forgiven, 1);
    assert_int_equal(f->outcome.forgiven[0], 17);
    free(f->outcome.forgiven);
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
        teardown(state);
        setup(state);
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
    teardown(state);
    setup(state);
    load_job(f, "{\"mode\":\"null\",\"markers\":true}", false);
    f->late = (struct es_buf){0};
    es_drain_encode(0, &f->late);
    run(f, 1); /* the last one: stopped, and not out of workers */
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->outcome.ending, ES_ENDING_STOPPED);
    assert_int_equal(f->outcome.state.counts.pending, 60);
}

/* A rank that tells of a unit that it was not given (it was given up before, say). */
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

/* --- Ranks that fall silent --- */

/* The next message but beats; its type. */
static enum es_message_type receive(struct es_transport *at, struct es_message *message)
{
    uint32_t source;
    enum es_message_type type;
    do {
        while (!es_transport_receive(at, &source, message)) {
            struct pollfd fd = {.fd = es_transport_fd(at), .events = POLLIN};
            (void)poll(&fd, 1, -1);
        }
        type = es_message_type(message);
        if (type == ES_MESSAGE_BEAT)
            es_message_clear(message);
    } while (type == ES_MESSAGE_BEAT);
    return type;
}

static void say_plainly(struct es_transport *at, enum es_message_type type)
{
    struct es_buf buf = {0};
    struct es_ready ready = {.why = "", .note = "gpu7"};
    if (type == ES_MESSAGE_READY)
        es_ready_encode(&ready, &buf);
    else
        es_plain_encode(type, &buf);
    (void)es_transport_send_buf(at, 0, &buf);
}

/* Answers a (whole) ASSIGN: all of it is done, with a score that no other worker gives. */
static void say_done(struct fixture *f, struct es_transport *at, const struct es_message *assign)
{
    struct es_wire_reader reader = es_wire_read(assign);
    struct es_wire_bundle bundle;
    struct es_buf layers = {0}, buf = {0};
    struct es_result result;
    es_result_init(&result);
    result.main_score = 0.75;
    es_results_begin(&buf);
    while (es_assign_next(&reader, &bundle, &layers))
        for (uint32_t i = 0; i < bundle.n_layers; i++) {
            const struct es_wire_layer *layer = (const struct es_wire_layer *)(void *)layers.data;
            struct es_unit unit = {bundle.checkpoint, layer[i].layer, bundle.task};
            struct es_result_entry entry = {
                .unit_id = es_grid_id(f->job->grid, unit), .kind = ES_RESULT_DONE, .total_s = 0.02};
            es_results_add(&buf, &entry, &result);
        }
    (void)es_transport_send_buf(at, 0, &buf);
    es_result_clear(&result);
    es_buf_clear(&layers);
}

static struct fixture *the_fixture; /* for scripted workers, which know their transport only */

/* Takes its first units, and dies. (Its thread ends with EXIT.) */
static void *dying_worker(void *arg)
{
    const struct es_worker_args *args = arg;
    struct es_message message;
    enum es_message_type type;
    do {
        type = receive(args->transport, &message);
        es_message_clear(&message);
        if (type == ES_MESSAGE_CONFIG)
            say_plainly(args->transport, ES_MESSAGE_READY);
    } while (type != ES_MESSAGE_EXIT);
    return NULL;
}

/* The same, but it was only stopped: heard again after the awaited note, it first tells that it did
 * all that it had been given, and then does what it is told. */
static void *waking_worker(void *arg)
{
    struct es_transport *at = ((const struct es_worker_args *)arg)->transport;
    struct es_message message, assigned;
    enum es_message_type type;
    (void)receive(at, &message);
    es_message_clear(&message);
    say_plainly(at, ES_MESSAGE_READY);
    (void)receive(at, &assigned);
    (void)sem_wait(&the_fixture->noted);
    say_done(the_fixture, at, &assigned);
    es_message_clear(&assigned);
    do {
        type = receive(at, &message);
        if (type == ES_MESSAGE_RESET)
            say_plainly(at, ES_MESSAGE_READY);
        if (type == ES_MESSAGE_ASSIGN)
            say_done(the_fixture, at, &message);
        the_fixture->n_more += type == ES_MESSAGE_ASSIGN;
        if (type == ES_MESSAGE_QUIT)
            say_plainly(at, ES_MESSAGE_BYE);
        es_message_clear(&message);
    } while (type != ES_MESSAGE_EXIT);
    return NULL;
}

/* Dies without a unit, once the other has begun the only one; what comes for it when it is a
 * suspect is counted. */
static void *suspected_worker(void *arg)
{
    struct es_transport *at = ((const struct es_worker_args *)arg)->transport;
    struct es_message message;
    enum es_message_type type;
    uint32_t source;
    (void)receive(at, &message);
    es_message_clear(&message);
    while (n_lines(the_fixture->run_dir, "count") == 0)
        (void)usleep(1000);
    say_plainly(at, ES_MESSAGE_READY);
    (void)sem_wait(&the_fixture->noted);
    while (es_transport_receive(at, &source, &message)) /* sent before that */
        es_message_clear(&message);
    do {
        type = receive(at, &message);
        the_fixture->n_more += type == ES_MESSAGE_ASSIGN || type == ES_MESSAGE_RECALL;
        es_message_clear(&message);
    } while (type != ES_MESSAGE_EXIT);
    return NULL;
}

static void begin_silence(struct fixture *f, void *(*last_worker)(void *), double suspect_s,
                          double given_up_s)
{
    load_job(f, SLOW, false);
    the_fixture = f;
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
    the_fixture = f;
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
        teardown(state);
        setup(state);
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

/* Works until it is told to stop, and breaks then. */
static void *breaking_worker(void *arg)
{
    struct es_transport *at = ((const struct es_worker_args *)arg)->transport;
    struct es_ready broken = {.why = "the evaluator does not start again", .note = ""};
    struct es_message message;
    struct es_buf buf = {0};
    enum es_message_type type;
    do {
        type = receive(at, &message);
        if (type == ES_MESSAGE_CONFIG)
            say_plainly(at, ES_MESSAGE_READY);
        if (type == ES_MESSAGE_ASSIGN)
            send_signal(the_fixture, SIGUSR1);
        if (type == ES_MESSAGE_DRAIN) {
            es_ready_encode(&broken, &buf);
            (void)es_transport_send_buf(at, 0, &buf);
        }
        if (type == ES_MESSAGE_QUIT)
            say_plainly(at, ES_MESSAGE_BYE);
        es_message_clear(&message);
    } while (type != ES_MESSAGE_QUIT);
    return NULL;
}

/* Says BYE in place of doing what it was given. */
static void *leaving_worker(void *arg)
{
    struct es_transport *at = ((const struct es_worker_args *)arg)->transport;
    struct es_message message;
    enum es_message_type type;
    do {
        type = receive(at, &message);
        if (type == ES_MESSAGE_CONFIG)
            say_plainly(at, ES_MESSAGE_READY);
        if (type == ES_MESSAGE_ASSIGN)
            say_plainly(at, ES_MESSAGE_BYE);
        es_message_clear(&message);
    } while (type != ES_MESSAGE_QUIT);
    say_plainly(at, ES_MESSAGE_BYE);
    return NULL;
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
    the_fixture = f;
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
        cmocka_unit_test_setup_teardown(all_units_are_done_by_several_workers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_persistent_evaluator_sees_each_unit_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_one_shot_evaluator_sees_each_unit_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_done_is_not_run_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_marker_that_appeared_since_the_scan_is_found, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(with_nothing_else_left_the_run_is_left_to_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failing_unit_is_retried_and_then_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_unit_that_must_not_be_retried_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_that_cannot_be_started_ends_the_run, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_breaks_after_the_end_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failure_of_a_unit_that_others_did_is_cleared_away, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_evaluators_own_marker_is_what_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_drains_and_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_time_limit_counts_from_the_jobs_start, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rank_that_drains_by_itself_is_done_without, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_run_ends_when_no_unit_that_is_left_can_end_in_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_run_whose_recorder_has_forgotten_something_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(results_of_units_not_held_are_not_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(ranks_that_do_not_speak_the_protocol_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_dead_worker_held_is_done_by_others, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_comes_back_works_on_and_nothing_counts_twice,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_suspect_gets_nothing_new, setup, teardown),
        cmocka_unit_test_setup_teardown(a_suspects_results_count, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rank_that_never_greets_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_while_ranks_greet_ends_the_run, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_worker_that_is_heard_the_run_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_drain_does_not_wait_for_a_suspect, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_worker_held_that_left_is_done_by_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_breaks_while_the_run_stops_does_not_end_it,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
