#include "run/marker.h"

#include "run/layout.h"
#include "run/marker_internal.h"
#include "run/result_internal.h"
#include "sys/atomicfile.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

const char *es_marker_state_text(enum es_marker_state state)
{
    switch (state) {
    case ES_MARKER_NONE:
        return "missing";
    case ES_MARKER_VALID:
        return "valid";
    case ES_MARKER_EMPTY:
        return "empty";
    case ES_MARKER_MALFORMED:
        return "truncated or malformed";
    case ES_MARKER_HUGE:
        return "too large";
    case ES_MARKER_NOT_FILE:
        return "not a file";
    case ES_MARKER_DANGLING:
        return "a dangling link";
    case ES_MARKER_UNREADABLE:
        return "unreadable";
    case ES_MARKER_N_STATES:
        break;
    }
    return "unknown";
}

bool es_marker_is_file(enum es_marker_state state)
{
    return state == ES_MARKER_VALID || state == ES_MARKER_EMPTY || state == ES_MARKER_MALFORMED ||
           state == ES_MARKER_HUGE;
}

size_t es_path_push(struct es_buf *path, const char *name)
{
    size_t len = path->len;
    es_buf_putc(path, '/');
    es_buf_puts(path, name);
    return len;
}

void es_path_pop(struct es_buf *path, size_t len)
{
    path->len = len;
    if (path->data)
        path->data[len] = '\0';
}

void es_look_clear(struct es_look *look)
{
    es_buf_clear(&look->path);
    es_buf_clear(&look->content);
    es_result_clear(&look->result);
}

/* Links are opened in a second call, so that a dangling one is told from none at all without one
 * more call for each of the units that have no marker. */
static int open_marker(struct es_look *look, enum es_marker_state *ret_state)
{
    look->n_calls++;
    int fd = openat(look->dir_fd, look->path.data, OPEN_FLAGS | O_NOFOLLOW);
    bool is_link = fd < 0 && errno == ELOOP;
    if (is_link) {
        look->n_calls++;
        fd = openat(look->dir_fd, look->path.data, OPEN_FLAGS);
    }
    if (fd >= 0)
        return fd;
    look->sys_errno = errno;
    if (errno == ENOENT || errno == ENOTDIR)
        *ret_state = is_link ? ES_MARKER_DANGLING : ES_MARKER_NONE;
    else if (errno == ELOOP)
        *ret_state = ES_MARKER_DANGLING;
    else if (errno == ENXIO || errno == ENODEV)
        *ret_state = ES_MARKER_NOT_FILE; /* a socket, a device without a driver */
    else
        *ret_state = ES_MARKER_UNREADABLE;
    return -1;
}

/* Reads the size_bytes that the file has. The end is not asked for: in a file that grows meanwhile
 * the identity changes too, and it is read again the next time. */
static bool read_content(struct es_look *look, int fd, size_t size_bytes)
{
    es_buf_reset(&look->content);
    char *at = es_buf_reserve(&look->content, size_bytes);
    if (!at) {
        look->sys_errno = ENOMEM;
        return false;
    }
    while (look->content.len < size_bytes) {
        look->n_calls++;
        ssize_t n = read(fd, at + look->content.len, size_bytes - look->content.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            look->sys_errno = errno;
            return false;
        }
        if (n == 0)
            break;
        look->content.len += (size_t)n;
    }
    look->content.data[look->content.len] = '\0';
    return true;
}

static enum es_marker_state read_opened(struct es_look *look, int fd)
{
    struct stat st;
    look->n_calls++;
    if (fstat(fd, &st) < 0) {
        look->sys_errno = errno;
        return ES_MARKER_UNREADABLE;
    }
    if (!S_ISREG(st.st_mode))
        return ES_MARKER_NOT_FILE;
    look->id = es_file_id(&st);
    look->is_older = look->id.mtime_ns < look->not_before_ns;
    if (look->is_older)
        return ES_MARKER_NONE;
    if (st.st_size <= 0)
        return ES_MARKER_EMPTY;
    if ((uint64_t)st.st_size > ES_MARKER_LIMIT_BYTES)
        return ES_MARKER_HUGE;
    if (!read_content(look, fd, (size_t)st.st_size))
        return ES_MARKER_UNREADABLE;
    return look->content.len ? ES_MARKER_VALID : ES_MARKER_EMPTY;
}

/* Reads the named file of the unit's folder into content. */
static enum es_marker_state read_file(struct es_look *look, const char *name)
{
    enum es_marker_state state = ES_MARKER_UNREADABLE;
    look->is_older = false;
    look->sys_errno = 0;
    look->id = (struct es_file_id){0};
    es_result_reset(&look->result);
    size_t len = es_path_push(&look->path, name);
    if (look->path.failed) {
        look->sys_errno = ENOMEM;
    } else {
        int fd = open_marker(look, &state);
        if (fd >= 0) {
            state = read_opened(look, fd);
            look->n_calls++;
            es_fd_close(&fd);
        }
    }
    es_path_pop(&look->path, len);
    return state;
}

