#include "cli/watch.h"

#include "cli/ui.h"
#include "sys/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Cells of the strip, from nothing done to all of it. */
static const char *const utf8_levels[] = {"·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii_levels[] = {".", "1", "2", "3", "4", "5", "6", "7", "#"};
#define TOP_LEVEL 8

/* Some checkpoints together. */
struct cell {
    uint64_t done, pending, failed;
};

static struct cell cell_of(const struct es_view *view, uint32_t first, uint32_t n)
{
    struct cell cell = {0};
    for (uint32_t c = first; c < first + n && c < view->n_checkpoints; c++) {
        cell.done += view->checkpoints[c].done;
        cell.pending += view->checkpoints[c].pending;
        cell.failed += view->checkpoints[c].failed;
    }
    return cell;
}

/* Only what is whole looks whole, and only what is untouched so. */
static int level_of(const struct cell *cell)
{
    uint64_t total = cell->done + cell->pending + cell->failed;
    if (cell->done == total)
        return TOP_LEVEL;
    if (cell->done == 0)
        return 0;
    int level = (int)(cell->done * TOP_LEVEL / total);
    return level > 1 ? level : 1;
}

/* n_each: checkpoints in a cell. */
static void draw_strip(const struct es_view *view, const char *const *levels, uint32_t n_each,
                       struct es_frame *frame)
{
    const uint32_t n = view->n_checkpoints;
    bool has_failed = false;
    for (uint32_t c = 0; c < n; c += n_each) {
        struct cell cell = cell_of(view, c, n_each);
        int level = level_of(&cell);
        has_failed = has_failed || cell.failed;
        es_frame_put(frame,
                     cell.failed          ? ES_COLOUR_BAD
                     : level == TOP_LEVEL ? ES_COLOUR_GOOD
                     : level > 0          ? ES_COLOUR_UNDER_WAY
                                          : ES_COLOUR_DIM,
                     "%s", levels[level]);
    }
    es_frame_end_line(frame);
    if (!has_failed)
        return;
    for (uint32_t c = 0; c < n; c += n_each)
        es_frame_put(frame, ES_COLOUR_BAD, "%s", cell_of(view, c, n_each).failed ? "!" : " ");
    es_frame_end_line(frame);
}

static void draw_checkpoints(const struct es_view *view, bool is_utf8, struct es_frame *frame)
{
    uint32_t n = view->n_checkpoints, n_done = 0, n_begun = 0;
    const uint32_t width = frame->window.columns > 0 ? (uint32_t)frame->window.columns : 1;
    const uint32_t n_each = (n + width - 1) / width;
    if (n == 0)
        return;
    for (uint32_t c = 0; c < n; c++) {
        struct cell cell = cell_of(view, c, 1);
        n_done += cell.pending + cell.failed == 0;
        n_begun += cell.pending + cell.failed > 0 && cell.done > 0;
    }
    es_frame_end_line(frame);
    es_frame_put(frame, ES_COLOUR_BOLD, "checkpoints");
    es_frame_put(frame, ES_COLOUR_PLAIN, "  %u done, %u begun, %u to begin", n_done, n_begun,
                 n - n_done - n_begun);
    if (n_each > 1)
        es_frame_put(frame, ES_COLOUR_DIM, ", %u in a cell", n_each);
    if (n > 1)
        es_frame_put(frame, ES_COLOUR_DIM, "; %s to %s", view->checkpoints[0].name,
                     view->checkpoints[n - 1].name);
    es_frame_end_line(frame);
    draw_strip(view, is_utf8 ? utf8_levels : ascii_levels, n_each, frame);
}

static void draw_bar(const struct es_view *view, struct es_frame *frame)
{
    char figures[80], bar[512];
    uint32_t total = es_counts_total(&view->counts);
    (void)snprintf(figures, sizeof figures, " %u/%u (%.0f %%)", view->counts.done, total,
                   total ? floor(100.0 * view->counts.done / total) : 100.0);
    int room = es_frame_room(frame) - 2 - (int)strlen(figures);
    if (room > (int)sizeof bar - 1)
        room = (int)sizeof bar - 1;
    if (room >= 4) {
        int n_done = total ? (int)((double)room * view->counts.done / total) : room;
        memset(bar, '#', (size_t)n_done);
        memset(bar + n_done, '.', (size_t)(room - n_done));
        es_frame_put(frame, ES_COLOUR_PLAIN, "[");
        es_frame_put(frame, ES_COLOUR_GOOD, "%.*s", n_done, bar);
        es_frame_put(frame, ES_COLOUR_DIM, "%.*s", room - n_done, bar + n_done);
        es_frame_put(frame, ES_COLOUR_PLAIN, "]");
    }
    es_frame_put(frame, ES_COLOUR_BOLD, "%s", figures);
    es_frame_end_line(frame);
}

static void draw_counts(const struct es_view *view, struct es_frame *frame)
{
    es_frame_put(frame, ES_COLOUR_PLAIN, "%u done, %u pending", view->counts.done,
                 view->counts.pending);
    if (view->counts.blocked)
        es_frame_put(frame, ES_COLOUR_BAD, " (%u blocked)", view->counts.blocked);
    es_frame_put(frame, ES_COLOUR_PLAIN, ", ");
    es_frame_put(frame, view->counts.failed ? ES_COLOUR_BAD : ES_COLOUR_PLAIN, "%u failed",
                 view->counts.failed);
    if (view->counts.excluded)
        es_frame_put(frame, ES_COLOUR_PLAIN, ", %u excluded", view->counts.excluded);
    if (view->driver.n_retries)
        es_frame_put(frame, ES_COLOUR_PLAIN, "; %u failed attempts", view->driver.n_retries);
    es_frame_end_line(frame);
}

static void draw_driver(const struct es_view *view, struct es_frame *frame)
{
    struct es_buf text = {0};
    es_view_driver_text(view, &text);
    es_frame_put(frame, ES_COLOUR_PLAIN, "driver  ");
    es_frame_put(frame, view->driver.alive ? ES_COLOUR_PLAIN : ES_COLOUR_BAD, "%s",
                 text.data ? text.data : "");
    es_frame_end_line(frame);
    es_buf_clear(&text);
}

static void draw_failures(const struct es_view *view, struct es_frame *frame)
{
    if (view->n_failures == 0)
        return;
    es_frame_end_line(frame);
    es_frame_put(frame, ES_COLOUR_BOLD, "failures");
    es_frame_put(frame, ES_COLOUR_DIM, "  the most frequent reasons");
    es_frame_end_line(frame);
    for (uint32_t i = 0; i < view->n_failures && i < ES_VIEW_N_REASONS; i++) {
        es_frame_put(frame, ES_COLOUR_BAD, "%8u", view->failures[i].n_units);
        es_frame_put(frame, ES_COLOUR_PLAIN, "  %s", view->failures[i].reason);
        es_frame_end_line(frame);
        if (!view->failures[i].log)
            continue;
        es_frame_put(frame, ES_COLOUR_DIM, "          %s", view->failures[i].log);
        es_frame_end_line(frame);
    }
}

static void draw_suspects(const struct es_view *view, struct es_frame *frame)
{
    const struct es_status_seen *driver = &view->driver;
    if (driver->n_suspects == 0)
        return;
    es_frame_end_line(frame);
    es_frame_put(frame, ES_COLOUR_BOLD, "blocked or quarantined");
    es_frame_end_line(frame);
    for (uint32_t i = 0; i < driver->n_suspects; i++) {
        struct es_buf text = {0};
        es_status_suspect_text(&driver->suspects[i], &text);
        es_frame_put(frame, ES_COLOUR_BAD, "  %s", text.data && !text.failed ? text.data : "");
        es_frame_end_line(frame);
        if (driver->suspects[i].log) {
            es_frame_put(frame, ES_COLOUR_DIM, "          %s", driver->suspects[i].log);
            es_frame_end_line(frame);
        }
        es_buf_clear(&text);
    }
}

static void draw_worker(const struct es_view *view, const struct es_status_worker *worker,
                        int host_width, int device_width, struct es_frame *frame)
{
    char running[32] = "";
    if (worker->is_running)
        es_ui_duration(es_view_running_s(view, worker), running);
    es_frame_put(frame, worker->is_out ? ES_COLOUR_BAD : ES_COLOUR_PLAIN,
                 "%8u  %-*.*s  %-*.*s %10s", worker->worker, host_width, host_width, worker->host,
                 device_width, device_width, worker->device, worker->is_out ? "OUT" : running);
    double times = es_view_overdue_times(view, worker);
    if (worker->is_running)
        es_frame_put(frame, ES_COLOUR_PLAIN, "  %s, layer %d, %s", worker->checkpoint,
                     worker->layer, worker->task);
    else if (!worker->is_out)
        es_frame_put(frame, ES_COLOUR_DIM, "  %s",
                     es_view_is_quarantined(view, worker) ? "quarantined" : "waits");
    if (times > 0)
        es_frame_put(frame, ES_COLOUR_BAD, "  %.0f times longer than expected", times);
    es_frame_end_line(frame);
}

static int longer(int width, const char *text, int most)
{
    int n = (int)strlen(text);
    return n > most ? most : n > width ? n : width;
}

static void draw_workers(const struct es_view *view, struct es_frame *frame)
{
    uint32_t n = view->driver.n_workers, n_out = 0;
    int host_width = 4, device_width = 6;
    if (n == 0)
        return;
    for (uint32_t w = 0; w < n; w++) {
        n_out += view->workers[w]->is_out;
        host_width = longer(host_width, view->workers[w]->host, 24);
        device_width = longer(device_width, view->workers[w]->device, 16);
    }
    es_frame_end_line(frame);
    es_frame_put(frame, ES_COLOUR_BOLD, "workers");
    es_frame_put(frame, ES_COLOUR_PLAIN, "  %u: %u running, %u out", n, view->driver.n_running,
                 n_out);
    es_frame_end_line(frame);
    for (uint32_t w = 0; w < n; w++)
        draw_worker(view, view->workers[w], host_width, device_width, frame);
}

void es_watch_draw(const struct es_view *view, const char *note, bool is_utf8,
                   struct es_frame *frame)
{
    char now[24];
    es_clock_format_utc(view->now_s, now);
    es_frame_put(frame, ES_COLOUR_BOLD, "%s", view->run_id);
    es_frame_put(frame, ES_COLOUR_DIM, "  %s  %s", now, view->run_dir);
    es_frame_end_line(frame);
    if (view->has_driver || view->is_scanned) {
        draw_bar(view, frame);
        draw_counts(view, frame);
    }
    draw_driver(view, frame);
    if (note[0]) {
        es_frame_put(frame, ES_COLOUR_BOLD, "%s", note);
        es_frame_end_line(frame);
    }
    draw_checkpoints(view, is_utf8, frame);
    draw_failures(view, frame);
    draw_suspects(view, frame);
    draw_workers(view, frame);
}

void es_watch_line(const struct es_view *view, struct es_buf *text)
{
    char now[24];
    es_clock_format_utc(view->now_s, now);
    es_buf_printf(text, "%s  ", now);
    if (view->has_driver || view->is_scanned) {
        es_buf_printf(text, "%u/%u done, %u failed", view->counts.done,
                      es_counts_total(&view->counts), view->counts.failed);
        if (view->counts.blocked)
            es_buf_printf(text, ", %u blocked", view->counts.blocked);
        es_buf_puts(text, "; ");
    }
    es_buf_puts(text, "driver ");
    es_view_driver_text(view, text);
    es_buf_putc(text, '\n');
}
