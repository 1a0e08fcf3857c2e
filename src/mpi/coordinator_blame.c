/* What the scheduler found to be at fault, and what people are told of it. */
#include "mpi/coordinator_state.h"

#include "sys/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Failed attempts with reasons that were told already are summed up not more often than this. */
#define UNTOLD_INTERVAL_S 60.0

void es_coordinator_settle(struct es_coordinator *c, uint32_t worker)
{
    uint32_t n_retracted, n = es_failures_settle(c->failures, worker, &n_retracted);
    c->outcome.state.counts.pending -= n;
    c->outcome.state.counts.failed += n;
    c->outcome.state.n_evaluated += n;
    c->outcome.state.n_retries += n_retracted;
}

void es_coordinator_settle_all(struct es_coordinator *c)
{
    for (uint32_t r = 0; r < c->roster.n_ranks; r++)
        es_coordinator_settle(c, r);
    es_sched_confirm_all(c->sched); /* what was told is not retracted any more */
}

static struct es_suspect_state state_of(const struct es_coordinator *c,
                                        const struct es_suspect *suspect, uint32_t n_blocked)
{
    const struct es_rank *rank =
        suspect->kind == ES_SUSPECT_WORKER ? &c->roster.ranks[suspect->worker] : NULL;
    return (struct es_suspect_state){
        .what = *suspect,
        .n_blocked = n_blocked,
        .reason = suspect->n_failed ? es_failures_reason_text(c->failures, suspect->reason) : "",
        .host = rank ? rank->hello.host : "",
        .device = rank ? rank->device : ""};
}

void es_coordinator_fill_suspects(struct es_coordinator *c)
{
    struct es_run_state *state = &c->outcome.state;
    state->counts.blocked = es_sched_n_blocked(c->sched);
    state->suspects = c->suspect_states;
    state->layout = c->layout;
    state->n_suspects =
        es_sched_suspects(c->sched, c->suspects, c->suspect_units, c->n_suspects_most);
    for (uint32_t i = 0; i < state->n_suspects; i++)
        c->suspect_states[i] = state_of(c, &c->suspects[i], c->suspect_units[i]);
}

/* What a line about a suspect is made of. */
struct line {
    struct es_suspect_seen seen;
    struct es_buf subject, evidence;
    char log[1200]; /* " (log: ...)", or empty */
};

static void describe(const struct es_coordinator *c, const struct es_suspect *suspect,
                     uint32_t n_blocked, struct line *ret_line)
{
    struct es_suspect_state state = state_of(c, suspect, n_blocked);
    *ret_line = (struct line){0};
    es_suspect_see(c->grid, c->layout, &state, &ret_line->seen);
    es_status_suspect_subject(&ret_line->seen.seen, &ret_line->subject);
    es_status_suspect_evidence(&ret_line->seen.seen, &ret_line->evidence);
    if (ret_line->seen.seen.log)
        (void)snprintf(ret_line->log, sizeof ret_line->log, " (log: %s/%s)", c->config->run_dir,
                       ret_line->seen.seen.log);
}

static void clear_line(struct line *line)
{
    es_suspect_seen_clear(&line->seen);
    es_buf_clear(&line->subject);
    es_buf_clear(&line->evidence);
}

static void note_blocked(struct es_coordinator *c, const struct es_blame_verdict *verdict)
{
    struct line line;
    if (verdict->n_units == 0) /* nothing is left of it to be blocked */
        return;
    describe(c, &verdict->suspect, verdict->n_units, &line);
    if (verdict->suspect.n_failed == 0)
        es_coordinator_note(c, true,
                            "%s was blocked by an earlier job: one unit of it is tried first",
                            line.subject.data);
    else
        es_coordinator_note(c, true, "%s is blocked after %s, with %u pending unit%s: %s%s",
                            line.subject.data, line.evidence.data, verdict->n_units,
                            verdict->n_units == 1 ? "" : "s", line.seen.seen.reason, line.log);
    clear_line(&line);
}

static void note_unblocked(struct es_coordinator *c, const struct es_blame_verdict *verdict)
{
    struct line line;
    if (verdict->n_units == 0)
        return;
    describe(c, &verdict->suspect, verdict->n_units, &line);
    es_coordinator_note(c, true, "%s works again: %u unit%s no longer blocked", line.subject.data,
                        verdict->n_units, verdict->n_units == 1 ? " is" : "s are");
    clear_line(&line);
}

