#include "core/sched_state.h"

#include "core/mem.h"

#include <stdlib.h>

/* Units that a worker holds at most, however short they are: enough for tens of milliseconds at the
 * fastest that units can be sent, and few enough to be taken back at once. */
#define HELD_MOST 8192
/* However long a unit takes, its successor is decided on not earlier before its end. */
#define AHEAD_MOST_S 5.0
/* A unit that takes longer than expected by this part of it, and by this time, is overdue; it is
 * then expected to take so many times as long as it has. */
#define OVERDUE_PART 0.25
#define OVERDUE_LEAST_S 0.01
#define OVERDUE_TIMES 1.5
/* Idle workers looked through for one that is trusted. */
#define WOKEN_MOST 64
/* Units of a queue whose costs are looked at again after a surprise. */
#define REPRICED_MOST 32

int es_queue_add_worker(struct es_sched *sched, uint32_t worker)
{
    size_t before = sched->workers_cap, cap = before ? before : 8;
    if (worker < before)
        return 0;
    while (cap <= worker)
        cap *= 2;
    struct {
        void **block;
        size_t size_bytes;
    } arrays[] = {
        {(void **)&sched->workers, sizeof *sched->workers},
        {(void **)&sched->wake_nodes, sizeof *sched->wake_nodes},
        {(void **)&sched->end_nodes, sizeof *sched->end_nodes},
        {(void **)&sched->member_nodes, sizeof *sched->member_nodes},
        {(void **)&sched->victim_nodes, sizeof *sched->victim_nodes},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        void *grown = es_mem_resize(*arrays[i].block, cap, arrays[i].size_bytes);
        if (!grown)
            return ES_ERR_NOMEM;
        *arrays[i].block = grown;
    }
    for (size_t i = before; i < cap; i++)
        sched->workers[i] = (struct es_sched_worker){.alive = false};
    es_heap_init(sched->wake_nodes, before, cap);
    es_heap_init(sched->end_nodes, before, cap);
    es_heap_init(sched->member_nodes, before, cap);
    es_heap_init(sched->victim_nodes, before, cap);
    sched->workers_cap = cap;
    return 0;
}

/* Takes what the worker adds to the sums of busy ones out of them again. */
static void uncount(struct es_sched *sched, struct es_sched_worker *own)
{
    if (!own->counted)
        return;
    struct es_group *group = &sched->groups[own->group];
    group->n_busy--;
    group->busy_speed = group->n_busy == 0 ? 0 : group->busy_speed - own->counted_speed;
    group->busy_end = group->n_busy == 0 ? 0 : group->busy_end - own->counted_end;
    sched->busy_speed -= own->counted_speed;
    sched->busy_end -= own->counted_end;
    own->counted = false;
}

static void count(struct es_sched *sched, struct es_sched_worker *own)
{
    struct es_group *group = &sched->groups[own->group];
    own->counted = true;
    own->counted_speed = own->speed;
    own->counted_end = own->speed * own->end_s;
    group->n_busy++;
    group->busy_speed += own->counted_speed;
    group->busy_end += own->counted_end;
    sched->busy_speed += own->counted_speed;
    sched->busy_end += own->counted_end;
}

void es_queue_forget(struct es_sched *sched, uint32_t worker)
{
    struct es_sched_worker *own = &sched->workers[worker];
    bool busy = own->counted;
    if (own->group != ES_NONE) {
        struct es_group *group = &sched->groups[own->group];
        es_heap_remove(sched->end_nodes, busy ? &group->ends : &group->idle, worker);
        if (busy)
            es_heap_remove(sched->member_nodes, &group->victims, worker);
    }
    if (!busy)
        es_heap_remove(sched->member_nodes, &sched->idle, worker);
    es_heap_remove(sched->victim_nodes, &sched->victims, worker);
    es_heap_remove(sched->wake_nodes, &sched->wake, worker);
    uncount(sched, own);
}

void es_queue_wake_at(struct es_sched *sched, uint32_t worker, double at_s)
{
    es_heap_set(sched->wake_nodes, &sched->wake, worker, -at_s);
}

static double running_end(const struct es_sched *sched, const struct es_sched_worker *own)
{
    return own->since_s + (double)sched->units[own->queue.first].u.expected_s / own->speed;
}

/* When the running unit will have taken so much longer than expected that it must be looked at. */
static double overdue_at(const struct es_sched *sched, const struct es_sched_worker *own)
{
    double running_s = (double)sched->units[own->queue.first].u.expected_s / own->speed;
    return own->since_s + running_s + fmax(OVERDUE_PART * running_s, OVERDUE_LEAST_S);
}

