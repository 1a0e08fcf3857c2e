#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "core/num.h"
#include "evalsweep/sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Random sweeps, driven through the simulator: whatever happens in them, what the scheduler
 * promises holds. A failing case prints its number. */

#define N_CASES 1500
#define MAX_WORKERS 9
#define MAX_TRIES 8192
#define SLOWEST 0.3
#define WRONG_S 2000.0 /* what is believed to take 1000 s lets wait for others twice as long */

/* What a case has beside an uneven grid. */
enum {
    WITH_FAILURES = 1,
    WITH_DEPARTURES = 2,
    WITH_LATE_JOINS = 4,
    WITH_SPEEDS = 8,
    WITH_DELAYS = 16, /* of messages */
    WITH_WRONG_BELIEFS = 32,
};

struct sweep {
    struct es_rng rng;
    unsigned with;
    struct es_grid *grid;
    struct es_cost *cost;
    float *unit_s;
    float *pass_s;
    double *load_s;
    double speed[MAX_WORKERS], join_s[MAX_WORKERS], leave_s[MAX_WORKERS];
    struct es_sim_config config;
    struct es_sim_result result;
    uint32_t n_units;
    double longest_s, longest_load_s, longest_pass_s;
};

struct log {
    struct es_sim_try tries[MAX_TRIES];
    size_t n;
};

static void note(void *context, const struct es_sim_try *a_try)
{
    struct log *log = context;
    assert_true(log->n < MAX_TRIES);
    log->tries[log->n++] = *a_try;
}

static uint32_t between(struct es_rng *rng, uint32_t least, uint32_t most)
{
    return least + (uint32_t)es_rng_below(rng, most - least + 1);
}

static double log_uniform(struct es_rng *rng, double least, double most)
{
    return least * pow(most / least, es_rng_unit(rng));
}

static void make_grid(struct sweep *s)
{
    char names[32][16];
    const char *texts[32];
    int32_t layers[8];
    for (int i = 0; i < 32; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        texts[i] = names[i];
    }
    for (int i = 0; i < 8; i++)
        layers[i] = i;
    uint32_t n_checkpoints = between(&s->rng, 1, 8), n_layers = between(&s->rng, 1, 6);
    uint32_t n_tasks = between(&s->rng, 1, 8);
    assert_int_equal(
        es_grid_create(texts, n_checkpoints, layers, n_layers, texts, n_tasks, &s->grid, NULL), 0);
    if (es_rng_below(&s->rng, 4) == 0)
        es_grid_exclude(s->grid, between(&s->rng, 0, n_checkpoints - 1), ES_GRID_ANY,
                        between(&s->rng, 0, n_tasks - 1));
    s->n_units = es_grid_n_units(s->grid) - es_grid_n_excluded(s->grid);
}

static void make_times(struct sweep *s)
{
    uint32_t n_tasks = es_grid_n_tasks(s->grid), n = es_grid_n_checkpoints(s->grid);
    s->unit_s = es_mem_calloc(es_grid_n_units(s->grid), sizeof *s->unit_s);
    s->pass_s = es_mem_calloc((size_t)n * n_tasks, sizeof *s->pass_s);
    s->load_s = es_mem_calloc(n, sizeof *s->load_s);
    double load_s = es_rng_below(&s->rng, 3) == 0 ? 0 : log_uniform(&s->rng, 0.1, 50);
    double share = es_rng_below(&s->rng, 2) ? 0.7 * es_rng_unit(&s->rng) : 0;
    double most_s = log_uniform(&s->rng, 1, 1000), task_s[8];
    for (uint32_t t = 0; t < n_tasks; t++)
        task_s[t] = log_uniform(&s->rng, 0.5, most_s);
    for (uint32_t c = 0; c < n; c++) {
        s->load_s[c] = load_s * (es_rng_below(&s->rng, 5) == 0 ? 4 : 1);
        s->longest_load_s = fmax(s->longest_load_s, s->load_s[c]);
        for (uint32_t t = 0; t < n_tasks; t++) {
            double bundle_s =
                s->with & WITH_WRONG_BELIEFS ? log_uniform(&s->rng, 0.5, most_s) : task_s[t];
            s->pass_s[c * n_tasks + t] = (float)(share * bundle_s * 0.8);
            s->longest_pass_s = fmax(s->longest_pass_s, share * bundle_s * 0.8);
            for (uint32_t l = 0; l < es_grid_n_layers(s->grid); l++) {
                uint32_t id = es_grid_id(s->grid, (struct es_unit){c, l, t});
                s->unit_s[id] = (float)(bundle_s * (0.8 + 0.4 * es_rng_unit(&s->rng)));
                s->longest_s = fmax(s->longest_s, (double)s->unit_s[id]);
            }
        }
    }
}

