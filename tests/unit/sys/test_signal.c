#include "sys/signal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const int drain_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

static int block(void **state)
{
    (void)state;
    es_signal_block();
    return 0;
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static void test_drain(void **state)
{
    (void)state;
    int fd = es_signal_open_drain();
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(es_signal_take(fd), 0);
    for (size_t i = 0; i < sizeof drain_signals / sizeof drain_signals[0]; i++) {
        assert_false(is_readable(fd));
        assert_int_equal(kill(getpid(), drain_signals[i]), 0);
        assert_true(is_readable(fd));
        assert_int_equal(es_signal_take(fd), drain_signals[i]);
        assert_int_equal(es_signal_take(fd), 0);
    }
    es_fd_close(&fd);
}

static void test_several_at_once(void **state)
{
    (void)state;
    int fd = es_signal_open_drain(), seen = 0;
    for (size_t i = 0; i < sizeof drain_signals / sizeof drain_signals[0]; i++) {
        assert_int_equal(kill(getpid(), drain_signals[i]), 0);
        seen |= 1 << drain_signals[i];
    }
    for (int number; (number = es_signal_take(fd)) != 0;)
        seen &= ~(1 << number);
    assert_int_equal(seen, 0);
    es_fd_close(&fd);
}

static void test_child(void **state)
{
    (void)state;
    int child_fd = es_signal_open_child(), drain_fd = es_signal_open_drain();
    assert_true(child_fd >= 0 && drain_fd >= 0);
    assert_true(fcntl(child_fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(es_signal_take(child_fd), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    struct pollfd poll_fd = {.fd = child_fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, 60000), 1);
    assert_int_equal(es_signal_take(child_fd), SIGCHLD);
    assert_int_equal(es_signal_take(drain_fd), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    es_fd_close(&child_fd);
    es_fd_close(&drain_fd);
}

static void test_sigpipe_is_an_error_of_write(void **state)
{
    (void)state;
    int reader, writer;
    assert_int_equal(es_fd_pipe(&reader, &writer), 0);
    es_fd_close(&reader);
    assert_int_equal(es_fd_write_all(writer, "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    es_fd_close(&writer);
}

/* In a child, whose end shows it: what was blocked comes as a number, what is ignored stays so, and
 * a death by a signal is one. */
static void test_open_and_die(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGWINCH, SIGHUP};
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGHUP, SIG_IGN);
        int fd = es_signal_open(numbers, 3);
        (void)kill(getpid(), SIGHUP);
        (void)kill(getpid(), SIGWINCH);
        bool is_right = es_signal_take(fd) == SIGWINCH && es_signal_take(fd) == 0;
        (void)kill(getpid(), SIGTERM);
        if (!is_right || es_signal_take(fd) != SIGTERM)
            _exit(1);
        es_signal_die(SIGTERM);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void test_take_of_no_descriptor(void **state)
{
    (void)state;
    assert_int_equal(es_signal_take(-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drain),        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_child),        cmocka_unit_test(test_sigpipe_is_an_error_of_write),
        cmocka_unit_test(test_open_and_die), cmocka_unit_test(test_take_of_no_descriptor),
    };
    return cmocka_run_group_tests(tests, block, NULL);
}
