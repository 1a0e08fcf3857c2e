#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/blame.h"
#include "core/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What blame makes of a list of successes and failures. No scheduler: a test tells what happened,
 * and looks at the verdicts. */

#define WORKERS 6

struct fixture {
    struct es_grid *grid;
    struct es_blame *blame;
    bool is_fresh_left;
    struct es_blame_verdict verdicts[256]; /* of the last event */
    uint32_t n_verdicts;
};

static void make(struct fixture *f, uint32_t n_checkpoints, uint32_t n_layers, uint32_t n_tasks,
                 uint32_t max_bundles)
{
    static char names[80][16];
    const char *texts[80];
    int32_t layers[80];
    for (int i = 0; i < 80; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        texts[i] = names[i];
        layers[i] = i;
    }
    *f = (struct fixture){.is_fresh_left = true};
    assert_int_equal(
        es_grid_create(texts, n_checkpoints, layers, n_layers, texts, n_tasks, &f->grid, NULL), 0);
    assert_int_equal(es_blame_create(f->grid, max_bundles, &f->blame, NULL), 0);
    assert_int_equal(es_blame_add_workers(f->blame, WORKERS), 0);
}

static void clear(struct fixture *f)
{
    es_blame_free(f->blame);
    es_grid_free(f->grid);
}

/* So many workers are there. */
static void activate(struct fixture *f, uint32_t n)
{
    for (uint32_t w = 0; w < n; w++)
        es_blame_set_active(f->blame, w, true);
}

static void take_verdicts(struct fixture *f)
{
    f->n_verdicts = 0;
    while (es_blame_next(f->blame, &f->verdicts[f->n_verdicts]))
        f->n_verdicts++;
}

static uint32_t id_of(const struct fixture *f, uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    return es_grid_id(f->grid, (struct es_unit){checkpoint, layer, task});
}

static void fail_again(struct fixture *f, uint32_t worker, uint32_t unit_id, bool is_first,
                       double now_s)
{
    const struct es_failure failure = {.worker = worker,
                                       .unit_id = unit_id,
                                       .reason = 7,
                                       .is_first = is_first,
                                       .is_fresh_left = f->is_fresh_left};
    es_blame_failed(f->blame, &failure, now_s);
    take_verdicts(f);
}

static void bad(struct fixture *f, uint32_t worker, uint32_t checkpoint, uint32_t layer,
                uint32_t task, double now_s)
{
    fail_again(f, worker, id_of(f, checkpoint, layer, task), true, now_s);
}

static void good(struct fixture *f, uint32_t worker, uint32_t checkpoint, uint32_t layer,
                 uint32_t task, double now_s)
{
    es_blame_succeeded(f->blame, worker, id_of(f, checkpoint, layer, task), now_s);
    take_verdicts(f);
}

/* The only verdict of a kind in the last event, or NULL. */
static const struct es_blame_verdict *verdict_of(const struct fixture *f,
                                                 enum es_blame_verdict_kind kind)
{
    const struct es_blame_verdict *found = NULL;
    for (uint32_t i = 0; i < f->n_verdicts; i++) {
        if (f->verdicts[i].kind != kind)
            continue;
        assert_null(found);
        found = &f->verdicts[i];
    }
    return found;
}

static uint32_t n_retracted(struct fixture *f, uint32_t worker)
{
    uint32_t n = 0;
    while (es_blame_next_retracted(f->blame, worker) != ES_GRID_NONE)
        n++;
    return n;
}

static void assert_blocked(const struct fixture *f, uint32_t i, enum es_suspect_kind kind,
                           uint32_t checkpoint, uint32_t layer, uint32_t task)
{
    assert_true(i < es_blame_n_blocked(f->blame));
    const struct es_suspect *suspect = es_blame_blocked(f->blame, i);
    assert_int_equal(suspect->kind, kind);
    assert_int_equal(suspect->checkpoint, checkpoint);
    assert_int_equal(suspect->layer, layer);
    assert_int_equal(suspect->task, task);
    assert_int_equal(suspect->worker, ES_GRID_NONE);
}

/* --- Units, bundles, tasks, checkpoints, layers: lists of events, and what is blocked after them.
 * --- */

#define ANY ES_GRID_ANY
#define STEPS_MOST 12

struct step {
    char kind; /* 'F' a failure, 'f' of a unit that failed before, 'S' a success, 'D' found done */
    uint32_t worker, checkpoint, layer, task;
};

struct blocked_case {
    const char *name;
    struct step steps[STEPS_MOST];
    uint32_t n_blocked;
    struct {
        enum es_suspect_kind kind;
        uint32_t checkpoint, layer, task;
    } blocked[2];
};

