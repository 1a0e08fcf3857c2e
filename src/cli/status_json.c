/* `status --json`: a view as one JSON document. */
#include "cli/json_out.h"
#include "cli/view.h"

#include <math.h>
#include <string.h>

static void put_string(struct es_buf *text, const char *key, const char *value)
{
    es_buf_printf(text, "\"%s\":", key);
    if (value)
        es_buf_json_string(text, value, strlen(value));
    else
        es_buf_puts(text, "null");
}

static void put_number(struct es_buf *text, const char *key, double value)
{
    es_buf_printf(text, ",\"%s\":", key);
    es_buf_json_double(text, value);
}

static void put_checkpoints(const struct es_view *view, struct es_buf *text)
{
    es_buf_puts(text, ",\"checkpoints\":[");
    for (uint32_t c = 0; c < view->n_checkpoints; c++) {
        const struct es_status_checkpoint *at = &view->checkpoints[c];
        es_buf_puts(text, c ? ",{" : "{");
        put_string(text, "checkpoint", at->name);
        es_buf_printf(text, ",\"done\":%u,\"pending\":%u,\"failed\":%u}", at->done, at->pending,
                      at->failed);
    }
    es_buf_putc(text, ']');
}

static void put_failures(const struct es_view *view, struct es_buf *text)
{
    es_buf_puts(text, ",\"failures\":[");
    for (uint32_t i = 0; i < view->n_failures; i++) {
        es_buf_puts(text, i ? ",{" : "{");
        put_string(text, "reason", view->failures[i].reason);
        es_buf_printf(text, ",\"units\":%u,", view->failures[i].n_units);
        put_string(text, "log", view->failures[i].log);
        es_buf_putc(text, '}');
    }
    es_buf_putc(text, ']');
}

static void put_suspects(const struct es_view *view, struct es_buf *text)
{
    es_buf_puts(text, ",\"suspects\":[");
    for (uint32_t i = 0; i < view->driver.n_suspects; i++) {
        if (i)
            es_buf_putc(text, ',');
        es_status_suspect_json(&view->driver.suspects[i], text);
    }
    es_buf_putc(text, ']');
}

static void put_worker(const struct es_view *view, const struct es_status_worker *worker,
                       struct es_buf *text)
{
    es_buf_printf(text, "{\"worker\":%u,", worker->worker);
    put_string(text, "host", worker->host);
    es_buf_putc(text, ',');
    put_string(text, "device", worker->device);
    if (worker->is_running) {
        es_buf_putc(text, ',');
        put_string(text, "checkpoint", worker->checkpoint);
        es_buf_printf(text, ",\"layer\":%d,", worker->layer);
        put_string(text, "task", worker->task);
        put_number(text, "running_s", floor(es_view_running_s(view, worker) * 1000) / 1000);
        put_number(text, "expected_s", worker->expected_s);
    }
    es_buf_printf(text, ",\"out\":%s}", worker->is_out ? "true" : "false");
}

/* All workers in the order of the driver, and the units that run longest. */
static void put_workers(const struct es_view *view, struct es_buf *text)
{
    uint32_t n = 0;
    es_buf_puts(text, ",\"workers\":[");
    for (uint32_t w = 0; w < view->driver.n_workers; w++) {
        if (w)
            es_buf_putc(text, ',');
        put_worker(view, &view->driver.workers[w], text);
    }
    es_buf_puts(text, "],\"running_units\":[");
    for (uint32_t w = 0; w < view->driver.n_workers && n < ES_VIEW_N_RUNNING; w++) {
        if (!view->workers[w]->is_running)
            continue;
        if (n++)
            es_buf_putc(text, ',');
        put_worker(view, view->workers[w], text);
    }
    es_buf_putc(text, ']');
}

void es_view_print_json(const struct es_view *view)
{
    const struct es_status_seen *driver = &view->driver;
    struct es_buf text = {0};
    es_buf_putc(&text, '{');
    es_status_counts_json(&view->counts, &text);
    es_buf_printf(&text, "\"running\":%u", driver->n_running);
    put_number(&text, "rate_per_s", driver->alive ? driver->rate_per_s : (double)NAN);
    put_number(&text, "eta_s", driver->alive ? driver->eta_s : (double)NAN);
    es_buf_printf(&text, ",\"alive\":%s,", driver->alive ? "true" : "false");
    put_string(&text, "ended", driver->why_ended[0] ? driver->why_ended : NULL);
    put_number(&text, "updated_s", view->has_driver ? driver->updated_s : (double)NAN);
    es_buf_printf(&text, ",\"drivers\":%u,\"done_without_score\":%u", view->n_drivers,
                  view->counts.done_without_score);
    put_checkpoints(view, &text);
    put_failures(view, &text);
    put_suspects(view, &text);
    put_workers(view, &text);
    es_buf_putc(&text, '}');
    es_json_out(&text);
}
