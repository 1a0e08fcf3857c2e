#include "exec/evaluator.h"

#include "core/mem.h"
#include "exec/channel.h"
#include "exec/fifo.h"
#include "exec/logfile.h"
#include "exec/process.h"
#include "exec/request.h"
#include "exec/spawn.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REPLY_LIMIT_BYTES = 64 * 1024 * 1024,
    KEEP_REPLY_BYTES = 1024 * 1024, /* a reply buffer beyond this is not kept for the next */
    CHUNK_BYTES = 65536,
    MAX_CHUNKS = 16, /* a step; a pipe holds no more */
};

/* For an evaluator that no longer reads: time to end by itself and show its own exit code. */
static const double closed_stdin_grace_s = 1;

static const int64_t never_ns = INT64_MAX;

struct es_evaluator {
    struct es_evaluator_spec spec;
    struct es_env env;
    struct es_args args;
    char *program; /* the command's file; NULL: not looked up yet */
    struct es_process process;
    struct es_channel pipe;
    struct es_channel fifo;
    char *fifo_path;
    struct es_buf unsent; /* of the request */
    struct es_log log;
    bool busy;                   /* a request has no outcome yet */
    bool stopping;               /* es_evaluator_stop */
    bool terminated;             /* it was sent SIGTERM or SIGKILL */
    enum es_outcome_kind ending; /* why its end was begun from here; NONE: it was not */
    const char *fault;           /* GARBAGE: what it did */
    double timeout_s;            /* of the unit; 0: none */
    int64_t term_ns;             /* when it gets SIGTERM: timeout, or end of grace */
    int64_t kill_ns;             /* when it gets SIGKILL */
    struct es_outcome outcome;
    struct es_buf reply;
    char tail[ES_LOG_TAIL_BYTES];
    char chunk[CHUNK_BYTES];
};

static int build_env(const struct es_evaluator_spec *spec, struct es_env *env)
{
    int rc = es_env_init(env, environ);
    for (size_t i = 0; rc == 0 && i < spec->n_env; i++)
        rc = es_env_set(env, spec->env[i].name, spec->env[i].value);
    if (rc == 0)
        rc = es_env_set(env, "EVALSWEEP_RUN_DIR", spec->run_dir);
    if (rc < 0)
        es_env_clear(env);
    return rc;
}

bool es_evaluator_can_start(const struct es_evaluator_spec *spec, char *ret_why, size_t size_bytes)
{
    struct es_env env = {0};
    int why = ENOMEM;
    char *program = NULL;
    if (build_env(spec, &env) == 0) {
        program = es_spawn_find(spec->command[0], es_env_get(&env, "PATH"));
        why = errno;
    }
    if (!program)
        (void)snprintf(ret_why, size_bytes, "%s", strerror(why));
    es_env_clear(&env);
    bool found = program != NULL;
    free(program);
    return found;
}

static int open_fifo(struct es_evaluator *evaluator, struct es_err *err)
{
    int rc = es_fifo_create(&evaluator->fifo_path, &evaluator->fifo.fd, err);
    if (rc < 0)
        return rc;
    es_guard_set_fifo(evaluator->process.guard_cell, evaluator->fifo_path);
    char reply_fd[16];
    (void)snprintf(reply_fd, sizeof reply_fd, "%d", ES_SPAWN_REPLY_FD);
    if (es_env_set(&evaluator->env, "EVALSWEEP_REPLY_PATH", evaluator->fifo_path) < 0 ||
        es_env_set(&evaluator->env, "EVALSWEEP_REPLY_FD", reply_fd) < 0)
        return es_err_nomem(err, "preparing the evaluator");
    return 0;
}

