#include "evalsweep/sim.h"

#include "core/etalog.h"
#include "core/heap.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/unitlist.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE ES_GRID_NONE
/* A forecast is good within this part of what was left; it may learn for so long. */
#define ETA_WITHIN 0.1
#define ETA_FROM 0.2

enum message_kind {
    MESSAGE_ASSIGN, /* to a worker */
    MESSAGE_RECALL,
    MESSAGE_RESET,
    MESSAGE_DONE, /* to the coordinator */
    MESSAGE_FAILED,
    MESSAGE_RETURNED,
    MESSAGE_KEPT,
    MESSAGE_LEFT,
};

struct message {
    enum message_kind kind;
    uint32_t worker;
    uint32_t unit_id;
    double arrives_s;
    struct es_times times;
};

/* Messages on their way. As all take equally long, they arrive in the order in which they were
 * sent. */
struct channel {
    struct message *ring;
    size_t cap; /* a power of two, or 0 */
    size_t first;
    size_t n;
};

struct sim_worker {
    bool alive;
    double speed;
    struct es_unit_list queue; /* arrived; the running one is not in it any more */
    uint32_t running;
    double begun_s;
    struct es_times times; /* of the running one */
    bool fails;
    uint64_t n_failed;
    uint32_t checkpoint; /* loaded */
    uint32_t bundle;     /* passed last */
};

struct sim {
    const struct es_grid *grid;
    const struct es_sim_times *truth;
    const struct es_sim_config *config;
    struct es_sched *sched;
    struct es_rng rng;
    double now_s;
    uint32_t n_tasks;
    struct sim_worker *workers;
    struct es_unit_node *units;                                /* their links only */
    struct es_heap_node *end_nodes, *join_nodes, *leave_nodes; /* [n_workers] */
    uint32_t ends, joins, leaves;                              /* heaps by time */
    struct channel to_workers, to_coordinator;
    uint32_t *unit_failed;       /* [n_units] attempts; NULL without faults, as the next */
    uint32_t *checkpoint_failed; /* [n_workers * n_checkpoints] */
    bool no_memory;
    struct es_eta_log etas;
    struct es_sim_result result;
};

static void send(struct sim *sim, struct channel *channel, struct message message)
{
    if (channel->n == channel->cap) {
        size_t cap = channel->cap ? 2 * channel->cap : 64;
        struct message *ring = es_mem_calloc(cap, sizeof *ring);
        if (!ring) {
            sim->no_memory = true;
            return;
        }
        for (size_t i = 0; i < channel->n; i++)
            ring[i] = channel->ring[(channel->first + i) & (channel->cap - 1)];
        free(channel->ring);
        *channel = (struct channel){.ring = ring, .cap = cap, .n = channel->n};
    }
    message.arrives_s = sim->now_s + sim->config->message_s;
    channel->ring[(channel->first + channel->n++) & (channel->cap - 1)] = message;
}

static struct message receive(struct channel *channel)
{
    struct message message = channel->ring[channel->first];
    channel->first = (channel->first + 1) & (channel->cap - 1);
    channel->n--;
    return message;
}

static double arrival(const struct channel *channel)
{
    return channel->n > 0 ? channel->ring[channel->first].arrives_s : (double)INFINITY;
}

static void report(struct sim *sim, enum message_kind kind, uint32_t worker, uint32_t unit_id)
{
    send(sim, &sim->to_coordinator,
         (struct message){.kind = kind,
                          .worker = worker,
                          .unit_id = unit_id,
                          .times = sim->workers[worker].times});
}

/* What the unit takes on this worker, as it stands: a load and a pass are paid where due. */
static struct es_times times_on(const struct sim *sim, struct sim_worker *own, uint32_t unit_id)
{
    struct es_unit unit = es_grid_unit(sim->grid, unit_id);
    uint32_t bundle = unit.checkpoint * sim->n_tasks + unit.task;
    double pass_s = sim->truth->pass_s ? (double)sim->truth->pass_s[bundle] : 0;
    struct es_times times = {
        .load_s = unit.checkpoint != own->checkpoint ? sim->truth->load_s[unit.checkpoint] : 0,
        .pass_s = bundle != own->bundle ? pass_s / own->speed : 0,
        .score_s = fmax((double)sim->truth->unit_s[unit_id] - pass_s, 0) / own->speed,
    };
    times.total_s = times.load_s + times.pass_s + times.score_s;
    own->checkpoint = unit.checkpoint;
    own->bundle = bundle;
    return times;
}

