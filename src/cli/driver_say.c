/* What people are told by `run` when it starts and at its end. */
#include "cli/driver_state.h"

#include "cli/json_out.h"
#include "cli/say.h"
#include "evalsweep/store.h"
#include "sys/clock.h"

#include <stdio.h>
#include <string.h>

void es_driver_say_start(const struct es_driver *d)
{
    struct es_counts counts = d->counts;
    es_target_say_findings(&d->target, &d->summary);
    if (d->options->quiet)
        return;
    char failed[64] = "";
    if (counts.failed)
        (void)snprintf(failed, sizeof failed, ", %u failed and left so", counts.failed);
    es_say("%s %s: %u units: %u done%s, %u to do%s; %u rank%s; results in %s",
           d->has_joined ? "joining run" : "run", d->target.job->run.id, es_counts_total(&counts),
           counts.done, failed, d->n_pending, d->options->only.n ? " (--only)" : "", d->n_ranks,
           d->n_ranks == 1 ? "" : "s", d->target.run_dir);
}

/* The last line: what most needs to be seen, and where more of it stands. */
static void say_why(const struct es_driver *d)
{
    struct es_buf dir = {0};
    const struct es_common_failure *failure = &d->outcome.failure;
    if (failure->n == 0) {
        es_say("%s", d->outcome.why_ended);
        return;
    }
    es_layout_unit_dir(d->target.layout, d->target.grid,
                       es_grid_unit(d->target.grid, failure->unit_id), &dir);
    es_say("%s (log: %s/%s/" ES_LOG_NAME ")", d->outcome.why_ended, d->target.run_dir,
           dir.data ? dir.data : "");
    es_buf_clear(&dir);
}

/* A line for each. */
static void say_suspects(const struct es_driver *d)
{
    for (const char *at = d->outcome.suspects_text; at && *at;) {
        size_t n = strcspn(at, "\n");
        es_say("  %.*s", (int)n, at);
        at += n + (at[n] == '\n');
    }
    if (d->outcome.state.counts.blocked)
        es_say("blocked units stay pending: fix the cause and start the run again, which tries one "
               "unit of each first");
}

void es_driver_say_end(const struct es_driver *d, int exit_code)
{
    const struct es_run_state *state = &d->outcome.state;
    char wall[32], failed[64] = "", unscored[64] = "", blocked[64] = "";
    es_ui_duration(es_clock_mono_s() - d->begun_s, wall);
    if (state->counts.failed)
        (void)snprintf(failed, sizeof failed, ", %u failed", state->counts.failed);
    if (state->counts.done_without_score)
        (void)snprintf(unscored, sizeof unscored, " (%u without a score)",
                       state->counts.done_without_score);
    if (state->counts.blocked)
        (void)snprintf(blocked, sizeof blocked, " (%u blocked)", state->counts.blocked);
    es_say("%u of %u units done%s%s, %u pending%s: %u evaluated, %u skipped, %u retries in %s",
           state->counts.done, es_counts_total(&state->counts), unscored, failed,
           state->counts.pending, blocked, state->n_evaluated, state->n_skipped, state->n_retries,
           wall);
    say_suspects(d);
    if (exit_code == ES_EXIT_RESUBMIT)
        es_say("stopped with work left (%s): submit it again with RUN_ID=%s", d->outcome.why_ended,
               d->target.job->run.id);
    if (state->counts.failed)
        es_say("failed units have failed.json and log.txt in their folders; "
               "evalsweep status %s lists them",
               d->target.run_dir);
    if (d->outcome.ending == ES_ENDING_LEFT) {
        es_say("%u unit%s %s being done by another driver, which completes the run and "
               "its " ES_STORE_NAME,
               state->counts.pending, state->counts.pending == 1 ? "" : "s",
               state->counts.pending == 1 ? "is" : "are");
    } else if (!d->end_fault.code) {
        es_say("results: %s/" ES_STORE_NAME, d->target.run_dir);
    } else {
        char fault[1024];
        es_err_text(&d->end_fault, fault, sizeof fault);
        es_say("%s", fault);
        if (d->end_fault.code != ES_ERR_BUSY && d->end_fault.code != ES_ERR_NOENT)
            es_say("the results are in the markers: evalsweep consolidate %s, once that is fixed",
                   d->target.run_dir);
    }
    if (d->outcome.ending == ES_ENDING_NO_WORKER || d->outcome.ending == ES_ENDING_NOTHING_DONE)
        say_why(d);
}

void es_driver_print_json(const struct es_driver *d)
{
    const struct es_run_state *state = &d->outcome.state;
    struct es_buf text = {0};
    es_buf_putc(&text, '{');
    es_status_counts_json(&state->counts, &text);
    es_buf_puts(&text, "\"running\":0,\"rate_per_s\":");
    es_buf_json_double(&text, state->rate_per_s);
    es_buf_puts(&text, ",\"eta_s\":");
    es_buf_json_double(&text, state->counts.pending ? state->eta_s : 0);
    es_buf_putc(&text, ',');
    es_buf_puts(&text, d->outcome.suspects_json ? d->outcome.suspects_json : "\"suspects\":[],");
    es_buf_puts(&text, "\"alive\":false,\"wall_s\":");
    es_buf_json_double(&text, es_clock_mono_s() - d->begun_s);
    es_buf_printf(&text, ",\"evaluated\":%u,\"skipped\":%u,\"retries\":%u}", state->n_evaluated,
                  state->n_skipped, state->n_retries);
    es_json_out(&text);
}