void es_queue_rest(struct es_sched *sched, uint32_t worker, double now_s)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    if (-sched->wake_nodes[worker].key > now_s)
        return;
    if (own->queue.n > 0 && overdue_at(sched, own) > now_s)
        es_queue_wake_at(sched, worker, overdue_at(sched, own));
    else
        es_heap_remove(sched->wake_nodes, &sched->wake, worker);
}

double es_queue_wanted_most_s(const struct es_sched *sched)
{
    return fmax(sched->config.prefetch_s, AHEAD_MOST_S);
}

/* Seconds of work below which a worker gets more. Long units are decided on late, when more is
 * known; and no more than its part of what is left is held, so that the first ones to come do not
 * take all of a short job. */
static double wanted_s(const struct es_sched *sched, const struct es_sched_worker *own,
                       double now_s)
{
    double last_s = (double)sched->units[own->queue.last].u.expected_s / own->speed;
    double ahead_s = fmax(sched->config.prefetch_s, fmin(last_s / 2, AHEAD_MOST_S));
    return fmin(ahead_s, es_sched_left_s(sched, now_s) / 2);
}

/* Expected seconds of work at a time; a unit that takes longer than expected is about to end. */
static double held_s(const struct es_sched *sched, const struct es_sched_worker *own, double now_s)
{
    double running_s = (double)sched->units[own->queue.first].u.expected_s;
    return fmax(running_end(sched, own) - now_s, 0) + (own->queue_s - running_s) / own->speed;
}

double es_queue_end(const struct es_sched *sched, uint32_t worker, double now_s)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    return own->queue.n == 0 ? now_s : fmax(own->end_s, now_s);
}

bool es_queue_is_hungry(const struct es_sched *sched, uint32_t worker, double now_s)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    if (own->queue.n == 0)
        return true;
    return own->queue.n < HELD_MOST && held_s(sched, own, now_s) <= wanted_s(sched, own, now_s);
}

uint32_t es_queue_recallable(const struct es_sched *sched, uint32_t worker)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    if (own->queue.n < 2 || own->n_recalled > 0 ||
        sched->units[own->queue.last].recall != ES_RECALL_NONE)
        return ES_NONE;
    return own->queue.last;
}

static void rank_as_victim(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    struct es_group *group = &sched->groups[own->group];
    uint32_t last = es_queue_recallable(sched, worker);
    if (last == ES_NONE) {
        es_heap_remove(sched->member_nodes, &group->victims, worker);
        es_heap_remove(sched->victim_nodes, &sched->victims, worker);
        return;
    }
    if (!es_heap_contains(sched->victim_nodes, worker))
        es_queue_wake_one(sched, own->group, ES_NONE, now_s);
    double begins_s = own->end_s - (double)sched->units[last].u.expected_s / own->speed;
    es_heap_set(sched->member_nodes, &group->victims, worker, begins_s);
    es_heap_set(sched->victim_nodes, &sched->victims, worker,
                begins_s - es_group_load_s(sched, own->group));
}

void es_queue_changed(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    struct es_group *group = own->group == ES_NONE ? NULL : &sched->groups[own->group];
    bool busy = own->queue.n > 0;
    if (own->away)
        return;
    if (busy != own->counted)
        es_queue_forget(sched, worker);
    uncount(sched, own);
    if (busy) {
        own->end_s = own->since_s + own->queue_s / own->speed;
        count(sched, own);
        es_heap_set(sched->end_nodes, &group->ends, worker, -own->end_s);
        rank_as_victim(sched, worker, now_s);
        double hungry_at =
            own->queue.n < HELD_MOST ? own->end_s - wanted_s(sched, own, now_s) : (double)INFINITY;
        if (es_sched_is_restricted(sched, worker)) /* it is to give the rest back */
            hungry_at = now_s;
        es_queue_wake_at(sched, worker, fmin(hungry_at, overdue_at(sched, own)));
    } else {
        if (group)
            es_heap_set(sched->end_nodes, &group->idle, worker, -own->end_s);
        es_heap_set(sched->member_nodes, &sched->idle, worker, -own->end_s);
        es_queue_wake_at(sched, worker, now_s);
    }
    if (group)
        es_group_changed(sched, own->group);
}

void es_queue_set_group(struct es_sched *sched, uint32_t worker, uint32_t group)
{
    uint32_t before = sched->workers[worker].group;
    if (before == group)
        return;
    es_queue_forget(sched, worker);
    sched->workers[worker].group = group;
    if (before != ES_NONE)
        es_group_changed(sched, before);
}

