/* The bare spawn + wait loop: what the operating system asks for a process, and nothing else; or
 * for a process with a folder and a marker in DIR.
 *
 *     bench_spawn N_PROCESSES N_IN_FLIGHT [--markers DIR] COMMAND [ARGUMENT...]
 *
 * posix_spawn, which is vfork + exec in the C library. Prints the seconds that all of them took.
 */
#include "bare_marker.h"
#include "core/num.h"
#include "sys/clock.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* False: a process could not be started, or ended badly. */
static bool run_all(int64_t n_processes, int64_t n_in_flight, int markers_fd, char **command)
{
    int64_t n_begun = 0, n_ended = 0;
    while (n_ended < n_processes) {
        pid_t pid;
        int status;
        if (n_begun < n_processes && n_begun - n_ended < n_in_flight) {
            if (posix_spawn(&pid, command[0], NULL, NULL, command, environ) != 0)
                return false;
            n_begun++;
        } else {
            if (wait(&status) < 0 || status != 0)
                return false;
            if (markers_fd >= 0 && bare_marker_write(markers_fd, n_ended) < 0)
                return false;
            n_ended++;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    int64_t n_processes, n_in_flight;
    int markers_fd = -1;
    char **command = argv + 3;
    if (argc > 5 && strcmp(argv[3], "--markers") == 0) {
        markers_fd = open(argv[4], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        command = argv + 5;
        if (markers_fd < 0) {
            perror(argv[4]);
            return 1;
        }
    }
    if (argc < 4 || !es_parse_int(argv[1], &n_processes) || !es_parse_int(argv[2], &n_in_flight) ||
        n_in_flight < 1) {
        (void)fprintf(
            stderr,
            "usage: bench_spawn N_PROCESSES N_IN_FLIGHT [--markers DIR] COMMAND [ARGUMENT...]\n");
        return 2;
    }
    double begun_s = es_clock_mono_s();
    if (!run_all(n_processes, n_in_flight, markers_fd, command)) {
        (void)fprintf(stderr, "bench_spawn: %s failed\n", command[0]);
        return 1;
    }
    printf("%.6f\n", es_clock_mono_s() - begun_s);
    return 0;
}