/* What the cost model is shown beforehand: the truth, or nothing and wrong hints. */
static void make_beliefs(struct sweep *s)
{
    bool wrong = s->with & WITH_WRONG_BELIEFS;
    struct es_cost_hints hints = {.load_s = wrong ? log_uniform(&s->rng, 0.1, 100) : s->load_s[0]};
    assert_int_equal(es_cost_create(s->grid, &hints, &s->cost, NULL), 0);
    uint32_t n_tasks = es_grid_n_tasks(s->grid);
    for (uint32_t id = 0; !wrong && id < es_grid_n_units(s->grid); id++) {
        struct es_unit unit = es_grid_unit(s->grid, id);
        double pass_s = (double)s->pass_s[unit.checkpoint * n_tasks + unit.task];
        struct es_times times = {.total_s = (double)s->unit_s[id] + s->load_s[unit.checkpoint],
                                 .load_s = s->load_s[unit.checkpoint],
                                 .pass_s = pass_s,
                                 .score_s = (double)s->unit_s[id] - pass_s};
        es_cost_observe(s->cost, ES_COST_EARLIER, id, &times, ES_COST_PAID_LOAD);
    }
}

static void make_workers(struct sweep *s, enum es_policy policy)
{
    struct es_rng *rng = &s->rng;
    uint32_t n = between(rng, 1, MAX_WORKERS);
    for (uint32_t w = 0; w < n; w++) {
        s->speed[w] = s->with & WITH_SPEEDS ? log_uniform(rng, SLOWEST, 2) : 1;
        s->join_s[w] = s->with & WITH_LATE_JOINS && w > 0 ? log_uniform(rng, 0.1, 5000) : 0;
        s->leave_s[w] = s->with & WITH_DEPARTURES && w > 0 && es_rng_below(rng, 2)
                            ? s->join_s[w] + log_uniform(rng, 0.1, 5000)
                            : (double)INFINITY;
    }
    s->config = (struct es_sim_config){
        .sched = {.policy = policy,
                  .n_static = between(rng, 1, 12),
                  .max_attempts = between(rng, 1, 4),
                  .retry_delay_s = es_rng_below(rng, 2) ? 0 : log_uniform(rng, 0.01, 10),
                  .prefetch_s = es_rng_below(rng, 4) == 0 ? 0 : log_uniform(rng, 0.01, 30)},
        .n_workers = n,
        .speed = s->speed,
        .speeds_known = es_rng_below(rng, 2),
        .join_s = s->join_s,
        .leave_s = s->leave_s,
        .message_s = s->with & WITH_DELAYS ? log_uniform(rng, 1e-4, 0.05) : 0,
        .reports_parts = es_rng_below(rng, 2),
        .failure_probability = s->with & WITH_FAILURES ? 0.3 * es_rng_unit(rng) : 0,
        .seed = es_rng_next(rng),
        .on_try = note,
    };
}

static void run(struct sweep *s, uint64_t seed, unsigned with, enum es_policy policy,
                struct log *log)
{
    struct es_err err = {0};
    char text[1024];
    *s = (struct sweep){.with = with};
    log->n = 0;
    es_rng_init(&s->rng, seed);
    make_grid(s);
    make_times(s);
    make_beliefs(s);
    make_workers(s, policy);
    s->config.context = log;
    struct es_sim_times times = {.unit_s = s->unit_s, .load_s = s->load_s, .pass_s = s->pass_s};
    int rc = es_sim_run(s->grid, NULL, s->cost, &times, &s->config, &s->result, &err);
    if (rc < 0) {
        es_err_text(&err, text, sizeof text);
        fail_msg("case %llu: %s", (unsigned long long)seed, text);
    }
}