static const struct blocked_case BLOCKED_CASES[] = {
    {"a unit", {{'F', 0, 0, 0, 0}, {'S', 0, 0, 1, 0}}, 0, {{0}}},
    {"a unit, others elsewhere", {{'F', 0, 0, 0, 0}, {'S', 0, 1, 1, 1}}, 0, {{0}}},
    {"not settled", {{'F', 0, 0, 0, 0}, {'F', 0, 0, 1, 0}}, 0, {{0}}},
    {"a bundle",
     {{'F', 0, 0, 0, 0}, {'F', 0, 0, 1, 0}, {'S', 0, 1, 0, 1}},
     1,
     {{ES_SUSPECT_BUNDLE, 0, ANY, 0}}},
    {"a bundle that works after all",
     {{'F', 0, 0, 0, 0}, {'F', 0, 0, 1, 0}, {'S', 0, 0, 2, 0}},
     0,
     {{0}}},
    {"one unit twice", {{'F', 0, 0, 0, 0}, {'f', 0, 0, 0, 0}, {'S', 0, 1, 0, 1}}, 0, {{0}}},
    {"units that failed before",
     {{'f', 0, 0, 0, 0}, {'f', 0, 1, 1, 0}, {'f', 0, 2, 1, 0}, {'S', 0, 3, 0, 1}},
     0,
     {{0}}},
    {"a task",
     {{'F', 0, 0, 0, 0}, {'F', 0, 1, 0, 0}, {'S', 0, 0, 0, 1}},
     1,
     {{ES_SUSPECT_TASK, ANY, ANY, 0}}},
    {"a task, by two workers",
     {{'F', 0, 0, 0, 0}, {'F', 1, 1, 0, 0}, {'S', 0, 2, 0, 1}, {'S', 1, 3, 0, 1}},
     1,
     {{ES_SUSPECT_TASK, ANY, ANY, 0}}},
    {"a task that worked in between",
     {{'F', 0, 0, 0, 0},
      {'S', 0, 2, 0, 1},
      {'S', 1, 2, 0, 0},
      {'F', 0, 1, 0, 0},
      {'S', 0, 3, 0, 1}},
     0,
     {{0}}},
    {"a task that another job did in between",
     {{'F', 0, 0, 0, 0},
      {'S', 0, 2, 0, 1},
      {'D', 0, 2, 0, 0},
      {'F', 0, 1, 0, 0},
      {'S', 0, 3, 0, 1}},
     0,
     {{0}}},
    {"a task in place of its bundles",
     {{'F', 0, 0, 0, 0},
      {'F', 0, 0, 1, 0},
      {'S', 0, 0, 0, 1},
      {'F', 0, 1, 0, 0},
      {'F', 0, 1, 1, 0},
      {'S', 0, 1, 0, 1}},
     1,
     {{ES_SUSPECT_TASK, ANY, ANY, 0}}},
    {"a checkpoint, whose tasks work elsewhere",
     {{'F', 0, 0, 0, 0}, {'F', 0, 0, 0, 1}, {'S', 0, 1, 0, 0}},
     1,
     {{ES_SUSPECT_CHECKPOINT, 0, ANY, ANY}}},
    {"a checkpoint",
     {{'F', 0, 0, 0, 0}, {'F', 0, 0, 0, 1}, {'S', 0, 1, 0, 2}},
     1,
     {{ES_SUSPECT_CHECKPOINT, 0, ANY, ANY}}},
    {"a checkpoint in place of its bundle",
     {{'F', 0, 0, 0, 0},
      {'F', 0, 0, 1, 0},
      {'S', 0, 1, 0, 2},
      {'F', 0, 0, 0, 1},
      {'S', 0, 1, 1, 2}},
     1,
     {{ES_SUSPECT_CHECKPOINT, 0, ANY, ANY}}},
    {"what a blocked task explains",
     {{'F', 0, 0, 0, 0},
      {'F', 0, 1, 0, 0},
      {'S', 0, 2, 0, 1},
      {'F', 0, 0, 0, 2},
      {'S', 0, 2, 1, 1}},
     1,
     {{ES_SUSPECT_TASK, ANY, ANY, 0}}},
    {"what a blocked checkpoint explains",
     {{'F', 0, 0, 0, 0},
      {'F', 0, 0, 0, 1},
      {'S', 0, 1, 0, 2},
      {'F', 0, 2, 0, 0},
      {'S', 0, 1, 1, 2}},
     1,
     {{ES_SUSPECT_CHECKPOINT, 0, ANY, ANY}}},
    {"a task and a checkpoint",
     {{'F', 0, 0, 0, 0},
      {'F', 0, 1, 0, 0},
      {'S', 0, 2, 0, 3},
      {'F', 0, 3, 0, 1},
      {'F', 0, 3, 0, 2},
      {'S', 0, 2, 1, 3}},
     2,
     {{ES_SUSPECT_TASK, ANY, ANY, 0}, {ES_SUSPECT_CHECKPOINT, 3, ANY, ANY}}},
    {"a layer",
     {{'F', 0, 0, 1, 0},
      {'S', 0, 0, 0, 0},
      {'F', 0, 1, 1, 0},
      {'S', 0, 1, 0, 0},
      {'F', 0, 2, 1, 0},
      {'S', 0, 2, 0, 1}},
     1,
     {{ES_SUSPECT_LAYER, ANY, 1, 0}}},
    {"a layer at two checkpoints",
     {{'F', 0, 0, 1, 0},
      {'S', 0, 0, 0, 0},
      {'F', 0, 1, 1, 0},
      {'S', 0, 1, 0, 0},
      {'F', 1, 1, 1, 0},
      {'S', 1, 1, 0, 0}},
     0,
     {{0}}},
    {"a layer that worked in between",
     {{'F', 0, 0, 1, 0},
      {'S', 0, 0, 0, 0},
      {'F', 0, 1, 1, 0},
      {'S', 0, 1, 0, 0},
      {'S', 0, 3, 1, 0},
      {'F', 0, 2, 1, 0},
      {'S', 0, 2, 0, 0}},
     0,
     {{0}}},
};

static void take_step(struct fixture *f, const struct step *step, double now_s)
{
    uint32_t id = id_of(f, step->checkpoint, step->layer, step->task);
    if (step->kind == 'S')
        es_blame_succeeded(f->blame, step->worker, id, now_s);
    else if (step->kind == 'D')
        es_blame_found(f->blame, id);
    else
        fail_again(f, step->worker, id, step->kind == 'F', now_s);
    take_verdicts(f);
}

static void what_is_blocked(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof BLOCKED_CASES / sizeof *BLOCKED_CASES; c++) {
        const struct blocked_case *a_case = &BLOCKED_CASES[c];
        struct fixture f;
        make(&f, 4, 3, 4, 9);
        activate(&f, 3);
        for (size_t i = 0; i < STEPS_MOST && a_case->steps[i].kind; i++)
            take_step(&f, &a_case->steps[i], (double)i);
        if (es_blame_n_blocked(f.blame) != a_case->n_blocked)
            fail_msg("%s: %u are blocked", a_case->name, es_blame_n_blocked(f.blame));
        for (uint32_t i = 0; i < a_case->n_blocked; i++)
            assert_blocked(&f, i, a_case->blocked[i].kind, a_case->blocked[i].checkpoint,
                           a_case->blocked[i].layer, a_case->blocked[i].task);
        clear(&f);
    }
}

