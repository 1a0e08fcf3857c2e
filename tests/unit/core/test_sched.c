#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "evalsweep/sched.h"

#include <math.h>
#include <string.h>

#define N_CHECKPOINTS 3
#define N_LAYERS 4
#define N_TASKS 2
#define N_UNITS (N_CHECKPOINTS * N_LAYERS * N_TASKS)

/* 3 checkpoints x 4 layers x 2 tasks: units of "A" take 10 s, of "B" 100 s, a load takes 30 s. */
struct fixture {
    struct es_grid *grid;
    struct es_cost *cost;
    struct es_sched *sched;
    double now_s;
};

static const struct es_sched_config AFFINE = {
    .policy = ES_POLICY_AFFINE, .max_attempts = 3, .retry_delay_s = 10, .prefetch_s = 1};

static void begin_with(struct fixture *f, const struct es_sched_config *config, double pass_share)
{
    const char *checkpoints[] = {"step0", "step1", "step2"};
    const char *tasks[] = {"A", "B"};
    const int32_t layers[] = {0, 1, 2, 3};
    const double task_cost_s[] = {10, 100};
    struct es_cost_hints hints = {
        .load_s = 30, .pass_share = pass_share, .task_cost_s = task_cost_s};
    *f = (struct fixture){.now_s = 1000};
    assert_int_equal(es_grid_create(checkpoints, N_CHECKPOINTS, layers, N_LAYERS, tasks, N_TASKS,
                                    &f->grid, NULL),
                     0);
    assert_int_equal(es_cost_create(f->grid, &hints, &f->cost, NULL), 0);
    assert_int_equal(es_sched_create(f->grid, config, f->cost, &f->sched, NULL), 0);
}

static void add_all(struct fixture *f)
{
    for (uint32_t id = 0; id < N_UNITS; id++)
        assert_int_equal(es_sched_add(f->sched, id, NULL), 0);
}

static void begin(struct fixture *f)
{
    begin_with(f, &AFFINE, 0);
    add_all(f);
}

static void end(struct fixture *f)
{
    es_sched_free(f->sched);
    es_cost_free(f->cost);
    es_grid_free(f->grid);
}

static void join(struct fixture *f, uint32_t worker)
{
    assert_int_equal(es_sched_join(f->sched, worker, 1, f->now_s, NULL), 0);
}

static uint32_t id_of(const struct fixture *f, uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    return es_grid_id(f->grid, (struct es_unit){checkpoint, layer, task});
}

static bool act(struct fixture *f, struct es_action *action)
{
    return es_sched_next_action(f->sched, f->now_s, action);
}

/* The next action, which must be this. */
static struct es_action expect(struct fixture *f, enum es_action_kind kind, uint32_t worker)
{
    struct es_action action;
    assert_true(act(f, &action));
    assert_int_equal(action.kind, kind);
    assert_int_equal(action.worker, worker);
    assert_true(action.n_layers > 0);
    return action;
}

static void expect_nothing(struct fixture *f)
{
    struct es_action action;
    assert_false(act(f, &action));
    assert_true(es_sched_deadline(f->sched) > f->now_s);
}

static uint32_t running(const struct fixture *f, uint32_t worker)
{
    double since_s;
    return es_sched_running(f->sched, worker, &since_s);
}

/* The running unit ends as it was expected to. */
static void finish(struct fixture *f, uint32_t worker)
{
    uint32_t unit_id = running(f, worker);
    assert_true(unit_id < N_UNITS);
    double took_s = es_cost_score(f->cost, unit_id);
    struct es_times times = {took_s, 0, 0, took_s};
    f->now_s += took_s;
    es_sched_done(f->sched, worker, unit_id, &times, f->now_s);
}

