#include "exec/process.h"

#include "exec/spawn.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char doing[] = "starting the evaluator";

void es_process_init(struct es_process *process)
{
    *process = (struct es_process){.pid = -1,
                                   .stdin_fd = -1,
                                   .output_fd = -1,
                                   .held_fds = {-1, -1},
                                   .null_fd = -1,
                                   .guard_cell = es_guard_take()};
}

static void close_pipes(struct es_process *process)
{
    es_fd_close(&process->stdin_fd);
    es_fd_close(&process->output_fd);
    es_fd_close(&process->held_fds[0]);
    es_fd_close(&process->held_fds[1]);
}

void es_process_clear(struct es_process *process)
{
    if (process->pid > 0) {
        es_process_signal(process, SIGKILL);
        es_process_reap(process);
    }
    es_fd_close(&process->null_fd);
    es_guard_release(process->guard_cell);
    process->guard_cell = NULL;
}

/* In a process that was started with a closed stdin, a new descriptor may be 0, 1 or 2: the child's
 * would overwrite it. */
static int lift(int *fd)
{
    if (*fd > STDERR_FILENO)
        return 0;
    int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (lifted < 0)
        return -1;
    es_fd_close(fd);
    *fd = lifted;
    return 0;
}

/* A pipe of which we use one end, non-blocking, and the child the other. */
static int open_pipe(int *ret_read, int *ret_write, bool we_read)
{
    if (es_fd_pipe(ret_read, ret_write) < 0)
        return -1;
    if (lift(ret_read) < 0 || lift(ret_write) < 0)
        return -1;
    return es_fd_set_nonblocking(we_read ? *ret_read : *ret_write);
}

static int open_null(int *fd)
{
    if (*fd >= 0)
        return 0;
    *fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? -1 : lift(fd);
}

static int spawn(struct es_process *process, const struct es_process_command *command, int stdin_fd,
                 struct es_err *err)
{
    struct es_spawn plan = {.path = command->path,
                            .argv = command->argv,
                            .envp = command->envp,
                            .stdin_fd = stdin_fd >= 0 ? stdin_fd : process->null_fd,
                            .output_fd = process->held_fds[0],
                            .reply_fd = process->held_fds[1],
                            .guard_cell = process->guard_cell};
    bool exec_failed = false;
    process->pid = es_spawn(&plan, &exec_failed);
    if (process->pid > 0)
        return 0;
    int saved = errno;
    int rc = es_err_sys(err, saved, doing, command->path);
    if (!exec_failed)
        return rc;
    const char *hint = saved == ENOEXEC  ? " (a script needs a #! line)"
                       : saved == ENOENT ? " (or the interpreter of its #! line)"
                                         : "";
    char why[128];
    return es_err_set(err, ES_ERR_SPAWN, doing, command->path, "%s%s",
                      strerror_r(saved, why, sizeof why), hint);
}

int es_process_start(struct es_process *process, const struct es_process_command *command,
                     int *ret_reply_fd, struct es_err *err)
{
    int stdin_fd = -1, reply_fd = -1, rc;
    if (open_pipe(&process->output_fd, &process->held_fds[0], true) < 0 ||
        (ret_reply_fd && open_pipe(&reply_fd, &process->held_fds[1], true) < 0) ||
        (ret_reply_fd && open_pipe(&stdin_fd, &process->stdin_fd, false) < 0) ||
        (!ret_reply_fd && open_null(&process->null_fd) < 0))
        rc = es_err_sys(err, errno, doing, command->path);
    else
        rc = spawn(process, command, stdin_fd, err);
    es_fd_close(&stdin_fd); /* ours would keep a write to an evaluator that is gone from failing */
    if (rc < 0) {
        es_fd_close(&reply_fd);
        close_pipes(process);
        return rc;
    }
    if (ret_reply_fd)
        *ret_reply_fd = reply_fd;
    return 0;
}

void es_process_signal(const struct es_process *process, int number)
{
    if (process->pid > 1)
        (void)kill(-process->pid, number);
}

bool es_process_ended(const struct es_process *process, struct es_process_end *ret_end)
{
    siginfo_t info = {0};
    /* Not reaped yet, so that the group's number cannot be somebody else's when it is killed. */
    if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
        if (errno != ECHILD)
            return false;
        *ret_end = (struct es_process_end){.exit_code = -1}; /* somebody else has reaped it */
        return true;
    }
    if (info.si_pid != process->pid)
        return false;
    es_process_signal(process, SIGKILL);
    if (info.si_code == CLD_EXITED)
        *ret_end = (struct es_process_end){.exit_code = info.si_status};
    else
        *ret_end = (struct es_process_end){.exit_code = -1, .signal = info.si_status};
    return true;
}

void es_process_reap(struct es_process *process)
{
    es_guard_withdraw(process->guard_cell);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    process->pid = -1;
    close_pipes(process);
}

void es_process_end_text(const struct es_process_end *end, char *ret_text, size_t size_bytes)
{
    if (end->signal)
        (void)snprintf(ret_text, size_bytes, "signal %d (%s)", end->signal, strsignal(end->signal));
    else if (end->exit_code >= 0)
        (void)snprintf(ret_text, size_bytes, "exit code %d", end->exit_code);
    else
        (void)snprintf(ret_text, size_bytes, "ended, exit code not known");
}
