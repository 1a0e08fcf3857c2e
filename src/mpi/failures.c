#include "mpi/failures.h"

#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Different reasons that are counted; a new one takes the place of the rarest. */
#define N_REASONS 32

struct doubt {
    uint32_t unit_id;
    struct es_message message; /* for the recorder, if it was the last try; else empty */
};

/* What is known of a worker since a unit last ended well there. */
struct record {
    struct doubt *doubts;
    size_t n, cap;
    uint32_t n_in_a_row; /* different units */
    uint32_t last_unit;  /* the last of them */
};

struct es_failures {
    struct es_sched *sched;
    struct es_recorder *recorder;
    uint32_t n_most;
    uint32_t n_workers;
    struct record *records; /* [n_workers] */
    struct es_common_failure reasons[N_REASONS];
    uint32_t *forgiven;
    size_t n_forgiven, forgiven_cap;
};

int es_failures_create(uint32_t n_workers, uint32_t n_most, struct es_sched *sched,
                       struct es_recorder *recorder, struct es_failures **ret_failures,
                       struct es_err *err)
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
    failures->n_most = n_most;
    failures->n_workers = n_workers;
    failures->records = records;
    *ret_failures = failures;
    return 0;
}

static void clear(struct record *record)
{
    for (size_t i = 0; i < record->n; i++)
        es_message_clear(&record->doubts[i].message);
    record->n = 0;
    record->n_in_a_row = 0;
}

void es_failures_free(struct es_failures *failures)
{
    if (!failures)
        return;
    for (uint32_t w = 0; w < failures->n_workers; w++) {
        clear(&failures->records[w]);
        free(failures->records[w].doubts);
    }
    free(failures->records);
    free(failures->forgiven);
    free(failures);
}

static void count_reason(struct es_failures *failures, const char *reason, uint32_t unit_id)
{
    struct es_common_failure *at = failures->reasons;
    char text[sizeof at->reason];
    (void)snprintf(text, sizeof text, "%s", reason);
    for (size_t i = 0; i < N_REASONS; i++) {
        struct es_common_failure *other = &failures->reasons[i];
        if (other->n > 0 && strcmp(other->reason, text) == 0) {
            at = other;
            break;
        }
        if (other->n < at->n)
            at = other;
    }
    if (at->n == 0 || strcmp(at->reason, text) != 0) {
        memcpy(at->reason, text, sizeof text);
        at->n = 0;
    }
    at->n++;
    at->unit_id = unit_id;
}

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

int es_failures_add(struct es_failures *failures, uint32_t worker,
                    const struct es_result_entry *entry, const struct es_result *result,
                    bool is_last, struct es_err *err)
{
    struct record *record = &failures->records[worker];
    struct doubt doubt = {.unit_id = entry->unit_id};
    void *doubts = record->doubts;
    if (es_mem_grow(&doubts, &record->cap, record->n + 1, sizeof doubt) < 0)
        return es_err_nomem(err, "keeping a failure");
    record->doubts = doubts;
    if (is_last && as_lost(entry, result, &doubt.message) < 0)
        return es_err_nomem(err, "keeping a failure");
    record->doubts[record->n++] = doubt;
    count_reason(failures, es_result_text(result, result->reason), entry->unit_id);
    bool is_news = record->n_in_a_row == 0 || record->last_unit != entry->unit_id;
    record->last_unit = entry->unit_id;
    record->n_in_a_row += is_news;
    return 0;
}

bool es_failures_is_bad(const struct es_failures *failures, uint32_t worker)
{
    return failures->records[worker].n_in_a_row >= failures->n_most;
}

uint32_t es_failures_confirm(struct es_failures *failures, uint32_t worker)
{
    struct record *record = &failures->records[worker];
    uint32_t n = 0;
    for (size_t i = 0; i < record->n; i++)
        if (record->doubts[i].message.n > 0) {
            es_recorder_add(failures->recorder, &record->doubts[i].message);
            n++;
        }
    clear(record);
    return n;
}

void es_failures_disown(struct es_failures *failures, uint32_t unit_id)
{
    void *forgiven = failures->forgiven;
    if (es_mem_grow(&forgiven, &failures->forgiven_cap, failures->n_forgiven + 1, sizeof unit_id) <
        0)
        return; /* its failed.json stays until it is done */
    failures->forgiven = forgiven;
    failures->forgiven[failures->n_forgiven++] = unit_id;
}

uint32_t es_failures_forgive(struct es_failures *failures, uint32_t worker, double now_s)
{
    struct record *record = &failures->records[worker];
    uint32_t n = 0;
    for (size_t i = record->n; i-- > 0;) /* the last try is the first to be taken back */
        if (es_sched_forgive(failures->sched, worker, record->doubts[i].unit_id, now_s)) {
            es_failures_disown(failures, record->doubts[i].unit_id);
            n++;
        }
    clear(record);
    return n;
}

struct es_common_failure es_failures_commonest(const struct es_failures *failures)
{
    const struct es_common_failure *most = failures->reasons;
    for (size_t i = 1; i < N_REASONS; i++)
        if (failures->reasons[i].n > most->n)
            most = &failures->reasons[i];
    return *most;
}

void es_failures_no_worker_text(const struct es_common_failure *failure, char *ret_text,
                                size_t size_bytes)
{
    if (failure->n == 0)
        (void)snprintf(ret_text, size_bytes, "no worker is left");
    else
        (void)snprintf(ret_text, size_bytes,
                       "no worker is left; the commonest failure (%u time%s): %s", failure->n,
                       failure->n == 1 ? "" : "s", failure->reason);
}

uint32_t *es_failures_take_forgiven(struct es_failures *failures, size_t *ret_n)
{
    uint32_t *forgiven = failures->forgiven;
    *ret_n = 0;
    for (size_t i = 0; i < failures->n_forgiven; i++)
        if (!es_sched_has_failed(failures->sched, forgiven[i]))
            forgiven[(*ret_n)++] = forgiven[i];
    failures->forgiven = NULL;
    failures->n_forgiven = failures->forgiven_cap = 0;
    return forgiven;
}
