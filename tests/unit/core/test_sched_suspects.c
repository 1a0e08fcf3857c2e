#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "evalsweep/sched.h"

#include <math.h>

/* What the scheduler does with suspects, event by event: 3 checkpoints x 4 layers x 2 tasks, units
 * of 10 s, no loads. What it does in whole sweeps stands in test_sched_blame.c. */

#define N_LAYERS 4

struct fixture {
    struct es_grid *grid;
    struct es_cost *cost;
    struct es_sched *sched;
    double now_s;
};

static void begin(struct fixture *f)
{
    const char *checkpoints[] = {"step0", "step1", "step2"};
    const char *tasks[] = {"A", "B"};
    const int32_t layers[N_LAYERS] = {0, 1, 2, 3};
    const double task_cost_s[] = {10, 10};
    const struct es_cost_hints hints = {.task_cost_s = task_cost_s};
    const struct es_sched_config config = {
        .policy = ES_POLICY_AFFINE, .max_attempts = 2, .max_bundles_failed = 5, .retry_delay_s = 1};
    *f = (struct fixture){.now_s = 1000};
    assert_int_equal(es_grid_create(checkpoints, 3, layers, N_LAYERS, tasks, 2, &f->grid, NULL), 0);
    assert_int_equal(es_cost_create(f->grid, &hints, &f->cost, NULL), 0);
    assert_int_equal(es_sched_create(f->grid, &config, f->cost, &f->sched, NULL), 0);
}

static void end(struct fixture *f)
{
    es_sched_free(f->sched);
    es_cost_free(f->cost);
    es_grid_free(f->grid);
}

static uint32_t id_of(const struct fixture *f, uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    return es_grid_id(f->grid, (struct es_unit){checkpoint, layer, task});
}

static void add_bundle(struct fixture *f, uint32_t checkpoint, uint32_t task)
{
    for (uint32_t l = 0; l < N_LAYERS; l++)
        assert_int_equal(es_sched_add(f->sched, id_of(f, checkpoint, l, task), NULL), 0);
}

/* An earlier start blocked a bundle. */
static void suspect_bundle(struct fixture *f, uint32_t checkpoint, uint32_t task)
{
    const struct es_suspect suspect = {.kind = ES_SUSPECT_BUNDLE,
                                       .checkpoint = checkpoint,
                                       .layer = ES_GRID_ANY,
                                       .task = task,
                                       .worker = ES_GRID_NONE,
                                       .unit_id = ES_GRID_NONE};
    es_sched_suspect(f->sched, &suspect, f->now_s);
}

static void join(struct fixture *f, uint32_t worker)
{
    assert_int_equal(es_sched_join(f->sched, worker, 1, f->now_s, NULL), 0);
}

/* The next action gives a worker one unit of a bundle: which one. */
static uint32_t expect_single(struct fixture *f, uint32_t worker, uint32_t checkpoint,
                              uint32_t task)
{
    struct es_action action;
    assert_true(es_sched_next_action(f->sched, f->now_s, &action));
    assert_int_equal(action.kind, ES_ACTION_ASSIGN);
    assert_int_equal(action.worker, worker);
    assert_int_equal(action.checkpoint, checkpoint);
    assert_int_equal(action.task, task);
    assert_int_equal(action.n_layers, 1);
    return id_of(f, checkpoint, action.layers[0], task);
}

static void expect_nothing(struct fixture *f)
{
    struct es_action action;
    assert_false(es_sched_next_action(f->sched, f->now_s, &action));
}

/* Whether there is a verdict of a kind; all are taken. */
static bool has_verdict(struct fixture *f, enum es_blame_verdict_kind kind)
{
    struct es_blame_verdict verdict;
    bool has = false;
    while (es_sched_next_verdict(f->sched, &verdict))
        has |= verdict.kind == kind;
    return has;
}

/* Worker 0 probes a bundle that an earlier start blocked: which unit. */
static uint32_t begin_probe(struct fixture *f)
{
    begin(f);
    suspect_bundle(f, 0, 0);
    add_bundle(f, 0, 0);
    assert_true(has_verdict(f, ES_BLAME_BLOCKED));
    assert_int_equal(es_sched_n_blocked(f->sched), N_LAYERS);
    join(f, 0);
    uint32_t unit_id = expect_single(f, 0, 0, 0);
    expect_nothing(f);
    assert_int_equal(es_sched_n_blocked(f->sched), N_LAYERS - 1);
    return unit_id;
}