enum es_marker_state es_look_at_marker(struct es_look *look)
{
    enum es_marker_state state = read_file(look, ES_MARKER_NAME);
    if (state != ES_MARKER_VALID)
        return state;
    enum es_form form =
        es_result_read(look->content.data, look->content.len, look->task, &look->result);
    if (form == ES_FORM_NOT_JSON)
        return ES_MARKER_MALFORMED;
    if (form != ES_FORM_COMPLETE)
        (void)es_result_find_counted(look->dir_fd, &look->path, look->task, &look->content,
                                     &look->result, &look->n_calls);
    return ES_MARKER_VALID;
}

enum es_marker_state es_look_at_failed(struct es_look *look)
{
    enum es_marker_state state = read_file(look, ES_FAILED_NAME);
    if (state == ES_MARKER_VALID && es_result_read(look->content.data, look->content.len,
                                                   look->task, &look->result) == ES_FORM_NOT_JSON)
        state = ES_MARKER_MALFORMED;
    return state;
}

/* One look on its own, with the caller's buffer and result. */
static enum es_marker_state look_once(enum es_marker_state (*look_at)(struct es_look *),
                                      struct es_look *look, const char *unit_dir,
                                      struct es_buf *scratch, struct es_result *result)
{
    look->content = *scratch;
    look->result = *result;
    es_buf_puts(&look->path, unit_dir);
    enum es_marker_state state = look_at(look);
    es_buf_clear(&look->path);
    *scratch = look->content;
    *result = look->result;
    return state;
}

enum es_marker_state es_marker_read(int dir_fd, const char *unit_dir, const char *task,
                                    int64_t not_before_ns, struct es_buf *scratch,
                                    struct es_result *result, struct es_file_id *ret_id)
{
    struct es_look look = {.dir_fd = dir_fd, .task = task, .not_before_ns = not_before_ns};
    enum es_marker_state state = look_once(es_look_at_marker, &look, unit_dir, scratch, result);
    if (ret_id)
        *ret_id = look.id;
    return state;
}

bool es_failed_read(int dir_fd, const char *unit_dir, const char *task, struct es_buf *scratch,
                    struct es_result *result)
{
    struct es_look look = {.dir_fd = dir_fd, .task = task, .not_before_ns = INT64_MIN};
    return es_marker_is_file(look_once(es_look_at_failed, &look, unit_dir, scratch, result));
}

/* A failed.json with the key that leaves its unit pending. */
static int write_retracted(int dir_fd, const char *path, const char *text, bool fsync,
                           struct es_err *err)
{
    struct es_buf retracted = {0};
    const char *brace = strchr(text, '{');
    if (!brace)
        return 0; /* not ours */
    es_buf_puts(&retracted, "{\"retry\":true,");
    es_buf_puts(&retracted, brace + 1);
    int rc = retracted.failed
                 ? es_err_nomem(err, "retracting a failure")
                 : es_atomic_write(dir_fd, path, retracted.data, retracted.len, fsync, NULL, err);
    es_buf_clear(&retracted);
    return rc;
}

int es_failed_retract(int dir_fd, const char *unit_dir, const char *task, bool fsync,
                      struct es_buf *scratch, struct es_err *err)
{
    struct es_result result;
    struct es_buf path = {0};
    int rc = 0;
    es_result_init(&result);
    es_buf_printf(&path, "%s/" ES_MARKER_NAME, unit_dir);
    bool is_done = !path.failed && faccessat(dir_fd, path.data, F_OK, 0) == 0;
    es_buf_reset(&path);
    es_buf_printf(&path, "%s/" ES_FAILED_NAME, unit_dir);
    if (path.failed)
        rc = es_err_nomem(err, "retracting a failure");
    else if (is_done && unlinkat(dir_fd, path.data, 0) < 0 && errno != ENOENT)
        rc = es_err_sys(err, errno, "removing", path.data);
    else if (!is_done && es_failed_read(dir_fd, unit_dir, task, scratch, &result) &&
             !result.is_interim && scratch->len > 0)
        rc = write_retracted(dir_fd, path.data, scratch->data, fsync, err);
    es_result_clear(&result);
    es_buf_clear(&path);
    return rc;
}

bool es_failed_in_run(int dir_fd, const char *unit_dir, const char *task, int64_t started_ns,
                      struct es_buf *scratch, struct es_result *result)
{
    struct es_look look = {.dir_fd = dir_fd, .task = task, .not_before_ns = started_ns};
    return es_marker_is_file(look_once(es_look_at_failed, &look, unit_dir, scratch, result)) &&
           !result->is_interim;
}
