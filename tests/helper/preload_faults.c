/* Preloaded into the driver: calls on the files of a run fail, or are the driver's last.
 *
 *   FAULT        an errno's name (ENOSPC EDQUOT EROFS EACCES EIO ENOENT): the calls fail so
 *                full   a write takes half of its bytes, whatever comes after it gets ENOSPC
 *                short  a write takes half of its bytes, and the next one is asked for the rest
 *                kill   the process is killed in the place of the call
 *                torn   half of the bytes are written, then the process is killed
 *                slow   the call comes 40 s late
 *                hold   the call waits while the file FAULT_HOLD is there
 *                none   nothing, but the line in the log
 *   FAULT_CALLS  which: read,create,write,rename,link,mkdir,fsync,close,truncate,unlink; without it
 *                all but read. `read` is an open for reading, `create` one for writing, `close`
 * that of a file open for writing FAULT_PATH   a pattern for fnmatch: calls on other paths are left
 * alone FAULT_AT     N: the N-th of these calls; N+: it and every one after it; without it all
 *   FAULT_LOG    a file that gets a line for each call that it happens to
 *
 * Nothing happens in other programs, to which the variables go too.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum action {
    ACTION_NONE, /* also: not in this program */
    ACTION_LOG,
    ACTION_FAIL,
    ACTION_FULL,
    ACTION_SHORT,
    ACTION_KILL,
    ACTION_TORN,
    ACTION_SLOW,
    ACTION_HOLD,
};

static enum action action;
static int fault_errno;
static long first = 1, last = LONG_MAX;
static const char *pattern, *calls, *log_path, *hold_path;
static atomic_long n_calls;

/* The next definition of a symbol: POSIX lets a pointer to data hold one to a function. */
#define REAL(type, name)                                                                           \
    (((union {                                                                                     \
         void *symbol;                                                                             \
         __typeof__(type) *function;                                                               \
     }){dlsym(RTLD_NEXT, name)})                                                                   \
         .function)

static void __attribute__((constructor)) set_up(void)
{
    static const struct {
        const char *name;
        enum action action;
        int number;
    } rows[] = {
        {"ENOSPC", ACTION_FAIL, ENOSPC}, {"EDQUOT", ACTION_FAIL, EDQUOT},
        {"EROFS", ACTION_FAIL, EROFS},   {"EACCES", ACTION_FAIL, EACCES},
        {"EIO", ACTION_FAIL, EIO},       {"ENOENT", ACTION_FAIL, ENOENT},
        {"full", ACTION_FULL, ENOSPC},   {"short", ACTION_SHORT, 0},
        {"kill", ACTION_KILL, 0},        {"torn", ACTION_TORN, 0},
        {"slow", ACTION_SLOW, 0},        {"hold", ACTION_HOLD, 0},
        {"none", ACTION_LOG, 0},
    };
    const char *fault = getenv("FAULT"), *at = getenv("FAULT_AT");
    if (!fault || strcmp(program_invocation_short_name, "evalsweep") != 0)
        return;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, fault) == 0) {
            action = rows[i].action;
            fault_errno = rows[i].number;
        }
    }
    if (at) {
        char *end;
        first = strtol(at, &end, 10);
        last = *end == '+' ? LONG_MAX : first;
    }
    pattern = getenv("FAULT_PATH");
    calls = getenv("FAULT_CALLS");
    log_path = getenv("FAULT_LOG");
    hold_path = getenv("FAULT_HOLD");
    if (action == ACTION_NONE || !pattern)
        abort(); /* a test that asks for nothing would pass */
}

static bool is_chosen(const char *call)
{
    size_t n = strlen(call);
    if (!calls)
        return strcmp(call, "read") != 0;
    for (const char *at = calls; (at = strstr(at, call)); at += n)
        if ((at == calls || at[-1] == ',') && (at[n] == ',' || !at[n]))
            return true;
    return false;
}

static void path_of_fd(int fd, char ret_path[PATH_MAX])
{
    char link_name[64];
    (void)snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link_name, ret_path, PATH_MAX - 1);
    ret_path[n > 0 ? n : 0] = '\0';
}

static void path_at(int dir_fd, const char *path, char ret_path[2 * PATH_MAX])
{
    char folder[PATH_MAX] = "";
    if (path[0] != '/' && dir_fd == AT_FDCWD)
        (void)!getcwd(folder, sizeof folder);
    else if (path[0] != '/')
        path_of_fd(dir_fd, folder);
    (void)snprintf(ret_path, (size_t)2 * PATH_MAX, "%s%s%s", folder, folder[0] ? "/" : "", path);
}

static void note(const char *call, const char *path)
{
    char line[2 * PATH_MAX + 32];
    int n = snprintf(line, sizeof line, "%s %s\n", call, path);
    int fd = log_path ? (int)syscall(SYS_openat, AT_FDCWD, log_path,
                                     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)
                      : -1;
    if (fd < 0)
        return;
    (void)!syscall(SYS_write, fd, line, (size_t)n);
    (void)syscall(SYS_close, fd);
}

