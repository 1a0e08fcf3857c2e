/* Who is due a beat, who is silent: on a clock of the test's own. */
#include "mpi/pulse.h"

#include "core/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define N 4

struct fixture {
    struct es_pulse *pulse;
    double now_s;
    uint32_t n_beats[N];
    double silent_at_s[N], dead_at_s[N]; /* NaN: not */
};

/* Peers 1 to 3 are watched; a beat a second, suspect after 10, given up after 60. */
static void begin(struct fixture *f)
{
    const struct es_pulse_limits limits = {.beat_s = 1, .suspect_s = 10, .given_up_s = 60};
    *f = (struct fixture){.now_s = 5000};
    assert_int_equal(es_pulse_create(N, &limits, f->now_s, &f->pulse, NULL), 0);
    for (uint32_t p = 0; p < N; p++)
        f->silent_at_s[p] = f->dead_at_s[p] = (double)NAN;
    for (uint32_t p = 1; p < N; p++)
        es_pulse_watch(f->pulse, p);
}

static void look(struct fixture *f)
{
    uint32_t peer = N;
    enum es_pulse_event event;
    es_pulse_look(f->pulse, f->now_s);
    while ((event = es_pulse_next(f->pulse, &peer)) != ES_PULSE_NOTHING) {
        assert_in_range(peer, 1, N - 1);
        if (event == ES_PULSE_BEAT_DUE)
            f->n_beats[peer]++;
        else if (event == ES_PULSE_TURNED_SILENT)
            f->silent_at_s[peer] = f->now_s - 5000;
        else
            f->dead_at_s[peer] = f->now_s - 5000;
    }
    assert_true(es_pulse_due_s(f->pulse) > f->now_s);
}

/* So many seconds, a look every 100 ms, while peers are heard: bit p for peer p. */
static void pass(struct fixture *f, double seconds, unsigned heard)
{
    for (double until_s = f->now_s + seconds; f->now_s < until_s - 0.05;) {
        f->now_s += 0.1;
        for (uint32_t p = 1; p < N; p++)
            if (heard & 1U << p)
                (void)es_pulse_heard(f->pulse, p);
        look(f);
    }
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) < 1))
        fail_msg("%g is not near %g", value, expected);
}

static void each_gets_a_beat_a_second(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    pass(&f, 20, 0xe);
    for (uint32_t p = 1; p < N; p++)
        assert_in_range(f.n_beats[p], 15, 20);
    assert_int_equal(f.n_beats[0], 0);
    es_pulse_free(f.pulse);
}

static void who_was_sent_something_gets_no_beat(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int i = 0; i < 100; i++) {
        es_pulse_sent(f.pulse, 2);
        pass(&f, 0.5, 0xe);
    }
    assert_int_equal(f.n_beats[2], 0);
    assert_true(f.n_beats[1] > 35);
    es_pulse_free(f.pulse);
}

static void the_silent_one_is_suspected_and_given_up_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    pass(&f, 70, 0xa); /* not peer 2 */
    assert_near(f.silent_at_s[2], 10);
    assert_near(f.dead_at_s[2], 60);
    assert_true(isnan(f.silent_at_s[1]) && isnan(f.dead_at_s[3]));
    assert_int_equal(es_pulse_state(f.pulse, 2), ES_PULSE_GIVEN_UP);
    assert_int_equal(es_pulse_state(f.pulse, 1), ES_PULSE_ALIVE);
    f.dead_at_s[2] = (double)NAN;
    uint32_t n_beats = f.n_beats[2];
    assert_in_range(n_beats, 15, 25); /* one in five seconds, while it is a suspect */
    pass(&f, 100, 0xa);
    assert_true(isnan(f.dead_at_s[2]));      /* said once */
    assert_int_equal(f.n_beats[2], n_beats); /* and sent nothing */
    es_pulse_free(f.pulse);
}

static void who_is_heard_again_is_alive(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    pass(&f, 20, 0xa);
    assert_int_equal(es_pulse_state(f.pulse, 2), ES_PULSE_SUSPECT);
    assert_int_equal(es_pulse_heard(f.pulse, 2), ES_PULSE_SUSPECT);
    assert_int_equal(es_pulse_heard(f.pulse, 2), ES_PULSE_ALIVE);
    f.silent_at_s[2] = (double)NAN;
    pass(&f, 65, 0xa);
    assert_near(f.silent_at_s[2], 30);
    assert_near(f.dead_at_s[2], 80);
    assert_int_equal(es_pulse_heard(f.pulse, 2), ES_PULSE_GIVEN_UP);
    f.n_beats[2] = 0;
    pass(&f, 5, 0xe);
    assert_in_range(f.n_beats[2], 4, 5);
    assert_int_equal(es_pulse_heard(f.pulse, 0), ES_PULSE_UNWATCHED);
    assert_int_equal(es_pulse_state(f.pulse, 0), ES_PULSE_UNWATCHED);
    es_pulse_free(f.pulse);
}

/* The observer was stopped for an hour: that the others are silent then tells nothing. */
static void the_observers_own_gap_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    pass(&f, 8, 0xa);
    f.now_s += 3600;
    look(&f);
    assert_true(isnan(f.silent_at_s[2]));
    assert_true(es_pulse_due_s(f.pulse) <= f.now_s + 1);
    pass(&f, 5, 0xa);
    assert_near(f.silent_at_s[2], 3610); /* the 8 s before it do */
    assert_true(isnan(f.dead_at_s[2]) && isnan(f.silent_at_s[1]));
    es_pulse_free(f.pulse);
}

static void without_suspicion_it_is_given_up_all_the_same(void **state)
{
    (void)state;
    const struct es_pulse_limits limits = {
        .beat_s = 1, .suspect_s = (double)INFINITY, .given_up_s = 15};
    struct fixture f;
    begin(&f);
    es_pulse_free(f.pulse);
    assert_int_equal(es_pulse_create(N, &limits, f.now_s, &f.pulse, NULL), 0);
    es_pulse_watch(f.pulse, 1);
    pass(&f, 20, 0);
    assert_true(isnan(f.silent_at_s[1]));
    assert_near(f.dead_at_s[1], 15);
    assert_in_range(f.n_beats[1], 11, 15);
    es_pulse_free(f.pulse);
}

static void out_of_memory(void **state)
{
    (void)state;
    const struct es_pulse_limits limits = {.beat_s = 1};
    struct es_pulse *pulse = NULL;
    for (long n = 0; n < 2; n++) {
        es_mem_fail_after(n);
        assert_int_equal(es_pulse_create(N, &limits, 0, &pulse, NULL), ES_ERR_NOMEM);
        es_mem_fail_after(-1);
        assert_null(pulse);
    }
    es_pulse_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_a_beat_a_second),
        cmocka_unit_test(who_was_sent_something_gets_no_beat),
        cmocka_unit_test(the_silent_one_is_suspected_and_given_up_once),
        cmocka_unit_test(who_is_heard_again_is_alive),
        cmocka_unit_test(the_observers_own_gap_does_not_count),
        cmocka_unit_test(without_suspicion_it_is_given_up_all_the_same),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
