#include "mpi/worker.h"

#include "core/mem.h"
#include "evalsweep/jobfile.h"
#include "exec/evaluator.h"
#include "mpi/attempt.h"
#include "mpi/backlog.h"
#include "run/lease.h"
#include "sys/await.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

/* Results wait at most this long for others to share their message. */
#define FLUSH_NS 10000000
/* A batch is sent at this size whatever its age. */
#define FLUSH_BYTES 65536
/* Units of mode null that run before the messages are looked at again. */
#define NULL_BURST 64
#define KILL_AFTER_S 5.0
/* The same where running units get no time at all: mpirun sends SIGKILL a second after its SIGTERM,
 * and rank 0 writes up in what is left of that. */
#define KILL_SOON_S 0.4
#define QUIT_GRACE_S 10.0
#define RETRY_NS 100000000
#define LOG_LIMIT_BYTES ((size_t)16 << 20)

struct worker {
    const struct es_worker_args *args;
    struct es_message config_message; /* the texts of config lie here */
    struct es_config config;
    struct es_job *job;
    struct es_layout *layout;
    struct es_evaluator *evaluator; /* NULL: mode null */
    struct es_env_pair *env;
    char n_threads[16];
    char device[ES_WIRE_TEXT_SIZE];
    int run_dir_fd;
    int leases_fd;
    int child_fd; /* signalfd of SIGCHLD */
    struct es_backlog backlog;
    struct es_attempt attempt;
    struct es_buf results;    /* a RESULTS message in the making; empty: none */
    int64_t results_since_ns; /* when its first entry came */
    struct es_buf message;    /* any other message in the making */
    bool is_broken;           /* told the coordinator that it cannot go on */
    bool is_draining;
    int64_t drain_until_ns; /* valid while draining */
    bool is_resetting;      /* not READY again before the unit at hand has ended */
    bool is_quitting;
    bool has_ended;
};

/* Somebody waits for it: out of memory, it is tried until there is some again. */
static void send_ready(struct worker *w, const char *why, const char *note)
{
    struct es_ready ready = {.why = why, .note = note};
    es_ready_encode(&ready, &w->message);
    while (es_transport_send_buf(w->args->transport, w->args->coordinator, &w->message) < 0) {
        es_await_fds(NULL, 0, RETRY_NS);
        es_ready_encode(&ready, &w->message);
    }
}

/* Whether there are results to be sent, be it only to find out that they were lost. */
static bool has_results(const struct worker *w)
{
    return w->results.len || w->results.failed;
}

static void flush_results(struct worker *w);

/* The worker cannot go on: what it holds is for others. */
static void give_up(struct worker *w, const struct es_err *err)
{
    char text[1024];
    if (w->is_broken)
        return;
    es_err_text(err, text, sizeof text);
    w->is_broken = true;
    es_backlog_clear(&w->backlog);
    flush_results(w); /* what was done counts: it is told before */
    send_ready(w, text, "");
}

static void flush_results(struct worker *w)
{
    if (!has_results(w))
        return;
    if (es_transport_send_buf(w->args->transport, w->args->coordinator, &w->results) < 0) {
        struct es_err err = {0};
        es_err_nomem(&err, "sending results");
        give_up(w, &err);
    }
}

static void add_result(struct worker *w, const struct es_result_entry *entry,
                       const struct es_result *result, int64_t now_ns)
{
    if (!has_results(w)) {
        es_results_begin(&w->results);
        w->results_since_ns = now_ns;
    }
    es_results_add(&w->results, entry, result);
}

static void add_plain_result(struct worker *w, struct es_unit unit, enum es_result_kind kind)
{
    struct es_result_entry entry = {.unit_id = es_grid_id(w->job->grid, unit), .kind = kind};
    add_result(w, &entry, NULL, es_clock_mono_ns());
}

/* The device variable and OMP_NUM_THREADS, then the job's own, which win. */
static int make_env(struct worker *w, size_t *ret_n, struct es_err *err)
{
    size_t n = 0;
    w->env = es_mem_calloc(w->job->evaluator.n_env + 2, sizeof *w->env);
    if (!w->env)
        return es_err_nomem(err, "preparing the evaluator's environment");
    if (w->config.device_variable[0])
        w->env[n++] = (struct es_env_pair){w->config.device_variable, w->config.device_visible};
    if (!getenv("OMP_NUM_THREADS")) {
        (void)snprintf(w->n_threads, sizeof w->n_threads, "%u", w->config.n_threads);
        w->env[n++] = (struct es_env_pair){"OMP_NUM_THREADS", w->n_threads};
    }
    for (size_t i = 0; i < w->job->evaluator.n_env; i++)
        w->env[n++] =
            (struct es_env_pair){w->job->evaluator.env[i].name, w->job->evaluator.env[i].value};
    *ret_n = n;
    return 0;
}