/* What is told of a blocked bundle, and what it covers. */
static void a_suspect_tells_what_failed(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 9);
    activate(&f, 3);
    bad(&f, 0, 0, 0, 0, 10);
    bad(&f, 0, 0, 1, 0, 11);
    assert_int_equal(f.n_verdicts, 0);
    good(&f, 0, 1, 0, 1, 12);
    assert_non_null(verdict_of(&f, ES_BLAME_SETTLED));
    assert_int_equal(n_retracted(&f, 0), 0);
    const struct es_blame_verdict *verdict = verdict_of(&f, ES_BLAME_BLOCKED);
    assert_non_null(verdict);
    assert_int_equal(verdict->suspect.n_failed, 2);
    assert_int_equal(verdict->suspect.n_workers, 1);
    assert_int_equal(verdict->suspect.reason, 7);
    assert_int_equal(verdict->suspect.unit_id, id_of(&f, 0, 1, 0));
    assert_true(verdict->suspect.since_s == 12 && verdict->suspect.probe_s == 42);
    assert_int_equal(es_blame_n_covering(f.blame, id_of(&f, 0, 2, 0)), 1);
    assert_int_equal(es_blame_n_covering(f.blame, id_of(&f, 0, 2, 1)), 0);
    assert_int_equal(es_blame_n_covering(f.blame, id_of(&f, 1, 2, 0)), 0);
    bad(&f, 1, 0, 2, 0, 13); /* known: counted, and not held against the worker */
    assert_int_equal(es_blame_blocked(f.blame, 0)->n_failed, 3);
    assert_int_equal(es_blame_blocked(f.blame, 0)->n_workers, 2);
    assert_int_equal(es_blame_trust(f.blame, 1), ES_TRUST_FULL);
    clear(&f);
}

/* Workers beyond those that are counted apart are not. */
static void witnesses_are_few(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 30, 4, 9);
    assert_int_equal(es_blame_add_workers(f.blame, 20), 0);
    activate(&f, 20);
    bad(&f, 0, 0, 0, 0, 0);
    bad(&f, 0, 0, 1, 0, 0);
    good(&f, 0, 1, 0, 1, 0);
    for (uint32_t w = 0; w < 20; w++)
        bad(&f, w, 0, 2 + w, 0, 1);
    assert_int_equal(es_blame_blocked(f.blame, 0)->n_failed, 22);
    assert_int_equal(es_blame_blocked(f.blame, 0)->n_workers, ES_WITNESSES_MOST);
    clear(&f);
}

/* --- Probes --- */

static void block_bundle(struct fixture *f, uint32_t checkpoint, uint32_t task, double now_s)
{
    bad(f, 0, checkpoint, 0, task, now_s);
    bad(f, 0, checkpoint, 1, task, now_s);
    good(f, 0, 3, 0, 3, now_s);
    assert_int_equal(es_blame_n_blocked(f->blame), 1);
}

static void pauses_between_probes(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 30, 4, 9);
    activate(&f, 2);
    block_bundle(&f, 0, 0, 0);
    static const double EXPECTED_S[] = {30, 60, 120, 240, 480, 900, 1830, 3660, 7320};
    double now_s = 0;
    for (uint32_t i = 0; i < sizeof EXPECTED_S / sizeof *EXPECTED_S; i++) {
        assert_true(es_blame_probe_due_s(f.blame) == now_s + EXPECTED_S[i]);
        assert_false(es_blame_is_due(f.blame, 0, false, now_s + EXPECTED_S[i] - 0.5));
        now_s += EXPECTED_S[i];
        assert_true(es_blame_is_due(f.blame, 0, false, now_s));
        uint32_t unit_id = id_of(&f, 0, 2 + i, 0);
        es_blame_probing(f.blame, 0, unit_id, false);
        assert_true(isinf(es_blame_probe_due_s(f.blame))); /* not before this one has ended */
        assert_false(es_blame_is_due(f.blame, 0, true, now_s));
        assert_false(es_blame_wants_back(f.blame, unit_id));
        assert_true(es_blame_wants_back(f.blame, id_of(&f, 0, 20, 0)));
        assert_false(es_blame_wants_back(f.blame, id_of(&f, 1, 20, 0)));
        fail_again(&f, 1, unit_id, true, now_s);
        assert_int_equal(es_blame_blocked(f.blame, 0)->n_probes, i + 1);
    }
    clear(&f);
}

static void a_probe_that_succeeds_unblocks(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 9);
    activate(&f, 2);
    block_bundle(&f, 0, 0, 0);
    es_blame_probing(f.blame, 0, id_of(&f, 0, 2, 0), false);
    good(&f, 1, 0, 2, 0, 50);
    const struct es_blame_verdict *verdict = verdict_of(&f, ES_BLAME_UNBLOCKED);
    assert_non_null(verdict);
    assert_int_equal(verdict->suspect.kind, ES_SUSPECT_BUNDLE);
    assert_int_equal(es_blame_n_blocked(f.blame), 0);
    assert_false(es_blame_wants_back(f.blame, id_of(&f, 0, 1, 0)));
    clear(&f);
}

/* A few when nothing else is left, and as many again after a success. */
static void last_probes(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 30, 4, 9);
    activate(&f, 2);
    block_bundle(&f, 0, 0, 0);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t unit_id = id_of(&f, 0, 2 + 3 * round + i, 0);
            assert_true(es_blame_is_due(f.blame, 0, true, 1));
            assert_false(es_blame_is_due(f.blame, 0, false, 1));
            es_blame_probing(f.blame, 0, unit_id, true);
            fail_again(&f, 0, unit_id, true, 1);
        }
        assert_false(es_blame_is_due(f.blame, 0, true, 1));
        good(&f, 0, 3, 1, 3, 1);
    }
    clear(&f);
}

