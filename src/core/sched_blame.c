/* What follows from blame's verdicts, and who runs probes. */
#include "core/sched_state.h"

/* Those whose turn to probe is not yet look again so soon. */
#define NEXT_TURN_S 1.0
/* Fewer units that were never tried are not worth a guess: each is given its attempts. */
#define GUESS_UNITS 16

/* --- Verdicts --- */

/* Everybody may find something now. */
static void wake_all(struct es_sched *sched, double now_s)
{
    for (size_t w = 0; w < sched->workers_cap; w++)
        if (sched->workers[w].alive && !sched->workers[w].away)
            es_queue_wake_at(sched, (uint32_t)w, now_s);
}

/* One failure of a unit does not count. */
static void retract(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s)
{
    struct es_unit_node *unit = &sched->units[unit_id];
    bool is_failed = unit->state == ES_UNIT_FAILED;
    if (unit->n_failed == 0 || unit->state == ES_UNIT_DONE ||
        (is_failed && unit->failed_on != worker)) /* for good, on another */
        return;
    unit->n_failed--;
    if (unit->n_retracted < ES_RETRACTED_MOST)
        unit->n_retracted++;
    if (is_failed)
        es_sched_make_ready(sched, unit_id, now_s);
}

static void settle(struct es_sched *sched, uint32_t worker, double now_s)
{
    uint32_t unit_id;
    while ((unit_id = es_blame_next_retracted(sched->blame, worker)) != ES_NONE)
        retract(sched, worker, unit_id, now_s);
}

/* The part of an axis that a suspect covers. */
static void range_of(uint32_t index, uint32_t n, uint32_t *ret_first, uint32_t *ret_end)
{
    *ret_first = index == ES_GRID_ANY ? 0 : index;
    *ret_end = index == ES_GRID_ANY ? n : index + 1;
}

static uint32_t block_bundle(struct es_sched *sched, const struct es_suspect *suspect,
                             uint32_t bundle)
{
    uint32_t n = 0;
    for (uint32_t id = sched->bundles[bundle].units.first; id != ES_NONE;) {
        uint32_t next = sched->units[id].next;
        if (es_suspect_covers(suspect, es_grid_unit(sched->grid, id))) {
            es_bundle_remove(sched, id);
            sched->units[id].state = ES_UNIT_BLOCKED;
            es_unit_list_append(&sched->blocked, sched->units, id);
            n++;
        }
        id = next;
    }
    if (n > 0)
        es_group_changed(sched, es_bundle_group(sched, bundle));
    return n;
}

static void block(struct es_sched *sched, const struct es_suspect *suspect)
{
    uint32_t first, end, first_task, end_task;
    range_of(suspect->checkpoint, sched->n_checkpoints, &first, &end);
    range_of(suspect->task, sched->n_tasks, &first_task, &end_task);
    for (uint32_t c = first; c < end; c++)
        for (uint32_t t = first_task; t < end_task; t++)
            (void)block_bundle(sched, suspect, c * sched->n_tasks + t);
}

static uint32_t unblock(struct es_sched *sched, const struct es_suspect *suspect, double now_s)
{
    uint32_t n = 0;
    for (uint32_t id = sched->blocked.first; id != ES_NONE;) {
        uint32_t next = sched->units[id].next;
        if (es_suspect_covers(suspect, es_grid_unit(sched->grid, id)) &&
            es_blame_n_covering(sched->blame, id) == 0) {
            es_unit_list_remove(&sched->blocked, sched->units, id);
            es_sched_make_ready(sched, id, now_s);
            n++;
        }
        id = next;
    }
    return n;
}

/* Also those that wait for another attempt, or will be given back. */
static bool is_pending(const struct es_sched *sched, uint32_t unit_id)
{
    unsigned state = sched->units[unit_id].state;
    return state != ES_UNIT_ABSENT && state != ES_UNIT_PARKED && state != ES_UNIT_DONE &&
           state != ES_UNIT_FAILED;
}

