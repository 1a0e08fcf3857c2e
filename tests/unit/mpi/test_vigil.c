/* Rank 0's main thread while something else is being done. */
#include "mpi/vigil.h"

#include "sys/fd.h"
#include "sys/signal.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct es_local_hub *hub;
    struct es_vigil vigil;
    int signal_pipe[2];
    int go_pipe[2]; /* the work waits until something is written into it */
    int n_beats;    /* that the work waits for */
    atomic_bool has_worked;
};

static int setup(void **state)
{
    static struct fixture f;
    f.vigil = (struct es_vigil){.beat_s = 0.01, .patience_s = 1000};
    f.has_worked = false;
    *state = &f;
    if (es_local_hub_create(3, &f.hub, NULL) < 0 ||
        es_fd_pipe(&f.signal_pipe[0], &f.signal_pipe[1]) < 0 ||
        es_fd_set_nonblocking(f.signal_pipe[0]) < 0 || es_fd_pipe(&f.go_pipe[0], &f.go_pipe[1]) < 0)
        return -1;
    f.vigil.transport = es_local_hub_endpoint(f.hub, 0);
    f.vigil.signal_fd = f.signal_pipe[0];
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        es_fd_close(&f->signal_pipe[i]);
        es_fd_close(&f->go_pipe[i]);
    }
    es_local_hub_free(f->hub);
    return 0;
}

static void signal_now(struct fixture *f)
{
    struct signalfd_siginfo info = {.ssi_signo = SIGTERM};
    assert_int_equal(write(f->signal_pipe[1], &info, sizeof info), sizeof info);
}

static void receive_beats(struct fixture *f, uint32_t rank, int n)
{
    struct es_transport *at = es_local_hub_endpoint(f->hub, rank);
    struct es_message message;
    uint32_t source;
    while (n > 0)
        if (es_transport_receive(at, &source, &message)) {
            assert_int_equal(es_message_type(&message), ES_MESSAGE_BEAT);
            es_message_clear(&message);
            n--;
        } else {
            (void)usleep(1000);
        }
}

static void wait_for_beats(void *context)
{
    struct fixture *f = context;
    receive_beats(f, 1, f->n_beats);
    receive_beats(f, 2, f->n_beats);
    f->has_worked = true;
}

static void wait_to_go(void *context)
{
    char byte;
    struct fixture *f = context;
    assert_int_equal(read(f->go_pipe[0], &byte, 1), 1);
    f->has_worked = true;
}

static void the_others_hear_of_it_while_the_work_lasts(void **state)
{
    struct fixture *f = *state;
    enum es_vigil_end end;
    int number;
    f->n_beats = 5;
    assert_int_equal(es_vigil_run(&f->vigil, wait_for_beats, f, &end, &number, NULL), 0);
    assert_int_equal(end, ES_VIGIL_ENDED);
    assert_int_equal(number, 0);
    assert_true(f->has_worked);
}

static void a_signal_does_not_wait_for_work_that_hangs(void **state)
{
    struct fixture *f = *state;
    enum es_vigil_end end;
    int number;
    f->vigil.patience_s = 0.05;
    signal_now(f);
    assert_int_equal(es_vigil_run(&f->vigil, wait_to_go, f, &end, &number, NULL), 0);
    assert_int_equal(end, ES_VIGIL_LEFT);
    assert_int_equal(number, SIGTERM);
    assert_false(f->has_worked);
    assert_int_equal(write(f->go_pipe[1], "!", 1), 1);
    while (!f->has_worked) /* before the fixture goes */
        (void)usleep(1000);
}

static void work_that_ends_in_time_has_ended(void **state)
{
    struct fixture *f = *state;
    enum es_vigil_end end;
    int number;
    for (int drops = 0; drops < 2; drops++) {
        f->vigil.patience_s = drops ? (double)INFINITY : 1000;
        f->n_beats = 5;
        signal_now(f);
        assert_int_equal(es_vigil_run(&f->vigil, wait_for_beats, f, &end, &number, NULL), 0);
        assert_int_equal(end, ES_VIGIL_ENDED);
        assert_int_equal(number, SIGTERM);
    }
}

int main(void)
{
    es_signal_block();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_others_hear_of_it_while_the_work_lasts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_signal_does_not_wait_for_work_that_hangs, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(work_that_ends_in_time_has_ended, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
