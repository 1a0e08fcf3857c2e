/* One worker, spoken to message by message. */
#include "mpi/worker.h"

#include "evalsweep/jobfile.h"
#include "helper/tempdir.h"
#include "run/folder.h"
#include "run/layout.h"
#include "run/lease.h"
#include "run/marker.h"
#include "sys/fd.h"
#include "sys/signal.h"
#include "unit/mpi/messages.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Ranks of the hub: the test is the coordinator. */
enum { TEST = 0, WORKER = 1 };

#define WAIT_MS 20000

struct fixture {
    char run_dir[TEMPDIR_SIZE];
    char job_text[4096];
    const char *driver_id; /* "": without leases */
    int64_t started_ns;
    struct es_job *job;
    struct es_local_hub *hub;
    struct es_transport *at;
    struct es_worker_args args;
    pthread_t thread;
    struct es_message results; /* the RESULTS message whose entries are being read */
    struct es_wire_reader reader;
    struct es_result result; /* of the entry read last */
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    *state = &f;
    f.driver_id = "";
    es_result_init(&f.result);
    if (tempdir_create(f.run_dir) < 0 || es_folder_make(f.run_dir, NULL) < 0 ||
        es_local_hub_create(2, &f.hub, NULL) < 0)
        return -1;
    f.at = es_local_hub_endpoint(f.hub, TEST);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    es_message_clear(&f->results);
    es_result_clear(&f->result);
    es_local_hub_free(f->hub);
    es_job_free(f->job);
    tempdir_remove(f->run_dir);
    return 0;
}

static void *worker_main(void *arg)
{
    es_worker_run(arg);
    return NULL;
}

static void send(struct fixture *f, struct es_buf *buf)
{
    assert_int_equal(es_transport_send_buf(f->at, WORKER, buf), 0);
}

/* Starts a worker with an evaluator object, checkpoints a and b, layers 1 to 4, tasks S and T. */
static void start(struct fixture *f, const char *evaluator)
{
    int n = snprintf(f->job_text, sizeof f->job_text,
                     "{\"run\":{\"id\":\"t\"},\"grid\":{\"checkpoints\":[\"a\",\"b\"],"
                     "\"layers\":\"1-4\",\"tasks\":[\"S\",\"T\"]},\"evaluator\":%s}",
                     evaluator);
    struct es_err err = {0};
    if (es_job_parse(f->job_text, (size_t)n, "test", NULL, &f->job, &err) < 0)
        fail_msg("%s", err.why);
    f->args = (struct es_worker_args){
        .transport = es_local_hub_endpoint(f->hub, WORKER), .rank = 7, .host = "h"};
    assert_int_equal(pthread_create(&f->thread, NULL, worker_main, &f->args), 0);
    struct es_config config = {.job_text = f->job_text,
                               .job_text_n = (size_t)n,
                               .run_dir = f->run_dir,
                               .versions_json = "{}",
                               .device_variable = "",
                               .device_visible = "",
                               .n_threads = 1,
                               .driver_id = f->driver_id,
                               .started_ns = f->started_ns,
                               .not_before_ns = INT64_MIN};
    struct es_buf buf = {0};
    es_config_encode(&config, &buf);
    send(f, &buf);
    struct es_message message = receive_from(f->at);
    struct es_ready ready;
    assert_int_equal(es_ready_decode(&message, &ready), 0);
    assert_string_equal(ready.why, "");
    es_message_clear(&message);
}

/* An evaluator object that runs the tests' fake evaluator, persistent, with these arguments. */
static const char *fake(const char *arguments, const char *more_keys)
{
    static char text[2048];
    (void)snprintf(text, sizeof text,
                   "{\"mode\":\"persistent\",\"command\":[\"%s\",\"--persistent\"%s]%s}",
                   FAKE_EVALUATOR, arguments, more_keys);
    return text;
}

/* A bundle of n layers from the first on, at attempt 1. */
static struct es_message assignment(uint32_t checkpoint, uint32_t task, uint32_t n)
{
    struct es_buf buf = {0};
    struct es_message message;
    struct es_wire_bundle bundle = {checkpoint, task, ES_GRID_NONE, n};
    struct es_wire_layer layers[4] = {
        {0, 1, 0, 0, 0}, {1, 1, 0, 0, 0}, {2, 1, 0, 0, 0}, {3, 1, 0, 0, 0}};
    es_assign_begin(&buf);
    es_assign_add(&buf, &bundle, layers);
    assert_int_equal(es_message_take(&buf, &message), 0);
    return message;
}

