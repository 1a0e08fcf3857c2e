#include "core/blame.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pauses between probes: doubled each time, up to a limit; after half an hour, as long as it has
 * lasted already, so that the number of probes grows with the logarithm of time. */
#define PAUSE_FIRST_S 30.0
#define PAUSE_MOST_S 900.0
#define PAUSE_LIMITED_S 1800.0
/* An outage ends as soon as files and networks are back: its probes are cheap, and close together.
 */
#define OUTAGE_PAUSE_FIRST_S 1.0
#define OUTAGE_PAUSE_MOST_S 30.0
#define NOTHING_DONE_S 60.0
/* Workers that failed so recently have failed together. */
#define TOGETHER_S 120.0
/* Checkpoints in a row at which a layer of a task failed. */
#define LAYER_CHECKPOINTS 3
#define BUNDLE_UNITS 2
/* Probes of a suspect, at most, when nothing else is left to do. */
#define LAST_PROBES 3
/* Where it may be an outage, they come sooner, and are waited for; but no longer than this. */
#define GUESS_PAUSE_FIRST_S 10.0
#define GUESS_MOST_S 300.0
/* An outage that ends sooner was none, more likely: the next one takes twice as many failures. */
#define SHORT_OUTAGE_S 60.0
/* A worker's failures that are remembered until they are settled; older ones count. */
#define UNSETTLED_MOST 32
#define VERDICTS_MOST 128

const char *const es_suspect_kind_names[ES_N_SUSPECT_KINDS + 1] = {
    [ES_SUSPECT_TASK] = "task",     [ES_SUSPECT_CHECKPOINT] = "checkpoint",
    [ES_SUSPECT_BUNDLE] = "bundle", [ES_SUSPECT_LAYER] = "layer",
    [ES_SUSPECT_WORKER] = "worker", [ES_SUSPECT_OUTAGE] = "outage",
};

/* A failure that may be the worker's fault. */
struct unsettled {
    uint32_t unit_id;
    uint32_t reason;
    bool is_evidence; /* nothing known before explained it */
};

struct blame_worker {
    bool is_active;
    bool has_succeeded;
    /* Since its last success: */
    uint32_t n_bundles;         /* failed in a row, or again after they succeeded elsewhere */
    uint32_t n_in_bundle;       /* units in a row of the last one */
    struct es_unit first, last; /* bundles of its first and last failure */
    bool is_multi_task, is_multi_checkpoint;
    bool last_checkpoint_failed; /* with several tasks */
    bool has_no_alternative;
    double since_s;
    double crossed_s;   /* when it had failed several tasks and checkpoints; NaN: it has not */
    uint64_t judged_at; /* n_successes when n_bundles was last counted up */
    uint32_t n_unsettled;
    struct unsettled unsettled[UNSETTLED_MOST];
    bool is_retracting;
    bool is_outage_probe;
    bool was_out;      /* in an outage, and has not succeeded since */
    uint32_t n_pauses; /* 0: not in quarantine */
    bool is_paused;
    double paused_until_s;
    struct es_suspect quarantine; /* what is known of it */
};

/* Failures of a task, or of a checkpoint, since one of its units last succeeded. */
struct evidence {
    struct es_suspect suspect;
    uint32_t first_other; /* the first failure's checkpoint, or task */
    bool is_multi;        /* there was another */
    uint64_t succeeded_at;
};

/* The same for a layer of a task, whose checkpoints are only counted. */
struct layer_evidence {
    uint32_t last_checkpoint;
    uint32_t n_checkpoints;
};

struct blocked {
    struct es_suspect suspect;
    uint32_t probe_unit;    /* under way, or ES_GRID_NONE */
    uint32_t n_last_probes; /* since the last success: */
    bool is_guess;          /* it may be an outage as well: no probe comes before its time */
    uint64_t last_probe_at; /* n_successes then */
};

struct es_blame {
    const struct es_grid *grid;
    uint32_t max_bundles;
    uint32_t outage_bundles; /* so many in a row on most workers are an outage */
    uint32_t n_checkpoints, n_layers, n_tasks;
    uint64_t n_successes;
    struct blame_worker *workers; /* [n_workers] */
    size_t n_workers;
    struct evidence *tasks;        /* [n_tasks] */
    struct evidence *checkpoints;  /* [n_checkpoints] */
    struct layer_evidence *layers; /* [n_tasks * n_layers] */
    struct blocked *blocked;       /* [n_blocked] */
    uint32_t n_blocked;
    size_t blocked_cap;
    bool is_outage;
    struct es_suspect outage;
    struct es_blame_verdict verdicts[VERDICTS_MOST];
    uint32_t n_verdicts, next_verdict;
};

