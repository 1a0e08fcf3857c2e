#include "mpi/transport.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_readable(const struct es_transport *transport)
{
    struct pollfd fd = {.fd = es_transport_fd(transport), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void send_number(struct es_transport *from, uint32_t dest, uint32_t number)
{
    struct es_buf buf = {0};
    es_wire_put_u8(&buf, ES_MESSAGE_BEAT);
    es_wire_put_u32(&buf, number);
    assert_int_equal(es_transport_send_buf(from, dest, &buf), 0);
}

static void messages_arrive_in_order_with_their_source(void **state)
{
    (void)state;
    struct es_local_hub *hub;
    assert_int_equal(es_local_hub_create(3, &hub, NULL), 0);
    struct es_transport *at = es_local_hub_endpoint(hub, 0);
    struct es_message message;
    uint32_t source;
    assert_false(is_readable(at));
    assert_false(es_transport_receive(at, &source, &message));
    send_number(es_local_hub_endpoint(hub, 1), 0, 5);
    send_number(es_local_hub_endpoint(hub, 2), 0, 6);
    assert_true(is_readable(at));
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(es_transport_receive(at, &source, &message));
        struct es_wire_reader reader = es_wire_read(&message);
        assert_int_equal(source, 1 + i);
        assert_int_equal(es_wire_get_u32(&reader), 5 + i);
        es_message_clear(&message);
    }
    assert_false(is_readable(at));
    assert_false(es_transport_receive(at, &source, &message));
    send_number(at, 0, 1); /* left unread: freed with the hub */
    es_local_hub_free(hub);
}

enum { N_MESSAGES = 20000, N_TAKEN = 500 };

static void *send_many(void *arg)
{
    for (uint32_t i = 0; i < N_MESSAGES; i++)
        send_number(arg, 0, i);
    return NULL;
}

/* Waiting on the descriptor alone, no message is ever missed. */
static void no_wake_up_is_lost(void **state)
{
    (void)state;
    struct es_local_hub *hub;
    pthread_t thread;
    assert_int_equal(es_local_hub_create(2, &hub, NULL), 0);
    struct es_transport *at = es_local_hub_endpoint(hub, 0);
    assert_int_equal(pthread_create(&thread, NULL, send_many, es_local_hub_endpoint(hub, 1)), 0);
    uint32_t expected = 0;
    while (expected < N_MESSAGES) {
        struct pollfd fd = {.fd = es_transport_fd(at), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 10000), 1);
        struct es_message message;
        uint32_t source;
        while (es_transport_receive(at, &source, &message)) {
            struct es_wire_reader reader = es_wire_read(&message);
            assert_int_equal(es_wire_get_u32(&reader), expected++);
            es_message_clear(&message);
        }
    }
    pthread_join(thread, NULL);
    es_local_hub_free(hub);
}

static _Atomic uint32_t n_taken;

static void *take_at_once(void *arg)
{
    struct es_message message;
    uint32_t source;
    while (n_taken < N_TAKEN)
        if (es_transport_receive(arg, &source, &message)) {
            es_message_clear(&message);
            n_taken++;
        }
    return NULL;
}

/* However soon a message is taken, the descriptor does not stay readable behind it: whoever polls
 * it would never sleep again. */
static void the_descriptor_rests_when_nothing_is_there(void **state)
{
    (void)state;
    struct es_local_hub *hub;
    pthread_t thread;
    uint32_t n_restless = 0;
    assert_int_equal(es_local_hub_create(2, &hub, NULL), 0);
    struct es_transport *at = es_local_hub_endpoint(hub, 0);
    n_taken = 0;
    assert_int_equal(pthread_create(&thread, NULL, take_at_once, at), 0);
    for (uint32_t i = 0; i < N_TAKEN; i++) {
        send_number(es_local_hub_endpoint(hub, 1), 0, i);
        while (n_taken == i)
            ; /* both spin: sleeping would hide the race */
        n_restless += is_readable(at);
    }
    pthread_join(thread, NULL);
    assert_int_equal(n_restless, 0);
    es_local_hub_free(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_in_order_with_their_source),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(the_descriptor_rests_when_nothing_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