static void assign(struct fixture *f, uint32_t checkpoint, uint32_t task, uint32_t n)
{
    struct es_message message = assignment(checkpoint, task, n);
    assert_int_equal(es_transport_send(f->at, WORKER, &message), 0);
}

static uint32_t id_of(const struct fixture *f, uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    return es_grid_id(f->job->grid, (struct es_unit){checkpoint, layer, task});
}

/* The next entry of what the worker reports; its result in f->result. */
static struct es_result_entry next(struct fixture *f)
{
    struct es_result_entry entry;
    while (!f->results.n || !es_results_next(&f->reader, &entry, &f->result)) {
        es_message_clear(&f->results);
        f->results = receive_from(f->at);
        assert_int_equal(es_message_type(&f->results), ES_MESSAGE_RESULTS);
        f->reader = es_wire_read(&f->results);
    }
    return entry;
}

static void assert_next(struct fixture *f, uint32_t unit_id, enum es_result_kind kind)
{
    struct es_result_entry entry = next(f);
    assert_int_equal(entry.unit_id, unit_id);
    assert_int_equal(entry.kind, kind);
}

static void quit(struct fixture *f)
{
    say(f->at, WORKER, ES_MESSAGE_QUIT);
    struct es_message message;
    do {
        message = receive_from(f->at);
        enum es_message_type type = es_message_type(&message);
        es_message_clear(&message);
        if (type == ES_MESSAGE_BYE)
            break;
        assert_int_equal(type, ES_MESSAGE_RESULTS);
    } while (true);
    pthread_join(f->thread, NULL);
}

static const char *unit_path(const struct fixture *f, struct es_unit unit, const char *name)
{
    static char path[TEMPDIR_SIZE + 512];
    struct es_layout *layout;
    struct es_buf dir = {0};
    assert_int_equal(es_layout_create(f->job->layout, &layout, NULL), 0);
    es_layout_unit_dir(layout, f->job->grid, unit, &dir);
    (void)snprintf(path, sizeof path, "%s/%s/%s", f->run_dir, dir.data, name);
    es_buf_clear(&dir);
    es_layout_free(layout);
    return path;
}

static bool exists(const struct fixture *f, struct es_unit unit, const char *name)
{
    return access(unit_path(f, unit, name), F_OK) == 0;
}

/* Waits until the worker has begun this unit: then its folder is there. */
static void wait_until_begun(const struct fixture *f, struct es_unit unit)
{
    for (int i = 0; i < WAIT_MS / 5 && !exists(f, unit, "."); i++)
        (void)poll(NULL, 0, 5);
    assert_true(exists(f, unit, "."));
}

static void units_run_in_order_and_are_marked(void **state)
{
    struct fixture *f = *state;
    start(f, fake("", ""));
    assign(f, 0, 1, 4);
    assign(f, 1, 0, 1);
    for (uint32_t l = 0; l < 4; l++) {
        struct es_result_entry entry = next(f);
        assert_int_equal(entry.unit_id, id_of(f, 0, l, 1));
        assert_int_equal(entry.kind, ES_RESULT_DONE);
        assert_true(entry.marker.inode != 0);
        assert_true(exists(f, (struct es_unit){0, l, 1}, ES_MARKER_NAME));
        assert_true(f->result.main_score >= 0 && f->result.main_score <= 1);
        assert_int_equal(f->result.rank, 7);
        assert_int_equal(f->result.attempt, 1);
        assert_string_equal(es_result_text(&f->result, f->result.host), "h");
    }
    struct es_result_entry entry = next(f);
    assert_int_equal(entry.unit_id, id_of(f, 1, 0, 0));
    quit(f);
}