static void price(struct es_sched *sched, uint32_t worker, uint32_t unit_id)
{
    struct es_unit_node *unit = &sched->units[unit_id];
    uint32_t bundle = es_bundle_of(sched, unit_id);
    double expected_s = es_bundle_unit_s(sched, bundle, unit_id);
    if (unit->pays != ES_COST_PAID_NOTHING)
        expected_s += es_bundle_pass_s(sched, bundle);
    if (unit->pays == ES_COST_PAID_LOAD) /* no slower on a slow worker */
        expected_s +=
            es_cost_load(sched->cost, bundle / sched->n_tasks) * sched->workers[worker].speed;
    unit->u.expected_s = (float)expected_s;
}

void es_queue_append(struct es_sched *sched, uint32_t worker, uint32_t unit_id)
{
    struct es_sched_worker *own = &sched->workers[worker];
    struct es_unit_node *unit = &sched->units[unit_id];
    uint32_t bundle = es_bundle_of(sched, unit_id), checkpoint = bundle / sched->n_tasks;
    unit->state = ES_UNIT_HELD;
    unit->worker = worker;
    unit->recall = ES_RECALL_NONE;
    unit->pays = checkpoint != own->checkpoint ? ES_COST_PAID_LOAD
                 : bundle != own->bundle       ? ES_COST_PAID_PASS
                                               : ES_COST_PAID_NOTHING;
    own->checkpoint = checkpoint;
    own->bundle = bundle;
    price(sched, worker, unit_id);
    own->queue_s += (double)unit->u.expected_s;
    es_unit_list_append(&own->queue, sched->units, unit_id);
    sched->n_held++;
}

void es_queue_reprice(struct es_sched *sched, uint32_t worker)
{
    struct es_sched_worker *own = &sched->workers[worker];
    uint32_t id = own->queue.first;
    for (int i = 0; i < REPRICED_MOST && id != ES_NONE; i++, id = sched->units[id].next) {
        double before_s = (double)sched->units[id].u.expected_s;
        price(sched, worker, id);
        if (sched->units[id].recall != ES_RECALL_ASKED)
            own->queue_s += (double)sched->units[id].u.expected_s - before_s;
    }
}

bool es_queue_expect_longer(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    if (own->queue.n == 0 || overdue_at(sched, own) > now_s)
        return false;
    uint32_t unit_id = own->queue.first;
    struct es_unit_node *first = &sched->units[unit_id];
    double longer_s = OVERDUE_TIMES * (now_s - own->since_s) * own->speed;
    es_cost_observe_running(sched->cost, unit_id, longer_s);
    es_queue_reprice(sched, worker); /* what this tells, or others have told */
    if (overdue_at(sched, own) <= now_s) {
        own->queue_s += longer_s - (double)first->u.expected_s;
        first->u.expected_s = (float)longer_s;
    }
    es_queue_changed(sched, worker, now_s);
    return true;
}

void es_queue_remove(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    struct es_unit_node *unit = &sched->units[unit_id];
    bool was_first = own->queue.first == unit_id;
    es_unit_list_remove(&own->queue, sched->units, unit_id);
    sched->n_held--;
    if (unit->recall != ES_RECALL_ASKED)
        own->queue_s -= (double)unit->u.expected_s;
    if (was_first)
        own->since_s = now_s;
    if (own->queue.n == 0) {
        own->queue_s = 0;
        own->end_s = now_s;
    }
}

static bool is_trusted(void *context, uint32_t worker)
{
    const struct es_sched *sched = context;
    return es_blame_trust(sched->blame, worker) == ES_TRUST_FULL &&
           sched->workers[worker].victim == ES_NONE;
}

void es_queue_wake_one(struct es_sched *sched, uint32_t group, uint32_t except, double now_s)
{
    uint32_t *heaps[] = {&sched->groups[group].idle, &sched->idle};
    struct es_heap_node *nodes[] = {sched->end_nodes, sched->member_nodes};
    for (int i = 0; i < 2; i++) {
        uint32_t first = *heaps[i];
        if (first != ES_HEAP_EMPTY && first == except) { /* the next after it */
            double key = nodes[i][except].key;
            es_heap_remove(nodes[i], heaps[i], except);
            first = *heaps[i];
            es_heap_set(nodes[i], heaps[i], except, key);
        }
        if (first != ES_HEAP_EMPTY) {
            if (sched->workers[first].victim == ES_NONE)
                es_queue_wake_at(sched, first, now_s);
            if (es_blame_trust(sched->blame, first) == ES_TRUST_FULL)
                return;
            first = es_heap_find(nodes[i], heaps[i], WOKEN_MOST, is_trusted, sched);
        }
        if (first != ES_HEAP_EMPTY) {
            es_queue_wake_at(sched, first, now_s);
            return;
        }
    }
}
