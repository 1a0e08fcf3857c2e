/* Evaluator processes: one-shot or persistent, in their own process group, dying with their rank.
 *
 * A state machine without a loop of its own: the caller polls the descriptors that it names, and
 * calls es_evaluator_step when one is ready, a child ended (SIGCHLD) or the deadline passed.
 *
 *     es_evaluator_create(&spec, &evaluator, &err);
 *     es_evaluator_start(evaluator, &err);                    // persistent: runs the command now
 *     es_evaluator_begin(evaluator, &request, &err);          // a unit
 *     loop: poll(es_evaluator_poll_fds(...)); es_evaluator_step(evaluator, now_ns)
 *           until es_evaluator_outcome(evaluator)->kind != ES_OUTCOME_NONE
 *     es_evaluator_stop(evaluator, grace_s); ... step until es_evaluator_state is STOPPED
 *
 * States: STOPPED -start-> IDLE -begin-> BUSY -outcome taken-> IDLE (persistent) or STOPPED
 * (one-shot); any -stop-> STOPPING -> STOPPED; a persistent one that dies goes to STOPPED by
 * itself, with an outcome if it was BUSY, and otherwise exit_text and log_tail of an outcome whose
 * kind stays NONE. The state is that of the process: after an outcome that came with its end it is
 * STOPPED, taken or not.
 *
 * The child gets: no OMPI_*, PMI*, PMIX_*, PRTE_*, RANK, WORLD_SIZE, LOCAL_RANK or Slurm per-task
 * variables; PYTHONUNBUFFERED=1; SIGINT, SIGUSR1, SIGUSR2 ignored, SIGTERM, SIGPIPE and SIGCHLD
 * default and no signal blocked; a raised oom_score_adj; no descriptor but stdin, stdout, stderr
 * and the reply's.
 *
 * Everything here is called by one thread, which must live as long as the evaluator
 * (PR_SET_PDEATHSIG goes by thread).
 */
#ifndef ES_EXEC_EVALUATOR_H
#define ES_EXEC_EVALUATOR_H

#include "evalsweep/error.h"
#include "exec/env.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/* Everything borrowed until the evaluator is freed. */
struct es_evaluator_spec {
    bool persistent;
    const char *const *command; /* NULL-terminated; one-shot: placeholders in arguments replaced */
    const struct es_env_pair *env; /* [n_env] set on top of the cleaned environment */
    size_t n_env;
    const char *run_dir;
    double kill_after_s;    /* between SIGTERM and SIGKILL */
    size_t log_limit_bytes; /* of one unit's log.txt; 0: none */
};

/* One unit to compute. */
struct es_evaluator_request {
    uint32_t unit_id;
    const char *checkpoint;
    int32_t layer;
    const char *task;
    const char *output_dir; /* absolute */
    int output_dir_fd; /* where log.txt is made when there is output; borrowed until the outcome */
    uint32_t attempt;
    const int32_t *bundle; /* [n_bundle] layers of the bundle */
    size_t n_bundle;
    const char *next_checkpoint; /* or NULL */
    double timeout_s;            /* 0: none */
};

enum es_evaluator_state {
    ES_EVALUATOR_STOPPED,
    ES_EVALUATOR_IDLE,
    ES_EVALUATOR_BUSY,
    ES_EVALUATOR_STOPPING
};

enum es_outcome_kind {
    ES_OUTCOME_NONE,    /* still at work */
    ES_OUTCOME_REPLY,   /* persistent: a reply line came (which the caller parses) */
    ES_OUTCOME_EXIT_OK, /* one-shot: exit code 0 */
    ES_OUTCOME_EXIT,    /* it exited otherwise, or a persistent one ended without a reply */
    ES_OUTCOME_SIGNAL,
    ES_OUTCOME_TIMEOUT, /* and was stopped */
    ES_OUTCOME_GARBAGE, /* a reply beyond the limit, or bytes that are no line */
    ES_OUTCOME_STOPPED, /* es_evaluator_stop ended it */
};

struct es_outcome {
    enum es_outcome_kind kind;
    const char *reply; /* REPLY: the line without its newline, NUL-terminated */
    size_t reply_n;
    char exit_text[64];   /* "exit code 1", "signal 9 (Killed)", "timeout after 10 s" */
    const char *log_tail; /* the unit's last output, up to 4 KiB */
    size_t log_tail_n;
    int64_t begun_ns; /* monotonic: when the request was handed over */
    int64_t ended_ns;
};

struct es_evaluator;

/* Whether the command can be found and executed (by PATH of the environment it will have); else why
 * not, in ret_why (untouched otherwise). Tells nothing of the interpreter of a script: start does.
 */
bool es_evaluator_can_start(const struct es_evaluator_spec *spec, char *ret_why, size_t size_bytes);

int es_evaluator_create(const struct es_evaluator_spec *spec, struct es_evaluator **ret_evaluator,
                        struct es_err *err);
/* Kills what still runs. */
void es_evaluator_free(struct es_evaluator *evaluator);

/* Persistent: starts the process, unless it runs. ES_ERR_SPAWN: it cannot be executed; other codes:
 * a shortage (descriptors, processes, memory). One-shot: nothing to do. */
int es_evaluator_start(struct es_evaluator *evaluator, struct es_err *err);

/* Hands over a unit. Persistent ones that are STOPPED are started first. Errors are those of start,
 * and ES_ERR_INTERNAL while another unit is under way, its outcome not taken, or it is STOPPING. */
int es_evaluator_begin(struct es_evaluator *evaluator, const struct es_evaluator_request *request,
                       struct es_err *err);

/* Begins to stop: closes stdin (persistent: it is to finish and exit), SIGTERM to the group after
 * grace_s, SIGKILL kill_after_s later. A unit under way that comes to a good end within the grace
 * has the outcome REPLY or EXIT_OK, else STOPPED. Again, with less grace: sooner. */
void es_evaluator_stop(struct es_evaluator *evaluator, double grace_s);

/* From now on SIGKILL comes this soon after SIGTERM, also after one that was sent already. */
void es_evaluator_hurry(struct es_evaluator *evaluator, double kill_after_s);

/* Kills what runs: SIGKILL to the group, now. Then as after a stop. */
void es_evaluator_kill(struct es_evaluator *evaluator);

/* Descriptors to poll, at most 4; how many. */
size_t es_evaluator_poll_fds(const struct es_evaluator *evaluator, struct pollfd *ret_fds);

/* Does what can be done without waiting: reads replies and output, reaps, enforces timeouts. */
void es_evaluator_step(struct es_evaluator *evaluator, int64_t now_ns);

/* When step must be called at the latest; INT64_MAX: no such time. */
int64_t es_evaluator_deadline_ns(const struct es_evaluator *evaluator);

enum es_evaluator_state es_evaluator_state(const struct es_evaluator *evaluator);

/* The outcome of the unit under way; borrowed until es_evaluator_take. */
const struct es_outcome *es_evaluator_outcome(const struct es_evaluator *evaluator);

/* Takes note that the outcome was read: the next unit may begin. */
void es_evaluator_take(struct es_evaluator *evaluator);

/* The process id, or -1. */
int es_evaluator_pid(const struct es_evaluator *evaluator);

#endif
