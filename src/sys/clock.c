#include "sys/clock.h"

#include <ctype.h>
#include <math.h>
#include <time.h>

#define LIFETIME_S 4e9

int64_t es_clock_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * ES_NS_PER_S + t.tv_nsec;
}

double es_clock_mono_s(void)
{
    return (double)es_clock_mono_ns() * 1e-9;
}

double es_clock_wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int64_t es_clock_after_ns(int64_t from_ns, double seconds)
{
    if (!(seconds > 0))
        return from_ns;
    return seconds < LIFETIME_S ? from_ns + (int64_t)(seconds * (double)ES_NS_PER_S) : INT64_MAX;
}

/* Times whose year has four digits: from 0000-03-01 to before 10000-01-01. */
#define FIRST_S (-719468 * 86400LL)
#define END_S 253402300800LL

/* A value of n digits, and what follows it. */
static void put_field(char **text, int n, int value, char behind)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        (*text)[i] = (char)('0' + value % 10);
    (*text)[n] = behind;
    *text += n + 1;
}

/* The date of a day that is counted from 0000-03-01 on, in years that begin in March. */
static void put_date(char **text, int64_t day)
{
    int64_t in_400 = day % 146097;
    int64_t year = (in_400 - in_400 / 1460 + in_400 / 36524 - in_400 / 146096) / 365;
    int day_of_year = (int)(in_400 - (365 * year + year / 4 - year / 100));
    int month = (5 * day_of_year + 2) / 153;
    put_field(text, 4, (int)(day / 146097 * 400 + year) + (month >= 10), '-');
    put_field(text, 2, month < 10 ? month + 3 : month - 9, '-');
    put_field(text, 2, day_of_year - (153 * month + 2) / 5 + 1, 'T');
}

/* (gmtime_r would take a lock, and several times as long.) */
void es_clock_format_utc(double unix_s, char ret_text[24])
{
    ret_text[0] = '\0';
    if (!(unix_s >= FIRST_S && unix_s < END_S))
        return;
    int64_t seconds = (int64_t)floor(unix_s) - FIRST_S; /* from 0000-03-01 on */
    int second = (int)(seconds % 86400);
    put_date(&ret_text, seconds / 86400);
    put_field(&ret_text, 2, second / 3600, ':');
    put_field(&ret_text, 2, second / 60 % 60, ':');
    put_field(&ret_text, 2, second % 60, 'Z');
    *ret_text = '\0';
}

/* Exactly n digits at *text, which moves behind them. */
static bool take_digits(const char **text, int n, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < n; i++, (*text)++) {
        if (!isdigit((unsigned char)**text))
            return false;
        value = value * 10 + (**text - '0');
    }
    *ret_value = value;
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March, so that the
 * leap day comes last. (timegm would take a lock, and a scan reads many times.) */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year + 399 : year + 400; /* 400 years repeat: no negative years */
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468 - 146097;
}

/* "2026-01-15T04:52:14", without fraction and zone. */
static bool take_date_time(const char **text, int64_t *ret_unix_s)
{
    int year, month, day, hour, min, s;
    if (!take_digits(text, 4, &year) || !take_char(text, '-') || !take_digits(text, 2, &month) ||
        !take_char(text, '-') || !take_digits(text, 2, &day) ||
        (!take_char(text, 'T') && !take_char(text, ' ')) || !take_digits(text, 2, &hour) ||
        !take_char(text, ':') || !take_digits(text, 2, &min) || !take_char(text, ':') ||
        !take_digits(text, 2, &s))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
        min > 59 || s > 60)
        return false;
    int64_t minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + min;
    *ret_unix_s = minutes * 60 + s;
    return true;
}

/* "Z", "+01:30" or nothing, up to the end of the text. */
static bool parse_zone(const char *text, int *ret_zone_s)
{
    int hours = 0, minutes = 0, sign = *text == '-' ? -60 : 60;
    if (*text == '+' || *text == '-') {
        text++;
        if (!take_digits(&text, 2, &hours) || !take_char(&text, ':') ||
            !take_digits(&text, 2, &minutes) || minutes > 59)
            return false;
    } else {
        (void)take_char(&text, 'Z');
    }
    *ret_zone_s = (hours * 60 + minutes) * sign;
    return *text == '\0';
}

bool es_clock_parse_utc(const char *text, double *ret_unix_s)
{
    int64_t unix_s;
    if (!take_date_time(&text, &unix_s))
        return false;
    double fraction = 0;
    if (text[0] == '.' && isdigit((unsigned char)text[1])) {
        double unit = 1;
        for (text++; isdigit((unsigned char)*text); text++) {
            unit /= 10;
            fraction += (*text - '0') * unit;
        }
    }
    int zone_s;
    if (!parse_zone(text, &zone_s))
        return false;
    *ret_unix_s = (double)(unix_s - zone_s) + fraction;
    return true;
}
