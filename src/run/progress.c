#include "run/progress.h"

#include "core/buf.h"
#include "core/csv.h"
#include "core/mem.h"
#include "core/num.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "progress.csv"
#define HEADER_LIMIT_BYTES ((size_t)65536)

enum column {
    COLUMN_FINISHED,
    COLUMN_CHECKPOINT,
    COLUMN_LAYER,
    COLUMN_TASK,
    COLUMN_STATUS,
    COLUMN_MAIN_SCORE,
    COLUMN_EVALUATION_TIME_S,
    COLUMN_HOST,
    COLUMN_DEVICE,
    COLUMN_ATTEMPT,
    N_COLUMNS, /* and what stands for one that is not known */
};

static const char *const column_names[N_COLUMNS] = {
    "finished",   "checkpoint",        "layer", "task",   "status",
    "main_score", "evaluation_time_s", "host",  "device", "attempt",
};

struct es_progress {
    char *path;
    struct es_buf header; /* with its newline: for when there is no file yet, or no more */
    enum column *columns; /* [n_columns], as the header has them */
    size_t n_columns;
    size_t columns_cap;
    const char *newline; /* what the header ends with */
    struct es_buf lines; /* added since the last flush; `failed`: others were lost */
};

static enum column column_of(const char *name, size_t len)
{
    for (int i = 0; i < N_COLUMNS; i++)
        if (strlen(column_names[i]) == len && memcmp(column_names[i], name, len) == 0)
            return (enum column)i;
    return N_COLUMNS;
}

static int add_column(struct es_progress *progress, const struct es_buf *name)
{
    void *columns = progress->columns;
    if (name->failed || es_mem_grow(&columns, &progress->columns_cap, progress->n_columns + 1,
                                    sizeof *progress->columns) < 0)
        return ES_ERR_NOMEM;
    progress->columns = columns;
    enum column column = column_of(name->len ? name->data : "", name->len);
    progress->columns[progress->n_columns++] = column;
    return 0;
}

/* Takes over the header at the front of a file. */
static int read_header(struct es_progress *progress, const char *text, size_t n)
{
    const char *at = text, *end = text + n;
    struct es_buf name = {0};
    int rc = 0;
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        at += 3;
    bool goes_on = true;
    while (rc == 0 && goes_on) {
        goes_on = es_csv_take_field(&at, end, &name);
        rc = add_column(progress, &name);
    }
    es_buf_clear(&name);
    if (at > text && at[-1] == '\n')
        at--;
    progress->newline = at > text && at[-1] == '\r' ? "\r\n" : "\n";
    es_buf_append(&progress->header, text, (size_t)(at - text));
    es_buf_putc(&progress->header, '\n');
    return progress->header.failed ? ES_ERR_NOMEM : rc;
}

static int use_our_header(struct es_progress *progress)
{
    struct es_buf text = {0};
    for (int i = 0; i < N_COLUMNS; i++)
        es_buf_printf(&text, "%s%s", i ? "," : "", column_names[i]);
    int rc = text.failed ? ES_ERR_NOMEM : read_header(progress, text.data, text.len);
    es_buf_clear(&text);
    return rc;
}

/* Whether that is how a file with this header begins, and not yet all of it: fresh, or its writer
 * was killed. */
static bool is_begun_header(const struct es_progress *progress, const char *front, size_t n)
{
    return n < progress->header.len && memcmp(front, progress->header.data, n) == 0;
}

/* The front of the file that is there, if it is. */
static int load_header(struct es_progress *progress, struct es_err *err)
{
    char front[HEADER_LIMIT_BYTES];
    struct stat st;
    int fd = open(progress->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT)
        return es_err_sys(err, errno, "opening", progress->path);
    ssize_t n = 0;
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        es_fd_close(&fd);
        return es_err_set(err, ES_ERR_IO, "opening", progress->path, "it is no regular file");
    }
    if (fd >= 0)
        n = pread(fd, front, sizeof front, 0);
    int sys_errno = errno;
    es_fd_close(&fd);
    if (n < 0)
        return es_err_sys(err, sys_errno, "reading", progress->path);
    int rc = use_our_header(progress);
    if (rc == 0 && !is_begun_header(progress, front, (size_t)n)) {
        progress->n_columns = 0;
        es_buf_reset(&progress->header);
        rc = read_header(progress, front, (size_t)n);
    }
    return rc < 0 ? es_err_nomem(err, "reading progress.csv") : 0;
}

