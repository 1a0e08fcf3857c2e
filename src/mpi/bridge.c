#include "mpi/bridge.h"

#include "core/mem.h"
#include "mpi/worker.h"
#include "sys/await.h"
#include "sys/clock.h"
#include "sys/signal.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* The worker gives an evaluator that is slow to end less than half of this. */
#define JOIN_TIMEOUT_S 30

/* Endpoints of the hub between the two threads. */
enum { MAIN_THREAD = 0, WORKER_THREAD = 1 };

struct es_bridge {
    struct es_transport base; /* rank 0's joined transport */
    struct es_transport *mpi; /* NULL without MPI */
    struct es_local_hub *hub;
    struct es_transport *local; /* the main thread's endpoint */
    char host[ES_WIRE_TEXT_SIZE];
    struct es_worker_args worker_args;
    pthread_t worker_thread;
    bool was_interrupted; /* by a SIGINT */
};

static void *worker_main(void *arg)
{
    es_worker_run(arg);
    return NULL;
}

static int joined_send(struct es_transport *transport, uint32_t dest, struct es_message *message)
{
    struct es_bridge *bridge = (struct es_bridge *)transport;
    return dest == transport->rank ? es_transport_send(bridge->local, WORKER_THREAD, message)
                                   : es_transport_send(bridge->mpi, dest, message);
}

static bool joined_receive(struct es_transport *transport, uint32_t *ret_source,
                           struct es_message *ret_message)
{
    struct es_bridge *bridge = (struct es_bridge *)transport;
    if (es_transport_receive(bridge->local, ret_source, ret_message)) {
        *ret_source = transport->rank;
        return true;
    }
    return bridge->mpi && es_transport_receive(bridge->mpi, ret_source, ret_message);
}

static bool joined_flushed(struct es_transport *transport)
{
    struct es_bridge *bridge = (struct es_bridge *)transport;
    return !bridge->mpi || es_transport_flushed(bridge->mpi);
}

static int joined_fd(const struct es_transport *transport)
{
    return es_transport_fd(((const struct es_bridge *)transport)->local);
}

static int64_t joined_interval_ns(const struct es_transport *transport)
{
    const struct es_bridge *bridge = (const struct es_bridge *)transport;
    return bridge->mpi && bridge->mpi->size > 1 ? es_transport_interval_ns(bridge->mpi) : INT64_MAX;
}

static void joined_abandon(struct es_transport *transport, uint32_t dest)
{
    struct es_bridge *bridge = (struct es_bridge *)transport;
    if (dest != transport->rank)
        es_transport_abandon(bridge->mpi, dest);
}

static const struct es_transport_ops joined_ops = {
    .send = joined_send,
    .receive = joined_receive,
    .flushed = joined_flushed,
    .fd = joined_fd,
    .interval_ns = joined_interval_ns,
    .abandon = joined_abandon,
};

int es_bridge_create(struct es_transport *mpi, struct es_bridge **ret_bridge, struct es_err *err)
{
    struct es_bridge *bridge = es_mem_calloc(1, sizeof *bridge);
    if (!bridge)
        return es_err_nomem(err, "starting the worker");
    bridge->mpi = mpi;
    bridge->base = (struct es_transport){
        .ops = &joined_ops, .rank = mpi ? mpi->rank : 0, .size = mpi ? mpi->size : 1};
    int rc = es_local_hub_create(2, &bridge->hub, err);
    if (rc == 0) {
        bridge->local = es_local_hub_endpoint(bridge->hub, MAIN_THREAD);
        (void)gethostname(bridge->host, sizeof bridge->host - 1);
        bridge->worker_args = (struct es_worker_args){
            .transport = es_local_hub_endpoint(bridge->hub, WORKER_THREAD),
            .coordinator = MAIN_THREAD,
            .rank = bridge->base.rank,
            .host = bridge->host,
        };
        int failed =
            pthread_create(&bridge->worker_thread, NULL, worker_main, &bridge->worker_args);
        if (failed)
            rc = es_err_sys(err, failed, "starting the worker", NULL);
    }
    if (rc < 0) {
        es_local_hub_free(bridge->hub);
        free(bridge);
        return rc;
    }
    *ret_bridge = bridge;
    return 0;
}

