#include "cli/frame.h"

#include "core/num.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void es_frame_begin(struct es_frame *frame, struct es_window window, bool has_colours)
{
    es_buf_reset(&frame->lines);
    frame->window = window;
    frame->has_colours = has_colours;
    frame->n_lines = 0;
    frame->column = 0;
}

void es_frame_clear(struct es_frame *frame)
{
    es_buf_clear(&frame->lines);
}

int es_frame_room(const struct es_frame *frame)
{
    return frame->window.columns - frame->column;
}

void es_frame_put(struct es_frame *frame, enum es_colour colour, const char *format, ...)
{
    static const char *const begin[] = {"",           "\033[1m",        "\033[2m",
                                        "\033[1;34m", "\033[38;5;208m", "\033[1;31m"};
    char text[2048];
    int columns;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    es_text_to_line(text);
    size_t n = es_terminal_fit(text, es_frame_room(frame), &columns);
    bool is_coloured = frame->has_colours && colour != ES_COLOUR_PLAIN && n > 0;
    if (is_coloured)
        es_buf_puts(&frame->lines, begin[colour]);
    es_buf_append(&frame->lines, text, n);
    if (is_coloured)
        es_buf_puts(&frame->lines, "\033[m");
    frame->column += columns;
}

void es_frame_end_line(struct es_frame *frame)
{
    es_buf_putc(&frame->lines, '\n');
    frame->n_lines++;
    frame->column = 0;
}

void es_frame_text(const struct es_frame *frame, struct es_buf *text)
{
    int n_shown = frame->n_lines, columns;
    const char *at = frame->lines.data;
    char more[64];
    if (n_shown > frame->window.lines)
        n_shown = frame->window.lines - 1;
    es_buf_puts(text, "\033[H");
    for (int i = 0; i < n_shown && at; i++) {
        const char *end = strchr(at, '\n');
        es_buf_puts(text, i ? "\r\n" : "");
        es_buf_append(text, at, (size_t)(end - at));
        es_buf_puts(text, "\033[K");
        at = end + 1;
    }
    if (n_shown < frame->n_lines) {
        (void)snprintf(more, sizeof more, "(%d lines more)", frame->n_lines - n_shown);
        es_buf_puts(text, n_shown ? "\r\n" : "");
        es_buf_append(text, more, es_terminal_fit(more, frame->window.columns, &columns));
        es_buf_puts(text, "\033[K");
    }
    es_buf_puts(text, "\033[J");
}
