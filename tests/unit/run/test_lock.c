#include "run/keeper.h"

#include "helper/tempdir.h"
#include "run/folder.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define STALE_S 0.5

static char run_dir[TEMPDIR_SIZE];
static char lock_path[TEMPDIR_SIZE + 32];

static int setup(void **state)
{
    (void)state;
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_STEP_ID");
    unsetenv("SLURM_RESTART_COUNT");
    if (tempdir_create(run_dir) < 0)
        return -1;
    (void)snprintf(lock_path, sizeof lock_path, "%s/.evalsweep/lock", run_dir);
    return es_folder_make(run_dir, NULL);
}

static int teardown(void **state)
{
    (void)state;
    tempdir_remove(run_dir);
    return 0;
}

static void write_lock(const char *text)
{
    int fd = open(lock_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static void assert_can_be_taken(void)
{
    struct es_lock *lock = NULL;
    struct es_err err = {0};
    if (es_lock_acquire(run_dir, STALE_S, &lock, &err) < 0)
        fail_msg("%s", err.why);
    assert_int_equal(es_lock_beat(lock, NULL), 0);
    es_lock_release(lock);
    assert_int_equal(access(lock_path, F_OK), -1);
}

static void it_is_taken_and_released(void **state)
{
    (void)state;
    assert_can_be_taken();
    assert_can_be_taken();
}

static void a_second_driver_is_told_who_holds_it(void **state)
{
    (void)state;
    struct es_lock *lock, *second;
    struct es_err err = {0};
    char pid[32];
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, &lock, NULL), 0);
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, &second, &err), ES_ERR_BUSY);
    (void)snprintf(pid, sizeof pid, "process %d on ", getpid());
    assert_non_null(strstr(err.why, pid));
    es_lock_release(lock);
}

static void a_dead_process_of_this_boot_does_not_hold_it(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct es_lock *lock;
        _exit(es_lock_acquire(run_dir, STALE_S, &lock, NULL) < 0); /* without releasing it */
    }
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0); /* it is a zombie */
    assert_int_equal(info.si_status, 0);
    assert_int_equal(access(lock_path, F_OK), 0);
    double begun_s = es_clock_mono_s();
    struct es_lock *lock;
    assert_int_equal(es_lock_acquire(run_dir, 3600, &lock, NULL), 0); /* told at once */
    assert_true(es_clock_mono_s() - begun_s < 60);
    es_lock_release(lock);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

#define ELSEWHERE "\"host\":\"elsewhere\",\"boot\":\"another\",\"pid\":7,\"pid_start\":1"

static void what_slurm_ended_does_not_hold_it(void **state)
{
    (void)state;
    static const struct {
        const char *lock, *job_id, *step_id, *restart_count;
        int rc;
    } rows[] = {
        /* An earlier step of this job, an earlier start of it, and what is neither. */
        {"\"slurm_job_id\":\"5\",\"slurm_step_id\":0,\"slurm_restart_count\":0", "5", "1", NULL, 0},
        {"\"slurm_job_id\":\"5\",\"slurm_step_id\":9,\"slurm_restart_count\":0", "5", "0", "1", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "{\"counter\":1," ELSEWHERE ",%s}", rows[i].lock);
        write_lock(text);
        setenv("SLURM_JOB_ID", rows[i].job_id, 1);
        setenv("SLURM_STEP_ID", rows[i].step_id, 1);
        if (rows[i].restart_count)
            setenv("SLURM_RESTART_COUNT", rows[i].restart_count, 1);
        struct es_lock *lock = NULL;
        assert_int_equal(es_lock_acquire(run_dir, 3600, &lock, NULL), rows[i].rc);
        es_lock_release(lock);
    }
}

static void a_counter_that_stands_still_is_stale(void **state)
{
    (void)state;
    write_lock("{\"counter\":1," ELSEWHERE "}");
    assert_can_be_taken();
    static const char *const no_locks[] = {"this is no lock", "", "{}", "[7]", "{\"pid\":null}"};
    for (size_t i = 0; i < sizeof no_locks / sizeof no_locks[0]; i++) {
        write_lock(no_locks[i]);
        assert_can_be_taken();
    }
}

static atomic_bool must_end;