int es_blame_create(const struct es_grid *grid, uint32_t max_bundles, struct es_blame **ret_blame,
                    struct es_err *err)
{
    struct es_blame *blame = es_mem_calloc(1, sizeof *blame);
    if (!blame)
        return es_err_nomem(err, "scheduling");
    blame->grid = grid;
    blame->max_bundles = max_bundles;
    blame->outage_bundles = max_bundles / 2;
    blame->n_checkpoints = es_grid_n_checkpoints(grid);
    blame->n_layers = es_grid_n_layers(grid);
    blame->n_tasks = es_grid_n_tasks(grid);
    blame->tasks = es_mem_calloc(blame->n_tasks, sizeof *blame->tasks);
    blame->checkpoints = es_mem_calloc(blame->n_checkpoints, sizeof *blame->checkpoints);
    blame->layers = es_mem_calloc((size_t)blame->n_tasks * blame->n_layers, sizeof *blame->layers);
    if (!blame->tasks || !blame->checkpoints || !blame->layers) {
        es_blame_free(blame);
        return es_err_nomem(err, "scheduling");
    }
    *ret_blame = blame;
    return 0;
}

void es_blame_free(struct es_blame *blame)
{
    if (!blame)
        return;
    free(blame->workers);
    free(blame->tasks);
    free(blame->checkpoints);
    free(blame->layers);
    free(blame->blocked);
    free(blame);
}

static double pause_s(uint32_t n_before, double lasts_s, double first_s, double most_s)
{
    if (lasts_s >= PAUSE_LIMITED_S && most_s >= PAUSE_MOST_S)
        return lasts_s;
    return fmin(ldexp(first_s, n_before < 32 ? (int)n_before : 32), most_s);
}

/* Before it is full, the queue keeps room for verdicts that must not be lost. */
static bool has_room(const struct es_blame *blame)
{
    return blame->n_verdicts + 8 < VERDICTS_MOST;
}

static void say(struct es_blame *blame, enum es_blame_verdict_kind kind,
                const struct es_suspect *suspect)
{
    if (blame->n_verdicts < VERDICTS_MOST)
        blame->verdicts[blame->n_verdicts++] =
            (struct es_blame_verdict){.kind = kind, .suspect = *suspect};
}

bool es_blame_next(struct es_blame *blame, struct es_blame_verdict *ret_verdict)
{
    if (blame->next_verdict == blame->n_verdicts) {
        blame->next_verdict = blame->n_verdicts = 0;
        return false;
    }
    *ret_verdict = blame->verdicts[blame->next_verdict++];
    return true;
}

/* --- Suspects --- */

bool es_suspect_covers(const struct es_suspect *suspect, struct es_unit unit)
{
    return suspect->kind < ES_SUSPECT_WORKER &&
           (suspect->checkpoint == ES_GRID_ANY || suspect->checkpoint == unit.checkpoint) &&
           (suspect->layer == ES_GRID_ANY || suspect->layer == unit.layer) &&
           (suspect->task == ES_GRID_ANY || suspect->task == unit.task);
}

/* Of the unit, only what the kind names. */
static struct es_suspect suspect_of(enum es_suspect_kind kind, struct es_unit unit, double now_s)
{
    struct es_suspect suspect = {
        .kind = kind,
        .checkpoint = ES_GRID_ANY,
        .layer = ES_GRID_ANY,
        .task = ES_GRID_ANY,
        .worker = ES_GRID_NONE,
        .unit_id = ES_GRID_NONE,
        .since_s = now_s,
        .probe_s = now_s,
    };
    if (kind == ES_SUSPECT_CHECKPOINT || kind == ES_SUSPECT_BUNDLE)
        suspect.checkpoint = unit.checkpoint;
    if (kind == ES_SUSPECT_LAYER)
        suspect.layer = unit.layer;
    if (kind == ES_SUSPECT_TASK || kind == ES_SUSPECT_BUNDLE || kind == ES_SUSPECT_LAYER)
        suspect.task = unit.task;
    return suspect;
}

static void count_failure(struct es_suspect *suspect, uint32_t worker, uint32_t unit_id,
                          uint32_t reason)
{
    uint32_t i = 0;
    suspect->n_failed++;
    suspect->unit_id = unit_id;
    suspect->reason = reason;
    while (i < suspect->n_workers && suspect->witnesses[i] != worker)
        i++;
    if (i == suspect->n_workers && i < ES_WITNESSES_MOST)
        suspect->witnesses[suspect->n_workers++] = worker;
}

/* --- What is blocked --- */