bool es_sim_is_faulty(const struct es_grid *grid, const struct es_sim_fault *faults,
                      uint32_t n_faults, uint32_t worker, uint32_t unit_id, double now_s)
{
    struct es_unit unit = es_grid_unit(grid, unit_id);
    struct es_rng rng;
    for (uint32_t i = 0; i < n_faults; i++) {
        const struct es_sim_fault *fault = &faults[i];
        bool hits = fault->kind == ES_FAULT_OUTAGE ||
                    (fault->kind == ES_FAULT_TASK && fault->index == unit.task) ||
                    (fault->kind == ES_FAULT_CHECKPOINT && fault->index == unit.checkpoint) ||
                    (fault->kind == ES_FAULT_WORKER && fault->index == worker);
        if (fault->kind == ES_FAULT_UNIT) {
            es_rng_init(&rng, unit_id + 1ULL);
            hits = es_rng_unit(&rng) < fault->share;
        }
        if (hits && now_s >= fault->after_s && now_s < fault->after_s + fault->for_s)
            return true;
    }
    return false;
}

static void begin_next(struct sim *sim, uint32_t worker)
{
    struct sim_worker *own = &sim->workers[worker];
    own->running = own->queue.first;
    if (own->running == NONE)
        return;
    es_unit_list_remove(&own->queue, sim->units, own->running);
    sim->result.n_loads += es_grid_unit(sim->grid, own->running).checkpoint != own->checkpoint;
    own->times = times_on(sim, own, own->running);
    own->begun_s = sim->now_s;
    double p = sim->config->failure_probability;
    own->fails = p > 0 && es_rng_unit(&sim->rng) < p;
    double part = own->fails ? es_rng_unit(&sim->rng) : 1;
    if (es_sim_is_faulty(sim->grid, sim->config->faults, sim->config->n_faults, worker,
                         own->running, sim->now_s)) {
        own->fails = true;
        part = sim->config->fault_takes;
    }
    double takes_s = own->times.load_s + part * (own->times.pass_s + own->times.score_s);
    es_heap_set(sim->end_nodes, &sim->ends, worker, -(sim->now_s + takes_s));
}

/* The running unit ends, or is cut off. */
static void account(struct sim *sim, uint32_t worker, bool ok)
{
    struct sim_worker *own = &sim->workers[worker];
    double took_s = sim->now_s - own->begun_s;
    double load_s = fmin(own->times.load_s, took_s);
    sim->result.load_s += load_s;
    sim->result.work_s += took_s - load_s;
    if (sim->config->on_try)
        sim->config->on_try(sim->config->context, &(struct es_sim_try){.worker = worker,
                                                                       .unit_id = own->running,
                                                                       .begun_s = own->begun_s,
                                                                       .ended_s = sim->now_s,
                                                                       .load_s = load_s,
                                                                       .ok = ok});
}

static void keep_most(uint64_t n, uint64_t *most)
{
    *most = n > *most ? n : *most;
}

static void count_failed(struct sim *sim, uint32_t worker)
{
    struct sim_worker *own = &sim->workers[worker];
    struct es_sim_result *result = &sim->result;
    result->n_failed_tries++;
    result->failed_s += sim->now_s - own->begun_s;
    keep_most(++own->n_failed, &result->n_failed_tries_most);
    if (!sim->unit_failed)
        return;
    size_t pair = (size_t)worker * es_grid_n_checkpoints(sim->grid) +
                  es_grid_unit(sim->grid, own->running).checkpoint;
    keep_most(++sim->unit_failed[own->running], &result->n_failed_tries_most_unit);
    keep_most(++sim->checkpoint_failed[pair], &result->n_failed_tries_most_checkpoint);
}

static void end_unit(struct sim *sim, uint32_t worker)
{
    struct sim_worker *own = &sim->workers[worker];
    es_heap_remove(sim->end_nodes, &sim->ends, worker);
    account(sim, worker, !own->fails);
    if (own->fails)
        count_failed(sim, worker);
    if (!sim->config->reports_parts)
        own->times.load_s = own->times.pass_s = own->times.score_s = (double)NAN;
    report(sim, own->fails ? MESSAGE_FAILED : MESSAGE_DONE, worker, own->running);
    begin_next(sim, worker);
}