/* Workers 0 to 3 run all there is; recalled units are given back. How many ended. */
static uint32_t run_all(struct fixture *f)
{
    struct es_action action;
    uint32_t n_done = 0;
    for (int round = 0; !es_sched_finished(f->sched); round++) {
        assert_true(round < 1000);
        while (act(f, &action))
            for (uint32_t i = 0; action.kind == ES_ACTION_RECALL && i < action.n_layers; i++)
                es_sched_returned(f->sched, action.worker,
                                  id_of(f, action.checkpoint, action.layers[i], action.task),
                                  f->now_s);
        uint32_t n_before = n_done;
        for (uint32_t w = 0; w < 4; w++)
            if (running(f, w) != ES_GRID_NONE) {
                finish(f, w);
                n_done++;
            }
        if (n_done == n_before)
            f->now_s = fmax(f->now_s, es_sched_deadline(f->sched));
    }
    return n_done;
}

static void every_unit_runs_once(void **state)
{
    (void)state;
    for (int policy = ES_POLICY_AFFINE; policy <= ES_POLICY_STATIC; policy++) {
        struct es_sched_config config = AFFINE;
        struct fixture f;
        config.policy = (enum es_policy)policy;
        config.n_static = 2;
        begin_with(&f, &config, 0);
        add_all(&f);
        assert_int_equal(es_sched_n_pending(f.sched), N_UNITS);
        join(&f, 0);
        join(&f, 2);
        assert_int_equal(es_sched_n_workers(f.sched), 2);
        assert_int_equal(run_all(&f), N_UNITS);
        assert_int_equal(es_sched_n_pending(f.sched) + es_sched_n_held(f.sched), 0);
        expect_nothing(&f);
        end(&f);
    }
}

static void a_unit_is_added_once(void **state)
{
    (void)state;
    struct fixture f;
    begin_with(&f, &AFFINE, 0);
    assert_int_equal(es_sched_add(f.sched, 5, NULL), 0);
    assert_true(es_sched_add(f.sched, 5, NULL) < 0);
    assert_true(es_sched_add(f.sched, N_UNITS, NULL) < 0);
    assert_int_equal(es_sched_n_pending(f.sched), 1);
    join(&f, 0);
    assert_int_equal(run_all(&f), 1);
    end(&f);
}

static void longest_first_and_true_to_its_checkpoint(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    join(&f, 0);
    struct es_action action = expect(&f, ES_ACTION_ASSIGN, 0);
    uint32_t own = action.checkpoint, n_own = 0;
    assert_int_equal(action.task, 1);
    while (n_own < N_LAYERS * N_TASKS) {
        assert_int_equal(es_grid_unit(f.grid, running(&f, 0)).checkpoint, own);
        assert_int_equal(es_grid_unit(f.grid, running(&f, 0)).task, n_own < N_LAYERS ? 1 : 0);
        finish(&f, 0);
        n_own++;
        while (act(&f, &action))
            ;
    }
    assert_int_not_equal(es_grid_unit(f.grid, running(&f, 0)).checkpoint, own);
    end(&f);
}

static void workers_take_checkpoints_of_their_own(void **state)
{
    (void)state;
    struct fixture f;
    bool taken[N_CHECKPOINTS] = {false};
    begin(&f);
    for (uint32_t w = 0; w < 3; w++) {
        join(&f, w);
        struct es_action action = expect(&f, ES_ACTION_ASSIGN, w);
        assert_false(taken[action.checkpoint]);
        taken[action.checkpoint] = true;
    }
    join(&f, 3); /* none is left: it joins one */
    (void)expect(&f, ES_ACTION_ASSIGN, 3);
    end(&f);
}

static void a_bundle_is_whole_where_it_shares_a_pass(void **state)
{
    (void)state;
    struct fixture f;
    begin_with(&f, &AFFINE, 0.9);
    add_all(&f);
    join(&f, 0);
    assert_int_equal(expect(&f, ES_ACTION_ASSIGN, 0).n_layers, N_LAYERS);
    end(&f);
}

static void a_long_bundle_is_broken_at_the_end(void **state)
{
    (void)state;
    struct fixture f;
    begin_with(&f, &AFFINE, 0);
    for (uint32_t layer = 0; layer < N_LAYERS; layer++)
        assert_int_equal(es_sched_add(f.sched, id_of(&f, 1, layer, 1), NULL), 0);
    for (uint32_t w = 0; w < 4; w++)
        join(&f, w);
    for (uint32_t w = 0; w < 4; w++)
        assert_int_equal(expect(&f, ES_ACTION_ASSIGN, w).n_layers, 1);
    end(&f);
}

