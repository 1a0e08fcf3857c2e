#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/etalog.h"

#include <math.h>

static void nothing_was_forecast(void **state)
{
    (void)state;
    static struct es_eta_log log;
    assert_true(isnan(es_eta_log_share(&log, 100, 0.2, 0.1)));
    assert_true(es_eta_log_is_due(&log, 0));
}

/* Moments count by the time until the next one; those before the first fifth do not count. */
static void good_forecasts_count_by_time(void **state)
{
    (void)state;
    static struct es_eta_log log;
    es_eta_log_add(&log, 0, 1);     /* before */
    es_eta_log_add(&log, 20, 88);   /* right for 30 s: 80 are left */
    es_eta_log_add(&log, 50, 56);   /* wrong for 30 s */
    es_eta_log_add(&log, 80, 18.5); /* right for 20 s */
    double share = es_eta_log_share(&log, 100, 0.2, 0.1);
    assert_true(fabs(share - 50.0 / 80) < 1e-9);
}

static void a_long_run_fits(void **state)
{
    (void)state;
    static struct es_eta_log log;
    const double end_s = 1e6;
    for (int at_s = 0; at_s < end_s; at_s += 7)
        if (es_eta_log_is_due(&log, at_s))
            es_eta_log_add(&log, at_s, at_s < end_s / 2 ? end_s : end_s - at_s);
    assert_true(log.n > ES_ETA_MOMENTS / 4 && log.n <= ES_ETA_MOMENTS);
    assert_true(fabs(es_eta_log_share(&log, end_s, 0, 0.1) - 0.5 - 1.0 / 11) < 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_forecast),
        cmocka_unit_test(good_forecasts_count_by_time),
        cmocka_unit_test(a_long_run_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
