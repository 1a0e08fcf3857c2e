/* A short way through the done.json that es_marker_text writes, since a scan reads tens of
 * thousands of them and building a tree for each would take longer than reading the files.
 *
 * It takes that one form, key for key, and gives up at anything else: what it gives up is read
 * through cJSON, and what it takes has the same meaning there.
 */
#include "run/result_internal.h"

#include "core/attributes.h"
#include "sys/clock.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
    const char *at;
    const char *end;
};

#define NAME_SIZE 128   /* of a split, subset or metric */
#define NUMBER_LIMIT 40 /* cJSON cuts at 63 */

#define EXPECT(cursor, literal) expect((cursor), (literal), sizeof(literal) - 1)

static bool expect(struct cursor *cursor, const char *literal, size_t len)
{
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, literal, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

/* A string of ASCII without escapes: where it begins, and its length. */
static bool take_string(struct cursor *cursor, const char **ret_text, size_t *ret_len)
{
    if (!EXPECT(cursor, "\""))
        return false;
    const char *start = cursor->at;
    const char *p = start;
    while (p < cursor->end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\')
        p++;
    if (p == cursor->end || *p != '"')
        return false;
    *ret_text = start;
    *ret_len = (size_t)(p - start);
    cursor->at = p + 1;
    return true;
}

static bool skip_string(struct cursor *cursor)
{
    const char *text;
    size_t len;
    return take_string(cursor, &text, &len);
}

static bool keep_string(struct cursor *cursor, struct es_result *result, uint32_t *ret_offset)
{
    const char *text;
    size_t len;
    if (!take_string(cursor, &text, &len))
        return false;
    *ret_offset = es_result_keep(result, text, len);
    return true;
}

/* Digits, counted; their value goes on in *value. */
static int take_digits(struct cursor *cursor, uint64_t *value)
{
    const char *start = cursor->at;
    for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++)
        *value = *value * 10 + (uint64_t)(*cursor->at - '0');
    return (int)(cursor->at - start);
}

/* "e-05", if there is one. False: half of one. */
static bool skip_exponent(struct cursor *cursor, bool *ret_there)
{
    uint64_t ignored = 0;
    *ret_there = EXPECT(cursor, "e") || EXPECT(cursor, "E");
    if (!*ret_there)
        return true;
    if (!EXPECT(cursor, "-"))
        (void)EXPECT(cursor, "+");
    return take_digits(cursor, &ignored) > 0;
}

/* A number or null. Up to 15 digits are a whole number that a double holds, divided by a power of
 * ten that it holds: one rounding, as exact as strtod. */
static bool take_number(struct cursor *cursor, double *ret_value)
{
    static const double power[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (EXPECT(cursor, "null")) {
        *ret_value = (double)NAN;
        return true;
    }
    const char *start = cursor->at;
    uint64_t digits = 0;
    bool negative = EXPECT(cursor, "-");
    int n_whole = take_digits(cursor, &digits), n_fraction = 0;
    bool has_point = EXPECT(cursor, "."), has_exponent;
    if (has_point)
        n_fraction = take_digits(cursor, &digits);
    if (!n_whole || (has_point && !n_fraction) || !skip_exponent(cursor, &has_exponent) ||
        cursor->at - start > NUMBER_LIMIT || cursor->at == cursor->end)
        return false;
    double value = has_exponent || n_whole + n_fraction > 15
                       ? strtod(start, NULL)
                       : copysign((double)digits / power[n_fraction], negative ? -1 : 1);
    *ret_value = isfinite(value) ? value : (double)NAN;
    return true;
}

/* "2026-01-15T04:52:14Z", or null. */
static bool take_time(struct cursor *cursor, double *ret_unix_s)
{
    const char *text;
    size_t len;
    char time[21];
    if (EXPECT(cursor, "null"))
        return true;
    if (!take_string(cursor, &text, &len) || len != sizeof time - 1)
        return false;
    memcpy(time, text, len);
    time[len] = '\0';
    return es_clock_parse_utc(time, ret_unix_s);
}

static bool take_count(struct cursor *cursor, int32_t unknown, int32_t *ret_value)
{
    double value;
    if (!take_number(cursor, &value))
        return false;
    *ret_value = unknown;
    if (value >= 0 && value <= INT32_MAX && value == floor(value))
        *ret_value = (int32_t)value;
    return true;
}

static bool take_name(struct cursor *cursor, char ret_name[NAME_SIZE])
{
    const char *text;
    size_t len;
    if (!take_string(cursor, &text, &len) || len >= NAME_SIZE)
        return false;
    memcpy(ret_name, text, len);
    ret_name[len] = '\0';
    return true;
}

static bool take_metric(struct cursor *cursor, struct es_result *result)
{
    char split[NAME_SIZE], subset[NAME_SIZE], metric[NAME_SIZE];
    double value;
    if (!EXPECT(cursor, "{\"split\":") || !take_name(cursor, split) ||
        !EXPECT(cursor, ",\"subset\":") || !take_name(cursor, subset) ||
        !EXPECT(cursor, ",\"metric\":") || !take_name(cursor, metric) ||
        !EXPECT(cursor, ",\"value\":") || !take_number(cursor, &value) || !EXPECT(cursor, "}"))
        return false;
    es_result_add_metric(result, split, subset, metric, value);
    return true;
}

static bool take_scores(struct cursor *cursor, struct es_result *result)
{
    if (!EXPECT(cursor, ",\"main_score\":") || !take_number(cursor, &result->main_score) ||
        !EXPECT(cursor, ",\"metrics\":["))
        return false;
    if (EXPECT(cursor, "]"))
        return true;
    do {
        if (!take_metric(cursor, result))
            return false;
    } while (EXPECT(cursor, ","));
    return EXPECT(cursor, "]");
}

static bool take_circumstances(struct cursor *cursor, struct es_result *result)
{
    return EXPECT(cursor, ",\"evaluation_time_s\":") &&
           take_number(cursor, &result->evaluation_time_s) &&
           (!EXPECT(cursor, ",\"load_s\":") || take_number(cursor, &result->load_s)) &&
           (!EXPECT(cursor, ",\"pass_s\":") || take_number(cursor, &result->pass_s)) &&
           (!EXPECT(cursor, ",\"score_s\":") || take_number(cursor, &result->score_s)) &&
           EXPECT(cursor, ",\"started\":") && take_time(cursor, &result->started_s) &&
           EXPECT(cursor, ",\"finished\":") && take_time(cursor, &result->finished_s) &&
           EXPECT(cursor, ",\"host\":") && keep_string(cursor, result, &result->host) &&
           EXPECT(cursor, ",\"device\":") && keep_string(cursor, result, &result->device) &&
           EXPECT(cursor, ",\"rank\":") && take_count(cursor, -1, &result->rank) &&
           EXPECT(cursor, ",\"attempt\":") && take_count(cursor, 0, &result->attempt);
}

/* {"evalsweep":"0.1.0", ...} */
static bool skip_versions(struct cursor *cursor)
{
    if (!EXPECT(cursor, ",\"versions\":{"))
        return false;
    if (!EXPECT(cursor, "}")) {
        do {
            if (!skip_string(cursor) || !EXPECT(cursor, ":") || !skip_string(cursor))
                return false;
        } while (EXPECT(cursor, ","));
        if (!EXPECT(cursor, "}"))
            return false;
    }
    return true;
}

/* What is left but the end, "}\n". */
static bool take_attributes(struct cursor *cursor, struct es_result *result)
{
    if (!EXPECT(cursor, ",\"attributes\":"))
        return true;
    size_t left = (size_t)(cursor->end - cursor->at);
    if (left < 2 || left - 2 > ES_ATTRIBUTES_LIMIT_BYTES)
        return false;
    result->attributes = es_result_keep(result, cursor->at, left - 2);
    const char *text = es_result_text(result, result->attributes);
    cursor->at += left - 2;
    return text[0] && strlen(text) == left - 2 && es_attributes_are_valid(text);
}

bool es_result_quick(const char *text, size_t n, struct es_result *result)
{
    struct cursor cursor = {text, text + n};
    double layer;
    return EXPECT(&cursor, "{\"schema\":1,\"checkpoint\":") && skip_string(&cursor) &&
           EXPECT(&cursor, ",\"layer\":") && take_number(&cursor, &layer) &&
           EXPECT(&cursor, ",\"task\":") && skip_string(&cursor) &&
           EXPECT(&cursor, ",\"status\":\"done\"") && take_scores(&cursor, result) &&
           take_circumstances(&cursor, result) && skip_versions(&cursor) &&
           take_attributes(&cursor, result) && EXPECT(&cursor, "}\n") && cursor.at == cursor.end;
}
