/* Workers that do what a script says, in place of the last one of a run: they break, die, wake up
 * or leave at the worst moment.
 *
 * They run in threads of their own, where nothing may be asserted; that they come to their end is
 * for the test's time limit.
 */
#ifndef ES_TESTS_MPI_SCRIPTED_WORKERS_H
#define ES_TESTS_MPI_SCRIPTED_WORKERS_H

#include "unit/mpi/coordinator_fixture.h"

/* The next message that is no beat. */
static inline struct es_message hear(struct es_transport *at)
{
    struct es_message message;
    while (receive_within(at, INT64_MAX, &message) && es_message_type(&message) == ES_MESSAGE_BEAT)
        es_message_clear(&message);
    return message;
}

/* Answers one message after the other, up to one of the last kind, which it answers too. */
static inline void serve(const struct es_worker_args *args, enum es_message_type last,
                         void (*answer)(const struct es_worker_args *args,
                                        const struct es_message *message))
{
    enum es_message_type type = 0;
    while (type != last) {
        struct es_message message = hear(args->transport);
        type = es_message_type(&message);
        if (answer)
            answer(args, &message);
        es_message_clear(&message);
    }
}

/* The fixture whose member the arguments of a worker are. */
static inline struct fixture *fixture_of(const struct es_worker_args *args)
{
    const char *first = (const char *)(args - args->rank);
    return (struct fixture *)(void *)(first - offsetof(struct fixture, args));
}

/* Answers a (whole) ASSIGN: all of it is done, with a score that no other worker gives. */
static inline void say_done(const struct es_worker_args *args, const struct es_message *assign)
{
    struct es_wire_reader reader = es_wire_read(assign);
    struct es_wire_bundle bundle;
    struct es_buf layers = {0}, buf = {0};
    struct es_result result;
    es_result_init(&result);
    result.main_score = 0.75;
    es_results_begin(&buf);
    while (es_assign_next(&reader, &bundle, &layers))
        for (uint32_t i = 0; i < bundle.n_layers; i++) {
            const struct es_wire_layer *layer = (const struct es_wire_layer *)(void *)layers.data;
            struct es_unit unit = {bundle.checkpoint, layer[i].layer, bundle.task};
            struct es_result_entry entry = {.unit_id =
                                                es_grid_id(fixture_of(args)->job->grid, unit),
                                            .kind = ES_RESULT_DONE,
                                            .total_s = 0.02};
            es_results_add(&buf, &entry, &result);
        }
    (void)es_transport_send_buf(args->transport, 0, &buf);
    es_result_clear(&result);
    es_buf_clear(&layers);
}

/* Finds out that it cannot work when there is nothing left to do. */
static inline void *late_broken_worker(void *arg)
{
    const struct es_worker_args *args = arg;
    serve(args, ES_MESSAGE_QUIT, NULL);
    say_ready(args->transport, 0, "no such command");
    say(args->transport, 0, ES_MESSAGE_BYE);
    return NULL;
}

/* Fails a unit, and writes so into its folder, after it was given to others. */
static inline void *late_failing_worker(void *arg)
{
    const struct es_worker_args *args = arg;
    struct es_result_entry entry = {.unit_id = 17, .kind = ES_RESULT_FAILED};
    struct es_result result;
    struct es_buf buf = {0};
    serve(args, ES_MESSAGE_QUIT, NULL);
    es_result_init(&result);
    es_results_begin(&buf);
    es_results_add(&buf, &entry, &result);
    entry.unit_id = 60; /* there is none */
    es_results_add(&buf, &entry, &result);
    es_result_clear(&result);
    (void)es_transport_send_buf(args->transport, 0, &buf);
    say(args->transport, 0, ES_MESSAGE_BYE);
    return NULL;
}

static inline void be_ready(const struct es_worker_args *args, const struct es_message *message)
{
    if (es_message_type(message) == ES_MESSAGE_CONFIG)
        say_ready(args->transport, 0, "");
}

/* Takes its first units, and dies. (Its thread ends with EXIT.) */
static inline void *dying_worker(void *arg)
{
    serve(arg, ES_MESSAGE_EXIT, be_ready);
    return NULL;
}

static inline void do_as_told(const struct es_worker_args *args, const struct es_message *message)
{
    enum es_message_type type = es_message_type(message);
    if (type == ES_MESSAGE_RESET)
        say_ready(args->transport, 0, "");
    if (type == ES_MESSAGE_ASSIGN)
        say_done(args, message);
    fixture_of(args)->n_more += type == ES_MESSAGE_ASSIGN;
    if (type == ES_MESSAGE_QUIT)
        say(args->transport, 0, ES_MESSAGE_BYE);
}

/* The same, but it was only stopped: heard again after the awaited note, it first tells that it did
 * all that it had been given, and then does what it is told. */
static inline void *waking_worker(void *arg)
{
    const struct es_worker_args *args = arg;
    serve(args, ES_MESSAGE_CONFIG, be_ready);
    struct es_message assigned = hear(args->transport);
    (void)sem_wait(&fixture_of(args)->noted);
    say_done(args, &assigned);
    es_message_clear(&assigned);
    serve(args, ES_MESSAGE_EXIT, do_as_told);
    return NULL;
}

static inline void count_work(const struct es_worker_args *args, const struct es_message *message)
{
    enum es_message_type type = es_message_type(message);
    fixture_of(args)->n_more += type == ES_MESSAGE_ASSIGN || type == ES_MESSAGE_RECALL;
}

/* Dies without a unit, once the other has begun the only one; what comes for it when it is a
 * suspect is counted. */
static inline void *suspected_worker(void *arg)
{
    const struct es_worker_args *args = arg;
    struct es_message message;
    uint32_t source;
    serve(args, ES_MESSAGE_CONFIG, NULL);
    while (n_lines(fixture_of(args)->run_dir, "count") == 0)
        (void)usleep(1000);
    say_ready(args->transport, 0, "");
    (void)sem_wait(&fixture_of(args)->noted);
    while (es_transport_receive(args->transport, &source, &message)) /* sent before that */
        es_message_clear(&message);
    serve(args, ES_MESSAGE_EXIT, count_work);
    return NULL;
}

static inline void break_when_stopped(const struct es_worker_args *args,
                                      const struct es_message *message)
{
    enum es_message_type type = es_message_type(message);
    be_ready(args, message);
    if (type == ES_MESSAGE_ASSIGN)
        send_signal(fixture_of(args), SIGUSR1);
    if (type == ES_MESSAGE_DRAIN)
        say_ready(args->transport, 0, "the evaluator does not start again");
    if (type == ES_MESSAGE_QUIT)
        say(args->transport, 0, ES_MESSAGE_BYE);
}

/* Works until it is told to stop, and breaks then. */
static inline void *breaking_worker(void *arg)
{
    serve(arg, ES_MESSAGE_QUIT, break_when_stopped);
    return NULL;
}

static inline void leave_when_assigned(const struct es_worker_args *args,
                                       const struct es_message *message)
{
    enum es_message_type type = es_message_type(message);
    be_ready(args, message);
    if (type == ES_MESSAGE_ASSIGN || type == ES_MESSAGE_QUIT)
        say(args->transport, 0, ES_MESSAGE_BYE);
}

/* Says BYE in place of doing what it was given. */
static inline void *leaving_worker(void *arg)
{
    serve(arg, ES_MESSAGE_QUIT, leave_when_assigned);
    return NULL;
}

#endif