static void a_probe_that_is_not_tried(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 9);
    activate(&f, 2);
    block_bundle(&f, 0, 0, 0);
    es_blame_probing(f.blame, 0, id_of(&f, 0, 2, 0), true);
    es_blame_covered(f.blame, id_of(&f, 0, 1, 0), 40); /* another one */
    assert_true(isinf(es_blame_probe_due_s(f.blame)));
    es_blame_covered(f.blame, id_of(&f, 0, 2, 0), 40);
    assert_true(es_blame_probe_due_s(f.blame) == 40);
    es_blame_not_probing(f.blame, 0, true, 41); /* not for this worker */
    assert_true(es_blame_probe_due_s(f.blame) == 42);
    es_blame_not_probing(f.blame, 0, false, 42); /* all are gone */
    assert_true(isinf(es_blame_probe_due_s(f.blame)));
    es_blame_covered(f.blame, id_of(&f, 1, 2, 0), 50); /* of another bundle */
    assert_true(isinf(es_blame_probe_due_s(f.blame)));
    es_blame_covered(f.blame, id_of(&f, 0, 2, 0), 50);
    assert_true(es_blame_probe_due_s(f.blame) == 80);
    clear(&f);
}

static struct es_suspect bundle_suspect(uint32_t checkpoint, uint32_t task)
{
    return (struct es_suspect){.kind = ES_SUSPECT_BUNDLE,
                               .checkpoint = checkpoint,
                               .layer = ES_GRID_ANY,
                               .task = task,
                               .worker = ES_GRID_NONE,
                               .unit_id = ES_GRID_NONE};
}

static void what_an_earlier_start_blocked(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 9);
    struct es_suspect bundle = bundle_suspect(1, 2);
    struct es_suspect worker = {.kind = ES_SUSPECT_WORKER, .worker = 1};
    es_blame_suspect(f.blame, &bundle, 5);
    es_blame_suspect(f.blame, &bundle, 5); /* it is already */
    es_blame_suspect(f.blame, &worker, 5); /* that was another worker */
    take_verdicts(&f);
    assert_int_equal(f.n_verdicts, 1);
    assert_blocked(&f, 0, ES_SUSPECT_BUNDLE, 1, ES_GRID_ANY, 2);
    assert_true(es_blame_is_due(f.blame, 0, false, 5));
    clear(&f);
}

static void no_more_are_blocked_than_there_is_room_for(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 40, 3, 40, 9);
    activate(&f, 2);
    for (uint32_t i = 0; i < ES_BLOCKED_MOST + 10; i++) {
        struct es_suspect bundle = bundle_suspect(i / 40, i % 40);
        es_blame_suspect(f.blame, &bundle, 0);
        take_verdicts(&f);
        assert_int_equal(f.n_verdicts, i < ES_BLOCKED_MOST);
    }
    assert_int_equal(es_blame_n_blocked(f.blame), ES_BLOCKED_MOST);
    bad(&f, 0, 39, 0, 0, 1);
    bad(&f, 0, 39, 1, 0, 1);
    good(&f, 0, 39, 0, 1, 1);
    assert_null(verdict_of(&f, ES_BLAME_BLOCKED));
    bad(&f, 0, 38, 0, 0, 1); /* a task takes the place of its bundles */
    good(&f, 0, 39, 0, 2, 1);
    assert_non_null(verdict_of(&f, ES_BLAME_BLOCKED));
    assert_int_equal(es_blame_n_blocked(f.blame), ES_BLOCKED_MOST + 1 - 26);
    clear(&f);
}

static void nothing_is_ever_suspected(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 0);
    activate(&f, 2);
    for (uint32_t i = 0; i < 48; i++) {
        fail_again(&f, 0, i, true, i);
        assert_int_equal(f.n_verdicts, 1);
        assert_non_null(verdict_of(&f, ES_BLAME_SETTLED));
        assert_int_equal(es_blame_next_retracted(f.blame, 0), ES_GRID_NONE);
        assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_FULL);
    }
    struct es_suspect bundle = bundle_suspect(1, 2);
    es_blame_suspect(f.blame, &bundle, 5);
    take_verdicts(&f);
    assert_int_equal(f.n_verdicts, 0);
    good(&f, 0, 0, 0, 0, 50);
    assert_int_equal(f.n_verdicts, 0);
    assert_int_equal(es_blame_n_blocked(f.blame), 0);
    clear(&f);
}

/* --- Workers --- */

static void a_doubtful_worker_avoids_what_it_failed(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t task, checkpoint;
    make(&f, 4, 3, 4, 9);
    activate(&f, 3);
    bad(&f, 0, 0, 0, 0, 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_FULL);
    es_blame_avoid(f.blame, 0, &task, &checkpoint);
    assert_true(task == ES_GRID_NONE && checkpoint == ES_GRID_NONE);
    bad(&f, 0, 0, 1, 0, 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_DOUBTFUL);
    es_blame_avoid(f.blame, 0, &task, &checkpoint);
    assert_true(task == 0 && checkpoint == ES_GRID_NONE);
    bad(&f, 0, 0, 0, 1, 0);
    es_blame_avoid(f.blame, 0, &task, &checkpoint);
    assert_true(task == 1 && checkpoint == 0);
    assert_true(es_blame_last_failed(f.blame, 0).task == 1);
    bad(&f, 0, 2, 0, 1, 0);
    es_blame_avoid(f.blame, 0, &task, &checkpoint);
    assert_true(task == 1 && checkpoint == ES_GRID_NONE);
    good(&f, 0, 3, 0, 3, 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_FULL);
    clear(&f);
}

static void what_it_failed_before_a_success_does_not_matter(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t task, checkpoint;
    make(&f, 4, 3, 4, 9);
    activate(&f, 3);
    bad(&f, 0, 0, 0, 0, 0);
    good(&f, 0, 3, 0, 3, 0);
    bad(&f, 0, 0, 1, 2, 0);
    bad(&f, 0, 0, 2, 2, 0);
    es_blame_avoid(f.blame, 0, &task, &checkpoint);
    assert_true(task == 2 && checkpoint == ES_GRID_NONE);
    clear(&f);
}

