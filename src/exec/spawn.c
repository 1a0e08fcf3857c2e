#include "exec/spawn.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* What the child needs and what it leaves, in memory that it shares with its suspended parent. */
struct shared {
    const struct es_spawn *plan;
    pid_t parent;
    volatile int failure; /* errno of the step that failed; 0: the program runs */
    volatile bool in_exec;
};

static void set_action(int number, void (*action)(int))
{
    struct sigaction act = {.sa_handler = action};
    (void)sigaction(number, &act, NULL);
}

/* No handler of the parent may run in the child, which is on the parent's stack and memory: until
 * here every signal is blocked, after it none has a handler. */
static void reset_signals(void)
{
    struct sigaction now;
    for (int number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_DFL &&
            now.sa_handler != SIG_IGN)
            set_action(number, SIG_DFL);
    }
    set_action(SIGTERM, SIG_DFL);
    set_action(SIGPIPE, SIG_DFL);
    set_action(SIGCHLD, SIG_DFL);
    set_action(SIGINT, SIG_IGN);
    set_action(SIGUSR1, SIG_IGN);
    set_action(SIGUSR2, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* So that the kernel kills the evaluator, which holds the memory, and not the rank. */
static void prefer_for_oom(void)
{
    static const char most[] = "1000";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, most, sizeof most - 1);
    (void)close(fd);
}

static int set_descriptors(const struct es_spawn *plan)
{
#ifdef SYS_close_range
    /* Ours all close on exec; some that MPI libraries open do not. Before Linux 5.11 those stay. */
    (void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
#endif
    if (dup2(plan->stdin_fd, STDIN_FILENO) < 0 || dup2(plan->output_fd, STDOUT_FILENO) < 0 ||
        dup2(plan->output_fd, STDERR_FILENO) < 0)
        return -1;
    if (plan->reply_fd == ES_SPAWN_REPLY_FD)
        return fcntl(plan->reply_fd, F_SETFD, 0);
    return plan->reply_fd < 0 || dup2(plan->reply_fd, ES_SPAWN_REPLY_FD) >= 0 ? 0 : -1;
}

/* In the child: async-signal-safe calls only, and no return. */
static _Noreturn void child_main(struct shared *shared)
{
    const struct es_spawn *plan = shared->plan;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != shared->parent) /* it died before the line above */
        _exit(127);
    if (setpgid(0, 0) == 0 && set_descriptors(plan) == 0) {
        prefer_for_oom();
        if (plan->guard_cell)
            atomic_store(&plan->guard_cell->group, getpid());
        reset_signals();
        shared->in_exec = true;
        (void)execve(plan->path, plan->argv, plan->envp);
    }
    shared->failure = errno ? errno : EINVAL;
    _exit(127);
}

/* Alone in its function, so that no variable of a caller can be clobbered by the second return. */
static __attribute__((noinline)) pid_t start_child(struct shared *shared)
{
    /* posix_spawn cannot do what the child does before it executes, and fork copies page tables.
     * NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork) */
    pid_t pid = vfork();
    if (pid == 0)
        child_main(shared); /* NOLINT(clang-analyzer-unix.Vfork): keeps to what is safe there */
    return pid;
}

pid_t es_spawn(const struct es_spawn *plan, bool *ret_exec_failed)
{
    struct shared shared = {.plan = plan, .parent = getpid()};
    sigset_t all, before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = start_child(&shared);
    int saved = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid > 0 && shared.failure == 0)
        return pid;
    if (pid > 0) {
        es_guard_withdraw(plan->guard_cell);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        saved = shared.failure;
    }
    *ret_exec_failed = shared.in_exec;
    errno = saved;
    return -1;
}

static bool is_program(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return false;
    if (S_ISREG(st.st_mode))
        return true;
    errno = EACCES;
    return false;
}

static char *join(const char *folder, size_t folder_n, const char *name)
{
    if (folder_n == 0) { /* an empty entry of PATH is the current folder */
        folder = ".";
        folder_n = 1;
    }
    size_t size_bytes = folder_n + strlen(name) + 2;
    char *path = es_mem_calloc(size_bytes, 1);
    if (path)
        (void)snprintf(path, size_bytes, "%.*s/%s", (int)folder_n, folder, name);
    return path;
}

char *es_spawn_find(const char *program, const char *search_path)
{
    int why = ENOENT;
    char *path = NULL;
    if (strchr(program, '/')) {
        if (!is_program(program))
            return NULL;
        path = es_mem_strdup(program);
        why = ENOMEM;
    }
    const char *at = search_path ? search_path : "/usr/local/bin:/usr/bin:/bin";
    while (!path && why != ENOMEM && program[0]) {
        size_t n = strcspn(at, ":");
        path = join(at, n, program);
        if (!path) {
            why = ENOMEM;
        } else if (!is_program(path)) {
            if (errno == EACCES)
                why = EACCES;
            free(path);
            path = NULL;
        }
        if (!at[n])
            break;
        at += n + 1;
    }
    if (!path)
        errno = why;
    return path;
}
