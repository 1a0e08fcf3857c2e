#include "run/holder.h"

#include "core/buf.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_BYTES ((size_t)1 << 16)
#define CREATE_TRIES 5

/* What moves stands first, in a fixed width, so that it is moved by writing over it. */
#define MOVING_FORMAT "{\"counter\":%20llu,\"ready\":%d"
#define MOVING_WIDTH 41

static void read_line(const char *path, char *ret_text, size_t size_bytes)
{
    struct es_buf text = {0};
    ret_text[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && es_fd_read_all(fd, LIMIT_BYTES, &text) == 0 && text.data)
        (void)snprintf(ret_text, size_bytes, "%.*s", (int)strcspn(text.data, "\n"), text.data);
    es_fd_close(&fd);
    es_buf_clear(&text);
}

/* Field 22 of /proc/PID/stat; the name before it may hold spaces and parentheses. NaN: no process,
 * or one that has ended and was not waited for yet. */
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

/* Host, pid and its start make it readable; boot and a counter make it differ from that of a
 * container with the same host name, and from another one of this process. Short enough for a link
 * that names it to lie in its inode (60 bytes on ext4). */
static void make_id(struct es_holder *me)
{
    static atomic_uint counter;
    unsigned hash = 2166136261u;
    char host[21];
    (void)snprintf(host, sizeof host, "%.20s", me->host);
    for (char *at = host; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-')
            *at = '_';
    for (const char *at = me->boot; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    (void)snprintf(me->id, sizeof me->id, "%s-%ld-%.0f-%08x-%u", host, me->pid,
                   isnan(me->pid_start) ? 0 : me->pid_start, hash, atomic_fetch_add(&counter, 1));
}

struct es_holder es_holder_self(void)
{
    struct es_holder me = {.pid = getpid()};
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
    make_id(&me);
    return me;
}

struct es_holder es_holder_self_joined(void)
{
    struct es_holder me = es_holder_self();
    me.step_id = (double)NAN;
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

/* The file appears whole: one that was cut would count as a driver for as long as one that stands
 * still. The descriptor, or -1 with errno: ENOENT also where an owner took the temporary file for
 * one that was left over. */
static int create_whole(const char *path, const struct es_buf *text)
{
    char temp[PATH_MAX];
    if (es_atomic_temp_path(path, temp, sizeof temp) < 0)
        return -1;
    int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -1;
    if (es_fd_write_all(fd, text->data, text->len) < 0 || fsync(fd) < 0 || rename(temp, path) < 0) {
        int saved = errno;
        (void)unlink(temp);
        es_fd_close(&fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int es_holder_create(const char *path, const struct es_holder *holder, int *ret_fd,
                     struct es_err *err)
{
    struct es_buf text = {0};
    es_buf_printf(&text, MOVING_FORMAT, 0ULL, 0);
    put_string(&text, "id", holder->id);
    put_string(&text, "host", holder->host);
    put_string(&text, "boot", holder->boot);
    es_buf_printf(&text, ",\"pid\":%ld", holder->pid);
    put_number(&text, "pid_start", holder->pid_start);
    put_string(&text, "slurm_job_id", holder->job_id);
    put_number(&text, "slurm_step_id", holder->step_id);
    put_number(&text, "slurm_restart_count", holder->restart_count);
    es_buf_puts(&text, "}\n");
    int fd, rc = text.failed ? es_err_nomem(err, "writing who is at work on the run") : 0;
    for (int tries = 0; rc == 0 && (fd = create_whole(path, &text)) < 0; tries++)
        if (errno != ENOENT || tries == CREATE_TRIES)
            rc = es_err_sys(err, errno, "writing who is at work on the run", path);
    es_buf_clear(&text);
    if (rc == 0)
        *ret_fd = fd;
    return rc;
}

int es_holder_move(int fd, unsigned long long counter, bool is_ready)
{
    char text[64];
    int n = snprintf(text, sizeof text, MOVING_FORMAT, counter, (int)is_ready);
    if (n != MOVING_WIDTH) {
        errno = EOVERFLOW;
        return -1;
    }
    return es_fd_pwrite_all(fd, text, MOVING_WIDTH, 0) == 0 && fsync(fd) == 0 ? 0 : -1;
}

static void copy_string(const cJSON *root, const char *key, char *ret_text, size_t size_bytes)
{
    const char *value = es_json_get_string(root, key);
    (void)snprintf(ret_text, size_bytes, "%s", value ? value : "");
}

/* An id is used as a file's name: nothing but what make_id makes. */
static void copy_id(const cJSON *root, struct es_holder *holder)
{
    copy_string(root, "id", holder->id, sizeof holder->id);
    for (const char *at = holder->id; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_') {
            holder->id[0] = '\0';
            return;
        }
}

int es_holder_read(const char *path, struct es_holder *ret_holder, struct es_err *err)
{
    struct es_buf text = {0};
    struct es_holder holder = {.counter = (double)NAN};
    struct es_file_id id;
    cJSON *root = NULL;
    int rc = 0;
    if (es_file_read_at(AT_FDCWD, path, LIMIT_BYTES, &text, &id) < 0) {
        rc = es_file_read_error(err, errno, "looking at the lock", path);
    } else if (es_json_parse(text.data, text.len, path, &root, NULL) == 0) {
        double pid = es_json_get_double(root, "pid");
        copy_id(root, &holder);
        copy_string(root, "host", holder.host, sizeof holder.host);
        copy_string(root, "boot", holder.boot, sizeof holder.boot);
        copy_string(root, "slurm_job_id", holder.job_id, sizeof holder.job_id);
        holder.pid = pid > 0 && pid < 1e9 ? (long)pid : 0;
        holder.pid_start = es_json_get_double(root, "pid_start");
        holder.step_id = es_json_get_double(root, "slurm_step_id");
        holder.restart_count = es_json_get_double(root, "slurm_restart_count");
        holder.counter = es_json_get_double(root, "counter");
        holder.is_ready = es_json_get_double(root, "ready") > 0;
        cJSON_Delete(root);
    }
    es_buf_clear(&text);
    if (rc == 0)
        *ret_holder = holder;
    return rc;
}

static bool is_same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

bool es_holder_is_same(const struct es_holder *a, const struct es_holder *b)
{
    return strcmp(a->boot, b->boot) == 0 && a->pid == b->pid &&
           is_same_number(a->pid_start, b->pid_start) && strcmp(a->host, b->host) == 0 &&
           strcmp(a->id, b->id) == 0;
}

enum es_verdict es_holder_judge(const struct es_holder *holder, const struct es_holder *me)
{
    if (holder->pid > 0 && strcmp(holder->boot, me->boot) == 0)
        return start_of(holder->pid) == holder->pid_start ? ES_VERDICT_ALIVE : ES_VERDICT_GONE;
    if (holder->job_id[0] && strcmp(holder->job_id, me->job_id) == 0 &&
        (holder->restart_count < me->restart_count ||
         (holder->restart_count == me->restart_count && holder->step_id < me->step_id)))
        return ES_VERDICT_GONE;
    return ES_VERDICT_UNKNOWN;
}

/* The same file with another counter, or another file, begins a new time of standing still. */
static void note(struct es_holder_watch *watch, const struct es_holder *now)
{
    bool is_same = watch->has_seen && es_holder_is_same(&watch->seen, now);
    if (is_same && !(now->counter > watch->seen.counter))
        return;
    watch->has_moved = is_same;
    watch->has_seen = true;
    watch->since_s = es_clock_mono_s();
}

int es_holder_observe(struct es_holder_watch *watch, const char *path, const struct es_holder *me,
                      double stale_s, enum es_verdict *ret_verdict, struct es_err *err)
{
    struct es_holder now = {0};
    struct es_err fault = {0};
    if (es_holder_read(path, &now, &fault) < 0) {
        if (fault.code != ES_ERR_NOENT) {
            if (err)
                *err = fault;
            return fault.code;
        }
        watch->has_seen = false;
        *ret_verdict = ES_VERDICT_GONE;
        return 0;
    }
    note(watch, &now);
    watch->seen = now;
    *ret_verdict = es_holder_judge(&now, me);
    if (*ret_verdict == ES_VERDICT_UNKNOWN) {
        if (es_clock_mono_s() - watch->since_s >= stale_s)
            *ret_verdict = ES_VERDICT_GONE;
        else if (watch->has_moved)
            *ret_verdict = ES_VERDICT_ALIVE;
    }
    return 0;
}