static void without_an_alternative_the_bundle_is_blocked(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t task, checkpoint;
    make(&f, 4, 3, 4, 9);
    activate(&f, 3);
    bad(&f, 0, 0, 0, 0, 0);
    es_blame_no_alternative(f.blame, 0, false, 1); /* one unit is not enough */
    take_verdicts(&f);
    assert_int_equal(f.n_verdicts, 0);
    bad(&f, 0, 0, 1, 0, 2);
    es_blame_no_alternative(f.blame, 0, false, 3);
    take_verdicts(&f);
    assert_int_equal(f.n_verdicts, 1);
    assert_int_equal(f.verdicts[0].kind, ES_BLAME_BLOCKED);
    assert_int_equal(f.verdicts[0].suspect.n_failed, 2);
    assert_true(f.verdicts[0].suspect.probe_s == 33);
    es_blame_avoid(f.blame, 0, &task, &checkpoint);
    assert_true(task == ES_GRID_NONE && checkpoint == ES_GRID_NONE);
    bad(&f, 0, 1, 0, 1, 4); /* another one, of which one unit is not enough */
    es_blame_avoid(f.blame, 0, &task, &checkpoint);
    assert_true(task == 1);
    es_blame_no_alternative(f.blame, 0, false, 5);
    take_verdicts(&f);
    assert_int_equal(f.n_verdicts, 0);
    clear(&f);
}

static void without_an_alternative_what_failures_share_may_be_guessed(void **state)
{
    (void)state;
    for (int may_guess = 0; may_guess < 2; may_guess++) {
        struct fixture f;
        make(&f, 4, 3, 4, 9);
        activate(&f, 3);
        bad(&f, 0, 0, 0, 2, 0);
        bad(&f, 0, 1, 0, 2, 1);
        assert_true(es_blame_has_common(f.blame, 0));
        es_blame_no_alternative(f.blame, 0, may_guess, 5);
        take_verdicts(&f);
        assert_int_equal(es_blame_n_blocked(f.blame), may_guess);
        if (may_guess) {
            assert_int_equal(es_blame_blocked(f.blame, 0)->kind, ES_SUSPECT_TASK);
            assert_true(es_blame_blocked(f.blame, 0)->probe_s == 15);
            assert_false(es_blame_is_due(f.blame, 0, true, 14)); /* an outage needs time to end */
            assert_true(es_blame_is_due(f.blame, 0, true, 15));
        }
        assert_true(es_blame_waits(f.blame, 14) == may_guess);
        clear(&f);
    }
}

static void what_has_succeeded_is_not_guessed(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 9);
    activate(&f, 3);
    good(&f, 1, 2, 0, 2, 0);
    bad(&f, 0, 0, 0, 2, 1);
    bad(&f, 0, 1, 0, 2, 2);
    assert_false(es_blame_has_common(f.blame, 0));
    clear(&f);
}

/* A worker fails with one task and two checkpoints after each other, five times. */
static void fail_bundles(struct fixture *f, uint32_t worker, uint32_t n, double now_s)
{
    for (uint32_t i = 0; i < n; i++)
        bad(f, worker, i % 2, i, 0, now_s);
}

static void too_many_bundles_in_a_row(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 3);
    fail_bundles(&f, 0, 4, 100);
    assert_int_equal(f.n_verdicts, 0);
    bad(&f, 0, 0, 10, 0, 101);
    const struct es_blame_verdict *verdict = verdict_of(&f, ES_BLAME_QUARANTINED);
    assert_non_null(verdict);
    assert_int_equal(verdict->suspect.kind, ES_SUSPECT_WORKER);
    assert_int_equal(verdict->suspect.worker, 0);
    assert_int_equal(verdict->suspect.n_failed, 5);
    assert_true(verdict->suspect.since_s == 100 && verdict->suspect.probe_s == 131);
    assert_non_null(verdict_of(&f, ES_BLAME_SETTLED));
    assert_int_equal(es_blame_next_retracted(f.blame, 0),
                     id_of(&f, 0, 10, 0)); /* the newest first */
    assert_int_equal(n_retracted(&f, 0), 4);
    assert_int_equal(n_retracted(&f, 0), 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    assert_true(es_blame_paused_until(f.blame, 0) == 131);
    assert_int_equal(es_blame_n_blocked(f.blame), 0);
    good(&f, 1, 3, 0, 3, 102); /* what it failed is held against nothing */
    bad(&f, 1, 2, 0, 0, 103);
    good(&f, 1, 3, 1, 3, 104);
    assert_int_equal(es_blame_n_blocked(f.blame), 0);
    clear(&f);
}

static void a_bundle_again_counts_once_it_works_elsewhere(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 3);
    activate(&f, 3);
    for (uint32_t i = 0; i < 10; i++)
        bad(&f, 0, 0, i, 0, i);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_DOUBTFUL);
    good(&f, 1, 0, 20, 1, 20); /* its checkpoint works: not enough */
    bad(&f, 0, 0, 30, 0, 21);
    bad(&f, 0, 0, 31, 0, 22);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_DOUBTFUL);
    good(&f, 1, 1, 20, 0, 23); /* and its task */
    bad(&f, 0, 0, 32, 0, 24);
    bad(&f, 0, 0, 33, 0, 25); /* no news since */
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_DOUBTFUL);
    good(&f, 1, 0, 21, 0, 26);
    bad(&f, 0, 0, 34, 0, 27);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    clear(&f);
}

