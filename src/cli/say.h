/* Lines for people, on stderr: "evalsweep: <text>". Only rank 0 of a launched job says anything. */
#ifndef ES_CLI_SAY_H
#define ES_CLI_SAY_H

#include "evalsweep/error.h"

#include <stdbool.h>

void es_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same from any rank. */
void es_say_from_here(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As far as the launcher's variables tell; true without one. */
bool es_is_first_rank(void);

/* Says the error, and gives the exit code that belongs to it. */
int es_say_error(const struct es_err *err);

#endif