/* Pending units that a suspect covers. */
static uint32_t count_blocked(const struct es_sched *sched, const struct es_suspect *suspect)
{
    uint32_t n = 0, first, end, first_task, end_task, first_layer, end_layer;
    range_of(suspect->checkpoint, sched->n_checkpoints, &first, &end);
    range_of(suspect->layer, sched->n_layers, &first_layer, &end_layer);
    range_of(suspect->task, sched->n_tasks, &first_task, &end_task);
    for (struct es_unit unit = {.checkpoint = first}; unit.checkpoint < end; unit.checkpoint++)
        for (unit.layer = first_layer; unit.layer < end_layer; unit.layer++)
            for (unit.task = first_task; unit.task < end_task; unit.task++)
                n += is_pending(sched, es_grid_id(sched->grid, unit));
    return n;
}

/* It holds nothing more, and what it has loaded is gone. */
static void pause(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    es_sched_go_away(sched, worker, ES_AWAY_PAUSED, now_s);
    es_sched_drop_all(sched, worker, now_s);
    own->checkpoint = own->bundle = own->done_checkpoint = own->done_bundle = ES_NONE;
    es_queue_wake_at(sched, worker, es_blame_paused_until(sched->blame, worker));
}

static void end_pauses(struct es_sched *sched, double now_s)
{
    for (uint32_t w = 0; w < sched->workers_cap; w++)
        if (sched->workers[w].alive && (sched->workers[w].away & ES_AWAY_PAUSED) &&
            es_blame_trust(sched->blame, w) != ES_TRUST_PAUSED)
            es_sched_come_back(sched, w, ES_AWAY_PAUSED, now_s);
}

static void carry_out_one(struct es_sched *sched, struct es_blame_verdict *verdict, double now_s)
{
    switch (verdict->kind) {
    case ES_BLAME_SETTLED:
        settle(sched, verdict->suspect.worker, now_s);
        break;
    case ES_BLAME_BLOCKED:
        block(sched, &verdict->suspect);
        verdict->n_units = count_blocked(sched, &verdict->suspect);
        wake_all(sched, now_s);
        break;
    case ES_BLAME_UNBLOCKED:
        verdict->n_units = unblock(sched, &verdict->suspect, now_s);
        wake_all(sched, now_s);
        break;
    case ES_BLAME_QUARANTINED:
        pause(sched, verdict->suspect.worker, now_s);
        break;
    case ES_BLAME_RELEASED:
        wake_all(sched, now_s);
        break;
    case ES_BLAME_OUTAGE:
        for (uint32_t w = 0; w < sched->workers_cap; w++) {
            settle(sched, w, now_s);
            if (sched->workers[w].alive)
                es_sched_renounce(sched, w, now_s);
        }
        end_pauses(sched, now_s);
        wake_all(sched, now_s);
        break;
    case ES_BLAME_OUTAGE_OVER:
        wake_all(sched, now_s);
        break;
    }
}

void es_sched_carry_out(struct es_sched *sched, double now_s)
{
    struct es_blame_verdict verdict;
    while (es_blame_next(sched->blame, &verdict)) {
        carry_out_one(sched, &verdict, now_s);
        if (sched->n_verdicts < ES_SCHED_VERDICTS_MOST)
            sched->verdicts[sched->n_verdicts++] = verdict;
    }
}

bool es_sched_next_verdict(struct es_sched *sched, struct es_blame_verdict *ret_verdict)
{
    if (sched->next_verdict == sched->n_verdicts) {
        sched->next_verdict = sched->n_verdicts = 0;
        return false;
    }
    *ret_verdict = sched->verdicts[sched->next_verdict++];
    return true;
}

void es_sched_confirm_all(struct es_sched *sched)
{
    es_blame_confirm_all(sched->blame);
}