static void drop_blocked(struct es_blame *blame, uint32_t i)
{
    memmove(&blame->blocked[i], &blame->blocked[i + 1],
            (--blame->n_blocked - i) * sizeof *blame->blocked);
}

static bool is_within(const struct es_suspect *inner, const struct es_suspect *outer)
{
    return (outer->checkpoint == ES_GRID_ANY || outer->checkpoint == inner->checkpoint) &&
           (outer->layer == ES_GRID_ANY || outer->layer == inner->layer) &&
           (outer->task == ES_GRID_ANY || outer->task == inner->task);
}

/* Blocks a suspect, in place of those within it. Out of memory, each of its units fails by itself.
 */
static void block(struct es_blame *blame, const struct es_suspect *suspect, double probe_s,
                  bool is_guess)
{
    void *grown = blame->blocked;
    for (uint32_t i = 0; i < blame->n_blocked; i++)
        if (is_within(suspect, &blame->blocked[i].suspect))
            return;
    for (uint32_t i = blame->n_blocked; i-- > 0;)
        if (is_within(&blame->blocked[i].suspect, suspect))
            drop_blocked(blame, i);
    if (!has_room(blame) || blame->n_blocked == ES_BLOCKED_MOST ||
        es_mem_grow(&grown, &blame->blocked_cap, blame->n_blocked + 1, sizeof *blame->blocked) < 0)
        return;
    blame->blocked = grown;
    struct blocked *own = &blame->blocked[blame->n_blocked++];
    *own = (struct blocked){.suspect = *suspect, .probe_unit = ES_GRID_NONE, .is_guess = is_guess};
    own->suspect.probe_s = probe_s;
    say(blame, ES_BLAME_BLOCKED, &own->suspect);
}

uint32_t es_blame_n_covering(const struct es_blame *blame, uint32_t unit_id)
{
    uint32_t n = 0;
    if (blame->n_blocked == 0)
        return 0;
    struct es_unit unit = es_grid_unit(blame->grid, unit_id);
    for (uint32_t i = 0; i < blame->n_blocked; i++)
        n += es_suspect_covers(&blame->blocked[i].suspect, unit);
    return n;
}

uint32_t es_blame_n_blocked(const struct es_blame *blame)
{
    return blame->n_blocked;
}

const struct es_suspect *es_blame_blocked(const struct es_blame *blame, uint32_t i)
{
    return &blame->blocked[i].suspect;
}

double es_blame_probe_due_s(const struct es_blame *blame)
{
    double due_s = (double)INFINITY;
    for (uint32_t i = 0; i < blame->n_blocked; i++)
        if (blame->blocked[i].probe_unit == ES_GRID_NONE)
            due_s = fmin(due_s, blame->blocked[i].suspect.probe_s);
    return due_s;
}

bool es_blame_is_due(const struct es_blame *blame, uint32_t i, bool is_last, double now_s)
{
    const struct blocked *own = &blame->blocked[i];
    return own->probe_unit == ES_GRID_NONE &&
           (now_s >= own->suspect.probe_s ||
            (is_last && !own->is_guess &&
             (own->n_last_probes < LAST_PROBES || own->last_probe_at != blame->n_successes)));
}

bool es_blame_waits(const struct es_blame *blame, double now_s)
{
    for (uint32_t i = 0; i < blame->n_blocked; i++) {
        const struct blocked *own = &blame->blocked[i];
        if (own->is_guess && own->suspect.n_probes < LAST_PROBES &&
            now_s < own->suspect.since_s + GUESS_MOST_S && isfinite(own->suspect.probe_s))
            return true;
    }
    return false;
}

void es_blame_probing(struct es_blame *blame, uint32_t i, uint32_t unit_id, bool is_last)
{
    struct blocked *own = &blame->blocked[i];
    own->probe_unit = unit_id;
    if (own->last_probe_at != blame->n_successes)
        own->n_last_probes = 0;
    own->last_probe_at = blame->n_successes;
    own->n_last_probes += is_last;
}

void es_blame_not_probing(struct es_blame *blame, uint32_t i, bool has_units, double now_s)
{
    struct es_suspect *suspect = &blame->blocked[i].suspect;
    suspect->probe_s = has_units ? fmax(suspect->probe_s, now_s + 1) : (double)INFINITY;
}

bool es_blame_wants_back(const struct es_blame *blame, uint32_t unit_id)
{
    for (uint32_t i = 0; i < blame->n_blocked; i++)
        if (blame->blocked[i].probe_unit == unit_id)
            return false;
    return es_blame_n_covering(blame, unit_id) > 0;
}

