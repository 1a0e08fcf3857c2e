/* The order in which a try looks at files and changes them: what other drivers, old array scripts
 * and a kill at any moment rely on. */
#include "mpi/attempt.h"

#include "helper/tempdir.h"
#include "run/folder.h"
#include "run/lease.h"
#include "run/marker.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* What was done, in order. */
static char calls[256];

static void record(const char *what)
{
    size_t n = strlen(calls);
    (void)snprintf(calls + n, sizeof calls - n, "%s%s", n ? " " : "", what);
}

static bool ends_in(const char *path, const char *name)
{
    size_t n = strlen(path), name_n = strlen(name);
    return n >= name_n && strcmp(path + n - name_n, name) == 0;
}

int openat(int dir_fd, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (flags & O_DIRECTORY && strstr(path, "layer_"))
        record("folder");
    if (ends_in(path, ES_MARKER_NAME)) /* through the folder just opened, or not */
        record(strstr(path, "layer_") ? "marker-by-path" : "marker");
    return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

int symlinkat(const char *target, int dir_fd, const char *path)
{
    record("lease");
    return (int)syscall(SYS_symlinkat, target, dir_fd, path);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    if (ends_in(to, ES_MARKER_NAME))
        record("done");
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
    if (ends_in(path, ES_FAILED_NAME))
        record("unfail");
    return (int)syscall(SYS_unlinkat, dir_fd, path, flags);
}

static char run_dir[TEMPDIR_SIZE];
static struct es_job *job;
static struct es_layout *layout;
static struct es_attempt attempt;

static int setup(void **state)
{
    (void)state;
    static const char text[] = "{\"run\":{\"id\":\"t\"},\"grid\":{\"checkpoints\":[\"a\"],"
                               "\"layers\":[1],\"tasks\":[\"S\"]},"
                               "\"evaluator\":{\"mode\":\"null\",\"markers\":true}}";
    if (tempdir_create(run_dir) < 0 || es_folder_make(run_dir, NULL) < 0 ||
        es_job_parse(text, sizeof text - 1, "test", NULL, &job, NULL) < 0 ||
        es_layout_create(job->layout, &layout, NULL) < 0)
        return -1;
    attempt = (struct es_attempt){.job = job,
                                  .layout = layout,
                                  .run_dir_fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                  .run_dir = run_dir,
                                  .versions_json = "{}",
                                  .host = "h",
                                  .device = "cpu",
                                  .not_before_ns = INT64_MIN,
                                  .driver_id = "this"};
    attempt.leases_fd = es_lease_open_folder(attempt.run_dir_fd);
    es_attempt_init(&attempt);
    calls[0] = '\0';
    return attempt.leases_fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    es_attempt_clear(&attempt);
    es_fd_close(&attempt.run_dir_fd);
    es_fd_close(&attempt.leases_fd);
    es_layout_free(layout);
    es_job_free(job);
    tempdir_remove(run_dir);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[TEMPDIR_SIZE + 256];
    struct es_buf dir = {0};
    es_layout_unit_dir(layout, job->grid, (struct es_unit){0}, &dir);
    (void)snprintf(path, sizeof path, "%s/%s/%s", run_dir, dir.data, name);
    es_buf_clear(&dir);
    return path;
}

static void write_file(const char *name, const char *text)
{
    assert_true(es_mkdir_all_at(AT_FDCWD, path_of(".")) >= 0);
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
}

static void run_unit(void)
{
    struct es_wire_layer layer = {.attempt = 1};
    const struct es_backlog_bundle bundle = {
        .head = {0, 0, ES_GRID_NONE, 1}, .n_begun = 1, .layers = &layer};
    es_attempt_begin(&attempt, (struct es_unit){0}, 1, &bundle);
    while (attempt.is_running)
        es_attempt_step(&attempt, es_clock_mono_ns());
}

static void assert_had_tries(const struct es_result *result)
{
    assert_int_equal(result->n_earlier, 2);
    assert_string_equal(es_result_text(result, result->earlier[0].reason), "it smoked");
    assert_int_equal(result->earlier[0].rank, 3);
    assert_string_equal(es_result_text(result, result->earlier[1].reason), "it burned");
    assert_int_equal(result->earlier[1].attempt, 2);
    assert_int_equal(result->earlier[1].rank, -1);
}

/* The lease, then the folder, then the marker in the open folder: a driver that has the lease sees
 * what the one before it did, and NFS does not answer from memory. And failed.json goes when the
 * marker is there: killed in between, the unit is done; the other way round it would be neither. */
static void each_step_has_its_place(void **state)
{
    (void)state;
    attempt.started_ns = INT64_MAX; /* the failed.json is of an earlier start */
    write_file(ES_FAILED_NAME, "{\"reason\":\"it burned\",\"exit\":\"signal 9\",\"attempt\":2,"
                               "\"earlier\":[{\"reason\":\"it smoked\",\"rank\":3}]}");
    run_unit();
    assert_int_equal(attempt.entry.kind, ES_RESULT_DONE);
    assert_string_equal(calls, "lease folder marker done unfail");
    assert_int_equal(access(path_of(ES_FAILED_NAME), F_OK), -1);
    assert_had_tries(&attempt.result);

    /* The marker tells of them too. */
    struct es_buf scratch = {0};
    struct es_result read;
    es_result_init(&read);
    assert_int_equal(es_marker_read(AT_FDCWD, path_of("."), "S", INT64_MIN, &scratch, &read, NULL),
                     ES_MARKER_VALID);
    assert_had_tries(&read);
    assert_string_equal(es_result_text(&read, read.earlier[1].exit), "signal 9");
    es_result_clear(&read);
    es_buf_clear(&scratch);
}

/* Evaluated all over again, the unit has no tries from before. */
static void a_failure_before_the_epoch_is_no_try(void **state)
{
    (void)state;
    attempt.not_before_ns = INT64_MAX;
    attempt.started_ns = INT64_MAX;
    write_file(ES_FAILED_NAME, "{\"reason\":\"it burned\"}");
    run_unit();
    assert_int_equal(attempt.entry.kind, ES_RESULT_DONE);
    assert_int_equal(attempt.result.n_earlier, 0);
    assert_int_equal(access(path_of(ES_FAILED_NAME), F_OK), -1);
}

static void a_marker_that_has_come_is_found_before_the_unit_starts(void **state)
{
    (void)state;
    write_file(ES_MARKER_NAME, "{\"main_score\":0.25}"); /* by an old array script */
    run_unit();
    assert_int_equal(attempt.entry.kind, ES_RESULT_FOUND);
    assert_true(attempt.result.main_score == 0.25);
    assert_string_equal(calls, "lease folder marker");
}

static void nothing_is_touched_of_what_another_has(void **state)
{
    (void)state;
    char name[ES_LEASE_NAME_SIZE];
    bool is_ours;
    es_lease_name("a", "S", name);
    assert_int_equal(es_lease_take(attempt.leases_fd, name, "other", &is_ours), 0);
    calls[0] = '\0';
    run_unit();
    assert_int_equal(attempt.entry.kind, ES_RESULT_ELSEWHERE);
    assert_string_equal(calls, "lease");
}

/* A unit is not called done without its marker. */
static void a_marker_that_cannot_be_written_fails_the_unit(void **state)
{
    (void)state;
    /* A folder in its place. */
    assert_true(es_mkdir_all_at(AT_FDCWD, path_of(ES_MARKER_NAME)) >= 0);
    run_unit();
    assert_int_equal(attempt.entry.kind, ES_RESULT_FAILED);
    assert_non_null(strstr(es_result_text(&attempt.result, attempt.result.reason), "done.json"));
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(each_step_has_its_place),
        TEST_OF(a_failure_before_the_epoch_is_no_try),
        TEST_OF(a_marker_that_has_come_is_found_before_the_unit_starts),
        TEST_OF(nothing_is_touched_of_what_another_has),
        TEST_OF(a_marker_that_cannot_be_written_fails_the_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