/* A recalled unit goes back if it was not begun; one that is through already has been reported. */
static void answer_recall(struct sim *sim, uint32_t worker, uint32_t unit_id)
{
    struct sim_worker *own = &sim->workers[worker];
    if (own->running == unit_id) {
        report(sim, MESSAGE_KEPT, worker, unit_id);
        return;
    }
    for (uint32_t id = own->queue.last; id != NONE; id = sim->units[id].prev)
        if (id == unit_id) {
            es_unit_list_remove(&own->queue, sim->units, unit_id);
            report(sim, MESSAGE_RETURNED, worker, unit_id);
            return;
        }
}

/* It lets go of all that it holds, and begins anew. */
static void reset(struct sim *sim, uint32_t worker)
{
    struct sim_worker *own = &sim->workers[worker];
    es_heap_remove(sim->end_nodes, &sim->ends, worker);
    if (own->running != NONE)
        account(sim, worker, false);
    own->running = own->checkpoint = own->bundle = NONE;
    own->queue = ES_UNIT_LIST_EMPTY;
}

static void arrive_at_worker(struct sim *sim, const struct message *message)
{
    struct sim_worker *own = &sim->workers[message->worker];
    if (!own->alive)
        return;
    if (message->kind == MESSAGE_RECALL) {
        answer_recall(sim, message->worker, message->unit_id);
        return;
    }
    if (message->kind == MESSAGE_RESET) {
        reset(sim, message->worker);
        return;
    }
    es_unit_list_append(&own->queue, sim->units, message->unit_id);
    if (own->running == NONE)
        begin_next(sim, message->worker);
}

/* Those in quarantine are told. */
static void hear_verdicts(struct sim *sim)
{
    struct es_blame_verdict verdict;
    while (es_sched_next_verdict(sim->sched, &verdict)) {
        if (verdict.kind == ES_BLAME_QUARANTINED)
            send(sim, &sim->to_workers,
                 (struct message){.kind = MESSAGE_RESET, .worker = verdict.suspect.worker});
        if (sim->config->on_verdict)
            sim->config->on_verdict(sim->config->context, &verdict, sim->now_s);
    }
}

static void arrive_at_coordinator(struct sim *sim, const struct message *message)
{
    uint32_t worker = message->worker, unit_id = message->unit_id;
    sim->result.n_messages++;
    switch (message->kind) {
    case MESSAGE_DONE:
        sim->result.n_units_done += es_sched_is_held_by(sim->sched, worker, unit_id);
        es_sched_done(sim->sched, worker, unit_id, &message->times, sim->now_s);
        break;
    case MESSAGE_FAILED:
        (void)es_sched_failed(sim->sched, worker, unit_id, true, 0, sim->now_s);
        break;
    case MESSAGE_RETURNED:
        es_sched_returned(sim->sched, worker, unit_id, sim->now_s);
        break;
    case MESSAGE_KEPT:
        es_sched_kept(sim->sched, worker, unit_id, sim->now_s);
        break;
    case MESSAGE_LEFT:
        es_sched_leave(sim->sched, worker, sim->now_s);
        break;
    case MESSAGE_ASSIGN:
    case MESSAGE_RECALL:
    case MESSAGE_RESET:
        break;
    }
    hear_verdicts(sim);
}

static int join(struct sim *sim, uint32_t worker, struct es_err *err)
{
    es_heap_remove(sim->join_nodes, &sim->joins, worker);
    sim->workers[worker].alive = true;
    double speed = sim->config->speeds_known ? sim->workers[worker].speed : 1;
    return es_sched_join(sim->sched, worker, speed, sim->now_s, err);
}

static void leave(struct sim *sim, uint32_t worker)
{
    struct sim_worker *own = &sim->workers[worker];
    es_heap_remove(sim->leave_nodes, &sim->leaves, worker);
    es_heap_remove(sim->end_nodes, &sim->ends, worker);
    if (own->running != NONE)
        account(sim, worker, false);
    own->alive = false;
    own->running = NONE;
    own->queue = ES_UNIT_LIST_EMPTY;
    report(sim, MESSAGE_LEFT, worker, NONE);
}

static void act(struct sim *sim)
{
    struct es_action action;
    uint32_t addressed = NONE; /* actions in a row for one worker are one message */
    while (es_sched_next_action(sim->sched, sim->now_s, &action)) {
        sim->result.n_messages += action.worker != addressed;
        addressed = action.worker;
        for (uint32_t i = 0; i < action.n_layers; i++) {
            struct es_unit unit = {action.checkpoint, action.layers[i], action.task};
            send(sim, &sim->to_workers,
                 (struct message){.kind = action.kind == ES_ACTION_ASSIGN ? MESSAGE_ASSIGN
                                                                          : MESSAGE_RECALL,
                                  .worker = action.worker,
                                  .unit_id = es_grid_id(sim->grid, unit)});
        }
    }
}