int es_evaluator_create(const struct es_evaluator_spec *spec, struct es_evaluator **ret_evaluator,
                        struct es_err *err)
{
    struct es_evaluator *evaluator = es_mem_calloc(1, sizeof *evaluator);
    if (!evaluator)
        return es_err_nomem(err, "preparing the evaluator");
    evaluator->spec = *spec;
    evaluator->pipe = (struct es_channel){.fd = -1, .limit_bytes = REPLY_LIMIT_BYTES};
    evaluator->fifo = evaluator->pipe;
    evaluator->term_ns = evaluator->kill_ns = never_ns;
    es_log_init(&evaluator->log, spec->log_limit_bytes);
    es_process_init(&evaluator->process);
    int rc = 0;
    if (build_env(spec, &evaluator->env) < 0)
        rc = es_err_nomem(err, "preparing the evaluator");
    else if (spec->persistent)
        rc = open_fifo(evaluator, err);
    if (rc < 0) {
        es_evaluator_free(evaluator);
        return rc;
    }
    *ret_evaluator = evaluator;
    return 0;
}

void es_evaluator_free(struct es_evaluator *evaluator)
{
    if (!evaluator)
        return;
    es_process_clear(&evaluator->process);
    es_channel_clear(&evaluator->pipe);
    es_channel_clear(&evaluator->fifo);
    es_fifo_remove(evaluator->fifo_path);
    es_log_clear(&evaluator->log);
    es_args_clear(&evaluator->args);
    es_env_clear(&evaluator->env);
    es_buf_clear(&evaluator->unsent);
    es_buf_clear(&evaluator->reply);
    free(evaluator->program);
    free(evaluator);
}

/* ------------------------------------------------------------------------------ outcomes */

static void copy_tail(struct es_evaluator *evaluator)
{
    struct es_outcome *outcome = &evaluator->outcome;
    const char *tail = es_log_tail(&evaluator->log, &outcome->log_tail_n);
    memcpy(evaluator->tail, tail, outcome->log_tail_n);
    outcome->log_tail = evaluator->tail;
}

static void publish(struct es_evaluator *evaluator, enum es_outcome_kind kind)
{
    copy_tail(evaluator);
    es_log_end(&evaluator->log);
    evaluator->outcome.kind = kind;
    evaluator->outcome.ended_ns = es_clock_mono_ns();
    evaluator->busy = false;
    if (evaluator->ending == ES_OUTCOME_NONE)
        evaluator->term_ns = never_ns;
}

static void publish_reply(struct es_evaluator *evaluator, struct es_channel *channel)
{
    es_channel_take(channel, &evaluator->reply);
    evaluator->outcome.reply = evaluator->reply.data;
    evaluator->outcome.reply_n = evaluator->reply.len;
    publish(evaluator, ES_OUTCOME_REPLY);
}

/* What it means that the process ended before there was an outcome. */
static enum es_outcome_kind kind_of_end(const struct es_evaluator *evaluator,
                                        const struct es_process_end *end)
{
    bool success = end->exit_code == 0 && !evaluator->spec.persistent;
    if (evaluator->ending == ES_OUTCOME_STOPPED)
        return success && !evaluator->terminated ? ES_OUTCOME_EXIT_OK : ES_OUTCOME_STOPPED;
    if (evaluator->ending != ES_OUTCOME_NONE && evaluator->terminated)
        return evaluator->ending;
    if (success)
        return ES_OUTCOME_EXIT_OK;
    return end->signal ? ES_OUTCOME_SIGNAL : ES_OUTCOME_EXIT;
}

static void describe_end(struct es_evaluator *evaluator, enum es_outcome_kind kind,
                         const struct es_process_end *end)
{
    char *text = evaluator->outcome.exit_text;
    size_t size_bytes = sizeof evaluator->outcome.exit_text;
    if (kind == ES_OUTCOME_TIMEOUT)
        (void)snprintf(text, size_bytes, "timeout after %g s", evaluator->timeout_s);
    else if (kind == ES_OUTCOME_GARBAGE)
        (void)snprintf(text, size_bytes, "%s", evaluator->fault);
    else
        es_process_end_text(end, text, size_bytes);
}

/* ------------------------------------------------------------------------------ the pipes */

/* Its end begins: SIGKILL at once, or SIGTERM after a grace. */
static void begin_end(struct es_evaluator *evaluator, enum es_outcome_kind why, int64_t term_ns)
{
    if (evaluator->ending == ES_OUTCOME_NONE)
        evaluator->ending = why;
    if (term_ns < evaluator->term_ns && !evaluator->terminated)
        evaluator->term_ns = term_ns;
}

