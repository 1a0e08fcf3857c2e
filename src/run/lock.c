#include "run/lock.h"

#include "core/buf.h"
#include "core/mem.h"
#include "run/folder.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_LIMIT_BYTES ((size_t)1 << 16)
#define LOOK_INTERVAL_NS 200000000L
#define RETRY_NS 10000000L /* while another process takes it over */
#define MAX_TRIES 1000

/* The counter stands first, in a fixed width, so that it is moved by writing over it. */
#define COUNTER_FORMAT "{\"counter\":%20llu"
#define COUNTER_WIDTH 31

/* Who holds a lock. */
struct holder {
    char host[256];
    char boot[128]; /* boot id and pid namespace: pids mean something only where both are equal */
    long pid;
    double pid_start; /* of the process, in clock ticks: another one may have its pid now */
    char job_id[64];
    double step_id, restart_count; /* NaN: not under Slurm */
    double counter;
};

struct es_lock {
    char path[PATH_MAX];
    int fd; /* of the file that was linked */
    unsigned long long counter;
};

static void read_line(const char *path, char *ret_text, size_t size_bytes)
{
    struct es_buf text = {0};
    ret_text[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && es_fd_read_all(fd, LOCK_LIMIT_BYTES, &text) == 0 && text.data)
        (void)snprintf(ret_text, size_bytes, "%.*s", (int)strcspn(text.data, "\n"), text.data);
    es_fd_close(&fd);
    es_buf_clear(&text);
}

/* Field 22 of /proc/PID/stat; the name before it may hold spaces and parentheses. NaN: no process, or
 * one that has ended and was not waited for yet. */
static double start_of(long pid)
{
    char path[64], line[1024];
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    read_line(path, line, sizeof line);
    char *at = strrchr(line, ')');
    if (at && (strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0))
        return (double)NAN;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtod(at, NULL) : (double)NAN;
}

static double env_number(const char *name)
{
    const char *text = getenv(name);
    return text && text[0] ? strtod(text, NULL) : (double)NAN;
}

static struct holder this_process(void)
{
    struct holder me = {.pid = getpid(), .counter = 0};
    char boot_id[64], pid_namespace[64] = "";
    const char *job_id = getenv("SLURM_JOB_ID");
    (void)gethostname(me.host, sizeof me.host - 1);
    read_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id);
    (void)!readlink("/proc/self/ns/pid", pid_namespace, sizeof pid_namespace - 1);
    (void)snprintf(me.boot, sizeof me.boot, "%s %s", boot_id, pid_namespace);
    me.pid_start = start_of(me.pid);
    (void)snprintf(me.job_id, sizeof me.job_id, "%s", job_id ? job_id : "");
    me.step_id = env_number("SLURM_STEP_ID");
    me.restart_count = job_id ? env_number("SLURM_RESTART_COUNT") : (double)NAN;
    if (job_id && isnan(me.restart_count))
        me.restart_count = 0; /* Slurm sets it from the first restart on */
    return me;
}

static void put_string(struct es_buf *text, const char *key, const char *value)
{
    es_buf_printf(text, ",\"%s\":", key);
    es_buf_json_string(text, value, strlen(value));
}

static void put_number(struct es_buf *text, const char *key, double value)
{
    es_buf_printf(text, ",\"%s\":", key);
    es_buf_json_double(text, value);
}

static void holder_text(const struct holder *holder, struct es_buf *text)
{
    es_buf_printf(text, COUNTER_FORMAT, 0ULL);
    put_string(text, "host", holder->host);
    put_string(text, "boot", holder->boot);
    es_buf_printf(text, ",\"pid\":%ld", holder->pid);
    put_number(text, "pid_start", holder->pid_start);
    put_string(text, "slurm_job_id", holder->job_id);
    put_number(text, "slurm_step_id", holder->step_id);
    put_number(text, "slurm_restart_count", holder->restart_count);
    es_buf_puts(text, "}\n");
}

static void copy_string(const cJSON *root, const char *key, char *ret_text, size_t size_bytes)
{
    const char *value = es_json_get_string(root, key);
    (void)snprintf(ret_text, size_bytes, "%s", value ? value : "");
}

/* Who holds the lock file at path. ES_ERR_NOENT: nobody. One that is no lock of ours has no host, no
 * boot and a NaN counter, which does not move: it is stale in the end. */
