#include "core/sched_state.h"

/* By how much longer the grid's last checkpoint is taken to be than its first, from_end. */
#define FROM_END_PART 0.05

double es_group_load_s(const struct es_sched *sched, uint32_t group)
{
    return sched->policy.by_checkpoint ? es_cost_load(sched->cost, group) : 0;
}

double es_group_longest_s(const struct es_sched *sched, uint32_t group)
{
    uint32_t first = sched->groups[group].bundles;
    if (first == ES_HEAP_EMPTY || !sched->policy.by_length)
        return 0;
    return sched->bundle_nodes[first].key / es_bundle_eagerness(sched, first % sched->n_tasks);
}

double es_group_drain(const struct es_sched *sched, uint32_t group)
{
    const struct es_group *own = &sched->groups[group];
    return (own->work_s + own->busy_end) / own->busy_speed;
}

double es_group_first_end(const struct es_sched *sched, uint32_t group)
{
    return -sched->end_nodes[sched->groups[group].ends].key;
}

/* By what part more an untouched group ranks. A job that has joined another begins with others of
 * those that are alike, so that the two do not want the same ones all the time. */
static double tilt(const struct es_sched *sched, uint32_t group)
{
    return sched->config.from_end ? FROM_END_PART * group / sched->n_groups : 0;
}

void es_group_changed(struct es_sched *sched, uint32_t group)
{
    struct es_group *own = &sched->groups[group];
    bool touched = own->n_busy > 0, pending = own->n_units > 0;
    if (touched != own->touched || !pending) {
        uint32_t *work = own->touched ? &sched->touched_drain : &sched->untouched_work;
        uint32_t *longest = own->touched ? &sched->touched_longest : &sched->untouched_longest;
        es_heap_remove(sched->work_nodes, work, group);
        es_heap_remove(sched->longest_nodes, longest, group);
    }
    own->touched = touched;
    double load_s = es_group_load_s(sched, group), untouched_s = 0;
    if (pending && touched) {
        es_heap_set(sched->work_nodes, &sched->touched_drain, group,
                    es_group_drain(sched, group) - load_s);
        es_heap_set(sched->longest_nodes, &sched->touched_longest, group,
                    es_group_first_end(sched, group) + es_group_longest_s(sched, group));
    } else if (pending) {
        untouched_s = load_s;
        es_heap_set(sched->work_nodes, &sched->untouched_work, group,
                    own->work_s * (1 + tilt(sched, group)));
        es_heap_set(sched->longest_nodes, &sched->untouched_longest, group,
                    es_group_longest_s(sched, group) + load_s);
    }
    sched->untouched_load_s += untouched_s - own->counted_load_s;
    own->counted_load_s = untouched_s;
}

double es_sched_left_s(const struct es_sched *sched, double now_s)
{
    double held_s = sched->busy_end - sched->busy_speed * now_s;
    double left_s = sched->work_s + sched->untouched_load_s + fmax(held_s, 0);
    return sched->total_speed > 0 ? fmax(left_s, 0) / sched->total_speed : (double)NAN;
}