static void the_next_unit_comes_before_the_last_ends(void **state)
{
    (void)state;
    struct fixture f;
    begin_with(&f, &AFFINE, 0);
    for (uint32_t c = 0; c < N_CHECKPOINTS; c++) /* a bundle of one layer each */
        assert_int_equal(es_sched_add(f.sched, id_of(&f, c, 0, 1), NULL), 0);
    join(&f, 0);
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    expect_nothing(&f);
    double begun_s = f.now_s;
    f.now_s = es_sched_deadline(f.sched);
    assert_true(f.now_s > begun_s + 100 && f.now_s < begun_s + 130);
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    assert_int_equal(es_sched_n_held_by(f.sched, 0), 2);
    expect_nothing(&f);
    end(&f);
}

static void many_tiny_units_are_held(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    struct es_sched_config config = AFFINE;
    config.prefetch_s = 300;
    begin_with(&f, &config, 0);
    add_all(&f);
    join(&f, 0);
    while (act(&f, &action))
        ;
    assert_true(es_sched_n_held_by(f.sched, 0) >= 3);
    assert_true(es_sched_n_held_by(f.sched, 0) < N_UNITS); /* not all of a short job */
    end(&f);
}

/* Worker 0 holds the rest of a bundle, whose first unit took much longer than expected, when worker
 * 1 comes. */
static void hold_a_long_bundle(struct fixture *f, const struct es_times *first)
{
    begin_with(f, &AFFINE, 0.9);
    for (uint32_t layer = 0; layer < N_LAYERS; layer++)
        assert_int_equal(es_sched_add(f->sched, id_of(f, 0, layer, 1), NULL), 0);
    join(f, 0);
    assert_int_equal(expect(f, ES_ACTION_ASSIGN, 0).n_layers, N_LAYERS);
    f->now_s += first->total_s;
    es_sched_done(f->sched, 0, running(f, 0), first, f->now_s);
    join(f, 1);
}

static struct es_action recall_from_worker_0(struct fixture *f)
{
    const struct es_times long_scores = {5000, 30, 70, 4900};
    hold_a_long_bundle(f, &long_scores);
    return expect(f, ES_ACTION_RECALL, 0);
}

static void what_would_end_sooner_where_it_is_stays(void **state)
{
    (void)state;
    struct fixture f;
    const struct es_times long_pass = {5000, 30, 4900, 70};
    hold_a_long_bundle(&f, &long_pass);
    expect_nothing(&f);
    assert_int_equal(es_sched_n_held_by(f.sched, 0), 3);
    end(&f);
}

static void an_idle_worker_gets_what_another_has_not_begun(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action recall = recall_from_worker_0(&f);
    uint32_t n = recall.n_layers, units[N_LAYERS] = {0};
    assert_true(n < 3); /* not the running one */
    for (uint32_t i = 0; i < n; i++)
        units[i] = id_of(&f, recall.checkpoint, recall.layers[i], recall.task);
    expect_nothing(&f);
    for (uint32_t i = 0; i < n; i++) {
        es_sched_returned(f.sched, 0, units[i], f.now_s);
        assert_false(es_sched_is_held_by(f.sched, 0, units[i]));
    }
    assert_int_equal(es_sched_n_pending(f.sched), n);
    struct es_action action = expect(&f, ES_ACTION_ASSIGN, 1);
    assert_int_equal(action.n_layers, n);
    assert_true(es_sched_is_held_by(f.sched, 1, units[0]));
    assert_int_equal(run_all(&f), 3);
    end(&f);
}

