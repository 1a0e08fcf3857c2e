#include "cli/watch.h"

#include "cli/say.h"
#include "core/num.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where no driver tells of a run every marker is looked at: so often at most, and no more than this
 * share of the time. */
#define SCAN_INTERVAL_S 30.0
#define SCAN_SHARE 0.02

/* The cursor is hidden, and what is too wide is cut and not wrapped. */
#define TERMINAL_TAKE "\033[?25l\033[?7l"
#define TERMINAL_GIVE_BACK "\033[?7h\033[?25h\r\n"

/* A terminal that takes nothing for so long is stalled. */
#define GIVE_BACK_MS 200

struct watch {
    const char *path;
    const struct es_opt_list *sets;
    double interval_s;
    char *run_dir;
    struct es_drivers *drivers;
    struct es_view view;
    bool has_seen;   /* a status.json */
    char fault[600]; /* why it has nothing of status.json, which is there; "": it has */
    double scan_due_s;
    bool is_terminal;
    bool is_utf8;
    bool has_colours;
    bool is_taken; /* the terminal */
    struct es_frame frame;
    int signal_fd;
    int exit_code;
};

/* --- Looking --- */

static int scan(struct watch *watch, struct es_err *err)
{
    double begun_s = es_clock_mono_s();
    if (begun_s < watch->scan_due_s) {
        watch->view.now_s = es_clock_wall_s();
        return 0;
    }
    es_view_clear(&watch->view);
    int rc = es_view_scan(watch->path, watch->sets, &watch->view, err);
    double ended_s = es_clock_mono_s();
    watch->scan_due_s = ended_s + fmax((ended_s - begun_s) / SCAN_SHARE, SCAN_INTERVAL_S);
    return rc;
}

/* A run of which nothing tells has to be scanned. What cannot be read of a driver at work may come.
 */
static int look(struct watch *watch, struct es_err *err)
{
    struct es_view view;
    struct es_err fault = {0};
    int rc = es_view_read(watch->run_dir, watch->drivers, &view, &fault);
    watch->fault[0] = '\0';
    if (rc < 0 && rc != ES_ERR_NOENT)
        es_err_text(&fault, watch->fault, sizeof watch->fault);
    watch->has_seen = watch->has_seen || rc == 0;
    if (!watch->has_seen && view.n_drivers == 0) {
        es_view_clear(&view);
        return scan(watch, err);
    }
    es_view_clear(&watch->view);
    watch->view = view;
    return 0;
}

/* Why there is nothing to wait for, into text; false: there is. */
static bool is_over(const struct es_view *view, char *text, size_t size_bytes)
{
    bool has_ended = view->has_driver && view->driver.has_ended && view->n_drivers == 0;
    if (!has_ended && !(view->is_scanned && view->counts.pending == 0))
        return false;
    if (has_ended && view->driver.why_ended[0])
        (void)snprintf(text, size_bytes, "ended: %s", view->driver.why_ended);
    else if (view->counts.pending)
        (void)snprintf(text, size_bytes, "ended: %u units are pending", view->counts.pending);
    else if (view->counts.failed)
        (void)snprintf(text, size_bytes, "ended: %u units failed, the others are done",
                       view->counts.failed);
    else
        (void)snprintf(text, size_bytes, "ended: every unit is done");
    return true;
}

/* --- Showing --- */

/* False: nobody reads it any more. */
static bool write_out(struct watch *watch, struct es_buf *text)
{
    bool is_written = !text->failed && es_fd_write_within(STDOUT_FILENO, text->data, text->len, -1,
                                                          watch->signal_fd) == 0;
    if (!is_written && !text->failed && errno == EINTR) {
        es_buf_clear(text);
        return true; /* stalled, and a signal: the frame is drawn anew, if it is not the end */
    }
    if (!is_written && text->failed)
        es_say("showing the run: out of memory");
    else if (!is_written && errno != EPIPE && errno != EIO)
        es_say("writing to standard output: %s", strerror(errno));
    if (!is_written && (text->failed || (errno != EPIPE && errno != EIO)))
        watch->exit_code = ES_EXIT_INTERNAL;
    es_buf_clear(text);
    return is_written;
}

