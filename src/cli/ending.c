#include "cli/ending.h"

#include "cli/opt.h"
#include "cli/say.h"
#include "core/num.h"
#include "exec/slurm.h"
#include "sys/fd.h"

#include <fcntl.h>
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

static void leave(const struct es_process_end *end, const char *text)
{
    int fd =
        end->word_path ? open(end->word_path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd >= 0)
        (void)es_fd_write_all(fd, text, strlen(text));
    es_fd_close(&fd);
}

/* Where rank 0 is to be found, as long as there is no word of it. */
static void leave_pid(const struct es_process_end *end)
{
    char host[256] = "", text[300];
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(text, sizeof text, "pid %ld %s\n", (long)getpid(), host);
    leave(end, text);
}

void es_ending_init(struct es_process_end *end)
{
    const char *path = getenv("EVALSWEEP_EXIT_FILE"), *limit = getenv("EVALSWEEP_START_LIMIT_S");
    double value_s;
    *end = (struct es_process_end){.start_limit_s = START_LIMIT_S,
                                   .tells_by_word = path && !es_slurm_is_srun()};
    if (path && es_is_first_rank())
        end->word_path = strdup(path);
    leave_pid(end);
    if (limit && es_parse_double(limit, &value_s) && value_s > 0)
        end->start_limit_s = value_s;
    (void)unsetenv("EVALSWEEP_EXIT_FILE");
    (void)unsetenv("EVALSWEEP_START_LIMIT_S");
}

void es_ending_clear(struct es_process_end *end)
{
    free(end->word_path);
    end->word_path = NULL;
}

static double finish_limit_s(bool is_whole)
{
    return is_whole ? FINISH_LIMIT_S : FINISH_BROKEN_LIMIT_S;
}

void es_ending_leave_word(const struct es_process_end *end, int exit_code, bool is_whole)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%d %.0f\n", exit_code,
                   finish_limit_s(is_whole) + LEFT_BEHIND_S);
    leave(end, text);
}

void es_ending_now(const struct es_process_end *end, int exit_code)
{
    (void)es_say_end_queue();
    _exit(es_ending_code(end, exit_code));
}

int es_ending_code(const struct es_process_end *end, int exit_code)
{
    return end->tells_by_word ? 0 : exit_code;
}

static void give_up_start(void *context)
{
    const struct es_process_end *end = context;
    es_say("starting MPI: not all ranks came within %.0f s: one may have died", end->start_limit_s);
    es_ending_leave_word(end, ES_EXIT_INTERNAL, false);
    es_ending_now(end, ES_EXIT_INTERNAL);
}

static void give_up_finish(void *context)
{
    const struct es_process_end *end = context;
    es_ending_now(end, *end->exit_code);
}

struct es_watchdog *es_ending_limit_start(struct es_process_end *end)
{
    struct es_watchdog *watchdog = NULL;
    (void)es_watchdog_start(end->start_limit_s, give_up_start, end, &watchdog, NULL);
    return watchdog;
}

struct es_watchdog *es_ending_limit_finish(struct es_process_end *end, bool is_whole,
                                           const int *exit_code)
{
    struct es_watchdog *watchdog = NULL;
    end->exit_code = exit_code;
    (void)es_watchdog_start(finish_limit_s(is_whole), give_up_finish, end, &watchdog, NULL);
    return watchdog;
}
