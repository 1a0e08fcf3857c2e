#include "sys/outqueue.h"

#include "core/mem.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE "a line that nobody may read\n"
#define N_LINES 10000 /* far more than a pipe holds */

static int in = -1, out = -1, saved_stderr = -1;

static int setup(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    return es_fd_pipe(&in, &out);
}

static int teardown(void **state)
{
    (void)state;
    (void)dup2(saved_stderr, STDERR_FILENO);
    es_fd_close(&saved_stderr);
    es_fd_close(&in);
    es_fd_close(&out);
    return 0;
}

static struct es_outqueue *start(size_t limit_bytes)
{
    struct es_outqueue *queue;
    assert_int_equal(es_outqueue_start(limit_bytes, &queue, NULL), 0);
    return queue;
}

static void put_lines(struct es_outqueue *queue, int n, bool may_be_dropped)
{
    for (int i = 0; i < n; i++)
        es_outqueue_put(queue, out, LINE, strlen(LINE), may_be_dropped);
}

static void what_is_read_arrives_in_order(void **state)
{
    (void)state;
    char text[100] = "";
    int stuck_fd;
    struct es_outqueue *queue = start(1000);
    es_outqueue_put(queue, out, "a", 1, true);
    es_outqueue_put(queue, out, "bc", 2, false);
    es_outqueue_put(queue, out, "d", 1, true);
    assert_int_equal(es_outqueue_finish(queue, 100, &stuck_fd), 0);
    assert_int_equal(stuck_fd, -1);
    assert_int_equal(read(in, text, sizeof text), 4);
    assert_string_equal(text, "abcd");
}

/* Putting never waits; the newest lines are kept, and the rest is counted once somebody reads. */
static void what_nobody_reads_is_dropped_and_counted(void **state)
{
    (void)state;
    const size_t limit_bytes = 100 * strlen(LINE);
    struct es_outqueue *queue = start(limit_bytes);
    struct es_buf text = {0};
    int stuck_fd;
    unsigned n_dropped = 0, n_read = 0;
    size_t n_said = 0;
    (void)dup2(out, STDERR_FILENO);
    put_lines(queue, N_LINES, true);
    es_outqueue_put(queue, out, "the last\n", 9, true);
    es_fd_set_nonblocking(in);
    for (;;) { /* the reader comes back */
        char chunk[4096];
        ssize_t n = read(in, chunk, sizeof chunk);
        if (n > 0)
            es_buf_append(&text, chunk, (size_t)n);
        else if (strstr(text.data ? text.data : "", "the last\n"))
            break;
        else
            (void)usleep(100);
        es_buf_putc(&text, '\0');
        text.len--;
    }
    assert_int_equal(es_outqueue_finish(queue, 100, &stuck_fd), 0);
    for (const char *said = text.data ? text.data : ""; (said = strstr(said, "evalsweep: "));
         said++) {
        unsigned n = 0; /* each time that a reader made room */
        assert_int_equal(sscanf(said, "evalsweep: %u lines were dropped", &n), 1);
        n_dropped += n;
        n_said++;
    }
    assert_true(n_said > 0);
    for (const char *at = text.data ? text.data : ""; (at = strstr(at, LINE)); at++)
        n_read++;
    assert_int_equal(n_read + n_dropped, N_LINES);
    assert_true(n_dropped > 0 && n_read >= 99);
    es_buf_clear(&text);
}

static void nobody_waits_for_ever_at_the_end(void **state)
{
    (void)state;
    int stuck_fd;
    struct es_outqueue *queue = start(1 << 20);
    put_lines(queue, N_LINES, true);
    assert_int_equal(es_outqueue_finish(queue, 0.05, &stuck_fd), 0); /* those may be lost */
    assert_int_equal(stuck_fd, out);
    es_fd_close(&in); /* its thread ends: nobody can read any more */
}

static void data_that_was_not_read_is_an_error(void **state)
{
    (void)state;
    int stuck_fd;
    struct es_outqueue *queue = start(10);
    put_lines(queue, N_LINES, false); /* beyond the limit, which is not for data */
    assert_int_equal(es_outqueue_finish(queue, 0.05, &stuck_fd), ETIMEDOUT);
    assert_int_equal(stuck_fd, out);
    es_fd_close(&in);
}

static void data_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    int stuck_fd;
    struct es_outqueue *queue = start(10);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    es_outqueue_put(queue, full, "x", 1, false);
    assert_int_equal(es_outqueue_finish(queue, 100, &stuck_fd), ENOSPC);
    es_fd_close(&full);
}

static void a_signal_ends_the_wait(void **state)
{
    (void)state;
    int stuck_fd;
    struct es_outqueue *queue = start(1 << 20);
    put_lines(queue, N_LINES, true);
    (void)kill(getpid(), SIGTERM); /* blocked, as in a run */
    (void)alarm(60);
    assert_int_equal(es_outqueue_finish(queue, 1e6, &stuck_fd), 0);
    (void)alarm(0);
    assert_int_equal(stuck_fd, out);
    int fd = es_signal_open_drain();
    assert_int_equal(es_signal_take(fd), SIGTERM);
    assert_false(es_signal_is_pending());
    es_fd_close(&fd);
    es_fd_close(&in);
}

static void without_memory_lines_are_dropped_and_data_is_an_error(void **state)
{
    (void)state;
    int stuck_fd;
    struct es_outqueue *queue;
    es_mem_fail_after(0);
    assert_int_equal(es_outqueue_start(10, &queue, NULL), ES_ERR_NOMEM);
    es_mem_fail_after(-1);
    queue = start(100);
    es_mem_fail_after(0);
    put_lines(queue, 1, true);
    es_mem_fail_after(-1);
    assert_int_equal(es_outqueue_finish(queue, 100, &stuck_fd), 0);
    queue = start(100);
    es_mem_fail_after(0);
    put_lines(queue, 1, false);
    es_mem_fail_after(-1);
    assert_int_equal(es_outqueue_finish(queue, 100, &stuck_fd), ENOMEM);
    assert_int_equal(es_outqueue_finish(NULL, 100, &stuck_fd), 0);
}

int main(void)
{
    es_signal_block();
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(what_is_read_arrives_in_order),
        CASE(what_nobody_reads_is_dropped_and_counted),
        CASE(nobody_waits_for_ever_at_the_end),
        CASE(data_that_was_not_read_is_an_error),
        CASE(data_that_cannot_be_written_is_an_error),
        CASE(a_signal_ends_the_wait),
        CASE(without_memory_lines_are_dropped_and_data_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
