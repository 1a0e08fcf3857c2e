#include "run/lock.h"

#include "core/mem.h"
#include "run/folder.h"
#include "run/holder.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DOING "locking the run"
/* Between looks, while a counter is watched, or another process takes it over or gets ready: short
 * at first, and at last gentle with the file server. */
#define PAUSE_LEAST_NS 10000000L
#define PAUSE_MOST_NS 1000000000L
#define EXTRA_S 10.0  /* for the latter, beyond the time for watching */
#define SILENT_S 2.0  /* a wait that takes longer is told of */
#define RELEASE_S 1.0 /* how long the end waits for who changes the lock just now */

enum role {
    ROLE_NONE,
    ROLE_JOINED,
    ROLE_OWNER,
    ROLE_LEFT,
};

struct es_lock {
    char path[PATH_MAX];
    char claim_path[PATH_MAX];
    char driver_path[PATH_MAX];
    int fd; /* of the driver's file */
    double stale_s;
    bool has_noted;                 /* what it waits for */
    struct es_holder self;          /* as its file says */
    struct es_holder me;            /* as it judges others */
    struct es_holder_watch holder;  /* of the lock */
    struct es_holder_watch claimer; /* of the claim */
    pthread_mutex_t mutex;          /* guards what follows, and that it is what the names say */
    enum role role;
    bool is_ready;
    unsigned long long counter;
};

