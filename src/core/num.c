#include "core/num.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool es_parse_int(const char *text, int64_t *ret_value)
{
    if (!isdigit((unsigned char)text[text[0] == '-']))
        return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end)
        return false;
    *ret_value = value;
    return true;
}

/* A plain decimal at the front of text: strtod alone would take spaces, hex, inf and nan. */
static bool leading_double(const char *text, double *ret_value, char **ret_end)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (!isdigit((unsigned char)digits[0]) &&
        !(digits[0] == '.' && isdigit((unsigned char)digits[1])))
        return false;
    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
        return false;
    double value = strtod(text, ret_end);
    if (!isfinite(value))
        return false;
    *ret_value = value;
    return true;
}

bool es_parse_double(const char *text, double *ret_value)
{
    char *end;
    double value;
    if (!leading_double(text, &value, &end) || *end)
        return false;
    *ret_value = value;
    return true;
}

static bool parse_clock(const char *text, double *ret_seconds)
{
    double days = 0, part[3];
    int n_parts = 0;
    const char *dash = strchr(text, '-');
    const char *p = text;
    for (const char *q = text; *q; q++) {
        if (!isdigit((unsigned char)*q) && *q != ':' && q != dash)
            return false;
    }
    char *end;
    if (dash) {
        days = strtod(text, &end);
        if (end == text || end != dash)
            return false;
        p = dash + 1;
    }
    for (;;) {
        if (!isdigit((unsigned char)*p) || n_parts == 3)
            return false;
        part[n_parts++] = strtod(p, &end);
        if (!*end)
            break;
        p = end + 1;
    }
    double seconds = 0;
    if (dash) { /* D-HH[:MM[:SS]] */
        const double unit_s[3] = {3600, 60, 1};
        for (int i = 0; i < n_parts; i++)
            seconds += part[i] * unit_s[i];
    } else { /* [HH:]MM:SS */
        for (int i = 0; i < n_parts; i++)
            seconds = seconds * 60 + part[i];
    }
    seconds += days * 86400;
    if (!isfinite(seconds))
        return false;
    *ret_seconds = seconds;
    return true;
}

bool es_parse_duration(const char *text, double *ret_seconds)
{
    if (strpbrk(text, ":-"))
        return parse_clock(text, ret_seconds);
    char *end;
    double value;
    if (!leading_double(text, &value, &end) || value < 0)
        return false;
    double unit_s = 1;
    if (*end) {
        const char *units = "smhd";
        const double unit_seconds[] = {1, 60, 3600, 86400};
        const char *at = strchr(units, *end);
        if (!at || end[1])
            return false;
        unit_s = unit_seconds[at - units];
    }
    value *= unit_s;
    if (!isfinite(value))
        return false;
    *ret_seconds = value;
    return true;
}

/* A number of whole billionths (times, counts, most scores) is written as such, several times
 * faster than by printf and strtod: dividing the same two numbers again, correctly rounded, is what
 * a reader does. False: it is none. */
static bool format_billionths(double value, char ret_text[32])
{
    const uint64_t billion = 1000000000;
    double rounded = floor(fabs(value) * 1e9 + 0.5);
    if (rounded > 1e15 || rounded / 1e9 != fabs(value))
        return false;
    uint64_t whole = (uint64_t)rounded / billion, part = (uint64_t)rounded % billion;
    char digits[20];
    size_t n = 0;
    if (signbit(value))
        *ret_text++ = '-';
    do
        digits[n++] = (char)('0' + whole % 10);
    while (whole /= 10);
    while (n > 0)
        *ret_text++ = digits[--n];
    if (part)
        *ret_text++ = '.';
    for (uint64_t unit = billion / 10; part; part %= unit, unit /= 10)
        *ret_text++ = (char)('0' + part / unit);
    *ret_text = '\0';
    return true;
}

void es_format_double(double value, char ret_text[32])
{
    ret_text[0] = '\0';
    if (!isfinite(value) || format_billionths(value, ret_text))
        return;
    if (value == floor(value) && fabs(value) < 1e15) {
        (void)snprintf(ret_text, 32, "%.0f", value);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(ret_text, 32, "%.*g", digits, value);
        if (strtod(ret_text, NULL) == value)
            return;
    }
}

size_t es_utf8_char_len(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    if (len == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0; /* overlong, surrogate, beyond U+10FFFF */
    return n;
}

size_t es_utf8_cut(const char *text, size_t limit_bytes)
{
    size_t n = strnlen(text, limit_bytes + 1);
    if (n <= limit_bytes)
        return n;
    for (n = limit_bytes; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--) {
    }
    return n;
}

/* Length of the control character that text begins with: C0, DEL, or C1 (U+0080 to U+009F). */
static size_t control_len(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] < 0x20 || c[0] == 0x7f)
        return 1;
    return c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool es_text_is_same_but_numbers(const char *a, const char *b)
{
    while (*a && *b) {
        if (*a != *b && !(is_digit(*a) && is_digit(*b)))
            return false;
        bool is_number = is_digit(*a);
        do
            a++;
        while (is_number && is_digit(*a));
        do
            b++;
        while (is_number && is_digit(*b));
    }
    return *a == *b;
}

void es_text_to_line(char *text)
{
    for (size_t len = strlen(text), i = 0, n; i < len; i += n) {
        size_t n_control = control_len(text + i);
        n = n_control ? n_control : es_utf8_char_len(text + i, len - i);
        if (n == 0 || n_control)
            memset(text + i, '?', n ? n : 1);
        n = n ? n : 1;
    }
}

const char *es_name_fault(const char *name)
{
    size_t len = strlen(name);
    if (len == 0)
        return "is empty";
    if (len > 240)
        return "is longer than 240 bytes";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "names a folder above or itself";
    for (size_t i = 0; i < len;) {
        if (control_len(name + i))
            return "holds a control character";
        if (name[i] == '/')
            return "holds a '/'";
        size_t n = es_utf8_char_len(name + i, len - i);
        if (n == 0)
            return "is not valid UTF-8";
        i += n;
    }
    return NULL;
}

int es_name_compare(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            const char *first_a = a, *first_b = b;
            while (*a == '0')
                a++;
            while (*b == '0')
                b++;
            const char *digits_a = a, *digits_b = b;
            while (isdigit((unsigned char)*a))
                a++;
            while (isdigit((unsigned char)*b))
                b++;
            if (a - digits_a != b - digits_b)
                return a - digits_a < b - digits_b ? -1 : 1;
            int order = memcmp(digits_a, digits_b, (size_t)(a - digits_a));
            if (order)
                return order;
            if (a - first_a != b - first_b) /* "07" and "7" differ all the same */
                return a - first_a < b - first_b ? -1 : 1;
            continue;
        }
        if (*a != *b)
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        a++;
        b++;
    }
    return (*a != 0) - (*b != 0);
}

void es_rng_init(struct es_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng->state[i] = z ^ (z >> 31);
    }
}

static uint64_t rotate_left(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t es_rng_next(struct es_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t es_rng_below(struct es_rng *rng, uint64_t n)
{
    uint64_t threshold = -n % n; /* numbers below it would favour small results */
    for (;;) {
        uint64_t x = es_rng_next(rng);
        if (x >= threshold)
            return x % n;
    }
}

double es_rng_unit(struct es_rng *rng)
{
    return (double)(es_rng_next(rng) >> 11) * 0x1p-53;
}

double es_rng_normal(struct es_rng *rng)
{
    double u = 1.0 - es_rng_unit(rng); /* in (0, 1] */
    double v = es_rng_unit(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