static void clear(struct sweep *s)
{
    es_cost_free(s->cost);
    es_grid_free(s->grid);
    free(s->unit_s);
    free(s->pass_s);
    free(s->load_s);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("case %llu, with %u, policy %d: %s", (unsigned long long)seed, s->with,       \
                     (int)s->config.sched.policy, #condition);                                     \
    } while (0)

/* Every unit runs to success once, or fails max_attempts times; never twice at a time. */
static void check_each_unit_once(const struct sweep *s, const struct log *log, uint64_t seed)
{
    uint32_t n = es_grid_n_units(s->grid);
    uint32_t *n_ok = es_mem_calloc(n, sizeof *n_ok), *n_failed = es_mem_calloc(n, sizeof *n_failed);
    double *free_s = es_mem_calloc(n, sizeof *free_s);
    uint64_t n_done = 0, n_lost = 0;
    for (size_t i = 0; i < log->n; i++) {
        const struct es_sim_try *t = &log->tries[i];
        bool is_cut = t->ended_s == s->leave_s[t->worker] && !t->ok;
        CHECK(!es_grid_is_excluded(s->grid, t->unit_id));
        CHECK(n_ok[t->unit_id] == 0);
        CHECK(t->begun_s >= free_s[t->unit_id]);
        free_s[t->unit_id] = t->ended_s;
        n_ok[t->unit_id] += t->ok;
        n_failed[t->unit_id] += !t->ok && !is_cut;
    }
    for (uint32_t id = 0; id < n; id++) {
        n_done += n_ok[id];
        bool is_lost = n_ok[id] == 0 && n_failed[id] == s->config.sched.max_attempts;
        n_lost += is_lost;
        CHECK(es_grid_is_excluded(s->grid, id) || n_ok[id] == 1 || is_lost);
    }
    CHECK(n_done == s->result.n_units_done && n_lost == s->result.n_units_failed);
    CHECK(n_done + n_lost == s->n_units);
    free(n_ok);
    free(n_failed);
    free(free_s);
}

/* A failed unit's next try is on another worker, if there is one. */
static void check_retried_elsewhere(const struct sweep *s, const struct log *log, uint64_t seed)
{
    if (s->config.n_workers == 1 || s->config.sched.policy == ES_POLICY_STATIC ||
        s->with & (WITH_DEPARTURES | WITH_LATE_JOINS))
        return;
    uint32_t *failed_on = es_mem_calloc(es_grid_n_units(s->grid), sizeof *failed_on);
    for (size_t i = 0; i < log->n; i++) {
        const struct es_sim_try *t = &log->tries[i];
        CHECK(failed_on[t->unit_id] != t->worker + 1);
        failed_on[t->unit_id] = t->ok ? 0 : t->worker + 1;
    }
    free(failed_on);
}

/* While a unit is not begun nobody idles for longer than messages take; where it would have to load
 * the checkpoint or make a pass again first, for as long as others are expected to begin sooner.
 * That is at most as long again, but for what costs turn out to be. */
static void check_nobody_idles(const struct sweep *s, const struct log *log, uint64_t seed)
{
    if (s->config.sched.policy == ES_POLICY_STATIC || s->with & (WITH_FAILURES | WITH_DEPARTURES))
        return;
    double patience_s = 20 * s->config.message_s + 1e-6;
    double needs_s = s->longest_load_s + s->longest_pass_s / SLOWEST;
    patience_s += s->with & WITH_WRONG_BELIEFS ? WRONG_S : 3 * needs_s;
    double last_s = 0; /* when the last unit was begun */
    for (size_t i = 0; i < log->n; i++)
        last_s = fmax(last_s, log->tries[i].begun_s);
    for (uint32_t w = 0; w < s->config.n_workers; w++) {
        double free_s = s->join_s[w];
        for (size_t i = 0; i < log->n; i++) {
            const struct es_sim_try *t = &log->tries[i];
            if (t->worker != w)
                continue;
            CHECK(t->begun_s <= free_s + patience_s);
            free_s = t->ended_s;
        }
        CHECK(last_s <= free_s + patience_s);
    }
}

/* Graham's bound for list scheduling, loads counted in. */
static void check_bound(const struct sweep *s, uint64_t seed)
{
    if (s->config.sched.policy == ES_POLICY_STATIC || s->with & ~(unsigned)WITH_WRONG_BELIEFS)
        return;
    double bound_s = (s->result.work_s + s->result.load_s) / s->config.n_workers + s->longest_s +
                     s->longest_load_s;
    if (s->with & WITH_WRONG_BELIEFS) /* waited for what did not come as expected */
        bound_s += WRONG_S;
    CHECK(s->result.makespan_s <= bound_s * (1 + 1e-9));
}

static bool is_same_result(const struct es_sim_result *a, const struct es_sim_result *b)
{
    return a->makespan_s == b->makespan_s && a->lower_bound_s == b->lower_bound_s &&
           a->work_s == b->work_s && a->load_s == b->load_s && a->idle_s == b->idle_s &&
           (a->eta_good == b->eta_good || (isnan(a->eta_good) && isnan(b->eta_good))) &&
           a->n_loads == b->n_loads && a->n_messages == b->n_messages &&
           a->n_units_done == b->n_units_done && a->n_units_failed == b->n_units_failed;
}

static void check_same_again(const struct sweep *s, const struct log *log, uint64_t seed)
{
    static struct log again_log;
    struct sweep again;
    run(&again, seed, s->with, s->config.sched.policy, &again_log);
    CHECK(log->n == again_log.n);
    CHECK(is_same_result(&s->result, &again.result));
    for (size_t i = 0; i < log->n; i++) {
        const struct es_sim_try *a = &log->tries[i], *b = &again_log.tries[i];
        CHECK(a->worker == b->worker && a->unit_id == b->unit_id && a->begun_s == b->begun_s &&
              a->ended_s == b->ended_s && a->ok == b->ok);
    }
    clear(&again);
}

static void random_sweeps(unsigned with, bool only_one)
{
    static struct log log;
    for (uint64_t seed = 1; seed <= N_CASES; seed++) {
        struct es_rng rng;
        struct sweep s;
        es_rng_init(&rng, seed);
        unsigned some = only_one ? with : (unsigned)es_rng_next(&rng) & with;
        run(&s, seed, some, (enum es_policy)(seed % 4), &log);
        check_each_unit_once(&s, &log, seed);
        check_retried_elsewhere(&s, &log, seed);
        check_nobody_idles(&s, &log, seed);
        check_bound(&s, seed);
        if (seed % 10 == 0)
            check_same_again(&s, &log, seed);
        clear(&s);
    }
}

static void whatever_happens(void **state)
{
    (void)state;
    random_sweeps(WITH_FAILURES | WITH_DEPARTURES | WITH_LATE_JOINS | WITH_SPEEDS | WITH_DELAYS |
                      WITH_WRONG_BELIEFS,
                  false);
}

static void nothing_happens(void **state)
{
    (void)state;
    random_sweeps(0, true);
}

static void nothing_happens_as_expected(void **state)
{
    (void)state;
    random_sweeps(WITH_WRONG_BELIEFS, true);
}

/* --- Workers that fall silent: messages to them wait, and they say nothing, until they are heard
 * again or given up. --- */

#define STORM_WORKERS 5
#define STORM_UNITS (4 * 4 * 3)
#define STORM_STEPS 400

struct storm_worker {
    bool is_there, is_silent;
    struct es_unit_message {
        bool is_recall;
        uint32_t unit_id;
    } inbox[64 * STORM_UNITS];
    uint32_t n_inbox;
    uint32_t queue[STORM_UNITS];
    uint32_t n_queue;
};

struct storm {
    uint64_t seed;
    struct es_rng rng;
    struct es_grid *grid;
    struct es_cost *cost;
    struct es_sched *sched;
    double now_s;
    struct storm_worker workers[STORM_WORKERS];
    bool has_ended[STORM_UNITS];
};

#define STORM_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("storm %llu: %s", (unsigned long long)storm->seed, #condition);               \
    } while (0)

