#include "sys/signal.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t drain_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    return set;
}

static sigset_t child_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return set;
}

void es_signal_block(void)
{
    sigset_t drain = drain_set(), child = child_set();
    (void)sigprocmask(SIG_BLOCK, &drain, NULL);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int es_signal_open_drain(void)
{
    sigset_t set = drain_set();
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int es_signal_open_child(void)
{
    sigset_t set = child_set();
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int es_signal_open(const int *numbers, size_t n)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < n; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) < 0 || action.sa_handler != SIG_IGN)
            sigaddset(&set, numbers[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool es_signal_is_pending(void)
{
    static const int numbers[] = {SIGINT, SIGHUP, SIGTERM, SIGUSR1, SIGUSR2};
    sigset_t set;
    bool is_pending = false;
    if (sigpending(&set) < 0)
        return false;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        is_pending |= sigismember(&set, numbers[i]) == 1;
    return is_pending;
}

void es_signal_die(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    (void)signal(number, SIG_DFL);
    (void)kill(getpid(), number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + number); /* one that does not end a process */
}

bool es_signal_is_soft(int number)
{
    return number == SIGUSR1 || number == SIGUSR2;
}

int es_signal_take(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}
