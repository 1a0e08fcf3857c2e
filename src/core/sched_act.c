#include "core/sched_state.h"

/* A worker's part of what is left that one bundle may be; a longer one is broken by layer. */
#define BUNDLE_PART 0.1
/* The same where its layers share a pass, that each piece pays again. */
#define SHARED_PART 0.4
/* A broken bundle pays its pass again: each piece is at least so many passes long. */
#define PIECE_PASSES 2
/* Holding so many times what would be given is too much. */
#define OVERLONG 1.25
#define INFINITE_SPEED 1e300
/* A worker that may not probe what is due looks again so soon. */
#define PROBE_TURN_S 1.0

static void release_delayed(struct es_sched *sched, double now_s)
{
    for (uint32_t i = 0; i < ES_SCHED_N_DELAYED && sched->n_delayed > 0; i++) {
        struct es_unit_list *list = &sched->delayed[i];
        while (list->n > 0 &&
               sched->start_s + (double)sched->units[list->first].u.ready_s <= now_s) {
            uint32_t unit_id = list->first;
            es_unit_list_remove(list, sched->units, unit_id);
            sched->n_delayed--;
            es_sched_make_ready(sched, unit_id, now_s);
        }
    }
}

void es_sched_give(struct es_sched *sched, uint32_t worker, uint32_t bundle, const uint32_t *units,
                   uint32_t n, double now_s, struct es_action *ret_action)
{
    uint32_t checkpoint = bundle / sched->n_tasks;
    sched->is_last_call = false;
    if (sched->workers[worker].queue.n == 0)
        sched->workers[worker].since_s = now_s;
    for (uint32_t i = 0; i < n; i++) {
        es_queue_append(sched, worker, units[i]);
        sched->layers[i] = units[i] / sched->n_tasks - checkpoint * sched->n_layers;
    }
    es_queue_set_group(sched, worker, es_bundle_group(sched, bundle));
    es_queue_changed(sched, worker, now_s);
    if (sched->n_ready > 0 || sched->victims != ES_HEAP_EMPTY) /* more for somebody idle? */
        es_queue_wake_one(sched, sched->workers[worker].group, ES_NONE, now_s);
    *ret_action = (struct es_action){.kind = ES_ACTION_ASSIGN,
                                     .worker = worker,
                                     .checkpoint = checkpoint,
                                     .task = bundle % sched->n_tasks,
                                     .n_layers = n,
                                     .layers = sched->layers,
                                     .next_checkpoint = es_sched_choose_next(sched, worker, now_s)};
}

/* How much of a bundle a worker is given at once. */
static double limit_s(const struct es_sched *sched, uint32_t worker, uint32_t bundle, double now_s)
{
    double pass_s = es_bundle_pass_s(sched, bundle);
    double part = pass_s > 0 ? SHARED_PART : BUNDLE_PART;
    return fmax(part * es_sched_left_s(sched, now_s) * sched->workers[worker].speed,
                PIECE_PASSES * pass_s);
}

void es_sched_assign(struct es_sched *sched, uint32_t worker, uint32_t bundle, uint32_t n_most,
                     double now_s, struct es_action *ret_action)
{
    double most_s =
        fmin(limit_s(sched, worker, bundle, now_s), es_end_room_s(sched, bundle, worker));
    uint32_t n = es_bundle_take(sched, bundle, worker, most_s, n_most, sched->layers);
    es_group_changed(sched, es_bundle_group(sched, bundle));
    es_sched_give(sched, worker, bundle, sched->layers, n, now_s, ret_action);
}

/* Units that were recalled for this worker; all of one bundle. */
static void give_promised(struct es_sched *sched, uint32_t worker, double now_s,
                          struct es_action *ret_action)
{
    struct es_unit_list *promised = &sched->workers[worker].promised;
    uint32_t bundle = es_bundle_of(sched, promised->first), n = 0;
    while (promised->n > 0) {
        sched->layers[n] = promised->first;
        es_unit_list_remove(promised, sched->units, promised->first);
        n++;
    }
    sched->n_promised -= n;
    es_sched_give(sched, worker, bundle, sched->layers, n, now_s, ret_action);
}