void es_sched_suspect(struct es_sched *sched, const struct es_suspect *suspect, double now_s)
{
    es_blame_suspect(sched->blame, suspect, now_s);
    es_sched_carry_out(sched, now_s);
}

bool es_sched_is_blocked(struct es_sched *sched, double now_s)
{
    if (sched->n_workers == 0 || sched->blocked.n != es_sched_n_pending(sched) ||
        sched->blocked.n == 0 || sched->n_held + sched->n_parked > 0 ||
        es_blame_waits(sched->blame, now_s))
        return false;
    if (!sched->is_last_call) /* those that rest have not been asked for the last probes */
        wake_all(sched, now_s);
    bool was_last_call = sched->is_last_call;
    sched->is_last_call = true;
    return was_last_call;
}

const struct es_suspect *es_sched_outage(const struct es_sched *sched)
{
    return es_blame_outage(sched->blame);
}

uint32_t es_sched_suspects(const struct es_sched *sched, struct es_suspect *ret_suspects,
                           uint32_t *ret_n_units, uint32_t n_most)
{
    const struct es_suspect *outage = es_blame_outage(sched->blame);
    uint32_t n = 0, n_blocked = es_blame_n_blocked(sched->blame);
    if (outage && n < n_most) {
        ret_n_units[n] = 0;
        ret_suspects[n++] = *outage;
    }
    for (uint32_t i = 0; i < n_blocked && n < n_most; i++) {
        const struct es_suspect *suspect = es_blame_blocked(sched->blame, i);
        uint32_t n_units = count_blocked(sched, suspect);
        if (n_units == 0) /* nothing is left of it */
            continue;
        ret_n_units[n] = n_units;
        ret_suspects[n++] = *suspect;
    }
    uint32_t n_workers = es_blame_quarantined(sched->blame, ret_suspects + n, n_most - n);
    for (uint32_t i = 0; i < n_workers; i++)
        ret_n_units[n + i] = 0;
    return n + n_workers;
}

/* --- Single units: cross-checks, probation, and the probes of an outage --- */

bool es_sched_is_restricted(const struct es_sched *sched, uint32_t worker)
{
    return es_blame_outage(sched->blame) || es_blame_trust(sched->blame, worker) != ES_TRUST_FULL;
}

/* What a worker is not to get. */
struct avoided {
    uint32_t task;
    uint32_t checkpoint;
    uint32_t bundle;
};

/* Whether the worker may get a unit of a bundle, of its share of the work where it has one. */
static bool has_for(const struct es_sched *sched, uint32_t bundle, uint32_t worker)
{
    uint32_t own_group = sched->workers[worker].group;
    bool has_share = !sched->policy.by_checkpoint && !sched->policy.one_group;
    return sched->bundles[bundle].units.n > 0 &&
           (!has_share || own_group == ES_NONE || es_bundle_group(sched, bundle) == own_group) &&
           es_bundle_has_for(sched, bundle, worker);
}

/* The cheapest bundle of a checkpoint, where one unit tells soonest; or ES_NONE. */
static uint32_t cheapest_of(const struct es_sched *sched, uint32_t worker, uint32_t checkpoint,
                            const struct avoided *avoided)
{
    uint32_t cheapest = ES_NONE;
    double least_s = (double)INFINITY;
    for (uint32_t t = 0; t < sched->n_tasks; t++) {
        uint32_t bundle = checkpoint * sched->n_tasks + t;
        if (t == avoided->task || bundle == avoided->bundle || !has_for(sched, bundle, worker) ||
            es_bundle_shortest_s(sched, bundle) >= least_s)
            continue;
        least_s = es_bundle_shortest_s(sched, bundle);
        cheapest = bundle;
    }
    return cheapest;
}

