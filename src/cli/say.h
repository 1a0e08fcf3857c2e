/* Lines for people, on stderr: "evalsweep: <text>". Only rank 0 of a launched job says anything. */
#ifndef ES_CLI_SAY_H
#define ES_CLI_SAY_H

#include "evalsweep/error.h"

void es_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says the error, and gives the exit code that belongs to it. */
int es_say_error(const struct es_err *err);

#endif
