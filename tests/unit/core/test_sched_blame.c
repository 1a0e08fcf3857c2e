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

/* Random sweeps with faults, driven through the simulator: whatever is at fault, the good work gets
 * done, and the run ends. A failing case prints its number. */

#define N_CASES 3000
#define MAX_WORKERS 9
#define MAX_FAULTS (MAX_WORKERS + 8)
#define MAX_TRIES 65536
#define MAX_VERDICTS 16384
#define OUTAGE_S 21600.0
/* How often an outage is probed, and how often before it comes to that. */
#define PROBE_PAUSE_S 30.0
#define PROBES_FIRST 6
/* What is blocked wrongly is probed after so long, at the latest. */
#define BLOCKED_S 35.0
/* So many good units for each worker are enough to find bad workers out. */
#define UNITS_A_WORKER 20
/* No case takes longer, pauses and outages counted in. */
#define LONGEST_RUN_S 1e7

/* What is at fault in a case, and what else it has. */
enum {
    BAD_TASKS = 1,
    BAD_CHECKPOINTS = 2,
    BAD_WORKERS = 4,
    BAD_UNITS = 8, /* a share of all */
    OUTAGE = 16,   /* for a while */
    DELAYS = 32,   /* of messages */
    LATE_JOINS = 64,
    DEPARTURES = 128,
};

struct log {
    struct es_sim_try tries[MAX_TRIES];
    size_t n;
    struct {
        struct es_blame_verdict verdict;
        double at_s;
    } verdicts[MAX_VERDICTS];
    size_t n_verdicts;
};

struct sweep {
    struct es_rng rng;
    unsigned with;
    struct es_grid *grid;
    struct es_cost *cost;
    float *unit_s;
    float *pass_s;
    double *load_s;
    bool *is_bad; /* [n_units] by a fault that lasts */
    double longest_load_s, longest_pass_s;
    double join_s[MAX_WORKERS], leave_s[MAX_WORKERS];
    bool is_bad_worker[MAX_WORKERS];
    struct es_sim_fault faults[MAX_FAULTS];
    struct es_sim_config config;
    struct es_sim_result result;
    uint32_t n_units, n_good;
};

static void note_try(void *context, const struct es_sim_try *a_try)
{
    struct log *log = context;
    assert_true(log->n < MAX_TRIES);
    log->tries[log->n++] = *a_try;
}

static void note_verdict(void *context, const struct es_blame_verdict *verdict, double now_s)
{
    struct log *log = context;
    assert_true(log->n_verdicts < MAX_VERDICTS);
    log->verdicts[log->n_verdicts].verdict = *verdict;
    log->verdicts[log->n_verdicts++].at_s = now_s;
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
    char names[16][16];
    const char *texts[16];
    int32_t layers[8];
    for (int i = 0; i < 16; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        texts[i] = names[i];
    }
    for (int i = 0; i < 8; i++)
        layers[i] = i;
    uint32_t n_checkpoints = between(&s->rng, 1, 10), n_layers = between(&s->rng, 1, 6);
    uint32_t n_tasks = between(&s->rng, 1, 8);
    assert_int_equal(
        es_grid_create(texts, n_checkpoints, layers, n_layers, texts, n_tasks, &s->grid, NULL), 0);
    s->n_units = es_grid_n_units(s->grid);
}