void es_blame_covered(struct es_blame *blame, uint32_t unit_id, double now_s)
{
    struct es_unit unit = es_grid_unit(blame->grid, unit_id);
    for (uint32_t i = 0; i < blame->n_blocked; i++) {
        struct blocked *own = &blame->blocked[i];
        if (own->probe_unit == unit_id) {
            own->probe_unit = ES_GRID_NONE;
            own->n_last_probes = 0;
            own->suspect.probe_s = now_s;
        }
        if (isinf(own->suspect.probe_s) && es_suspect_covers(&own->suspect, unit))
            own->suspect.probe_s = now_s + PAUSE_FIRST_S;
    }
}

/* More of what is known; whether anything that is blocked covers the unit. */
static bool count_covered(struct es_blame *blame, uint32_t worker, uint32_t unit_id,
                          uint32_t reason)
{
    bool is_covered = false;
    struct es_unit unit = es_grid_unit(blame->grid, unit_id);
    for (uint32_t i = 0; i < blame->n_blocked; i++) {
        struct es_suspect *suspect = &blame->blocked[i].suspect;
        if (!es_suspect_covers(suspect, unit))
            continue;
        count_failure(suspect, worker, unit_id, reason);
        is_covered = true;
    }
    return is_covered;
}

/* If the unit was a probe, the next one is due after a longer pause. */
static void end_probe(struct es_blame *blame, uint32_t unit_id, double now_s)
{
    for (uint32_t i = 0; i < blame->n_blocked; i++) {
        struct blocked *own = &blame->blocked[i];
        if (own->probe_unit != unit_id)
            continue;
        own->probe_unit = ES_GRID_NONE;
        own->suspect.probe_s =
            now_s + pause_s(++own->suspect.n_probes, now_s - own->suspect.since_s,
                            own->is_guess ? GUESS_PAUSE_FIRST_S : PAUSE_FIRST_S, PAUSE_MOST_S);
    }
}

void es_blame_suspect(struct es_blame *blame, const struct es_suspect *suspect, double now_s)
{
    struct es_suspect since_now = *suspect;
    since_now.since_s = now_s;
    if (blame->max_bundles > 0 && suspect->kind < ES_SUSPECT_WORKER)
        block(blame, &since_now, now_s, false);
}

/* --- Workers --- */

int es_blame_add_workers(struct es_blame *blame, size_t n)
{
    if (n <= blame->n_workers)
        return 0;
    void *grown = es_mem_resize(blame->workers, n, sizeof *blame->workers);
    if (!grown)
        return ES_ERR_NOMEM;
    blame->workers = grown;
    for (size_t w = blame->n_workers; w < n; w++)
        blame->workers[w] = (struct blame_worker){.crossed_s = (double)NAN};
    blame->n_workers = n;
    return 0;
}

/* What it failed in a row is forgotten. */
static void forget_row(struct blame_worker *own)
{
    own->n_bundles = own->n_in_bundle = 0;
    own->is_multi_task = own->is_multi_checkpoint = own->last_checkpoint_failed = false;
    own->has_no_alternative = false;
}

/* What it failed and is not settled does not count. */
static void retract(struct es_blame *blame, uint32_t worker)
{
    struct blame_worker *own = &blame->workers[worker];
    const struct es_suspect suspect = {.kind = ES_SUSPECT_WORKER, .worker = worker};
    forget_row(own);
    if (own->n_unsettled == 0)
        return;
    own->is_retracting = true;
    say(blame, ES_BLAME_SETTLED, &suspect);
}

uint32_t es_blame_next_retracted(struct es_blame *blame, uint32_t worker)
{
    if (worker >= blame->n_workers)
        return ES_GRID_NONE;
    struct blame_worker *own = &blame->workers[worker];
    if (!own->is_retracting || own->n_unsettled == 0) {
        own->is_retracting = false;
        return ES_GRID_NONE;
    }
    return own->unsettled[--own->n_unsettled].unit_id;
}

void es_blame_confirm_all(struct es_blame *blame)
{
    for (size_t w = 0; w < blame->n_workers; w++)
        blame->workers[w].n_unsettled = 0;
}

void es_blame_set_active(struct es_blame *blame, uint32_t worker, bool is_active)
{
    struct blame_worker *own = &blame->workers[worker];
    if (own->is_active == is_active)
        return;
    own->is_active = is_active;
    own->is_paused = false;
    retract(blame, worker);
    own->n_pauses = 0;
    own->crossed_s = (double)NAN;
    own->is_outage_probe = own->was_out = false;
}