static int make_evaluator(struct worker *w, struct es_err *err)
{
    if (w->job->evaluator.mode == ES_EVALUATOR_NULL)
        return 0;
    size_t n_env = 0;
    int rc = make_env(w, &n_env, err);
    if (rc < 0)
        return rc;
    struct es_evaluator_spec spec = {
        .persistent = w->job->evaluator.mode == ES_EVALUATOR_PERSISTENT,
        .command = (const char *const *)w->job->evaluator.command,
        .env = w->env,
        .n_env = n_env,
        .run_dir = w->config.run_dir,
        .kill_after_s = KILL_AFTER_S,
        .log_limit_bytes = LOG_LIMIT_BYTES,
    };
    char why[512];
    if (!es_evaluator_can_start(&spec, why, sizeof why))
        return es_err_set(err, ES_ERR_SPAWN, "starting the evaluator", w->job->evaluator.command[0],
                          "%s", why);
    rc = es_evaluator_create(&spec, &w->evaluator, err);
    return rc < 0 ? rc : es_evaluator_start(w->evaluator, err);
}

static int configure(struct worker *w, struct es_message *message, struct es_err *err)
{
    w->config_message = *message;
    *message = (struct es_message){0};
    if (es_config_decode(&w->config_message, &w->config) < 0)
        return es_err_set(err, ES_ERR_PROTOCOL, "reading the configuration", NULL,
                          "malformed message");
    int rc = es_job_parse(w->config.job_text, w->config.job_text_n, "the job as sent", NULL,
                          &w->job, err);
    if (rc == 0)
        rc = es_layout_create(w->job->layout, &w->layout, err);
    if (rc < 0)
        return rc;
    w->run_dir_fd = open(w->config.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->run_dir_fd < 0)
        return es_err_sys(err, errno, "opening the run folder", w->config.run_dir);
    if (w->config.driver_id[0]) {
        w->leases_fd = es_lease_open_folder(w->run_dir_fd);
        if (w->leases_fd < 0)
            return es_err_sys(err, errno, "opening the folder of leases in", w->config.run_dir);
    }
    (void)snprintf(w->device, sizeof w->device, "%s",
                   w->config.device_variable[0] ? w->config.device_visible : "cpu");
    rc = make_evaluator(w, err);
    if (rc < 0)
        return rc;
    w->attempt = (struct es_attempt){
        .job = w->job,
        .layout = w->layout,
        .evaluator = w->evaluator,
        .run_dir_fd = w->run_dir_fd,
        .run_dir = w->config.run_dir,
        .versions_json = w->config.versions_json,
        .host = w->args->host,
        .device = w->device,
        .rank = w->args->rank,
        .not_before_ns = w->config.not_before_ns,
        .was_interrupted = w->is_draining,
        .leases_fd = w->leases_fd,
        .driver_id = w->config.driver_id,
        .started_ns = w->config.started_ns,
    };
    es_attempt_init(&w->attempt);
    send_ready(w, "", w->device);
    return 0;
}

static void recall(struct worker *w, const struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    for (;;) {
        uint32_t unit_id = es_recall_next(&reader);
        if (unit_id >= es_grid_n_units(w->job->grid))
            return;
        struct es_unit unit = es_grid_unit(w->job->grid, unit_id);
        if (es_backlog_remove(&w->backlog, unit))
            add_plain_result(w, unit, ES_RESULT_RETURNED);
        else if (w->attempt.is_running && w->attempt.entry.unit_id == unit_id)
            add_plain_result(w, unit, ES_RESULT_KEPT);
        /* else its result is on the way */
    }
}

static void return_backlog(struct worker *w)
{
    struct es_unit unit;
    uint32_t attempt;
    const struct es_backlog_bundle *bundle;
    while (es_backlog_take(&w->backlog, &unit, &attempt, &bundle))
        add_plain_result(w, unit, ES_RESULT_RETURNED);
}

