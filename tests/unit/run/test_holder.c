/* Who is gone: each rule of it alone, on a clock that the test moves. */
#include "run/holder.h"

#include "helper/fake_clock.h"
#include "helper/tempdir.h"
#include "run/lock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[TEMPDIR_SIZE];
static char path[TEMPDIR_SIZE + 16];

/* What a file held when it was last synced, and what the call then says. */
static char synced[512];
static int sync_errno;

int fsync(int fd)
{
    ssize_t n = pread(fd, synced, sizeof synced - 1, 0);
    synced[n > 0 ? n : 0] = '\0';
    errno = sync_errno;
    return sync_errno ? -1 : (int)syscall(SYS_fsync, fd);
}

static int setup(void **state)
{
    (void)state;
    sync_errno = 0;
    if (tempdir_create(folder) < 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/driver", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tempdir_remove(folder);
    return 0;
}

#define NONE ((double)NAN)

/* Of another machine, in a Slurm job: only what Slurm has ended is known to be gone. */
static void slurm_tells_what_it_ended(void **state)
{
    (void)state;
    static const struct {
        const char *job_id;
        double step_id, restart_count;
        enum es_verdict verdict; /* of an observer in step 3 of the second restart of job 5 */
    } rows[] = {
        {"5", 9, 1, ES_VERDICT_GONE}, /* before the restart, whatever the step */
        {"5", 3, 1, ES_VERDICT_GONE},       {"5", 2, 2, ES_VERDICT_GONE}, /* an earlier step */
        {"5", 3, 2, ES_VERDICT_UNKNOWN},                                  /* the same */
        {"5", 4, 2, ES_VERDICT_UNKNOWN},                                  /* a later one */
        {"5", 2, 3, ES_VERDICT_UNKNOWN}, /* of a later start, which we outlived */
        {"5", NONE, 2, ES_VERDICT_UNKNOWN}, {"5", 2, NONE, ES_VERDICT_UNKNOWN},
        {"6", 2, 1, ES_VERDICT_UNKNOWN}, /* another job */
        {"", 2, 1, ES_VERDICT_UNKNOWN},
    };
    const struct es_holder me = {
        .boot = "here", .pid = getpid(), .job_id = "5", .step_id = 3, .restart_count = 2};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_holder holder = {.boot = "there",
                                   .pid = 7,
                                   .step_id = rows[i].step_id,
                                   .restart_count = rows[i].restart_count};
        (void)snprintf(holder.job_id, sizeof holder.job_id, "%s", rows[i].job_id);
        if (es_holder_judge(&holder, &me) != rows[i].verdict)
            fail_msg("row %zu", i);
    }
    struct es_holder holder = {.boot = "there", .step_id = NONE, .restart_count = NONE},
                     no_slurm = me;
    no_slurm.job_id[0] = '\0';
    assert_int_equal(es_holder_judge(&holder, &no_slurm), ES_VERDICT_UNKNOWN);
}

/* Of this machine since its start: the process is there, or it is gone. */
static void this_machine_tells_which_processes_live(void **state)
{
    (void)state;
    struct es_holder me = es_holder_self(), holder = me;
    assert_true(me.pid == getpid() && me.pid_start > 0);
    assert_int_equal(es_holder_judge(&holder, &me), ES_VERDICT_ALIVE);
    holder.pid_start -= 1; /* another process had this pid before */
    assert_int_equal(es_holder_judge(&holder, &me), ES_VERDICT_GONE);
    holder = me;
    holder.pid = 1 << 30; /* beyond what Linux gives */
    assert_int_equal(es_holder_judge(&holder, &me), ES_VERDICT_GONE);
    (void)snprintf(holder.boot, sizeof holder.boot, "another"); /* whose pids mean nothing here */
    assert_int_equal(es_holder_judge(&holder, &me), ES_VERDICT_UNKNOWN);
}

/* Whole, with nothing beside it, and to be read by whom the umask lets. */
static void a_drivers_file_is_made(void **state)
{
    (void)state;
    static const mode_t masks[] = {0022, 0077, 0002};
    struct es_holder me = es_holder_self(), there;
    mode_t before = umask(0);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        struct stat st;
        int fd = -1;
        (void)umask(masks[i]);
        assert_int_equal(es_holder_create(path, &me, &fd, NULL), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0666 & ~masks[i]);
        assert_int_equal(es_holder_move(fd, 7, true), 0);
        assert_int_equal(es_holder_read(path, &there, NULL), 0);
        assert_true(es_holder_is_same(&me, &there) && there.counter == 7 && there.is_ready);
        es_fd_close(&fd);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0); /* it was alone there */
        assert_int_equal(mkdir(folder, 0700), 0);
    }
    (void)umask(before);
    int fd = 99;
    struct es_err err = {0};
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(es_holder_create(path, &me, &fd, &err), ES_ERR_NOENT);
    assert_string_equal(err.subject, path);
    assert_int_equal(fd, 99);
}