static double heap_time(const struct es_heap_node *nodes, uint32_t heap)
{
    return heap == ES_HEAP_EMPTY ? (double)INFINITY : -nodes[heap].key;
}

/* Lets everything happen that happens at the present time. */
static int happen(struct sim *sim, struct es_err *err)
{
    for (;;) {
        if (heap_time(sim->join_nodes, sim->joins) <= sim->now_s) {
            int rc = join(sim, sim->joins, err);
            if (rc < 0)
                return rc;
        } else if (heap_time(sim->end_nodes, sim->ends) <= sim->now_s) {
            end_unit(sim, sim->ends);
        } else if (heap_time(sim->leave_nodes, sim->leaves) <= sim->now_s) {
            leave(sim, sim->leaves);
        } else if (arrival(&sim->to_workers) <= sim->now_s) {
            struct message message = receive(&sim->to_workers);
            arrive_at_worker(sim, &message);
        } else if (arrival(&sim->to_coordinator) <= sim->now_s) {
            struct message message = receive(&sim->to_coordinator);
            arrive_at_coordinator(sim, &message);
        } else {
            return 0;
        }
    }
}

/* An outage that outlasts all patience. */
static bool is_hopeless(const struct sim *sim)
{
    const struct es_suspect *outage = es_sched_outage(sim->sched);
    return outage && sim->now_s - outage->since_s >=
                         es_outage_patience_s(sim->config->outage_s, sim->result.n_units_done > 0);
}

static int run(struct sim *sim, struct es_err *err)
{
    bool has_ended = false;
    while (!es_sched_finished(sim->sched)) {
        int rc = happen(sim, err);
        if (rc < 0)
            return rc;
        act(sim);
        if (sim->no_memory)
            return es_err_nomem(err, "simulating");
        has_ended = es_sched_is_blocked(sim->sched, sim->now_s) || is_hopeless(sim);
        if (has_ended)
            break;
        if (es_eta_log_is_due(&sim->etas, sim->now_s))
            es_eta_log_add(&sim->etas, sim->now_s, es_sched_eta(sim->sched, sim->now_s));
        double next_s = fmin(heap_time(sim->end_nodes, sim->ends), arrival(&sim->to_workers));
        next_s = fmin(next_s, arrival(&sim->to_coordinator));
        next_s = fmin(next_s, heap_time(sim->join_nodes, sim->joins));
        next_s = fmin(next_s, es_sched_deadline(sim->sched));
        if (es_sched_n_workers(sim->sched) > 0)
            next_s = fmin(next_s, heap_time(sim->leave_nodes, sim->leaves));
        if (es_sched_finished(sim->sched) || isinf(next_s))
            break;
        sim->now_s = fmax(sim->now_s, next_s);
    }
    if (!has_ended && !es_sched_finished(sim->sched) && es_sched_n_workers(sim->sched) > 0)
        return es_err_set(err, ES_ERR_INTERNAL, "simulating", NULL,
                          "%u units are left and nothing happens any more",
                          es_sched_n_pending(sim->sched));
    return 0;
}