static void *keep_moving(void *arg)
{
    (void)arg;
    const struct timespec pause = {.tv_nsec = 20000000};
    for (int counter = 1; !atomic_load(&must_end); counter++) {
        char text[256], temp[TEMPDIR_SIZE + 64];
        (void)snprintf(temp, sizeof temp, "%s.moving", lock_path);
        int n = snprintf(text, sizeof text, "{\"counter\":%d," ELSEWHERE "}", counter);
        int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        (void)!write(fd, text, (size_t)n);
        close(fd);
        (void)rename(temp, lock_path);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void a_counter_that_moves_is_alive(void **state)
{
    (void)state;
    pthread_t thread;
    struct es_lock *lock;
    struct es_err err = {0};
    write_lock("{\"counter\":0," ELSEWHERE "}");
    atomic_store(&must_end, false);
    assert_int_equal(pthread_create(&thread, NULL, keep_moving, NULL), 0);
    assert_int_equal(es_lock_acquire(run_dir, 3600, &lock, &err), ES_ERR_BUSY);
    atomic_store(&must_end, true);
    pthread_join(thread, NULL);
    assert_non_null(strstr(err.why, "elsewhere"));
}

static void a_holder_that_was_taken_over_is_told(void **state)
{
    (void)state;
    struct es_lock *lock;
    struct es_err err = {0};
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, &lock, NULL), 0);
    assert_int_equal(unlink(lock_path), 0);
    write_lock("{\"counter\":5," ELSEWHERE "}");
    assert_int_equal(es_lock_beat(lock, &err), ES_ERR_BUSY);
    es_lock_release(lock);
    assert_int_equal(access(lock_path, F_OK), 0); /* the other's lock stays */
}

/* Whatever its process does meanwhile. The second driver, which cannot see the process, is of
 * another boot for that. */
static void a_kept_lock_is_alive(void **state)
{
    (void)state;
    struct es_lock *lock, *second;
    struct es_keeper *keeper;
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, &lock, NULL), 0);
    struct es_buf text = {0};
    int fd = open(lock_path, O_RDWR | O_CLOEXEC);
    assert_int_equal(es_fd_read_all(fd, 4096, &text), 0);
    char *boot = strstr(text.data, "\"boot\":\"");
    assert_non_null(boot);
    assert_int_equal(pwrite(fd, "elsewhere", 9, boot + 8 - text.data), 9);
    close(fd);
    es_buf_clear(&text);
    assert_int_equal(es_keeper_start(lock, 0.01, &keeper, NULL), 0);
    assert_int_equal(es_lock_acquire(run_dir, 3600, &second, NULL), ES_ERR_BUSY);
    assert_int_equal(es_keeper_check(keeper, NULL), 0);
    assert_int_equal(unlink(lock_path), 0);
    write_lock("{\"counter\":5," ELSEWHERE "}");
    struct es_err err = {0};
    const struct timespec pause = {.tv_nsec = 1000000};
    while (es_keeper_check(keeper, &err) != ES_ERR_BUSY)
        (void)nanosleep(&pause, NULL);
    es_keeper_stop(keeper);
    es_lock_release(lock);
}

/* That nobody has taken over. */
static void a_run_folder_that_is_gone_is_told(void **state)
{
    (void)state;
    struct es_lock *lock;
    struct es_err err = {0};
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, &lock, NULL), 0);
    tempdir_remove(run_dir);
    assert_int_equal(es_lock_beat(lock, &err), ES_ERR_NOENT);
    assert_string_equal(err.subject, lock_path);
    es_lock_release(lock);
}

enum { N_RACERS = 8 };