static void a_probe_that_another_job_does(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t unit_id = begin_probe(&f);
    es_sched_park(f.sched, 0, unit_id, f.now_s);
    assert_true(es_sched_settle(f.sched, unit_id, true));
    assert_true(has_verdict(&f, ES_BLAME_UNBLOCKED));
    assert_int_equal(es_sched_n_blocked(f.sched), 0);
    end(&f);
}

static void a_probe_that_fails_in_another_job(void **state)
{
    (void)state;
    for (int is_parked = 0; is_parked < 2; is_parked++) {
        struct fixture f;
        uint32_t unit_id = begin_probe(&f);
        if (is_parked) {
            es_sched_park(f.sched, 0, unit_id, f.now_s);
            assert_true(es_sched_settle(f.sched, unit_id, false));
        } else {
            es_sched_failed_elsewhere(f.sched, 0, unit_id, f.now_s);
        }
        assert_int_equal(es_sched_n_blocked(f.sched), N_LAYERS - 1);
        assert_true(expect_single(&f, 0, 0, 0) != unit_id); /* the next probe */
        end(&f);
    }
}

static void a_probe_whose_worker_leaves(void **state)
{
    (void)state;
    struct fixture f;
    (void)begin_probe(&f);
    es_sched_leave(f.sched, 0, f.now_s);
    assert_int_equal(es_sched_n_blocked(f.sched), N_LAYERS);
    join(&f, 1);
    (void)expect_single(&f, 1, 0, 0);
    end(&f);
}

/* A unit that failed for good on one worker stays so, if what it failed on another before is
 * retracted. */
static void for_good_on_another(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t unit_id = 0;
    begin(&f);
    assert_int_equal(es_sched_add(f.sched, unit_id, NULL), 0);
    join(&f, 0);
    assert_int_equal(expect_single(&f, 0, 0, 0), unit_id);
    join(&f, 1);
    assert_false(es_sched_failed(f.sched, 0, unit_id, true, 0, f.now_s));
    f.now_s += 2;
    assert_int_equal(expect_single(&f, 1, 0, 0), unit_id);
    assert_true(es_sched_failed(f.sched, 1, unit_id, true, 0, f.now_s));
    es_sched_leave(f.sched, 0, f.now_s);
    assert_true(es_sched_has_failed(f.sched, unit_id));
    es_sched_leave(f.sched, 1, f.now_s); /* but not if its last failure is */
    assert_false(es_sched_has_failed(f.sched, unit_id));
    end(&f);
}

/* Nor is what failed for good in another job retracted with what failed here before. */
static void for_good_in_another_job(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t unit_id = 0;
    begin(&f);
    assert_int_equal(es_sched_add(f.sched, unit_id, NULL), 0);
    join(&f, 0);
    assert_int_equal(expect_single(&f, 0, 0, 0), unit_id);
    join(&f, 1);
    assert_false(es_sched_failed(f.sched, 0, unit_id, true, 0, f.now_s));
    f.now_s += 2;
    assert_int_equal(expect_single(&f, 1, 0, 0), unit_id);
    es_sched_failed_elsewhere(f.sched, 1, unit_id, f.now_s);
    es_sched_leave(f.sched, 0, f.now_s);
    assert_true(es_sched_has_failed(f.sched, unit_id));
    expect_nothing(&f);
    end(&f);
}

/* What was told to be failed for good is not retracted later. */
static void what_is_confirmed_stays_failed(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    assert_int_equal(es_sched_add(f.sched, 0, NULL), 0);
    join(&f, 0);
    (void)expect_single(&f, 0, 0, 0);
    assert_true(es_sched_failed(f.sched, 0, 0, false, 0, f.now_s));
    es_sched_confirm_all(f.sched);
    es_sched_leave(f.sched, 0, f.now_s);
    assert_true(es_sched_has_failed(f.sched, 0));
    end(&f);
}

