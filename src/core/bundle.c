#include "core/sched_state.h"

/* When the number of a task's measured units has doubled, all of its bundles are looked at again.
 * As units also tell something of other tasks, so are others with each: as many as it takes to have
 * all seen so many times each time that the number of measurements has doubled, and then as many as
 * come to so much computing, in costs of units. */
#define REFRESH_TIMES 2ULL
#define REFRESH_MOST 4096
#define REFRESH_COSTS 4
/* For a look that finds nothing to change. */
#define LOOK_COSTS 4
/* A cost that changed by less does not change an order. */
#define REFRESH_CHANGE 0.02
/* Bundles looked at, at most, in search of one that the worker may run: refused are failed units,
 * and near the end of the job's time those that are too long for this worker, but not for all. */
#define LOOKED_AT_MOST 256

/* Tasks rank so many times longer than expected while nothing is known of them: as long as they may
 * well be, and while nobody tries them, longer than any. */
#define EAGER_UNKNOWN 3.67
#define EAGER_UNTRIED 1e6

uint32_t es_bundle_of(const struct es_sched *sched, uint32_t unit_id)
{
    struct es_unit unit = es_grid_unit(sched->grid, unit_id);
    return unit.checkpoint * sched->n_tasks + unit.task;
}

uint32_t es_bundle_group(const struct es_sched *sched, uint32_t bundle)
{
    if (sched->policy.by_checkpoint)
        return bundle / sched->n_tasks;
    if (sched->n_groups <= sched->n_checkpoints) /* whole checkpoints, as arrays split them */
        return (uint32_t)((uint64_t)(bundle / sched->n_tasks) * sched->n_groups /
                          sched->n_checkpoints);
    return (uint32_t)((uint64_t)bundle * sched->n_groups / sched->n_bundles);
}

double es_bundle_unit_s(const struct es_sched *sched, uint32_t bundle, uint32_t unit_id)
{
    struct es_unit unit = {.checkpoint = bundle / sched->n_tasks, .task = bundle % sched->n_tasks};
    unit.layer = unit_id / sched->n_tasks - unit.checkpoint * sched->n_layers;
    return es_cost_score_of(sched->cost, unit);
}

double es_bundle_pass_s(const struct es_sched *sched, uint32_t bundle)
{
    return es_cost_pass(sched->cost, bundle / sched->n_tasks, bundle % sched->n_tasks);
}

/* The longer one of a bundle's two ends: times go up or down with the layer, if they change. */
static uint32_t longer_end(const struct es_sched *sched, uint32_t bundle, double *ret_s)
{
    const struct es_unit_list *units = &sched->bundles[bundle].units;
    double first_s = es_bundle_unit_s(sched, bundle, units->first);
    double last_s = es_bundle_unit_s(sched, bundle, units->last);
    *ret_s = fmax(first_s, last_s);
    return last_s >= first_s ? units->last : units->first;
}

double es_bundle_eagerness(const struct es_sched *sched, uint32_t task)
{
    if (es_cost_is_known(sched->cost, task))
        return 1;
    return sched->is_begun[task] ? EAGER_UNKNOWN : EAGER_UNTRIED;
}

/* Ranked by what is better not divided, and so must not come late: all of it if its layers share a
 * pass (taking each layer for the longest), else its longest unit, as it may be broken at no cost.
 * Tasks of which nothing is known come early, each checkpoint beginning with another one, as a long
 * one is to be found out early; and those that nobody has tried before all others, as little is
 * known of the whole before they are. */
static double key_of(const struct es_sched *sched, uint32_t bundle)
{
    if (!sched->policy.by_length)
        return -(double)bundle;
    double key_s, pass_s = es_bundle_pass_s(sched, bundle);
    (void)longer_end(sched, bundle, &key_s);
    if (pass_s > 0)
        key_s = pass_s + key_s * sched->bundles[bundle].units.n;
    uint32_t task = bundle % sched->n_tasks, checkpoint = bundle / sched->n_tasks;
    if (!es_cost_is_known(sched->cost, task))
        key_s *= 1 + 1e-6 * ((task + checkpoint) % sched->n_tasks);
    return key_s * es_bundle_eagerness(sched, task);
}

static void rank(struct es_sched *sched, uint32_t bundle)
{
    struct es_group *group = &sched->groups[es_bundle_group(sched, bundle)];
    if (sched->bundles[bundle].units.n == 0)
        es_heap_remove(sched->bundle_nodes, &group->bundles, bundle);
    else
        es_heap_set(sched->bundle_nodes, &group->bundles, bundle, key_of(sched, bundle));
    es_end_rank(sched, bundle);
}

static void set_work(struct es_sched *sched, uint32_t bundle, double work_s)
{
    struct es_group *group = &sched->groups[es_bundle_group(sched, bundle)];
    struct es_bundle *own = &sched->bundles[bundle];
    double before_s = (double)own->work_s;
    own->work_s = own->units.n == 0 ? 0 : (float)fmax(work_s, 0);
    double change_s = (double)own->work_s - before_s;
    group->work_s = group->n_units == 0 ? 0 : group->work_s + change_s;
    sched->work_s = sched->n_ready == 0 ? 0 : sched->work_s + change_s;
}

