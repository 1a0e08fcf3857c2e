/* A frame: the lines of one picture on a terminal, each cut to the window's width.
 *
 *     es_frame_begin(&frame, window, colours);
 *     es_frame_put(&frame, ES_COLOUR_BOLD, "run %s", id); es_frame_end_line(&frame); ...
 *     es_frame_text(&frame, &text);       // to be written over the picture before it, in one write
 *
 * Lines below the window's last are not shown, but counted there. es_buf's rule for memory holds.
 */
#ifndef ES_CLI_FRAME_H
#define ES_CLI_FRAME_H

#include "cli/terminal.h"
#include "core/buf.h"

enum es_colour {
    ES_COLOUR_PLAIN,
    ES_COLOUR_BOLD,
    ES_COLOUR_DIM,
    ES_COLOUR_GOOD, /* blue and orange: told apart by all eyes */
    ES_COLOUR_UNDER_WAY,
    ES_COLOUR_BAD,
};

struct es_frame {
    struct es_window window;
    bool has_colours;
    struct es_buf lines; /* each with a '\n' */
    int n_lines;
    int column; /* of the line that is being put together */
};

/* Empties the frame, keeping its memory. */
void es_frame_begin(struct es_frame *frame, struct es_window window, bool has_colours);
void es_frame_clear(struct es_frame *frame);

/* Appends to the line, as far as there is room. Control characters become '?'. */
void es_frame_put(struct es_frame *frame, enum es_colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void es_frame_end_line(struct es_frame *frame);

/* The columns that are left in the line. */
int es_frame_room(const struct es_frame *frame);

/* What draws the frame over the one before it: it does not scroll, and nothing is blank meanwhile.
 * Afterwards the cursor is at the end of the last line. */
void es_frame_text(const struct es_frame *frame, struct es_buf *text);

#endif