static void storm_act(struct storm *storm)
{
    struct es_action action;
    while (es_sched_next_action(storm->sched, storm->now_s, &action)) {
        struct storm_worker *to = &storm->workers[action.worker];
        STORM_CHECK(to->is_there && !to->is_silent);
        for (uint32_t i = 0; i < action.n_layers; i++) {
            struct es_unit unit = {action.checkpoint, action.layers[i], action.task};
            uint32_t unit_id = es_grid_id(storm->grid, unit);
            STORM_CHECK(!storm->has_ended[unit_id]);
            STORM_CHECK(es_sched_is_held_by(storm->sched, action.worker, unit_id));
            STORM_CHECK(to->n_inbox < 64 * STORM_UNITS);
            to->inbox[to->n_inbox++] =
                (struct es_unit_message){action.kind == ES_ACTION_RECALL, unit_id};
        }
    }
}

static void storm_give_back(struct storm *storm, uint32_t w, uint32_t unit_id)
{
    struct storm_worker *own = &storm->workers[w];
    for (uint32_t i = 0; i < own->n_queue; i++) {
        if (own->queue[i] != unit_id)
            continue;
        if (i == 0) {
            es_sched_kept(storm->sched, w, unit_id, storm->now_s);
            return;
        }
        memmove(own->queue + i, own->queue + i + 1, (--own->n_queue - i) * sizeof *own->queue);
        es_sched_returned(storm->sched, w, unit_id, storm->now_s);
        return;
    }
}