enum es_trust es_blame_trust(const struct es_blame *blame, uint32_t worker)
{
    const struct blame_worker *own = &blame->workers[worker];
    if (own->is_paused)
        return ES_TRUST_PAUSED;
    if (own->n_pauses > 0)
        return ES_TRUST_PROBATION;
    return own->n_bundles > 1 || own->n_in_bundle > 1 ? ES_TRUST_DOUBTFUL : ES_TRUST_FULL;
}

double es_blame_paused_until(const struct es_blame *blame, uint32_t worker)
{
    return blame->workers[worker].paused_until_s;
}

void es_blame_end_pause(struct es_blame *blame, uint32_t worker)
{
    blame->workers[worker].is_paused = false;
}

void es_blame_avoid(const struct es_blame *blame, uint32_t worker, uint32_t *ret_task,
                    uint32_t *ret_checkpoint)
{
    const struct blame_worker *own = &blame->workers[worker];
    bool is_doubtful =
        es_blame_trust(blame, worker) == ES_TRUST_DOUBTFUL && !own->has_no_alternative;
    *ret_task = is_doubtful ? own->last.task : ES_GRID_NONE;
    *ret_checkpoint =
        is_doubtful && own->last_checkpoint_failed ? own->last.checkpoint : ES_GRID_NONE;
}

struct es_unit es_blame_last_failed(const struct es_blame *blame, uint32_t worker)
{
    return blame->workers[worker].last;
}

/* What a row of failures has in common, where that has never succeeded in this job: a task at
 * several checkpoints, or a checkpoint with several tasks. */
static bool common_of(const struct es_blame *blame, const struct blame_worker *own,
                      enum es_suspect_kind *ret_kind)
{
    if (own->is_multi_task == own->is_multi_checkpoint)
        return false;
    *ret_kind = own->is_multi_task ? ES_SUSPECT_CHECKPOINT : ES_SUSPECT_TASK;
    return own->is_multi_task ? blame->checkpoints[own->last.checkpoint].succeeded_at == 0
                              : blame->tasks[own->last.task].succeeded_at == 0;
}

bool es_blame_has_common(const struct es_blame *blame, uint32_t worker)
{
    enum es_suspect_kind kind;
    return common_of(blame, &blame->workers[worker], &kind);
}

void es_blame_no_alternative(struct es_blame *blame, uint32_t worker, bool may_guess, double now_s)
{
    struct blame_worker *own = &blame->workers[worker];
    enum es_suspect_kind kind = ES_SUSPECT_BUNDLE;
    bool is_common = may_guess && common_of(blame, own, &kind);
    struct es_suspect suspect = suspect_of(kind, own->last, now_s);
    own->has_no_alternative = true;
    for (uint32_t i = 0; i < own->n_unsettled; i++) {
        struct es_unit unit = es_grid_unit(blame->grid, own->unsettled[i].unit_id);
        if (es_suspect_covers(&suspect, unit))
            count_failure(&suspect, worker, own->unsettled[i].unit_id, own->unsettled[i].reason);
    }
    if (is_common || own->n_in_bundle >= BUNDLE_UNITS)
        block(blame, &suspect, now_s + (is_common ? GUESS_PAUSE_FIRST_S : PAUSE_FIRST_S),
              is_common);
}

bool es_blame_is_good(const struct es_blame *blame, uint32_t worker)
{
    const struct blame_worker *own = &blame->workers[worker];
    return own->is_active && own->has_succeeded && own->n_bundles == 0 && own->n_pauses == 0;
}

uint32_t es_blame_quarantined(const struct es_blame *blame, struct es_suspect *ret_suspects,
                              uint32_t n_most)
{
    uint32_t n = 0;
    for (size_t w = 0; w < blame->n_workers && n < n_most; w++)
        if (blame->workers[w].n_pauses > 0)
            ret_suspects[n++] = blame->workers[w].quarantine;
    return n;
}

static void quarantine(struct es_blame *blame, const struct es_failure *failure, double now_s)
{
    struct blame_worker *own = &blame->workers[failure->worker];
    struct es_suspect *suspect = &own->quarantine;
    if (own->n_pauses == 0) {
        *suspect = suspect_of(ES_SUSPECT_WORKER, own->last, own->since_s);
        suspect->worker = failure->worker;
        for (uint32_t i = 0; i + 1 < own->n_unsettled; i++)
            count_failure(suspect, failure->worker, own->unsettled[i].unit_id, failure->reason);
    }
    count_failure(suspect, failure->worker, failure->unit_id, failure->reason);
    own->paused_until_s =
        now_s + pause_s(own->n_pauses, now_s - suspect->since_s, PAUSE_FIRST_S, PAUSE_MOST_S);
    suspect->probe_s = own->paused_until_s;
    suspect->n_probes = own->n_pauses++;
    own->is_paused = true;
    retract(blame, failure->worker);
    say(blame, ES_BLAME_QUARANTINED, suspect);
}

