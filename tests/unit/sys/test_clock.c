#include "sys/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <time.h>

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

static void test_monotonic(void **state)
{
    (void)state;
    int64_t before_ns = es_clock_mono_ns();
    assert_true(before_ns > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now_ns = es_clock_mono_ns();
        assert_true(now_ns >= before_ns);
        before_ns = now_ns;
    }
    double seconds = es_clock_mono_s();
    assert_true(seconds >= (double)before_ns * 1e-9);
    assert_true(seconds <= (double)es_clock_mono_ns() * 1e-9);
}

static void test_after(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        int64_t after_ns;
    } rows[] = {{0, 7},  {1.5, 1500000007}, {3e9, 3000000000000000007},    {1e300, INT64_MAX},
                {-1, 7}, {(double)NAN, 7},  {(double)INFINITY, INT64_MAX}, {-(double)INFINITY, 7}};
    for (size_t i = 0; i < N_ROWS(rows); i++)
        assert_true(es_clock_after_ns(7, rows[i].seconds) == rows[i].after_ns);
}

static void test_wall(void **state)
{
    (void)state;
    time_t before = time(NULL);
    double now_s = es_clock_wall_s();
    assert_true(now_s >= (double)before - 1 && now_s < (double)time(NULL) + 2);
}

static void test_format(void **state)
{
    (void)state;
    const struct {
        double unix_s;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {-0.5, "1969-12-31T23:59:59Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {1768452734, "2026-01-15T04:52:14Z"},
        {1768452734.999, "2026-01-15T04:52:14Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {4102444800, "2100-01-01T00:00:00Z"},
        {-62162035200.0, "0000-03-01T00:00:00Z"},
        {-62162035201.0, ""},
        {253402300799.5, "9999-12-31T23:59:59Z"},
        {253402300800.0, ""},
        {(double)NAN, ""},
        {(double)INFINITY, ""},
        {-(double)INFINITY, ""},
        {1e20, ""},
        {-1e300, ""},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[24] = "before";
        es_clock_format_utc(rows[i].unix_s, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* Each day of 400 years and some, against the C library. */
static void test_format_every_day(void **state)
{
    (void)state;
    for (int64_t day = -50000; day < 120000; day++) {
        char text[24], expected[24];
        time_t t = (time_t)(day * 86400 + (day * 7919) % 86400);
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        assert_int_equal(strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%SZ", &tm), 20);
        es_clock_format_utc((double)t, text);
        assert_string_equal(text, expected);
    }
}

static void test_parse(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool valid;
        double unix_s;
    } rows[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2026-01-15T04:52:14Z", true, 1768452734},
        {"2026-01-15 04:52:14", true, 1768452734},
        {"2026-01-15T04:52:14", true, 1768452734},
        {"2026-01-15T04:52:14.25Z", true, 1768452734.25},
        {"2026-01-15T04:52:14.123456789Z", true, 1768452734.123456789},
        {"2026-01-15T05:52:14+01:00", true, 1768452734},
        {"2026-01-14T23:22:14.5-05:30", true, 1768452734.5},
        {"2026-01-15T04:52:14+00:00", true, 1768452734},
        {"1969-12-31T23:59:59Z", true, -1},
        {"2000-02-29T00:00:00Z", true, 951782400},
        {"2016-12-31T23:59:60Z", true, 1483228800}, /* a leap second */
        {"", false, 0},
        {"2026", false, 0},
        {"2026-01-15", false, 0},
        {"2026-01-15T04:52", false, 0},
        {"2026-01-15T04:52:14X", false, 0},
        {"2026-01-15T04:52:14ZZ", false, 0},
        {"2026-01-15T04:52:14Z ", false, 0},
        {" 2026-01-15T04:52:14Z", false, 0},
        {"2026-1-15T04:52:14Z", false, 0},
        {"2026-13-15T04:52:14Z", false, 0},
        {"2026-00-15T04:52:14Z", false, 0},
        {"2026-01-00T04:52:14Z", false, 0},
        {"2026-01-32T04:52:14Z", false, 0},
        {"2026-02-30T04:52:14Z", false, 0},
        {"2100-02-29T04:52:14Z", false, 0},
        {"2026-01-15T24:00:00Z", false, 0},
        {"2026-01-15T-1:52:14Z", false, 0},
        {"2026-01-15T04:60:14Z", false, 0},
        {"2026-01-15T04:52:61Z", false, 0},
        {"2026-01-15_04:52:14Z", false, 0},
        {"2026-01-15T04:52:14.Z", false, 0},
        {"2026-01-15T04:52:14.5e3Z", false, 0},
        {"2026-01-15T04:52:14+01", false, 0},
        {"2026-01-15T04:52:14+0100", false, 0},
        {"2026-01-15T04:52:14+-1:30", false, 0},
        {"2026-01-15T04:52:14+01:60", false, 0},
        {"2026-01-15T04:52:14+01:00Z", false, 0},
        {"0x26-01-15T04:52:14Z", false, 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        double unix_s = 99;
        bool valid = es_clock_parse_utc(rows[i].text, &unix_s);
        if (valid != rows[i].valid || fabs(unix_s - (valid ? rows[i].unix_s : 99)) > 1e-6)
            fail_msg("\"%s\": %d, %f", rows[i].text, valid, unix_s);
    }
}

static void test_parse_reads_what_format_wrote(void **state)
{
    (void)state;
    for (int64_t unix_s = -3000000000; unix_s < 30000000000; unix_s += 98765432) {
        char text[24];
        double back = 0;
        es_clock_format_utc((double)unix_s, text);
        assert_int_equal(strlen(text), 20);
        assert_true(es_clock_parse_utc(text, &back));
        assert_true(back == (double)unix_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_wall),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_every_day),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_reads_what_format_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
