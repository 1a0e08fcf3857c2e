#include "exec/guard.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_CELLS = 64 };

/* One guard a process, whatever the number of its evaluators; never undone. */
static struct es_guard_cell *cells;

struct es_guard_cell *es_guard_take(void)
{
    for (int i = 0; cells && i < N_CELLS; i++) {
        int is_taken = 0;
        if (atomic_compare_exchange_strong(&cells[i].taken, &is_taken, 1))
            return &cells[i];
    }
    return NULL;
}

void es_guard_set_fifo(struct es_guard_cell *cell, const char *path)
{
    if (cell && strlen(path) < sizeof cell->fifo)
        (void)snprintf(cell->fifo, sizeof cell->fifo, "%s", path);
}

void es_guard_withdraw(struct es_guard_cell *cell)
{
    if (cell)
        atomic_store(&cell->group, 0);
}

void es_guard_release(struct es_guard_cell *cell)
{
    if (!cell)
        return;
    cell->fifo[0] = '\0';
    atomic_store(&cell->group, 0);
    atomic_store(&cell->taken, 0);
}

static void clean_up(struct es_guard_cell *cell)
{
    int group = atomic_load(&cell->group);
    if (group > 0)
        (void)kill(-group, SIGKILL);
    char *slash = strrchr(cell->fifo, '/');
    if (slash) {
        (void)unlink(cell->fifo);
        *slash = '\0';
        (void)rmdir(cell->fifo);
    }
}

/* Lets go of everything that it has from its parent but the pipe, which becomes descriptor 3. What
 * it kept open, a launcher or a reader of the rank's output would wait for. */
static void detach(int pipe_read)
{
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)setsid();
    (void)prctl(PR_SET_NAME, "es-guard");
    (void)!chdir("/");
    int lowest = 3;
    if (pipe_read != lowest)
        (void)dup2(pipe_read, lowest);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; null >= 0 && fd < lowest; fd++)
        (void)dup2(null, fd);
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 4U, ~0U, 0U) == 0)
        return;
#endif
    long n = sysconf(_SC_OPEN_MAX);
    for (int fd = 4; fd < (n > 0 && n < 65536 ? (int)n : 65536); fd++)
        (void)close(fd);
}

/* Nothing is ever written to the pipe: asking for no event wakes only at its end. */
static _Noreturn void guard_main(int pipe_read)
{
    detach(pipe_read);
    struct pollfd end = {.fd = 3, .events = 0};
    while (poll(&end, 1, -1) < 0 && errno == EINTR)
        continue;
    for (int i = 0; i < N_CELLS; i++)
        clean_up(&cells[i]);
    _exit(0);
}

/* Forks twice, so that the guard is no child that this process would ever have to wait for. */
static int fork_guard(int pipe_read)
{
    pid_t pid = fork();
    if (pid < 0)
        return -1;
    if (pid == 0) {
        pid_t guard = fork();
        if (guard == 0)
            guard_main(pipe_read);
        _exit(guard < 0 ? errno : 0);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
    return errno ? -1 : 0;
}

int es_guard_start(struct es_err *err)
{
    static const char doing[] = "starting the guard process";
    if (cells)
        return 0;
    int pipe_read = -1, pipe_write = -1;
    size_t size_bytes = N_CELLS * sizeof *cells;
    void *shared =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return es_err_sys(err, errno, doing, NULL);
    cells = shared;
    if (es_fd_pipe(&pipe_read, &pipe_write) < 0 || fork_guard(pipe_read) < 0) {
        int rc = es_err_sys(err, errno, doing, NULL);
        es_fd_close(&pipe_read);
        es_fd_close(&pipe_write);
        (void)munmap(shared, size_bytes);
        cells = NULL;
        return rc;
    }
    es_fd_close(&pipe_read);
    return 0; /* the writing end stays open until this process ends: its closing is the message */
}