static void a_recall_gives_back_what_was_not_begun(void **state)
{
    struct fixture *f = *state;
    start(f, fake(",\"--hang\"", ",\"timeout_s\":600"));
    assign(f, 0, 0, 3);
    wait_until_begun(f, (struct es_unit){0, 0, 0});
    struct es_buf buf = {0};
    es_recall_begin(&buf);
    es_recall_add(&buf, id_of(f, 0, 2, 0));
    es_recall_add(&buf, id_of(f, 0, 0, 0));
    es_recall_add(&buf, id_of(f, 1, 0, 0)); /* never had it: nothing to say */
    es_recall_add(&buf, id_of(f, 0, 1, 0));
    send(f, &buf);
    assert_next(f, id_of(f, 0, 2, 0), ES_RESULT_RETURNED);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_KEPT);
    assert_next(f, id_of(f, 0, 1, 0), ES_RESULT_RETURNED);
    es_drain_encode(0, &buf);
    send(f, &buf);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_RETURNED);
    quit(f);
}

static void a_drain_gives_back_everything_and_interrupts(void **state)
{
    struct fixture *f = *state;
    start(f, fake(",\"--hang\"", ",\"timeout_s\":600"));
    assign(f, 0, 0, 3);
    wait_until_begun(f, (struct es_unit){0, 0, 0});
    struct es_buf buf = {0};
    es_drain_encode(0.05, &buf);
    send(f, &buf);
    assert_next(f, id_of(f, 0, 1, 0), ES_RESULT_RETURNED);
    assert_next(f, id_of(f, 0, 2, 0), ES_RESULT_RETURNED);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_RETURNED); /* stopped: no failure */
    assert_false(exists(f, (struct es_unit){0, 0, 0}, ES_FAILED_NAME));
    assign(f, 1, 1, 2); /* was on the way: comes back untried */
    assert_next(f, id_of(f, 1, 0, 1), ES_RESULT_RETURNED);
    assert_next(f, id_of(f, 1, 1, 1), ES_RESULT_RETURNED);
    assert_false(exists(f, (struct es_unit){1, 0, 1}, "."));
    quit(f);
}

/* mpirun leaves about a second between SIGTERM and SIGKILL, not the 5 that an evaluator gets else.
 */
static void a_drain_without_grace_waits_for_no_evaluator_that_ignores_it(void **state)
{
    struct fixture *f = *state;
    start(f, fake(",\"--hang\",\"--ignore-term\",\"--print\",\"x\"", ",\"timeout_s\":600"));
    assign(f, 0, 0, 1);
    for (int i = 0; i < WAIT_MS / 5 && !exists(f, (struct es_unit){0, 0, 0}, ES_LOG_NAME); i++)
        (void)poll(NULL, 0, 5); /* it has said something, and ignores SIGTERM by then */
    struct es_buf buf = {0};
    double begun_s = es_clock_mono_s();
    es_drain_encode(0, &buf);
    send(f, &buf);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_RETURNED);
    double took_s = es_clock_mono_s() - begun_s;
    quit(f);
    assert_true(took_s < 4); /* a tenth of that where nothing else runs */
}

/* A signal of its own rank: it comes whenever it comes. */
static void a_drain_before_the_configuration_holds(void **state)
{
    struct fixture *f = *state;
    struct es_buf buf = {0};
    es_drain_encode(0, &buf);
    send(f, &buf);
    start(f, fake(",\"--hang\"", ",\"timeout_s\":600"));
    assign(f, 0, 0, 2);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_RETURNED);
    assert_next(f, id_of(f, 0, 1, 0), ES_RESULT_RETURNED);
    assert_false(exists(f, (struct es_unit){0, 0, 0}, "."));
    quit(f);
}

static void a_unit_that_ends_within_the_grace_is_done(void **state)
{
    struct fixture *f = *state;
    start(f, fake(",\"--sleep-ms\",\"300\"", ""));
    assign(f, 0, 0, 2);
    wait_until_begun(f, (struct es_unit){0, 0, 0});
    struct es_buf buf = {0};
    es_drain_encode(60, &buf);
    send(f, &buf);
    assert_next(f, id_of(f, 0, 1, 0), ES_RESULT_RETURNED);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_DONE);
    quit(f);
}