static void storm_read(struct storm *storm, uint32_t w)
{
    struct storm_worker *own = &storm->workers[w];
    for (uint32_t i = 0; i < own->n_inbox; i++)
        if (own->inbox[i].is_recall)
            storm_give_back(storm, w, own->inbox[i].unit_id);
        else
            own->queue[own->n_queue++] = own->inbox[i].unit_id;
    own->n_inbox = 0;
}

/* The first unit of a worker ends, well or not. */
static void storm_end_unit(struct storm *storm, uint32_t w)
{
    struct storm_worker *own = &storm->workers[w];
    if (own->n_queue == 0)
        return;
    uint32_t unit_id = own->queue[0];
    struct es_times times = {.total_s = 1, .score_s = 1};
    STORM_CHECK(!storm->has_ended[unit_id]);
    STORM_CHECK(es_sched_is_held_by(storm->sched, w, unit_id));
    memmove(own->queue, own->queue + 1, --own->n_queue * sizeof *own->queue);
    if (es_rng_below(&storm->rng, 4) == 0) {
        storm->has_ended[unit_id] =
            es_sched_failed(storm->sched, w, unit_id, true, 0, storm->now_s);
    } else {
        es_sched_done(storm->sched, w, unit_id, &times, storm->now_s);
        storm->has_ended[unit_id] = true;
    }
}

static void storm_leave(struct storm *storm, uint32_t w)
{
    es_sched_leave(storm->sched, w, storm->now_s);
    storm->workers[w].is_there = storm->workers[w].is_silent = false;
    storm->workers[w].n_inbox = storm->workers[w].n_queue = 0;
}

