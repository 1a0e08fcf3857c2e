/* The lock, call by call: file servers that answer oddly, others that come in between two calls,
 * and long waits, on a clock that the test moves.
 */
#include "run/lock.h"

#include "helper/fake_clock.h"
#include "helper/tempdir.h"
#include "run/folder.h"
#include "run/holder.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static char run_dir[TEMPDIR_SIZE];
static char lock_path[TEMPDIR_SIZE + 32];
static char claim_path[TEMPDIR_SIZE + 48];

/* What happens right after a call that made the lock's name, and what the call says it gave. */
static void (*after_link)(void), (*after_rename)(void), (*before_unlink)(const char *path);
static int link_errno, claim_errno;

int link(const char *from, const char *to)
{
    int rc = (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (rc == 0 && strcmp(to, claim_path) == 0 && claim_errno) {
        errno = claim_errno;
        return -1;
    }
    if (rc < 0 || strcmp(to, lock_path) != 0)
        return rc;
    if (after_link)
        after_link();
    errno = link_errno;
    return link_errno ? -1 : 0;
}

int rename(const char *from, const char *to)
{
    int rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (rc == 0 && strcmp(to, lock_path) == 0 && after_rename)
        after_rename();
    return rc;
}

int unlink(const char *path)
{
    if (before_unlink)
        before_unlink(path);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

static int setup(void **state)
{
    (void)state;
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_STEP_ID");
    after_link = after_rename = on_fake_sleep = NULL;
    before_unlink = NULL;
    link_errno = claim_errno = 0;
    n_fake_sleeps = 0;
    if (tempdir_create(run_dir) < 0)
        return -1;
    (void)snprintf(lock_path, sizeof lock_path, "%s/.evalsweep/lock", run_dir);
    (void)snprintf(claim_path, sizeof claim_path, "%s.takeover", lock_path);
    return es_folder_make(run_dir, NULL);
}

static int teardown(void **state)
{
    (void)state;
    before_unlink = NULL;
    tempdir_remove(run_dir);
    return 0;
}

#define ELSEWHERE "\"host\":\"elsewhere\",\"boot\":\"another\",\"pid\":7,\"pid_start\":1"

static void write_file(const char *path, const char *text)
{
    (void)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
}

static void let_another_take_it(void)
{
    write_file(lock_path, "{\"counter\":1," ELSEWHERE "}");
}

static int counter;

static void let_another_move(void)
{
    char text[256];
    (void)snprintf(text, sizeof text, "{\"counter\":%d," ELSEWHERE "}", ++counter);
    write_file(lock_path, text);
}

static void a_lock_that_is_not_ours_when_it_is_read_back_is_not_taken(void **state)
{
    (void)state;
    struct es_lock *lock;
    struct es_err err = {0};
    after_link = let_another_take_it;
    on_fake_sleep = let_another_move;
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, &err), ES_ERR_BUSY);
    assert_non_null(strstr(err.why, "elsewhere"));
    assert_int_equal(access(lock_path, F_OK), 0);
}

static void nor_is_one_that_was_taken_over_when_it_is_read_back(void **state)
{
    (void)state;
    struct es_lock *lock;
    let_another_take_it();
    after_rename = let_another_move;
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), ES_ERR_BUSY);
    assert_true(n_fake_sleeps > 0);
}

/* NFS: the answer was lost, and the call that was sent again finds its own work. */
static void a_link_that_was_made_and_reported_as_there_is_ours(void **state)
{
    (void)state;
    struct es_lock *lock;
    link_errno = EEXIST;
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), 0);
    assert_int_equal(n_fake_sleeps, 0);
    es_lock_release(lock);
    assert_int_equal(access(lock_path, F_OK), -1);
}

static void so_is_such_a_claim(void **state)
{
    (void)state;
    struct es_lock *lock;
    claim_errno = EEXIST;
    write_file(lock_path, "{\"counter\":1," ELSEWHERE "}");
    /* Taken over when it is stale. */
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), 0);
    assert_int_equal(access(claim_path, F_OK), -1);
    n_fake_sleeps = 0;
    es_lock_release(lock);
    assert_int_equal(n_fake_sleeps, 0);
    assert_int_equal(access(lock_path, F_OK), -1);
    assert_int_equal(access(claim_path, F_OK), -1);
}

