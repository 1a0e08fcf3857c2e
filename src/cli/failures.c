#include "cli/failures.h"

#include "core/mem.h"
#include "core/num.h"
#include "run/unitlog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Different reasons that are told apart. */
#define REASONS_MOST 1024

/* The reason in a unit's failed.json; "unknown" where it cannot be read. */
static const char *read_reason(const struct es_target *target, uint32_t unit_id, struct es_buf *dir,
                               struct es_buf *scratch, struct es_result *result)
{
    struct es_unit unit = es_grid_unit(target->grid, unit_id);
    es_buf_reset(dir);
    es_buf_printf(dir, "%s/", target->run_dir);
    es_layout_unit_dir(target->layout, target->grid, unit, dir);
    if (dir->failed || !es_failed_read(AT_FDCWD, dir->data, es_grid_task(target->grid, unit.task),
                                       scratch, result))
        return "unknown";
    const char *reason = es_result_text(result, result->reason);
    return reason[0] ? reason : "unknown";
}

static int compare_counts(const void *a, const void *b)
{
    const struct es_failure_reason *x = a, *y = b;
    if (x->n_units != y->n_units)
        return x->n_units < y->n_units ? 1 : -1;
    return x->first_unit < y->first_unit ? -1 : x->first_unit > y->first_unit;
}

/* Reasons that differ in nothing but numbers are one, as it was told first. */
static int count(struct es_failures *failures, const char *reason, uint32_t unit_id)
{
    char text[ES_TRY_TEXT_LIMIT + 1];
    uint32_t code = 0;
    (void)snprintf(text, sizeof text, "%.*s", (int)es_utf8_cut(reason, ES_TRY_TEXT_LIMIT), reason);
    while (code < failures->n && !es_text_is_same_but_numbers(failures->reasons[code].text, text))
        code++;
    if (code == REASONS_MOST - 1) /* the last one stands for all others */
        (void)snprintf(text, sizeof text, "other reasons");
    code = code < REASONS_MOST ? code : REASONS_MOST - 1;
    if (code == failures->n && es_strtab_add(&failures->texts, text, strlen(text), &code) < 0)
        return ES_ERR_NOMEM;
    if (code >= failures->n) { /* it is new */
        void *grown = es_mem_resize(failures->reasons, code + 1, sizeof *failures->reasons);
        if (!grown)
            return ES_ERR_NOMEM;
        failures->reasons = grown;
        failures->reasons[failures->n++] =
            (struct es_failure_reason){failures->texts.text[code], 0, unit_id, NULL};
    }
    failures->reasons[code].n_units++;
    return 0;
}

int es_failures_read(const struct es_target *target, struct es_units *units,
                     struct es_failures *ret_failures, struct es_err *err)
{
    struct es_failures failures = {0};
    struct es_buf dir = {0}, scratch = {0};
    struct es_result result;
    int rc = 0;
    es_result_init(&result);
    for (uint32_t id = 0; rc == 0 && id < es_grid_n_units(target->grid); id++) {
        if (es_units_columns(units).status[id] != ES_STATUS_FAILED)
            continue;
        const char *reason = read_reason(target, id, &dir, &scratch, &result);
        if (count(&failures, reason, id) < 0)
            rc = es_err_nomem(err, "reading why units failed");
    }
    es_buf_clear(&dir);
    es_buf_clear(&scratch);
    es_result_clear(&result);
    if (rc < 0) {
        es_failures_clear(&failures);
        return rc;
    }
    if (failures.n)
        qsort(failures.reasons, failures.n, sizeof *failures.reasons, compare_counts);
    for (size_t i = 0; i < failures.n; i++) {
        struct es_buf path = {0};
        (void)es_unit_log_find(target->run_dir, target->layout, target->grid,
                               failures.reasons[i].first_unit, &path);
        failures.reasons[i].log = path.data;
    }
    *ret_failures = failures;
    return 0;
}

void es_failures_clear(struct es_failures *failures)
{
    for (size_t i = 0; i < failures->n; i++)
        free(failures->reasons[i].log);
    free(failures->reasons);
    es_strtab_clear(&failures->texts);
    *failures = (struct es_failures){0};
}
