/* What a persistent evaluator and a marker cost without us: requests and replies over pipes, and
 * for each unit a folder and a file that is written and renamed.
 *
 *     bench_pipe N_UNITS DIR COMMAND [ARGUMENT...]
 *
 * The command is an evaluator in mode persistent. Prints the seconds that all units took.
 */
#include "bare_marker.h"
#include "core/num.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPLY_FD 3

struct evaluator {
    pid_t pid;
    int request_fd;
    int reply_fd;
};

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench_pipe: %s\n", what);
    exit(1);
}

static void start(struct evaluator *evaluator, char **command)
{
    int request_end, reply_end;
    posix_spawn_file_actions_t actions;
    if (es_fd_pipe(&request_end, &evaluator->request_fd) < 0 ||
        es_fd_pipe(&evaluator->reply_fd, &reply_end) < 0 ||
        setenv("EVALSWEEP_REPLY_FD", "3", 1) < 0)
        die("making pipes failed");
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, request_end, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, reply_end, REPLY_FD);
    if (posix_spawn(&evaluator->pid, command[0], &actions, NULL, command, environ) != 0)
        die("starting the evaluator failed");
    (void)posix_spawn_file_actions_destroy(&actions);
    es_fd_close(&request_end);
    es_fd_close(&reply_end);
}

static void ask(const struct evaluator *evaluator, int64_t unit, const char *dir)
{
    char line[1024];
    int n = snprintf(line, sizeof line,
                     "{\"unit\":%lld,\"checkpoint\":\"step1000\",\"layer\":22,\"task\":\"Task0\","
                     "\"output_dir\":\"%s/%lld\",\"attempt\":1,\"bundle\":[22]}\n",
                     (long long)unit, dir, (long long)unit);
    if (es_fd_write_all(evaluator->request_fd, line, (size_t)n) < 0)
        die("the evaluator does not read");
    do {
        ssize_t got = read(evaluator->reply_fd, line, sizeof line);
        if (got <= 0)
            die("the evaluator does not reply");
        n = (int)got;
    } while (line[n - 1] != '\n');
}

int main(int argc, char **argv)
{
    int64_t n_units;
    struct evaluator evaluator;
    if (argc < 4 || !es_parse_int(argv[1], &n_units))
        die("usage: bench_pipe N_UNITS DIR COMMAND [ARGUMENT...]");
    int dir_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        die("no such folder");
    start(&evaluator, argv + 3);
    double begun_s = es_clock_mono_s();
    for (int64_t i = 0; i < n_units; i++) {
        ask(&evaluator, i, argv[2]);
        if (bare_marker_write(dir_fd, i) < 0)
            die("writing a marker failed");
    }
    printf("%.6f\n", es_clock_mono_s() - begun_s);
    es_fd_close(&evaluator.request_fd);
    (void)waitpid(evaluator.pid, NULL, 0);
    es_fd_close(&dir_fd);
    return 0;
}
