/* What the tests of the loops say and hear over queues between threads. */
#ifndef ES_TESTS_MPI_MESSAGES_H
#define ES_TESTS_MPI_MESSAGES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "mpi/recorder.h"
#include "mpi/transport.h"
#include "sys/await.h"
#include "sys/clock.h"

/* The next message, waited for wait_ns at most (INT64_MAX: as long as it takes). */
static inline bool receive_within(struct es_transport *at, int64_t wait_ns,
                                  struct es_message *ret_message)
{
    uint32_t source;
    int64_t begun_ns = es_clock_mono_ns();
    while (!es_transport_receive(at, &source, ret_message)) {
        struct pollfd fd = {.fd = es_transport_fd(at), .events = POLLIN};
        int64_t waited_ns = es_clock_mono_ns() - begun_ns;
        if (waited_ns >= wait_ns)
            return false;
        es_await_fds(&fd, 1, wait_ns - waited_ns);
    }
    return true;
}

/* The next message in the test's own thread, where it must come. */
static inline struct es_message receive_from(struct es_transport *at)
{
    struct es_message message;
    assert_true(receive_within(at, 20 * ES_NS_PER_S, &message));
    return message;
}

static inline void say(struct es_transport *at, uint32_t dest, enum es_message_type type)
{
    struct es_buf buf = {0};
    es_plain_encode(type, &buf);
    (void)es_transport_send_buf(at, dest, &buf);
}

/* READY, or why not. */
static inline void say_ready(struct es_transport *at, uint32_t dest, const char *why)
{
    struct es_ready ready = {.why = why, .note = "gpu7"};
    struct es_buf buf = {0};
    es_ready_encode(&ready, &buf);
    (void)es_transport_send_buf(at, dest, &buf);
}

/* The recorder is handed a message, and has no memory to keep it. */
static inline void lose_message(struct es_recorder *recorder)
{
    struct es_message lost = {0};
    es_mem_fail_after(0);
    es_recorder_add(recorder, &lost);
    es_mem_fail_after(-1);
}

#endif
