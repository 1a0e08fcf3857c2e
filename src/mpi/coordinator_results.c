/* What became of units: on the workers, and with other drivers of the run. */
#include "mpi/coordinator_state.h"

#include "sys/clock.h"

#include <math.h>
#include <stdio.h>

static bool is_held(struct es_coordinator *c, uint32_t worker, const struct es_result_entry *entry)
{
    return entry->unit_id < es_grid_n_units(c->grid) &&
           es_sched_is_held_by(c->sched, worker, entry->unit_id);
}

static void count_done(struct es_coordinator *c)
{
    c->outcome.state.counts.pending--;
    c->outcome.state.counts.done++;
    c->outcome.state.counts.done_without_score += isnan(c->result.main_score) != 0;
}

static void take_done(struct es_coordinator *c, uint32_t worker,
                      const struct es_result_entry *entry)
{
    struct es_times times = {.total_s = entry->total_s,
                             .load_s = c->result.load_s,
                             .pass_s = c->result.pass_s,
                             .score_s = c->result.score_s};
    count_done(c);
    if (entry->kind == ES_RESULT_FOUND) {
        c->outcome.state.n_skipped++;
        times.total_s = (double)NAN;
    } else {
        c->outcome.state.n_evaluated++;
    }
    es_sched_done(c->sched, worker, entry->unit_id, &times, es_clock_mono_s());
    es_coordinator_hear_verdicts(c);
}

/* Another driver saw it fail for good. */
static void count_failed_elsewhere(struct es_coordinator *c)
{
    c->outcome.state.counts.pending--;
    c->outcome.state.counts.failed++;
    c->outcome.state.n_skipped++;
}

static void take_found_failed(struct es_coordinator *c, uint32_t worker, uint32_t unit_id)
{
    es_sched_failed_elsewhere(c->sched, worker, unit_id, es_clock_mono_s());
    count_failed_elsewhere(c);
}

/* Another driver has the unit's bundle: nobody here gets any of it, and the recorder watches it. */
static void take_elsewhere(struct es_coordinator *c, uint32_t worker, uint32_t unit_id)
{
    struct es_result_entry entry = {.kind = ES_RESULT_ELSEWHERE};
    struct es_buf others = {0};
    struct es_message message;
    es_sched_park(c->sched, worker, unit_id, es_clock_mono_s());
    while ((entry.unit_id = es_sched_park_another(c->sched, unit_id)) != ES_GRID_NONE) {
        if (others.len == 0)
            es_results_begin(&others);
        es_results_add(&others, &entry, NULL);
    }
    if (others.failed && !c->fault.code)
        es_err_nomem(&c->fault, "leaving units to another driver");
    else if (others.len && es_message_take(&others, &message) == 0)
        es_recorder_add(c->config->recorder, &message);
    es_buf_clear(&others);
}

static void take_entry(struct es_coordinator *c, uint32_t worker,
                       const struct es_result_entry *entry)
{
    switch (entry->kind) {
    case ES_RESULT_DONE:
    case ES_RESULT_FOUND:
        take_done(c, worker, entry);
        break;
    case ES_RESULT_FAILED:
        es_coordinator_take_failed(c, worker, entry);
        break;
    case ES_RESULT_RETURNED:
        es_sched_returned(c->sched, worker, entry->unit_id, es_clock_mono_s());
        break;
    case ES_RESULT_KEPT:
        es_sched_kept(c->sched, worker, entry->unit_id, es_clock_mono_s());
        break;
    case ES_RESULT_FOUND_FAILED:
        take_found_failed(c, worker, entry->unit_id);
        break;
    case ES_RESULT_ELSEWHERE:
        take_elsewhere(c, worker, entry->unit_id);
        break;
    case ES_RESULT_LOST: /* refused before */
        break;
    }
}

void es_coordinator_take_results(struct es_coordinator *c, uint32_t source,
                                 struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    struct es_result_entry entry;
    bool is_news = false; /* otherwise all of it was given to others meanwhile */
    bool is_malformed = false, is_out = c->roster.ranks[source].is_out;
    while (!is_malformed && es_results_next(&reader, &entry, &c->result)) {
        is_malformed = entry.kind == ES_RESULT_LOST; /* no worker knows what is lost */
        if (is_malformed)
            continue;
        if (!is_out && is_held(c, source, &entry)) {
            take_entry(c, source, &entry);
            is_news = true;
        } else if (entry.kind == ES_RESULT_FAILED && entry.unit_id < es_grid_n_units(c->grid)) {
            es_failures_disown(c->failures, entry.unit_id);
        }
    }
    if (is_out)
        return;
    if (is_malformed || reader.failed)
        es_coordinator_lose(c, source, "it sent malformed results");
    if (is_malformed)
        return; /* the recorder would believe it */
    if (is_news)
        es_recorder_add(c->config->recorder, message);
}

static void take_news_entry(struct es_coordinator *c, const struct es_result_entry *entry)
{
    uint32_t unit_id = entry->unit_id;
    if (entry->kind == ES_RESULT_RETURNED) {
        es_sched_unpark(c->sched, unit_id, es_clock_mono_s());
    } else if (entry->kind == ES_RESULT_FOUND && es_sched_settle(c->sched, unit_id, true)) {
        count_done(c);
        c->outcome.state.n_skipped++;
    } else if (entry->kind == ES_RESULT_FOUND_FAILED && es_sched_settle(c->sched, unit_id, false)) {
        count_failed_elsewhere(c);
    }
}

void es_coordinator_mind_others(struct es_coordinator *c)
{
    struct es_message message;
    struct es_result_entry entry;
    if (es_sched_n_parked(c->sched) == 0)
        return;
    while (es_recorder_news(c->config->recorder, &message)) {
        struct es_wire_reader reader = es_wire_read(&message);
        while (es_results_next(&reader, &entry, &c->result))
            take_news_entry(c, &entry);
        es_message_clear(&message);
    }
    es_coordinator_hear_verdicts(c);
    bool is_through = es_sched_n_pending(c->sched) == es_sched_n_blocked(c->sched) &&
                      es_sched_n_held(c->sched) == 0 && !c->stopping.is_stopping;
    if (is_through)
        es_coordinator_settle_all(c); /* what may still be retracted counts at the end */
    es_recorder_want_to_leave(c->config->recorder, is_through ? es_sched_n_parked(c->sched) : 0);
    if (c->outcome.ending == ES_ENDING_FINISHED && es_recorder_has_left(c->config->recorder))
        c->outcome.ending = ES_ENDING_LEFT;
}
