#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/num.h"
#include "evalsweep/sched.h"

#include <math.h>
#include <stdio.h>

/* Nothing is begun that cannot end in time, and what can still is. */

#define MAX_TASKS 320
#define MAX_UNITS 1280
#define MAX_WORKERS 4

struct fixture {
    struct es_grid *grid;
    struct es_cost *cost;
    struct es_sched *sched;
    double now_s;
    uint32_t n_units;
};

/* n_checkpoints x 2 layers x n_tasks without a unit to run; a load takes load_s, a unit of each
 * task as told (NULL: nobody knows). */
static void begin_empty(struct fixture *f, uint32_t n_checkpoints, uint32_t n_tasks, double load_s,
                        double pass_share, const double *task_cost_s, enum es_policy policy)
{
    char names[MAX_TASKS][16];
    const char *texts[MAX_TASKS];
    const int32_t layers[] = {1, 2};
    const struct es_cost_hints hints = {
        .load_s = load_s, .pass_share = pass_share, .task_cost_s = task_cost_s};
    const struct es_sched_config config = {
        .policy = policy, .n_static = 2, .max_attempts = 1, .prefetch_s = 1};
    for (int i = 0; i < MAX_TASKS; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        texts[i] = names[i];
    }
    *f = (struct fixture){.now_s = 1000};
    assert_int_equal(
        es_grid_create(texts, n_checkpoints, layers, 2, texts, n_tasks, &f->grid, NULL), 0);
    assert_int_equal(es_cost_create(f->grid, &hints, &f->cost, NULL), 0);
    assert_int_equal(es_sched_create(f->grid, &config, f->cost, &f->sched, NULL), 0);
    f->n_units = es_grid_n_units(f->grid);
}

static void add(struct fixture *f, uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    uint32_t id = es_grid_id(f->grid, (struct es_unit){checkpoint, layer, task});
    assert_int_equal(es_sched_add(f->sched, id, NULL), 0);
}