/* --- The outage --- */

double es_outage_patience_s(double outage_s, bool has_succeeded)
{
    double most_s = outage_s > 0 ? outage_s : (double)INFINITY;
    return has_succeeded ? most_s : fmin(most_s, NOTHING_DONE_S);
}

const struct es_suspect *es_blame_outage(const struct es_blame *blame)
{
    return blame->is_outage ? &blame->outage : NULL;
}

void es_blame_outage_probing(struct es_blame *blame, uint32_t worker, double now_s)
{
    blame->workers[worker].is_outage_probe = true;
    blame->outage.probe_s =
        now_s + pause_s(blame->outage.n_probes++, 0, OUTAGE_PAUSE_FIRST_S, OUTAGE_PAUSE_MOST_S);
}

void es_blame_end_outage(struct es_blame *blame, double now_s)
{
    if (!blame->is_outage)
        return;
    blame->is_outage = false;
    if (now_s - blame->outage.since_s >= SHORT_OUTAGE_S)
        blame->outage_bundles = blame->max_bundles / 2;
    else if (blame->outage_bundles < UINT32_MAX / 2)
        blame->outage_bundles = 2 * blame->outage_bundles + 1;
    for (size_t w = 0; w < blame->n_workers; w++)
        blame->workers[w].is_outage_probe = false;
    say(blame, ES_BLAME_OUTAGE_OVER, &blame->outage);
}

static bool failed_together(const struct blame_worker *own, double now_s)
{
    return own->is_active && !isnan(own->crossed_s) &&
           (own->n_pauses == 0 || now_s - own->crossed_s <= TOGETHER_S);
}

/* Whether all others that are there are in quarantine. */
static bool is_last_one(const struct es_blame *blame, uint32_t worker)
{
    for (uint32_t w = 0; w < blame->n_workers; w++)
        if (w != worker && blame->workers[w].is_active && blame->workers[w].n_pauses == 0)
            return false;
    return true;
}

/* Nobody is to blame. Those that were just quarantined for it are not either, nor is anybody if
 * that would leave no one. */
static void begin_outage(struct es_blame *blame, const struct es_failure *failure, double now_s)
{
    bool is_last = is_last_one(blame, failure->worker);
    blame->is_outage = true;
    blame->outage = suspect_of(ES_SUSPECT_OUTAGE, (struct es_unit){0}, now_s);
    blame->outage.probe_s = now_s + OUTAGE_PAUSE_FIRST_S;
    for (uint32_t w = 0; w < blame->n_workers; w++) {
        struct blame_worker *own = &blame->workers[w];
        if (!failed_together(own, now_s) && !(is_last && own->is_active))
            continue;
        blame->outage.n_failed += own->n_unsettled;
        blame->outage.n_workers++;
        es_blame_end_pause(blame, w);
        own->was_out = true;
        own->n_pauses = 0;
        own->crossed_s = (double)NAN;
    }
    blame->outage.unit_id = failure->unit_id;
    blame->outage.reason = failure->reason;
    for (uint32_t w = 0; w < blame->n_workers; w++) {
        forget_row(&blame->workers[w]);
        blame->workers[w].is_retracting = true;
    }
    say(blame, ES_BLAME_OUTAGE, &blame->outage);
}

/* Whether most have failed together; those that have never come out of the last outage are bad
 * themselves, and are no witnesses of the next. */
static bool is_outage(const struct es_blame *blame, double now_s)
{
    uint32_t n_failed = 0, n = 0;
    for (size_t w = 0; w < blame->n_workers; w++) {
        const struct blame_worker *own = &blame->workers[w];
        bool did = failed_together(own, now_s);
        n_failed += did && !own->was_out;
        n += own->is_active && !own->was_out && (did || !own->is_paused);
    }
    return 2 * n_failed > n;
}

/* --- Evidence --- */

static void charge_to(struct evidence *evidence, enum es_suspect_kind kind, struct es_unit unit,
                      uint32_t other, const struct unsettled *failure, uint32_t worker,
                      double now_s)
{
    if (evidence->suspect.n_failed == 0) {
        evidence->suspect = suspect_of(kind, unit, now_s);
        evidence->first_other = other;
        evidence->is_multi = false;
    }
    evidence->is_multi |= evidence->first_other != other;
    count_failure(&evidence->suspect, worker, failure->unit_id, failure->reason);
}

/* Failures that a blocked task (or checkpoint) explains say nothing of checkpoints (or tasks). */
static void explain(struct evidence *others, uint32_t n, uint32_t by)
{
    for (uint32_t i = 0; i < n; i++)
        if (others[i].first_other == by)
            others[i].suspect.n_failed = 0;
}

