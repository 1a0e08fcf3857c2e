/* Strict parsing of numbers, UTF-8, shortest decimals, and the project's seeded random numbers. */
#ifndef ES_CORE_NUM_H
#define ES_CORE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole text as a decimal integer: no spaces, no '+', no overflow. False: *ret untouched. */
bool es_parse_int(const char *text, int64_t *ret_value);

/* The whole text as a finite decimal number. False: *ret untouched. */
bool es_parse_double(const char *text, double *ret_value);

/* A duration in seconds: "90", "1.5", "90s", "15m", "2h", "1d", or Slurm's "MM:SS", "HH:MM:SS",
 * "D-HH:MM:SS". Never negative. False: *ret untouched. */
bool es_parse_duration(const char *text, double *ret_seconds);

/* The shortest decimal that reads back as the same double; "" for NaN and infinities. */
void es_format_double(double value, char ret_text[32]);

/* Length in bytes of the valid UTF-8 character that text (len bytes) begins with, or 0. */
size_t es_utf8_char_len(const char *text, size_t len);

/* The bytes of text that are within the limit, without a part of a UTF-8 character at its end. */
size_t es_utf8_cut(const char *text, size_t limit_bytes);

/* Whether two texts differ in nothing but their numbers. */
bool es_text_is_same_but_numbers(const char *a, const char *b);

/* Makes a text of others fit for a line on a terminal, in place: every byte of a control character
 * (newlines too) and of what is no UTF-8 becomes '?'. */
void es_text_to_line(char *text);

/* A name as DESIGN has it: valid UTF-8, 1 to 240 bytes, no control characters, no '/', neither "."
 * nor "..". NULL if it is one, else what is wrong with it (static storage). */
const char *es_name_fault(const char *name);

/* Numeric-aware order of names: "step2" before "step10". <0, 0, >0. */
int es_name_compare(const char *a, const char *b);

/* xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64: same seed, same sequence. */
struct es_rng {
    uint64_t state[4];
};
void es_rng_init(struct es_rng *rng, uint64_t seed);
uint64_t es_rng_next(struct es_rng *rng);
/* Uniform in [0, n), for n >= 1. */
uint64_t es_rng_below(struct es_rng *rng, uint64_t n);
/* Uniform in [0, 1). */
double es_rng_unit(struct es_rng *rng);
/* Standard normal (Box and Muller). */
double es_rng_normal(struct es_rng *rng);

#endif
