#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "exec/evaluator.h"
#include "exec/guard.h"
#include "exec/process.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static const char *const grandchild_command[] = {FAKE_EVALUATOR, "--persistent",
                                                 "--fork-grandchild", "--ignore-term", NULL};

/* A leak check at its exit would run in one more process, which the tests would count. */
static const struct es_env_pair no_leak_check = {"ASAN_OPTIONS", "detect_leaks=0"};

static void run_unit(struct es_evaluator *evaluator, int child_fd)
{
    int dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int32_t layer = 22;
    struct es_evaluator_request request = {.checkpoint = "step0",
                                           .layer = layer,
                                           .task = "STS12",
                                           .output_dir = folder,
                                           .output_dir_fd = dir_fd,
                                           .attempt = 1,
                                           .bundle = &layer,
                                           .n_bundle = 1};
    if (es_evaluator_begin(evaluator, &request, NULL) < 0)
        _exit(1);
    while (es_evaluator_outcome(evaluator)->kind == ES_OUTCOME_NONE) {
        struct pollfd fds[5];
        size_t n = es_evaluator_poll_fds(evaluator, fds);
        fds[n++] = (struct pollfd){.fd = child_fd, .events = POLLIN};
        (void)poll(fds, n, -1);
        while (es_signal_take(child_fd))
            continue;
        es_evaluator_step(evaluator, es_clock_mono_ns());
    }
    es_fd_close(&dir_fd);
}

/* What a rank does: guard, evaluator, a unit that leaves a grandchild; then says so, and goes on or
 * ends. Its stdout is the pipe, as a launcher's would be. */
static _Noreturn void rank_main(int ready_fd, bool ends)
{
    es_signal_block();
    if (dup2(ready_fd, STDOUT_FILENO) < 0)
        _exit(1);
    for (int i = 0; i < 2; i++) /* the second start finds it at work */
        if (es_guard_start(NULL) < 0)
            _exit(2);
    int child_fd = es_signal_open_child();
    struct es_evaluator_spec spec = {.persistent = true,
                                     .command = grandchild_command,
                                     .env = &no_leak_check,
                                     .n_env = 1,
                                     .run_dir = folder,
                                     .log_limit_bytes = 1 << 20};
    struct es_evaluator *evaluator = NULL;
    if (es_evaluator_create(&spec, &evaluator, NULL) < 0)
        _exit(3);
    run_unit(evaluator, child_fd);
    if (es_evaluator_outcome(evaluator)->kind != ES_OUTCOME_REPLY)
        _exit(4);
    if (ends)
        es_evaluator_free(evaluator);
    (void)!write(ready_fd, "r", 1);
    if (ends)
        _exit(0);
    for (;;)
        (void)pause();
}

static pid_t start_rank(bool ends, int *ret_ready_fd)
{
    int ready_write;
    assert_int_equal(es_fd_pipe(ret_ready_fd, &ready_write), 0);
    pid_t rank = fork();
    if (rank == 0)
        rank_main(ready_write, ends);
    assert_true(rank > 0);
    es_fd_close(&ready_write);
    return rank;
}

static int count_entries(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

/* Waits for all: rank, evaluator, grandchild and guard are children of this process once their
 * parents are gone. That one of them stays would be waited for until the alarm. */
static int wait_for_all(pid_t rank, int *ret_rank_status)
{
    int n = 0, status;
    for (;;) {
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0)
            break;
        n++;
        if (pid == rank)
            *ret_rank_status = status;
    }
    assert_int_equal(errno, ECHILD);
    return n;
}

static void test_killed_rank_leaves_nothing(void **state)
{
    (void)state;
    int ready_fd, status = 0;
    char byte;
    pid_t rank = start_rank(false, &ready_fd);
    assert_int_equal(read(ready_fd, &byte, 1), 1);
    assert_int_equal(count_entries(), 1); /* the FIFO's folder */
    assert_int_equal(kill(rank, SIGKILL), 0);
    /* The end of the pipe: nobody holds what a launcher would wait for. */
    assert_int_equal(read(ready_fd, &byte, 1), 0);
    assert_int_equal(wait_for_all(rank, &status), 4);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_entries(), 0);
    es_fd_close(&ready_fd);
}

static void test_guard_leaves_with_its_rank(void **state)
{
    (void)state;
    int ready_fd, status = 0;
    char byte;
    pid_t rank = start_rank(true, &ready_fd);
    assert_int_equal(read(ready_fd, &byte, 1), 1);
    assert_int_equal(wait_for_all(rank, &status), 3); /* the evaluator was the rank's to reap */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(count_entries(), 0);
    es_fd_close(&ready_fd);
}

static void test_cells_without_guard(void **state)
{
    (void)state;
    assert_null(es_guard_take());
    es_guard_set_fifo(NULL, "/tmp/x/reply");
    es_guard_withdraw(NULL);
    es_guard_release(NULL);
}

static void check_cells(void)
{
    struct es_guard_cell *cells[100];
    size_t n = 0;
    char long_path[ES_GUARD_PATH_SIZE + 1];
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    while (n < 100 && (cells[n] = es_guard_take()))
        n++;
    assert_in_range(n, 8, 99);
    for (size_t i = 1; i < n; i++)
        assert_ptr_not_equal(cells[i], cells[i - 1]);
    es_guard_set_fifo(cells[0], long_path);
    assert_string_equal(cells[0]->fifo, "");
    atomic_store(&cells[0]->group, 123456789);
    for (size_t i = 0; i < n; i++)
        es_guard_release(cells[i]);
    assert_int_equal(atomic_load(&cells[0]->group), 0);
    assert_ptr_equal(es_guard_take(), cells[0]);
    es_guard_release(cells[0]);
}

/* A group is the guard's from before its program runs until it is about to be reaped. */
static void check_process(void)
{
    char name[] = "true";
    char *argv[] = {name, NULL}, *envp[] = {NULL};
    struct es_process_command command = {.path = "/bin/true", .argv = argv, .envp = envp};
    struct es_process process;
    struct es_process_end end;
    siginfo_t info;
    es_process_init(&process);
    assert_non_null(process.guard_cell);
    assert_int_equal(es_process_start(&process, &command, NULL, NULL), 0);
    assert_int_equal(atomic_load(&process.guard_cell->group), process.pid);
    assert_int_equal(waitid(P_PID, (id_t)process.pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(es_process_ended(&process, &end));
    assert_int_equal(end.exit_code, 0);
    es_process_reap(&process);
    assert_int_equal(atomic_load(&process.guard_cell->group), 0);
    command.path = "/nowhere";
    struct es_err err = {0};
    assert_int_equal(es_process_start(&process, &command, NULL, &err), ES_ERR_SPAWN);
    assert_string_equal(err.subject, "/nowhere");
    assert_int_equal(atomic_load(&process.guard_cell->group), 0);
    es_process_clear(&process);
}

static void test_cells(void **state)
{
    (void)state;
    assert_int_equal(es_guard_start(NULL), 0);
    check_cells();
    check_process();
}

static int setup(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%.40s/es-guard-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(folder) || setenv("TMPDIR", folder, 1) < 0)
        return -1;
    (void)alarm(100);
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_without_guard),
        cmocka_unit_test(test_killed_rank_leaves_nothing),
        cmocka_unit_test(test_guard_leaves_with_its_rank),
        cmocka_unit_test(test_cells), /* the last: from here on this process has a guard */
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
