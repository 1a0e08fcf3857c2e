#include "core/sched_state.h"

/* A worker that still has work where it is moves only if what is left is so many loads long. */
#define MOVE_LOADS 2
/* A long unit must not come late, and may well take longer than expected: it is given room for so
 * many times what it is expected to take. Less for a bundle whose layers share a pass, which is
 * long as a whole, and known better: only at the end, when no untouched checkpoint is left. */
#define LONGER_TIMES 1.8
#define LONGER_TIMES_SHARED 1.3
/* Groups looked at, at most, in search of one with something for a worker (then the shortest
 * bundles are tried: sched_end.c). */
#define LOOKED_AT_MOST 64
/* What nobody waits to save. */
#define NO_WAIT_S 0.001

/* Whether a worker that pays needs_s first begins earlier than others would. What should have begun
 * already is taken to be late for as long again. If an idle worker is to wait, *ret_retry_s is when
 * to ask again at the latest: if nothing has happened by then, it is worth it. */
static bool is_worth(const struct es_sched *sched, uint32_t worker, double begins_s, double needs_s,
                     double now_s, double *ret_retry_s)
{
    if (sched->workers[worker].queue.n > 0)
        return begins_s > es_queue_end(sched, worker, now_s) + needs_s;
    if (needs_s <= NO_WAIT_S || fabs(now_s - begins_s) >= needs_s)
        return true;
    *ret_retry_s = fmin(*ret_retry_s, begins_s + 1.001 * needs_s);
    return false;
}

static double longer_times(const struct es_sched *sched, uint32_t group)
{
    if (es_bundle_pass_s(sched, sched->groups[group].bundles) <= 0)
        return LONGER_TIMES;
    return sched->untouched_longest == ES_HEAP_EMPTY ? LONGER_TIMES_SHARED : 1;
}

/* A bundle elsewhere that would make the job end later if it were not begun now: nobody who works
 * on its checkpoint can begin it in time, or nobody works there at all. Of one of either kind, the
 * one that would end later; an untouched checkpoint has to be loaded by somebody anyhow. Nobody
 * leaves work of his own for what is longer by less than the load. */
static uint32_t critical(struct es_sched *sched, uint32_t worker, double now_s)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    double end_s = now_s + es_sched_left_s(sched, now_s);
    double begin_s = es_queue_end(sched, worker, now_s);
    double own_s = own->group == ES_NONE ? 0 : es_group_longest_s(sched, own->group);
    double touched_end_s = 0;
    uint32_t touched = sched->touched_longest, untouched = sched->untouched_longest;
    if (touched != ES_HEAP_EMPTY && touched != own->group &&
        own_s + es_group_load_s(sched, touched) < es_group_longest_s(sched, touched)) {
        double others_s = es_group_first_end(sched, touched);
        if (begin_s + es_group_load_s(sched, touched) < others_s)
            touched_end_s =
                others_s + longer_times(sched, touched) * es_group_longest_s(sched, touched);
    }
    if (untouched != ES_HEAP_EMPTY && untouched != own->group &&
        own_s < es_group_longest_s(sched, untouched)) {
        double needs_s = es_group_longest_s(sched, untouched) + es_group_load_s(sched, untouched);
        double untouched_end_s = begin_s + needs_s;
        if (untouched_end_s > now_s + 0.95 * (end_s - now_s) &&
            untouched_end_s >= 0.99 * touched_end_s)
            return es_bundle_first_for(sched, untouched, worker);
    }
    /* Joining pays a load that nobody else would have to: it must be worth that. */
    if (untouched != ES_HEAP_EMPTY)
        end_s += es_group_load_s(sched, untouched);
    return touched_end_s > end_s ? es_bundle_first_for(sched, touched, worker) : ES_NONE;
}

/* A bundle of a group that cannot be through in time, for a worker whose own group can do without
 * it. One that moves early is worth many that move at the end, each with a load to pay; but not so
 * early that it would be too much. */
static uint32_t rebalance(struct es_sched *sched, uint32_t worker, double now_s)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    uint32_t group = sched->touched_drain;
    if (sched->untouched_work != ES_HEAP_EMPTY || group == ES_HEAP_EMPTY || own->group == ES_NONE ||
        group == own->group)
        return ES_NONE;
    const struct es_group *from = &sched->groups[own->group], *to = &sched->groups[group];
    double end_s = now_s + es_sched_left_s(sched, now_s);
    double speed = from->busy_speed - (own->counted ? own->counted_speed : 0);
    double work = from->work_s + from->busy_end - (own->counted ? own->counted_end : 0);
    double begin_s =
        es_queue_end(sched, worker, now_s) + MOVE_LOADS * es_group_load_s(sched, group);
    if (from->n_busy <= own->counted || work > speed * end_s || begin_s > end_s)
        return ES_NONE;
    double joined_end =
        to->work_s + to->busy_end +
        own->speed * (es_queue_end(sched, worker, now_s) + es_group_load_s(sched, group));
    if (joined_end < end_s * (to->busy_speed + own->speed))
        return ES_NONE;
    return es_bundle_first_for(sched, group, worker);
}

/* Who looks for a group with something to run, and what was found there. */
struct seeker {
    struct es_sched *sched;
    uint32_t worker;
    uint32_t bundle;
};

