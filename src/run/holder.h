/* A driver as its file names it: who it is, and whether it is still there.
 *
 * Every driver has a file, <run_dir>/.evalsweep/drivers/<id>, with host, boot, pid, Slurm job, step
 * and restart count, and a counter that it moves; the run's lock is a second name of its holder's
 * file (run/lock.h). A driver is gone when
 *   - it ran under the same boot (and pid namespace), and the process is not there any more;
 *   - it has the same Slurm job id and a lower restart count or step id: Slurm ended it;
 *   - its counter has not moved for a time on the observer's own monotonic clock.
 */
#ifndef ES_RUN_HOLDER_H
#define ES_RUN_HOLDER_H

#include "evalsweep/error.h"

#include <stdbool.h>

#define ES_HOLDER_ID_SIZE 128

struct es_holder {
    char id[ES_HOLDER_ID_SIZE]; /* its file's name; "": not told, or none that could be a name */
    char host[256];
    char boot[128]; /* boot id and pid namespace: pids mean something only where both are equal */
    long pid;
    double pid_start; /* of the process, in clock ticks: another one may have its pid now */
    char job_id[64];
    double step_id, restart_count; /* NaN: not under Slurm */
    double counter;
    bool is_ready; /* the run's files under .evalsweep/ are those of this start */
};

/* This process, with an id that nobody else has. */
struct es_holder es_holder_self(void);

/* The same without its step id: steps of one job may run side by side, once one has joined another,
 * and a lower one is not gone for that. */
struct es_holder es_holder_self_joined(void);

/* Writes a new file of this holder at path; *ret_fd is its descriptor. */
int es_holder_create(const char *path, const struct es_holder *holder, int *ret_fd,
                     struct es_err *err);

/* Moves the counter, through the descriptor. -1 with errno set. */
int es_holder_move(int fd, unsigned long long counter, bool is_ready);

/* Who the file at path names. ES_ERR_NOENT: it is not there. A file that is none of ours names
 * nobody, with a NaN counter, which does not move. */
int es_holder_read(const char *path, struct es_holder *ret_holder, struct es_err *err);

bool es_holder_is_same(const struct es_holder *a, const struct es_holder *b);

enum es_verdict { ES_VERDICT_GONE, ES_VERDICT_ALIVE, ES_VERDICT_UNKNOWN };

/* What can be told at once, from here. */
enum es_verdict es_holder_judge(const struct es_holder *holder, const struct es_holder *me);

/* What one observer has seen of a file so far; zeros before the first look. */
struct es_holder_watch {
    struct es_holder seen;
    bool has_seen;
    bool has_moved;
    double since_s; /* of the counter as seen */
};

/* Looks at the file once more, and waits for nothing: GONE also when it is not there, or stood
 * still for stale_s since it was first seen so; UNKNOWN until it has moved. */
int es_holder_observe(struct es_holder_watch *watch, const char *path, const struct es_holder *me,
                      double stale_s, enum es_verdict *ret_verdict, struct es_err *err);

#endif