static void kill_for(struct es_evaluator *evaluator, const char *fault)
{
    evaluator->fault = fault;
    evaluator->ending = ES_OUTCOME_GARBAGE;
    evaluator->terminated = true;
    evaluator->term_ns = evaluator->kill_ns = never_ns;
    es_process_signal(&evaluator->process, SIGKILL);
}

static void send_request(struct es_evaluator *evaluator)
{
    struct es_process *process = &evaluator->process;
    struct es_buf *unsent = &evaluator->unsent;
    while (unsent->len && process->stdin_fd >= 0) {
        ssize_t n = write(process->stdin_fd, unsent->data, unsent->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return; /* it does not read yet */
        if (n < 0) {
            es_fd_close(&process->stdin_fd);
            evaluator->fault = "it closed its standard input";
            begin_end(evaluator, ES_OUTCOME_GARBAGE,
                      es_clock_after_ns(es_clock_mono_ns(), closed_stdin_grace_s));
            break;
        }
        es_buf_consume(unsent, (size_t)n);
    }
    if (evaluator->stopping)
        es_fd_close(&process->stdin_fd);
}

static void read_output(struct es_evaluator *evaluator)
{
    for (int i = 0; i < MAX_CHUNKS; i++) {
        ssize_t n = read(evaluator->process.output_fd, evaluator->chunk, CHUNK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        es_log_write(&evaluator->log, evaluator->chunk, (size_t)n);
        if (n < CHUNK_BYTES)
            return;
    }
}

/* The channel that holds the reply, or NULL. */
static struct es_channel *read_replies(struct es_evaluator *evaluator)
{
    struct es_channel *channels[2] = {&evaluator->pipe, &evaluator->fifo};
    bool late = evaluator->terminated && evaluator->ending != ES_OUTCOME_STOPPED;
    for (int i = 0; i < 2; i++) {
        if (!evaluator->busy || late) {
            es_channel_discard(channels[i]); /* nothing was asked */
            continue;
        }
        switch (es_channel_read(channels[i])) {
        case ES_CHANNEL_LINE:
            return channels[i];
        case ES_CHANNEL_TOO_LONG:
            kill_for(evaluator, "its reply is longer than 64 MiB");
            return NULL;
        case ES_CHANNEL_WAITING:
            break;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------ the process */

static void forget_process(struct es_evaluator *evaluator)
{
    es_process_reap(&evaluator->process);
    es_fd_close(&evaluator->pipe.fd);
    es_channel_reset(&evaluator->pipe);
    es_channel_discard(&evaluator->fifo);
    es_buf_reset(&evaluator->unsent);
    evaluator->term_ns = evaluator->kill_ns = never_ns;
    evaluator->ending = ES_OUTCOME_NONE;
    evaluator->stopping = evaluator->terminated = false;
}

/* Takes note of the end of the process, if it has ended. A reply that it left is a reply. */
static void notice_end(struct es_evaluator *evaluator)
{
    struct es_process_end end;
    if (!es_process_ended(&evaluator->process, &end))
        return;
    struct es_channel *reply = read_replies(evaluator);
    read_output(evaluator);
    if (evaluator->busy) {
        enum es_outcome_kind kind = kind_of_end(evaluator, &end);
        if (reply) {
            publish_reply(evaluator, reply);
        } else {
            describe_end(evaluator, kind, &end);
            publish(evaluator, kind);
        }
    } else if (evaluator->outcome.kind == ES_OUTCOME_NONE) {
        describe_end(evaluator, ES_OUTCOME_NONE, &end);
        copy_tail(evaluator);
    }
    forget_process(evaluator);
}

static void enforce_times(struct es_evaluator *evaluator, int64_t now_ns)
{
    if (now_ns >= evaluator->term_ns) {
        if (evaluator->ending == ES_OUTCOME_NONE)
            evaluator->ending = ES_OUTCOME_TIMEOUT;
        evaluator->term_ns = never_ns;
        evaluator->kill_ns = es_clock_after_ns(now_ns, evaluator->spec.kill_after_s);
        evaluator->terminated = true;
        es_process_signal(&evaluator->process, SIGTERM);
    }
    if (now_ns >= evaluator->kill_ns) {
        evaluator->kill_ns = never_ns;
        es_process_signal(&evaluator->process, SIGKILL);
    }
}

void es_evaluator_step(struct es_evaluator *evaluator, int64_t now_ns)
{
    if (evaluator->process.pid < 0)
        return;
    if (evaluator->unsent.len)
        send_request(evaluator);
    /* The reply before the output: what was printed before replying is then surely there. */
    struct es_channel *reply = read_replies(evaluator);
    read_output(evaluator);
    if (reply)
        publish_reply(evaluator, reply);
    notice_end(evaluator);
    if (evaluator->process.pid > 0)
        enforce_times(evaluator, now_ns);
}

/* Runs the command, whose arguments are ready in argv. */
static int start_process(struct es_evaluator *evaluator, char *const *argv, struct es_err *err)
{
    if (!evaluator->program)
        evaluator->program =
            es_spawn_find(evaluator->spec.command[0], es_env_get(&evaluator->env, "PATH"));
    if (!evaluator->program)
        return es_err_set(err, errno == ENOMEM ? ES_ERR_NOMEM : ES_ERR_SPAWN,
                          "starting the evaluator", evaluator->spec.command[0], "%s",
                          strerror(errno));
    struct es_process_command command = {
        .path = evaluator->program, .argv = argv, .envp = evaluator->env.entries};
    return es_process_start(&evaluator->process, &command,
                            evaluator->spec.persistent ? &evaluator->pipe.fd : NULL, err);
}

static int start_persistent(struct es_evaluator *evaluator, struct es_err *err)
{
    /* execve takes the arguments as not const, and does not change them. */
    union {
        const char *const *given;
        char *const *wanted;
    } argv = {.given = evaluator->spec.command};
    return start_process(evaluator, argv.wanted, err);
}

int es_evaluator_start(struct es_evaluator *evaluator, struct es_err *err)
{
    if (!evaluator->spec.persistent || evaluator->process.pid > 0)
        return 0;
    return start_persistent(evaluator, err);
}

/* ------------------------------------------------------------------------------ a unit */

static int begin_persistent(struct es_evaluator *evaluator,
                            const struct es_evaluator_request *request, struct es_err *err)
{
    if (evaluator->process.pid > 0)
        notice_end(evaluator);
    if (evaluator->process.pid > 0 && evaluator->ending != ES_OUTCOME_NONE) {
        es_process_signal(&evaluator->process, SIGKILL); /* it no longer reads requests */
        forget_process(evaluator);
    }
    int rc = es_evaluator_start(evaluator, err);
    if (rc < 0)
        return rc;
    es_channel_reset(&evaluator->pipe);
    es_channel_reset(&evaluator->fifo);
    es_buf_reset(&evaluator->unsent);
    es_request_line(request, &evaluator->unsent);
    if (evaluator->unsent.failed) {
        es_buf_reset(&evaluator->unsent);
        return es_err_nomem(err, "writing the evaluator's request");
    }
    return 0;
}

static int begin_one_shot(struct es_evaluator *evaluator,
                          const struct es_evaluator_request *request, struct es_err *err)
{
    if (es_request_env(request, &evaluator->env) < 0 ||
        es_args_expand(evaluator->spec.command, request, evaluator->spec.run_dir,
                       &evaluator->args) < 0)
        return es_err_nomem(err, "preparing the evaluator");
    return start_process(evaluator, evaluator->args.argv, err);
}

int es_evaluator_begin(struct es_evaluator *evaluator, const struct es_evaluator_request *request,
                       struct es_err *err)
{
    if (evaluator->busy || evaluator->stopping || evaluator->outcome.kind != ES_OUTCOME_NONE)
        return es_err_set(err, ES_ERR_INTERNAL, "handing over a unit", request->output_dir,
                          "the evaluator is not free");
    evaluator->outcome =
        (struct es_outcome){.begun_ns = es_clock_mono_ns(), .log_tail = evaluator->tail};
    int rc = evaluator->spec.persistent ? begin_persistent(evaluator, request, err)
                                        : begin_one_shot(evaluator, request, err);
    if (rc < 0)
        return rc;
    es_log_begin(&evaluator->log, request->output_dir_fd);
    evaluator->busy = true;
    evaluator->timeout_s = request->timeout_s;
    if (evaluator->timeout_s > 0)
        evaluator->term_ns = es_clock_after_ns(evaluator->outcome.begun_ns, evaluator->timeout_s);
    send_request(evaluator);
    return 0;
}

void es_evaluator_stop(struct es_evaluator *evaluator, double grace_s)
{
    if (evaluator->process.pid < 0)
        return;
    evaluator->stopping = true;
    begin_end(evaluator, ES_OUTCOME_STOPPED, es_clock_after_ns(es_clock_mono_ns(), grace_s));
    send_request(evaluator); /* what is left of it; then closes stdin */
}

void es_evaluator_hurry(struct es_evaluator *evaluator, double kill_after_s)
{
    int64_t by_ns = es_clock_after_ns(es_clock_mono_ns(), kill_after_s);
    evaluator->spec.kill_after_s = kill_after_s;
    if (evaluator->kill_ns != never_ns && by_ns < evaluator->kill_ns)
        evaluator->kill_ns = by_ns;
}

void es_evaluator_kill(struct es_evaluator *evaluator)
{
    if (evaluator->process.pid < 0)
        return;
    evaluator->stopping = evaluator->terminated = true;
    if (evaluator->ending == ES_OUTCOME_NONE)
        evaluator->ending = ES_OUTCOME_STOPPED;
    evaluator->term_ns = evaluator->kill_ns = never_ns;
    es_process_signal(&evaluator->process, SIGKILL);
}

size_t es_evaluator_poll_fds(const struct es_evaluator *evaluator, struct pollfd *ret_fds)
{
    const struct es_process *process = &evaluator->process;
    size_t n = 0;
    if (process->pid < 0)
        return 0;
    ret_fds[n++] = (struct pollfd){.fd = process->output_fd, .events = POLLIN};
    if (evaluator->pipe.fd >= 0)
        ret_fds[n++] = (struct pollfd){.fd = evaluator->pipe.fd, .events = POLLIN};
    if (evaluator->fifo.fd >= 0)
        ret_fds[n++] = (struct pollfd){.fd = evaluator->fifo.fd, .events = POLLIN};
    if (process->stdin_fd >= 0 && evaluator->unsent.len)
        ret_fds[n++] = (struct pollfd){.fd = process->stdin_fd, .events = POLLOUT};
    return n;
}

int64_t es_evaluator_deadline_ns(const struct es_evaluator *evaluator)
{
    return evaluator->term_ns < evaluator->kill_ns ? evaluator->term_ns : evaluator->kill_ns;
}

enum es_evaluator_state es_evaluator_state(const struct es_evaluator *evaluator)
{
    if (evaluator->process.pid < 0)
        return ES_EVALUATOR_STOPPED;
    if (evaluator->stopping)
        return ES_EVALUATOR_STOPPING;
    bool untaken = evaluator->outcome.kind != ES_OUTCOME_NONE;
    return evaluator->busy || untaken ? ES_EVALUATOR_BUSY : ES_EVALUATOR_IDLE;
}

const struct es_outcome *es_evaluator_outcome(const struct es_evaluator *evaluator)
{
    return &evaluator->outcome;
}

void es_evaluator_take(struct es_evaluator *evaluator)
{
    evaluator->outcome = (struct es_outcome){.log_tail = evaluator->tail};
    if (evaluator->reply.cap > KEEP_REPLY_BYTES)
        es_buf_clear(&evaluator->reply);
}

int es_evaluator_pid(const struct es_evaluator *evaluator)
{
    return (int)evaluator->process.pid;
}