static void make_times(struct sweep *s)
{
    uint32_t n_tasks = es_grid_n_tasks(s->grid), n = es_grid_n_checkpoints(s->grid);
    s->unit_s = es_mem_calloc(s->n_units, sizeof *s->unit_s);
    s->pass_s = es_mem_calloc((size_t)n * n_tasks, sizeof *s->pass_s);
    s->load_s = es_mem_calloc(n, sizeof *s->load_s);
    double load_s = es_rng_below(&s->rng, 3) == 0 ? 0 : log_uniform(&s->rng, 0.1, 50);
    double share = es_rng_below(&s->rng, 2) ? 0.7 * es_rng_unit(&s->rng) : 0;
    double most_s = log_uniform(&s->rng, 1, 300), task_s[8];
    for (uint32_t t = 0; t < n_tasks; t++)
        task_s[t] = log_uniform(&s->rng, 0.5, most_s);
    for (uint32_t c = 0; c < n; c++) {
        s->load_s[c] = load_s * (es_rng_below(&s->rng, 5) == 0 ? 4 : 1);
        s->longest_load_s = fmax(s->longest_load_s, s->load_s[c]);
        for (uint32_t t = 0; t < n_tasks; t++) {
            s->pass_s[c * n_tasks + t] = (float)(share * task_s[t] * 0.8);
            s->longest_pass_s = fmax(s->longest_pass_s, share * task_s[t] * 0.8);
            for (uint32_t l = 0; l < es_grid_n_layers(s->grid); l++) {
                uint32_t id = es_grid_id(s->grid, (struct es_unit){c, l, t});
                s->unit_s[id] = (float)(task_s[t] * (0.8 + 0.4 * es_rng_unit(&s->rng)));
            }
        }
    }
}

/* The cost model knows the truth beforehand. */
static void make_beliefs(struct sweep *s)
{
    struct es_cost_hints hints = {.load_s = s->load_s[0]};
    assert_int_equal(es_cost_create(s->grid, &hints, &s->cost, NULL), 0);
    uint32_t n_tasks = es_grid_n_tasks(s->grid);
    for (uint32_t id = 0; id < s->n_units; id++) {
        struct es_unit unit = es_grid_unit(s->grid, id);
        double pass_s = (double)s->pass_s[unit.checkpoint * n_tasks + unit.task];
        struct es_times times = {.total_s = (double)s->unit_s[id] + s->load_s[unit.checkpoint],
                                 .load_s = s->load_s[unit.checkpoint],
                                 .pass_s = pass_s,
                                 .score_s = (double)s->unit_s[id] - pass_s};
        es_cost_observe(s->cost, ES_COST_EARLIER, id, &times, ES_COST_PAID_LOAD);
    }
}

static void add_fault(struct sweep *s, struct es_sim_fault fault)
{
    assert_true(s->config.n_faults < MAX_FAULTS);
    s->faults[s->config.n_faults++] = fault;
}

/* One or two of an axis are bad from the beginning. */
static void add_bad_indices(struct sweep *s, enum es_sim_fault_kind kind, uint32_t n)
{
    for (uint32_t i = between(&s->rng, 1, 2); i > 0; i--)
        add_fault(s, (struct es_sim_fault){.kind = kind,
                                           .index = (uint32_t)es_rng_below(&s->rng, n),
                                           .for_s = (double)INFINITY});
}

static void make_faults(struct sweep *s)
{
    struct es_rng *rng = &s->rng;
    if (s->with & BAD_TASKS)
        add_bad_indices(s, ES_FAULT_TASK, es_grid_n_tasks(s->grid));
    if (s->with & BAD_CHECKPOINTS)
        add_bad_indices(s, ES_FAULT_CHECKPOINT, es_grid_n_checkpoints(s->grid));
    if (s->with & BAD_UNITS)
        add_fault(s, (struct es_sim_fault){.kind = ES_FAULT_UNIT,
                                           .share = 0.2 * es_rng_unit(rng),
                                           .for_s = (double)INFINITY});
    s->is_bad = es_mem_calloc(s->n_units, sizeof *s->is_bad);
    for (uint32_t id = 0; id < s->n_units; id++) {
        s->is_bad[id] =
            es_sim_is_faulty(s->grid, s->faults, s->config.n_faults, ES_GRID_NONE, id, 0);
        s->n_good += !s->is_bad[id];
    }
    double share = es_rng_unit(rng);
    for (uint32_t w = 0; w < s->config.n_workers && s->with & BAD_WORKERS; w++) {
        s->is_bad_worker[w] = es_rng_unit(rng) < share;
        if (s->is_bad_worker[w])
            add_fault(s, (struct es_sim_fault){
                             .kind = ES_FAULT_WORKER,
                             .index = w,
                             .after_s = es_rng_below(rng, 2) ? 0 : log_uniform(rng, 1, 1000),
                             .for_s = (double)INFINITY});
    }
    if (s->with & OUTAGE)
        add_fault(s, (struct es_sim_fault){.kind = ES_FAULT_OUTAGE,
                                           .after_s = log_uniform(rng, 1, 2000),
                                           .for_s = log_uniform(rng, 10, 7200)});
    s->config.faults = s->faults;
    s->config.fault_takes = es_rng_below(rng, 4) == 0 ? 0 : log_uniform(rng, 0.01, 1);
}