/* Processes that all find the same stale lock: one of them gets it. */
static void one_of_many_takes_a_stale_lock(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        int go[2], hold[2];
        pid_t children[N_RACERS];
        write_lock("{\"counter\":1,\"host\":\"h\",\"boot\":\"b\",\"pid\":7,\"pid_start\":1,"
                   "\"slurm_job_id\":\"5\",\"slurm_step_id\":0,\"slurm_restart_count\":0}");
        setenv("SLURM_JOB_ID", "5", 1);
        setenv("SLURM_STEP_ID", "1", 1);
        assert_int_equal(pipe(go) | pipe(hold), 0);
        for (int i = 0; i < N_RACERS; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                struct es_lock *lock = NULL;
                char byte;
                close(go[1]);
                close(hold[1]);
                (void)!read(go[0], &byte, 1); /* until all may go */
                int rc = es_lock_acquire(run_dir, 3600, &lock, NULL);
                if (rc == 0)
                    (void)!read(hold[0], &byte, 1); /* keeps it until the others have tried */
                _exit(rc == 0 ? 1 : rc == ES_ERR_BUSY ? 0 : 2);
            }
        }
        close(go[1]);
        close(go[0]);
        int n_losers = 0, n_winners = 0;
        while (n_losers + n_winners < N_RACERS) {
            int status;
            if (n_losers == N_RACERS - 1 && hold[1] >= 0)
                es_fd_close(&hold[1]); /* the winner may go */
            assert_true(waitpid(-1, &status, 0) > 0);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
            n_losers += WEXITSTATUS(status) == 0;
            n_winners += WEXITSTATUS(status) == 1;
        }
        assert_int_equal(n_winners, 1);
        es_fd_close(&hold[1]);
        close(hold[0]);
        (void)unlink(lock_path);
    }
}

static bool has_driver(const struct es_lock *lock)
{
    char path[TEMPDIR_SIZE + 256];
    (void)snprintf(path, sizeof path, "%s/.evalsweep/drivers/%s", run_dir, es_lock_id(lock));
    return access(path, F_OK) == 0;
}

static void a_driver_joins_once_the_owner_is_ready(void **state)
{
    (void)state;
    struct es_lock *owner, *joiner, *third;
    assert_int_equal(es_lock_join(run_dir, STALE_S, &owner, NULL), 0); /* nobody holds it */
    assert_true(es_lock_owns(owner));
    es_lock_set_ready(owner);
    assert_int_equal(es_lock_join(run_dir, STALE_S, &joiner, NULL), 0);
    assert_false(es_lock_owns(joiner));
    assert_false(es_lock_try(joiner));
    assert_true(has_driver(owner) && has_driver(joiner));
    assert_int_equal(es_lock_beat(owner, NULL) | es_lock_beat(joiner, NULL), 0);
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, &third, NULL), ES_ERR_BUSY);
    es_lock_release(joiner);
    assert_true(es_lock_owns(owner));
    es_lock_release(owner);
    assert_int_equal(access(lock_path, F_OK), -1);
}

static void an_owner_that_is_not_ready_is_not_joined(void **state)
{
    (void)state;
    struct es_lock *owner, *joiner;
    struct es_err err = {0};
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, &owner, NULL), 0);
    pid_t child = fork(); /* of which it is waited for */
    if (child == 0) {
        const struct timespec pause = {.tv_nsec = 100000000};
        (void)nanosleep(&pause, NULL);
        es_lock_set_ready(owner);
        _exit(0);
    }
    assert_int_equal(es_lock_join(run_dir, STALE_S, &joiner, &err), 0);
    struct es_buf text = {0};
    int fd = open(lock_path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(es_fd_read_all(fd, 4096, &text), 0);
    assert_non_null(strstr(text.data, "\"ready\":1"));
    assert_int_equal(waitpid(child, NULL, 0), child);
    es_buf_clear(&text);
    es_fd_close(&fd);
    es_lock_release(joiner);
    es_lock_release(owner);
}

static void own_and_join(struct es_lock **ret_owner, struct es_lock **ret_joiner)
{
    assert_int_equal(es_lock_acquire(run_dir, STALE_S, ret_owner, NULL), 0);
    es_lock_set_ready(*ret_owner);
    assert_int_equal(es_lock_join(run_dir, STALE_S, ret_joiner, NULL), 0);
}

static void an_owner_hands_the_run_over(void **state)
{
    (void)state;
    struct es_lock *owner, *joiner;
    own_and_join(&owner, &joiner);
    assert_false(es_lock_leave(owner, "nobody-1")); /* an heir that is gone */
    assert_true(es_lock_owns(owner));
    assert_true(es_lock_leave(owner, es_lock_id(joiner)));
    assert_false(has_driver(owner));
    assert_int_equal(es_lock_beat(owner, NULL), 0); /* it was not taken over: no fault */
    assert_true(es_lock_owns(joiner));
    assert_false(es_lock_leave(joiner, NULL)); /* the owner does not leave to itself */
    assert_int_equal(es_lock_beat(joiner, NULL), 0);
    es_lock_release(owner);
    assert_true(es_lock_owns(joiner));
    es_lock_release(joiner);
    assert_int_equal(access(lock_path, F_OK), -1);
}

