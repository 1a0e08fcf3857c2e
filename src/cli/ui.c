#include "cli/ui.h"

#include "cli/say.h"
#include "cli/terminal.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool es_ui_choose(const char *wanted, bool is_launched, bool is_quiet, struct es_ui *ret_ui)
{
    enum es_ui_kind kind = !is_launched && isatty(STDERR_FILENO) ? ES_UI_BAR : ES_UI_LINES;
    if (wanted && strcmp(wanted, "bar") == 0)
        kind = ES_UI_BAR;
    else if (wanted && strcmp(wanted, "lines") == 0)
        kind = ES_UI_LINES;
    else if (wanted && strcmp(wanted, "none") == 0)
        kind = ES_UI_NONE;
    else if (wanted)
        return false;
    *ret_ui = (struct es_ui){.kind = is_quiet ? ES_UI_NONE : kind, .is_quiet = is_quiet};
    return true;
}

double es_ui_interval_s(const struct es_ui *ui)
{
    return ui->kind == ES_UI_BAR ? 0.25 : 60.0;
}

void es_ui_duration(double seconds, char ret_text[32])
{
    if (!isfinite(seconds) || seconds > 1e9) {
        (void)snprintf(ret_text, 32, "?");
        return;
    }
    long s = lround(seconds < 0 ? 0 : seconds);
    if (s < 60)
        (void)snprintf(ret_text, 32, "%ld s", s);
    else if (s < 3600)
        (void)snprintf(ret_text, 32, "%ld:%02ld", s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(ret_text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(ret_text, 32, "%ld d %ld:%02ld", s / 86400, s / 3600 % 24, s / 60 % 60);
}

bool es_ui_rate(double per_s, char ret_text[32])
{
    bool is_slow = per_s < 1;
    if (isfinite(per_s))
        (void)snprintf(ret_text, 32, "%.1f units/%s", is_slow ? per_s * 60 : per_s,
                       is_slow ? "min" : "s");
    return isfinite(per_s);
}

/* Under mpirun stderr is a pipe to it, and the terminal, of which COLUMNS tells as it was at the
 * start, is the one that the job was started from. (Ranks of Open MPI 5 cannot open it.) */
static int terminal_width(void)
{
    int width = es_terminal_window(STDERR_FILENO).columns;
    int fd = isatty(STDERR_FILENO) ? -1 : open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0) {
        int now = es_terminal_window(fd).columns;
        width = now < width || !getenv("COLUMNS") ? now : width;
    }
    es_fd_close(&fd);
    return width;
}

/* "123/396 (31 %)  12.3/s  ETA 0:21  2 failed" */
static void figures(const struct es_run_state *state, char *ret_text, size_t size_bytes)
{
    char eta[32], rate[32] = "", failed[32] = "";
    uint32_t total = es_counts_total(&state->counts);
    es_ui_duration(state->counts.pending ? state->eta_s : 0, eta);
    if (isfinite(state->rate_per_s))
        (void)snprintf(rate, sizeof rate, state->rate_per_s < 1 ? "  %.1f/min" : "  %.1f/s",
                       state->rate_per_s < 1 ? state->rate_per_s * 60 : state->rate_per_s);
    if (state->counts.failed)
        (void)snprintf(failed, sizeof failed, "  %u failed", state->counts.failed);
    (void)snprintf(ret_text, size_bytes, "%u/%u (%.0f %%)%s  ETA %s%s", state->counts.done, total,
                   total ? floor(100.0 * state->counts.done / total) : 100.0, rate, eta, failed);
}

static void clear_bar(struct es_ui *ui)
{
    if (ui->bar[0])
        es_say_raw("\r\033[K");
    ui->bar[0] = '\0';
}

/* In one write, over the one before it: no flicker. */
static void draw_bar(struct es_ui *ui, const struct es_run_state *state, const char *text)
{
    uint32_t total = es_counts_total(&state->counts);
    int width = terminal_width();
    int room = width - (int)strlen(text) - 5;
    char bar[sizeof ui->bar];
    size_t n = (size_t)snprintf(bar, sizeof bar, "\r");
    if (room > 60)
        room = 60;
    if (room >= 8) {
        int filled = total ? (int)((double)room * state->counts.done / total) : room;
        bar[n++] = '[';
        for (int i = 0; i < room; i++)
            bar[n++] = i < filled ? '#' : '.';
        n += (size_t)snprintf(bar + n, sizeof bar - n, "] ");
    }
    (void)snprintf(bar + n, sizeof bar - n, "%.*s\033[K", width - 1, text);
    if (strcmp(bar, ui->bar) == 0)
        return;
    memcpy(ui->bar, bar, sizeof bar);
    es_say_raw(bar);
}

void es_ui_report(void *context, const struct es_run_state *state)
{
    struct es_ui *ui = context;
    char text[200];
    figures(state, text, sizeof text);
    if (ui->kind == ES_UI_BAR && !state->alive) {
        clear_bar(ui); /* the summary follows */
    } else if (ui->kind == ES_UI_BAR) {
        draw_bar(ui, state, text);
    } else if (ui->kind == ES_UI_LINES && state->alive) {
        es_say("%s", text);
    }
}

void es_ui_note(void *context, bool is_trouble, const char *text)
{
    struct es_ui *ui = context;
    char bar[sizeof ui->bar];
    if (!is_trouble && ui->is_quiet)
        return;
    memcpy(bar, ui->bar, sizeof bar);
    clear_bar(ui);
    es_say("%s", text);
    if (bar[0])
        es_say_raw(bar);
    memcpy(ui->bar, bar, sizeof bar);
}
