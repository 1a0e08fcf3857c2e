/* Markers: a unit's done.json and failed.json, and what other programs left beside them.
 *
 * A marker counts as done when it is a regular file that holds valid JSON, whoever wrote it. Scores
 * are taken from it where it has them, else from result.json or the MTEB result file beside it.
 */
#ifndef ES_RUN_MARKER_H
#define ES_RUN_MARKER_H

#include "core/buf.h"
#include "evalsweep/error.h"
#include "evalsweep/grid.h"
#include "evalsweep/result.h"
#include "evalsweep/units.h"

#include <stdbool.h>

#define ES_MARKER_LIMIT_BYTES ((size_t)64 << 20)

/* What a look at a marker found. */
enum es_marker_state {
    ES_MARKER_NONE,      /* there is none */
    ES_MARKER_VALID,     /* done */
    ES_MARKER_EMPTY,     /* the rest are reported, and their units evaluated again */
    ES_MARKER_MALFORMED, /* truncated, binary, no JSON */
    ES_MARKER_HUGE,      /* beyond ES_MARKER_LIMIT_BYTES */
    ES_MARKER_NOT_FILE,  /* a folder, a FIFO, ... */
    ES_MARKER_DANGLING,  /* a link to nothing */
    ES_MARKER_UNREADABLE,
    ES_MARKER_N_STATES
};

/* "truncated or malformed" and so on, for the summary. */
const char *es_marker_state_text(enum es_marker_state state);

/* Looks at <unit_dir>/done.json (unit_dir relative to dir_fd) and reads its scores and those beside
 * it into result (reset first). scratch is a buffer to reuse. NONE if it is older than
 * not_before_ns (mtime; INT64_MIN: any age counts). */
enum es_marker_state es_marker_read(int dir_fd, const char *unit_dir, const char *task,
                                    int64_t not_before_ns, struct es_buf *scratch,
                                    struct es_result *result, struct es_file_id *ret_id);

/* Whether there is a <unit_dir>/failed.json; what it tells (reason, attempt, times) goes to result
 * (reset first), as far as it can be read. */
bool es_failed_read(int dir_fd, const char *unit_dir, const char *task, struct es_buf *scratch,
                    struct es_result *result);

/* Whether the unit has failed for good in the run that began at started_ns, on whichever driver:
 * its failed.json is no older, and not of a try that others follow. As above. */
bool es_failed_in_run(int dir_fd, const char *unit_dir, const char *task, int64_t started_ns,
                      struct es_buf *scratch, struct es_result *result);

/* Makes the <unit_dir>/failed.json of a unit that is pending say so: that it is tried again. One
 * beside a done.json is removed. None, or one that says so already, is left alone. */
int es_failed_retract(int dir_fd, const char *unit_dir, const char *task, bool fsync,
                      struct es_buf *scratch, struct es_err *err);

/* Makes the tries that a <dir_fd>/failed.json tells of the earlier ones of a result that is to be
 * written beside it, in place of those it has. `spare` is a result to reuse. False: there is no
 * failed.json at all. One older than not_before_ns tells nothing. */
bool es_earlier_take(int dir_fd, const char *task, int64_t not_before_ns, struct es_buf *scratch,
                     struct es_result *spare, struct es_result *result);

/* The text of done.json, or of failed.json when `log_tail` is not NULL, for a unit, into text
 * (reset first). versions_json is a JSON object. exit_text is the evaluator's end ("exit code 1",
 * "signal 9"), "" if none. */
void es_marker_text(const struct es_grid *grid, struct es_unit unit, const struct es_result *result,
                    const char *versions_json, const char *exit_text, const char *log_tail,
                    size_t log_tail_n, struct es_buf *text);

/* Scores and times from a JSON text of any of the forms understood (a marker, ours or not; our
 * result.json; mteb 1.x and 2.x) into result (reset first). False: not valid JSON. `ret_has_score`
 * (may be NULL): whether it held any, a main_score of null or NaN counted. */
bool es_result_parse(const char *text, size_t n, const char *task, struct es_result *result,
                     bool *ret_has_score);

/* Scores beside a marker, or left by a one-shot evaluator: result.json, <task>.json, or a
 * <task>.json of MTEB's up to two folders down. Adds to result, where what is known already stays.
 * False: there are none. */
bool es_result_find(int dir_fd, const char *unit_dir, const char *task, struct es_buf *scratch,
                    struct es_result *result);

/* A persistent evaluator's reply line. */
struct es_reply {
    int64_t unit; /* -1: none given */
    bool ok;
    bool may_retry;
    uint32_t error; /* offset into result's text */
};
/* Parses a reply; scores and times go to result (reset first, also on failure). ES_ERR_PROTOCOL
 * says what is wrong. */
int es_reply_parse(const char *line, size_t n, struct es_reply *ret_reply, struct es_result *result,
                   struct es_err *err);

#endif