static void take_terminal(struct watch *watch, const struct es_window *window, struct es_buf *text)
{
    if (watch->is_taken)
        return;
    for (int i = 0; i < window->lines; i++) /* what stands there moves up, to be found there */
        es_buf_putc(text, '\n');
    es_buf_puts(text, TERMINAL_TAKE);
    watch->is_taken = true;
}

static void give_back_terminal(struct watch *watch)
{
    if (watch->is_taken)
        (void)es_fd_write_within(STDOUT_FILENO, TERMINAL_GIVE_BACK, strlen(TERMINAL_GIVE_BACK),
                                 GIVE_BACK_MS, -1);
    watch->is_taken = false;
}

static bool show(struct watch *watch, const char *note)
{
    struct es_buf text = {0};
    if (watch->is_terminal) {
        struct es_window window = es_terminal_window(STDOUT_FILENO);
        es_frame_begin(&watch->frame, window, watch->has_colours);
        es_watch_draw(&watch->view, note, watch->is_utf8, &watch->frame);
        take_terminal(watch, &window, &text);
        es_frame_text(&watch->frame, &text);
        text.failed = text.failed || watch->frame.lines.failed;
    } else {
        es_watch_line(&watch->view, &text);
        if (note[0])
            es_buf_printf(&text, "%s\n", note);
    }
    return write_out(watch, &text);
}

/* --- Waiting --- */

static void stop(struct watch *watch)
{
    give_back_terminal(watch);
    (void)raise(SIGSTOP);
}

/* Until the next look is due, or the window changed. False: it is at an end. */
static bool wait(struct watch *watch)
{
    struct pollfd fds[] = {{.fd = watch->signal_fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};
    int number;
    if (poll(fds, 2, (int)(watch->interval_s * 1000)) > 0 && fds[1].revents)
        return false;
    while ((number = es_signal_take(watch->signal_fd)) > 0) {
        if (number == SIGTSTP) {
            stop(watch);
        } else if (number != SIGWINCH) {
            give_back_terminal(watch);
            es_signal_die(number);
        }
    }
    return true;
}

static void run(struct watch *watch)
{
    for (;;) {
        struct es_err err = {0};
        char note[700] = "";
        if (look(watch, &err) < 0) {
            give_back_terminal(watch);
            watch->exit_code = es_say_error(&err);
            return;
        }
        bool is_at_end = is_over(&watch->view, note, sizeof note);
        if (!is_at_end && watch->fault[0])
            (void)snprintf(note, sizeof note, "(%s)", watch->fault);
        else if (!is_at_end && watch->view.is_scanned)
            (void)snprintf(note, sizeof note,
                           "(no driver tells of it: every marker is looked at, again in %.0f s)",
                           fmax(watch->scan_due_s - es_clock_mono_s(), 0));
        if (!show(watch, note) || is_at_end || !wait(watch))
            return;
    }
}

static void init_terminal(struct watch *watch)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    watch->is_terminal = isatty(STDOUT_FILENO) && term && term[0] && strcmp(term, "dumb") != 0;
    watch->is_utf8 = es_terminal_is_utf8();
    watch->has_colours = !no_colour || !no_colour[0];
}

int es_watch_run(const char *path, const struct es_opt_list *sets, double interval_s)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
    struct es_err err = {0};
    struct watch watch = {.path = path, .sets = sets, .interval_s = interval_s};
    if (es_target_find(path, sets, &watch.run_dir, &err) < 0 ||
        es_drivers_create(watch.run_dir, "", ES_LOCK_STALE_S, &watch.drivers, &err) < 0) {
        free(watch.run_dir);
        return es_say_error(&err);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    init_terminal(&watch);
    watch.signal_fd = es_signal_open(numbers, sizeof numbers / sizeof numbers[0]);
    run(&watch);
    give_back_terminal(&watch);
    es_view_clear(&watch.view);
    es_frame_clear(&watch.frame);
    es_drivers_free(watch.drivers);
    es_fd_close(&watch.signal_fd);
    free(watch.run_dir);
    return watch.exit_code;
}
