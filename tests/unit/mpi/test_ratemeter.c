#include "mpi/ratemeter.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void a_steady_rate_is_found(void **state)
{
    (void)state;
    struct es_ratemeter meter = {0};
    assert_true(isnan(es_ratemeter_per_s(&meter)));
    es_ratemeter_add(&meter, 100, 0);
    assert_true(isnan(es_ratemeter_per_s(&meter)));
    for (int s = 1; s <= 30; s++)
        es_ratemeter_add(&meter, 100 + s, 7 * (uint64_t)s);
    assert_true(fabs(es_ratemeter_per_s(&meter) - 7) < 1e-9);
}

static void only_the_last_minute_counts(void **state)
{
    (void)state;
    struct es_ratemeter meter = {0};
    for (int s = 0; s <= 1000; s++)
        es_ratemeter_add(&meter, s, (uint64_t)s);
    for (int s = 1; s <= 200; s++)
        es_ratemeter_add(&meter, 1000 + s, 1000 + 5 * (uint64_t)s);
    assert_true(fabs(es_ratemeter_per_s(&meter) - 5) < 1e-9);
}

static void samples_that_come_fast_do_not_shorten_it(void **state)
{
    (void)state;
    struct es_ratemeter meter = {0};
    for (int i = 0; i <= 100000; i++)
        es_ratemeter_add(&meter, i * 0.0001, (uint64_t)i);
    assert_true(fabs(es_ratemeter_per_s(&meter) - 10000) < 1);
    assert_true(meter.n_samples <= 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_rate_is_found),
        cmocka_unit_test(only_the_last_minute_counts),
        cmocka_unit_test(samples_that_come_fast_do_not_shorten_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