static void a_joiner_leaves_to_a_live_owner_only(void **state)
{
    (void)state;
    struct es_lock *owner, *joiner;
    own_and_join(&owner, &joiner);
    assert_true(es_lock_leave(joiner, NULL));
    assert_false(has_driver(joiner));
    es_lock_release(joiner);
    assert_int_equal(es_lock_join(run_dir, STALE_S, &joiner, NULL), 0);
    es_lock_release(owner);
    assert_false(es_lock_leave(joiner, NULL));
    assert_true(es_lock_try(joiner));
    es_lock_release(joiner);
}

/* Only one process at a time changes who holds the lock. */
static void nobody_leaves_while_another_changes_the_lock(void **state)
{
    (void)state;
    char claim_path[TEMPDIR_SIZE + 64], another_path[TEMPDIR_SIZE + 128];
    struct es_lock *owner, *joiner, *another;
    own_and_join(&owner, &joiner);
    assert_int_equal(es_lock_join(run_dir, STALE_S, &another, NULL), 0);
    (void)snprintf(claim_path, sizeof claim_path, "%s.takeover", lock_path);
    (void)snprintf(another_path, sizeof another_path, "%s/.evalsweep/drivers/%s", run_dir,
                   es_lock_id(another));
    assert_int_equal(link(another_path, claim_path), 0);
    assert_false(es_lock_leave(joiner, NULL));
    assert_false(es_lock_leave(owner, es_lock_id(joiner)));
    assert_int_equal(unlink(claim_path), 0);
    assert_true(es_lock_leave(joiner, NULL));
    es_lock_release(another);
    es_lock_release(joiner);
    es_lock_release(owner);
}

static void a_joiner_takes_a_dead_owners_lock(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct es_lock *lock;
        int rc = es_lock_acquire(run_dir, STALE_S, &lock, NULL);
        es_lock_set_ready(lock);
        (void)!write(ends[1], "", 1);
        (void)pause();
        _exit(rc);
    }
    struct es_lock *joiner;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(es_lock_join(run_dir, 3600, &joiner, NULL), 0);
    assert_false(es_lock_try(joiner));
    assert_int_equal(kill(child, SIGKILL) | (waitpid(child, NULL, 0) != child), 0);
    assert_true(es_lock_try(joiner));
    assert_int_equal(es_lock_beat(joiner, NULL), 0);
    es_lock_release(joiner);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(access(lock_path, F_OK), -1);
}

static void a_driver_that_was_taken_for_gone_is_told(void **state)
{
    (void)state;
    struct es_lock *owner, *joiner;
    char path[TEMPDIR_SIZE + 256];
    own_and_join(&owner, &joiner);
    (void)snprintf(path, sizeof path, "%s/.evalsweep/drivers/%s", run_dir, es_lock_id(joiner));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(es_lock_beat(joiner, NULL), ES_ERR_BUSY);
    assert_int_equal(es_lock_beat(owner, NULL), 0);
    es_lock_release(joiner);
    es_lock_release(owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_driver_joins_once_the_owner_is_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(an_owner_that_is_not_ready_is_not_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(an_owner_hands_the_run_over, setup, teardown),
        cmocka_unit_test_setup_teardown(a_joiner_leaves_to_a_live_owner_only, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_leaves_while_another_changes_the_lock, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_joiner_takes_a_dead_owners_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(a_driver_that_was_taken_for_gone_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_taken_and_released, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_driver_is_told_who_holds_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_process_of_this_boot_does_not_hold_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_slurm_ended_does_not_hold_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_counter_that_stands_still_is_stale, setup, teardown),
        cmocka_unit_test_setup_teardown(a_counter_that_moves_is_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(a_holder_that_was_taken_over_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_folder_that_is_gone_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kept_lock_is_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(one_of_many_takes_a_stale_lock, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
