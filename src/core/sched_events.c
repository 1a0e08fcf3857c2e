/* Events: what becomes of units and workers, and what is learned from that. */
#include "core/sched_state.h"

/* Workers are alike until measured: standard deviations of the logarithm of a speed, and by how
 * many of its own a measurement moves it at most. */
#define SD_SPEED 0.03
#define SD_SPEED_LEAST 0.01
#define SD_MOVE 2.5
#define SLOWEST 0.01
#define FASTEST 100.0
/* A unit may differ by such a part from what was expected without a second look at the others. */
#define SURPRISE_LEAST 0.2

void es_sched_make_ready(struct es_sched *sched, uint32_t unit_id, double now_s)
{
    if (es_blame_n_covering(sched->blame, unit_id) > 0) {
        sched->units[unit_id].state = ES_UNIT_BLOCKED;
        es_unit_list_append(&sched->blocked, sched->units, unit_id);
        es_blame_covered(sched->blame, unit_id, now_s);
        return;
    }
    uint32_t failed_on = sched->units[unit_id].failed_on;
    if (es_bundle_unit_allowed(sched, unit_id, failed_on))
        failed_on = ES_NONE; /* as if it had not */
    es_bundle_add(sched, unit_id);
    uint32_t group = es_bundle_group(sched, es_bundle_of(sched, unit_id));
    es_group_changed(sched, group);
    es_queue_wake_one(sched, group, failed_on, now_s);
}

int es_sched_add(struct es_sched *sched, uint32_t unit_id, struct es_err *err)
{
    if (unit_id >= sched->n_units || sched->units[unit_id].state != ES_UNIT_ABSENT)
        return es_err_set(err, ES_ERR_INTERNAL, "scheduling", NULL, "unit %u is there already",
                          unit_id);
    sched->units[unit_id].failed_on = ES_NONE;
    es_sched_make_ready(sched, unit_id, isnan(sched->start_s) ? 0 : sched->start_s);
    return 0;
}

static void count_in(struct es_sched *sched, uint32_t worker)
{
    sched->n_workers++;
    sched->total_speed += sched->workers[worker].speed;
}

static void count_out(struct es_sched *sched, uint32_t worker)
{
    sched->n_workers--;
    sched->total_speed =
        sched->n_workers == 0 ? 0 : sched->total_speed - sched->workers[worker].speed;
}

int es_sched_join(struct es_sched *sched, uint32_t worker, double speed, double now_s,
                  struct es_err *err)
{
    if (es_queue_add_worker(sched, worker) < 0 ||
        es_blame_add_workers(sched->blame, sched->workers_cap) < 0)
        return es_err_nomem(err, "a worker joins");
    if (isnan(sched->start_s))
        sched->start_s = now_s;
    es_sched_leave(sched, worker, now_s);
    sched->workers[worker] = (struct es_sched_worker){
        .alive = true,
        .speed = speed,
        .speed_variance = SD_SPEED * SD_SPEED,
        .queue = ES_UNIT_LIST_EMPTY,
        .promised = ES_UNIT_LIST_EMPTY,
        .end_s = now_s,
        .group = sched->policy.one_group ? 0 : ES_NONE,
        .checkpoint = ES_NONE,
        .bundle = ES_NONE,
        .done_checkpoint = ES_NONE,
        .done_bundle = ES_NONE,
        .thief = ES_NONE,
        .victim = ES_NONE,
    };
    count_in(sched, worker);
    es_blame_set_active(sched->blame, worker, true);
    sched->fastest = fmax(sched->fastest, speed);
    es_queue_changed(sched, worker, now_s);
    return 0;
}

/* Whoever wanted what this worker was asked to give back waits no longer, and is looked after. */
static void release_thief(struct es_sched *sched, uint32_t worker, double now_s)
{
    uint32_t thief = sched->workers[worker].thief;
    sched->workers[worker].thief = ES_NONE;
    if (thief == ES_NONE)
        return;
    sched->workers[thief].victim = ES_NONE;
    es_queue_wake_at(sched, thief, now_s);
}

