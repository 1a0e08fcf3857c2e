#include "core/sched_state.h"

#include "core/mem.h"

#include <stdlib.h>

/* A queue may end later by such a part of its last unit: estimates move, and what was taken back
 * would be given out again at once. */
#define LATE_PART 0.02
/* So many of the shortest bundles are tried: some may be refused for a load, or for what failed. */
#define TRIED_MOST 64

/* Whether enough is known of a bundle's task to refuse it: a guess must not keep a run from
 * beginning. */
static bool is_known(const struct es_sched *sched, uint32_t bundle)
{
    return es_cost_is_known(sched->cost, bundle % sched->n_tasks);
}

/* Seconds from when a worker can begin with a bundle, its checkpoint loaded, to the end. */
static double left_s(const struct es_sched *sched, uint32_t bundle, uint32_t worker)
{
    double begin_s = es_queue_end(sched, worker, sched->now_s);
    uint32_t checkpoint = bundle / sched->n_tasks;
    if (checkpoint != sched->workers[worker].checkpoint)
        begin_s += es_cost_load(sched->cost, checkpoint);
    return sched->end_s - begin_s;
}

bool es_end_allows(const struct es_sched *sched, uint32_t unit_id, uint32_t worker)
{
    if (isinf(sched->end_s))
        return true;
    uint32_t bundle = es_bundle_of(sched, unit_id);
    double needs_s = es_bundle_unit_s(sched, bundle, unit_id);
    if (bundle != sched->workers[worker].bundle)
        needs_s += es_bundle_pass_s(sched, bundle);
    return !is_known(sched, bundle) ||
           needs_s <= left_s(sched, bundle, worker) * sched->workers[worker].speed;
}

double es_end_room_s(const struct es_sched *sched, uint32_t bundle, uint32_t worker)
{
    if (isinf(sched->end_s) || !is_known(sched, bundle))
        return (double)INFINITY;
    double room_s = left_s(sched, bundle, worker) * sched->workers[worker].speed;
    if (bundle == sched->workers[worker].bundle) /* the pass is made */
        room_s += es_bundle_pass_s(sched, bundle);
    return room_s;
}

void es_end_rank(struct es_sched *sched, uint32_t bundle)
{
    if (!sched->fit_nodes)
        return;
    bool has_units = sched->bundles[bundle].units.n > 0, known = is_known(sched, bundle);
    if (has_units && known)
        es_heap_set(sched->fit_nodes, &sched->fit, bundle, es_bundle_longest_s(sched, bundle));
    else
        es_heap_remove(sched->fit_nodes, &sched->fit, bundle);
    if (has_units)
        es_heap_set(sched->short_nodes, &sched->shortest, bundle,
                    known ? -es_bundle_shortest_s(sched, bundle) : 0);
    else
        es_heap_remove(sched->short_nodes, &sched->shortest, bundle);
}

uint32_t es_end_shortest_for(struct es_sched *sched, uint32_t worker)
{
    return es_bundle_first_in(sched, sched->short_nodes, &sched->shortest, TRIED_MOST, worker);
}

/* Seconds of work, at speed 1, that anybody could still end in time. */
static double most_s(const struct es_sched *sched)
{
    return (sched->end_s - sched->now_s) * fmax(sched->fastest, 1);
}

void es_end_set_aside(struct es_sched *sched)
{
    if (isinf(sched->end_s))
        return;
    while (sched->fit != ES_HEAP_EMPTY && sched->fit_nodes[sched->fit].key > most_s(sched)) {
        uint32_t bundle = sched->fit;
        uint32_t unit_id = es_bundle_take_longest(sched, bundle);
        sched->units[unit_id].state = ES_UNIT_LATE;
        es_unit_list_append(&sched->late, sched->units, unit_id);
        es_group_changed(sched, es_bundle_group(sched, bundle));
    }
}

/* Those that could end in time after all are ready again. */
static void release_late(struct es_sched *sched)
{
    for (uint32_t id = sched->late.first; id != ES_NONE;) {
        uint32_t next = sched->units[id].next, bundle = es_bundle_of(sched, id);
        double needs_s = es_bundle_unit_s(sched, bundle, id) + es_bundle_pass_s(sched, bundle);
        if (needs_s <= most_s(sched) || !is_known(sched, bundle)) {
            es_unit_list_remove(&sched->late, sched->units, id);
            es_sched_make_ready(sched, id, sched->now_s);
        }
        id = next;
    }
}

bool es_end_is_late(const struct es_sched *sched, uint32_t worker)
{
    const struct es_sched_worker *own = &sched->workers[worker];
    uint32_t last = own->queue.last;
    if (isinf(sched->end_s) || !is_known(sched, es_bundle_of(sched, last)))
        return false;
    double last_s = (double)sched->units[last].u.expected_s / own->speed;
    return own->end_s > sched->end_s + LATE_PART * last_s;
}

int es_sched_set_end(struct es_sched *sched, double end_s, double now_s, struct es_err *err)
{
    if (!sched->fit_nodes && !isinf(end_s)) {
        struct es_heap_node *fit_nodes = es_mem_calloc(sched->n_bundles, sizeof *fit_nodes);
        struct es_heap_node *short_nodes = es_mem_calloc(sched->n_bundles, sizeof *short_nodes);
        if (!fit_nodes || !short_nodes) {
            free(fit_nodes);
            free(short_nodes);
            return es_err_nomem(err, "scheduling");
        }
        es_heap_init(fit_nodes, 0, sched->n_bundles);
        es_heap_init(short_nodes, 0, sched->n_bundles);
        sched->fit_nodes = fit_nodes;
        sched->short_nodes = short_nodes;
        for (uint32_t b = 0; b < sched->n_bundles; b++)
            es_end_rank(sched, b);
    }
    sched->end_s = end_s;
    sched->now_s = now_s;
    release_late(sched);
    return 0;
}

bool es_sched_is_stuck(struct es_sched *sched, double now_s)
{
    if (isinf(sched->end_s) || sched->n_held + sched->n_delayed + sched->n_promised > 0 ||
        sched->n_workers == 0)
        return false;
    sched->now_s = now_s;
    release_late(sched); /* costs may have turned out lower since */
    if (sched->wake == ES_HEAP_EMPTY)
        return sched->n_ready + sched->late.n > 0;
    /* They only wait for the next probe of what is blocked. */
    return sched->n_ready == 0 && sched->late.n > 0 && sched->blocked.n > 0 &&
           -sched->wake_nodes[sched->wake].key > now_s;
}