/* A link to nothing holds nobody; one that has no JSON in it, nobody who would move it. */
static void a_dangling_lock_is_replaced_at_once(void **state)
{
    (void)state;
    struct es_lock *lock;
    assert_int_equal(symlink("nothing", lock_path), 0);
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), 0);
    assert_int_equal(n_fake_sleeps, 0);
    assert_int_equal(access(lock_path, F_OK), 0);
    es_lock_release(lock);
    assert_int_equal(access(lock_path, F_OK), -1);
    assert_int_equal(access(claim_path, F_OK), -1);
}

static char noted[512];
static unsigned n_notes;

static void note(const char *text, void *context)
{
    assert_ptr_equal(context, noted);
    (void)snprintf(noted, sizeof noted, "%s", text);
    n_notes++;
}

static int enter(bool may_join, struct es_lock **ret_lock)
{
    const struct es_lock_request request = {
        .run_dir = run_dir, .stale_s = 60, .may_join = may_join, .note = note, .context = noted};
    n_notes = 0;
    return es_lock_enter(&request, ret_lock, NULL);
}

static void a_long_wait_is_told_of_once(void **state)
{
    (void)state;
    static const struct {
        const char *lock, *says;
    } rows[] = {{"{\"counter\":1," ELSEWHERE "}", "whether process 7 on elsewhere is alive"},
                {"", "names no driver: if it stays as it is for 60 s, it is replaced"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_lock *lock;
        double begun_s = es_clock_mono_s();
        write_file(lock_path, rows[i].lock);
        assert_int_equal(enter(false, &lock), 0);
        assert_true(es_clock_mono_s() - begun_s >= 60 && es_clock_mono_s() - begun_s < 62);
        assert_int_equal(n_notes, 1);
        assert_non_null(strstr(noted, rows[i].says));
        assert_non_null(strstr(noted, lock_path));
        es_lock_release(lock);
    }
}

/* The lock is free, but who began to take it is of another machine, and may be dead. */
static void so_is_a_wait_for_the_claim(void **state)
{
    (void)state;
    struct es_lock *lock;
    assert_int_equal(symlink("nothing", lock_path), 0);
    write_file(claim_path, "{\"counter\":1," ELSEWHERE "}");
    assert_int_equal(enter(false, &lock), 0);
    assert_int_equal(n_notes, 1);
    assert_non_null(strstr(noted, "whether process 7 on elsewhere is alive"));
    assert_non_null(strstr(noted, claim_path));
    es_lock_release(lock);
}

static struct es_lock *owner;
static double ready_at_s;

static void get_ready(void)
{
    if (es_clock_mono_s() >= ready_at_s)
        es_lock_set_ready(owner);
}

/* Prompt where the owner gets ready at once, and no burden to the file server if it takes long. */
static void a_joiner_looks_less_often_the_longer_it_waits(void **state)
{
    (void)state;
    static const struct {
        double ready_after_s;
        unsigned n_least, n_most;
    } rows[] = {{0.1, 4, 12}, {30, 20, 60}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_lock *joiner;
        assert_int_equal(es_lock_acquire(run_dir, 60, &owner, NULL), 0);
        n_fake_sleeps = 0;
        ready_at_s = es_clock_mono_s() + rows[i].ready_after_s;
        on_fake_sleep = get_ready;
        assert_int_equal(enter(true, &joiner), 0);
        on_fake_sleep = NULL;
        assert_true(es_clock_mono_s() < ready_at_s * 1.001 + 1.5);
        assert_in_range(n_fake_sleeps, rows[i].n_least, rows[i].n_most);
        assert_int_equal(n_notes, rows[i].ready_after_s > 2);
        es_lock_release(joiner);
        es_lock_release(owner);
    }
}

/* Of another machine, and killed in the moment that it changed the lock. */
static void one_that_died_with_lock_and_claim_is_waited_for_once(void **state)
{
    (void)state;
    struct es_lock *lock;
    double begun_s = es_clock_mono_s();
    let_another_take_it();
    write_file(claim_path, "{\"counter\":1," ELSEWHERE "}");
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), 0);
    assert_true(es_clock_mono_s() - begun_s < 65);
    es_lock_release(lock);
    assert_int_equal(access(claim_path, F_OK), -1);
}