/* The answer to one recalled unit is in; after the last one, nobody waits any longer. */
static void answered(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    if (own->n_recalled > 0 && --own->n_recalled == 0)
        release_thief(sched, worker, now_s);
}

void es_sched_renounce(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    if (own->victim != ES_NONE)
        sched->workers[own->victim].thief = ES_NONE;
    own->victim = ES_NONE;
    while (own->promised.n > 0) {
        uint32_t unit_id = own->promised.first;
        es_unit_list_remove(&own->promised, sched->units, unit_id);
        sched->n_promised--;
        es_sched_make_ready(sched, unit_id, now_s);
    }
}

/* The only one left may now run what failed on it. */
static void wake_last_one(struct es_sched *sched, double now_s)
{
    if (sched->n_workers == 1 && sched->idle != ES_HEAP_EMPTY)
        es_queue_wake_at(sched, sched->idle, now_s);
}

/* A held unit leaves its worker's queue. */
static void drop(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s)
{
    bool recalled = sched->units[unit_id].recall == ES_RECALL_ASKED;
    es_queue_remove(sched, worker, unit_id, now_s);
    if (recalled)
        answered(sched, worker, now_s);
}

void es_sched_drop_all(struct es_sched *sched, uint32_t worker, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    while (own->queue.n > 0) {
        uint32_t unit_id = own->queue.first;
        drop(sched, worker, unit_id, now_s);
        sched->units[unit_id].tried = true;
        es_sched_make_ready(sched, unit_id, now_s);
    }
}

void es_sched_leave(struct es_sched *sched, uint32_t worker, double now_s)
{
    if (worker >= sched->workers_cap || !sched->workers[worker].alive)
        return;
    struct es_sched_worker *own = &sched->workers[worker];
    es_queue_forget(sched, worker);
    if (own->group != ES_NONE)
        es_group_changed(sched, own->group);
    own->alive = false;
    if (!own->away)
        count_out(sched, worker);
    es_sched_renounce(sched, worker, now_s);
    es_sched_drop_all(sched, worker, now_s);
    es_blame_set_active(sched->blame, worker, false);
    es_sched_carry_out(sched, now_s);
    wake_last_one(sched, now_s);
}

void es_sched_go_away(struct es_sched *sched, uint32_t worker, unsigned why, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    unsigned before = own->away;
    own->away |= why;
    if (before)
        return;
    es_queue_forget(sched, worker);
    if (own->group != ES_NONE)
        es_group_changed(sched, own->group);
    count_out(sched, worker);
    es_sched_renounce(sched, worker, now_s);
    release_thief(sched, worker, now_s);
    wake_last_one(sched, now_s);
}

void es_sched_come_back(struct es_sched *sched, uint32_t worker, unsigned why, double now_s)
{
    struct es_sched_worker *own = &sched->workers[worker];
    unsigned before = own->away;
    own->away &= ~why;
    if (own->away & ES_AWAY_PAUSED)
        es_queue_wake_at(sched, worker, es_blame_paused_until(sched->blame, worker));
    if (own->away || !before)
        return;
    count_in(sched, worker);
    es_queue_changed(sched, worker, now_s);
}

void es_sched_suspend(struct es_sched *sched, uint32_t worker, double now_s)
{
    if (worker < sched->workers_cap && sched->workers[worker].alive)
        es_sched_go_away(sched, worker, ES_AWAY_SILENT, now_s);
}

void es_sched_resume(struct es_sched *sched, uint32_t worker, double now_s)
{
    if (worker < sched->workers_cap && sched->workers[worker].alive)
        es_sched_come_back(sched, worker, ES_AWAY_SILENT, now_s);
}