static void pauses_of_a_quarantine(void **state)
{
    (void)state;
    struct fixture f;
    struct es_suspect suspects[WORKERS];
    make(&f, 4, 60, 4, 5);
    activate(&f, 3);
    fail_bundles(&f, 0, 5, 0);
    static const double EXPECTED_S[] = {30, 60, 120, 240, 480, 900, 1830, 3660};
    double now_s = 0;
    for (uint32_t i = 0; i < sizeof EXPECTED_S / sizeof *EXPECTED_S; i++) {
        assert_true(es_blame_paused_until(f.blame, 0) == now_s + EXPECTED_S[i]);
        now_s += EXPECTED_S[i];
        es_blame_end_pause(f.blame, 0);
        assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PROBATION);
        assert_int_equal(es_blame_quarantined(f.blame, suspects, WORKERS), 1);
        assert_int_equal(es_blame_quarantined(f.blame, suspects, 0), 0);
        bad(&f, 0, 2, 20 + i, 2, now_s);
        assert_non_null(verdict_of(&f, ES_BLAME_QUARANTINED));
        assert_int_equal(verdict_of(&f, ES_BLAME_QUARANTINED)->suspect.n_probes, i + 1);
        assert_int_equal(verdict_of(&f, ES_BLAME_QUARANTINED)->suspect.n_failed, 6 + i);
        assert_int_equal(n_retracted(&f, 0), i == 0 ? 6 : 1);
    }
    es_blame_end_pause(f.blame, 0);
    good(&f, 0, 2, 40, 2, now_s);
    assert_non_null(verdict_of(&f, ES_BLAME_RELEASED));
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_FULL);
    assert_int_equal(es_blame_quarantined(f.blame, suspects, WORKERS), 0);
    fail_bundles(&f, 0, 5, now_s); /* and again from the beginning */
    assert_true(es_blame_paused_until(f.blame, 0) == now_s + 30);
    clear(&f);
}

/* A worker that leaves takes its failures along; one that comes in its place is not in quarantine.
 */
static void who_leaves_is_not_to_blame(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 3);
    bad(&f, 1, 0, 0, 0, 0);
    bad(&f, 1, 0, 1, 0, 0);
    es_blame_set_active(f.blame, 1, false);
    take_verdicts(&f);
    assert_non_null(verdict_of(&f, ES_BLAME_SETTLED));
    assert_int_equal(n_retracted(&f, 1), 2);
    fail_bundles(&f, 0, 5, 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    es_blame_set_active(f.blame, 0, false);
    es_blame_set_active(f.blame, 0, false);
    take_verdicts(&f);
    es_blame_set_active(f.blame, 0, true);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_FULL);
    clear(&f);
}

static void old_failures_count(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 50);
    activate(&f, 3);
    for (uint32_t i = 0; i < 40; i++)
        bad(&f, 0, 0, i, 0, i);
    es_blame_set_active(f.blame, 0, false);
    take_verdicts(&f);
    assert_int_equal(es_blame_next_retracted(f.blame, 0), id_of(&f, 0, 39, 0));
    assert_int_equal(n_retracted(&f, 0), 31);
    assert_int_equal(es_blame_next_retracted(f.blame, 99), ES_GRID_NONE);
    clear(&f);
}

static void who_is_good(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 9);
    activate(&f, 3);
    assert_false(es_blame_is_good(f.blame, 1)); /* nobody is known to be */
    good(&f, 1, 0, 0, 0, 0);
    assert_true(es_blame_is_good(f.blame, 1) && !es_blame_is_good(f.blame, 0));
    bad(&f, 1, 0, 1, 0, 0);
    assert_false(es_blame_is_good(f.blame, 1));
    good(&f, 1, 0, 2, 0, 0);
    es_blame_set_active(f.blame, 1, false);
    assert_false(es_blame_is_good(f.blame, 1));
    clear(&f);
}

/* Work that another job has done says that the work is good, and nothing of the worker. */
static void what_was_found_says_nothing_of_the_worker(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 3, 4, 9);
    activate(&f, 3);
    bad(&f, 0, 0, 0, 0, 0);
    bad(&f, 0, 0, 1, 0, 0);
    es_blame_found(f.blame, id_of(&f, 1, 0, 1));
    take_verdicts(&f);
    assert_int_equal(f.n_verdicts, 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_DOUBTFUL);
    good(&f, 0, 3, 0, 3, 0);
    assert_int_equal(es_blame_n_blocked(f.blame), 1);
    es_blame_found(f.blame, id_of(&f, 0, 2, 0));
    take_verdicts(&f);
    assert_non_null(verdict_of(&f, ES_BLAME_UNBLOCKED));
    clear(&f);
}

/* --- The outage --- */

/* A worker fails at two checkpoints, of two tasks. */
static void cross(struct fixture *f, uint32_t worker, double now_s)
{
    bad(f, worker, worker % 2, worker, 0, now_s);
    bad(f, worker, 2, worker, 1, now_s + 1);
}

static void most_workers_fail(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 4);
    cross(&f, 0, 10);
    cross(&f, 1, 20);
    assert_int_equal(f.n_verdicts, 0);
    assert_null(es_blame_outage(f.blame));
    cross(&f, 2, 30);
    const struct es_blame_verdict *verdict = verdict_of(&f, ES_BLAME_OUTAGE);
    assert_non_null(verdict);
    assert_int_equal(verdict->suspect.kind, ES_SUSPECT_OUTAGE);
    assert_int_equal(verdict->suspect.n_workers, 3);
    assert_int_equal(verdict->suspect.n_failed, 6);
    assert_int_equal(verdict->suspect.reason, 7);
    assert_int_equal(verdict->suspect.unit_id, id_of(&f, 2, 2, 1));
    assert_true(verdict->suspect.since_s == 31 && verdict->suspect.probe_s == 32);
    for (uint32_t w = 0; w < 4; w++) {
        assert_int_equal(n_retracted(&f, w), w < 3 ? 2 : 0);
        assert_int_equal(es_blame_trust(f.blame, w), ES_TRUST_FULL);
    }
    assert_true(es_blame_outage(f.blame)->since_s == 31);
    clear(&f);
}

/* One task, or one checkpoint, is no outage, whoever fails; nor are other workers that fail alone.
 */