static int read_holder(const char *path, struct holder *ret_holder, struct es_file_id *ret_id,
                       struct es_err *err)
{
    struct es_buf text = {0};
    struct holder holder = {.counter = (double)NAN};
    cJSON *root = NULL;
    int rc = 0;
    if (es_file_read_at(AT_FDCWD, path, LOCK_LIMIT_BYTES, &text, ret_id) < 0) {
        rc = es_file_read_error(err, errno, "looking at the lock", path);
    } else if (es_json_parse(text.data, text.len, path, &root, NULL) == 0) {
        double pid = es_json_get_double(root, "pid");
        copy_string(root, "host", holder.host, sizeof holder.host);
        copy_string(root, "boot", holder.boot, sizeof holder.boot);
        copy_string(root, "slurm_job_id", holder.job_id, sizeof holder.job_id);
        holder.pid = pid > 0 && pid < 1e9 ? (long)pid : 0;
        holder.pid_start = es_json_get_double(root, "pid_start");
        holder.step_id = es_json_get_double(root, "slurm_step_id");
        holder.restart_count = es_json_get_double(root, "slurm_restart_count");
        holder.counter = es_json_get_double(root, "counter");
        cJSON_Delete(root);
    }
    es_buf_clear(&text);
    if (rc == 0)
        *ret_holder = holder;
    return rc;
}

enum verdict { VERDICT_GONE, VERDICT_ALIVE, VERDICT_UNKNOWN };

/* What can be told at once. */
static enum verdict judge(const struct holder *holder, const struct holder *me)
{
    if (holder->pid > 0 && strcmp(holder->boot, me->boot) == 0)
        return start_of(holder->pid) == holder->pid_start ? VERDICT_ALIVE : VERDICT_GONE;
    if (holder->job_id[0] && strcmp(holder->job_id, me->job_id) == 0 &&
        (holder->restart_count < me->restart_count ||
         (holder->restart_count == me->restart_count && holder->step_id < me->step_id)))
        return VERDICT_GONE;
    return VERDICT_UNKNOWN;
}

/* One that is no lock of ours has no pid_start: it is the same as itself all the same. */
static bool is_same_lock(const struct holder *a, const struct holder *b)
{
    bool same_start = a->pid_start == b->pid_start || (isnan(a->pid_start) && isnan(b->pid_start));
    return strcmp(a->boot, b->boot) == 0 && a->pid == b->pid && same_start &&
           strcmp(a->host, b->host) == 0;
}

/* Watches the counter: GONE after stale_s without a move, ALIVE at the first one. */
static enum verdict watch(const char *path, const struct holder *first, double stale_s)
{
    double begun_s = es_clock_mono_s();
    const struct timespec pause = {.tv_nsec = LOOK_INTERVAL_NS};
    while (es_clock_mono_s() - begun_s < stale_s) {
        (void)nanosleep(&pause, NULL);
        struct holder now;
        struct es_file_id id;
        if (read_holder(path, &now, &id, NULL) < 0)
            return VERDICT_GONE; /* released; or unreadable, which the next try will tell */
        if (!is_same_lock(first, &now) || now.counter > first->counter)
            return VERDICT_ALIVE;
    }
    return VERDICT_GONE;
}

static int busy(const struct holder *holder, const char *path, struct es_err *err)
{
    return es_err_set(err, ES_ERR_BUSY, "locking the run", path,
                      "another driver holds it: process %ld on %s%s%s", holder->pid, holder->host,
                      holder->job_id[0] ? ", Slurm job " : "", holder->job_id);
}