static void what_was_begun_is_kept(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action recall = recall_from_worker_0(&f);
    uint32_t n = recall.n_layers, units[N_LAYERS];
    for (uint32_t i = 0; i < n; i++)
        units[i] = id_of(&f, recall.checkpoint, recall.layers[i], recall.task);
    for (uint32_t i = 0; i < n; i++)
        es_sched_kept(f.sched, 0, units[i], f.now_s);
    struct es_action action;
    while (act(&f, &action)) /* others may be asked for, but none of these again */
        for (uint32_t i = 0; i < action.n_layers; i++)
            for (uint32_t j = 0; j < n; j++)
                assert_int_not_equal(id_of(&f, action.checkpoint, action.layers[i], action.task),
                                     units[j]);
    assert_int_equal(es_sched_n_held_by(f.sched, 0), 3);
    end(&f);
}

static void a_recall_survives_whoever_leaves(void **state)
{
    (void)state;
    for (uint32_t leaver = 0; leaver < 2; leaver++) {
        struct fixture f;
        struct es_action recall = recall_from_worker_0(&f);
        uint32_t unit_id = id_of(&f, recall.checkpoint, recall.layers[0], recall.task);
        es_sched_leave(f.sched, leaver, f.now_s);
        assert_int_equal(es_sched_n_workers(f.sched), 1);
        if (leaver == 1) {
            es_sched_returned(f.sched, 0, unit_id, f.now_s);
            for (uint32_t i = 1; i < recall.n_layers; i++)
                es_sched_returned(f.sched, 0,
                                  id_of(&f, recall.checkpoint, recall.layers[i], recall.task),
                                  f.now_s);
        }
        assert_int_equal(run_all(&f), 3);
        end(&f);
    }
}

static void a_suspended_worker_keeps_what_it_has_and_gets_nothing(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    join(&f, 0);
    struct es_action action = expect(&f, ES_ACTION_ASSIGN, 0);
    es_sched_suspend(f.sched, 0, f.now_s);
    es_sched_suspend(f.sched, 0, f.now_s); /* no matter how often */
    assert_int_equal(es_sched_n_workers(f.sched), 0);
    uint32_t n_held = es_sched_n_held_by(f.sched, 0);
    assert_true(n_held >= action.n_layers);
    finish(&f, 0); /* what it says late is heard */
    expect_nothing(&f);
    assert_int_equal(es_sched_n_held_by(f.sched, 0), n_held - 1);
    es_sched_resume(f.sched, 0, f.now_s);
    es_sched_resume(f.sched, 0, f.now_s);
    assert_int_equal(es_sched_n_workers(f.sched), 1);
    assert_int_equal(run_all(&f), N_UNITS - 1);
    end(&f);
}

static void a_suspended_worker_may_leave_or_join_anew(void **state)
{
    (void)state;
    for (int joins = 0; joins < 2; joins++) {
        struct fixture f;
        begin(&f);
        join(&f, 0);
        (void)expect(&f, ES_ACTION_ASSIGN, 0);
        join(&f, 1);
        es_sched_suspend(f.sched, 0, f.now_s);
        if (joins)
            join(&f, 0);
        else
            es_sched_leave(f.sched, 0, f.now_s);
        es_sched_resume(f.sched, 0, f.now_s); /* too late, or not needed */
        assert_int_equal(es_sched_n_workers(f.sched), 1 + joins);
        assert_int_equal(es_sched_n_held_by(f.sched, 0), 0);
        assert_int_equal(run_all(&f), N_UNITS);
        end(&f);
    }
}

static void the_only_one_heard_may_run_what_failed_on_it(void **state)
{
    (void)state;
    struct fixture f;
    begin_with(&f, &AFFINE, 0);
    assert_int_equal(es_sched_add(f.sched, 0, NULL), 0);
    join(&f, 0);
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    join(&f, 1);
    assert_false(es_sched_failed(f.sched, 0, 0, true, 0, f.now_s));
    es_sched_suspend(f.sched, 1, f.now_s);
    f.now_s += 10;
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    end(&f);
}

