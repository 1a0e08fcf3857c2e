/* Between the scan and the reader of markers. */
#ifndef ES_RUN_MARKER_INTERNAL_H
#define ES_RUN_MARKER_INTERNAL_H

#include "core/buf.h"
#include "run/marker.h"

/* One look at a unit's marker, and what it found. A look is reused from unit to unit. */
struct es_look {
    int dir_fd;
    const char *task;
    int64_t not_before_ns;
    struct es_buf path;    /* the unit's folder, relative to dir_fd; the same again afterwards */
    struct es_buf content; /* the file's, for reuse */
    struct es_result result;
    struct es_file_id id;
    bool is_older;    /* it was not read since it is older than not_before_ns */
    int sys_errno;    /* why it is unreadable */
    uint64_t n_calls; /* system calls made so far */
};

void es_look_clear(struct es_look *look);

/* What es_marker_read does. */
enum es_marker_state es_look_at_marker(struct es_look *look);

/* The same for failed.json, without the scores of files beside it. */
enum es_marker_state es_look_at_failed(struct es_look *look);

/* Whether the state is that of a regular file, good or bad. */
bool es_marker_is_file(enum es_marker_state state);

/* Appends "/name" to a path, and takes it off again by giving the length before. */
size_t es_path_push(struct es_buf *path, const char *name);
void es_path_pop(struct es_buf *path, size_t len);

#endif