int es_progress_open(const char *run_dir, struct es_progress **ret_progress, struct es_err *err)
{
    struct es_buf path = {0};
    es_buf_printf(&path, "%s/%s", run_dir, FILE_NAME);
    struct es_progress *progress = es_mem_calloc(1, sizeof *progress);
    if (!progress || path.failed) {
        free(progress);
        es_buf_clear(&path);
        return es_err_nomem(err, "opening progress.csv");
    }
    progress->path = path.data;
    int rc = load_header(progress, err);
    if (rc < 0) {
        es_progress_close(progress);
        return rc;
    }
    *ret_progress = progress;
    return 0;
}

void es_progress_close(struct es_progress *progress)
{
    if (!progress)
        return;
    free(progress->path);
    free(progress->columns);
    es_buf_clear(&progress->header);
    es_buf_clear(&progress->lines);
    free(progress);
}

/* What a line says: indices of the unit (ES_GRID_NONE where it says none), and when it ended. */
struct line {
    uint32_t checkpoint, layer, task;
    char finished[24];
};

static void take_field(enum column column, const char *text, const struct es_grid *grid,
                       struct line *line)
{
    int64_t layer;
    if (column == COLUMN_FINISHED)
        (void)snprintf(line->finished, sizeof line->finished, "%s", text);
    else if (column == COLUMN_CHECKPOINT)
        line->checkpoint = es_grid_find_checkpoint(grid, text);
    else if (column == COLUMN_TASK)
        line->task = es_grid_find_task(grid, text);
    else if (column == COLUMN_LAYER && es_parse_int(text, &layer) && layer >= 0 &&
             layer <= INT32_MAX)
        line->layer = es_grid_find_layer(grid, (int32_t)layer);
}

static bool is_same_time(const char *told, double finished_s)
{
    char finished[24];
    double told_s;
    es_clock_format_utc(finished_s, finished);
    return strcmp(finished, told) == 0 || !es_clock_parse_utc(told, &told_s);
}

static void mark_line(const struct es_progress *progress, const char *text, size_t n,
                      struct es_units *units, struct es_buf *field, uint8_t *ret_has_line)
{
    const struct es_grid *grid = es_units_grid(units);
    struct line line = {ES_GRID_NONE, ES_GRID_NONE, ES_GRID_NONE, ""};
    const char *at = text, *end = text + n;
    bool goes_on = true;
    size_t n_fields = 0;
    while (goes_on && n_fields < progress->n_columns) {
        goes_on = es_csv_take_field(&at, end, field);
        take_field(progress->columns[n_fields++], field->len ? field->data : "", grid, &line);
    }
    if (n_fields < progress->n_columns) /* torn */
        return;
    if (line.checkpoint == ES_GRID_NONE || line.layer == ES_GRID_NONE || line.task == ES_GRID_NONE)
        return;
    uint32_t id = es_grid_id(grid, (struct es_unit){line.checkpoint, line.layer, line.task});
    if (is_same_time(line.finished, es_units_columns(units).finished_s[id]))
        ret_has_line[id] = 1;
}

int es_progress_mark(const struct es_progress *progress, struct es_units *units,
                     uint8_t *ret_has_line, struct es_err *err)
{
    struct es_buf field = {0};
    char *text = NULL;
    size_t cap = 0;
    FILE *file = fopen(progress->path, "re");
    if (!file)
        return errno == ENOENT ? 0 : es_err_sys(err, errno, "reading", progress->path);
    for (ssize_t n; (n = getline(&text, &cap, file)) >= 0;)
        mark_line(progress, text, (size_t)n, units, &field, ret_has_line);
    int rc = ferror(file) ? es_err_sys(err, errno, "reading", progress->path) : 0;
    (void)fclose(file);
    free(text);
    es_buf_clear(&field);
    return rc;
}

static void add_field(struct es_buf *line, enum column column, const struct es_grid *grid,
                      struct es_unit unit, enum es_status status, const struct es_result *result)
{
    char utc[24];
    switch (column) {
    case COLUMN_FINISHED:
        es_clock_format_utc(result->finished_s, utc);
        es_buf_puts(line, utc);
        break;
    case COLUMN_CHECKPOINT:
        es_csv_put_text(line, es_grid_checkpoint(grid, unit.checkpoint));
        break;
    case COLUMN_LAYER:
        es_csv_put_double(line, es_grid_layer(grid, unit.layer));
        break;
    case COLUMN_TASK:
        es_csv_put_text(line, es_grid_task(grid, unit.task));
        break;
    case COLUMN_STATUS:
        es_buf_puts(line, status == ES_STATUS_DONE ? "done" : "failed");
        break;
    case COLUMN_MAIN_SCORE:
        es_csv_put_double(line, result->main_score);
        break;
    case COLUMN_EVALUATION_TIME_S:
        es_csv_put_double(line, result->evaluation_time_s);
        break;
    case COLUMN_HOST:
        es_csv_put_text(line, es_result_text(result, result->host));
        break;
    case COLUMN_DEVICE:
        es_csv_put_text(line, es_result_text(result, result->device));
        break;
    case COLUMN_ATTEMPT:
        if (result->attempt)
            es_csv_put_double(line, result->attempt);
        break;
    case N_COLUMNS:
        break;
    }
}