/* Learns how fast a worker is from how a unit's time differs from what was expected of it. */
static void learn_speed(struct es_sched *sched, uint32_t worker, uint32_t unit_id,
                        const struct es_times *times, enum es_cost_paid paid)
{
    struct es_sched_worker *own = &sched->workers[worker];
    double variance;
    double surprise =
        es_cost_surprise(sched->cost, unit_id, times, paid, &variance) + log(own->speed);
    if (isnan(surprise))
        return;
    double own_variance = own->speed_variance, before = own->speed;
    variance += own_variance;
    double gain = own_variance / variance, most = SD_MOVE * sqrt(variance);
    double excess = fmax(fabs(surprise) - most, 0); /* no outlier, if the next ones are like it */
    own_variance = own_variance * (1 - gain) + gain * excess * excess / 4;
    own->speed_variance = fmin(fmax(own_variance, SD_SPEED_LEAST * SD_SPEED_LEAST), 1);
    own->speed *= exp(-gain * fmin(fmax(surprise, -most), most));
    own->speed = fmin(fmax(own->speed, SLOWEST), FASTEST);
    if (!own->away)
        sched->total_speed += own->speed - before;
    sched->fastest = fmax(sched->fastest, own->speed);
}

static void learn(struct es_sched *sched, uint32_t worker, uint32_t unit_id,
                  const struct es_times *times)
{
    struct es_sched_worker *own = &sched->workers[worker];
    uint32_t bundle = es_bundle_of(sched, unit_id);
    uint32_t checkpoint = bundle / sched->n_tasks;
    enum es_cost_paid paid = checkpoint != own->done_checkpoint ? ES_COST_PAID_LOAD
                             : bundle != own->done_bundle       ? ES_COST_PAID_PASS
                                                                : ES_COST_PAID_NOTHING;
    own->done_checkpoint = checkpoint;
    own->done_bundle = bundle;
    learn_speed(sched, worker, unit_id, times, paid);
    struct es_times at_speed_1 = {.total_s = times->total_s * own->speed,
                                  .load_s = times->load_s,
                                  .pass_s = times->pass_s * own->speed,
                                  .score_s = times->score_s * own->speed};
    es_cost_observe(sched->cost, ES_COST_THIS_RUN, unit_id, &at_speed_1, paid);
    es_bundle_refresh(sched, bundle % sched->n_tasks);
}

void es_sched_done(struct es_sched *sched, uint32_t worker, uint32_t unit_id,
                   const struct es_times *times, double now_s)
{
    if (!es_sched_is_held_by(sched, worker, unit_id))
        return;
    double expected_s = (double)sched->units[unit_id].u.expected_s / sched->workers[worker].speed;
    drop(sched, worker, unit_id, now_s);
    sched->units[unit_id].state = ES_UNIT_DONE;
    if (!isnan(times->total_s))
        learn(sched, worker, unit_id, times);
    if (isnan(times->total_s))
        es_blame_found(sched->blame, unit_id);
    else
        es_blame_succeeded(sched->blame, worker, unit_id, now_s);
    if (fabs(times->total_s - expected_s) > SURPRISE_LEAST * expected_s)
        es_queue_reprice(sched, worker);
    es_queue_changed(sched, worker, now_s);
    es_sched_carry_out(sched, now_s);
}

/* A failed unit waits for its next try, or has failed for good: whether it has. */
static bool fail(struct es_sched *sched, uint32_t unit_id, bool may_retry, double now_s)
{
    struct es_unit_node *unit = &sched->units[unit_id];
    if (!may_retry || unit->n_failed >= sched->config.max_attempts) {
        unit->state = ES_UNIT_FAILED;
        return true;
    }
    uint32_t doublings =
        unit->n_failed < ES_SCHED_N_DELAYED ? unit->n_failed - 1u : ES_SCHED_N_DELAYED - 1;
    unit->state = ES_UNIT_DELAYED;
    unit->u.ready_s =
        (float)(now_s - sched->start_s + ldexp(sched->config.retry_delay_s, (int)doublings));
    es_unit_list_append(&sched->delayed[doublings], sched->units, unit_id);
    sched->n_delayed++;
    return false;
}

