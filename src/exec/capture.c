#include "exec/capture.h"

#include "exec/process.h"
#include "exec/spawn.h"
#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Its end shows on no descriptor (grandchildren may hold the pipe): looked for this often. */
#define LOOK_EVERY_MS 20

static void read_some(const struct es_process *process, size_t limit_bytes, struct es_buf *output)
{
    char chunk[4096];
    for (;;) {
        ssize_t n = read(process->output_fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        if (output->len < limit_bytes)
            es_buf_append(output, chunk, (size_t)n);
    }
}

/* Until it has ended (true), or time is up or stop_fd says so (false). */
static bool wait_for_end(const struct es_process *process, double until_s, int stop_fd,
                         size_t limit_bytes, struct es_buf *output, struct es_process_end *ret_end)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = process->output_fd, .events = POLLIN},
                                {.fd = stop_fd, .events = POLLIN}};
        (void)poll(fds, 2, LOOK_EVERY_MS);
        bool has_ended = es_process_ended(process, ret_end);
        read_some(process, limit_bytes, output);
        if (has_ended)
            return true;
        if (es_clock_mono_s() >= until_s || (fds[1].revents & POLLIN))
            return false;
    }
}

int es_capture(const char *const *argv, double limit_s, int stop_fd, size_t limit_bytes,
               struct es_buf *output, struct es_err *err)
{
    static const char doing[] = "asking another program";
    /* execve takes the arguments as not const, and does not change them. */
    union {
        const char *const *given;
        char *const *wanted;
    } args = {.given = argv};
    struct es_process process;
    struct es_process_end end = {0};
    char how[64] = "no answer in time";
    char *path = es_spawn_find(argv[0], getenv("PATH"));
    if (!path)
        return es_err_set(err, ES_ERR_SPAWN, doing, argv[0], "%s", strerror(errno));
    es_process_init(&process);
    struct es_process_command command = {.path = path, .argv = args.wanted, .envp = environ};
    int rc = es_process_start(&process, &command, NULL, err);
    if (rc == 0) {
        bool has_ended =
            wait_for_end(&process, es_clock_mono_s() + limit_s, stop_fd, limit_bytes, output, &end);
        if (has_ended)
            es_process_end_text(&end, how, sizeof how);
        if (!has_ended || end.exit_code != 0)
            rc = es_err_set(err, ES_ERR_SPAWN, doing, argv[0], "%s", how);
        else if (output->failed)
            rc = es_err_nomem(err, doing);
    }
    es_process_clear(&process);
    free(path);
    return rc;
}