/* A confirmed failure is the work's: charged to all that the unit is of. */
static void charge(struct es_blame *blame, uint32_t worker, const struct unsettled *failure,
                   double now_s)
{
    struct es_unit unit = es_grid_unit(blame->grid, failure->unit_id);
    struct evidence *task = &blame->tasks[unit.task];
    struct evidence *checkpoint = &blame->checkpoints[unit.checkpoint];
    struct layer_evidence *layer = &blame->layers[unit.task * blame->n_layers + unit.layer];
    charge_to(task, ES_SUSPECT_TASK, unit, unit.checkpoint, failure, worker, now_s);
    charge_to(checkpoint, ES_SUSPECT_CHECKPOINT, unit, unit.task, failure, worker, now_s);
    if (layer->n_checkpoints == 0 || layer->last_checkpoint != unit.checkpoint)
        layer->n_checkpoints++;
    layer->last_checkpoint = unit.checkpoint;
    if (task->is_multi) {
        block(blame, &task->suspect, now_s + PAUSE_FIRST_S, false);
        explain(blame->checkpoints, blame->n_checkpoints, unit.task);
    } else if (checkpoint->is_multi) {
        block(blame, &checkpoint->suspect, now_s + PAUSE_FIRST_S, false);
        explain(blame->tasks, blame->n_tasks, unit.checkpoint);
    } else if (layer->n_checkpoints >= LAYER_CHECKPOINTS) {
        struct es_suspect suspect = suspect_of(ES_SUSPECT_LAYER, unit, now_s);
        count_failure(&suspect, worker, failure->unit_id, failure->reason);
        suspect.n_failed = layer->n_checkpoints;
        block(blame, &suspect, now_s + PAUSE_FIRST_S, false);
    }
}

/* Two units of one bundle in a row: the bundle, whatever else it may turn out to be. */
static void charge_bundle(struct es_blame *blame, uint32_t worker, uint32_t first, double now_s)
{
    const struct blame_worker *own = &blame->workers[worker];
    struct es_unit unit = es_grid_unit(blame->grid, own->unsettled[first].unit_id);
    struct es_suspect bundle = suspect_of(ES_SUSPECT_BUNDLE, unit, now_s);
    for (uint32_t i = first; i < own->n_unsettled; i++) {
        const struct unsettled *failure = &own->unsettled[i];
        if (failure->is_evidence &&
            es_suspect_covers(&bundle, es_grid_unit(blame->grid, failure->unit_id)))
            count_failure(&bundle, worker, failure->unit_id, failure->reason);
    }
    if (bundle.n_failed >= BUNDLE_UNITS)
        block(blame, &bundle, now_s + PAUSE_FIRST_S, false);
}

/* The worker is good: what failed on it counts, and is evidence against the work. */
static void confirm(struct es_blame *blame, uint32_t worker, double now_s)
{
    struct blame_worker *own = &blame->workers[worker];
    const struct es_suspect suspect = {.kind = ES_SUSPECT_WORKER, .worker = worker};
    if (own->n_unsettled == 0)
        return;
    for (uint32_t i = 0; i < own->n_unsettled; i++) {
        const struct unsettled *failure = &own->unsettled[i];
        if (failure->is_evidence &&
            !count_covered(blame, worker, failure->unit_id, failure->reason))
            charge(blame, worker, failure, now_s);
    }
    for (uint32_t i = 0; i < own->n_unsettled; i++)
        if (own->unsettled[i].is_evidence)
            charge_bundle(blame, worker, i, now_s);
    own->n_unsettled = 0;
    say(blame, ES_BLAME_SETTLED, &suspect);
}

/* What the unit is of works. */
static void clear(struct es_blame *blame, struct es_unit unit)
{
    blame->n_successes++;
    blame->tasks[unit.task].suspect.n_failed = 0;
    blame->tasks[unit.task].is_multi = false;
    blame->tasks[unit.task].succeeded_at = blame->n_successes;
    blame->checkpoints[unit.checkpoint].suspect.n_failed = 0;
    blame->checkpoints[unit.checkpoint].is_multi = false;
    blame->checkpoints[unit.checkpoint].succeeded_at = blame->n_successes;
    blame->layers[unit.task * blame->n_layers + unit.layer].n_checkpoints = 0;
    for (uint32_t i = blame->n_blocked; i-- > 0;) {
        struct es_suspect suspect = blame->blocked[i].suspect;
        if (!es_suspect_covers(&suspect, unit))
            continue;
        drop_blocked(blame, i);
        say(blame, ES_BLAME_UNBLOCKED, &suspect);
    }
}