void es_bridge_free(struct es_bridge *bridge)
{
    if (!bridge)
        return;
    struct es_buf buf = {0};
    es_plain_encode(ES_MESSAGE_QUIT, &buf); /* does no harm where it had one */
    (void)es_transport_send_buf(bridge->local, WORKER_THREAD, &buf);
    if (!es_await_thread(bridge->worker_thread, JOIN_TIMEOUT_S))
        return; /* it hangs in a file server: the process ends without it */
    es_local_hub_free(bridge->hub);
    free(bridge);
}

struct es_transport *es_bridge_transport(struct es_bridge *bridge)
{
    return &bridge->base;
}

int es_bridge_greet(struct es_bridge *bridge, const struct es_hello *hello)
{
    struct es_buf buf = {0};
    es_hello_encode(hello, &buf);
    return bridge->base.rank == 0 ? es_transport_send_buf(bridge->local, MAIN_THREAD, &buf)
                                  : es_transport_send_buf(bridge->mpi, 0, &buf);
}

/* --- Other ranks --- */

/* What such a rank waits with. */
struct wait {
    struct es_transport *mpi;
    struct es_pulse *pulse; /* of one peer: rank 0 */
    double silent_s;        /* after which rank 0 is taken for dead */
};

static int begin_wait(struct wait *wait, struct es_transport *mpi,
                      const struct es_pulse_limits *limits, struct es_err *err)
{
    *wait = (struct wait){.mpi = mpi, .silent_s = limits->given_up_s};
    int rc = es_pulse_create(1, limits, es_clock_mono_s(), &wait->pulse, err);
    if (rc == 0)
        es_pulse_watch(wait->pulse, 0);
    return rc;
}

static int send_to_rank_0(struct wait *wait, struct es_message *message)
{
    es_pulse_sent(wait->pulse, 0);
    return es_transport_send(wait->mpi, 0, message);
}

/* The next message of rank 0's for the worker. */
static bool receive_from_rank_0(struct wait *wait, struct es_message *ret_message)
{
    uint32_t source;
    while (es_transport_receive(wait->mpi, &source, ret_message)) {
        (void)es_pulse_heard(wait->pulse, 0);
        if (es_message_type(ret_message) != ES_MESSAGE_BEAT)
            return true;
        es_message_clear(ret_message);
    }
    return false;
}

/* Sends a beat if one is due. ES_ERR_INTERNAL: rank 0 is dead. */
static int keep_pulse(struct wait *wait, struct es_err *err)
{
    uint32_t peer;
    enum es_pulse_event event;
    es_pulse_look(wait->pulse, es_clock_mono_s());
    while ((event = es_pulse_next(wait->pulse, &peer)) != ES_PULSE_NOTHING) {
        struct es_buf buf = {0};
        if (event == ES_PULSE_TURNED_DEAD)
            return es_err_set(err, ES_ERR_INTERNAL, "waiting for rank 0", NULL,
                              "nothing was heard of it for %.0f s: this rank ends too",
                              wait->silent_s);
        if (event != ES_PULSE_BEAT_DUE)
            continue;
        es_plain_encode(ES_MESSAGE_BEAT, &buf);
        (void)es_transport_send_buf(wait->mpi, 0, &buf); /* it counts as sent already */
    }
    return 0;
}

/* Until a message may be there, a beat is due, or there is a signal. */
static void wait_for_events(const struct wait *wait, int local_fd, int signal_fd)
{
    struct pollfd fds[3] = {
        {.fd = es_transport_fd(wait->mpi), .events = POLLIN},
        {.fd = local_fd, .events = POLLIN},
        {.fd = signal_fd, .events = POLLIN},
    };
    int64_t due_ns = es_clock_after_ns(0, es_pulse_due_s(wait->pulse) - es_clock_mono_s());
    int64_t interval_ns = es_transport_interval_ns(wait->mpi);
    es_await_fds(fds, 3, due_ns < interval_ns ? due_ns : interval_ns);
}