/* Whether a name is one of our file: 1, 0, or -1 when that cannot be told now. */
static int names_us(const struct es_lock *lock, const char *path)
{
    struct stat mine, there;
    if (stat(path, &there) < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ESTALE ? 0 : -1;
    if (fstat(lock->fd, &mine) < 0)
        return errno == ESTALE ? 0 : -1;
    return mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static void set_role(struct es_lock *lock, enum role role)
{
    pthread_mutex_lock(&lock->mutex);
    lock->role = role;
    pthread_mutex_unlock(&lock->mutex);
}

static int set_path(char ret_path[PATH_MAX], const char *run_dir, const char *name,
                    struct es_err *err)
{
    int n = snprintf(ret_path, PATH_MAX, "%s/" ES_FOLDER_NAME "/%s", run_dir, name);
    return n < 0 || n >= PATH_MAX ? es_err_sys(err, ENAMETOOLONG, DOING, run_dir) : 0;
}

static int busy(const struct es_lock *lock, struct es_err *err)
{
    const struct es_holder *holder = &lock->holder.seen;
    return es_err_set(err, ES_ERR_BUSY, DOING, lock->path,
                      "another driver holds it: process %ld on %s%s%s", holder->pid, holder->host,
                      holder->job_id[0] ? ", Slurm job " : "", holder->job_id);
}

enum claim {
    CLAIM_OURS,   /* for a moment, nobody else changes who holds the lock */
    CLAIM_OTHERS, /* somebody else does; or was killed in that moment, as is found out in time */
    CLAIM_FAILED, /* it cannot be made */
};

static enum claim claim(struct es_lock *lock)
{
    enum es_verdict verdict;
    if (link(lock->driver_path, lock->claim_path) == 0)
        return CLAIM_OURS;
    if (errno != EEXIST)
        return CLAIM_FAILED;
    if (names_us(lock, lock->claim_path) == 1) /* the server did it, and answered twice */
        return CLAIM_OURS;
    if (es_holder_observe(&lock->claimer, lock->claim_path, &lock->me, lock->stale_s, &verdict,
                          NULL) == 0 &&
        verdict == ES_VERDICT_GONE)
        (void)unlink(lock->claim_path);
    return CLAIM_OTHERS;
}

static void unclaim(struct es_lock *lock)
{
    (void)unlink(lock->claim_path);
}

/* Makes the lock a name of the driver's file at path, in place of what it was. */
static bool replace(struct es_lock *lock, const char *driver_path)
{
    char temp[PATH_MAX];
    if (es_atomic_temp_path(lock->driver_path, temp, sizeof temp) < 0 ||
        link(driver_path, temp) < 0)
        return false;
    bool done = rename(temp, lock->path) == 0;
    (void)unlink(temp); /* where both were names of one file already, rename leaves both */
    return done;
}

/* The path of another driver's file, beside ours. False: the id is none. */
static bool path_of(const struct es_lock *lock, const char *id, char ret_path[PATH_MAX])
{
    int folder_len = (int)(strrchr(lock->driver_path, '/') - lock->driver_path);
    int n = snprintf(ret_path, PATH_MAX, "%.*s/%s", folder_len, lock->driver_path, id);
    return id[0] && n > 0 && n < PATH_MAX;
}

/* Whether the lock is a symbolic link to nothing: none of ours is one, and it holds nobody. */
static bool is_dangling(const struct es_lock *lock)
{
    struct stat st;
    return lstat(lock->path, &st) == 0 && S_ISLNK(st.st_mode) && stat(lock->path, &st) < 0 &&
           errno == ENOENT;
}

/* Whether the lock is still what was judged. */
static bool is_as_judged(const struct es_lock *lock)
{
    struct es_holder now;
    if (!lock->holder.has_seen)
        return is_dangling(lock);
    return es_holder_read(lock->path, &now, NULL) == 0 &&
           es_holder_is_same(&now, &lock->holder.seen);
}

/* Replaces a lock whose holder is gone. False: another process is about to, or the lock changed
 * meanwhile. */
static bool take_over(struct es_lock *lock)
{
    char gone_path[PATH_MAX];
    if (claim(lock) != CLAIM_OURS)
        return false;
    bool taken = is_as_judged(lock) && replace(lock, lock->driver_path);
    if (taken && lock->holder.has_seen && path_of(lock, lock->holder.seen.id, gone_path))
        (void)unlink(gone_path); /* its leases go with it */
    unclaim(lock);
    return taken && names_us(lock, lock->path) == 1;
}

enum step { STEP_TAKEN, STEP_AGAIN, STEP_UNKNOWN, STEP_BUSY, STEP_FAILED };

/* One try to get the lock, without waiting. */
static enum step try_once(struct es_lock *lock, struct es_err *err)
{
    enum es_verdict verdict;
    if (link(lock->driver_path, lock->path) == 0)
        return names_us(lock, lock->path) == 1 ? STEP_TAKEN : STEP_AGAIN;
    if (errno != EEXIST) {
        es_err_sys(err, errno, DOING, lock->path);
        return STEP_FAILED;
    }
    if (names_us(lock, lock->path) == 1) /* handed over; or the server did it, and answered twice */
        return STEP_TAKEN;
    if (es_holder_observe(&lock->holder, lock->path, &lock->me, lock->stale_s, &verdict, err) < 0)
        return STEP_FAILED;
    if (verdict == ES_VERDICT_UNKNOWN) {
        /* If it dies while it holds both, the one is not to be watched after the other. */
        (void)es_holder_observe(&lock->claimer, lock->claim_path, &lock->me, lock->stale_s,
                                &verdict, NULL);
        return STEP_UNKNOWN;
    }
    if (verdict == ES_VERDICT_ALIVE) {
        busy(lock, err);
        return STEP_BUSY;
    }
    return (lock->holder.has_seen || is_dangling(lock)) && take_over(lock) ? STEP_TAKEN
                                                                           : STEP_AGAIN;
}

/* Tells, once, what is waited for: who holds the lock, or the claim on one that nobody holds. */
static void note_wait(struct es_lock *lock, const struct es_lock_request *request, enum step step)
{
    char text[PATH_MAX + 512], who[300];
    bool is_claimed = step == STEP_AGAIN;
    const char *path = is_claimed ? lock->claim_path : lock->path;
    const struct es_holder *holder = is_claimed ? &lock->claimer.seen : &lock->holder.seen;
    if (!request->note || lock->has_noted || (is_claimed && !lock->claimer.has_seen))
        return;
    (void)snprintf(who, sizeof who, "process %ld on %s", holder->pid, holder->host);
    if (step == STEP_BUSY)
        (void)snprintf(text, sizeof text, "waiting for %s, which is just starting the run", who);
    else if (holder->pid > 0)
        (void)snprintf(text, sizeof text,
                       "waiting, %.0f s at most, to see whether %s is alive: it holds %s",
                       lock->stale_s, who, path);
    else
        (void)snprintf(text, sizeof text,
                       "%s names no driver: if it stays as it is for %.0f s, it is replaced", path,
                       lock->stale_s);
    request->note(text, request->context);
    lock->has_noted = true;
}

/* Tries until it is known who holds it. May join: where another driver does, and is ready. */
static int get(struct es_lock *lock, const struct es_lock_request *request, struct es_err *err)
{
    const double begun_s = es_clock_mono_s();
    struct timespec pause = {.tv_nsec = PAUSE_LEAST_NS};
    bool may_join = request->may_join;
    struct es_err fault = {0};
    do {
        enum step step = try_once(lock, &fault);
        if (step == STEP_TAKEN) {
            set_role(lock, ROLE_OWNER);
            return 0;
        }
        if (step == STEP_FAILED || (step == STEP_BUSY && !may_join)) {
            if (err)
                *err = fault;
            return fault.code;
        }
        if (step == STEP_BUSY && lock->holder.seen.is_ready) {
            set_role(lock, ROLE_JOINED);
            es_lock_set_ready(lock);
            return 0;
        }
        if (es_clock_mono_s() - begun_s >= SILENT_S)
            note_wait(lock, request, step);
        (void)nanosleep(&pause, NULL);
        pause.tv_nsec += pause.tv_nsec / 2;
        if (pause.tv_nsec >= PAUSE_MOST_NS)
            pause = (struct timespec){.tv_sec = 1};
    } while (es_clock_mono_s() - begun_s < lock->stale_s + EXTRA_S);
    return lock->holder.has_seen
               ? busy(lock, err)
               : es_err_set(err, ES_ERR_BUSY, DOING, lock->path, "others take it again and again");
}

static int make_driver(struct es_lock *lock, const char *run_dir, struct es_err *err)
{
    char name[ES_HOLDER_ID_SIZE + 16];
    (void)snprintf(name, sizeof name, ES_FOLDER_DRIVERS "/%s", lock->self.id);
    int rc = set_path(lock->path, run_dir, "lock", err);
    if (rc == 0)
        rc = set_path(lock->claim_path, run_dir, "lock.takeover", err);
    if (rc == 0)
        rc = set_path(lock->driver_path, run_dir, name, err);
    return rc < 0 ? rc : es_holder_create(lock->driver_path, &lock->self, &lock->fd, err);
}

int es_lock_enter(const struct es_lock_request *request, struct es_lock **ret_lock,
                  struct es_err *err)
{
    struct es_lock *lock = es_mem_calloc(1, sizeof *lock);
    if (!lock)
        return es_err_nomem(err, DOING);
    lock->fd = -1;
    lock->stale_s = request->stale_s;
    lock->self = es_holder_self();
    lock->me = request->may_join ? es_holder_self_joined() : lock->self;
    pthread_mutex_init(&lock->mutex, NULL);
    int rc = make_driver(lock, request->run_dir, err);
    if (rc == 0)
        rc = get(lock, request, err);
    if (rc < 0) {
        es_lock_release(lock);
        return rc;
    }
    *ret_lock = lock;
    return 0;
}

int es_lock_acquire(const char *run_dir, double stale_s, struct es_lock **ret_lock,
                    struct es_err *err)
{
    const struct es_lock_request request = {.run_dir = run_dir, .stale_s = stale_s};
    return es_lock_enter(&request, ret_lock, err);
}

int es_lock_join(const char *run_dir, double stale_s, struct es_lock **ret_lock, struct es_err *err)
{
    const struct es_lock_request request = {
        .run_dir = run_dir, .stale_s = stale_s, .may_join = true};
    return es_lock_enter(&request, ret_lock, err);
}

const char *es_lock_id(const struct es_lock *lock)
{
    return lock->self.id;
}

void es_lock_set_ready(struct es_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    lock->is_ready = true;
    (void)es_holder_move(lock->fd, ++lock->counter, true);
    pthread_mutex_unlock(&lock->mutex);
}

bool es_lock_owns(struct es_lock *lock)
{
    bool owns = names_us(lock, lock->path) == 1;
    if (owns)
        set_role(lock, ROLE_OWNER);
    return owns;
}

bool es_lock_try(struct es_lock *lock)
{
    bool owns = try_once(lock, NULL) == STEP_TAKEN;
    if (owns)
        set_role(lock, ROLE_OWNER);
    return owns;
}

/* The changes, with the claim in hand. */
static bool leave(struct es_lock *lock, const char *heir)
{
    enum es_verdict verdict;
    char heir_path[PATH_MAX];
    int owns = names_us(lock, lock->path);
    if (owns < 0 || owns != (heir != NULL))
        return false;
    if (heir)
        return path_of(lock, heir, heir_path) && replace(lock, heir_path);
    return es_holder_observe(&lock->holder, lock->path, &lock->me, lock->stale_s, &verdict, NULL) ==
               0 &&
           verdict == ES_VERDICT_ALIVE;
}

bool es_lock_leave(struct es_lock *lock, const char *heir)
{
    if (claim(lock) != CLAIM_OURS)
        return false;
    pthread_mutex_lock(&lock->mutex); /* a beat would take the lock for lost */
    bool has_left = leave(lock, heir);
    if (has_left) {
        lock->role = ROLE_LEFT;
        (void)unlink(lock->driver_path);
    }
    pthread_mutex_unlock(&lock->mutex);
    unclaim(lock);
    return has_left;
}

/* A name is not our file's any more. Unless all of the folder is gone, others did that. */
static int lost(const struct es_lock *lock, const char *path, const char *why, struct es_err *err)
{
    struct stat st;
    char folder[PATH_MAX];
    (void)path_of(lock, ".", folder);
    if (stat(folder, &st) < 0 && errno == ENOENT)
        return es_err_sys(err, ENOENT, "keeping the lock", path);
    return es_err_set(err, ES_ERR_BUSY, "keeping the lock", path, "%s", why);
}

/* What a beat finds out, with the mutex held. */
static int check(const struct es_lock *lock, struct es_err *err)
{
    if (lock->role == ROLE_LEFT)
        return 0;
    if (lock->role == ROLE_OWNER && names_us(lock, lock->path) == 0)
        return lost(lock, lock->path, "another driver took the run over", err);
    if (names_us(lock, lock->driver_path) == 0)
        return lost(lock, lock->driver_path, "another driver took this one for gone", err);
    return 0;
}

int es_lock_beat(struct es_lock *lock, struct es_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&lock->mutex);
    if (es_holder_move(lock->fd, ++lock->counter, lock->is_ready) < 0)
        rc = es_err_sys(err, errno, "keeping the lock", lock->path);
    if (rc == 0)
        rc = check(lock, err);
    pthread_mutex_unlock(&lock->mutex);
    return rc;
}

/* The claim for the end, which waits for others to be through with it. */
static enum claim claim_to_end(struct es_lock *lock)
{
    const struct timespec pause = {.tv_nsec = PAUSE_LEAST_NS};
    double until_s = es_clock_mono_s() + RELEASE_S;
    enum claim claimed;
    while ((claimed = claim(lock)) == CLAIM_OTHERS && es_clock_mono_s() < until_s)
        (void)nanosleep(&pause, NULL);
    return claimed;
}

/* Removes what names our file. With the claim in hand: between a look at the lock and its removal
 * somebody else could take it over, or hand it to us. Without (somebody died with it, far away),
 * the lock is left: it is stale once this process is gone. */
static void remove_names(struct es_lock *lock)
{
    if (names_us(lock, lock->driver_path) != 1 && names_us(lock, lock->path) != 1)
        return;
    enum claim claimed = claim_to_end(lock);
    if (claimed != CLAIM_OTHERS && names_us(lock, lock->path) == 1)
        (void)unlink(lock->path);
    if (names_us(lock, lock->driver_path) == 1)
        (void)unlink(lock->driver_path);
    if (claimed == CLAIM_OURS)
        unclaim(lock);
}

void es_lock_release(struct es_lock *lock)
{
    if (!lock)
        return;
    if (lock->fd >= 0)
        remove_names(lock);
    es_fd_close(&lock->fd);
    pthread_mutex_destroy(&lock->mutex);
    free(lock);
}