/* Adds up anew what is left. */
static void price(struct es_sched *sched, uint32_t bundle)
{
    struct es_bundle *own = &sched->bundles[bundle];
    double longest_s, work_s = es_bundle_pass_s(sched, bundle);
    for (uint32_t id = own->units.first; id != ES_NONE; id = sched->units[id].next)
        work_s += es_bundle_unit_s(sched, bundle, id);
    (void)longer_end(sched, bundle, &longest_s);
    own->priced_s = (float)longest_s;
    set_work(sched, bundle, work_s);
}

/* Whether what was learned meanwhile has changed the costs: of all layers, if of the longest. */
static bool is_stale(const struct es_sched *sched, uint32_t bundle)
{
    double longest_s, priced_s = (double)sched->bundles[bundle].priced_s;
    (void)longer_end(sched, bundle, &longest_s);
    return fabs(longest_s - priced_s) > REFRESH_CHANGE * priced_s;
}

/* Units were taken from the bundle whose work was work_s and that are expected to take taken_s. */
static void set_rest(struct es_sched *sched, uint32_t bundle, double work_s, double taken_s)
{
    if (sched->bundles[bundle].units.n > 0 && is_stale(sched, bundle))
        price(sched, bundle);
    else
        set_work(sched, bundle, work_s - taken_s);
    rank(sched, bundle);
}

void es_bundle_add(struct es_sched *sched, uint32_t unit_id)
{
    uint32_t bundle = es_bundle_of(sched, unit_id);
    struct es_bundle *own = &sched->bundles[bundle];
    double unit_s = es_bundle_unit_s(sched, bundle, unit_id);
    double work_s = own->units.n == 0 ? es_bundle_pass_s(sched, bundle) : (double)own->work_s;
    if (own->units.n == 0)
        own->priced_s = (float)unit_s;
    es_unit_list_append(&own->units, sched->units, unit_id);
    sched->units[unit_id].state = ES_UNIT_READY;
    sched->n_fresh += !sched->units[unit_id].tried;
    sched->groups[es_bundle_group(sched, bundle)].n_units++;
    sched->n_ready++;
    set_work(sched, bundle, work_s + unit_s);
    rank(sched, bundle);
}

bool es_bundle_unit_allowed(const struct es_sched *sched, uint32_t unit_id, uint32_t worker)
{
    uint32_t failed_on = sched->units[unit_id].failed_on;
    return failed_on == ES_NONE || failed_on != worker || sched->n_workers == 1 ||
           sched->policy.retry_anywhere;
}

/* Allowed, and in time. */
static bool suits(const struct es_sched *sched, uint32_t unit_id, uint32_t worker)
{
    return es_bundle_unit_allowed(sched, unit_id, worker) && es_end_allows(sched, unit_id, worker);
}

bool es_bundle_has_for(const struct es_sched *sched, uint32_t bundle, uint32_t worker)
{
    uint32_t id = sched->bundles[bundle].units.first;
    while (id != ES_NONE && !suits(sched, id, worker))
        id = sched->units[id].next;
    return id != ES_NONE;
}

struct seeker {
    const struct es_sched *sched;
    uint32_t worker;
};

static bool has_for_seeker(void *context, uint32_t bundle)
{
    const struct seeker *seeker = context;
    return es_bundle_has_for(seeker->sched, bundle, seeker->worker);
}

uint32_t es_bundle_first_in(const struct es_sched *sched, struct es_heap_node *nodes,
                            uint32_t *heap, uint32_t n_most, uint32_t worker)
{
    struct seeker seeker = {.sched = sched, .worker = worker};
    return es_heap_find(nodes, heap, n_most, has_for_seeker, &seeker);
}

uint32_t es_bundle_first_for(struct es_sched *sched, uint32_t group, uint32_t worker)
{
    return es_bundle_first_in(sched, sched->bundle_nodes, &sched->groups[group].bundles,
                              LOOKED_AT_MOST, worker);
}

static void take_one(struct es_sched *sched, uint32_t bundle, uint32_t unit_id)
{
    es_unit_list_remove(&sched->bundles[bundle].units, sched->units, unit_id);
    sched->groups[es_bundle_group(sched, bundle)].n_units--;
    sched->n_ready--;
    sched->n_fresh -= !sched->units[unit_id].tried;
}

void es_bundle_remove(struct es_sched *sched, uint32_t unit_id)
{
    uint32_t bundle = es_bundle_of(sched, unit_id);
    double work_s = (double)sched->bundles[bundle].work_s;
    take_one(sched, bundle, unit_id);
    set_rest(sched, bundle, work_s, es_bundle_unit_s(sched, bundle, unit_id));
}

/* Every unit that the worker may run, in the order of the list. */
static uint32_t take_all(struct es_sched *sched, uint32_t bundle, uint32_t worker,
                         uint32_t *ret_units, double *ret_taken_s)
{
    uint32_t n = 0;
    for (uint32_t id = sched->bundles[bundle].units.first; id != ES_NONE;) {
        uint32_t next = sched->units[id].next;
        if (suits(sched, id, worker)) {
            *ret_taken_s += es_bundle_unit_s(sched, bundle, id);
            take_one(sched, bundle, id);
            ret_units[n++] = id;
        }
        id = next;
    }
    return n;
}