/* Asks for the last unit that a worker has not begun, and for those before it of the same bundle
 * while what is left to it ends later than what is taken would: for the thief (ES_NONE: for
 * anybody) that begins at to_end_s, and a second of it takes 1 / to_speed. */
static void recall(struct es_sched *sched, uint32_t victim, uint32_t thief, double to_end_s,
                   double to_speed, double now_s, struct es_action *ret_action)
{
    struct es_sched_worker *from = &sched->workers[victim];
    uint32_t unit_id = from->queue.last, bundle = es_bundle_of(sched, unit_id), n = 0;
    uint32_t checkpoint = bundle / sched->n_tasks;
    double from_end_s = from->end_s;
    while (unit_id != from->queue.first && sched->units[unit_id].recall == ES_RECALL_NONE &&
           es_bundle_of(sched, unit_id) == bundle && n < sched->n_layers &&
           es_bundle_unit_allowed(sched, unit_id, thief)) {
        struct es_unit_node *unit = &sched->units[unit_id];
        double expected_s = (double)unit->u.expected_s;
        to_end_s += expected_s / to_speed;
        from_end_s -= expected_s / from->speed;
        if (n > 0 && to_end_s > from_end_s)
            break;
        unit->recall = ES_RECALL_ASKED;
        from->queue_s -= expected_s;
        sched->layers[n++] = unit_id / sched->n_tasks - checkpoint * sched->n_layers;
        unit_id = unit->prev;
    }
    from->n_recalled = n;
    from->thief = thief;
    es_queue_changed(sched, victim, now_s);
    *ret_action = (struct es_action){.kind = ES_ACTION_RECALL,
                                     .worker = victim,
                                     .checkpoint = checkpoint,
                                     .task = bundle % sched->n_tasks,
                                     .n_layers = n,
                                     .layers = sched->layers,
                                     .next_checkpoint = ES_GRID_NONE};
}

void es_sched_recall_all(struct es_sched *sched, uint32_t worker, double now_s,
                         struct es_action *ret_action)
{
    recall(sched, worker, ES_NONE, -INFINITE_SPEED, INFINITE_SPEED, now_s, ret_action);
}

static void recall_for(struct es_sched *sched, uint32_t thief, uint32_t victim, double now_s,
                       struct es_action *ret_action)
{
    struct es_sched_worker *to = &sched->workers[thief];
    uint32_t bundle = es_bundle_of(sched, sched->workers[victim].queue.last);
    double to_end_s = es_queue_end(sched, thief, now_s);
    if (bundle / sched->n_tasks != to->checkpoint)
        to_end_s += es_cost_load(sched->cost, bundle / sched->n_tasks);
    if (bundle != to->bundle)
        to_end_s += es_bundle_pass_s(sched, bundle) / to->speed;
    to->victim = victim;
    es_queue_rest(sched, thief, now_s);
    recall(sched, victim, thief, to_end_s, to->speed, now_s, ret_action);
}

/* A worker that holds clearly more than it would be given now (as costs have turned out, or since
 * more workers have come) gives the last of it back. */
static bool relieve(struct es_sched *sched, double now_s, struct es_action *ret_action)
{
    uint32_t worker = sched->victims;
    if (worker == ES_HEAP_EMPTY || sched->n_workers < 2)
        return false;
    uint32_t bundle = es_bundle_of(sched, sched->workers[worker].queue.last);
    double given_s = limit_s(sched, worker, bundle, now_s) / sched->workers[worker].speed +
                     es_cost_load(sched->cost, bundle / sched->n_tasks);
    double late_s = now_s + es_queue_wanted_most_s(sched) + OVERLONG * given_s;
    if (sched->victim_nodes[worker].key <= late_s)
        return false;
    recall(sched, worker, ES_NONE, late_s, INFINITE_SPEED, now_s, ret_action);
    return true;
}