static void a_failed_unit_goes_elsewhere_after_a_delay(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    begin_with(&f, &AFFINE, 0);
    uint32_t unit_id = id_of(&f, 0, 0, 0);
    assert_int_equal(es_sched_add(f.sched, unit_id, NULL), 0);
    join(&f, 0);
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    assert_int_equal(es_sched_attempt(f.sched, unit_id), 1);
    assert_false(es_sched_failed(f.sched, 0, unit_id, true, 0, f.now_s));
    assert_int_equal(es_sched_attempt(f.sched, unit_id), 2);
    join(&f, 1);
    double failed_s = f.now_s;
    expect_nothing(&f);
    assert_true(fabs(es_sched_deadline(f.sched) - (failed_s + 10)) < 1e-3);
    f.now_s = es_sched_deadline(f.sched);
    (void)expect(&f, ES_ACTION_ASSIGN, 1);
    assert_false(es_sched_failed(f.sched, 1, unit_id, true, 0, f.now_s));
    expect_nothing(&f);
    assert_true(fabs(es_sched_deadline(f.sched) - (f.now_s + 20)) < 1e-3); /* doubled */
    es_sched_leave(f.sched, 0, f.now_s);
    f.now_s += 20; /* nobody else is left: worker 1 again */
    (void)expect(&f, ES_ACTION_ASSIGN, 1);
    assert_true(es_sched_failed(f.sched, 1, unit_id, true, 0, f.now_s));
    assert_true(es_sched_finished(f.sched));
    assert_false(act(&f, &action));
    end(&f);
}

static void what_must_not_be_tried_again_is_not(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    join(&f, 0);
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    assert_true(es_sched_failed(f.sched, 0, running(&f, 0), false, 0, f.now_s));
    assert_int_equal(run_all(&f), N_UNITS - 1);
    end(&f);
}

static void what_a_leaving_worker_held_runs_elsewhere(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    join(&f, 0);
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    uint32_t unit_id = running(&f, 0);
    es_sched_leave(f.sched, 0, f.now_s);
    assert_int_equal(es_sched_n_held(f.sched), 0);
    assert_int_equal(es_sched_n_pending(f.sched), N_UNITS);
    assert_int_equal(es_sched_attempt(f.sched, unit_id), 1);
    assert_int_equal(running(&f, 0), ES_GRID_NONE);
    assert_true(isnan(es_sched_eta(f.sched, f.now_s)));
    expect_nothing(&f);
    join(&f, 3);
    assert_int_equal(run_all(&f), N_UNITS);
    end(&f);
}

static void the_coming_checkpoint_is_told(void **state)
{
    (void)state;
    struct fixture f;
    begin_with(&f, &AFFINE, 0);
    assert_int_equal(es_sched_add(f.sched, id_of(&f, 0, 0, 1), NULL), 0);
    assert_int_equal(es_sched_add(f.sched, id_of(&f, 2, 0, 0), NULL), 0);
    join(&f, 0);
    struct es_action action = expect(&f, ES_ACTION_ASSIGN, 0);
    assert_int_equal(action.checkpoint, 0);
    assert_int_equal(action.next_checkpoint, 2);
    finish(&f, 0);
    action = expect(&f, ES_ACTION_ASSIGN, 0);
    assert_int_equal(action.checkpoint, 2);
    assert_int_equal(action.next_checkpoint, ES_GRID_NONE);
    end(&f);
}

static void first_in_first_out_is_the_order_of_the_grid(void **state)
{
    (void)state;
    struct es_sched_config config = AFFINE;
    struct fixture f;
    config.policy = ES_POLICY_FIFO;
    begin_with(&f, &config, 0);
    add_all(&f);
    join(&f, 0);
    for (uint32_t last = 0; es_sched_n_pending(f.sched) > 0;) {
        struct es_action action = expect(&f, ES_ACTION_ASSIGN, 0);
        assert_true(action.checkpoint * N_TASKS + action.task >= last);
        last = action.checkpoint * N_TASKS + action.task;
        while (running(&f, 0) != ES_GRID_NONE)
            finish(&f, 0);
    }
    end(&f);
}