/* Of the checkpoint that it has loaded first; of others, each worker begins with another one. */
static uint32_t cheapest_for(const struct es_sched *sched, uint32_t worker,
                             const struct avoided *avoided)
{
    uint32_t own = sched->workers[worker].checkpoint, bundle = ES_NONE;
    if (sched->n_ready == 0)
        return ES_NONE;
    if (own != ES_NONE && own != avoided->checkpoint)
        bundle = cheapest_of(sched, worker, own, avoided);
    uint32_t first = (own == ES_NONE ? 0 : own + 1) + worker;
    for (uint32_t i = 0; i < sched->n_checkpoints && bundle == ES_NONE; i++) {
        uint32_t checkpoint = (first + i) % sched->n_checkpoints;
        if (checkpoint != avoided->checkpoint)
            bundle = cheapest_of(sched, worker, checkpoint, avoided);
    }
    return bundle;
}

/* For a doubtful worker: something of another task (and checkpoint), or at least another bundle. */
static uint32_t cross_check(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct avoided avoided = {ES_NONE, ES_NONE, ES_NONE};
    es_blame_avoid(sched->blame, worker, &avoided.task, &avoided.checkpoint);
    uint32_t bundle = cheapest_for(sched, worker, &avoided);
    if (bundle != ES_NONE || sched->n_ready == 0 || avoided.task == ES_NONE)
        return bundle;
    struct es_unit last = es_blame_last_failed(sched->blame, worker);
    avoided = (struct avoided){ES_NONE, ES_NONE, last.checkpoint * sched->n_tasks + last.task};
    bool may_guess = sched->n_fresh >= GUESS_UNITS && es_blame_has_common(sched->blame, worker);
    if (!may_guess)
        bundle = cheapest_for(sched, worker, &avoided);
    if (bundle != ES_NONE)
        return bundle;
    es_blame_no_alternative(sched->blame, worker, may_guess, now_s);
    es_sched_carry_out(sched, now_s);
    avoided.bundle = ES_NONE;
    return cheapest_for(sched, worker, &avoided);
}

/* A unit of a bundle that was never tried, for a worker, or ES_NONE. */
static uint32_t fresh_of(const struct es_sched *sched, uint32_t bundle, uint32_t worker)
{
    if (!has_for(sched, bundle, worker))
        return ES_NONE;
    uint32_t id = sched->bundles[bundle].units.first;
    while (id != ES_NONE && (sched->units[id].tried || !es_end_allows(sched, id, worker)))
        id = sched->units[id].next;
    return id;
}

/* How far the next probe's task is from the last one's: far apart on the axis, as neighbours are
 * often alike, and such that all have their turn. */