bool es_sched_failed(struct es_sched *sched, uint32_t worker, uint32_t unit_id, bool may_retry,
                     uint32_t reason, double now_s)
{
    if (!es_sched_is_held_by(sched, worker, unit_id))
        return true;
    struct es_unit_node *unit = &sched->units[unit_id];
    drop(sched, worker, unit_id, now_s);
    sched->workers[worker].done_checkpoint = ES_NONE; /* its evaluator may have died */
    sched->workers[worker].done_bundle = ES_NONE;
    const struct es_failure failure = {.worker = worker,
                                       .unit_id = unit_id,
                                       .reason = reason,
                                       .is_first = unit->n_failed == 0,
                                       .is_fresh_left = sched->n_fresh > 0};
    unit->n_failed++;
    unit->tried = true;
    unit->failed_on = worker;
    bool is_last = fail(sched, unit_id, may_retry, now_s);
    es_blame_failed(sched->blame, &failure, now_s);
    es_queue_changed(sched, worker, now_s); /* a doubtful one is to give the rest back */
    es_sched_carry_out(sched, now_s);
    return is_last;
}

void es_sched_failed_elsewhere(struct es_sched *sched, uint32_t worker, uint32_t unit_id,
                               double now_s)
{
    if (!es_sched_is_held_by(sched, worker, unit_id))
        return;
    drop(sched, worker, unit_id, now_s);
    sched->units[unit_id].state = ES_UNIT_FAILED;
    sched->units[unit_id].failed_on = ES_NONE;      /* nothing here retracts it */
    es_blame_covered(sched->blame, unit_id, now_s); /* no probe any more, if it was one */
    es_queue_changed(sched, worker, now_s);
}

void es_sched_returned(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s)
{
    if (!es_sched_is_held_by(sched, worker, unit_id))
        return;
    struct es_unit_node *unit = &sched->units[unit_id];
    uint32_t thief = unit->recall == ES_RECALL_ASKED ? sched->workers[worker].thief : ES_NONE;
    drop(sched, worker, unit_id, now_s);
    if (thief == ES_NONE) {
        es_sched_make_ready(sched, unit_id, now_s);
    } else {
        unit->state = ES_UNIT_PROMISED;
        es_unit_list_append(&sched->workers[thief].promised, sched->units, unit_id);
        sched->n_promised++;
    }
    es_queue_changed(sched, worker, now_s);
}

void es_sched_kept(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s)
{
    if (!es_sched_is_held_by(sched, worker, unit_id) ||
        sched->units[unit_id].recall != ES_RECALL_ASKED)
        return;
    sched->units[unit_id].recall = ES_RECALL_KEPT;
    sched->workers[worker].queue_s += (double)sched->units[unit_id].u.expected_s;
    answered(sched, worker, now_s);
    es_queue_changed(sched, worker, now_s);
}

void es_sched_park(struct es_sched *sched, uint32_t worker, uint32_t unit_id, double now_s)
{
    if (!es_sched_is_held_by(sched, worker, unit_id))
        return;
    drop(sched, worker, unit_id, now_s);
    sched->units[unit_id].state = ES_UNIT_PARKED;
    sched->n_parked++;
    es_queue_changed(sched, worker, now_s);
}

uint32_t es_sched_park_another(struct es_sched *sched, uint32_t unit_id)
{
    uint32_t bundle = es_bundle_of(sched, unit_id);
    uint32_t first = sched->bundles[bundle].units.first;
    if (first == ES_NONE)
        return ES_NONE;
    es_bundle_remove(sched, first);
    es_group_changed(sched, es_bundle_group(sched, bundle));
    sched->units[first].state = ES_UNIT_PARKED;
    sched->n_parked++;
    return first;
}

void es_sched_unpark(struct es_sched *sched, uint32_t unit_id, double now_s)
{
    if (unit_id >= sched->n_units || sched->units[unit_id].state != ES_UNIT_PARKED)
        return;
    sched->n_parked--;
    es_sched_make_ready(sched, unit_id, now_s);
}

bool es_sched_settle(struct es_sched *sched, uint32_t unit_id, bool is_done)
{
    if (unit_id >= sched->n_units || sched->units[unit_id].state != ES_UNIT_PARKED)
        return false;
    sched->n_parked--;
    sched->units[unit_id].state = is_done ? ES_UNIT_DONE : ES_UNIT_FAILED;
    sched->units[unit_id].failed_on = ES_NONE; /* nothing here retracts it */
    if (is_done)
        es_blame_found(sched->blame, unit_id);
    else
        es_blame_covered(sched->blame, unit_id, sched->now_s);
    es_sched_carry_out(sched, sched->now_s);
    return true;
}