static void static_shares_stay_apart(void **state)
{
    (void)state;
    struct es_sched_config config = AFFINE;
    struct fixture f;
    config.policy = ES_POLICY_STATIC;
    config.n_static = 3;
    begin_with(&f, &config, 0);
    add_all(&f);
    for (uint32_t w = 0; w < 3; w++)
        join(&f, w);
    for (uint32_t w = 0; w < 3; w++)
        (void)expect(&f, ES_ACTION_ASSIGN, w);
    uint32_t own = es_grid_unit(f.grid, running(&f, 1)).checkpoint;
    for (int i = 0; i < N_LAYERS * N_TASKS; i++) {
        struct es_action action;
        assert_int_equal(es_grid_unit(f.grid, running(&f, 1)).checkpoint, own);
        finish(&f, 1);
        while (act(&f, &action))
            ;
    }
    assert_int_equal(running(&f, 1), ES_GRID_NONE); /* though others have much left */
    assert_true(es_sched_n_pending(f.sched) > 0);
    end(&f);
}

static void eta_is_the_work_shared_out(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    begin(&f);
    join(&f, 0);
    double work_s = N_CHECKPOINTS * (N_LAYERS * 110 + 30);
    assert_true(fabs(es_sched_eta(f.sched, f.now_s) - work_s) < 0.01 * work_s);
    while (act(&f, &action))
        ;
    assert_true(fabs(es_sched_eta(f.sched, f.now_s) - work_s) < 0.01 * work_s);
    join(&f, 1);
    assert_true(fabs(es_sched_eta(f.sched, f.now_s) - work_s / 2) < 0.01 * work_s);
    end(&f);
}

/* Whether it holds something (then it keeps that) or not. */
static void a_worker_that_is_heard_again_counts_and_gets_work(void **state)
{
    (void)state;
    for (int is_busy = 0; is_busy < 2; is_busy++) {
        struct fixture f;
        struct es_action action;
        bool has_got_more = false;
        begin(&f);
        join(&f, 0);
        join(&f, 1);
        while (is_busy && act(&f, &action))
            ;
        double eta_s = es_sched_eta(f.sched, f.now_s);
        uint32_t n_held = es_sched_n_held_by(f.sched, 1);
        assert_int_equal(n_held > 0, is_busy);
        es_sched_suspend(f.sched, 1, f.now_s);
        assert_int_equal(es_sched_n_workers(f.sched), 1);
        assert_true(es_sched_eta(f.sched, f.now_s) > 1.5 * eta_s);
        while (act(&f, &action))
            assert_int_equal(action.worker, 0);
        assert_int_equal(es_sched_n_held_by(f.sched, 1), n_held);
        es_sched_resume(f.sched, 1, f.now_s);
        assert_int_equal(es_sched_n_workers(f.sched), 2);
        assert_true(fabs(es_sched_eta(f.sched, f.now_s) - eta_s) < 0.3 * eta_s);
        while (running(&f, 1) != ES_GRID_NONE) /* what it kept */
            finish(&f, 1);
        while (act(&f, &action))
            has_got_more |= action.worker == 1 && action.kind == ES_ACTION_ASSIGN;
        assert_true(has_got_more);
        end(&f);
    }
}

/* They go at another job's pace. */
static void when_others_have_all_that_is_left_nobody_knows_the_eta(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    join(&f, 0);
    for (struct es_action action; act(&f, &action);) {
        assert_true(isfinite(es_sched_eta(f.sched, f.now_s)));
        while (running(&f, 0) != ES_GRID_NONE) {
            uint32_t id = running(&f, 0);
            es_sched_park(f.sched, 0, id, f.now_s);
            while (es_sched_park_another(f.sched, id) != ES_GRID_NONE)
                ;
        }
    }
    assert_int_equal(es_sched_n_parked(f.sched), N_UNITS);
    assert_true(isnan(es_sched_eta(f.sched, f.now_s)));
    es_sched_unpark(f.sched, 0, f.now_s);
    assert_true(isfinite(es_sched_eta(f.sched, f.now_s)));
    end(&f);
}

