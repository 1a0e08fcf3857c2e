#include "mpi/stopping.h"

#include "mpi/wire.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct es_stopping begin(double end_s)
{
    return (struct es_stopping){.grace_s = 60, .end_s = end_s};
}

static void signals_give_their_grace(void **state)
{
    (void)state;
    static const struct {
        int number;
        double grace_s;
    } rows[] = {{SIGUSR1, 60}, {SIGUSR2, 60}, {SIGTERM, 25}, {SIGINT, 25}, {SIGHUP, 25}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_stopping stopping = begin((double)INFINITY);
        double grace_s = -7;
        assert_true(es_stopping_signal(&stopping, rows[i].number, 25, 100, &grace_s));
        assert_true(grace_s == rows[i].grace_s);
        assert_true(stopping.is_stopping);
        assert_false(es_stopping_signal(&stopping, SIGUSR1, 25, 101, &grace_s)); /* no later */
    }
}

static void a_harder_signal_shortens_and_nothing_lengthens(void **state)
{
    (void)state;
    struct es_stopping stopping = begin((double)INFINITY);
    double grace_s;
    assert_true(es_stopping_signal(&stopping, SIGUSR1, 25, 100, &grace_s));
    assert_true(es_stopping_signal(&stopping, SIGTERM, 25, 110, &grace_s));
    assert_true(stopping.until_s == 135);
    assert_false(
        es_stopping_signal(&stopping, SIGTERM, 25, 111, &grace_s)); /* Slurm sends several */
    assert_false(es_stopping_signal(&stopping, SIGUSR2, 25, 112, &grace_s));
    assert_true(stopping.until_s == 135);
}

static void a_second_interrupt_kills_once(void **state)
{
    (void)state;
    struct es_stopping stopping = begin((double)INFINITY);
    double grace_s;
    assert_true(es_stopping_signal(&stopping, SIGINT, 0, 100, &grace_s));
    assert_true(grace_s == 0);
    assert_true(es_stopping_signal(&stopping, SIGINT, 0, 107, &grace_s)); /* also after its end */
    assert_true(grace_s == ES_DRAIN_KILL);
    assert_false(es_stopping_signal(&stopping, SIGINT, 0, 108, &grace_s));
    struct es_stopping other = begin((double)INFINITY);
    assert_true(es_stopping_signal(&other, SIGTERM, 25, 100, &grace_s));
    assert_false(
        es_stopping_signal(&other, SIGINT, 25, 101, &grace_s)); /* only the first of them */
}

static void the_end_leaves_room_to_write_up(void **state)
{
    (void)state;
    struct es_stopping stopping = begin(1000);
    double grace_s = -7;
    assert_true(es_stopping_due_s(&stopping) == 940);
    assert_true(es_stopping_work_end_s(&stopping) == 990);
    assert_false(es_stopping_time(&stopping, 939, &grace_s));
    assert_true(es_stopping_time(&stopping, 941, &grace_s));
    assert_true(grace_s == 49);
    assert_false(es_stopping_time(&stopping, 942, &grace_s));
    assert_true(isinf(es_stopping_due_s(&stopping)));
    stopping = begin(100); /* over already */
    assert_true(es_stopping_time(&stopping, 200, &grace_s));
    assert_true(grace_s == 0);
    stopping = begin(1000);
    stopping.grace_s = 4; /* a short one is shared */
    assert_true(es_stopping_work_end_s(&stopping) == 999);
    stopping = begin((double)INFINITY);
    assert_false(es_stopping_time(&stopping, 1e12, &grace_s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_give_their_grace),
        cmocka_unit_test(a_harder_signal_shortens_and_nothing_lengthens),
        cmocka_unit_test(a_second_interrupt_kills_once),
        cmocka_unit_test(the_end_leaves_room_to_write_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
