/* `status --watch`: a run as it goes on, on a terminal or as a line each time. */
#ifndef ES_CLI_WATCH_H
#define ES_CLI_WATCH_H

#include "cli/frame.h"
#include "cli/opt.h"
#include "cli/view.h"

/* Returns the exit code, when the run is over, stdout is closed or a signal came (which then ends
 * the process as it would have). */
int es_watch_run(const char *path, const struct es_opt_list *sets, double interval_s);

/* The picture. is_utf8: what may be used to draw it. note: a line on top of it, "" for none. */
void es_watch_draw(const struct es_view *view, const char *note, bool is_utf8,
                   struct es_frame *frame);

/* The same in one line. */
void es_watch_line(const struct es_view *view, struct es_buf *text);

#endif
