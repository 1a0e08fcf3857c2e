/* Coordinator, recorder and workers together, over queues between threads instead of MPI: a run of
 * 60 units, and what is to be said of it afterwards.
 */
#ifndef ES_TESTS_MPI_COORDINATOR_FIXTURE_H
#define ES_TESTS_MPI_COORDINATOR_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "helper/tempdir.h"
#include "mpi/bridge.h"
#include "mpi/coordinator.h"
#include "mpi/worker.h"
#include "run/folder.h"
#include "run/layout.h"
#include "run/scan.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"
#include "unit/mpi/messages.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

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
    void *(*last_worker)(void *); /* in place of the last one (scripted_workers.h); NULL: none */
    bool last_is_mute;            /* it does not even greet */
    struct es_pulse_limits pulse; /* beat_s > 0: the workers are bridges, which beat */
    const char *awaited_note;     /* when there is one with this in it ... */
    sem_t noted;                  /* ... the scripted worker hears of it here ... */
    int signal_then;              /* ... and the coordinator gets this signal */
    uint32_t n_more;              /* assignments that the scripted worker got later */
    struct es_lock *lock;         /* with company; NULL: without */
    bool forgets;                 /* the recorder loses a message, out of memory */
    long n_allocations; /* > 0: so many after the awaited note there is no memory for a turn */
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    es_local_hub_free(f->hub);
    es_coordinator_outcome_clear(&f->outcome);
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

/* For another run in the same test. */
static inline void renew(void **state)
{
    assert_int_equal(teardown(state), 0);
    assert_int_equal(setup(state), 0);
}

/* The job: 5 checkpoints x 4 layers x 3 tasks with this evaluator object. */
static inline void load_job(struct fixture *f, const char *evaluator, bool coordinator_works)
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

static inline void scan(struct fixture *f)
{
    struct es_scan_options options = {.not_before_ns = INT64_MIN, .look_for_failed = true};
    struct es_scan_summary summary;
    assert_int_equal(es_scan(f->run_dir, f->layout, &options, f->units, &summary, NULL), 0);
}

static inline void *worker_main(void *arg)
{
    es_worker_run(arg);
    return NULL;
}

/* A whole rank: it beats. */
static inline void *rank_main(void *arg)
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

static inline void greet(struct fixture *f, uint32_t rank)
{
    struct es_hello hello = {.node = "n", .host = "h", .n_cpus = 1, .n_cpus_node = 1};
    struct es_buf buf = {0};
    es_hello_encode(&hello, &buf);
    assert_int_equal(es_transport_send_buf(es_local_hub_endpoint(f->hub, rank), 0, &buf), 0);
}

/* Rank 0 coordinates without working; ranks 1 to n work, in a thread each. */
static inline void start_workers(struct fixture *f, uint32_t n)
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

static inline void send_signal(struct fixture *f, int number)
{
    struct signalfd_siginfo info = {.ssi_signo = (uint32_t)number};
    assert_int_equal(write(f->signal_pipe[1], &info, sizeof info), sizeof info);
}

static inline void note(void *context, bool is_trouble, const char *text)
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
    if (f->n_allocations > 0)
        es_mem_fail_after(f->n_allocations);
}

/* At the end of each turn of the coordinator. */
static inline void report(void *context, const struct es_run_state *state)
{
    (void)context;
    (void)state;
    es_mem_fail_after(-1);
}

/* Runs what is pending in the table, and looks at the folder again afterwards. */
static inline void run(struct fixture *f, uint32_t n_workers)
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
        lose_message(recorder);
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
        .report = report,
        .context = f,
    };
    es_coordinator_outcome_clear(&f->outcome);
    f->rc = es_coordinator_run(&config, &f->outcome, &f->err);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    if (f->pulse.beat_s > 0)
        es_coordinator_send_exit(config.transport, &(struct es_exit){0});
    for (uint32_t r = 1; r <= f->n_workers; r++)
        pthread_join(f->threads[r], NULL);
}

/* The driver's last word in status.json. */
static inline void assert_status_tells(struct fixture *f, const char *why_ended)
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
static inline void assert_table_equals_markers(struct fixture *f)
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

static inline uint32_t n_lines(const char *dir, const char *name)
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
static inline const char *fake(struct fixture *f, const char *mode, const char *arguments,
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

#endif
