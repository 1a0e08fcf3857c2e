#include "core/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

static void test_parse_int(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool valid;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"42", true, 42},
        {"-7", true, -7},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"--1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1\n", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"0x10", false, 0},
        {"abc", false, 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        int64_t value = 99;
        if (es_parse_int(rows[i].text, &value) != rows[i].valid ||
            value != (rows[i].valid ? rows[i].value : 99))
            fail_msg("\"%s\"", rows[i].text);
    }
}

static void test_parse_double(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool valid;
        double value;
    } rows[] = {
        {"0", true, 0},      {"1.5", true, 1.5},      {"-2.25", true, -2.25}, {".5", true, 0.5},
        {"-.5", true, -0.5}, {"1e3", true, 1000},     {"1E-2", true, 0.01},   {"1e-400", true, 0},
        {"0.1", true, 0.1},  {"", false, 0},          {"-", false, 0},        {".", false, 0},
        {"1e", false, 0},    {"1e400", false, 0},     {"-1e400", false, 0},   {"nan", false, 0},
        {"inf", false, 0},   {"-infinity", false, 0}, {"0x10", false, 0},     {"-0X1p3", false, 0},
        {"+1", false, 0},    {" 1", false, 0},        {"1 ", false, 0},       {"1,5", false, 0},
        {"1.5.2", false, 0}, {"1s", false, 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        double value = 99;
        if (es_parse_double(rows[i].text, &value) != rows[i].valid ||
            value != (rows[i].valid ? rows[i].value : 99))
            fail_msg("\"%s\"", rows[i].text);
    }
}

static void test_parse_duration(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double seconds; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"90", 90},
        {"1.5", 1.5},
        {".5", 0.5},
        {"90s", 90},
        {"15m", 900},
        {"2h", 7200},
        {"1d", 86400},
        {"1.5h", 5400},
        {"05:30", 330},
        {"1:02:03", 3723},
        {"24:00:00", 86400},
        {"90:00", 5400},
        {"1-0", 86400},
        {"2-12", 2 * 86400 + 12 * 3600},
        {"1-02:03", 86400 + 2 * 3600 + 3 * 60},
        {"1-02:03:04", 86400 + 2 * 3600 + 3 * 60 + 4},
        {"", -1},
        {"-", -1},
        {"-5", -1},
        {"-1s", -1},
        {"s", -1},
        {"5x", -1},
        {"5ms", -1},
        {"5 s", -1},
        {" 5", -1},
        {"1e-3", -1},
        {"1e308d", -1},
        {"nan", -1},
        {"inf", -1},
        {"0x5", -1},
        {":", -1},
        {":30", -1},
        {"1:", -1},
        {"1::2", -1},
        {"1:2:3:4", -1},
        {"1-", -1},
        {"-1:00", -1},
        {"1-2-3", -1},
        {"1-2:3:4:5", -1},
        {"1:30-2", -1},
        {"1:30s", -1},
        {"1.5:30", -1},
        {"UNLIMITED", -1},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        double seconds = -1;
        if (es_parse_duration(rows[i].text, &seconds) != (rows[i].seconds >= 0) ||
            seconds != rows[i].seconds)
            fail_msg("\"%s\"", rows[i].text);
    }
    char huge[500];
    memset(huge, '9', sizeof huge);
    memcpy(huge + sizeof huge - 4, ":00", 4);
    double seconds = -1;
    assert_false(es_parse_duration(huge, &seconds));
    assert_true(seconds == -1);
}