/* Others look at it through a file server: what is not on the disk may be seen by nobody. */
static void what_it_says_is_synced(void **state)
{
    (void)state;
    struct es_holder me = es_holder_self();
    int fd = -1;
    assert_int_equal(es_holder_create(path, &me, &fd, NULL), 0);
    assert_non_null(strstr(synced, me.id));
    assert_int_equal(es_holder_move(fd, 123456, true), 0);
    assert_non_null(strstr(synced, "123456"));
    sync_errno = EIO;
    assert_int_equal(es_holder_move(fd, 123457, true), -1);
    assert_int_equal(errno, EIO);
    es_fd_close(&fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(es_holder_create(path, &me, &fd, NULL), ES_ERR_IO);
    assert_int_equal(access(path, F_OK), -1);
}

/* A file size limit stands for a full disk: no driver starts whose file says nothing. */
static void a_drivers_file_is_whole_or_not_there(void **state)
{
    (void)state;
    struct rlimit before, limit;
    struct es_holder me = es_holder_self();
    struct es_err err = {0};
    int fd = 99;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 10;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int rc = es_holder_create(path, &me, &fd, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(rc, ES_ERR_IO);
    assert_string_equal(err.subject, path);
    assert_int_equal(fd, 99);
    assert_int_equal(rmdir(folder), 0); /* nothing is left in it */
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void write_driver(const char *id, int counter)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "{\"counter\":%d,\"id\":\"%s\",\"host\":\"elsewhere\",\"boot\":\"another\","
                     "\"pid\":7,\"pid_start\":1}",
                     counter, id);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_int_equal(es_fd_write_all(fd, text, (size_t)n), 0);
    es_fd_close(&fd);
}

static struct es_holder_watch watch;

static void assert_seen(enum es_verdict expected)
{
    enum es_verdict verdict;
    const struct es_holder me = {.boot = "here"};
    assert_int_equal(es_holder_observe(&watch, path, &me, ES_LOCK_STALE_S, &verdict, NULL), 0);
    assert_int_equal(verdict, expected);
}

static void a_counter_may_stand_still_for_60_s(void **state)
{
    (void)state;
    watch = (struct es_holder_watch){0};
    write_driver("a", 5);
    assert_seen(ES_VERDICT_UNKNOWN);
    fake_clock_advance(59.5);
    assert_seen(ES_VERDICT_UNKNOWN);
    write_driver("a", 6);
    assert_seen(ES_VERDICT_ALIVE);
    fake_clock_advance(59.5); /* from then on again */
    assert_seen(ES_VERDICT_ALIVE);
    write_driver("a", 4); /* that is no move */
    fake_clock_advance(0.6);
    assert_seen(ES_VERDICT_GONE);
    write_driver("b", 1); /* another driver, of which nothing is known */
    assert_seen(ES_VERDICT_UNKNOWN);
    fake_clock_advance(60.1);
    assert_seen(ES_VERDICT_GONE);
    assert_int_equal(unlink(path), 0);
    assert_seen(ES_VERDICT_GONE);
}

/* The other's clock is not asked, nor the file server's, nor the time of day here. */
static void only_the_observers_own_clock_counts(void **state)
{
    (void)state;
    const struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    watch = (struct es_holder_watch){0};
    write_driver("a", 1);
    assert_seen(ES_VERDICT_UNKNOWN);
    fake_wall_s += 1e6; /* somebody sets the clock */
    assert_seen(ES_VERDICT_UNKNOWN);
    assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
    assert_seen(ES_VERDICT_UNKNOWN);
    fake_wall_s -= 2e6;
    fake_mono_s += 61;
    assert_seen(ES_VERDICT_GONE);
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(slurm_tells_what_it_ended),
        TEST_OF(this_machine_tells_which_processes_live),
        TEST_OF(a_drivers_file_is_made),
        TEST_OF(what_it_says_is_synced),
        TEST_OF(a_drivers_file_is_whole_or_not_there),
        TEST_OF(a_counter_may_stand_still_for_60_s),
        TEST_OF(only_the_observers_own_clock_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
