/* A rank's main thread between its worker and rank 0, which is the test. */
#include "mpi/bridge.h"

#include "sys/signal.h"
#include "unit/mpi/messages.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct es_local_hub *hub;
    struct es_transport *at;  /* rank 0's */
    struct es_transport *mpi; /* rank 1's */
    struct es_bridge *bridge; /* NULL: it refuses */
    struct es_pulse_limits limits;
    pthread_t thread;
    struct es_exit exit;
    struct es_err err;
    int rc;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){
        .limits = {.beat_s = 0.05, .suspect_s = (double)INFINITY, .given_up_s = 1000}};
    *state = &f;
    if (es_local_hub_create(2, &f.hub, NULL) < 0)
        return -1;
    f.at = es_local_hub_endpoint(f.hub, 0);
    f.mpi = es_local_hub_endpoint(f.hub, 1);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    es_bridge_free(f->bridge);
    es_local_hub_free(f->hub);
    return 0;
}

static void *rank_main(void *arg)
{
    struct fixture *f = arg;
    f->rc = f->bridge ? es_bridge_run(f->bridge, -1, true, &f->limits, &f->exit, &f->err)
                      : es_bridge_refuse(f->mpi, "no descriptors", &f->limits, &f->exit, &f->err);
    return NULL;
}

static void start(struct fixture *f, bool takes_part)
{
    struct es_hello hello = {.host = "h"};
    if (takes_part) {
        assert_int_equal(es_bridge_create(f->mpi, &f->bridge, NULL), 0);
        assert_int_equal(es_bridge_greet(f->bridge, &hello), 0);
    }
    assert_int_equal(pthread_create(&f->thread, NULL, rank_main, f), 0);
}

static enum es_message_type receive(struct fixture *f)
{
    struct es_message message = receive_from(f->at);
    enum es_message_type type = es_message_type(&message);
    es_message_clear(&message);
    return type;
}

static void send(struct fixture *f, enum es_message_type type)
{
    struct es_buf buf = {0};
    if (type == ES_MESSAGE_EXIT)
        es_exit_encode(&(struct es_exit){.code = 75, .is_whole = true}, &buf);
    else
        es_plain_encode(type, &buf);
    assert_int_equal(es_transport_send_buf(f->at, 1, &buf), 0);
}

static void it_beats_until_it_is_told_to_exit(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    assert_int_equal(receive(f), ES_MESSAGE_HELLO);
    for (int i = 0; i < 5; i++)
        assert_int_equal(receive(f), ES_MESSAGE_BEAT);
    send(f, ES_MESSAGE_EXIT);
    pthread_join(f->thread, NULL);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->exit.code, 75);
    assert_true(f->exit.is_whole);
}

static void beats_are_not_the_workers_affair_but_all_else_is(void **state)
{
    struct fixture *f = *state;
    start(f, true);
    send(f, ES_MESSAGE_BEAT); /* a worker without a job would break off */
    send(f, ES_MESSAGE_QUIT);
    enum es_message_type type;
    do {
        type = receive(f);
        assert_int_not_equal(type, ES_MESSAGE_READY);
    } while (type != ES_MESSAGE_BYE);
    send(f, ES_MESSAGE_EXIT);
    pthread_join(f->thread, NULL);
    assert_int_equal(f->rc, 0);
}

static void without_rank_0_it_ends_by_itself(void **state)
{
    struct fixture *f = *state;
    f->limits.given_up_s = 0.3;
    for (int takes_part = 0; takes_part < 2; takes_part++) {
        f->err = (struct es_err){0};
        start(f, takes_part);
        pthread_join(f->thread, NULL);
        assert_int_equal(f->rc, ES_ERR_INTERNAL);
        assert_string_equal(f->err.doing, "waiting for rank 0");
    }
}

/* To whoever waits for what was lost, it is as if the rank had died. */
static void out_of_memory_for_a_message_it_ends(void **state)
{
    struct fixture *f = *state;
    struct es_buf buf = {0};
    f->limits.beat_s = 1000; /* nothing else asks for memory */
    start(f, true);
    send(f, ES_MESSAGE_QUIT);
    assert_int_equal(receive(f), ES_MESSAGE_HELLO);
    /* The bridge and the worker sleep, or have ended. */
    assert_int_equal(receive(f), ES_MESSAGE_BYE);
    es_plain_encode(ES_MESSAGE_RESET, &buf);
    es_mem_fail_after(1); /* that is for sending it */
    assert_int_equal(es_transport_send_buf(f->at, 1, &buf), 0);
    pthread_join(f->thread, NULL);
    es_mem_fail_after(-1);
    assert_int_equal(f->rc, ES_ERR_NOMEM);
    assert_string_equal(f->err.doing, "passing messages on");
}

/* Rank 0 would wait for it for ever. */
static void out_of_memory_to_refuse_it_ends(void **state)
{
    struct fixture *f = *state;
    es_mem_fail_after(0);
    start(f, false);
    pthread_join(f->thread, NULL);
    es_mem_fail_after(-1);
    assert_int_equal(f->rc, ES_ERR_NOMEM);
    assert_string_equal(f->err.doing, "telling rank 0 why");
}

/* Rank 0 scans for long, say, and has nothing else to tell. */
static void beats_are_enough_to_wait_on(void **state)
{
    struct fixture *f = *state;
    f->limits.given_up_s = 1;
    start(f, true);
    double until_s = es_clock_mono_s() + 2.5;
    while (es_clock_mono_s() < until_s) {
        (void)receive(f);
        send(f, ES_MESSAGE_BEAT);
    }
    send(f, ES_MESSAGE_EXIT);
    pthread_join(f->thread, NULL);
    assert_int_equal(f->rc, 0);
}

static void one_that_refuses_beats_too(void **state)
{
    struct fixture *f = *state;
    start(f, false);
    assert_int_equal(receive(f), ES_MESSAGE_READY);
    for (int i = 0; i < 3; i++)
        assert_int_equal(receive(f), ES_MESSAGE_BEAT);
    send(f, ES_MESSAGE_QUIT);
    send(f, ES_MESSAGE_EXIT);
    pthread_join(f->thread, NULL);
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->exit.code, 75);
}

/* What stands for MPI beside rank 0's worker: it only tells whom it was to abandon. */
static uint32_t abandoned;

static void note_abandon(struct es_transport *transport, uint32_t dest)
{
    (void)transport;
    abandoned = dest;
}

static void a_rank_that_rank_0_gives_up_is_abandoned(void **state)
{
    struct fixture *f = *state;
    static const struct es_transport_ops ops = {.abandon = note_abandon};
    struct es_transport mpi = {.ops = &ops, .rank = 0, .size = 3};
    abandoned = UINT32_MAX;
    assert_int_equal(es_bridge_create(&mpi, &f->bridge, NULL), 0);
    /* Its own worker is no rank of MPI's. */
    es_transport_abandon(es_bridge_transport(f->bridge), 0);
    assert_int_equal(abandoned, UINT32_MAX);
    es_transport_abandon(es_bridge_transport(f->bridge), 2);
    assert_int_equal(abandoned, 2);
}

int main(void)
{
    es_signal_block();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_beats_until_it_is_told_to_exit, setup, teardown),
        cmocka_unit_test_setup_teardown(beats_are_not_the_workers_affair_but_all_else_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_rank_0_it_ends_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(beats_are_enough_to_wait_on, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_memory_for_a_message_it_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_memory_to_refuse_it_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_refuses_beats_too, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rank_that_rank_0_gives_up_is_abandoned, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