static void what_is_no_outage(void **state)
{
    (void)state;
    static const uint32_t CELLS[][2][2] = {{{0, 0}, {1, 0}}, {{0, 0}, {0, 1}}};
    for (size_t c = 0; c < 2; c++) {
        struct fixture f;
        make(&f, 4, 60, 4, 5);
        activate(&f, 3);
        for (uint32_t w = 0; w < 3; w++)
            for (size_t i = 0; i < 2; i++)
                bad(&f, w, CELLS[c][i][0], w, CELLS[c][i][1], 0);
        assert_null(es_blame_outage(f.blame));
        clear(&f);
    }
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 3);
    cross(&f, 0, 0);
    good(&f, 0, 3, 0, 3, 5);
    cross(&f, 1, 10); /* 0 works */
    assert_null(es_blame_outage(f.blame));
    es_blame_set_active(f.blame, 2, false);
    cross(&f, 0, 20); /* both of two */
    assert_non_null(es_blame_outage(f.blame));
    clear(&f);
}

static void without_fresh_units_there_is_no_outage(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 3);
    f.is_fresh_left = false;
    for (uint32_t w = 0; w < 3; w++)
        cross(&f, w, 10);
    assert_null(es_blame_outage(f.blame));
    for (uint32_t i = 0; i < 20; i++)
        bad(&f, 0, i % 3, 30 + i, i % 4, 20);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    assert_null(es_blame_outage(f.blame));
    clear(&f);
}

static void probes_of_an_outage(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 2);
    cross(&f, 0, 0);
    cross(&f, 1, 0);
    assert_non_null(es_blame_outage(f.blame));
    static const double EXPECTED_S[] = {1, 2, 4, 8, 16, 30, 30};
    for (uint32_t i = 0; i < sizeof EXPECTED_S / sizeof *EXPECTED_S; i++) {
        es_blame_outage_probing(f.blame, 0, 100 * i);
        assert_true(es_blame_outage(f.blame)->probe_s == 100 * i + EXPECTED_S[i]);
        bad(&f, 0, i % 4, 20, i % 3, 100 * i + 1);
        assert_int_equal(n_retracted(&f, 0), i == 0 ? 3 : 1);
        assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_FULL);
        assert_int_equal(es_blame_outage(f.blame)->n_failed, 5 + i);
    }
    good(&f, 1, 0, 50, 0, 900); /* begun before it */
    assert_non_null(es_blame_outage(f.blame));
    assert_int_equal(f.n_verdicts, 1);
    es_blame_outage_probing(f.blame, 0, 900);
    bad(&f, 0, 0, 51, 0, 901);
    good(&f, 0, 0, 52, 0, 902); /* no probe any more */
    assert_non_null(es_blame_outage(f.blame));
    es_blame_outage_probing(f.blame, 1, 910);
    good(&f, 1, 0, 53, 0, 911);
    assert_non_null(verdict_of(&f, ES_BLAME_OUTAGE_OVER));
    assert_null(es_blame_outage(f.blame));
    es_blame_end_outage(f.blame, 912);
    take_verdicts(&f);
    assert_int_equal(f.n_verdicts, 0);
    clear(&f);
}

/* Those that were quarantined for it a moment ago are free; a bad one of long ago is not. */
static void an_outage_frees_whom_it_quarantined(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 2);
    activate(&f, 5);
    cross(&f, 0, 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    cross(&f, 1, 1000);
    cross(&f, 2, 1010);
    assert_int_equal(es_blame_trust(f.blame, 1), ES_TRUST_PAUSED);
    assert_null(es_blame_outage(f.blame));
    cross(&f, 3, 1020);
    assert_non_null(es_blame_outage(f.blame));
    assert_int_equal(es_blame_outage(f.blame)->n_workers, 3);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    assert_int_equal(es_blame_trust(f.blame, 1), ES_TRUST_FULL);
    assert_int_equal(es_blame_trust(f.blame, 2), ES_TRUST_FULL);
    clear(&f);
}

/* A bad worker on probation is no witness of an outage, nor does it begin when that one failed. */
static void probation_is_no_witness(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 4);
    cross(&f, 0, 0);
    fail_bundles(&f, 0, 3, 2);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    es_blame_end_pause(f.blame, 0);
    cross(&f, 1, 1000);
    assert_null(es_blame_outage(f.blame));
    cross(&f, 2, 1000);
    assert_null(es_blame_outage(f.blame)); /* 2 of 4 */
    cross(&f, 3, 1000);
    assert_non_null(es_blame_outage(f.blame));
    assert_true(es_blame_outage(f.blame)->since_s == 1001);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PROBATION);
    clear(&f);
}

/* Most workers are bad: after the outage that this seems to be they are found out one by one. */
static void who_never_came_out_is_no_witness(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 3);
    cross(&f, 0, 0);
    cross(&f, 1, 0);
    assert_non_null(es_blame_outage(f.blame));
    es_blame_outage_probing(f.blame, 2, 2);
    good(&f, 2, 0, 0, 2, 10);
    assert_null(es_blame_outage(f.blame));
    for (uint32_t w = 0; w < 2; w++) {
        cross(&f, w, 20);
        cross(&f, w, 20);
        assert_null(es_blame_outage(f.blame));
        bad(&f, w, 3, 40 + w, 0, 20);
        assert_int_equal(es_blame_trust(f.blame, w), ES_TRUST_PAUSED);
    }
    clear(&f);
}

/* One bad task is all that there is: the last worker is not quarantined, it is an outage. */
static void the_last_worker_is_not_quarantined(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 60, 4, 5);
    activate(&f, 2);
    fail_bundles(&f, 0, 5, 0);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_PAUSED);
    fail_bundles(&f, 1, 4, 10);
    assert_null(es_blame_outage(f.blame));
    bad(&f, 1, 0, 50, 0, 500);
    assert_non_null(es_blame_outage(f.blame));
    assert_int_equal(es_blame_outage(f.blame)->n_workers, 2);
    assert_true(es_blame_outage(f.blame)->since_s == 500);
    assert_int_equal(es_blame_trust(f.blame, 0), ES_TRUST_FULL);
    assert_int_equal(es_blame_trust(f.blame, 1), ES_TRUST_FULL);
    clear(&f);
}

