#include "cli/ending.h"

#include "cli/opt.h"
#include "cli/say.h"
#include "core/num.h"
#include "exec/slurm.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_LIMIT_S 300.0
/* Ranks whose evaluators are slow to end come later; dead ones do not come. */
#define FINISH_LIMIT_S 60.0
#define FINISH_BROKEN_LIMIT_S 5.0
/* What is there after so much more time does not end by itself. */
#define LEFT_BEHIND_S 5.0

static char *word_path;    /* NULL: nobody asked for it */
static bool tells_by_word; /* and returns 0 */
static double start_limit_s = START_LIMIT_S;

static void leave(const char *text)
{
    int fd = word_path ? open(word_path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd >= 0)
        (void)es_fd_write_all(fd, text, strlen(text));
    es_fd_close(&fd);
}

/* Where rank 0 is to be found, as long as there is no word of it. */
static void leave_pid(void)
{
    char host[256] = "", text[300];
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(text, sizeof text, "pid %ld %s\n", (long)getpid(), host);
    leave(text);
}

void es_ending_init(void)
{
    const char *path = getenv("EVALSWEEP_EXIT_FILE"), *limit = getenv("EVALSWEEP_START_LIMIT_S");
    double value_s;
    tells_by_word = path && !es_slurm_is_srun();
    if (path && es_is_first_rank())
        word_path = strdup(path);
    leave_pid();
    if (limit && es_parse_double(limit, &value_s) && value_s > 0)
        start_limit_s = value_s;
    (void)unsetenv("EVALSWEEP_EXIT_FILE");
    (void)unsetenv("EVALSWEEP_START_LIMIT_S");
}

static double finish_limit_s(bool is_whole)
{
    return is_whole ? FINISH_LIMIT_S : FINISH_BROKEN_LIMIT_S;
}

void es_ending_leave_word(int exit_code, bool is_whole)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%d %.0f\n", exit_code,
                   finish_limit_s(is_whole) + LEFT_BEHIND_S);
    leave(text);
}

void es_ending_now(int exit_code)
{
    (void)fflush(NULL);
    _exit(es_ending_code(exit_code));
}

int es_ending_code(int exit_code)
{
    return tells_by_word ? 0 : exit_code;
}

static void give_up_start(void *context)
{
    (void)context;
    es_say("starting MPI: not all ranks came within %.0f s: one may have died", start_limit_s);
    es_ending_leave_word(ES_EXIT_INTERNAL, false);
    es_ending_now(ES_EXIT_INTERNAL);
}

static void give_up_finish(void *context)
{
    es_ending_now(*(const int *)context);
}

struct es_watchdog *es_ending_limit_start(void)
{
    struct es_watchdog *watchdog = NULL;
    (void)es_watchdog_start(start_limit_s, give_up_start, NULL, &watchdog, NULL);
    return watchdog;
}

struct es_watchdog *es_ending_limit_finish(bool is_whole, const int *exit_code)
{
    struct es_watchdog *watchdog = NULL;
    (void)es_watchdog_start(finish_limit_s(is_whole), give_up_finish, (void *)(uintptr_t)exit_code,
                            &watchdog, NULL);
    return watchdog;
}