static void make_workers(struct sweep *s, enum es_policy policy)
{
    struct es_rng *rng = &s->rng;
    uint32_t n = between(rng, 1, MAX_WORKERS);
    for (uint32_t w = 0; w < n; w++) {
        s->join_s[w] = s->with & LATE_JOINS && w > 0 ? log_uniform(rng, 0.1, 5000) : 0;
        s->leave_s[w] = s->with & DEPARTURES && w > 0 && es_rng_below(rng, 2)
                            ? s->join_s[w] + log_uniform(rng, 0.1, 5000)
                            : (double)INFINITY;
    }
    s->config = (struct es_sim_config){
        .sched = {.policy = policy,
                  .max_attempts = between(rng, 2, 4),
                  .max_bundles_failed = between(rng, 3, 5),
                  .retry_delay_s = es_rng_below(rng, 2) ? 1 : log_uniform(rng, 0.01, 10),
                  .prefetch_s = es_rng_below(rng, 4) == 0 ? 0 : log_uniform(rng, 0.01, 30)},
        .n_workers = n,
        .join_s = s->join_s,
        .leave_s = s->leave_s,
        .message_s = s->with & DELAYS ? log_uniform(rng, 1e-4, 0.05) : 0,
        .reports_parts = es_rng_below(rng, 2),
        .outage_s = OUTAGE_S,
        .seed = es_rng_next(rng),
        .on_try = note_try,
        .on_verdict = note_verdict,
    };
}

static void run(struct sweep *s, uint64_t seed, unsigned with, struct log *log)
{
    struct es_err err = {0};
    char text[1024];
    *s = (struct sweep){.with = with};
    log->n = log->n_verdicts = 0;
    es_rng_init(&s->rng, seed);
    make_grid(s);
    make_times(s);
    make_beliefs(s);
    make_workers(s, (enum es_policy)(seed % ES_POLICY_STATIC));
    make_faults(s);
    s->config.context = log;
    struct es_sim_times times = {.unit_s = s->unit_s, .load_s = s->load_s, .pass_s = s->pass_s};
    int rc = es_sim_run(s->grid, NULL, s->cost, &times, &s->config, &s->result, &err);
    if (rc < 0) {
        es_err_text(&err, text, sizeof text);
        fail_msg("case %llu, with %u: %s", (unsigned long long)seed, with, text);
    }
}