static void storm_step(struct storm *storm)
{
    uint32_t w = (uint32_t)es_rng_below(&storm->rng, STORM_WORKERS);
    struct storm_worker *own = &storm->workers[w];
    storm->now_s += es_rng_unit(&storm->rng);
    switch (es_rng_below(&storm->rng, 12)) {
    case 0:
        if (own->is_there && !own->is_silent) {
            es_sched_suspend(storm->sched, w, storm->now_s);
            own->is_silent = true;
        }
        break;
    case 1:
        if (own->is_silent) {
            es_sched_resume(storm->sched, w, storm->now_s);
            own->is_silent = false;
        }
        break;
    case 2:
        if (own->is_there && w > 0)
            storm_leave(storm, w);
        break;
    case 3:
        if (!own->is_there) {
            assert_int_equal(es_sched_join(storm->sched, w, 1, storm->now_s, NULL), 0);
            own->is_there = true;
        }
        break;
    default:
        if (own->is_there && !own->is_silent) {
            storm_read(storm, w);
            storm_end_unit(storm, w);
        }
    }
    storm_act(storm);
}

/* Whoever is heard runs all that there is for him. */
static void storm_settle(struct storm *storm)
{
    for (int round = 0; round < 3 * STORM_STEPS; round++) {
        storm->now_s += 5;
        storm_act(storm);
        for (uint32_t w = 0; w < STORM_WORKERS; w++)
            if (storm->workers[w].is_there && !storm->workers[w].is_silent) {
                storm_read(storm, w);
                storm_end_unit(storm, w);
            }
    }
}

static uint32_t storm_held_by_silent(const struct storm *storm)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < STORM_WORKERS; w++)
        if (storm->workers[w].is_silent)
            n += es_sched_n_held_by(storm->sched, w);
    return n;
}

static void storm_begin(struct storm *storm, uint64_t seed)
{
    const char *names[] = {"a", "b", "c", "d"};
    const int32_t layers[] = {0, 1, 2, 3};
    *storm = (struct storm){.seed = seed};
    es_rng_init(&storm->rng, seed);
    struct es_cost_hints hints = {.load_s = seed % 3 == 0 ? 0 : 5};
    struct es_sched_config config = {.policy = (enum es_policy)(seed % 3), /* not static: shares */
                                     .max_attempts = 3,
                                     .retry_delay_s = 1,
                                     .prefetch_s = seed % 2 ? 1 : 10};
    assert_int_equal(es_grid_create(names, 4, layers, 4, names, 3, &storm->grid, NULL), 0);
    assert_int_equal(es_cost_create(storm->grid, &hints, &storm->cost, NULL), 0);
    assert_int_equal(es_sched_create(storm->grid, &config, storm->cost, &storm->sched, NULL), 0);
    for (uint32_t id = 0; id < STORM_UNITS; id++)
        assert_int_equal(es_sched_add(storm->sched, id, NULL), 0);
    assert_int_equal(es_sched_join(storm->sched, 0, 1, 0, NULL), 0);
    storm->workers[0].is_there = true;
}

/* Nothing goes to a silent worker, nobody waits for one, and once those that stay silent are given
 * up, every unit has ended. */
static void silent_workers_hold_up_nothing_but_what_they_hold(void **state)
{
    (void)state;
    static struct storm a_storm;
    struct storm *storm = &a_storm;
    for (uint64_t seed = 1; seed <= N_CASES; seed++) {
        storm_begin(storm, seed);
        for (int i = 0; i < (int)(seed % STORM_STEPS); i++)
            storm_step(storm);
        if (storm->workers[0].is_silent)
            es_sched_resume(storm->sched, 0, storm->now_s);
        storm->workers[0].is_silent = false;
        storm_settle(storm);
        STORM_CHECK(es_sched_n_pending(storm->sched) == 0);
        STORM_CHECK(es_sched_n_held(storm->sched) == storm_held_by_silent(storm));
        for (uint32_t w = 0; w < STORM_WORKERS; w++)
            if (storm->workers[w].is_silent)
                storm_leave(storm, w);
        storm_settle(storm);
        STORM_CHECK(es_sched_finished(storm->sched));
        for (uint32_t id = 0; id < STORM_UNITS; id++)
            STORM_CHECK(storm->has_ended[id]);
        es_sched_free(storm->sched);
        es_cost_free(storm->cost);
        es_grid_free(storm->grid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens),
        cmocka_unit_test(nothing_happens_as_expected),
        cmocka_unit_test(whatever_happens),
        cmocka_unit_test(silent_workers_hold_up_nothing_but_what_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