/* What it holds is for others by now: it is to drop that, and to start its evaluator anew. */
static void send_reset(struct es_coordinator *c, uint32_t rank)
{
    es_buf_reset(&c->assign[rank]);
    es_plain_encode(ES_MESSAGE_RESET, &c->message);
    es_coordinator_send(c, rank, &c->message);
    c->roster.ranks[rank].state = ES_RANK_CONFIGURED;
}

static void quarantine(struct es_coordinator *c, const struct es_blame_verdict *verdict)
{
    uint32_t rank = verdict->suspect.worker;
    struct line line;
    if (c->roster.ranks[rank].state != ES_RANK_READY)
        return;
    describe(c, &verdict->suspect, 0, &line);
    if (verdict->suspect.n_probes == 0)
        es_coordinator_note(
            c, true, "%s is quarantined after %s; it is tried again in %.0f s: %s%s",
            line.subject.data, line.evidence.data, verdict->suspect.probe_s - es_clock_mono_s(),
            line.seen.seen.reason, line.log);
    clear_line(&line);
    send_reset(c, rank);
}

static void note_released(struct es_coordinator *c, const struct es_blame_verdict *verdict)
{
    struct line line;
    describe(c, &verdict->suspect, 0, &line);
    es_coordinator_note(c, true, "%s works again", line.subject.data);
    clear_line(&line);
}

static void note_outage(struct es_coordinator *c, const struct es_suspect *outage)
{
    struct line line;
    describe(c, outage, 0, &line);
    es_coordinator_note(
        c, true,
        "outage: everything fails on %u of %u workers; single probes run until one "
        "succeeds, for %.0f s at most; the last failure: %s%s",
        outage->n_workers, es_sched_n_workers(c->sched),
        es_outage_patience_s(c->config->job->limits.outage_s, c->outcome.state.counts.done > 0),
        line.seen.seen.reason, line.log);
    clear_line(&line);
}

static void hear(struct es_coordinator *c, const struct es_blame_verdict *verdict)
{
    switch (verdict->kind) {
    case ES_BLAME_SETTLED:
        es_coordinator_settle(c, verdict->suspect.worker);
        break;
    case ES_BLAME_BLOCKED:
        note_blocked(c, verdict);
        break;
    case ES_BLAME_UNBLOCKED:
        note_unblocked(c, verdict);
        break;
    case ES_BLAME_QUARANTINED:
        quarantine(c, verdict);
        break;
    case ES_BLAME_RELEASED:
        note_released(c, verdict);
        break;
    case ES_BLAME_OUTAGE:
        es_coordinator_settle_all(c);
        note_outage(c, &verdict->suspect);
        break;
    case ES_BLAME_OUTAGE_OVER:
        es_coordinator_note(c, true, "the outage is over after %.0f s",
                            es_clock_mono_s() - verdict->suspect.since_s);
        break;
    }
}

void es_coordinator_hear_verdicts(struct es_coordinator *c)
{
    struct es_blame_verdict verdict;
    while (es_sched_next_verdict(c->sched, &verdict))
        hear(c, &verdict);
}

/* The first failure with a reason at once, the rest in one line a minute. */
static void tell_failure(struct es_coordinator *c, uint32_t worker, uint32_t unit_id, bool is_new)
{
    char unit[600];
    struct es_buf log = {0};
    if (!is_new) {
        c->n_untold++;
        return;
    }
    es_grid_unit_text(c->grid, unit_id, unit, sizeof unit);
    es_layout_unit_dir(c->layout, c->grid, es_grid_unit(c->grid, unit_id), &log);
    es_coordinator_note(
        c, true, "%s failed on worker %u (attempt %d): %s (log: %s/%s/" ES_LOG_NAME ")", unit,
        worker, c->result.attempt, es_result_text(&c->result, c->result.reason), c->config->run_dir,
        log.data ? log.data : "");
    es_buf_clear(&log);
}