/* Makes a file of ours under a temporary name; its descriptor in lock->fd. */
static int make_file(struct es_lock *lock, const struct holder *me, char ret_temp[PATH_MAX],
                     struct es_err *err)
{
    struct es_buf text = {0};
    holder_text(me, &text);
    int rc = text.failed ? es_err_nomem(err, "locking the run") : 0;
    if (rc == 0 && es_atomic_temp_path(lock->path, ret_temp, PATH_MAX) < 0)
        rc = es_err_sys(err, errno, "locking the run", lock->path);
    if (rc == 0) {
        lock->fd = open(ret_temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (lock->fd < 0)
            rc = es_err_sys(err, errno, "locking the run", ret_temp);
    }
    if (rc == 0 && (es_fd_write_all(lock->fd, text.data, text.len) < 0 || fsync(lock->fd) < 0)) {
        rc = es_err_sys(err, errno, "locking the run", ret_temp);
        (void)unlink(ret_temp);
        es_fd_close(&lock->fd);
    }
    es_buf_clear(&text);
    return rc;
}

static bool is_still_ours(const struct es_lock *lock)
{
    struct stat mine, there;
    return fstat(lock->fd, &mine) == 0 && stat(lock->path, &there) == 0 &&
           mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

/* Whether the holder of the file at path is gone, watching it where that cannot be told at once. */
static enum verdict judge_file(const char *path, const struct holder *me, double stale_s,
                               struct holder *ret_holder, struct es_err *err)
{
    struct es_file_id id;
    struct es_err fault = {0};
    if (read_holder(path, ret_holder, &id, &fault) < 0) {
        if (fault.code == ES_ERR_NOENT)
            return VERDICT_GONE;
        if (err)
            *err = fault;
        return VERDICT_UNKNOWN;
    }
    enum verdict verdict = judge(ret_holder, me);
    return verdict == VERDICT_UNKNOWN ? watch(path, ret_holder, stale_s) : verdict;
}

/* Replaces a lock whose holder is gone by the file at temp. False: another process is about to, or
 * the lock changed meanwhile. */
static bool take_over(struct es_lock *lock, const char *temp, const struct holder *me,
                      const struct holder *judged, double stale_s)
{
    char claim[PATH_MAX + 16];
    struct holder now, claimer;
    struct es_file_id id;
    (void)snprintf(claim, sizeof claim, "%s.takeover", lock->path);
    if (link(temp, claim) < 0) {
        /* Somebody's moment; unless it was killed in it. */
        if (errno == EEXIST &&
            judge_file(claim, me, stale_s, &claimer, NULL) == VERDICT_GONE)
            (void)unlink(claim);
        return false;
    }
    bool taken = read_holder(lock->path, &now, &id, NULL) == 0 && is_same_lock(&now, judged) &&
                 rename(temp, lock->path) == 0;
    (void)unlink(claim);
    return taken && is_still_ours(lock);
}

/* One try: 0, an error, or 1: try again. */
static int try_once(struct es_lock *lock, const struct holder *me, double stale_s,
                    struct es_err *err)
{
    char temp[PATH_MAX];
    struct holder holder = {0};
    int rc = make_file(lock, me, temp, err);
    if (rc < 0)
        return rc;
    if (link(temp, lock->path) == 0) {
        rc = is_still_ours(lock) ? 0 : 1;
    } else if (errno != EEXIST) {
        rc = es_err_sys(err, errno, "locking the run", lock->path);
    } else {
        struct es_err fault = {0};
        enum verdict verdict = judge_file(lock->path, me, stale_s, &holder, &fault);
        if (verdict == VERDICT_ALIVE)
            rc = busy(&holder, lock->path, err);
        else if (verdict == VERDICT_GONE)
            rc = take_over(lock, temp, me, &holder, stale_s) ? 0 : 1;
        else if (err)
            *err = fault;
        if (verdict == VERDICT_UNKNOWN)
            rc = fault.code;
    }
    (void)unlink(temp);
    if (rc != 0)
        es_fd_close(&lock->fd);
    return rc;
}

int es_lock_acquire(const char *run_dir, double stale_s, struct es_lock **ret_lock,
                    struct es_err *err)
{
    struct holder me = this_process();
    struct es_lock *lock = es_mem_calloc(1, sizeof *lock);
    if (!lock)
        return es_err_nomem(err, "locking the run");
    lock->fd = -1;
    int n = snprintf(lock->path, sizeof lock->path, "%s/" ES_FOLDER_NAME "/lock", run_dir);
    int rc = 1;
    if (n < 0 || (size_t)n >= sizeof lock->path)
        rc = es_err_sys(err, ENAMETOOLONG, "locking the run", run_dir);
    const struct timespec pause = {.tv_nsec = RETRY_NS};
    for (int tries = 0; rc == 1 && tries < MAX_TRIES; tries++) {
        if (tries)
            (void)nanosleep(&pause, NULL);
        rc = try_once(lock, &me, stale_s, err);
    }
    if (rc == 1)
        rc = es_err_set(err, ES_ERR_BUSY, "locking the run", lock->path,
                        "others take it again and again");
    if (rc < 0) {
        free(lock);
        return rc;
    }
    *ret_lock = lock;
    return 0;
}

int es_lock_beat(struct es_lock *lock, struct es_err *err)
{
    char text[64];
    int n = snprintf(text, sizeof text, COUNTER_FORMAT, ++lock->counter);
    if (n != COUNTER_WIDTH || es_fd_pwrite_all(lock->fd, text, COUNTER_WIDTH, 0) < 0 ||
        fsync(lock->fd) < 0)
        return es_err_sys(err, errno, "keeping the lock", lock->path);
    if (!is_still_ours(lock))
        return es_err_set(err, ES_ERR_BUSY, "keeping the lock", lock->path,
                          "another driver took the run over");
    return 0;
}

void es_lock_release(struct es_lock *lock)
{
    if (!lock)
        return;
    if (is_still_ours(lock))
        (void)unlink(lock->path);
    es_fd_close(&lock->fd);
    free(lock);
}