static uint32_t take_longest(struct es_sched *sched, uint32_t bundle, uint32_t worker,
                             double limit_s, uint32_t n_max, uint32_t *ret_units,
                             double *ret_taken_s)
{
    uint32_t n = 0;
    while (n < n_max && sched->bundles[bundle].units.n > 0) {
        double unit_s;
        uint32_t id = longer_end(sched, bundle, &unit_s);
        while (id != ES_NONE && !suits(sched, id, worker))
            id = sched->units[id].next == ES_NONE ? sched->bundles[bundle].units.first
                                                  : sched->units[id].next;
        if (n > 0 && *ret_taken_s + unit_s > limit_s)
            break;
        *ret_taken_s += unit_s;
        take_one(sched, bundle, id);
        ret_units[n++] = id;
        if (!es_bundle_has_for(sched, bundle, worker))
            break;
    }
    return n;
}

double es_bundle_longest_s(const struct es_sched *sched, uint32_t bundle)
{
    double longest_s;
    (void)longer_end(sched, bundle, &longest_s);
    return longest_s + es_bundle_pass_s(sched, bundle);
}

double es_bundle_shortest_s(const struct es_sched *sched, uint32_t bundle)
{
    const struct es_unit_list *units = &sched->bundles[bundle].units;
    return fmin(es_bundle_unit_s(sched, bundle, units->first),
                es_bundle_unit_s(sched, bundle, units->last)) +
           es_bundle_pass_s(sched, bundle);
}

uint32_t es_bundle_take_longest(struct es_sched *sched, uint32_t bundle)
{
    double unit_s;
    uint32_t id = longer_end(sched, bundle, &unit_s);
    double work_s = (double)sched->bundles[bundle].work_s;
    take_one(sched, bundle, id);
    set_rest(sched, bundle, work_s, unit_s);
    return id;
}

/* Looks at a bundle's costs again; how many costs of units that computed. */
static int64_t reprice(struct es_sched *sched, uint32_t bundle)
{
    if (sched->bundles[bundle].units.n == 0)
        return 1;
    double key = key_of(sched, bundle), before = sched->bundle_nodes[bundle].key;
    if (fabs(key - before) <= REFRESH_CHANGE * fabs(before) && !is_stale(sched, bundle))
        return LOOK_COSTS;
    price(sched, bundle);
    rank(sched, bundle);
    return LOOK_COSTS + sched->bundles[bundle].units.n;
}

/* A bundle's costs, where what was learned since has changed them. */
static int64_t refresh(struct es_sched *sched, uint32_t bundle)
{
    int64_t n_costs = reprice(sched, bundle);
    if (n_costs > LOOK_COSTS)
        es_group_changed(sched, es_bundle_group(sched, bundle));
    return n_costs;
}

static void refresh_task(struct es_sched *sched, uint32_t task)
{
    for (uint32_t b = task; b < sched->n_bundles; b += sched->n_tasks)
        (void)refresh(sched, b);
}

void es_bundle_refresh(struct es_sched *sched, uint32_t task)
{
    uint32_t n = ++sched->n_measured[task];
    uint64_t n_wanted = REFRESH_TIMES * sched->n_bundles / ++sched->n_learned;
    if ((n & (n - 1)) == 0)
        refresh_task(sched, task);
    if (n_wanted > REFRESH_MOST)
        n_wanted = REFRESH_MOST;
    sched->refresh_costs += REFRESH_COSTS;
    while (n_wanted > 0 || sched->refresh_costs > 0) {
        int64_t n_costs = refresh(sched, sched->refresh_next);
        if (n_wanted > 0)
            n_wanted--;
        else
            sched->refresh_costs -= n_costs;
        sched->refresh_next =
            sched->refresh_next + 1 < sched->n_bundles ? sched->refresh_next + 1 : 0;
    }
}

/* Others need not hurry to find out about it any more. */
static void begin_task(struct es_sched *sched, uint32_t task)
{
    if (sched->is_begun[task])
        return;
    sched->is_begun[task] = true;
    if (!es_cost_is_known(sched->cost, task))
        refresh_task(sched, task);
}

uint32_t es_bundle_take(struct es_sched *sched, uint32_t bundle, uint32_t worker, double limit_s,
                        uint32_t n_max, uint32_t *ret_units)
{
    struct es_bundle *own = &sched->bundles[bundle];
    double work_s = (double)own->work_s, taken_s = 0;
    uint32_t n =
        own->units.n <= n_max && work_s <= limit_s
            ? take_all(sched, bundle, worker, ret_units, &taken_s)
            : take_longest(sched, bundle, worker, limit_s - es_bundle_pass_s(sched, bundle), n_max,
                           ret_units, &taken_s);
    set_rest(sched, bundle, work_s, taken_s);
    begin_task(sched, bundle % sched->n_tasks);
    return n;
}