/* The pauses between its probes count from this start, whatever the host's clock says. */
static void an_earlier_suspect_is_probed_after_30_s(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.now_s = 1e6; /* the host has been up for eleven days */
    suspect_bundle(&f, 0, 0);
    add_bundle(&f, 0, 0);
    assert_int_equal(es_sched_add(f.sched, id_of(&f, 1, 0, 0), NULL), 0);
    join(&f, 0);
    uint32_t unit_id = expect_single(&f, 0, 0, 0);
    (void)es_sched_failed(f.sched, 0, unit_id, true, 0, f.now_s);
    (void)expect_single(&f, 0, 1, 0);
    struct es_suspect suspect;
    uint32_t n_units;
    assert_int_equal(es_sched_suspects(f.sched, &suspect, &n_units, 1), 1);
    assert_true(suspect.probe_s > f.now_s && suspect.probe_s <= f.now_s + 60);
    end(&f);
}

/* Only one bundle is left, and fails: it is blocked, though no other work shows that the worker is
 * good; a few more of it are tried, and then nothing is left to do. */
static void the_last_bundle_is_blocked(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    bool was_blocked = false;
    begin(&f);
    add_bundle(&f, 0, 0);
    join(&f, 0);
    for (int i = 0; i < 20 && !es_sched_is_blocked(f.sched, f.now_s); i++) {
        double since_s;
        f.now_s += 2;
        while (es_sched_next_action(f.sched, f.now_s, &action))
            continue;
        was_blocked |= has_verdict(&f, ES_BLAME_BLOCKED);
        uint32_t unit_id = es_sched_running(f.sched, 0, &since_s);
        if (unit_id != ES_GRID_NONE)
            (void)es_sched_failed(f.sched, 0, unit_id, true, 0, f.now_s);
    }
    assert_true(was_blocked);
    assert_true(es_sched_is_blocked(f.sched, f.now_s) || es_sched_finished(f.sched));
    end(&f);
}

/* A suspect of which nothing is left is not looked for every second. */
static void a_suspect_without_units_is_not_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    suspect_bundle(&f, 0, 0);
    suspect_bundle(&f, 1, 0);
    add_bundle(&f, 1, 0);
    join(&f, 0);
    join(&f, 1);
    uint32_t first = expect_single(&f, 0, 1, 0);
    expect_nothing(&f);
    assert_true(es_sched_deadline(f.sched) > f.now_s + 5);
    assert_true(es_sched_is_held_by(f.sched, 0, first));
    end(&f);
}

/* A worker that may not probe what is due looks again later, not at once and for ever. */
static void who_may_not_probe_waits(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    suspect_bundle(&f, 0, 0);
    add_bundle(&f, 0, 0);
    assert_int_equal(es_sched_add(f.sched, id_of(&f, 1, 0, 0), NULL), 0);
    assert_int_equal(es_sched_add(f.sched, id_of(&f, 1, 1, 0), NULL), 0);
    join(&f, 0);
    uint32_t unit_id = expect_single(&f, 0, 0, 0);
    (void)es_sched_failed(f.sched, 0, unit_id, true, 0, f.now_s);
    unit_id = expect_single(&f, 0, 1, 0);
    const struct es_times times = {.total_s = 10};
    f.now_s += 10;
    es_sched_done(f.sched, 0, unit_id, &times, f.now_s); /* it is good */
    (void)expect_single(&f, 0, 1, 0);
    f.now_s += 60; /* while that takes long, the next probe is due */
    join(&f, 1);
    expect_nothing(&f);
    assert_true(es_sched_deadline(f.sched) >= f.now_s + 0.5);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_that_another_job_does),
        cmocka_unit_test(a_probe_that_fails_in_another_job),
        cmocka_unit_test(a_probe_whose_worker_leaves),
        cmocka_unit_test(for_good_on_another),
        cmocka_unit_test(for_good_in_another_job),
        cmocka_unit_test(what_is_confirmed_stays_failed),
        cmocka_unit_test(an_earlier_suspect_is_probed_after_30_s),
        cmocka_unit_test(the_last_bundle_is_blocked),
        cmocka_unit_test(a_suspect_without_units_is_not_asked_for),
        cmocka_unit_test(who_may_not_probe_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
