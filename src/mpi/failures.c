#include "mpi/failures.h"

#include "core/mem.h"
#include "core/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Different reasons that are told apart; all further ones count as one more. */
#define REASONS_MOST 1024

struct reason {
    char *text;
    uint32_t n;
    uint32_t unit_id;
};

struct kept {
    uint32_t unit_id;
    struct es_message message; /* for the recorder */
};

struct record {
    struct kept *kept;
    size_t n, cap;
};

struct es_failures {
    struct es_sched *sched;
    struct es_recorder *recorder;
    uint32_t n_workers;
    struct record *records; /* [n_workers] */
    struct reason *reasons; /* [n_reasons] */
    size_t n_reasons, reasons_cap;
    uint32_t *disowned;
    size_t n_disowned, disowned_cap;
};

int es_failures_create(uint32_t n_workers, struct es_sched *sched, struct es_recorder *recorder,
                       struct es_failures **ret_failures, struct es_err *err)
{
    struct es_failures *failures = es_mem_calloc(1, sizeof *failures);
    struct record *records = es_mem_calloc(n_workers, sizeof *records);
    if (!failures || !records) {
        free(failures);
        free(records);
        return es_err_nomem(err, "preparing the run");
    }
    failures->sched = sched;
    failures->recorder = recorder;
    failures->n_workers = n_workers;
    failures->records = records;
    *ret_failures = failures;
    return 0;
}

void es_failures_free(struct es_failures *failures)
{
    if (!failures)
        return;
    for (uint32_t w = 0; w < failures->n_workers; w++) {
        struct record *record = &failures->records[w];
        for (size_t i = 0; i < record->n; i++)
            es_message_clear(&record->kept[i].message);
        free(record->kept);
    }
    for (size_t i = 0; i < failures->n_reasons; i++)
        free(failures->reasons[i].text);
    free(failures->reasons);
    free(failures->records);
    free(failures->disowned);
    free(failures);
}

/* --- Reasons --- */

static uint32_t find_reason(struct es_failures *failures, const char *text)
{
    uint32_t i = 0;
    while (i < failures->n_reasons && !es_text_is_same_but_numbers(failures->reasons[i].text, text))
        i++;
    return i;
}

uint32_t es_failures_reason(struct es_failures *failures, const char *text, uint32_t unit_id,
                            bool *ret_is_new)
{
    char cut[sizeof((struct es_common_failure *)0)->reason];
    (void)snprintf(cut, sizeof cut, "%.*s", (int)es_utf8_cut(text, sizeof cut - 1), text);
    uint32_t at = find_reason(failures, cut);
    if (at == REASONS_MOST - 1) /* the last one stands for all others */
        (void)snprintf(cut, sizeof cut, "other reasons");
    at = at < REASONS_MOST ? at : REASONS_MOST - 1;
    *ret_is_new = at == failures->n_reasons;
    if (*ret_is_new) {
        void *grown = failures->reasons;
        char *copy = es_mem_strdup(cut);
        if (!copy ||
            es_mem_grow(&grown, &failures->reasons_cap, at + 1, sizeof *failures->reasons) < 0) {
            free(copy);
            return ES_GRID_NONE;
        }
        failures->reasons = grown;
        failures->reasons[failures->n_reasons++] = (struct reason){.text = copy};
    }
    failures->reasons[at].n++;
    failures->reasons[at].unit_id = unit_id;
    return at;
}

const char *es_failures_reason_text(const struct es_failures *failures, uint32_t reason)
{
    return reason < failures->n_reasons ? failures->reasons[reason].text : "unknown";
}

struct es_common_failure es_failures_most_frequent(const struct es_failures *failures)
{
    struct es_common_failure most = {0};
    for (size_t i = 0; i < failures->n_reasons; i++)
        if (failures->reasons[i].n > most.n) {
            most.n = failures->reasons[i].n;
            most.unit_id = failures->reasons[i].unit_id;
            (void)snprintf(most.reason, sizeof most.reason, "%s", failures->reasons[i].text);
        }
    return most;
}

/* --- What may be retracted --- */

static int as_lost(const struct es_result_entry *entry, const struct es_result *result,
                   struct es_message *ret_message)
{
    struct es_result_entry lost = *entry;
    struct es_buf buf = {0};
    lost.kind = ES_RESULT_LOST;
    es_results_begin(&buf);
    es_results_add(&buf, &lost, result);
    return es_message_take(&buf, ret_message);
}

int es_failures_keep(struct es_failures *failures, uint32_t worker,
                     const struct es_result_entry *entry, const struct es_result *result,
                     struct es_err *err)
{
    struct record *record = &failures->records[worker];
    struct kept kept = {.unit_id = entry->unit_id};
    void *grown = record->kept;
    if (es_mem_grow(&grown, &record->cap, record->n + 1, sizeof kept) < 0)
        return es_err_nomem(err, "keeping a failure");
    record->kept = grown;
    if (as_lost(entry, result, &kept.message) < 0)
        return es_err_nomem(err, "keeping a failure");
    record->kept[record->n++] = kept;
    return 0;
}

uint32_t es_failures_settle(struct es_failures *failures, uint32_t worker,
                            uint32_t *ret_n_retracted)
{
    struct record *record = &failures->records[worker];
    uint32_t n_failed = 0;
    for (size_t i = 0; i < record->n; i++) {
        struct kept *kept = &record->kept[i];
        if (es_sched_has_failed(failures->sched, kept->unit_id)) {
            es_recorder_add(failures->recorder, &kept->message);
            n_failed++;
        } else {
            es_message_clear(&kept->message);
            es_failures_disown(failures, kept->unit_id);
        }
    }
    *ret_n_retracted = (uint32_t)record->n - n_failed;
    record->n = 0;
    return n_failed;
}

void es_failures_disown(struct es_failures *failures, uint32_t unit_id)
{
    void *grown = failures->disowned;
    if (es_mem_grow(&grown, &failures->disowned_cap, failures->n_disowned + 1, sizeof unit_id) < 0)
        return; /* its failed.json stays until it is done */
    failures->disowned = grown;
    failures->disowned[failures->n_disowned++] = unit_id;
}

uint32_t *es_failures_take_disowned(struct es_failures *failures, size_t *ret_n)
{
    uint32_t *disowned = failures->disowned;
    *ret_n = 0;
    for (size_t i = 0; i < failures->n_disowned; i++)
        if (!es_sched_has_failed(failures->sched, disowned[i]))
            disowned[(*ret_n)++] = disowned[i];
    failures->disowned = NULL;
    failures->n_disowned = failures->disowned_cap = 0;
    return disowned;
}
