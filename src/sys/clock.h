/* Time: monotonic nanoseconds for intervals, seconds since 1970 UTC for what people read. */
#ifndef ES_SYS_CLOCK_H
#define ES_SYS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define ES_NS_PER_S 1000000000LL

int64_t es_clock_mono_ns(void);
double es_clock_mono_s(void);
double es_clock_wall_s(void);

/* So many seconds after a point in time (none, if they are negative or NaN); INT64_MAX, which is
 * never: more than a lifetime. */
int64_t es_clock_after_ns(int64_t from_ns, double seconds);

/* "2026-01-15T04:52:14Z", to the second; "" for NaN. */
void es_clock_format_utc(double unix_s, char ret_text[24]);

/* Reads "YYYY-MM-DDTHH:MM:SS[.fraction](Z|+HH:MM|-HH:MM|)" (a space may stand for the T; no zone is
 * UTC). False: *ret untouched. */
bool es_clock_parse_utc(const char *text, double *ret_unix_s);

#endif