void es_blame_found(struct es_blame *blame, uint32_t unit_id)
{
    clear(blame, es_grid_unit(blame->grid, unit_id));
}

void es_blame_succeeded(struct es_blame *blame, uint32_t worker, uint32_t unit_id, double now_s)
{
    struct blame_worker *own = &blame->workers[worker];
    own->has_succeeded = true;
    own->was_out = false;
    confirm(blame, worker, now_s);
    forget_row(own);
    own->crossed_s = (double)NAN;
    if (own->n_pauses > 0) {
        own->n_pauses = 0;
        say(blame, ES_BLAME_RELEASED, &own->quarantine);
    }
    clear(blame, es_grid_unit(blame->grid, unit_id));
    if (own->is_outage_probe)
        es_blame_end_outage(blame, now_s);
}

static void add_unsettled(struct blame_worker *own, const struct es_failure *failure,
                          bool is_evidence)
{
    if (own->n_unsettled == UNSETTLED_MOST) /* the oldest counts */
        memmove(own->unsettled, own->unsettled + 1, --own->n_unsettled * sizeof own->unsettled[0]);
    own->unsettled[own->n_unsettled++] =
        (struct unsettled){failure->unit_id, failure->reason, is_evidence};
}

/* Whether it has failed half as much as a quarantine takes, of several tasks and checkpoints: if
 * most have, it is nobody's fault. */
static bool has_crossed(const struct es_blame *blame, const struct blame_worker *own)
{
    return own->is_multi_task && own->is_multi_checkpoint &&
           own->n_bundles >= blame->outage_bundles;
}

/* Counts a failure that nothing known explains. */
static void count_row(struct es_blame *blame, struct blame_worker *own, struct es_unit unit,
                      double now_s)
{
    bool is_same = own->n_bundles > 0 && own->last.task == unit.task &&
                   own->last.checkpoint == unit.checkpoint;
    bool works_elsewhere = blame->tasks[unit.task].succeeded_at > own->judged_at &&
                           blame->checkpoints[unit.checkpoint].succeeded_at > own->judged_at;
    if (own->n_bundles == 0) {
        own->first = unit;
        own->since_s = now_s;
    }
    own->n_in_bundle = is_same ? own->n_in_bundle + 1 : 1;
    own->last_checkpoint_failed = own->n_bundles > 0 && own->last.checkpoint == unit.checkpoint &&
                                  (own->last_checkpoint_failed || own->last.task != unit.task);
    if (!is_same || works_elsewhere) {
        own->n_bundles++;
        own->judged_at = blame->n_successes;
    }
    own->is_multi_task |= own->first.task != unit.task;
    own->is_multi_checkpoint |= own->first.checkpoint != unit.checkpoint;
    own->last = unit;
    own->has_no_alternative = false;
    if (has_crossed(blame, own))
        own->crossed_s = now_s;
}

/* A worker failed too often. The last one is not quarantined, as nobody would be left: it is an
 * outage, or its failures count. */
static void judge_worker(struct es_blame *blame, const struct es_failure *failure, double now_s)
{
    if (!is_last_one(blame, failure->worker))
        quarantine(blame, failure, now_s);
    else if (failure->is_fresh_left)
        begin_outage(blame, failure, now_s);
}

void es_blame_failed(struct es_blame *blame, const struct es_failure *failure, double now_s)
{
    struct blame_worker *own = &blame->workers[failure->worker];
    struct es_unit unit = es_grid_unit(blame->grid, failure->unit_id);
    bool is_explained = count_covered(blame, failure->worker, failure->unit_id, failure->reason) ||
                        !failure->is_first;
    own->is_outage_probe = false;
    add_unsettled(own, failure, !is_explained);
    if (blame->max_bundles == 0) {
        own->unsettled[own->n_unsettled - 1].is_evidence = false;
        confirm(blame, failure->worker, now_s);
        return;
    }
    end_probe(blame, failure->unit_id, now_s);
    if (blame->is_outage) {
        blame->outage.n_failed++;
        blame->outage.unit_id = failure->unit_id;
        blame->outage.reason = failure->reason;
        retract(blame, failure->worker);
        return;
    }
    if (own->n_pauses > 0) {
        judge_worker(blame, failure, now_s);
        return;
    }
    if (is_explained)
        return;
    count_row(blame, own, unit, now_s);
    if (failure->is_fresh_left && has_crossed(blame, own) && is_outage(blame, now_s))
        begin_outage(blame, failure, now_s);
    else if (own->n_bundles >= blame->max_bundles)
        judge_worker(blame, failure, now_s);
}