/* What is to happen to a call. */
static enum action judge_path(const char *call, const char *path)
{
    int saved = errno;
    if (fnmatch(pattern, path, 0) != 0)
        return ACTION_NONE;
    long number = atomic_fetch_add(&n_calls, 1) + 1;
    if (number < first || number > last)
        return ACTION_NONE;
    note(call, path);
    if (action == ACTION_KILL)
        (void)kill(getpid(), SIGKILL);
    if (action == ACTION_SLOW)
        (void)sleep(40);
    while (action == ACTION_HOLD && hold_path && access(hold_path, F_OK) == 0)
        (void)usleep(10000);
    errno = saved;
    return action;
}

static enum action judge(const char *call, int dir_fd, const char *path)
{
    char whole[2 * PATH_MAX];
    int saved = errno;
    if (action == ACTION_NONE || !is_chosen(call))
        return ACTION_NONE;
    path_at(dir_fd, path, whole);
    errno = saved;
    return judge_path(call, whole);
}

static enum action judge_fd(const char *call, int fd)
{
    char path[PATH_MAX];
    int saved = errno;
    if (action == ACTION_NONE || !is_chosen(call))
        return ACTION_NONE;
    path_of_fd(fd, path);
    errno = saved;
    return judge_path(call, path);
}

/* For calls that are done or not, and have no half. True: it fails, with errno. */
static bool fails(enum action chosen)
{
    if (chosen == ACTION_TORN)
        (void)kill(getpid(), SIGKILL);
    if (chosen != ACTION_FAIL && chosen != ACTION_FULL)
        return false;
    errno = fault_errno;
    return true;
}

static const char *kind_of_open(int flags)
{
    return (flags & O_ACCMODE) == O_RDONLY ? "read" : "create";
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (fails(judge(kind_of_open(flags), AT_FDCWD, path)))
        return -1;
    return REAL(int(const char *, int, ...), "open")(path, flags, mode);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (fails(judge(kind_of_open(flags), dir_fd, path)))
        return -1;
    return REAL(int(int, const char *, int, ...), "openat")(dir_fd, path, flags, mode);
}

/* How many of n bytes a write takes; 0: none, it fails. */
static size_t share_of(enum action chosen, size_t n)
{
    static atomic_bool is_full;
    if (chosen == ACTION_NONE || chosen == ACTION_LOG || chosen == ACTION_HOLD)
        return n;
    if (chosen == ACTION_FAIL || (chosen == ACTION_FULL && atomic_exchange(&is_full, true)))
        return 0;
    return chosen == ACTION_SHORT ? n - n / 2 : n / 2;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    enum action chosen = judge_fd("write", fd);
    size_t n_taken = share_of(chosen, n);
    if (n && !n_taken && fails(chosen))
        return -1;
    ssize_t done = REAL(ssize_t(int, const void *, size_t), "write")(fd, bytes, n_taken);
    if (chosen == ACTION_TORN)
        (void)kill(getpid(), SIGKILL);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    enum action chosen = judge_fd("write", fd);
    size_t n_taken = share_of(chosen, n);
    if (n && !n_taken && fails(chosen))
        return -1;
    ssize_t done =
        REAL(ssize_t(int, const void *, size_t, off_t), "pwrite")(fd, bytes, n_taken, offset);
    if (chosen == ACTION_TORN)
        (void)kill(getpid(), SIGKILL);
    return done;
}

int ftruncate(int fd, off_t size)
{
    if (fails(judge_fd("truncate", fd)))
        return -1;
    return REAL(int(int, off_t), "ftruncate")(fd, size);
}

int fsync(int fd)
{
    if (fails(judge_fd("fsync", fd)))
        return -1;
    return REAL(int(int), "fsync")(fd);
}

/* It closes all the same, as on NFS. */
int close(int fd)
{
    int saved = errno, flags = action == ACTION_NONE ? -1 : fcntl(fd, F_GETFL);
    errno = saved;
    bool is_written = flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
    bool fault = is_written && fails(judge_fd("close", fd));
    int rc = REAL(int(int), "close")(fd);
    if (fault)
        errno = fault_errno;
    return fault ? -1 : rc;
}

int rename(const char *from, const char *to)
{
    if (fails(judge("rename", AT_FDCWD, to)))
        return -1;
    return REAL(int(const char *, const char *), "rename")(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    if (fails(judge("rename", to_fd, to)))
        return -1;
    return REAL(int(int, const char *, int, const char *), "renameat")(from_fd, from, to_fd, to);
}

int link(const char *from, const char *to)
{
    if (fails(judge("link", AT_FDCWD, to)))
        return -1;
    return REAL(int(const char *, const char *), "link")(from, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    if (fails(judge("link", to_fd, to)))
        return -1;
    return REAL(int(int, const char *, int, const char *, int), "linkat")(from_fd, from, to_fd, to,
                                                                          flags);
}

int mkdirat(int dir_fd, const char *path, mode_t mode)
{
    if (fails(judge("mkdir", dir_fd, path)))
        return -1;
    return REAL(int(int, const char *, mode_t), "mkdirat")(dir_fd, path, mode);
}

int unlink(const char *path)
{
    if (fails(judge("unlink", AT_FDCWD, path)))
        return -1;
    return REAL(int(const char *), "unlink")(path);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
    if (fails(judge("unlink", dir_fd, path)))
        return -1;
    return REAL(int(int, const char *, int), "unlinkat")(dir_fd, path, flags);
}