/* What the evaluator gets to end by itself, once no unit is left for it. */
static double quit_grace_s(const struct worker *w)
{
    double left_s = (double)(w->drain_until_ns - es_clock_mono_ns()) / 1e9;
    return !w->is_draining || left_s > QUIT_GRACE_S ? QUIT_GRACE_S : left_s;
}

/* May come before the configuration (from a signal of this rank), while quitting, and again. */
static bool drain(struct worker *w, const struct es_message *message)
{
    double grace_s;
    if (es_drain_decode(message, &grace_s) < 0)
        return false;
    w->is_draining = true;
    w->drain_until_ns = es_clock_after_ns(es_clock_mono_ns(), grace_s);
    w->attempt.was_interrupted = true;
    if (w->job)
        return_backlog(w);
    if (w->evaluator && grace_s < 0)
        es_evaluator_kill(w->evaluator);
    else if (w->evaluator && w->is_quitting)
        es_evaluator_stop(w->evaluator, quit_grace_s(w));
    if (w->evaluator && grace_s == 0)
        es_evaluator_hurry(w->evaluator, KILL_SOON_S);
    return true;
}

/* This worker was taken for dead, or is quarantined, and what it holds was given to others: it lets
 * go of all of it, tells nothing of it, and its evaluator ends. (A marker that it wrote is found by
 * the unit's next worker.) */
static void reset(struct worker *w)
{
    w->is_resetting = true;
    es_backlog_clear(&w->backlog);
    es_buf_reset(&w->results);
    if (w->attempt.is_running)
        w->attempt.was_interrupted = true;
    if (w->evaluator)
        es_evaluator_stop(w->evaluator, 0);
}

/* Nothing of before is left, not even the evaluator's process, which is started anew for the next
 * unit: what was assigned since is this worker's own again. */
static void end_reset(struct worker *w)
{
    if (!w->is_resetting || w->attempt.is_running ||
        (w->evaluator && es_evaluator_state(w->evaluator) == ES_EVALUATOR_STOPPING))
        return;
    w->is_resetting = false;
    w->attempt.was_interrupted = w->is_draining;
    send_ready(w, "", w->device);
}

/* ES_ERR_PROTOCOL: the message makes no sense now, or is malformed. */
static int handle_when_configured(struct worker *w, const struct es_message *message)
{
    int rc = 0;
    switch (es_message_type(message)) {
    case ES_MESSAGE_ASSIGN:
        rc = es_backlog_append(&w->backlog, w->job->grid, message);
        if (w->is_draining)
            return_backlog(w);
        return rc;
    case ES_MESSAGE_RECALL:
        recall(w, message);
        return 0;
    case ES_MESSAGE_RESET:
        reset(w);
        return 0;
    default:
        return ES_ERR_PROTOCOL;
    }
}

static void handle(struct worker *w, struct es_message *message)
{
    struct es_err err = {0};
    enum es_message_type type = es_message_type(message);
    if (type == ES_MESSAGE_QUIT) {
        w->is_quitting = true;
        if (w->evaluator)
            es_evaluator_stop(w->evaluator, quit_grace_s(w));
    } else if ((type == ES_MESSAGE_DRAIN && drain(w, message)) || w->is_broken) {
        /* done; or, whatever it is, it came before the coordinator knew */
    } else if (type == ES_MESSAGE_CONFIG && !w->job) {
        if (configure(w, message, &err) < 0)
            give_up(w, &err);
    } else {
        int rc = w->job ? handle_when_configured(w, message) : ES_ERR_PROTOCOL;
        if (rc == ES_ERR_NOMEM)
            es_err_nomem(&err, "reading a message");
        else if (rc < 0)
            es_err_set(&err, rc, "reading a message", NULL, "unexpected or malformed");
        if (rc < 0)
            give_up(w, &err);
    }
    es_message_clear(message);
}

static void receive_all(struct worker *w)
{
    uint32_t source;
    struct es_message message;
    while (es_transport_receive(w->args->transport, &source, &message))
        handle(w, &message);
}

/* Another driver has the unit's bundle: none of what waits here of it is to be tried. */
static void return_bundle(struct worker *w, struct es_unit unit)
{
    struct es_unit other;
    while (es_backlog_remove_of(&w->backlog, unit.checkpoint, unit.task, &other))
        add_plain_result(w, other, ES_RESULT_ELSEWHERE);
}

