/* The table of units, and the files of the run that follow it. */
#include "mpi/recorder_state.h"

#include "mpi/catchup.h"
#include "run/status.h"
#include "sys/clock.h"

#include <stdlib.h>

/* A snapshot at most this often, and never more than 1 % of the time. */
#define SNAPSHOT_INTERVAL_S 5.0
#define SNAPSHOT_SHARE 0.01
bool es_recorder_may_write(const struct es_recorder *recorder)
{
    return recorder->is_owner && !recorder->is_locked_out;
}

/* A line of progress.csv: one for each unit, by whoever owns the run when it learns of it. */
static void add_line(struct es_recorder *recorder, const struct es_result_entry *entry,
                     enum es_status status)
{
    uint8_t *has_line = recorder->has_line;
    bool was_found = entry->kind == ES_RESULT_FOUND || entry->kind == ES_RESULT_FOUND_FAILED;
    if (was_found && (!recorder->company || (entry->kind == ES_RESULT_FOUND &&
                                             !es_is_of_run(recorder->config.company,
                                                           recorder->result.rank, &entry->marker))))
        return;
    if (!recorder->is_owner || (has_line && has_line[entry->unit_id]))
        return;
    if (has_line)
        has_line[entry->unit_id] = 1;
    es_progress_add(recorder->progress, es_units_grid(recorder->config.units), entry->unit_id,
                    status, &recorder->result);
}

/* Whether the unit has failed for good is known later, if at all; that this try has failed, now. */
static void add_failed_try(struct es_recorder *recorder, uint32_t unit_id)
{
    struct es_units *units = recorder->config.units;
    if (es_units_columns(units).status[unit_id] != ES_STATUS_PENDING)
        return;
    if (es_units_set_pending(units, unit_id, &recorder->result, &recorder->scratch) < 0)
        es_recorder_note_loss(recorder, "recording a failed attempt");
    recorder->is_dirty = true;
}

static void apply_entry(struct es_recorder *recorder, const struct es_result_entry *entry)
{
    struct es_units *units = recorder->config.units;
    struct es_result *result = &recorder->result;
    enum es_status status = ES_STATUS_DONE;
    if (entry->kind == ES_RESULT_RETURNED || entry->kind == ES_RESULT_KEPT ||
        entry->unit_id >= es_grid_n_units(es_units_grid(units)))
        return;
    if (entry->kind == ES_RESULT_FAILED) {
        add_failed_try(recorder, entry->unit_id);
        return;
    }
    if (entry->kind == ES_RESULT_ELSEWHERE) {
        if (recorder->company && es_company_park(recorder->company, entry->unit_id) < 0)
            es_recorder_note_loss(recorder, "watching what another driver does");
        return;
    }
    if (entry->kind == ES_RESULT_LOST || entry->kind == ES_RESULT_FOUND_FAILED)
        status = ES_STATUS_FAILED;
    if (es_units_set_result(units, entry->unit_id, status, result, &entry->marker) < 0)
        es_recorder_note_loss(recorder, "recording a result");
    if (recorder->is_lost)
        recorder->is_lost[entry->unit_id] = entry->kind == ES_RESULT_LOST;
    if (status == ES_STATUS_FAILED)
        es_tally_note(recorder->tally, entry->unit_id, es_result_text(result, result->reason));
    recorder->is_dirty = true;
    if (recorder->last_look && status == ES_STATUS_DONE)
        es_last_look_note(recorder->last_look, entry->unit_id);
    add_line(recorder, entry, status);
    if (recorder->company)
        es_company_settle(recorder->company, entry->unit_id);
}

void es_recorder_apply(struct es_recorder *recorder, const struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    struct es_result_entry entry;
    while (es_results_next(&reader, &entry, &recorder->result))
        apply_entry(recorder, &entry);
}

void es_recorder_flush_progress(struct es_recorder *recorder)
{
    struct es_err err = {0};
    if (es_recorder_may_write(recorder) && es_progress_flush(recorder->progress, &err) < 0)
        es_recorder_note_fault(recorder, &err);
}

/* Whether the run is still this job's. It may have lost the file server for as long as a write
 * took, and another job may have taken the run over meanwhile. */
static int may_replace(void *context, struct es_err *err)
{
    struct es_recorder *recorder = context;
    return recorder->config.keeper ? es_keeper_look(recorder->config.keeper, err) : 0;
}

/* The run was lost while its store was being replaced: whoever has it now may have written a newer
 * one. What is made of all markers is as new. */
static void write_store_again(struct es_recorder *recorder, struct es_store_write *request)
{
    struct es_err err = {0};
    if (!recorder->config.company || es_keeper_look(recorder->config.keeper, NULL) != ES_ERR_BUSY ||
        es_catch_up_units(recorder->config.company, recorder->config.run_dir,
                          recorder->config.units, recorder->is_lost, &err) < 0)
        return;
    request->may_replace = NULL;
    (void)es_store_write(request, recorder->config.units, &err);
}

void es_recorder_write_snapshot(struct es_recorder *recorder)
{
    struct es_err err = {0};
    struct es_store_write request = {
        .may_replace = may_replace,
        .context = recorder,
        .run_dir = recorder->config.run_dir,
        .attributes = recorder->config.attributes,
        .n_attributes = recorder->config.n_attributes,
        .fsync = recorder->config.sync,
    };
    double begun_s = es_clock_mono_s();
    if (es_store_write(&request, recorder->config.units, &err) == 0) {
        recorder->is_dirty = false;
        if (recorder->config.keeper)
            write_store_again(recorder, &request);
    } else {
        es_recorder_note_fault(recorder, &err);
    }
    double ended_s = es_clock_mono_s();
    double interval_s = (ended_s - begun_s) / SNAPSHOT_SHARE;
    recorder->snapshot_due_s =
        ended_s + (interval_s > SNAPSHOT_INTERVAL_S ? interval_s : SNAPSHOT_INTERVAL_S);
}

void es_recorder_forget_status(struct es_recorder *recorder)
{
    free(recorder->unwritten_status);
    recorder->unwritten_status = NULL;
}

void es_recorder_write_status(struct es_recorder *recorder)
{
    struct es_err err = {0};
    struct es_buf text = {0};
    if (!recorder->unwritten_status || !es_recorder_may_write(recorder))
        return;
    es_buf_append(&text, recorder->unwritten_status, recorder->unwritten_n);
    es_status_end(recorder->tally, &text);
    int rc = text.failed ? es_err_nomem(&err, "writing the status")
                         : es_status_write(recorder->config.run_dir, text.data, text.len,
                                           may_replace, recorder, &err);
    if (rc == 0)
        es_recorder_forget_status(recorder);
    else
        es_recorder_note_fault(recorder, &err);
    es_buf_clear(&text);
}
