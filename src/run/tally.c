#include "run/tally.h"

#include "core/mem.h"
#include "core/num.h"
#include "run/marker.h"
#include "run/unitlog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A unit's code of its reason is a byte; 0: not known. */
#define N_CODES 256

struct reason {
    char *text;          /* NULL: the code is free; of code 0, always */
    uint32_t n_units;    /* when they were counted last */
    uint32_t first_unit; /* of those; ES_GRID_NONE: none */
    uint32_t log_unit;   /* whose log was looked for */
    char *log;           /* what was found then; NULL: nothing */
};

struct es_tally {
    struct es_units *units;
    const struct es_layout *layout;
    const char *run_dir;
    uint8_t *code; /* [n_units]; NULL until a unit fails */
    struct reason reasons[N_CODES];
    struct es_counts *by_checkpoint; /* [n_checkpoints] scratch */
};

int es_tally_create(struct es_units *units, const struct es_layout *layout, const char *run_dir,
                    struct es_tally **ret_tally, struct es_err *err)
{
    uint32_t n = es_grid_n_checkpoints(es_units_grid(units));
    struct es_tally *tally = es_mem_calloc(1, sizeof *tally);
    struct es_counts *by_checkpoint = es_mem_calloc(n, sizeof *by_checkpoint);
    if (!tally || !by_checkpoint) {
        free(tally);
        free(by_checkpoint);
        return es_err_nomem(err, "preparing the status");
    }
    tally->units = units;
    tally->layout = layout;
    tally->run_dir = run_dir;
    tally->by_checkpoint = by_checkpoint;
    *ret_tally = tally;
    return 0;
}

static void drop(struct reason *reason)
{
    free(reason->text);
    free(reason->log);
    *reason = (struct reason){0};
}

void es_tally_free(struct es_tally *tally)
{
    if (!tally)
        return;
    for (int c = 0; c < N_CODES; c++)
        drop(&tally->reasons[c]);
    free(tally->by_checkpoint);
    free(tally->code);
    free(tally);
}

/* --- Reasons --- */

static void count_reasons(struct es_tally *tally)
{
    struct es_units_columns columns = es_units_columns(tally->units);
    for (int c = 0; c < N_CODES; c++) {
        tally->reasons[c].n_units = 0;
        tally->reasons[c].first_unit = ES_GRID_NONE;
    }
    for (uint32_t id = 0; id < columns.n_units; id++) {
        if (columns.status[id] != ES_STATUS_FAILED)
            continue;
        struct reason *reason = &tally->reasons[tally->code ? tally->code[id] : 0];
        if (reason->n_units++ == 0)
            reason->first_unit = id;
    }
}

