#include "sys/await.h"

#include "sys/clock.h"
#include "sys/fd.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define SHORT_NS 20000000
#define LONG_NS (1000 * ES_NS_PER_S)

static void descriptors(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(es_fd_pipe(&ends[0], &ends[1]), 0);
    struct pollfd fds[2] = {{.fd = -1, .events = POLLIN}, {.fd = ends[0], .events = POLLIN}};
    int64_t begun_ns = es_clock_mono_ns();
    es_await_fds(fds, 2, -1);
    es_await_fds(fds, 2, SHORT_NS);
    assert_true(es_clock_mono_ns() - begun_ns >= SHORT_NS);
    assert_int_equal(fds[1].revents, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 2; i++) {
        fds[1].revents = 0;
        es_await_fds(fds, 2, i ? INT64_MAX : LONG_NS);
        assert_int_equal(fds[1].revents, POLLIN);
    }
    assert_true(es_clock_mono_ns() - begun_ns < LONG_NS);
    es_fd_close(&ends[0]);
    es_fd_close(&ends[1]);
}

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_set;
};

static void *setter_main(void *arg)
{
    struct shared *shared = arg;
    pthread_mutex_lock(&shared->mutex);
    shared->is_set = true;
    pthread_cond_signal(&shared->cond);
    pthread_mutex_unlock(&shared->mutex);
    return NULL;
}

static void a_condition(void **state)
{
    (void)state;
    struct shared shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    es_await_init_cond(&shared.cond);
    pthread_mutex_lock(&shared.mutex);
    int64_t until_ns = es_clock_mono_ns() + SHORT_NS;
    while (es_await_cond(&shared.cond, &shared.mutex, until_ns))
        continue;
    assert_true(es_clock_mono_ns() >= until_ns);
    assert_int_equal(pthread_create(&thread, NULL, setter_main, &shared), 0);
    until_ns = es_clock_mono_ns() + LONG_NS;
    while (!shared.is_set)
        assert_true(es_await_cond(&shared.cond, &shared.mutex, until_ns));
    pthread_mutex_unlock(&shared.mutex);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_cond_destroy(&shared.cond);
}

static void *waiter_main(void *arg)
{
    while (sem_wait(arg) != 0)
        continue;
    return NULL;
}

static void a_thread(void **state)
{
    (void)state;
    sem_t may_end;
    pthread_t thread;
    assert_int_equal(sem_init(&may_end, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, waiter_main, &may_end), 0);
    assert_false(es_await_thread(thread, 0));
    assert_int_equal(sem_post(&may_end), 0);
    assert_true(es_await_thread(thread, 1000));
    (void)sem_destroy(&may_end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors),
        cmocka_unit_test(a_condition),
        cmocka_unit_test(a_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