/* Ends the unit at hand if it has ended, and begins others; false when there was nothing to do. */
static bool advance(struct worker *w)
{
    int64_t now_ns = es_clock_mono_ns();
    bool moved = false;
    if (w->evaluator)
        es_evaluator_step(w->evaluator, now_ns);
    if (w->attempt.is_running) {
        if (w->is_draining && now_ns >= w->drain_until_ns && w->evaluator)
            es_evaluator_stop(w->evaluator, 0);
        es_attempt_step(&w->attempt, now_ns);
        if (w->attempt.is_running)
            return false;
        if (!w->is_resetting)
            add_result(w, &w->attempt.entry, &w->attempt.result, now_ns);
        moved = true;
    }
    end_reset(w);
    struct es_unit unit;
    uint32_t attempt;
    const struct es_backlog_bundle *bundle;
    if (!w->is_quitting && !w->is_resetting &&
        es_backlog_take(&w->backlog, &unit, &attempt, &bundle)) {
        es_attempt_begin(&w->attempt, unit, attempt, bundle);
        if (!w->attempt.is_running)
            add_result(w, &w->attempt.entry, &w->attempt.result, now_ns);
        if (!w->attempt.is_running && w->attempt.entry.kind == ES_RESULT_ELSEWHERE)
            return_bundle(w, unit);
        moved = true;
    }
    return moved;
}

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static int64_t next_deadline_ns(const struct worker *w)
{
    int64_t deadline_ns = INT64_MAX;
    if (w->evaluator)
        deadline_ns = es_evaluator_deadline_ns(w->evaluator);
    if (w->attempt.is_running && !w->evaluator)
        deadline_ns = earlier(deadline_ns, w->attempt.null_until_ns);
    /* Told to stop, it has a deadline of its own. */
    if (w->attempt.is_running && w->is_draining &&
        !(w->evaluator && es_evaluator_state(w->evaluator) == ES_EVALUATOR_STOPPING))
        deadline_ns = earlier(deadline_ns, w->drain_until_ns);
    if (has_results(w))
        deadline_ns = earlier(deadline_ns, w->results_since_ns + FLUSH_NS);
    return deadline_ns;
}

/* Waits for a message, the evaluator, the end of a child, or the next deadline. */
static void wait_for_events(struct worker *w)
{
    struct pollfd fds[6] = {
        {.fd = es_transport_fd(w->args->transport), .events = POLLIN},
        {.fd = w->child_fd, .events = POLLIN},
    };
    size_t n = 2;
    if (w->evaluator)
        n += es_evaluator_poll_fds(w->evaluator, fds + 2);
    es_await_fds(fds, n, next_deadline_ns(w) - es_clock_mono_ns());
    while (es_signal_take(w->child_fd) > 0)
        ;
}

/* Sends what has waited long enough, and everything when there is no more to come. */
static void flush_when_due(struct worker *w, bool has_more)
{
    if (has_results(w) && (!has_more || w->results.len >= FLUSH_BYTES ||
                           es_clock_mono_ns() - w->results_since_ns >= FLUSH_NS))
        flush_results(w);
}

static void end_when_quit(struct worker *w)
{
    if (!w->is_quitting ||
        (w->evaluator && es_evaluator_state(w->evaluator) != ES_EVALUATOR_STOPPED))
        return;
    flush_results(w);
    es_plain_encode(ES_MESSAGE_BYE, &w->message);
    (void)es_transport_send_buf(w->args->transport, w->args->coordinator, &w->message);
    w->has_ended = true;
}

void es_worker_run(const struct es_worker_args *args)
{
    struct worker w = {
        .args = args, .run_dir_fd = -1, .leases_fd = -1, .child_fd = es_signal_open_child()};
    es_attempt_init(&w.attempt);
    while (!w.has_ended) {
        receive_all(&w);
        bool moved = false;
        for (int i = 0; i < NULL_BURST; i++) {
            if (!advance(&w))
                break;
            moved = true;
        }
        bool has_more = w.attempt.is_running || w.backlog.n_waiting;
        flush_when_due(&w, has_more);
        end_when_quit(&w);
        if (!moved && !w.has_ended)
            wait_for_events(&w);
    }
    es_evaluator_free(w.evaluator);
    es_attempt_clear(&w.attempt);
    es_backlog_clear(&w.backlog);
    es_buf_clear(&w.results);
    es_buf_clear(&w.message);
    free(w.env);
    es_layout_free(w.layout);
    es_job_free(w.job);
    es_message_clear(&w.config_message);
    es_fd_close(&w.run_dir_fd);
    es_fd_close(&w.leases_fd);
    es_fd_close(&w.child_fd);
}
