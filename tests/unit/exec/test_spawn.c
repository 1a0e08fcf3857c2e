#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/buf.h"
#include "exec/spawn.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static void path_in(char *ret_path, size_t size_bytes, const char *leaf)
{
    (void)snprintf(ret_path, size_bytes, "%s/%s", folder, leaf);
}

static void make_file(const char *leaf, const char *text, mode_t mode)
{
    char path[128];
    path_in(path, sizeof path, leaf);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

/* Runs a program to its end with stdin from /dev/null; its output is in `output`. */
static pid_t run(const char *path, char *const *argv, struct es_buf *output, int *ret_status)
{
    int out_read, out_write, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool exec_failed = false;
    assert_int_equal(es_fd_pipe(&out_read, &out_write), 0);
    struct es_spawn plan = {.path = path,
                            .argv = argv,
                            .envp = environ,
                            .stdin_fd = null,
                            .output_fd = out_write,
                            .reply_fd = out_write};
    pid_t pid = es_spawn(&plan, &exec_failed);
    assert_true(pid > 0);
    es_fd_close(&out_write);
    es_fd_close(&null);
    assert_int_equal(es_fd_read_all(out_read, 1 << 20, output), 0);
    es_fd_close(&out_read);
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    return pid;
}

static uint64_t mask_of(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 16);
}

static uint64_t bit(int number)
{
    return 1ULL << (number - 1);
}

static void on_signal(int number)
{
    (void)number;
}

static void test_signals_and_group(void **state)
{
    (void)state;
    char cat[] = "cat", status_path[] = "/proc/self/status", stat_path[] = "/proc/self/stat";
    char oom_path[] = "/proc/self/oom_score_adj";
    char *argv[] = {cat, status_path, stat_path, oom_path, NULL};
    struct es_buf output = {0};
    int status;
    (void)signal(SIGHUP, on_signal);
    (void)signal(SIGTERM, SIG_IGN);
    pid_t pid = run("/bin/cat", argv, &output, &status);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    assert_int_equal(status, 0);
    assert_int_equal(mask_of(output.data, "SigBlk:\t"), 0);
    assert_int_equal(mask_of(output.data, "SigCgt:\t"), 0);
    uint64_t ignored = mask_of(output.data, "SigIgn:\t");
    assert_int_equal(ignored & (bit(SIGINT) | bit(SIGUSR1) | bit(SIGUSR2)),
                     bit(SIGINT) | bit(SIGUSR1) | bit(SIGUSR2));
    assert_int_equal(ignored & (bit(SIGTERM) | bit(SIGPIPE) | bit(SIGCHLD) | bit(SIGHUP)), 0);
    int parent = 0, group = 0;
    const char *stat_line = strstr(output.data, "(cat) ");
    assert_non_null(stat_line);
    assert_int_equal(sscanf(stat_line, "(cat) %*c %d %d", &parent, &group), 2);
    assert_int_equal(group, pid);
    assert_int_equal(parent, getpid());
    assert_non_null(strstr(stat_line, "\n1000\n"));
    es_buf_clear(&output);
}

static void test_signals_of_this_process_stay(void **state)
{
    (void)state;
    char name[] = "true";
    char *argv[] = {name, NULL};
    struct es_buf output = {0};
    sigset_t before, after;
    int status;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    run("/bin/true", argv, &output, &status);
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &after), 0);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
    es_signal_block();
    es_buf_clear(&output);
}

static void test_descriptors(void **state)
{
    (void)state;
    char ls[] = "ls", path[] = "/proc/self/fd";
    char *argv[] = {ls, path, NULL};
    struct es_buf output = {0};
    int status;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int leak = fcntl(null, F_DUPFD, 20); /* not close-on-exec: an MPI library might leave one */
    assert_true(leak >= 20);
    run("/bin/ls", argv, &output, &status);
    (void)close(leak);
    (void)close(null);
    /* 3 is the reply's, 4 the folder that ls reads */
    assert_string_equal(output.data, "0\n1\n2\n3\n4\n");
    es_buf_clear(&output);
}

static void test_reply_descriptor_already_there(void **state)
{
    (void)state;
    char name[] = "sh";
    char option[] = "-c", script[] = "echo reply >&3";
    char *argv[] = {name, option, script, NULL};
    struct es_buf output = {0};
    int status;
    int out_read, out_write, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(es_fd_pipe(&out_read, &out_write), 0);
    int saved = fcntl(ES_SPAWN_REPLY_FD, F_DUPFD_CLOEXEC, 20);
    assert_int_equal(dup3(out_write, ES_SPAWN_REPLY_FD, O_CLOEXEC), ES_SPAWN_REPLY_FD);
    int output_fd = fcntl(null, F_DUPFD_CLOEXEC, 20);
    bool exec_failed = false;
    struct es_spawn plan = {.path = "/bin/sh",
                            .argv = argv,
                            .envp = environ,
                            .stdin_fd = output_fd,
                            .output_fd = output_fd,
                            .reply_fd = ES_SPAWN_REPLY_FD};
    pid_t pid = es_spawn(&plan, &exec_failed);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    if (saved >= 0)
        assert_int_equal(dup3(saved, ES_SPAWN_REPLY_FD, O_CLOEXEC), ES_SPAWN_REPLY_FD);
    else
        (void)close(ES_SPAWN_REPLY_FD);
    if (out_write != ES_SPAWN_REPLY_FD)
        (void)close(out_write);
    assert_int_equal(es_fd_set_nonblocking(out_read), 0);
    char text[16] = "";
    assert_int_equal(read(out_read, text, sizeof text - 1), 6);
    assert_string_equal(text, "reply\n");
    es_fd_close(&saved);
    es_fd_close(&output_fd);
    es_fd_close(&null);
    es_fd_close(&out_read);
    es_buf_clear(&output);
}