/* The good ones have left: the rest is not paused for ever. */
static void the_last_one_on_probation_is_not_paused(void **state)
{
    (void)state;
    for (int is_fresh_left = 0; is_fresh_left < 2; is_fresh_left++) {
        struct fixture f;
        make(&f, 4, 60, 4, 5);
        activate(&f, 2);
        fail_bundles(&f, 0, 5, 0);
        es_blame_set_active(f.blame, 1, false);
        es_blame_end_pause(f.blame, 0);
        (void)n_retracted(&f, 0);
        f.is_fresh_left = is_fresh_left;
        bad(&f, 0, 0, 30, 0, 40);
        assert_int_equal(es_blame_outage(f.blame) != NULL, is_fresh_left);
        assert_int_equal(verdict_of(&f, ES_BLAME_QUARANTINED) != NULL, 0);
        assert_int_equal(n_retracted(&f, 0), is_fresh_left); /* else it counts */
        clear(&f);
    }
}

static void an_outage_is_waited_out(void **state)
{
    (void)state;
    assert_true(es_outage_patience_s(1800, true) == 1800);
    assert_true(es_outage_patience_s(1800, false) == 60);
    assert_true(es_outage_patience_s(20, false) == 20);
}

static void suspects_cover(void **state)
{
    (void)state;
    const struct es_unit unit = {1, 2, 3};
    struct es_suspect suspect = bundle_suspect(1, 3);
    assert_true(es_suspect_covers(&suspect, unit));
    suspect.task = 2;
    assert_false(es_suspect_covers(&suspect, unit));
    suspect = (struct es_suspect){
        .kind = ES_SUSPECT_LAYER, .checkpoint = ES_GRID_ANY, .layer = 2, .task = 3};
    assert_true(es_suspect_covers(&suspect, unit));
    suspect.layer = 1;
    assert_false(es_suspect_covers(&suspect, unit));
    suspect.layer = ES_GRID_ANY;
    suspect.kind = ES_SUSPECT_WORKER;
    assert_false(es_suspect_covers(&suspect, unit));
    suspect.kind = ES_SUSPECT_OUTAGE;
    assert_false(es_suspect_covers(&suspect, unit));
    for (int kind = 0; kind < ES_N_SUSPECT_KINDS; kind++)
        assert_non_null(es_suspect_kind_names[kind]);
    assert_null(es_suspect_kind_names[ES_N_SUSPECT_KINDS]);
}

/* --- Memory --- */

static void out_of_memory(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 4, 30, 4, 5);
    int rc = ES_ERR_NOMEM;
    for (long n = 0; rc == ES_ERR_NOMEM; n++) {
        struct es_blame *blame = NULL;
        es_mem_fail_after(n);
        rc = es_blame_create(f.grid, 5, &blame, NULL);
        es_mem_fail_after(-1);
        assert_int_equal(rc == 0, blame != NULL);
        es_blame_free(blame);
    }
    assert_int_equal(rc, 0);
    es_mem_fail_after(0);
    assert_int_equal(es_blame_add_workers(f.blame, 100), ES_ERR_NOMEM);
    assert_int_equal(es_blame_add_workers(f.blame, WORKERS), 0);
    activate(&f, 3);
    bad(&f, 0, 0, 0, 0, 0);
    bad(&f, 0, 0, 1, 0, 0);
    good(&f, 0, 1, 0, 1, 0); /* its bundle cannot be blocked */
    assert_non_null(verdict_of(&f, ES_BLAME_SETTLED));
    assert_int_equal(es_blame_n_blocked(f.blame), 0);
    assert_int_equal(es_blame_n_covering(f.blame, 0), 0);
    es_mem_fail_after(-1);
    bad(&f, 0, 0, 2, 0, 0);
    bad(&f, 0, 0, 3, 0, 0);
    good(&f, 0, 1, 1, 1, 0);
    assert_int_equal(es_blame_n_blocked(f.blame), 1);
    es_blame_free(NULL);
    clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_blocked),
        cmocka_unit_test(a_suspect_tells_what_failed),
        cmocka_unit_test(witnesses_are_few),
        cmocka_unit_test(pauses_between_probes),
        cmocka_unit_test(a_probe_that_succeeds_unblocks),
        cmocka_unit_test(last_probes),
        cmocka_unit_test(a_probe_that_is_not_tried),
        cmocka_unit_test(what_an_earlier_start_blocked),
        cmocka_unit_test(no_more_are_blocked_than_there_is_room_for),
        cmocka_unit_test(nothing_is_ever_suspected),
        cmocka_unit_test(a_doubtful_worker_avoids_what_it_failed),
        cmocka_unit_test(what_it_failed_before_a_success_does_not_matter),
        cmocka_unit_test(without_an_alternative_the_bundle_is_blocked),
        cmocka_unit_test(without_an_alternative_what_failures_share_may_be_guessed),
        cmocka_unit_test(what_has_succeeded_is_not_guessed),
        cmocka_unit_test(too_many_bundles_in_a_row),
        cmocka_unit_test(a_bundle_again_counts_once_it_works_elsewhere),
        cmocka_unit_test(pauses_of_a_quarantine),
        cmocka_unit_test(who_leaves_is_not_to_blame),
        cmocka_unit_test(old_failures_count),
        cmocka_unit_test(who_is_good),
        cmocka_unit_test(what_was_found_says_nothing_of_the_worker),
        cmocka_unit_test(most_workers_fail),
        cmocka_unit_test(what_is_no_outage),
        cmocka_unit_test(without_fresh_units_there_is_no_outage),
        cmocka_unit_test(probes_of_an_outage),
        cmocka_unit_test(an_outage_frees_whom_it_quarantined),
        cmocka_unit_test(probation_is_no_witness),
        cmocka_unit_test(who_never_came_out_is_no_witness),
        cmocka_unit_test(the_last_worker_is_not_quarantined),
        cmocka_unit_test(the_last_one_on_probation_is_not_paused),
        cmocka_unit_test(an_outage_is_waited_out),
        cmocka_unit_test(suspects_cover),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
