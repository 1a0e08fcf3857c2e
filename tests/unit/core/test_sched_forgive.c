#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/num.h"
#include "evalsweep/sched.h"

#include <math.h>
#include <string.h>

/* Random events, straight into the scheduler, with workers that leave, good or bad: what failed on
 * a bad one does not count. A model counts along. */

#define N_CHECKPOINTS 3
#define N_LAYERS 2
#define N_TASKS 2
#define N_UNITS (N_CHECKPOINTS * N_LAYERS * N_TASKS)
#define N_WORKERS 4
#define N_CASES 400
#define N_EVENTS 300
#define MAX_ATTEMPTS 2

struct model {
    struct es_rng rng;
    struct es_grid *grid;
    struct es_cost *cost;
    struct es_sched *sched;
    double now_s;
    bool alive[N_WORKERS];
    uint32_t n_tries[N_WORKERS][N_UNITS]; /* that failed there since the worker came */
    uint32_t n_counted[N_UNITS];          /* failed tries, those of bad workers taken back */
    bool must_not[N_UNITS];               /* a reply forbade another try */
    uint32_t lost_on[N_UNITS];            /* FAILED: by whom */
    enum { OPEN, DONE, LOST } state[N_UNITS];
};

static void begin(struct model *m, uint64_t seed)
{
    const char *const names[] = {"a", "b", "c"};
    const int32_t layers[] = {1, 2};
    const struct es_sched_config config = {.policy = (enum es_policy)(seed % 4),
                                           .n_static = 2,
                                           .max_attempts = MAX_ATTEMPTS,
                                           .retry_delay_s = 1,
                                           .prefetch_s = 3};
    *m = (struct model){.now_s = 1};
    es_rng_init(&m->rng, seed);
    assert_int_equal(
        es_grid_create(names, N_CHECKPOINTS, layers, N_LAYERS, names, N_TASKS, &m->grid, NULL), 0);
    assert_int_equal(es_cost_create(m->grid, NULL, &m->cost, NULL), 0);
    assert_int_equal(es_sched_create(m->grid, &config, m->cost, &m->sched, NULL), 0);
    for (uint32_t id = 0; id < N_UNITS; id++)
        assert_int_equal(es_sched_add(m->sched, id, NULL), 0);
}

static void end(struct model *m)
{
    es_sched_free(m->sched);
    es_cost_free(m->cost);
    es_grid_free(m->grid);
}

/* Every recall is answered at once: the unit was begun. */
static void act(struct model *m)
{
    struct es_action action;
    while (es_sched_next_action(m->sched, m->now_s, &action))
        for (uint32_t i = 0; i < action.n_layers; i++) {
            struct es_unit unit = {action.checkpoint, action.layers[i], action.task};
            uint32_t id = es_grid_id(m->grid, unit);
            assert_int_equal(m->state[id], OPEN);
            if (action.kind == ES_ACTION_RECALL)
                es_sched_kept(m->sched, action.worker, id, m->now_s);
            else
                assert_int_equal(es_sched_attempt(m->sched, id), m->n_counted[id] + 1);
        }
}

static void leave(struct model *m, uint32_t worker)
{
    bool is_bad = es_rng_below(&m->rng, 2);
    m->alive[worker] = false;
    es_sched_leave(m->sched, worker, m->now_s);
    for (uint32_t id = 0; id < N_UNITS; id++)
        for (; m->n_tries[worker][id] > 0; m->n_tries[worker][id]--) {
            if (!is_bad)
                continue;
            bool is_taken_back =
                m->state[id] == OPEN || (m->state[id] == LOST && m->lost_on[id] == worker);
            bool was_lost = es_sched_forgive(m->sched, worker, id, m->now_s);
            assert_int_equal(was_lost, is_taken_back && m->state[id] == LOST);
            m->n_counted[id] -= is_taken_back;
            if (was_lost)
                m->state[id] = OPEN;
        }
}

static void end_unit(struct model *m, uint32_t worker)
{
    double since_s;
    uint32_t id = es_sched_running(m->sched, worker, &since_s);
    const struct es_times times = {1, (double)NAN, (double)NAN, (double)NAN};
    if (id == ES_GRID_NONE)
        return;
    if (es_rng_below(&m->rng, 3) == 0) {
        es_sched_done(m->sched, worker, id, &times, m->now_s);
        m->state[id] = DONE;
        return;
    }
    bool may_retry = es_rng_below(&m->rng, 4) > 0;
    bool is_lost = es_sched_failed(m->sched, worker, id, may_retry, m->now_s);
    m->n_tries[worker][id]++;
    m->n_counted[id]++;
    assert_int_equal(is_lost, !may_retry || m->n_counted[id] >= MAX_ATTEMPTS);
    if (is_lost) {
        m->state[id] = LOST;
        m->lost_on[id] = worker;
    }
}

static void check(struct model *m)
{
    uint32_t n_open = 0;
    for (uint32_t id = 0; id < N_UNITS; id++)
        n_open += m->state[id] == OPEN;
    assert_int_equal(es_sched_n_pending(m->sched) + es_sched_n_held(m->sched), n_open);
    assert_int_equal(es_sched_finished(m->sched), n_open == 0);
}

static void counters_hold_whatever_is_forgiven(void **state)
{
    (void)state;
    uint64_t n_lost = 0;
    for (uint64_t seed = 1; seed <= N_CASES; seed++) {
        struct model m;
        begin(&m, seed);
        for (int i = 0; i < N_EVENTS; i++) {
            uint32_t worker = (uint32_t)es_rng_below(&m.rng, N_WORKERS);
            m.now_s += es_rng_unit(&m.rng);
            if (!m.alive[worker]) {
                assert_int_equal(es_sched_join(m.sched, worker, 1, m.now_s, NULL), 0);
                m.alive[worker] = true;
            } else if (es_rng_below(&m.rng, 8) == 0) {
                leave(&m, worker);
            } else {
                end_unit(&m, worker);
            }
            act(&m);
            check(&m);
        }
        for (uint32_t id = 0; id < N_UNITS; id++)
            n_lost += m.state[id] == LOST;
        end(&m);
    }
    assert_true(n_lost > 0);
}

/* The one worker there was is out: all that it held or failed is as if it had not been there. */
static void nothing_is_lost_on_a_bad_worker_alone(void **state)
{
    (void)state;
    struct model m;
    begin(&m, 4);
    assert_int_equal(es_sched_join(m.sched, 0, 1, m.now_s, NULL), 0);
    act(&m);
    double since_s;
    uint32_t id = es_sched_running(m.sched, 0, &since_s);
    assert_true(es_sched_failed(m.sched, 0, id, false, m.now_s));
    assert_false(es_sched_forgive(m.sched, 1, id, m.now_s)); /* it failed elsewhere */
    assert_int_equal(es_sched_n_pending(m.sched) + es_sched_n_held(m.sched), N_UNITS - 1);
    es_sched_leave(m.sched, 0, m.now_s);
    assert_true(es_sched_forgive(m.sched, 0, id, m.now_s));
    assert_false(es_sched_forgive(m.sched, 0, id, m.now_s));
    assert_false(es_sched_forgive(m.sched, 0, N_UNITS, m.now_s));
    assert_int_equal(es_sched_n_pending(m.sched), N_UNITS);
    assert_int_equal(es_sched_attempt(m.sched, id), 1);
    end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_hold_whatever_is_forgiven),
        cmocka_unit_test(nothing_is_lost_on_a_bad_worker_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
