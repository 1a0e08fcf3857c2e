#include "cli/say.h"

#include "cli/opt.h"
#include "core/num.h"
#include "sys/fd.h"
#include "sys/outqueue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines that wait for a reader, and how long they are waited for at the end. */
#define QUEUE_BYTES ((size_t)256 << 10)
#define END_LIMIT_S 5.0

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

/* The process has one stderr, and so one queue; the stream's own lock guards it. */
static struct es_outqueue *queue;
static bool has_ended;
static bool is_mute; /* nobody reads stderr: whoever writes to it waits for ever */

#define LAST_LINES_MS 1000 /* how long each line is tried for after that */

void es_say_start_queue(void)
{
    (void)es_outqueue_start(QUEUE_BYTES, &queue, NULL);
}

int es_say_end_queue(void)
{
    int stuck_fd = -1;
    flockfile(stderr);
    int error = es_outqueue_finish(queue, is_mute ? 0 : END_LIMIT_S, &stuck_fd);
    queue = NULL;
    has_ended = true;
    is_mute = is_mute || stuck_fd == STDERR_FILENO;
    funlockfile(stderr);
    return error;
}

static void put(int fd, const char *text, size_t n)
{
    flockfile(stderr);
    if (queue)
        es_outqueue_put(queue, fd, text, n, fd == STDERR_FILENO);
    else if (fd == STDOUT_FILENO)
        (void)fwrite(text, 1, n, stdout);
    else if (has_ended)
        is_mute = is_mute || es_fd_write_within(fd, text, n, LAST_LINES_MS, -1) < 0;
    else
        (void)es_fd_write_all(fd, text, n);
    funlockfile(stderr);
}

void es_say_raw(const char *text)
{
    put(STDERR_FILENO, text, strlen(text));
}

void es_say_data(const char *text, size_t n)
{
    put(STDOUT_FILENO, text, n);
}

static void say(const char *format, va_list args)
{
    char text[2048], line[sizeof text + 16];
    (void)vsnprintf(text, sizeof text, format, args);
    es_text_to_line(text); /* names of files, an evaluator's words, another host's name */
    (void)snprintf(line, sizeof line, "evalsweep: %s\n", text);
    es_say_raw(line);
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