/* It was taken for dead: what it held is others', and it says nothing of it. */
static void a_reset_forgets_everything_and_begins_anew(void **state)
{
    static const char *const evaluators[] = {
        NULL, "{\"mode\":\"null\",\"markers\":true,\"seconds\":0.3}"};
    for (int i = 0; i < 2; i++) {
        struct fixture *f = *state;
        start(f, evaluators[i]
                     ? evaluators[i]
                     : fake(",\"--hang\",\"--fail-unit\",\"a/1/S\"", ",\"timeout_s\":600"));
        assign(f, 0, 0, 3);
        wait_until_begun(f, (struct es_unit){0, 0, 0});
        for (int times = 0; times < 2; times++) { /* the second time it holds nothing */
            struct es_ready ready;
            say(f->at, WORKER, ES_MESSAGE_RESET);
            struct es_message message = receive_from(f->at);
            assert_int_equal(es_ready_decode(&message, &ready), 0);
            assert_string_equal(ready.why, "");
            es_message_clear(&message);
        }
        assert_false(exists(f, (struct es_unit){0, 0, 0}, ES_MARKER_NAME));
        assert_false(exists(f, (struct es_unit){0, 0, 0}, ES_FAILED_NAME));
        assign(f, 1, 1, 2);
        assert_next(f, id_of(f, 1, 0, 1), ES_RESULT_DONE);
        assert_next(f, id_of(f, 1, 1, 1), ES_RESULT_DONE);
        quit(f);
        assert_false(exists(f, (struct es_unit){0, 1, 0}, "."));
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

/* A READY that was on its way for long is taken for the answer: units follow the RESET at once. */
static void what_is_assigned_right_after_a_reset_is_told(void **state)
{
    static const char *const evaluators[] = {NULL, "{\"mode\":\"null\"}"};
    for (int i = 0; i < 2; i++) {
        struct fixture *f = *state;
        struct es_ready ready;
        start(f, evaluators[i] ? evaluators[i] : fake("", ""));
        say(f->at, WORKER, ES_MESSAGE_RESET);
        assign(f, 1, 1, 2);
        struct es_message message = receive_from(f->at);
        assert_int_equal(es_ready_decode(&message, &ready), 0);
        es_message_clear(&message);
        assert_next(f, id_of(f, 1, 0, 1), ES_RESULT_DONE);
        assert_next(f, id_of(f, 1, 1, 1), ES_RESULT_DONE);
        quit(f);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

/* A failed.json is there; whether it is one for good, and no mere record of a try that had others
 * to follow. */
static bool is_failed(const struct fixture *f, struct es_unit unit)
{
    struct es_buf scratch = {0};
    struct es_result result;
    es_result_init(&result);
    assert_true(es_failed_read(AT_FDCWD, unit_path(f, unit, "."), "S", &scratch, &result));
    bool is_interim = result.is_interim;
    es_result_clear(&result);
    es_buf_clear(&scratch);
    return !is_interim;
}

static void failures_tell_why(void **state)
{
    static const struct {
        const char *arguments, *more_keys, *why;
        bool may_retry;
    } rows[] = {
        {",\"--exit\",\"3\",\"--fail-unit\",\"a/1/S\"", "", "exit code 3", true},
        {",\"--wrong-unit\",\"--fail-unit\",\"a/1/S\"", "", "the reply is for unit ", true},
        {",\"--garbage\",\"--fail-unit\",\"a/1/S\"", "", "JSON", true},
        {",\"--error\",\"--fail-unit\",\"a/1/S\"", "", "", false},
        {",\"--error\",\"--retry\",\"--fail-unit\",\"a/1/S\"", "", "", true},
        {",\"--nan\",\"--fail-unit\",\"a/1/S\"", ",\"require_score\":true", "no main_score", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = *state;
        start(f, fake(rows[i].arguments, rows[i].more_keys));
        assign(f, 0, 0, 2);
        struct es_result_entry entry = next(f);
        assert_int_equal(entry.unit_id, id_of(f, 0, 0, 0));
        assert_int_equal(entry.kind, ES_RESULT_FAILED);
        assert_int_equal(entry.may_retry, rows[i].may_retry);
        const char *why = es_result_text(&f->result, f->result.reason);
        if (!strstr(why, rows[i].why))
            fail_msg("row %zu: %s", i, why);
        assert_int_equal(is_failed(f, (struct es_unit){0, 0, 0}), !rows[i].may_retry);
        assert_false(exists(f, (struct es_unit){0, 0, 0}, ES_MARKER_NAME));
        assert_next(f, id_of(f, 0, 1, 0), ES_RESULT_DONE); /* and the next one runs */
        quit(f);
        assert_int_equal(teardown(state), 0); /* a fresh folder for each */
        assert_int_equal(setup(state), 0);
    }
}

static void a_score_of_nan_is_done(void **state)
{
    struct fixture *f = *state;
    start(f, fake(",\"--nan\"", ""));
    assign(f, 0, 0, 1);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_DONE);
    assert_true(isnan(f->result.main_score));
    quit(f);
}

static void an_evaluators_own_marker_is_kept(void **state)
{
    struct fixture *f = *state;
    start(f, fake(",\"--own-marker\"", ""));
    assign(f, 0, 0, 1);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_DONE);
    quit(f);
    struct es_buf text = {0};
    assert_int_equal(es_file_read_at(AT_FDCWD, unit_path(f, (struct es_unit){0, 0, 0}, "done.json"),
                                     1 << 16, &text, NULL),
                     0);
    assert_null(strstr(text.data, "\"schema\"")); /* not replaced by ours */
    es_buf_clear(&text);
}

/* It wrote a valid marker and then crashed: the marker says done. */
static void a_marker_outweighs_the_evaluators_end(void **state)
{
    struct fixture *f = *state;
    start(f, fake(",\"--own-marker\",\"--die-mid-line\",\"--fail-unit\",\"a/1/S\"", ""));
    assign(f, 0, 0, 1);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_DONE);
    quit(f);
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    es_fd_close(&fd);
}

static void what_a_killed_writer_left_goes(void **state)
{
    struct fixture *f = *state;
    struct es_unit unit = {0, 0, 0};
    start(f, fake("", ""));
    assert_true(es_mkdir_all_at(AT_FDCWD, unit_path(f, unit, ".")) >= 0);
    touch(unit_path(f, unit, ".es-0123abcd"));
    touch(unit_path(f, unit, ".es-notes"));
    assign(f, 0, 0, 1);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_DONE);
    assert_false(exists(f, unit, ".es-0123abcd"));
    assert_true(exists(f, unit, ".es-notes"));
    quit(f);
}

static int open_leases(const struct fixture *f)
{
    int run_dir_fd = open(f->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int leases_fd = es_lease_open_folder(run_dir_fd);
    assert_true(leases_fd >= 0);
    es_fd_close(&run_dir_fd);
    return leases_fd;
}

static void a_bundle_that_another_driver_has_is_left_alone(void **state)
{
    struct fixture *f = *state;
    char names[2][ES_LEASE_NAME_SIZE], holder[ES_HOLDER_ID_SIZE];
    bool is_ours;
    int leases_fd = open_leases(f);
    es_lease_name("a", "S", names[0]);
    es_lease_name("b", "T", names[1]);
    assert_int_equal(es_lease_take(leases_fd, names[0], "other", &is_ours), 0);
    f->driver_id = "this";
    start(f, fake("", ""));
    struct es_buf buf = {0};
    struct es_wire_bundle first = {0, 0, ES_GRID_NONE, 3}, second = {1, 1, ES_GRID_NONE, 2};
    struct es_wire_layer layers[4] = {
        {0, 1, 0, 0, 0}, {1, 1, 0, 0, 0}, {2, 1, 0, 0, 0}, {3, 1, 0, 0, 0}};
    es_assign_begin(&buf);
    es_assign_add(&buf, &first, layers);
    es_assign_add(&buf, &second, layers);
    first.n_layers = 1; /* a second piece of it */
    es_assign_add(&buf, &first, &layers[3]);
    send(f, &buf);
    for (uint32_t l = 0; l < 4; l++)
        assert_next(f, id_of(f, 0, l, 0), ES_RESULT_ELSEWHERE);
    assert_false(exists(f, (struct es_unit){0, 0, 0}, "."));
    for (uint32_t l = 0; l < 2; l++)
        assert_next(f, id_of(f, 1, l, 1), ES_RESULT_DONE);
    assert_int_equal(es_lease_read(leases_fd, names[1], holder), 0);
    assert_string_equal(holder, "this");
    assert_int_equal(es_lease_drop(leases_fd, names[0], "other"), 0); /* and now it is to be had */
    assign(f, 0, 0, 1);
    assert_next(f, id_of(f, 0, 0, 0), ES_RESULT_DONE);
    quit(f);
    es_fd_close(&leases_fd);
}

/* failed.json there: of this run, it is not tried again; of an earlier one, it is, and so is what
 * this driver tried itself: that did not count. */
static void what_failed_in_this_run_already_is_not_tried(void **state)
{
    static const struct {
        bool is_of_this_run;
        uint32_t was_tried;
        enum es_result_kind kind;
    } rows[] = {
        {true, 0, ES_RESULT_FOUND_FAILED}, {false, 0, ES_RESULT_DONE}, {true, 1, ES_RESULT_DONE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = *state;
        f->driver_id = "this";
        f->started_ns = rows[i].is_of_this_run ? 0 : INT64_MAX;
        start(f, fake("", ""));
        struct es_unit unit = {0, 0, 0};
        assert_true(es_mkdir_all_at(AT_FDCWD, unit_path(f, unit, ".")) >= 0);
        int fd = open(unit_path(f, unit, ES_FAILED_NAME), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        assert_int_equal(es_fd_write_all(fd, "{\"reason\":\"it burns\"}", 21), 0);
        es_fd_close(&fd);
        struct es_buf buf = {0};
        struct es_wire_bundle bundle = {0, 0, ES_GRID_NONE, 1};
        struct es_wire_layer layer = {.attempt = 1, .was_tried = rows[i].was_tried};
        es_assign_begin(&buf);
        es_assign_add(&buf, &bundle, &layer);
        send(f, &buf);
        assert_next(f, id_of(f, 0, 0, 0), rows[i].kind);
        if (rows[i].kind == ES_RESULT_FOUND_FAILED)
            assert_string_equal(es_result_text(&f->result, f->result.reason), "it burns");
        quit(f);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

/* Nobody waits for what was lost: the worker is out, and says so as soon as it can. */
static void what_there_was_no_memory_for_is_told(void **state)
{
    uint32_t n_out = 0;
    for (long n = 0; n < 12; n++) {
        struct fixture *f = *state;
        struct es_ready ready;
        start(f, "{\"mode\":\"null\"}");
        struct es_message message = assignment(0, 0, 1), answer;
        es_mem_fail_after(1 + n); /* one is for sending it */
        assert_int_equal(es_transport_send(f->at, WORKER, &message), 0);
        bool is_told = receive_within(f->at, ES_NS_PER_S / 20, &answer);
        es_mem_fail_after(-1);
        if (!is_told)
            answer = receive_from(f->at);
        if (es_message_type(&answer) == ES_MESSAGE_READY) {
            assert_int_equal(es_ready_decode(&answer, &ready), 0);
            assert_non_null(strstr(ready.why, "out of memory"));
            n_out++;
        } else {
            assert_int_equal(es_message_type(&answer), ES_MESSAGE_RESULTS);
        }
        es_message_clear(&answer);
        quit(f);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
    assert_in_range(n_out, 2, 11);
}

static void what_makes_no_sense_ends_the_worker(void **state)
{
    struct fixture *f = *state;
    start(f, "{\"mode\":\"null\"}");
    assign(f, 9, 0, 1); /* outside the grid */
    struct es_message message = receive_from(f->at);
    struct es_ready ready;
    assert_int_equal(es_ready_decode(&message, &ready), 0);
    assert_non_null(strstr(ready.why, "malformed"));
    es_message_clear(&message);
    quit(f);
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    es_signal_block();
    const struct CMUnitTest tests[] = {
        TEST_OF(units_run_in_order_and_are_marked),
        TEST_OF(a_recall_gives_back_what_was_not_begun),
        TEST_OF(a_drain_gives_back_everything_and_interrupts),
        TEST_OF(a_drain_without_grace_waits_for_no_evaluator_that_ignores_it),
        TEST_OF(a_drain_before_the_configuration_holds),
        TEST_OF(a_unit_that_ends_within_the_grace_is_done),
        TEST_OF(a_reset_forgets_everything_and_begins_anew),
        TEST_OF(what_is_assigned_right_after_a_reset_is_told),
        TEST_OF(failures_tell_why),
        TEST_OF(a_score_of_nan_is_done),
        TEST_OF(an_evaluators_own_marker_is_kept),
        TEST_OF(a_marker_outweighs_the_evaluators_end),
        TEST_OF(what_a_killed_writer_left_goes),
        TEST_OF(a_bundle_that_another_driver_has_is_left_alone),
        TEST_OF(what_failed_in_this_run_already_is_not_tried),
        TEST_OF(what_there_was_no_memory_for_is_told),
        TEST_OF(what_makes_no_sense_ends_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