static bool group_has_for_seeker(void *context, uint32_t group)
{
    struct seeker *seeker = context;
    seeker->bundle = es_bundle_first_for(seeker->sched, group, seeker->worker);
    return seeker->bundle != ES_NONE;
}

/* The first group of a heap with something that the worker may run; groups with nothing for it are
 * few, as only failed units are refused, and near the end of the job's time long ones. */
static uint32_t first_for(struct es_sched *sched, uint32_t *heap, uint32_t worker,
                          uint32_t *ret_group)
{
    struct seeker seeker = {.sched = sched, .worker = worker, .bundle = ES_NONE};
    *ret_group =
        es_heap_find(sched->work_nodes, heap, LOOKED_AT_MOST, group_has_for_seeker, &seeker);
    return seeker.bundle;
}

/* What is left of the bundle that it has made the pass for. */
static uint32_t same_pass(const struct es_sched *sched, uint32_t worker)
{
    uint32_t bundle = sched->workers[worker].bundle;
    bool left = bundle != ES_NONE && es_bundle_pass_s(sched, bundle) > 0 &&
                es_bundle_has_for(sched, bundle, worker);
    return left ? bundle : ES_NONE;
}

static uint32_t pending_bundle(struct es_sched *sched, uint32_t worker, double now_s,
                               double *ret_retry_s)
{
    uint32_t own_group = sched->workers[worker].group, group;
    uint32_t bundle = ES_NONE;
    if (sched->policy.joins)
        bundle = critical(sched, worker, now_s);
    if (bundle == ES_NONE && sched->policy.joins)
        bundle = rebalance(sched, worker, now_s);
    if (bundle == ES_NONE)
        bundle = same_pass(sched, worker);
    if (bundle == ES_NONE && own_group != ES_NONE)
        bundle = es_bundle_first_for(sched, own_group, worker);
    if (bundle == ES_NONE)
        bundle = first_for(sched, &sched->untouched_work, worker, &group);
    if (bundle == ES_NONE && sched->policy.one_group)
        bundle = es_end_shortest_for(sched, worker);
    if (bundle != ES_NONE || !sched->policy.joins)
        return bundle;
    bundle = first_for(sched, &sched->touched_drain, worker, &group);
    if (bundle == ES_NONE)
        return es_end_shortest_for(sched, worker);
    double others_begin = fmax(es_group_first_end(sched, group),
                               es_group_drain(sched, group) - es_group_longest_s(sched, group));
    bool worth =
        is_worth(sched, worker, others_begin, es_group_load_s(sched, group), now_s, ret_retry_s);
    return worth ? bundle : ES_NONE;
}

/* Whether the last unit that another worker holds is worth taking: loaded first, and the pass that
 * the other has made for it, or will have, made again. */
static bool may_take_from(struct es_sched *sched, uint32_t worker, uint32_t victim, double now_s,
                          double *ret_retry_s)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    if (victim == ES_HEAP_EMPTY || victim == worker)
        return false;
    uint32_t unit_id = sched->workers[victim].queue.last, group = sched->workers[victim].group;
    uint32_t bundle = es_bundle_of(sched, unit_id);
    double needs_s = group == own->group ? 0 : es_group_load_s(sched, group);
    if (bundle != own->bundle && sched->units[unit_id].pays == ES_COST_PAID_NOTHING)
        needs_s += es_bundle_pass_s(sched, bundle) / own->speed;
    return es_bundle_unit_allowed(sched, unit_id, worker) &&
           es_end_allows(sched, unit_id, worker) &&
           is_worth(sched, worker, sched->member_nodes[victim].key, needs_s, now_s, ret_retry_s);
}

/* Whoever holds the unit that would begin last of all; of its own group first, where nothing is to
 * be loaded. */
static uint32_t victim(struct es_sched *sched, uint32_t worker, double now_s, double *ret_retry_s)
{
    uint32_t own_group = sched->workers[worker].group;
    if (!sched->policy.recalls)
        return ES_NONE;
    uint32_t member = own_group == ES_NONE ? ES_NONE : sched->groups[own_group].victims;
    if (may_take_from(sched, worker, member, now_s, ret_retry_s))
        return member;
    uint32_t other = sched->victims;
    return may_take_from(sched, worker, other, now_s, ret_retry_s) ? other : ES_NONE;
}

struct es_choice es_sched_choose(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_choice choice = {ES_NONE, ES_NONE, (double)INFINITY};
    if (sched->n_ready > 0)
        choice.bundle = pending_bundle(sched, worker, now_s, &choice.retry_s);
    if (choice.bundle == ES_NONE)
        choice.victim = victim(sched, worker, now_s, &choice.retry_s);
    return choice;
}

uint32_t es_sched_choose_next(const struct es_sched *sched, uint32_t worker, double now_s)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    if (!sched->policy.by_checkpoint)
        return ES_NONE;
    double load_s = es_group_load_s(sched, own->group);
    const struct es_group *group = &sched->groups[own->group];
    if (group->n_units > 0 && es_group_drain(sched, own->group) > own->end_s + load_s)
        return ES_NONE;
    if (sched->untouched_work != ES_HEAP_EMPTY)
        return sched->untouched_work;
    uint32_t next = sched->touched_drain;
    if (next == ES_HEAP_EMPTY || next == own->group)
        return ES_NONE;
    load_s = es_group_load_s(sched, next);
    return es_group_drain(sched, next) > fmax(own->end_s, now_s) + load_s ? next : ES_NONE;
}