static int add_units(struct sim *sim, const uint8_t *pending, struct es_err *err)
{
    for (uint32_t id = 0; id < es_grid_n_units(sim->grid); id++) {
        if (pending ? !pending[id] : es_grid_is_excluded(sim->grid, id))
            continue;
        int rc = es_sched_add(sim->sched, id, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void set_lower_bound(struct sim *sim, const uint8_t *pending)
{
    double total_s = 0, longest_s = 0, total_speed = 0, fastest = 0;
    uint32_t n_checkpoints = es_grid_n_checkpoints(sim->grid);
    for (uint32_t bundle = 0; bundle < n_checkpoints * sim->n_tasks; bundle++) {
        double pass_s = sim->truth->pass_s ? (double)sim->truth->pass_s[bundle] : 0;
        struct es_unit unit = {bundle / sim->n_tasks, 0, bundle % sim->n_tasks};
        bool any = false;
        for (; unit.layer < es_grid_n_layers(sim->grid); unit.layer++) {
            uint32_t id = es_grid_id(sim->grid, unit);
            if (pending ? !pending[id] : es_grid_is_excluded(sim->grid, id))
                continue;
            double unit_s = (double)sim->truth->unit_s[id];
            total_s += fmax(unit_s - pass_s, 0);
            longest_s = fmax(longest_s, unit_s);
            any = true;
        }
        total_s += any ? pass_s : 0;
    }
    for (uint32_t w = 0; w < sim->config->n_workers; w++) {
        total_speed += sim->workers[w].speed;
        fastest = fmax(fastest, sim->workers[w].speed);
    }
    if (fastest > 0)
        sim->result.lower_bound_s = fmax(total_s / total_speed, longest_s / fastest);
}

static bool allocate(struct sim *sim)
{
    uint32_t n = sim->config->n_workers;
    sim->workers = es_mem_calloc(n, sizeof *sim->workers);
    sim->units = es_mem_calloc(es_grid_n_units(sim->grid), sizeof *sim->units);
    sim->end_nodes = es_mem_calloc(n, sizeof *sim->end_nodes);
    sim->join_nodes = es_mem_calloc(n, sizeof *sim->join_nodes);
    sim->leave_nodes = es_mem_calloc(n, sizeof *sim->leave_nodes);
    if (!sim->workers || !sim->units || !sim->end_nodes || !sim->join_nodes || !sim->leave_nodes)
        return false;
    if (sim->config->n_faults > 0) {
        size_t n_pairs = (size_t)n * es_grid_n_checkpoints(sim->grid);
        sim->unit_failed = es_mem_calloc(es_grid_n_units(sim->grid), sizeof *sim->unit_failed);
        sim->checkpoint_failed = es_mem_calloc(n_pairs, sizeof *sim->checkpoint_failed);
        if (!sim->unit_failed || !sim->checkpoint_failed)
            return false;
    }
    es_heap_init(sim->end_nodes, 0, n);
    es_heap_init(sim->join_nodes, 0, n);
    es_heap_init(sim->leave_nodes, 0, n);
    sim->ends = sim->joins = sim->leaves = ES_HEAP_EMPTY;
    return true;
}

static void set_workers(struct sim *sim)
{
    const struct es_sim_config *config = sim->config;
    for (uint32_t w = 0; w < config->n_workers; w++) {
        sim->workers[w] = (struct sim_worker){.speed = config->speed ? config->speed[w] : 1,
                                              .queue = ES_UNIT_LIST_EMPTY,
                                              .running = NONE,
                                              .checkpoint = NONE,
                                              .bundle = NONE};
        es_heap_set(sim->join_nodes, &sim->joins, w, config->join_s ? -config->join_s[w] : 0);
        if (config->leave_s && isfinite(config->leave_s[w]))
            es_heap_set(sim->leave_nodes, &sim->leaves, w, -config->leave_s[w]);
    }
}

static void clear(struct sim *sim)
{
    es_sched_free(sim->sched);
    free(sim->workers);
    free(sim->units);
    free(sim->end_nodes);
    free(sim->join_nodes);
    free(sim->leave_nodes);
    free(sim->unit_failed);
    free(sim->checkpoint_failed);
    free(sim->to_workers.ring);
    free(sim->to_coordinator.ring);
}

int es_sim_run(const struct es_grid *grid, const uint8_t *pending, struct es_cost *cost,
               const struct es_sim_times *times, const struct es_sim_config *config,
               struct es_sim_result *ret_result, struct es_err *err)
{
    struct sim sim = {
        .grid = grid, .truth = times, .config = config, .n_tasks = es_grid_n_tasks(grid)};
    es_rng_init(&sim.rng, config->seed);
    int rc = allocate(&sim) ? 0 : es_err_nomem(err, "simulating");
    if (rc == 0) {
        set_workers(&sim);
        set_lower_bound(&sim, pending);
        rc = es_sched_create(grid, &config->sched, cost, &sim.sched, err);
    }
    if (rc == 0)
        rc = add_units(&sim, pending, err);
    if (rc == 0)
        rc = run(&sim, err);
    if (rc == 0) {
        sim.result.makespan_s = sim.now_s;
        sim.result.n_units_blocked = es_sched_n_blocked(sim.sched);
        for (uint32_t id = 0; id < es_grid_n_units(grid); id++)
            sim.result.n_units_failed += es_sched_has_failed(sim.sched, id);
        sim.result.idle_s =
            fmax(config->n_workers * sim.now_s - sim.result.work_s - sim.result.load_s, 0);
        sim.result.eta_good = es_eta_log_share(&sim.etas, sim.now_s, ETA_FROM, ETA_WITHIN);
        *ret_result = sim.result;
    }
    clear(&sim);
    return rc;
}