static void events_that_cannot_be_are_ignored(void **state)
{
    (void)state;
    struct fixture f;
    const struct es_times times = {1, 0, 0, 1};
    begin(&f);
    join(&f, 0);
    (void)expect(&f, ES_ACTION_ASSIGN, 0);
    uint32_t held = running(&f, 0), n_held = es_sched_n_held(f.sched);
    uint32_t other = held == 0 ? N_UNITS - 1 : 0;
    const uint32_t pairs[][2] = {{0, N_UNITS}, {0, UINT32_MAX}, {1, held}, {99, held}, {0, other}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (es_sched_is_held_by(f.sched, pairs[i][0], pairs[i][1]))
            continue;
        es_sched_done(f.sched, pairs[i][0], pairs[i][1], &times, f.now_s);
        es_sched_returned(f.sched, pairs[i][0], pairs[i][1], f.now_s);
        es_sched_kept(f.sched, pairs[i][0], pairs[i][1], f.now_s);
        assert_true(es_sched_failed(f.sched, pairs[i][0], pairs[i][1], true, 0, f.now_s));
    }
    es_sched_kept(f.sched, 0, held, f.now_s); /* never recalled */
    es_sched_leave(f.sched, 77, f.now_s);
    assert_int_equal(es_sched_n_held(f.sched), n_held);
    assert_int_equal(es_sched_n_pending(f.sched), N_UNITS - n_held);
    assert_int_equal(run_all(&f), N_UNITS);
    end(&f);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct fixture f;
    int rc = ES_ERR_NOMEM;
    begin(&f);
    for (long n = 0; rc == ES_ERR_NOMEM; n++) {
        struct es_sched *sched = NULL;
        es_mem_fail_after(n);
        rc = es_sched_create(f.grid, &AFFINE, f.cost, &sched, NULL);
        es_mem_fail_after(-1);
        assert_true((rc == 0) == (sched != NULL));
        es_sched_free(sched);
    }
    rc = ES_ERR_NOMEM;
    for (long n = 0; rc == ES_ERR_NOMEM; n++) {
        es_mem_fail_after(n);
        rc = es_sched_join(f.sched, 1, 1, f.now_s, NULL);
        es_mem_fail_after(-1);
        assert_int_equal(es_sched_n_workers(f.sched), rc == 0);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(run_all(&f), N_UNITS);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit_runs_once),
        cmocka_unit_test(a_unit_is_added_once),
        cmocka_unit_test(longest_first_and_true_to_its_checkpoint),
        cmocka_unit_test(workers_take_checkpoints_of_their_own),
        cmocka_unit_test(a_bundle_is_whole_where_it_shares_a_pass),
        cmocka_unit_test(a_long_bundle_is_broken_at_the_end),
        cmocka_unit_test(the_next_unit_comes_before_the_last_ends),
        cmocka_unit_test(many_tiny_units_are_held),
        cmocka_unit_test(what_would_end_sooner_where_it_is_stays),
        cmocka_unit_test(an_idle_worker_gets_what_another_has_not_begun),
        cmocka_unit_test(what_was_begun_is_kept),
        cmocka_unit_test(a_recall_survives_whoever_leaves),
        cmocka_unit_test(a_suspended_worker_keeps_what_it_has_and_gets_nothing),
        cmocka_unit_test(a_suspended_worker_may_leave_or_join_anew),
        cmocka_unit_test(the_only_one_heard_may_run_what_failed_on_it),
        cmocka_unit_test(a_failed_unit_goes_elsewhere_after_a_delay),
        cmocka_unit_test(what_must_not_be_tried_again_is_not),
        cmocka_unit_test(what_a_leaving_worker_held_runs_elsewhere),
        cmocka_unit_test(the_coming_checkpoint_is_told),
        cmocka_unit_test(first_in_first_out_is_the_order_of_the_grid),
        cmocka_unit_test(static_shares_stay_apart),
        cmocka_unit_test(eta_is_the_work_shared_out),
        cmocka_unit_test(a_worker_that_is_heard_again_counts_and_gets_work),
        cmocka_unit_test(when_others_have_all_that_is_left_nobody_knows_the_eta),
        cmocka_unit_test(events_that_cannot_be_are_ignored),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