static void test_format_double(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {3, "3"},
        {-12, "-12"},
        {1000000, "1000000"},
        {999999999999999, "999999999999999"},
        {0.1, "0.1"},
        {0.61, "0.61"},
        {1e15, "1e+15"},
        {1e300, "1e+300"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {(double)NAN, ""},
        {(double)INFINITY, ""},
        {-(double)INFINITY, ""},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[32] = "before";
        es_format_double(rows[i].value, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_format_double_reads_back(void **state)
{
    (void)state;
    struct es_rng rng;
    es_rng_init(&rng, 5);
    for (int i = 0; i < 20000; i++) {
        union {
            uint64_t bits;
            double value;
        } number = {.bits = es_rng_next(&rng)};
        if (!isfinite(number.value))
            continue;
        char text[32];
        es_format_double(number.value, text);
        assert_true(strlen(text) < 26);
        assert_true(strtod(text, NULL) == number.value);
    }
    for (int i = 0; i < 20000; i++) { /* about and beyond where whole billionths are written */
        double value = round(es_rng_unit(&rng) * pow(10, i % 20)) / pow(10, i % 13);
        char text[32];
        es_format_double(i % 2 ? value : -value, text);
        assert_true(strlen(text) < 26);
        assert_true(strtod(text, NULL) == (i % 2 ? value : -value));
    }
    const double edges[] = {DBL_MIN, DBL_MAX, -DBL_MAX, DBL_TRUE_MIN, DBL_EPSILON, 1e15 + 1};
    for (size_t i = 0; i < N_ROWS(edges); i++) {
        char text[32];
        es_format_double(edges[i], text);
        assert_true(strtod(text, NULL) == edges[i]);
    }
}

static void test_utf8(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t len;
        size_t char_len;
    } rows[] = {
        {"", 0, 0},
        {"a", 1, 1},
        {"\0", 1, 1},
        {"\x7f", 1, 1},
        {"\x80", 1, 0},
        {"\xbf", 1, 0},
        {"\xc0\x80", 2, 0}, /* overlong */
        {"\xc1\xbf", 2, 0},
        {"\xc2\x80", 2, 2},
        {"\xdf\xbf", 2, 2},
        {"\xc3", 1, 0},
        {"\xc3(", 2, 0},
        {"\xe0\xa0\x80", 3, 3},
        {"\xe0\x9f\xbf", 3, 0}, /* overlong */
        {"\xe2\x82\xac", 3, 3},
        {"\xe2\x82\xac", 2, 0},
        {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0}, /* surrogate */
        {"\xef\xbf\xbf", 3, 3},
        {"\xf0\x90\x80\x80", 4, 4},
        {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xff", 1, 0},
        {"\xf0\x90\x80", 3, 0},
        {"\xf0\x90\x80z", 4, 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++)
        assert_int_equal(es_utf8_char_len(rows[i].bytes, rows[i].len), rows[i].char_len);
}

static void test_name_faults(void **state)
{
    (void)state;
    const struct {
        const char *name;
        const char *fault;
    } rows[] = {
        {"step1000", NULL},
        {"STS12", NULL},
        {"a b", NULL},
        {".hidden", NULL},
        {"...", NULL},
        {"-rf", NULL},
        {"\xc3\xbc"
         "ber",
         NULL},
        {"\xc2\xa0", NULL}, /* the first character behind the C1 controls */
        {"\xf0\x9f\x98\x80", NULL},
        {"", "is empty"},
        {".", "names a folder above or itself"},
        {"..", "names a folder above or itself"},
        {"a/b", "holds a '/'"},
        {"/", "holds a '/'"},
        {"a\nb", "holds a control character"},
        {"\t", "holds a control character"},
        {"a\x7f", "holds a control character"},
        {"\xc2\x80", "holds a control character"},
        {"\xc2\x9f", "holds a control character"},
        {"a\xff", "is not valid UTF-8"},
        {"\xc3", "is not valid UTF-8"},
        {"\xed\xa0\x80", "is not valid UTF-8"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        const char *fault = es_name_fault(rows[i].name);
        if (!fault != !rows[i].fault || (fault && strcmp(fault, rows[i].fault) != 0))
            fail_msg("row %zu: %s", i, fault ? fault : "no fault");
    }
    char name[242];
    memset(name, 'x', sizeof name);
    name[241] = '\0';
    assert_string_equal(es_name_fault(name), "is longer than 240 bytes");
    name[240] = '\0';
    assert_null(es_name_fault(name));
}

static void test_text_to_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"", ""},
        {"plain, \xc3\xbc"
         "ber \xf0\x9f\x90\x8d",
         "plain, \xc3\xbc"
         "ber \xf0\x9f\x90\x8d"},
        {"a\nb\r\tc", "a?b??c"},
        {"\x1b[31mred\x7f", "?[31mred?"},
        {"\xc2\x9b"
         "31m\xc2\xa0",
         "??31m\xc2\xa0"}, /* CSI as one character */
        {"\xff\xfe"
         "a\xc3",
         "??a?"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s", rows[i].text);
        es_text_to_line(text);
        assert_string_equal(text, rows[i].line);
    }
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void test_name_order(void **state)
{
    (void)state;
    const char *const sorted[] = {
        "",
        "0",
        "1",
        "01",
        "2",
        "10",
        "a",
        "a1b2",
        "a1b10",
        "a01b1",
        "a2",
        "a10",
        "a10-step",
        "b",
        "step",
        "step0",
        "step1",
        "step2",
        "step9",
        "step10",
        "step99",
        "step100",
        "step0100",
        "step143000",
        "step99999999999999999999",
        "step100000000000000000000",
        "stepa",
        "\xc3\xbc",
    };
    for (size_t i = 0; i < N_ROWS(sorted); i++)
        for (size_t j = 0; j < N_ROWS(sorted); j++) {
            int expected = (i > j) - (i < j);
            if (sign(es_name_compare(sorted[i], sorted[j])) != expected)
                fail_msg("\"%s\" against \"%s\"", sorted[i], sorted[j]);
        }
}

static void test_rng_reference(void **state)
{
    (void)state;
    /* From an independent implementation of splitmix64 and xoshiro256**. */
    const struct {
        uint64_t seed;
        uint64_t first[4];
    } rows[] = {
        {0, {0x99ec5f36cb75f2b4u, 0xbf6e1f784956452au, 0x1a5f849d4933e6e0u, 0x6aa594f1262d2d2cu}},
        {1, {0xb3f2af6d0fc710c5u, 0x853b559647364ceau, 0x92f89756082a4514u, 0x642e1c7bc266a3a7u}},
        {UINT64_MAX,
         {0x8f5520d52a7ead08u, 0xc476a018caa1802du, 0x81de31c0d260469eu, 0xbf658d7e065f3c2fu}},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct es_rng rng;
        es_rng_init(&rng, rows[i].seed);
        for (int k = 0; k < 4; k++)
            assert_true(es_rng_next(&rng) == rows[i].first[k]);
    }
}

static void test_rng_below(void **state)
{
    (void)state;
    struct es_rng rng;
    es_rng_init(&rng, 1);
    int seen[6] = {0};
    for (int i = 0; i < 6000; i++) {
        uint64_t x = es_rng_below(&rng, 6);
        assert_true(x < 6);
        seen[x]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(seen[i], 850, 1150);
    for (int i = 0; i < 100; i++)
        assert_int_equal(es_rng_below(&rng, 1), 0);
    const uint64_t third = UINT64_C(1) << 62; /* a remainder alone would favour the first third */
    int n_first = 0;
    for (int i = 0; i < 6000; i++) {
        uint64_t x = es_rng_below(&rng, 3 * third);
        assert_true(x < 3 * third);
        n_first += x < third;
    }
    assert_in_range(n_first, 1850, 2150);
}

static void test_rng_moments(void **state)
{
    (void)state;
    struct es_rng rng;
    es_rng_init(&rng, 2);
    const int n = 100000;
    double sum = 0, normal_sum = 0, normal_squares = 0;
    for (int i = 0; i < n; i++) {
        double u = es_rng_unit(&rng), z = es_rng_normal(&rng);
        assert_true(u >= 0 && u < 1);
        assert_true(isfinite(z));
        sum += u;
        normal_sum += z;
        normal_squares += z * z;
    }
    assert_true(fabs(sum / n - 0.5) < 0.005);
    assert_true(fabs(normal_sum / n) < 0.02);
    assert_true(fabs(normal_squares / n - 1) < 0.02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_int),
        cmocka_unit_test(test_parse_double),
        cmocka_unit_test(test_parse_duration),
        cmocka_unit_test(test_format_double),
        cmocka_unit_test(test_format_double_reads_back),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_name_faults),
        cmocka_unit_test(test_text_to_line),
        cmocka_unit_test(test_name_order),
        cmocka_unit_test(test_rng_reference),
        cmocka_unit_test(test_rng_below),
        cmocka_unit_test(test_rng_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