/* The same with all its units. */
static void begin(struct fixture *f, uint32_t n_checkpoints, uint32_t n_tasks, double load_s,
                  double pass_share, const double *task_cost_s, enum es_policy policy)
{
    begin_empty(f, n_checkpoints, n_tasks, load_s, pass_share, task_cost_s, policy);
    for (uint32_t id = 0; id < f->n_units; id++)
        assert_int_equal(es_sched_add(f->sched, id, NULL), 0);
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

static bool act(struct fixture *f, struct es_action *action)
{
    return es_sched_next_action(f->sched, f->now_s, action);
}

static void end_running(struct fixture *f, uint32_t worker)
{
    double since_s;
    const struct es_times times = {(double)NAN, (double)NAN, (double)NAN, (double)NAN};
    uint32_t id = es_sched_running(f->sched, worker, &since_s);
    assert_true(id != ES_GRID_NONE);
    es_sched_done(f->sched, worker, id, &times, f->now_s);
}

static void a_long_unit_is_not_begun_late_and_a_short_one_is(void **state)
{
    (void)state;
    for (int policy = ES_POLICY_AFFINE; policy <= ES_POLICY_STATIC; policy++) {
        struct fixture f;
        struct es_action action;
        const double cost_s[] = {10, 100};
        begin(&f, 1, 2, 0, 0, cost_s, (enum es_policy)policy);
        assert_int_equal(es_sched_set_end(f.sched, f.now_s + 90, f.now_s, NULL), 0);
        join(&f, 0);
        for (uint32_t n_done = 0; n_done < 2;) {
            while (act(&f, &action))
                assert_int_equal(action.task, 0);
            assert_false(es_sched_is_stuck(f.sched, f.now_s));
            f.now_s += 10;
            end_running(&f, 0);
            n_done++;
        }
        assert_false(act(&f, &action));
        assert_true(es_sched_is_stuck(f.sched, f.now_s));
        assert_false(es_sched_finished(f.sched));
        assert_int_equal(es_sched_n_pending(f.sched), 2);
        /* with more time they are begun after all */
        assert_int_equal(es_sched_set_end(f.sched, (double)INFINITY, f.now_s, NULL), 0);
        assert_true(act(&f, &action));
        assert_int_equal(action.task, 1);
        end(&f);
    }
}

static void many_long_ones_do_not_hide_a_short_one(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    double cost_s[MAX_TASKS];
    for (int i = 0; i < MAX_TASKS; i++)
        cost_s[i] = i == 40 ? 5 : 1000;
    begin(&f, 1, MAX_TASKS, 0, 0, cost_s, ES_POLICY_AFFINE);
    assert_int_equal(es_sched_set_end(f.sched, f.now_s + 100, f.now_s, NULL), 0);
    join(&f, 0);
    assert_true(act(&f, &action));
    assert_int_equal(action.task, 40);
    end(&f);
}

/* Long ones that could end in time, were their checkpoint loaded: they are not set aside. */
static void many_checkpoints_do_not_hide_a_short_unit(void **state)
{
    (void)state;
    for (int is_touched = 0; is_touched < 2; is_touched++) {
        struct fixture f;
        struct es_action action;
        const double cost_s[] = {40, 5};
        begin_empty(&f, 200, 2, 30, 0, cost_s, ES_POLICY_AFFINE);
        for (uint32_t c = 0; c < 200; c++)
            add(&f, c, 0, c == 190);
        assert_int_equal(es_sched_set_end(f.sched, f.now_s + 50, f.now_s, NULL), 0);
        join(&f, 0);
        if (is_touched) { /* by one that has no time for more */
            join(&f, 1);
            add(&f, 190, 1, 1);
        }
        for (int w = 0; w <= is_touched; w++) {
            assert_true(act(&f, &action));
            assert_int_equal(action.checkpoint, 190);
            assert_int_equal(action.task, 1);
        }
        assert_false(act(&f, &action));
        for (uint32_t w = 0; w < 2; w++)
            while (es_sched_n_held_by(f.sched, w) > 0)
                end_running(&f, w);
        f.now_s += 15;
        assert_false(act(&f, &action));
        assert_true(es_sched_is_stuck(f.sched, f.now_s));
        assert_int_equal(es_sched_n_pending(f.sched), 199);
        end(&f);
    }
}

/* Where all is in one group, and the workers are slower than those for whom the long ones are: one
 * for the short one, too, which the other finds all the same. */
static void many_bundles_do_not_hide_a_short_one_from_a_slow_worker(void **state)
{
    (void)state;
    for (int policy = ES_POLICY_AFFINE; policy < ES_POLICY_STATIC; policy++) {
        struct fixture f;
        struct es_action action;
        static double cost_s[MAX_TASKS];
        for (int i = 0; i < MAX_TASKS; i++)
            cost_s[i] = i == 310 ? 50 : 80;
        begin(&f, 1, MAX_TASKS, 0, 0, cost_s, (enum es_policy)policy);
        assert_int_equal(es_sched_set_end(f.sched, f.now_s + 100, f.now_s, NULL), 0);
        assert_int_equal(es_sched_join(f.sched, 0, 0.1, f.now_s, NULL), 0);
        assert_false(act(&f, &action));
        assert_int_equal(es_sched_join(f.sched, 1, 0.7, f.now_s, NULL), 0);
        assert_true(act(&f, &action));
        assert_int_equal(action.worker, 1);
        assert_int_equal(action.task, 310);
        end(&f);
    }
}

static void the_load_and_what_is_held_count(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    const double cost_s[] = {10};
    begin(&f, 2, 1, 30, 0, cost_s, ES_POLICY_AFFINE);
    assert_int_equal(es_sched_set_end(f.sched, f.now_s + 75, f.now_s, NULL), 0);
    join(&f, 0);
    while (act(&f, &action))
        assert_int_equal(action.checkpoint, 0);
    f.now_s += 40;
    end_running(&f, 0);
    while (act(&f, &action))
        assert_int_equal(action.checkpoint, 0);
    f.now_s += 10;
    end_running(&f, 0); /* 25 s are left: too few for another load and a unit */
    assert_false(act(&f, &action));
    assert_true(es_sched_is_stuck(f.sched, f.now_s));
    assert_int_equal(es_sched_n_pending(f.sched), 2);
    end(&f);
}

static void what_nobody_knows_is_begun(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    begin(&f, 1, 2, 0, 0, NULL, ES_POLICY_AFFINE);
    assert_int_equal(es_sched_set_end(f.sched, f.now_s + 0.01, f.now_s, NULL), 0);
    join(&f, 0);
    assert_true(act(&f, &action));
    end(&f);
}

static void what_would_end_too_late_by_now_is_recalled(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    const double cost_s[] = {100};
    begin(&f, 1, 1, 0, 0.9, cost_s, ES_POLICY_AFFINE); /* both layers in one go */
    assert_int_equal(es_sched_set_end(f.sched, f.now_s + 130, f.now_s, NULL), 0);
    join(&f, 0);
    assert_true(act(&f, &action));
    assert_int_equal(action.n_layers, 2);
    f.now_s = es_sched_deadline(f.sched); /* the first one is overdue */
    bool is_recalled = false;
    for (int i = 0; i < 10 && !is_recalled; i++) {
        is_recalled = act(&f, &action);
        f.now_s = fmax(f.now_s, es_sched_deadline(f.sched));
    }
    assert_true(is_recalled);
    assert_int_equal(action.kind, ES_ACTION_RECALL);
    assert_int_equal(action.n_layers, 1);
    uint32_t id = es_grid_id(f.grid, (struct es_unit){0, action.layers[0], 0});
    es_sched_returned(f.sched, 0, id, f.now_s);
    assert_false(act(&f, &action)); /* and not given out again */
    end(&f);
}

static void what_just_ends_in_time_stays(void **state)
{
    (void)state;
    struct fixture f;
    struct es_action action;
    const double cost_s[] = {100};
    begin(&f, 1, 1, 0, 0.9, cost_s, ES_POLICY_AFFINE); /* a pass of 90 s, layers of 10 s */
    assert_int_equal(es_sched_set_end(f.sched, f.now_s + 110.1, f.now_s, NULL), 0);
    join(&f, 0);
    assert_true(act(&f, &action));
    assert_int_equal(action.n_layers, 2);
    assert_false(act(&f, &action));
    end(&f);
}

/* A sweep with random times, known beforehand, in which each worker takes what it is told to. */
struct sweep {
    struct fixture f;
    struct es_rng rng;
    uint64_t seed;
    double cost_s[MAX_TASKS];
    double load_s, end_s;
    uint32_t n_tasks, n_workers;
    bool is_begun[MAX_UNITS];
    uint32_t n_held[MAX_WORKERS];
    uint32_t checkpoint[MAX_WORKERS]; /* loaded when its queue is through */
    double free_s[MAX_WORKERS];       /* when that is */
};

static void begin_sweep(struct sweep *s, uint64_t seed)
{
    *s = (struct sweep){.seed = seed};
    es_rng_init(&s->rng, seed);
    s->n_tasks = 1 + (uint32_t)es_rng_below(&s->rng, seed % 2 ? 4 : 48);
    uint32_t n_checkpoints = 1 + (uint32_t)es_rng_below(&s->rng, seed % 2 ? 150 : 5);
    s->n_workers = 1 + (uint32_t)es_rng_below(&s->rng, MAX_WORKERS);
    s->load_s = es_rng_below(&s->rng, 2) ? 20 : 0.001;
    for (uint32_t t = 0; t < s->n_tasks; t++)
        s->cost_s[t] = exp(6 * es_rng_unit(&s->rng));
    begin(&s->f, n_checkpoints, s->n_tasks, s->load_s, 0, s->cost_s, ES_POLICY_AFFINE);
    s->end_s = s->f.now_s + 1000 * es_rng_unit(&s->rng);
    assert_int_equal(es_sched_set_end(s->f.sched, s->end_s, s->f.now_s, NULL), 0);
    for (uint32_t w = 0; w < s->n_workers; w++) {
        join(&s->f, w);
        s->checkpoint[w] = ES_GRID_NONE;
        s->free_s[w] = s->f.now_s;
    }
}

static void take(struct sweep *s, const struct es_action *action)
{
    uint32_t w = action->worker;
    for (uint32_t i = 0; i < action->n_layers; i++) {
        struct es_unit unit = {action->checkpoint, action->layers[i], action->task};
        uint32_t id = es_grid_id(s->f.grid, unit);
        if (action->kind == ES_ACTION_RECALL) { /* too late, always */
            es_sched_kept(s->f.sched, w, id, s->f.now_s);
            continue;
        }
        s->free_s[w] = fmax(s->free_s[w], s->f.now_s) + s->cost_s[action->task];
        s->free_s[w] += s->checkpoint[w] == action->checkpoint ? 0 : s->load_s;
        s->checkpoint[w] = action->checkpoint;
        s->is_begun[id] = true;
        s->n_held[w]++;
        if (s->free_s[w] > s->end_s + 1e-3)
            fail_msg("case %llu: %g s late", (unsigned long long)s->seed, s->free_s[w] - s->end_s);
    }
}

/* To the end of the first queue that is through, or to when the scheduler wants to be asked. */
static void go_on(struct sweep *s)
{
    uint32_t next = ES_GRID_NONE;
    for (uint32_t w = 0; w < s->n_workers; w++)
        if (s->n_held[w] > 0 && (next == ES_GRID_NONE || s->free_s[w] < s->free_s[next]))
            next = w;
    double deadline_s = es_sched_deadline(s->f.sched);
    if (next == ES_GRID_NONE || deadline_s < s->free_s[next]) {
        assert_true(isfinite(deadline_s));
        s->f.now_s = fmax(s->f.now_s, deadline_s) + 1e-6;
        return;
    }
    s->f.now_s = fmax(s->f.now_s, s->free_s[next]);
    for (; s->n_held[next] > 0; s->n_held[next]--)
        end_running(&s->f, next);
}

static void nothing_more_could_be_done(const struct sweep *s)
{
    for (uint32_t id = 0; id < s->f.n_units; id++)
        for (uint32_t w = 0; w < s->n_workers && !s->is_begun[id]; w++) {
            struct es_unit unit = es_grid_unit(s->f.grid, id);
            double needs_s = es_cost_score(s->f.cost, id); /* as is believed by now */
            if (s->checkpoint[w] != unit.checkpoint)
                needs_s += es_cost_load(s->f.cost, unit.checkpoint);
            if (s->f.now_s + needs_s < s->end_s - 1e-3)
                fail_msg("case %llu: unit %u would fit, with %g s to spare",
                         (unsigned long long)s->seed, id, s->end_s - s->f.now_s - needs_s);
        }
}

static void a_random_sweep(uint64_t seed)
{
    static struct sweep s;
    struct es_action action;
    begin_sweep(&s, seed);
    for (;;) {
        while (act(&s.f, &action))
            take(&s, &action);
        if (es_sched_finished(s.f.sched))
            break;
        if (es_sched_is_stuck(s.f.sched, s.f.now_s)) {
            nothing_more_could_be_done(&s);
            break;
        }
        go_on(&s);
    }
    end(&s.f);
}

static void random_sweeps(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++)
        a_random_sweep(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_unit_is_not_begun_late_and_a_short_one_is),
        cmocka_unit_test(many_long_ones_do_not_hide_a_short_one),
        cmocka_unit_test(many_checkpoints_do_not_hide_a_short_unit),
        cmocka_unit_test(many_bundles_do_not_hide_a_short_one_from_a_slow_worker),
        cmocka_unit_test(the_load_and_what_is_held_count),
        cmocka_unit_test(what_nobody_knows_is_begun),
        cmocka_unit_test(what_would_end_too_late_by_now_is_recalled),
        cmocka_unit_test(what_just_ends_in_time_stays),
        cmocka_unit_test(random_sweeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