void es_progress_add(struct es_progress *progress, const struct es_grid *grid, uint32_t unit_id,
                     enum es_status status, const struct es_result *result)
{
    struct es_buf *lines = &progress->lines;
    struct es_unit unit = es_grid_unit(grid, unit_id);
    size_t len = lines->len;
    for (size_t i = 0; i < progress->n_columns; i++) {
        if (i)
            es_buf_putc(lines, ',');
        add_field(lines, progress->columns[i], grid, unit, status, result);
    }
    es_buf_puts(lines, progress->newline);
    if (lines->failed && lines->data) { /* no part of a line */
        lines->len = len;
        lines->data[len] = '\0';
    }
}

/* What must come before the lines: the header in a fresh file, a newline after a torn line. Where
 * the file ends now in ret_end. */
static int add_front(const struct es_progress *progress, int fd, struct es_buf *text,
                     off_t *ret_end)
{
    struct stat st;
    char last;
    if (fstat(fd, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    *ret_end = st.st_size;
    ssize_t n = 0;
    if (st.st_size < (off_t)progress->header.len) {
        char front[HEADER_LIMIT_BYTES];
        n = pread(fd, front, sizeof front, 0);
        if (n == st.st_size && is_begun_header(progress, front, (size_t)n)) {
            es_buf_append(text, progress->header.data + n, progress->header.len - (size_t)n);
            return 0;
        }
    }
    if (n >= 0)
        n = pread(fd, &last, 1, st.st_size - 1);
    if (n == 1 && last != '\n')
        es_buf_puts(text, progress->newline);
    return n < 0 ? -1 : 0;
}

/* Length of the whole lines among the first n bytes. */
static size_t whole_lines(const struct es_buf *lines, size_t n)
{
    while (n > 0 && lines->data[n - 1] != '\n')
        n--;
    return n;
}

/* Writes as much as can be, in one write unless the disk is full: how much. Less than n: errno. */
static size_t write_most(int fd, const char *bytes, size_t n)
{
    size_t n_out = 0;
    while (n_out < n) {
        ssize_t done = write(fd, bytes + n_out, n - n_out);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            break;
        n_out += (size_t)done;
    }
    return n_out;
}

/* Cuts the file down to n bytes, if the torn_bytes after them are its last ones. errno is kept. */
static void cut_torn(int fd, off_t n, size_t torn_bytes)
{
    struct stat st;
    int saved = errno;
    if (torn_bytes && fstat(fd, &st) == 0 && st.st_size == n + (off_t)torn_bytes)
        (void)!ftruncate(fd, n);
    errno = saved;
}

/* Writes front and lines, and forgets the lines that went out whole. */
static int append(struct es_progress *progress, int fd)
{
    struct es_buf text = {0};
    off_t end = 0;
    if (add_front(progress, fd, &text, &end) < 0) {
        es_buf_clear(&text);
        return -1;
    }
    size_t front_len = text.len;
    es_buf_append(&text, progress->lines.data, progress->lines.len);
    if (text.failed) {
        es_buf_clear(&text);
        errno = ENOMEM;
        return -1;
    }
    size_t n_out = write_most(fd, text.data, text.len), n_whole = 0;
    bool complete = n_out == text.len;
    if (n_out > front_len) {
        size_t n_lines = whole_lines(&progress->lines, n_out - front_len);
        es_buf_consume(&progress->lines, n_lines);
        n_whole = n_lines ? front_len + n_lines : 0;
    }
    if (!complete)
        cut_torn(fd, end + (off_t)n_whole, n_out - n_whole);
    es_buf_clear(&text);
    return complete ? 0 : -1;
}

int es_progress_flush(struct es_progress *progress, struct es_err *err)
{
    int rc = 0;
    if (progress->lines.len) {
        /* Opened anew each time: the file may have been moved away or replaced by an editor. */
        int fd = open(progress->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
        if (fd < 0 || append(progress, fd) < 0)
            rc = es_err_sys(err, errno, "writing", progress->path);
        es_fd_close(&fd);
    }
    if (rc == 0 && progress->lines.failed)
        rc = es_err_nomem(err, "writing progress.csv");
    progress->lines.failed = false;
    return rc;
}