static uint32_t task_stride(uint32_t n_tasks)
{
    uint32_t stride = (uint32_t)(0.618 * n_tasks) + 1;
    for (;; stride++) {
        uint32_t a = n_tasks, b = stride;
        while (b > 0) { /* Euclid */
            uint32_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return stride;
    }
}

/* After n_probes that failed: one that was never tried, of the next checkpoint, and of another task
 * each time, until all have had their turn. It may be no outage, and the cheapest ones bad. */
static uint32_t next_fresh(const struct es_sched *sched, uint32_t worker, uint32_t n_probes)
{
    uint32_t own = sched->workers[worker].checkpoint, first = own == ES_NONE ? worker : own + 1;
    uint32_t first_task =
        (n_probes + n_probes / sched->n_checkpoints) % sched->n_tasks * task_stride(sched->n_tasks);
    for (uint32_t i = 0; i < sched->n_checkpoints; i++)
        for (uint32_t t = 0; t < sched->n_tasks; t++) {
            uint32_t bundle = (first + i) % sched->n_checkpoints * sched->n_tasks +
                              (first_task + t) % sched->n_tasks;
            uint32_t unit_id = fresh_of(sched, bundle, worker);
            if (unit_id != ES_NONE)
                return unit_id;
        }
    return ES_NONE;
}

/* Probes the outage if it is the worker's turn: who has been idle longest. */
static bool probe_outage(struct es_sched *sched, uint32_t worker, double now_s,
                         struct es_action *ret_action)
{
    const struct avoided nothing = {ES_NONE, ES_NONE, ES_NONE};
    const struct es_suspect *outage = es_blame_outage(sched->blame);
    if (now_s < outage->probe_s || sched->idle != worker)
        return false;
    uint32_t unit_id = ES_NONE, bundle = ES_NONE;
    if (outage->n_probes > 0)
        unit_id = next_fresh(sched, worker, outage->n_probes);
    if (unit_id == ES_NONE)
        bundle = cheapest_for(sched, worker, &nothing);
    if (unit_id == ES_NONE && bundle == ES_NONE) { /* the next one's turn */
        es_heap_set(sched->member_nodes, &sched->idle, worker, -now_s);
        return false;
    }
    es_blame_outage_probing(sched->blame, worker, now_s);
    if (bundle != ES_NONE) {
        es_sched_assign(sched, worker, bundle, 1, now_s, ret_action);
        return true;
    }
    bundle = es_bundle_of(sched, unit_id);
    es_bundle_remove(sched, unit_id);
    es_group_changed(sched, es_bundle_group(sched, bundle));
    es_sched_give(sched, worker, bundle, &unit_id, 1, now_s, ret_action);
    return true;
}

/* A single unit for a worker that holds nothing and is not to have more. */
static bool give_single(struct es_sched *sched, uint32_t worker, double now_s,
                        struct es_action *ret_action)
{
    if (es_blame_outage(sched->blame))
        return probe_outage(sched, worker, now_s, ret_action);
    uint32_t bundle = cross_check(sched, worker, now_s);
    if (bundle != ES_NONE)
        es_sched_assign(sched, worker, bundle, 1, now_s, ret_action);
    return bundle != ES_NONE;
}

bool es_sched_look_after_suspect(struct es_sched *sched, uint32_t worker, double now_s,
                                 struct es_action *ret_action)
{
    struct es_sched_worker *own = &sched->workers[worker];
    if (own->away & ES_AWAY_PAUSED && now_s >= es_blame_paused_until(sched->blame, worker)) {
        es_blame_end_pause(sched->blame, worker);
        es_sched_come_back(sched, worker, ES_AWAY_PAUSED, now_s);
    }
    if (own->away) {
        es_heap_remove(sched->wake_nodes, &sched->wake, worker);
        return false;
    }
    es_sched_renounce(sched, worker, now_s);
    if (es_queue_recallable(sched, worker) != ES_NONE) {
        es_sched_recall_all(sched, worker, now_s, ret_action);
        return true;
    }
    (void)es_queue_expect_longer(sched, worker, now_s);
    if (own->queue.n == 0 && give_single(sched, worker, now_s, ret_action))
        return true;
    const struct es_suspect *outage = es_blame_outage(sched->blame);
    if (own->queue.n == 0 && !outage && sched->n_ready == 0 &&
        es_sched_probe(sched, worker, true, now_s, ret_action))
        return true;
    es_queue_rest(sched, worker, now_s);
    if (own->queue.n == 0 && (outage || sched->blocked.n > 0)) {
        double probe_s = outage ? outage->probe_s : es_blame_probe_due_s(sched->blame);
        if (isfinite(probe_s))
            es_queue_wake_at(sched, worker, fmax(probe_s, now_s + NEXT_TURN_S));
    }
    return false;
}

/* --- Probes of what is blocked --- */

/* How many of an axis a suspect covers, and which one is the n-th of them, round and round. */
static uint32_t n_in(uint32_t index, uint32_t n)
{
    return index == ES_GRID_ANY ? n : 1;
}

static uint32_t nth_of(uint32_t index, uint32_t nth, uint32_t n)
{
    return index == ES_GRID_ANY ? nth % n : index;
}

/* How well a blocked unit serves as a probe: one that was never tried is better, and most of all
 * one that nothing else covers, as it tells of this suspect alone. */
#define BEST_PROBE 4
static int rate_probe(const struct es_sched *sched, uint32_t unit_id)
{
    return 1 + !sched->units[unit_id].tried + 2 * (es_blame_n_covering(sched->blame, unit_id) == 1);
}

/* A blocked unit of the suspect for the worker: at first of the checkpoint that it has loaded if
 * possible, then of another checkpoint and task than what failed last. */
static uint32_t find_probe(const struct es_sched *sched, const struct es_suspect *suspect,
                           uint32_t worker, bool *ret_has_units)
{
    uint32_t own = sched->workers[worker].checkpoint, best = ES_NONE, first_layer, end_layer;
    struct es_unit start = {.checkpoint = own == ES_NONE ? 0 : own};
    int best_rating = 0;
    if (suspect->n_probes > 0) {
        struct es_unit last = es_grid_unit(sched->grid, suspect->unit_id);
        start = (struct es_unit){.checkpoint = last.checkpoint + 1, .task = last.task + 1};
    }
    range_of(suspect->layer, sched->n_layers, &first_layer, &end_layer);
    for (uint32_t i = 0; i < n_in(suspect->checkpoint, sched->n_checkpoints); i++)
        for (uint32_t j = 0; j < n_in(suspect->task, sched->n_tasks); j++)
            for (uint32_t l = first_layer; l < end_layer && best_rating < BEST_PROBE; l++) {
                uint32_t id = es_grid_id(
                    sched->grid,
                    (struct es_unit){
                        nth_of(suspect->checkpoint, start.checkpoint + i, sched->n_checkpoints), l,
                        nth_of(suspect->task, start.task + j, sched->n_tasks)});
                if (sched->units[id].state != ES_UNIT_BLOCKED)
                    continue;
                *ret_has_units = true;
                int rating = rate_probe(sched, id);
                if (rating > best_rating && es_bundle_unit_allowed(sched, id, worker) &&
                    es_end_allows(sched, id, worker)) {
                    best = id;
                    best_rating = rating;
                }
            }
    return best;
}

static bool probe(struct es_sched *sched, uint32_t i, uint32_t worker, bool is_last, double now_s,
                  struct es_action *ret_action)
{
    const struct es_suspect *suspect = es_blame_blocked(sched->blame, i);
    bool has_units = false;
    uint32_t unit_id = find_probe(sched, suspect, worker, &has_units);
    if (unit_id == ES_NONE) {
        es_blame_not_probing(sched->blame, i, has_units, now_s);
        return false;
    }
    es_unit_list_remove(&sched->blocked, sched->units, unit_id);
    es_blame_probing(sched->blame, i, unit_id, is_last || sched->n_ready == 0);
    es_sched_give(sched, worker, es_bundle_of(sched, unit_id), &unit_id, 1, now_s, ret_action);
    return true;
}

/* Whether what is blocked may be probed on a worker: it is good, or nobody who is there is. */
static bool may_probe(const struct es_sched *sched, uint32_t worker)
{
    if (es_blame_is_good(sched->blame, worker))
        return true;
    for (uint32_t w = 0; w < sched->workers_cap; w++)
        if (!sched->workers[w].away && es_blame_is_good(sched->blame, w))
            return false;
    return true;
}

bool es_sched_probe(struct es_sched *sched, uint32_t worker, bool is_last, double now_s,
                    struct es_action *ret_action)
{
    uint32_t n = es_blame_n_blocked(sched->blame);
    is_last = is_last && sched->n_ready == 0;
    if ((!is_last && es_blame_probe_due_s(sched->blame) > now_s) || !may_probe(sched, worker))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (es_blame_is_due(sched->blame, i, is_last, now_s) &&
            probe(sched, i, worker, is_last, now_s, ret_action))
            return true;
    return false;
}
