#include "run/drivers.h"

#include "helper/tempdir.h"
#include "run/folder.h"
#include "run/lock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char run_dir[TEMPDIR_SIZE];
static struct es_drivers *drivers;

static int setup(void **state)
{
    (void)state;
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_STEP_ID");
    if (tempdir_create(run_dir) < 0 || es_folder_make(run_dir, NULL) < 0)
        return -1;
    return es_drivers_create(run_dir, "own-1", 0.2, &drivers, NULL);
}

static int teardown(void **state)
{
    (void)state;
    es_drivers_free(drivers);
    tempdir_remove(run_dir);
    return 0;
}

static const char *path_of(const char *id)
{
    static char path[TEMPDIR_SIZE + 256];
    (void)snprintf(path, sizeof path, "%s/.evalsweep/drivers/%s", run_dir, id);
    return path;
}

/* The file of a driver elsewhere, with this counter. */
static void write_driver(const char *id, int counter)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"counter\":%d,\"id\":\"%s\",\"host\":\"elsewhere\",\"boot\":\"another\","
                     "\"pid\":7,\"pid_start\":1}",
                     counter, id);
    int fd = open(path_of(id), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, text, (size_t)n), 0);
    es_fd_close(&fd);
}

static void look(void)
{
    assert_int_equal(es_drivers_look(drivers, NULL), 0);
}

static void wait_stale(void)
{
    const struct timespec pause = {.tv_nsec = 250000000};
    (void)nanosleep(&pause, NULL);
}

static void a_counter_tells_who_lives(void **state)
{
    (void)state;
    write_driver("own-1", 1);
    write_driver("moves-1", 1);
    write_driver("stands-1", 1);
    look();
    assert_int_equal(es_drivers_verdict(drivers, "moves-1"), ES_VERDICT_UNKNOWN);
    assert_int_equal(es_drivers_verdict(drivers, "nobody-1"), ES_VERDICT_GONE);
    assert_int_equal(es_drivers_n_others(drivers), 2);
    write_driver("moves-1", 2);
    look();
    assert_int_equal(es_drivers_verdict(drivers, "moves-1"), ES_VERDICT_ALIVE);
    assert_string_equal(es_drivers_find(drivers, "moves-1")->host, "elsewhere");
    wait_stale();
    write_driver("moves-1", 3);
    look();
    assert_int_equal(es_drivers_verdict(drivers, "moves-1"), ES_VERDICT_ALIVE);
    assert_int_equal(es_drivers_verdict(drivers, "stands-1"), ES_VERDICT_GONE);
    assert_int_equal(es_drivers_n_others(drivers), 1);
    es_drivers_bury(drivers);
    assert_int_equal(access(path_of("stands-1"), F_OK), -1);
    assert_int_equal(access(path_of("moves-1"), F_OK), 0);
    assert_int_equal(access(path_of("own-1"), F_OK), 0);
    wait_stale(); /* it lived, and stands still now */
    look();
    assert_int_equal(es_drivers_verdict(drivers, "moves-1"), ES_VERDICT_GONE);
}

static void one_that_left_is_gone(void **state)
{
    (void)state;
    write_driver("leaves-1", 1);
    look();
    assert_int_equal(unlink(path_of("leaves-1")), 0);
    look();
    assert_int_equal(es_drivers_verdict(drivers, "leaves-1"), ES_VERDICT_GONE);
    assert_int_equal(es_drivers_n_others(drivers), 0);
}

static void a_process_of_this_boot_is_known_at_once(void **state)
{
    (void)state;
    struct es_lock *lock;
    char id[ES_HOLDER_ID_SIZE];
    int ends[2];
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), 0);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct es_lock *own;
        es_lock_set_ready(lock);
        int rc = es_lock_join(run_dir, 60, &own, NULL);
        (void)!write(ends[1], rc < 0 ? "" : es_lock_id(own), ES_HOLDER_ID_SIZE);
        _exit(rc < 0); /* without leaving */
    }
    assert_int_equal(read(ends[0], id, sizeof id), sizeof id);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    look();
    assert_int_equal(es_drivers_verdict(drivers, es_lock_id(lock)), ES_VERDICT_ALIVE);
    assert_int_equal(es_drivers_verdict(drivers, id), ES_VERDICT_GONE);
    assert_int_equal(waitpid(child, NULL, 0), child);
    es_lock_release(lock);
}

/* Steps of one job may run side by side, and the lower one is alive. */
static void a_lower_step_of_this_job_is_not_gone(void **state)
{
    (void)state;
    int fd = open(path_of("step-0"), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    const char *text = "{\"counter\":1,\"id\":\"step-0\",\"host\":\"e\",\"boot\":\"b\",\"pid\":7,"
                       "\"slurm_job_id\":\"5\",\"slurm_step_id\":0,\"slurm_restart_count\":0}";
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
    struct es_drivers *others;
    setenv("SLURM_JOB_ID", "5", 1);
    setenv("SLURM_STEP_ID", "1", 1);
    assert_int_equal(es_drivers_create(run_dir, "own-1", 60, &others, NULL), 0);
    assert_int_equal(es_drivers_look(others, NULL), 0);
    assert_int_equal(es_drivers_verdict(others, "step-0"), ES_VERDICT_UNKNOWN);
    es_drivers_free(others);
    setenv("SLURM_RESTART_COUNT", "1", 1); /* but what ran before the restart is */
    assert_int_equal(es_drivers_create(run_dir, "own-1", 60, &others, NULL), 0);
    assert_int_equal(es_drivers_look(others, NULL), 0);
    assert_int_equal(es_drivers_verdict(others, "step-0"), ES_VERDICT_GONE);
    es_drivers_free(others);
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_STEP_ID");
    unsetenv("SLURM_RESTART_COUNT");
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(a_counter_tells_who_lives),
        TEST_OF(one_that_left_is_gone),
        TEST_OF(a_process_of_this_boot_is_known_at_once),
        TEST_OF(a_lower_step_of_this_job_is_not_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
