#include "sys/watchdog.h"

#include "core/mem.h"
#include "sys/clock.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void fire(void *context)
{
    (void)sem_post(context);
}

static void it_fires_when_nobody_stops_it(void **state)
{
    (void)state;
    sem_t fired;
    struct es_watchdog *watchdog;
    struct timespec until;
    assert_int_equal(sem_init(&fired, 0, 0), 0);
    int64_t begun_ns = es_clock_mono_ns();
    assert_int_equal(es_watchdog_start(0.05, fire, &fired, &watchdog, NULL), 0);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    assert_int_equal(sem_timedwait(&fired, &until), 0);
    assert_true(es_clock_mono_ns() - begun_ns >= 50000000);
    es_watchdog_stop(watchdog);
    (void)sem_destroy(&fired);
}

static void stopped_it_does_not_fire(void **state)
{
    (void)state;
    sem_t fired;
    struct es_watchdog *watchdog;
    assert_int_equal(sem_init(&fired, 0, 0), 0);
    int64_t begun_ns = es_clock_mono_ns();
    assert_int_equal(es_watchdog_start(3600, fire, &fired, &watchdog, NULL), 0);
    es_watchdog_stop(watchdog);
    assert_true(es_clock_mono_ns() - begun_ns < 1000 * ES_NS_PER_S); /* nor is it waited for */
    assert_int_equal(sem_trywait(&fired), -1);
    es_watchdog_stop(NULL);
    (void)sem_destroy(&fired);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct es_watchdog *watchdog = NULL;
    es_mem_fail_after(0);
    assert_int_equal(es_watchdog_start(1, fire, NULL, &watchdog, NULL), ES_ERR_NOMEM);
    es_mem_fail_after(-1);
    assert_null(watchdog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fires_when_nobody_stops_it),
        cmocka_unit_test(stopped_it_does_not_fire),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