static int compare_counts(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Forgets the rarer half of all reasons. */
static void forget_rare(struct es_tally *tally)
{
    uint32_t counts[N_CODES - 1], n_units = es_units_columns(tally->units).n_units;
    int n_left = N_CODES / 2;
    count_reasons(tally);
    for (int c = 1; c < N_CODES; c++)
        counts[c - 1] = tally->reasons[c].n_units;
    qsort(counts, N_CODES - 1, sizeof counts[0], compare_counts);
    for (int c = 1; c < N_CODES && n_left > 0; c++)
        if (tally->reasons[c].n_units <= counts[N_CODES / 2]) {
            drop(&tally->reasons[c]);
            n_left--;
        }
    for (uint32_t id = 0; id < n_units; id++)
        if (!tally->reasons[tally->code[id]].text)
            tally->code[id] = 0;
}

/* The code of a reason, with a new one if need be; 0 when there is no memory. */
static uint8_t code_of(struct es_tally *tally, const char *text)
{
    int free_code = 0;
    for (int c = 1; c < N_CODES; c++) {
        struct reason *reason = &tally->reasons[c];
        if (reason->text && es_text_is_same_but_numbers(reason->text, text))
            return (uint8_t)c;
        if (!reason->text && free_code == 0)
            free_code = c;
    }
    if (free_code == 0) {
        forget_rare(tally);
        return code_of(tally, text);
    }
    struct reason *reason = &tally->reasons[free_code];
    *reason = (struct reason){.text = es_mem_strdup(text), .log_unit = ES_GRID_NONE};
    return reason->text ? (uint8_t)free_code : 0;
}

void es_tally_note(struct es_tally *tally, uint32_t unit_id, const char *reason)
{
    char text[ES_TRY_TEXT_LIMIT + 1];
    (void)snprintf(text, sizeof text, "%.*s", (int)es_utf8_cut(reason, ES_TRY_TEXT_LIMIT), reason);
    if (!tally->code)
        tally->code = es_mem_calloc(es_units_columns(tally->units).n_units, 1);
    if (tally->code)
        tally->code[unit_id] = text[0] ? code_of(tally, text) : 0;
}

void es_tally_read_reasons(struct es_tally *tally)
{
    const struct es_grid *grid = es_units_grid(tally->units);
    struct es_units_columns columns = es_units_columns(tally->units);
    struct es_buf dir = {0}, scratch = {0};
    struct es_result result;
    es_result_init(&result);
    for (uint32_t id = 0; tally->layout && id < columns.n_units; id++) {
        if (columns.status[id] != ES_STATUS_FAILED)
            continue;
        struct es_unit unit = es_grid_unit(grid, id);
        es_buf_reset(&dir);
        es_buf_printf(&dir, "%s/", tally->run_dir);
        es_layout_unit_dir(tally->layout, grid, unit, &dir);
        if (!dir.failed &&
            es_failed_read(AT_FDCWD, dir.data, es_grid_task(grid, unit.task), &scratch, &result))
            es_tally_note(tally, id, es_result_text(&result, result.reason));
    }
    es_result_clear(&result);
    es_buf_clear(&dir);
    es_buf_clear(&scratch);
}

/* --- Text --- */

static void put_string(struct es_buf *text, const char *key, const char *value)
{
    es_buf_printf(text, "\"%s\":", key);
    es_buf_json_string(text, value, strlen(value));
}

static void put_checkpoints(struct es_tally *tally, struct es_buf *text)
{
    const struct es_grid *grid = es_units_grid(tally->units);
    es_units_count_by_checkpoint(tally->units, tally->by_checkpoint);
    es_buf_puts(text, "\"checkpoints\":[");
    for (uint32_t c = 0; c < es_grid_n_checkpoints(grid); c++) {
        const struct es_counts *counts = &tally->by_checkpoint[c];
        es_buf_puts(text, c ? ",\n{" : "\n{");
        put_string(text, "checkpoint", es_grid_checkpoint(grid, c));
        es_buf_printf(text, ",\"done\":%u,\"pending\":%u,\"failed\":%u}", counts->done,
                      counts->pending, counts->failed);
    }
    es_buf_putc(text, ']');
}

/* Where the first of its units tells more; looked for once. */
static const char *log_of(struct es_tally *tally, struct reason *reason)
{
    if (tally->layout && reason->log_unit != reason->first_unit) {
        struct es_buf path = {0};
        free(reason->log);
        reason->log = NULL;
        if (es_unit_log_find(tally->run_dir, tally->layout, es_units_grid(tally->units),
                             reason->first_unit, &path))
            reason->log = path.data;
        reason->log_unit = reason->first_unit;
    }
    return reason->log;
}

/* The commonest of those not told yet, which is told then; NULL: no more. */
static struct reason *take_commonest(struct es_tally *tally, bool is_told[N_CODES])
{
    int most = -1;
    for (int c = 0; c < N_CODES; c++)
        if (!is_told[c] && tally->reasons[c].n_units > 0 &&
            (most < 0 || tally->reasons[c].n_units > tally->reasons[most].n_units))
            most = c;
    if (most < 0)
        return NULL;
    is_told[most] = true;
    return &tally->reasons[most];
}

void es_tally_json(struct es_tally *tally, struct es_buf *text)
{
    bool is_told[N_CODES] = {false};
    struct reason *reason;
    put_checkpoints(tally, text);
    es_buf_puts(text, ",\"failures\":[");
    count_reasons(tally);
    for (int i = 0; i < ES_TALLY_N_REASONS && (reason = take_commonest(tally, is_told)); i++) {
        const char *log = log_of(tally, reason);
        es_buf_puts(text, i ? ",\n{" : "\n{");
        put_string(text, "reason", reason->text ? reason->text : "unknown");
        es_buf_printf(text, ",\"units\":%u,", reason->n_units);
        if (log)
            put_string(text, "log", log);
        else
            es_buf_puts(text, "\"log\":null");
        es_buf_putc(text, '}');
    }
    es_buf_putc(text, ']');
}
