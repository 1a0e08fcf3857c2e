#include "mpi/recorder.h"

#include "helper/tempdir.h"
#include "run/folder.h"
#include "run/holder.h"
#include "run/layout.h"
#include "run/lease.h"
#include "run/scan.h"
#include "run/status.h"
#include "sys/fd.h"
#include "unit/mpi/messages.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
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
    struct es_recorder_config config = {.units = units, .run_dir = run_dir, .keeper = keeper};
    assert_int_equal(es_recorder_start(&config, &recorder, NULL), 0);
    return recorder;
}

/* With nothing to do the recorder's thread takes no time of the processor: one that spun would have
 * taken most of it. The wait is until a first snapshot of what the scan found is due. */
static void assert_sleeps(void)
{
    struct timespec before, after;
    (void)poll(NULL, 0, 1200);
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before), 0);
    (void)poll(NULL, 0, 600);
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after), 0);
    int64_t used_ns = (after.tv_sec - before.tv_sec) * ES_NS_PER_S + after.tv_nsec - before.tv_nsec;
    assert_in_range(used_ns, 0, 60000000);
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

/* With company: a driver that has joined while `owner` owns the run. */
static struct es_layout *layout;
static struct es_lock *owner, *joiner;
static struct es_company_config company;

static struct es_recorder *start_joined_with(bool keeps_failed, int64_t started_ns)
{
    static const uint32_t pending[] = {0, 1, 2, 3};
    struct es_recorder *recorder;
    assert_int_equal(es_layout_create("{checkpoint}/{layer}/{task}", &layout, NULL), 0);
    assert_int_equal(es_lock_acquire(run_dir, 60, &owner, NULL), 0);
    es_lock_set_ready(owner);
    assert_int_equal(es_lock_join(run_dir, 60, &joiner, NULL), 0);
    company = (struct es_company_config){.lock = joiner,
                                         .layout = layout,
                                         .pending = pending,
                                         .n_pending = 4,
                                         .not_before_ns = INT64_MIN,
                                         .started_ns = started_ns,
                                         .previous_ns = INT64_MAX,
                                         .keeps_failed = keeps_failed,
                                         .stale_s = 60};
    struct es_recorder_config config = {.units = units, .run_dir = run_dir, .company = &company};
    assert_int_equal(es_recorder_start(&config, &recorder, NULL), 0);
    return recorder;
}

static struct es_recorder *start_joined(void)
{
    return start_joined_with(false, 0);
}

static void end_joined(void)
{
    es_lock_release(joiner);
    es_lock_release(owner);
    joiner = owner = NULL;
    es_layout_free(layout);
}