static bool is_exit(const struct es_message *message, struct es_exit *ret_exit)
{
    return es_message_type(message) == ES_MESSAGE_EXIT && es_exit_decode(message, ret_exit) == 0;
}

int es_bridge_refuse(struct es_transport *mpi, const char *why,
                     const struct es_pulse_limits *limits, struct es_exit *ret_exit,
                     struct es_err *err)
{
    struct wait wait = {0};
    struct es_buf buf = {0};
    struct es_ready ready = {.why = why, .note = ""};
    bool has_exit = false;
    es_ready_encode(&ready, &buf);
    int rc = es_transport_send_buf(mpi, 0, &buf) < 0 ? es_err_nomem(err, "telling rank 0 why")
                                                     : begin_wait(&wait, mpi, limits, err);
    while (rc == 0 && !has_exit) {
        struct es_message message;
        while (!has_exit && receive_from_rank_0(&wait, &message)) {
            has_exit = is_exit(&message, ret_exit);
            es_message_clear(&message);
        }
        rc = has_exit ? 0 : keep_pulse(&wait, err);
        if (rc == 0 && !has_exit)
            wait_for_events(&wait, -1, -1);
    }
    es_pulse_free(wait.pulse);
    return rc;
}

static void send_drain(struct es_transport *transport, uint32_t dest, double grace_s)
{
    struct es_buf buf = {0};
    es_drain_encode(grace_s, &buf);
    (void)es_transport_send_buf(transport, dest, &buf);
}

/* A signal that stops this rank: its worker, at once, and rank 0 is told. A second SIGINT kills. */
static void stop_worker(struct es_bridge *bridge, int number)
{
    bool must_kill = number == SIGINT && bridge->was_interrupted;
    bridge->was_interrupted |= number == SIGINT;
    send_drain(bridge->local, WORKER_THREAD, must_kill ? ES_DRAIN_KILL : 0);
    send_drain(bridge->mpi, 0, 0);
}

static void take_signals(struct es_bridge *bridge, int signal_fd, bool rank_0_decides)
{
    int number;
    while (signal_fd >= 0 && (number = es_signal_take(signal_fd)) > 0)
        if (!rank_0_decides && !es_signal_is_soft(number))
            stop_worker(bridge, number);
}

/* Carries what there is, in both directions, until EXIT comes. ES_ERR_NOMEM: what somebody may wait
 * for is lost. */
static int carry(struct es_bridge *bridge, struct wait *wait, bool *ret_has_exit,
                 struct es_exit *ret_exit, struct es_err *err)
{
    struct es_message message;
    uint32_t source;
    int rc = 0;
    while (rc == 0 && es_transport_receive(bridge->local, &source, &message))
        rc = send_to_rank_0(wait, &message);
    while (rc == 0 && !*ret_has_exit && receive_from_rank_0(wait, &message)) {
        *ret_has_exit = is_exit(&message, ret_exit);
        if (*ret_has_exit)
            es_message_clear(&message);
        else
            rc = es_transport_send(bridge->local, WORKER_THREAD, &message);
    }
    return rc < 0 ? es_err_nomem(err, "passing messages on") : 0;
}

int es_bridge_run(struct es_bridge *bridge, int signal_fd, bool rank_0_decides,
                  const struct es_pulse_limits *limits, struct es_exit *ret_exit,
                  struct es_err *err)
{
    struct wait wait;
    bool has_exit = false;
    int rc = begin_wait(&wait, bridge->mpi, limits, err);
    while (rc == 0 && !has_exit) {
        rc = carry(bridge, &wait, &has_exit, ret_exit, err);
        if (rc < 0 || has_exit)
            break;
        take_signals(bridge, signal_fd, rank_0_decides);
        rc = keep_pulse(&wait, err);
        if (rc == 0)
            wait_for_events(&wait, es_transport_fd(bridge->local), signal_fd);
    }
    if (rc < 0) /* no time for the unit at hand: the next start of the run may be near */
        send_drain(bridge->local, WORKER_THREAD, 0);
    es_pulse_free(wait.pulse);
    return rc;
}