void es_coordinator_tell_untold(struct es_coordinator *c, bool is_last)
{
    double now_s = es_clock_mono_s();
    if (c->n_untold == 0 || (now_s < c->untold_due_s && !is_last))
        return;
    if (c->untold_due_s > 0) {
        struct es_common_failure most = es_failures_most_frequent(c->failures);
        es_coordinator_note(
            c, true, "%u more failed attempt%s; the most frequent reason so far (%u times): %s",
            c->n_untold, c->n_untold == 1 ? "" : "s", most.n, most.reason);
        c->n_untold = 0;
    }
    c->untold_due_s = now_s + UNTOLD_INTERVAL_S;
}

void es_coordinator_take_failed(struct es_coordinator *c, uint32_t worker,
                                const struct es_result_entry *entry)
{
    bool is_new;
    uint32_t reason = es_failures_reason(c->failures, es_result_text(&c->result, c->result.reason),
                                         entry->unit_id, &is_new);
    int32_t max_attempts = (int32_t)c->config->job->evaluator.retries + 1;
    bool is_last = es_sched_failed(c->sched, worker, entry->unit_id, entry->may_retry, reason,
                                   es_clock_mono_s());
    tell_failure(c, worker, entry->unit_id, is_new);
    if (is_last)
        (void)es_failures_keep(c->failures, worker, entry, &c->result, &c->fault);
    else
        c->outcome.state.n_retries++;
    if (!is_last && c->result.attempt >= max_attempts) /* others were retracted meanwhile */
        es_failures_disown(c->failures, entry->unit_id);
    es_coordinator_hear_verdicts(c);
}

bool es_coordinator_is_hopeless(struct es_coordinator *c)
{
    uint32_t n_blocked = es_sched_n_blocked(c->sched);
    double since_s = (double)INFINITY;
    if (c->outcome.state.counts.done > 0 || n_blocked == 0 || es_sched_n_held(c->sched) > 0 ||
        es_sched_n_parked(c->sched) > 0 || n_blocked != es_sched_n_pending(c->sched))
        return false;
    uint32_t n = es_sched_suspects(c->sched, c->suspects, c->suspect_units, c->n_suspects_most);
    for (uint32_t i = 0; i < n; i++)
        since_s = fmin(since_s, c->suspects[i].since_s);
    return es_clock_mono_s() - since_s >=
           es_outage_patience_s(c->config->job->limits.outage_s, false);
}

void es_coordinator_watch_outage(struct es_coordinator *c)
{
    const struct es_suspect *outage = es_sched_outage(c->sched);
    bool has_done = c->outcome.state.counts.done > 0;
    if (!outage || c->outcome.ending != ES_ENDING_FINISHED)
        return;
    double lasts_s = es_clock_mono_s() - outage->since_s;
    if (lasts_s < es_outage_patience_s(c->config->job->limits.outage_s, has_done))
        return;
    c->outcome.ending = has_done ? ES_ENDING_STOPPED : ES_ENDING_NOTHING_DONE;
    c->outcome.failure = es_failures_most_frequent(c->failures);
    (void)snprintf(c->outcome.why_ended, sizeof c->outcome.why_ended,
                   "nothing has succeeded for %.0f s; the most frequent failure (%u time%s): %s",
                   lasts_s, c->outcome.failure.n, c->outcome.failure.n == 1 ? "" : "s",
                   c->outcome.failure.reason);
}

void es_coordinator_end_suspects(struct es_coordinator *c)
{
    const struct es_run_state *state = &c->outcome.state;
    struct es_buf json = {0}, text = {0};
    struct es_suspect_seen seen = {0};
    es_status_suspects_json(c->grid, state, &json);
    for (uint32_t i = 0; i < state->n_suspects; i++) {
        es_suspect_see(c->grid, c->layout, &state->suspects[i], &seen);
        es_status_suspect_text(&seen.seen, &text);
        if (seen.seen.log)
            es_buf_printf(&text, " (log: %s/%s)", c->config->run_dir, seen.seen.log);
        es_buf_putc(&text, '\n');
    }
    es_suspect_seen_clear(&seen);
    es_buf_putc(&text, '\0');
    es_buf_putc(&json, '\0');
    if (json.failed || text.failed) {
        es_buf_clear(&json);
        es_buf_clear(&text);
    }
    c->outcome.suspects_json = json.data;
    c->outcome.suspects_text = text.data;
}