static void clear(struct sweep *s)
{
    es_cost_free(s->cost);
    es_grid_free(s->grid);
    free(s->unit_s);
    free(s->pass_s);
    free(s->load_s);
    free(s->is_bad);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("case %llu, with %u, policy %d: %s", (unsigned long long)seed, s->with,       \
                     (int)s->config.sched.policy, #condition);                                     \
    } while (0)

/* A try that was cut off: by no fault, but as its worker left or was told to let go. */
static bool is_cut(const struct sweep *s, const struct es_sim_try *t)
{
    return !t->ok && !es_sim_is_faulty(s->grid, s->faults, s->config.n_faults, t->worker,
                                       t->unit_id, t->begun_s);
}

/* Whether a try ended about when its worker was told to let go, or at the very end: nobody may have
 * heard of it, and the unit is run again. */
static bool is_unheard(const struct sweep *s, const struct log *log, const struct es_sim_try *t)
{
    if (t->ended_s + s->config.message_s >= s->result.makespan_s - 1e-9)
        return true;
    for (size_t i = 0; i < log->n_verdicts; i++)
        if (log->verdicts[i].verdict.kind == ES_BLAME_QUARANTINED &&
            log->verdicts[i].verdict.suspect.worker == t->worker &&
            fabs(t->ended_s - log->verdicts[i].at_s) <= 2 * s->config.message_s + 1e-9)
            return true;
    return false;
}

/* Bad units are never done, others once; each has ended, waits for a probe, or was left in the
 * outage that ended the run, or as nobody was there. */
static void check_each_unit(const struct sweep *s, const struct log *log, uint64_t seed)
{
    uint32_t *n_ok = es_mem_calloc(s->n_units, sizeof *n_ok);
    uint64_t n_done = 0, n_unheard = 0;
    for (size_t i = 0; i < log->n; i++) {
        const struct es_sim_try *t = &log->tries[i];
        bool may_be_unheard = (t->ok || is_cut(s, t)) && is_unheard(s, log, t);
        CHECK(!t->ok || !s->is_bad[t->unit_id]);
        CHECK(!is_cut(s, t) || t->ended_s == s->leave_s[t->worker] || may_be_unheard);
        n_unheard += may_be_unheard && t->ok;
        if (!t->ok || may_be_unheard)
            continue;
        CHECK(n_ok[t->unit_id] == 0);
        n_ok[t->unit_id]++;
        n_done++;
    }
    CHECK(s->result.n_units_done >= n_done && s->result.n_units_done <= n_done + n_unheard);
    CHECK(s->result.n_units_done + s->result.n_units_failed + s->result.n_units_blocked <=
          s->n_units);
    CHECK(s->result.makespan_s < LONGEST_RUN_S);
    free(n_ok);
}

/* Whether an outage was seen before anything was done: it is not waited out then, as the command is
 * wrong more likely. */
static bool is_wrong_from_the_start(const struct log *log)
{
    double done_s = (double)INFINITY;
    for (size_t i = 0; i < log->n; i++)
        if (log->tries[i].ok)
            done_s = fmin(done_s, log->tries[i].ended_s);
    for (size_t i = 0; i < log->n_verdicts; i++)
        if (log->verdicts[i].verdict.kind == ES_BLAME_OUTAGE && log->verdicts[i].at_s <= done_s)
            return true;
    return false;
}

/* How many good units nobody had begun at a time. */
static uint32_t n_fresh_at(const struct sweep *s, const struct log *log, double at_s)
{
    bool *is_begun = es_mem_calloc(s->n_units, sizeof *is_begun);
    uint32_t n = 0;
    for (size_t i = 0; i < log->n; i++)
        is_begun[log->tries[i].unit_id] |= log->tries[i].begun_s < at_s;
    for (uint32_t id = 0; id < s->n_units; id++)
        n += !is_begun[id] && !s->is_bad[id];
    free(is_begun);
    return n;
}

/* Whether an outage can be told from bad units: where there are several tasks and checkpoints, and
 * while there is enough that was never tried, for everybody to fail and for the probes. A short one
 * may pass before everybody has noticed; then units fail for good that began twice in it. */
static bool is_outage_decidable(const struct sweep *s, const struct log *log)
{
    const struct es_sim_fault *outage = &s->faults[s->config.n_faults - 1];
    double n_needed = PROBES_FIRST + outage->for_s / PROBE_PAUSE_S +
                      2.0 * s->config.n_workers * s->config.sched.max_bundles_failed;
    if (es_grid_n_tasks(s->grid) < 2 || es_grid_n_checkpoints(s->grid) < 2 ||
        n_fresh_at(s, log, outage->after_s) < n_needed)
        return false;
    for (size_t i = 0; i < log->n_verdicts; i++)
        if (log->verdicts[i].verdict.kind == ES_BLAME_OUTAGE &&
            log->verdicts[i].at_s >= outage->after_s &&
            log->verdicts[i].at_s < outage->after_s + outage->for_s)
            return true;
    return false;
}

/* Whether bad workers can be told from bad units: where a good one is there all the time, and
 * most units are good.
 * Beside that, several bad workers may use up all tries of a unit before each has failed often
 * enough to be found out: there must be enough other work, or more tries than bad workers. */
static bool are_workers_decidable(const struct sweep *s)
{
    uint32_t n_bad = 0, n_steady = 0;
    for (uint32_t w = 0; w < s->config.n_workers; w++) {
        n_bad += s->is_bad_worker[w];
        n_steady += !s->is_bad_worker[w] && s->join_s[w] == 0 && isinf(s->leave_s[w]);
    }
    if (n_steady == 0 || (n_bad > 0 && 2 * s->n_good < s->n_units))
        return false;
    return n_bad < 2 || (n_bad < s->config.sched.max_attempts &&
                         s->n_good >= UNITS_A_WORKER * s->config.n_workers);
}

/* Every good unit is done in the end, so that nothing blocked covers it, and it has not failed.
 * With a share of bad units, a few good ones may stay blocked beside them: the last probes of what
 * is blocked are few, and may meet bad ones only. With an outage, only one fault beside it: what is
 * bad as well is retracted, and told later, where too little may be left. */
static void check_good_are_done(const struct sweep *s, const struct log *log, uint64_t seed)
{
    if (s->n_good == 0 || !are_workers_decidable(s) || is_wrong_from_the_start(log))
        return;
    if (s->with & OUTAGE && (s->with & (BAD_WORKERS | BAD_UNITS) || !is_outage_decidable(s, log)))
        return;
    if (s->with & BAD_UNITS) {
        CHECK((uint64_t)10 * s->result.n_units_done >= (uint64_t)9 * s->n_good);
        return;
    }
    CHECK(s->result.n_units_done == s->n_good);
    CHECK(s->result.n_units_failed + s->result.n_units_blocked == s->n_units - s->n_good);
}

/* Where workers are at fault and nothing else, nothing is blocked at the end, and no good worker is
 * ever quarantined. */
static void check_only_workers(const struct sweep *s, const struct log *log, uint64_t seed)
{
    if (s->with & (BAD_TASKS | BAD_CHECKPOINTS | BAD_UNITS | OUTAGE))
        return;
    for (size_t i = 0; i < log->n_verdicts; i++) {
        const struct es_blame_verdict *verdict = &log->verdicts[i].verdict;
        CHECK(verdict->kind != ES_BLAME_QUARANTINED || s->is_bad_worker[verdict->suspect.worker]);
    }
    CHECK(s->result.n_units_blocked == 0 || !are_workers_decidable(s));
}

/* When a quarantine of the worker, begun since, ends; or since. */
static double free_again(const struct log *log, uint32_t worker, double since_s)
{
    double free_s = since_s;
    for (size_t i = 0; i < log->n_verdicts; i++) {
        const struct es_blame_verdict *verdict = &log->verdicts[i].verdict;
        if (verdict->kind == ES_BLAME_QUARANTINED && verdict->suspect.worker == worker &&
            log->verdicts[i].at_s <= free_s + 1)
            free_s = fmax(free_s, verdict->suspect.probe_s);
    }
    return free_s;
}

/* While a good unit is not begun, and can be had, nobody idles for longer than messages and loads
 * take (as in test_sched_props.c), but in quarantine. Only where nobody leaves, and one kind of
 * axis is bad and nothing else: an outage, bad workers and bad units hold up good workers, too.
 * What was blocked wrongly is had again by a probe, after BLOCKED_S. */
static void check_nobody_idles(const struct sweep *s, const struct log *log, uint64_t seed)
{
    unsigned faults = s->with & (BAD_TASKS | BAD_CHECKPOINTS | BAD_WORKERS | BAD_UNITS | OUTAGE);
    if ((faults != BAD_TASKS && faults != BAD_CHECKPOINTS) || s->with & DEPARTURES)
        return;
    double last_s = 0; /* when the last good unit was begun */
    for (size_t i = 0; i < log->n; i++)
        if (!s->is_bad[log->tries[i].unit_id])
            last_s = fmax(last_s, log->tries[i].begun_s);
    for (size_t i = 0; i < log->n_verdicts; i++)
        if (log->verdicts[i].verdict.kind == ES_BLAME_OUTAGE)
            return; /* a false alarm, where little else is left */
    double patience_s =
        20 * s->config.message_s + 1e-6 + BLOCKED_S + 3 * (s->longest_load_s + s->longest_pass_s);
    for (uint32_t w = 0; w < s->config.n_workers; w++) {
        double free_s = s->join_s[w];
        for (size_t i = 0; i < log->n; i++) {
            const struct es_sim_try *t = &log->tries[i];
            if (t->worker != w)
                continue;
            CHECK(fmin(t->begun_s, last_s) <= free_again(log, w, free_s) + patience_s);
            free_s = t->ended_s;
        }
        CHECK(last_s <= free_again(log, w, free_s) + patience_s);
    }
}

static void check_same_again(const struct sweep *s, const struct log *log, uint64_t seed)
{
    static struct log again_log;
    struct sweep again;
    run(&again, seed, s->with, &again_log);
    CHECK(log->n == again_log.n && log->n_verdicts == again_log.n_verdicts);
    CHECK(s->result.makespan_s == again.result.makespan_s &&
          s->result.n_messages == again.result.n_messages &&
          s->result.n_units_done == again.result.n_units_done &&
          s->result.n_units_failed == again.result.n_units_failed &&
          s->result.n_units_blocked == again.result.n_units_blocked &&
          s->result.n_failed_tries == again.result.n_failed_tries);
    for (size_t i = 0; i < log->n; i++) {
        const struct es_sim_try *a = &log->tries[i], *b = &again_log.tries[i];
        CHECK(a->worker == b->worker && a->unit_id == b->unit_id && a->begun_s == b->begun_s &&
              a->ended_s == b->ended_s && a->ok == b->ok);
    }
    clear(&again);
}

static void random_sweeps(unsigned with, uint64_t n_cases)
{
    static struct log log;
    for (uint64_t seed = 1; seed <= n_cases; seed++) {
        struct es_rng rng;
        struct sweep s;
        es_rng_init(&rng, seed);
        run(&s, seed, (unsigned)es_rng_next(&rng) & with, &log);
        check_each_unit(&s, &log, seed);
        check_good_are_done(&s, &log, seed);
        check_only_workers(&s, &log, seed);
        check_nobody_idles(&s, &log, seed);
        if (seed % 10 == 0)
            check_same_again(&s, &log, seed);
        clear(&s);
    }
}

static void whatever_is_at_fault(void **state)
{
    (void)state;
    random_sweeps(BAD_TASKS | BAD_CHECKPOINTS | BAD_WORKERS | BAD_UNITS | OUTAGE | DELAYS |
                      LATE_JOINS | DEPARTURES,
                  N_CASES);
}

static void work_is_at_fault(void **state)
{
    (void)state;
    random_sweeps(BAD_TASKS | BAD_CHECKPOINTS | DELAYS | LATE_JOINS, N_CASES);
}

static void workers_are_at_fault(void **state)
{
    (void)state;
    random_sweeps(BAD_WORKERS | DELAYS | LATE_JOINS | DEPARTURES, N_CASES);
}

static void everything_is_out_for_a_while(void **state)
{
    (void)state;
    random_sweeps(OUTAGE | BAD_TASKS | DELAYS | LATE_JOINS, N_CASES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_at_fault),
        cmocka_unit_test(work_is_at_fault),
        cmocka_unit_test(workers_are_at_fault),
        cmocka_unit_test(everything_is_out_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