static void mark(const char *unit_dir, const char *name, const char *text)
{
    assert_true(es_mkdir_all_at(AT_FDCWD, path_of(unit_dir)) >= 0);
    char path[TEMPDIR_SIZE + 128];
    (void)snprintf(path, sizeof path, "%s/%s", path_of(unit_dir), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
}

static void assert_lines(const char *expected)
{
    struct es_buf text = {0};
    int fd = open(path_of("progress.csv"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_read_all(fd, 65536, &text), 0);
    assert_string_equal(strchr(text.data, '\n') + 1, expected);
    es_fd_close(&fd);
    es_buf_clear(&text);
}

static void who_joined_writes_no_files_of_the_run(void **state)
{
    (void)state;
    struct es_recorder *recorder = start_joined();
    add(recorder, 0, ES_RESULT_DONE, 1, true, 0.5);
    es_recorder_set_status(recorder, strdup("{\"schema\":1"), 11);
    assert_sleeps();
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    assert_int_equal(access(path_of("progress.csv"), F_OK), -1);
    assert_int_equal(access(path_of(ES_STATUS_NAME), F_OK), -1);
    assert_int_equal(access(path_of(ES_STORE_NAME), F_OK), -1);
    assert_true(es_lock_owns(owner));
    end_joined();
}

#define OURS(day, score)                                                                           \
    "{\"main_score\":" score ",\"finished\":\"2026-01-0" day "T00:00:00Z\",\"rank\":1,"            \
    "\"attempt\":1,\"host\":\"h\"}"

/* The owner ends, of these four units: one has its line, one of ours has none, one is of an old
 * script, which wrote its own, and one failed. */
static void who_is_left_catches_up(void **state)
{
    (void)state;
    struct es_recorder *recorder = start_joined();
    static const char written[] = "2026-01-01T00:00:00Z,step0,1,A,done,0.1,,h,,1\n";
    mark("step0/1/A", "done.json", OURS("1", "0.1"));
    mark("step0/2/A", "done.json", OURS("2", "0.2"));
    mark("step1/1/A", "done.json", "{\"main_score\":0.3}");
    mark("step1/2/A", "failed.json", OURS("4", "null"));
    int fd = open(path_of("progress.csv"), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    static const char header[] = "finished,checkpoint,layer,task,status,main_score,"
                                 "evaluation_time_s,host,device,attempt\n";
    assert_int_equal(es_fd_write_all(fd, header, strlen(header)), 0);
    assert_int_equal(es_fd_write_all(fd, written, strlen(written)), 0);
    es_fd_close(&fd);
    es_lock_release(owner);
    owner = NULL;
    for (int i = 0; i < 4000 && access(path_of(ES_STORE_NAME), F_OK) < 0; i++)
        (void)poll(NULL, 0, 5);
    assert_lines("2026-01-01T00:00:00Z,step0,1,A,done,0.1,,h,,1\n"
                 "2026-01-02T00:00:00Z,step0,2,A,done,0.2,,h,,1\n"
                 "2026-01-04T00:00:00Z,step1,2,A,failed,,,h,,1\n");
    add(recorder, 1, ES_RESULT_DONE, 1, true, 0.2); /* its own, told only now: no second line */
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    const struct es_units_columns columns = es_units_columns(units);
    assert_int_equal(columns.status[2], ES_STATUS_DONE);
    assert_int_equal(columns.status[3], ES_STATUS_FAILED);
    FILE *csv = fopen(path_of("progress.csv"), "re");
    char line[512];
    int n_lines = 0;
    while (fgets(line, sizeof line, csv))
        n_lines++;
    (void)fclose(csv);
    assert_int_equal(n_lines, 4);
    end_joined();
}

/* What failed for good in an earlier start is left so where that is wished, with no second line. */
static void what_failed_before_the_run_stays_failed(void **state)
{
    static const enum es_status expected[] = {ES_STATUS_PENDING, ES_STATUS_FAILED};
    for (int keeps_failed = 0; keeps_failed < 2; keeps_failed++) {
        struct es_recorder *recorder = start_joined_with(keeps_failed, INT64_MAX);
        mark("step1/2/A", "failed.json", OURS("4", "null"));
        es_lock_release(owner);
        owner = NULL;
        assert_int_equal(es_recorder_finish(recorder, NULL), 0);
        assert_int_equal(es_units_columns(units).status[3], expected[keeps_failed]);
        assert_int_equal(access(path_of("progress.csv"), F_OK), -1);
        end_joined();
        teardown(state);
        setup(state);
    }
}

/* The other way round: the recorder is of the owner, whom the other has joined again. */
static struct es_recorder *start_owner(void)
{
    struct es_recorder *recorder;
    assert_int_equal(es_recorder_finish(start_joined(), NULL), 0);
    es_lock_release(joiner);
    assert_int_equal(es_lock_join(run_dir, 60, &joiner, NULL), 0);
    company.lock = owner;
    struct es_recorder_config config = {.units = units, .run_dir = run_dir, .company = &company};
    assert_int_equal(es_recorder_start(&config, &recorder, NULL), 0);
    return recorder;
}

/* Everything added is applied, and the recorder has looked around, when status.json is there. */
static void wait_until_applied(struct es_recorder *recorder)
{
    es_recorder_set_status(recorder, strdup("{\"schema\":1"), 11);
    for (int i = 0; i < 4000 && access(path_of(ES_STATUS_NAME), F_OK) < 0; i++)
        (void)poll(NULL, 0, 5);
}

/* Its folder may be there, or not: a full disk, say. */
static void what_failed_here_stays_so_without_a_failed_json(void **state)
{
    (void)state;
    struct es_recorder *recorder = start_owner();
    mark("step1/1/A", "log.txt", "no space");
    add(recorder, 1, ES_RESULT_LOST, 1, true, (double)NAN);
    add(recorder, 2, ES_RESULT_LOST, 1, true, (double)NAN);
    add(recorder, 3, ES_RESULT_FOUND_FAILED, 1, true, (double)NAN); /* but its file is gone since */
    wait_until_applied(recorder);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0); /* it catches up with the other one */
    assert_int_equal(es_units_columns(units).status[1], ES_STATUS_FAILED);
    assert_int_equal(es_units_columns(units).status[2], ES_STATUS_FAILED);
    assert_int_equal(es_units_columns(units).status[3], ES_STATUS_PENDING);
    end_joined();
}

static void take_lease(int leases_fd, const char *checkpoint, struct es_lock *lock)
{
    char name[ES_LEASE_NAME_SIZE];
    bool is_ours = false;
    es_lease_name(checkpoint, "A", name);
    assert_int_equal(es_lease_take(leases_fd, name, es_lock_id(lock), &is_ours), 0);
    assert_true(is_ours);
}

/* The one that has joined holds what is left: the recorder of the owner leaves to it. */
static void an_owner_leaves_when_nothing_else_is_left(void **state)
{
    (void)state;
    int leases_fd = open(path_of(".evalsweep/leases"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct es_recorder *recorder = start_owner();
    take_lease(leases_fd, "step0", joiner);
    add(recorder, 2, ES_RESULT_DONE, 1, true, 0.5);
    add(recorder, 0, ES_RESULT_ELSEWHERE, 1, true, 0);
    add(recorder, 1, ES_RESULT_ELSEWHERE, 1, true, 0);
    es_recorder_want_to_leave(recorder, 1); /* the coordinator has not heard of both yet */
    (void)poll(NULL, 0, 1200);
    assert_false(es_recorder_has_left(recorder));
    es_recorder_want_to_leave(recorder, 2);
    for (int i = 0; i < 4000 && !es_recorder_has_left(recorder); i++)
        (void)poll(NULL, 0, 5);
    assert_true(es_recorder_has_left(recorder));
    assert_true(es_lock_owns(joiner));
    assert_int_equal(access(path_of(ES_STORE_NAME), F_OK), 0); /* written before */
    assert_int_equal(unlink(path_of(ES_STORE_NAME)), 0);
    add(recorder, 3, ES_RESULT_DONE, 1, true, 0.5);
    assert_sleeps();
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    assert_int_equal(access(path_of(ES_STORE_NAME), F_OK), -1); /* and not after */
    es_fd_close(&leases_fd);
    end_joined();
}

/* Its folder was deleted. The next start of a run that was stopped sees that by itself, and must
 * come: only one that is complete must not end as if all were well. */
static void what_was_deleted_is_told_by_a_run_that_is_complete(void **state)
{
    (void)state;
    struct es_recorder *recorder = start_owner();
    struct es_err err = {0};
    add(recorder, 2, ES_RESULT_DONE, 1, true, 0.5);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    end_joined();
    recorder = start_owner();
    add(recorder, 0, ES_RESULT_LOST, 1, true, (double)NAN);
    for (uint32_t id = 1; id < 4; id++)
        add(recorder, id, ES_RESULT_DONE, 1, true, 0.5);
    assert_int_equal(es_recorder_finish(recorder, &err), ES_ERR_NOENT);
    assert_non_null(strstr(err.subject, "/step0/2/A"));
    end_joined();
}

/* Whether a final fault is told before so many looks for one, 5 ms apart, have come to nothing. */
static bool is_told_to_end(struct es_recorder *recorder, struct es_err *err, int n_tries)
{
    bool is_final = false;
    for (int i = 0; i < n_tries && !is_final; i++)
        if (!es_recorder_fault(recorder, err, &is_final))
            (void)poll(NULL, 0, 5);
    return is_final;
}

/* The store would lack it. */
static void a_result_that_is_lost_out_of_memory_ends_the_run(void **state)
{
    (void)state;
    struct es_err err = {0};
    for (int is_late = 0; is_late < 2; is_late++) {
        struct es_recorder *recorder = start(NULL);
        lose_message(recorder);
        if (!is_late) {
            assert_true(is_told_to_end(recorder, &err, 1));
            assert_int_equal(err.code, ES_ERR_NOMEM);
        }
        assert_int_equal(es_recorder_finish(recorder, NULL), is_late ? ES_ERR_NOMEM : 0);
    }
}

/* What can be tried again, and fails after that, is not what the run ends for. */
static void what_ends_the_run_is_not_replaced_by_less(void **state)
{
    (void)state;
    struct es_err err = {0};
    struct es_recorder *recorder = start(NULL);
    lose_message(recorder);
    assert_true(is_told_to_end(recorder, &err, 1));
    assert_int_equal(mkdir(path_of("status.json"), 0777), 0); /* cannot be replaced by a file */
    es_recorder_set_status(recorder, strdup("{\"schema\":1"), 11);
    assert_true(is_told_to_end(recorder, &err, 4000));
    assert_int_equal(err.code, ES_ERR_NOMEM);
    assert_int_equal(rmdir(path_of("status.json")), 0);
    (void)es_recorder_finish(recorder, NULL);
}

/* The coordinator would wait for it for ever. */
static void news_that_are_lost_out_of_memory_end_the_run(void **state)
{
    (void)state;
    struct es_err err = {0};
    struct es_message message;
    char name[ES_LEASE_NAME_SIZE];
    bool has_told = false;
    int leases_fd = open(path_of(".evalsweep/leases"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct es_recorder *recorder = start_owner();
    take_lease(leases_fd, "step0", joiner);
    add(recorder, 0, ES_RESULT_ELSEWHERE, 1, true, 0);
    wait_until_applied(recorder);
    es_lease_name("step0", "A", name);
    for (long n = 0; n < 40 && !has_told; n++) {
        es_mem_fail_after(n);
        (void)es_lease_drop(leases_fd, name, es_lock_id(joiner));
        has_told = is_told_to_end(recorder, &err, 140); /* longer than to the next look */
    }
    es_mem_fail_after(-1);
    assert_true(has_told);
    assert_string_equal(err.doing, "telling what other drivers did");
    assert_false(es_recorder_news(recorder, &message));
    (void)es_recorder_finish(recorder, NULL);
    es_fd_close(&leases_fd);
    end_joined();
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
    es_recorder_set_status(recorder, strdup("{\"schema\":1"), 11);
    bool told = false, is_final;
    for (int i = 0; i < 4000 && !told; i++) {
        told = es_recorder_fault(recorder, &err, &is_final);
        (void)poll(NULL, 0, 5);
    }
    assert_true(told);
    assert_non_null(strstr(err.subject, "status.json"));
    assert_false(is_final);
    assert_false(es_recorder_fault(recorder, &err, &is_final));
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

/* One start of a run whose owner is alone: what its table has is what a scan finds. */
static void run_alone(int64_t previous_ns)
{
    struct es_recorder *recorder;
    struct es_scan_options options = {.not_before_ns = INT64_MIN};
    struct es_scan_summary summary;
    assert_int_equal(es_lock_acquire(run_dir, 60, &owner, NULL), 0);
    assert_int_equal(es_layout_create("{checkpoint}/{layer}/{task}", &layout, NULL), 0);
    assert_int_equal(es_scan(run_dir, layout, &options, units, &summary, NULL), 0);
    company = (struct es_company_config){.lock = owner,
                                         .layout = layout,
                                         .not_before_ns = INT64_MIN,
                                         .started_ns = INT64_MAX,
                                         .previous_ns = previous_ns,
                                         .stale_s = 60};
    struct es_recorder_config config = {.units = units, .run_dir = run_dir, .company = &company};
    assert_int_equal(es_recorder_start(&config, &recorder, NULL), 0);
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    end_joined();
}

/* The start before was killed after the marker of a unit and before its line. Units that have one,
 * were finished before that start, or by an old script, which wrote its own, get none; nor does any
 * twice. */
static void lines_that_a_kill_lost_are_added_by_the_next_start(void **state)
{
    (void)state;
    static const char there[] = "2026-01-01T00:00:00Z,step0,1,A,done,0.5,,h,,1\n";
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char text[512];
    (void)snprintf(text, sizeof text,
                   "finished,checkpoint,layer,task,status,main_score,"
                   "evaluation_time_s,host,device,attempt\n%s",
                   there);
    mark(".", "progress.csv", text);
    mark("step0/1/A", "done.json", OURS("1", "0.5"));
    mark("step0/2/A", "done.json", OURS("2", "0.25"));
    mark("step1/1/A", "done.json", OURS("3", "0.125"));
    assert_int_equal(utimensat(AT_FDCWD, path_of("step1/1/A/done.json"), times, 0), 0);
    mark("step1/2/A", "done.json", "{\"main_score\":1,\"finished\":\"2026-01-04T00:00:00Z\"}");
    run_alone(INT64_MAX); /* the first start */
    assert_lines(there);
    (void)snprintf(text, sizeof text, "%s2026-01-02T00:00:00Z,step0,2,A,done,0.25,,h,,1\n", there);
    for (int i = 0; i < 2; i++) {
        run_alone(2000 * INT64_C(1000000000));
        assert_lines(text);
    }
}

/* However short a run is, and whether its thread sees the end or the beginning first. */
static void what_a_dead_driver_left_is_gone_after_the_shortest_run(void **state)
{
    (void)state;
    struct es_holder dead = es_holder_self();
    dead.pid_start = -1; /* another process had the pid */
    (void)snprintf(dead.id, sizeof dead.id, "dead");
    for (int i = 0; i < 50; i++) {
        int fd;
        assert_int_equal(es_holder_create(path_of(".evalsweep/drivers/dead"), &dead, &fd, NULL), 0);
        es_fd_close(&fd);
        run_alone(INT64_MAX);
        assert_int_equal(access(path_of(".evalsweep/drivers/dead"), F_OK), -1);
    }
}

/* Of what was adopted it cannot be told, and that has no lines. */
static void a_run_that_has_adopted_units_gets_no_lines_afterwards(void **state)
{
    (void)state;
    static const char there[] = "2026-01-01T00:00:00Z,step0,1,A,done,0.5,,h,,1\n";
    mark(".", "progress.csv",
         "finished,checkpoint,layer,task,status,main_score,"
         "evaluation_time_s,host,device,attempt\n");
    mark("step0/1/A", "done.json", OURS("1", "0.5"));
    mark(".evalsweep", "adopted.csv",
         "adopted,checkpoint,layer,task,from\n"
         "2026-01-01T00:00:00Z,step1,1,A,/elsewhere\n");
    run_alone(0);
    assert_lines("");
    assert_int_equal(unlink(path_of(".evalsweep/adopted.csv")), 0);
    run_alone(0);
    assert_lines(there);
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
    bool told = false, is_final;
    for (int i = 0; i < 4000 && !told; i++) {
        told = es_recorder_fault(recorder, &err, &is_final) && err.code != ES_ERR_IO;
        (void)poll(NULL, 0, 5);
    }
    assert_true(told);
    assert_int_equal(err.code, ES_ERR_BUSY);
    assert_true(is_final);
    add(recorder, 0, ES_RESULT_DONE, 1, true, 0.5);
    es_recorder_set_status(recorder, strdup("{\"schema\":1"), 11);
    assert_sleeps();
    assert_int_equal(es_recorder_finish(recorder, NULL), 0);
    assert_int_equal(access(path_of(ES_STATUS_NAME), F_OK), -1);
    assert_int_equal(access(path_of("progress.csv"), F_OK), -1);
    es_keeper_stop(keeper);
    es_lock_release(lock);
}

/* Between the last beat and the end: it must not write, nor look as if it had. */
static void a_lock_found_lost_at_the_end_is_told(void **state)
{
    (void)state;
    struct es_lock *lock;
    struct es_err err = {0};
    struct es_keeper *keeper;
    struct es_holder holder = {0};
    assert_int_equal(es_lock_acquire(run_dir, 1, &lock, NULL), 0);
    assert_int_equal(es_keeper_start(lock, 3600, &keeper, NULL), 0);
    while (!(holder.counter > 0)) /* of the one beat that comes by itself */
        assert_int_equal(es_holder_read(path_of(".evalsweep/lock"), &holder, NULL), 0);
    struct es_recorder *recorder = start(keeper);
    assert_int_equal(unlink(path_of(".evalsweep/lock")), 0);
    add(recorder, 0, ES_RESULT_DONE, 1, true, 0.5);
    assert_int_equal(es_recorder_finish(recorder, &err), ES_ERR_BUSY);
    assert_int_equal(err.code, ES_ERR_BUSY);
    assert_int_equal(access(path_of(ES_STORE_NAME), F_OK), -1);
    es_keeper_stop(keeper);
    es_lock_release(lock);
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(results_reach_table_csv_and_store),
        TEST_OF(who_joined_writes_no_files_of_the_run),
        TEST_OF(who_is_left_catches_up),
        TEST_OF(lines_that_a_kill_lost_are_added_by_the_next_start),
        TEST_OF(what_a_dead_driver_left_is_gone_after_the_shortest_run),
        TEST_OF(a_run_that_has_adopted_units_gets_no_lines_afterwards),
        TEST_OF(what_failed_before_the_run_stays_failed),
        TEST_OF(what_failed_here_stays_so_without_a_failed_json),
        TEST_OF(an_owner_leaves_when_nothing_else_is_left),
        TEST_OF(what_was_deleted_is_told_by_a_run_that_is_complete),
        TEST_OF(what_ends_the_run_is_not_replaced_by_less),
        TEST_OF(a_result_that_is_lost_out_of_memory_ends_the_run),
        TEST_OF(news_that_are_lost_out_of_memory_end_the_run),
        TEST_OF(what_the_scan_found_is_stored_at_once),
        TEST_OF(a_failure_to_write_is_told_once),
        TEST_OF(what_was_mended_before_the_end_is_no_fault),
        TEST_OF(what_is_not_mended_by_the_end_is_told),
        TEST_OF(a_driver_that_was_taken_over_writes_nothing_more),
        TEST_OF(a_lock_found_lost_at_the_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
