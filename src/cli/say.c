#include "cli/say.h"

#include "cli/opt.h"
#include "core/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before MPI starts, only these tell which rank this is. */
bool es_is_first_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *rank = getenv(variables[i]);
        if (rank)
            return strcmp(rank, "0") == 0;
    }
    return true;
}

static void say(const char *format, va_list args)
{
    char text[2048];
    (void)vsnprintf(text, sizeof text, format, args);
    es_text_to_line(text); /* names of files, an evaluator's words, another host's name */
    (void)fprintf(stderr, "evalsweep: %s\n", text);
}

void es_say(const char *format, ...)
{
    if (!es_is_first_rank())
        return;
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void es_say_from_here(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

int es_say_error(const struct es_err *err)
{
    char text[1100];
    es_err_text(err, text, sizeof text);
    es_say("%s", text);
    switch (err->code) {
    case ES_ERR_USAGE:
    case ES_ERR_PARSE:
    case ES_ERR_NOENT:
    case ES_ERR_IO:
    case ES_ERR_SPAWN:
        return ES_EXIT_USAGE;
    case ES_ERR_BUSY:
        return ES_EXIT_BUSY;
    default:
        return ES_EXIT_INTERNAL;
    }
}
