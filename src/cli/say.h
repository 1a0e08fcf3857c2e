/* Lines for people, on stderr: "evalsweep: <text>". Only rank 0 of a launched job says anything. */
#ifndef ES_CLI_SAY_H
#define ES_CLI_SAY_H

#include "evalsweep/error.h"

#include <stdbool.h>
#include <stddef.h>

void es_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From here on what is said, and es_say_raw, goes through a queue and a thread, so that a terminal
 * or a pipe that nobody reads holds up nobody. Without memory for them it goes on as before. */
void es_say_start_queue(void);
/* Waits a moment until all is written. What is said after that, if nobody reads it, is lost. 0, or
 * the errno of what was meant for stdout. Any number of times, from any thread. */
int es_say_end_queue(void);

/* Text as it is, for stderr; or for stdout, which is not dropped. */
void es_say_raw(const char *text);
void es_say_data(const char *text, size_t n);

/* The same from any rank. */
void es_say_from_here(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As far as the launcher's variables tell; true without one. */
bool es_is_first_rank(void);

/* Says the error, and gives the exit code that belongs to it. */
int es_say_error(const struct es_err *err);

#endif