/* What would begin last of all, if it is not expected to end before the job does: units that run
 * take longer than was thought. */
static bool recall_late(struct es_sched *sched, double now_s, struct es_action *ret_action)
{
    uint32_t worker = sched->victims;
    if (worker == ES_HEAP_EMPTY || !es_end_is_late(sched, worker))
        return false;
    recall(sched, worker, ES_NONE, sched->end_s, INFINITE_SPEED, now_s, ret_action);
    return true;
}

/* Finds something for a worker that may be hungry; false: not now. */
static bool look_after(struct es_sched *sched, uint32_t worker, double now_s,
                       struct es_action *ret_action)
{
    struct es_sched_worker *own = &sched->workers[worker];
    if (own->away || es_sched_is_restricted(sched, worker))
        return es_sched_look_after_suspect(sched, worker, now_s, ret_action);
    if (own->promised.n > 0 && own->victim == ES_NONE) {
        give_promised(sched, worker, now_s, ret_action);
        return true;
    }
    uint32_t last = es_queue_recallable(sched, worker);
    if (last != ES_NONE && es_blame_wants_back(sched->blame, last)) {
        es_sched_recall_all(sched, worker, now_s, ret_action);
        return true;
    }
    if (es_queue_expect_longer(sched, worker, now_s) && own->group != ES_NONE)
        es_queue_wake_one(sched, own->group, ES_NONE, now_s); /* to take from it, perhaps */
    if (own->victim != ES_NONE || !es_queue_is_hungry(sched, worker, now_s)) {
        es_queue_rest(sched, worker, now_s);
        return false;
    }
    if (sched->blocked.n > 0 && es_sched_probe(sched, worker, false, now_s, ret_action))
        return true;
    struct es_choice choice = es_sched_choose(sched, worker, now_s);
    if (choice.bundle != ES_NONE) {
        es_sched_assign(sched, worker, choice.bundle, sched->n_layers, now_s, ret_action);
        return true;
    }
    if (choice.victim != ES_NONE) {
        recall_for(sched, worker, choice.victim, now_s, ret_action);
        return true;
    }
    if (sched->blocked.n > 0 && own->queue.n == 0) {
        if (es_sched_probe(sched, worker, true, now_s, ret_action))
            return true;
        double due_s = es_blame_probe_due_s(sched->blame); /* past, if another is to probe it */
        choice.retry_s = fmin(choice.retry_s, fmax(due_s, now_s + PROBE_TURN_S));
    }
    es_queue_rest(sched, worker, now_s);
    if (isfinite(choice.retry_s))
        es_queue_wake_at(sched, worker, choice.retry_s);
    return false;
}

bool es_sched_next_action(struct es_sched *sched, double now_s, struct es_action *ret_action)
{
    sched->now_s = now_s;
    release_delayed(sched, now_s);
    es_end_set_aside(sched);
    if (es_blame_outage(sched->blame) && sched->n_fresh == 0) {
        es_blame_end_outage(sched->blame, now_s);
        es_sched_carry_out(sched, now_s);
    }
    while (sched->wake != ES_HEAP_EMPTY && -sched->wake_nodes[sched->wake].key <= now_s)
        if (look_after(sched, sched->wake, now_s, ret_action))
            return true;
    return recall_late(sched, now_s, ret_action) ||
           (sched->policy.recalls && relieve(sched, now_s, ret_action));
}

double es_sched_deadline(const struct es_sched *sched)
{
    double deadline_s = (double)INFINITY;
    if (sched->wake != ES_HEAP_EMPTY)
        deadline_s = -sched->wake_nodes[sched->wake].key;
    for (uint32_t i = 0; i < ES_SCHED_N_DELAYED && sched->n_delayed > 0; i++)
        if (sched->delayed[i].n > 0) {
            uint32_t first = sched->delayed[i].first;
            deadline_s = fmin(deadline_s, sched->start_s + (double)sched->units[first].u.ready_s);
        }
    return deadline_s;
}