static unsigned n_removed;

static void assert_claimed(const char *path)
{
    if (strcmp(path, claim_path) == 0)
        return;
    assert_int_equal(access(claim_path, F_OK), 0);
    n_removed++;
}

/* Whoever looked at the lock and found it its own must not remove one that is another's by then. */
static void names_are_removed_with_the_claim_alone(void **state)
{
    (void)state;
    struct es_lock *lock;
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), 0);
    n_removed = 0;
    before_unlink = assert_claimed;
    es_lock_release(lock);
    assert_int_equal(n_removed, 2); /* the lock and the driver's file */
    assert_int_equal(access(claim_path, F_OK), -1);
}

static struct es_lock *heir;

/* What es_lock_leave does between its claim and the end of it. */
static void hand_over(void)
{
    char heir_path[TEMPDIR_SIZE + 256], temp[TEMPDIR_SIZE + 64];
    (void)snprintf(heir_path, sizeof heir_path, "%s/.evalsweep/drivers/%s", run_dir,
                   es_lock_id(heir));
    (void)snprintf(temp, sizeof temp, "%s/.evalsweep/temp", run_dir);
    assert_int_equal(link(heir_path, temp), 0);
    assert_int_equal(rename(temp, lock_path), 0);
    assert_int_equal(unlink(claim_path), 0);
    on_fake_sleep = NULL;
}

/* An heir that is leaving in the moment in which it is made one: it leaves no lock behind. */
static void a_run_handed_to_who_leaves_is_held_by_nobody(void **state)
{
    (void)state;
    assert_int_equal(es_lock_acquire(run_dir, 60, &owner, NULL), 0);
    es_lock_set_ready(owner);
    assert_int_equal(es_lock_join(run_dir, 60, &heir, NULL), 0);
    assert_int_equal(link(lock_path, claim_path), 0); /* the owner's */
    on_fake_sleep = hand_over;
    es_lock_release(heir);
    assert_null(on_fake_sleep);
    assert_int_equal(access(lock_path, F_OK), -1);
    es_lock_release(owner);
    assert_int_equal(access(claim_path, F_OK), -1);
}

/* Somebody elsewhere died with the claim: the end does not wait for long, and leaves the lock,
 * which is stale with this process, to whoever comes next. */
static void an_end_waits_a_moment_for_the_claim(void **state)
{
    (void)state;
    struct es_lock *lock;
    assert_int_equal(es_lock_acquire(run_dir, 60, &lock, NULL), 0);
    write_file(claim_path, "{\"counter\":1," ELSEWHERE "}");
    double begun_s = es_clock_mono_s();
    es_lock_release(lock);
    assert_true(es_clock_mono_s() - begun_s < 2);
    assert_int_equal(access(lock_path, F_OK), 0);
    assert_int_equal(access(claim_path, F_OK), 0);
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(a_lock_that_is_not_ours_when_it_is_read_back_is_not_taken),
        TEST_OF(nor_is_one_that_was_taken_over_when_it_is_read_back),
        TEST_OF(a_link_that_was_made_and_reported_as_there_is_ours),
        TEST_OF(so_is_such_a_claim),
        TEST_OF(a_dangling_lock_is_replaced_at_once),
        TEST_OF(a_long_wait_is_told_of_once),
        TEST_OF(so_is_a_wait_for_the_claim),
        TEST_OF(a_joiner_looks_less_often_the_longer_it_waits),
        TEST_OF(one_that_died_with_lock_and_claim_is_waited_for_once),
        TEST_OF(names_are_removed_with_the_claim_alone),
        TEST_OF(a_run_handed_to_who_leaves_is_held_by_nobody),
        TEST_OF(an_end_waits_a_moment_for_the_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