static void test_refused(void **state)
{
    (void)state;
    make_file("no-interpreter", "#!/nowhere/at/all\n", 0700);
    make_file("no-format", "echo hello\n", 0700);
    make_file("not-executable", "#!/bin/sh\n", 0600);
    static const struct {
        const char *leaf;
        int why;
    } rows[] = {{"nothing", ENOENT},
                {"no-interpreter", ENOENT},
                {"no-format", ENOEXEC},
                {"not-executable", EACCES},
                {"", EACCES}};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[128], name[] = "x";
        char *argv[] = {name, NULL};
        bool exec_failed = false;
        path_in(path, sizeof path, rows[i].leaf);
        struct es_spawn plan = {.path = path,
                                .argv = argv,
                                .envp = environ,
                                .stdin_fd = null,
                                .output_fd = null,
                                .reply_fd = -1};
        errno = 0;
        assert_int_equal(es_spawn(&plan, &exec_failed), -1);
        assert_int_equal(errno, rows[i].why);
        assert_true(exec_failed);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
    }
    es_fd_close(&null);
}

static void test_find(void **state)
{
    (void)state;
    char path[256], other[128];
    make_file("program", "#!/bin/sh\n", 0700);
    make_file("data", "", 0600);
    path_in(other, sizeof other, "sub");
    assert_int_equal(mkdir(other, 0700), 0);
    make_file("sub/program", "#!/bin/sh\n", 0600);
    make_file("sub/tool", "#!/bin/sh\n", 0700);
    static const struct {
        const char *program, *found;
        int why;
    } rows[] = {
        {"program", "program", 0}, {"tool", "sub/tool", 0},   {"data", NULL, EACCES},
        {"sub", NULL, EACCES},     {"nothing", NULL, ENOENT}, {"", NULL, ENOENT},
    };
    (void)snprintf(path, sizeof path, "/nowhere:%s:%s", other, folder);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[256];
        errno = 0;
        char *found = es_spawn_find(rows[i].program, path);
        if (rows[i].found) {
            path_in(expected, sizeof expected, rows[i].found);
            assert_non_null(found);
            assert_string_equal(found, expected);
        } else {
            assert_null(found);
            assert_int_equal(errno, rows[i].why);
        }
        free(found);
    }
    char *plain = es_spawn_find("true", NULL);
    assert_non_null(plain);
    free(plain);
    path_in(path, sizeof path, "program");
    char *slashed = es_spawn_find(path, "/nowhere");
    assert_string_equal(slashed, path);
    free(slashed);
    path_in(path, sizeof path, "nothing");
    assert_null(es_spawn_find(path, folder));
}

static void test_dies_with_parent(void **state)
{
    (void)state;
    /* Orphans come to this process, so that the end of each can be waited for. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    int ready_read, ready_write;
    assert_int_equal(es_fd_pipe(&ready_read, &ready_write), 0);
    pid_t rank = fork();
    if (rank == 0) {
        char name[] = "sleep", long_time[] = "1000000";
        char *argv[] = {name, long_time, NULL};
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        bool exec_failed = false;
        struct es_spawn plan = {.path = "/bin/sleep",
                                .argv = argv,
                                .envp = environ,
                                .stdin_fd = null,
                                .output_fd = null,
                                .reply_fd = -1};
        pid_t pid = es_spawn(&plan, &exec_failed);
        (void)!write(ready_write, &pid, sizeof pid);
        for (;;)
            (void)pause();
    }
    pid_t evaluator = -1;
    assert_int_equal(read(ready_read, &evaluator, sizeof evaluator), sizeof evaluator);
    assert_true(evaluator > 0);
    assert_int_equal(kill(rank, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(rank, &status, 0), rank);
    assert_int_equal(waitpid(evaluator, &status, 0), evaluator);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    es_fd_close(&ready_read);
    es_fd_close(&ready_write);
}

static int setup(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%.40s/es-spawn-XXXXXX", parent ? parent : "/tmp");
    es_signal_block();
    (void)alarm(100); /* a child that should have died would be waited for */
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    static const char *const leaves[] = {"no-interpreter", "no-format", "not-executable",
                                         "program",        "data",      "sub/program",
                                         "sub/tool"};
    char path[128];
    for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
        path_in(path, sizeof path, leaves[i]);
        (void)unlink(path);
    }
    path_in(path, sizeof path, "sub");
    (void)rmdir(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_and_group),
        cmocka_unit_test(test_signals_of_this_process_stay),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_reply_descriptor_already_there),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_dies_with_parent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
