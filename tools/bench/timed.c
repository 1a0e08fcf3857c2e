/* Runs a command and tells its wall seconds and peak memory.
 *
 *     bench_timed COMMAND [ARGUMENT...]
 *
 * The last line on stderr is "SECONDS PEAK_KIB" (the largest of its processes that were waited
 * for). Ends with 1 when the command fails.
 */
#include "sys/clock.h"

#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage usage;
    pid_t pid;
    int status;
    if (argc < 2)
        return 2;
    double begun_s = es_clock_mono_s();
    if (posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ) != 0 ||
        wait4(pid, &status, 0, &usage) < 0 || status != 0) {
        (void)fprintf(stderr, "bench_timed: %s failed\n", argv[1]);
        return 1;
    }
    (void)fprintf(stderr, "%.6f %ld\n", es_clock_mono_s() - begun_s, usage.ru_maxrss);
    return 0;
}
