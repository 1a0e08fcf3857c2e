#include "run/adopt.h"

#include "core/csv.h"
#include "core/mem.h"
#include "run/folder.h"
#include "run/marker.h"
#include "run/scan.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/copyfile.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOING "adopting units"
#define MAX_DEPTH 8 /* of folders below a unit's */
#define NOTES_NAME ES_FOLDER_NAME "/adopted.csv"
#define NOTES_HEADER "adopted,checkpoint,layer,task,from\n"
#define N_NOTE_FIELDS 5
#define NOTES_LIMIT_BYTES ((size_t)1 << 30)

/* ---- what there is to take ---- */

static int check_source(const struct es_adopt_config *config, struct es_err *err)
{
    struct stat here, there;
    if (stat(config->source_dir, &there) < 0)
        return es_err_set(err, ES_ERR_USAGE, DOING, config->source_dir, "%s", strerror(errno));
    if (!S_ISDIR(there.st_mode))
        return es_err_set(err, ES_ERR_USAGE, DOING, config->source_dir,
                          "expected the folder of another run");
    if (stat(config->run_dir, &here) == 0 && here.st_dev == there.st_dev &&
        here.st_ino == there.st_ino)
        return es_err_set(err, ES_ERR_USAGE, DOING, config->source_dir, "it is this run itself");
    return 0;
}

static int scan_source(const struct es_adopt_config *config, const struct es_grid *grid,
                       struct es_units **ret_there, struct es_err *err)
{
    struct es_scan_options options = {0};
    struct es_scan_summary summary;
    struct es_units *there = NULL;
    int rc = es_folder_epoch(config->source_dir, &options.not_before_ns, err);
    if (rc < 0)
        return rc;
    if (options.not_before_ns < config->not_before_ns)
        options.not_before_ns = config->not_before_ns;
    rc = es_units_create(grid, &there, err);
    if (rc == 0)
        rc = es_scan(config->source_dir, config->layout, &options, there, &summary, err);
    if (rc < 0) {
        es_units_free(there);
        return rc;
    }
    *ret_there = there;
    return 0;
}

int es_adopt_find(const struct es_adopt_config *config, struct es_units *units,
                  struct es_adopt_found *ret_found, struct es_err *err)
{
    struct es_units *there = NULL;
    struct es_units_columns columns = es_units_columns(units);
    struct es_adopt_found found = {.grid = es_units_grid(units)};
    int rc = check_source(config, err);
    if (rc == 0)
        rc = scan_source(config, found.grid, &there, err);
    if (rc == 0) {
        found.ids = es_mem_calloc(columns.n_units, sizeof *found.ids);
        rc = found.ids ? 0 : es_err_nomem(err, DOING);
    }
    for (uint32_t id = 0; rc == 0 && id < columns.n_units; id++) {
        if (columns.status[id] == ES_STATUS_EXCLUDED)
            continue;
        if (columns.status[id] == ES_STATUS_DONE) {
            found.n_done++;
        } else if (es_units_columns(there).status[id] == ES_STATUS_DONE) {
            found.ids[found.n++] = id;
            columns.status[id] = ES_STATUS_DONE;
        } else {
            found.n_nothing++;
        }
    }
    es_units_free(there);
    if (rc == 0)
        *ret_found = found;
    return rc;
}

void es_adopt_found_clear(struct es_adopt_found *found)
{
    free(found->ids);
    *found = (struct es_adopt_found){0};
}

/* ---- the files of a unit ---- */

struct adoption {
    const struct es_adopt_config *config;
    const struct es_grid *grid;
    struct es_adopt_counts *counts;
    char source[PATH_MAX]; /* absolute */
    int run_dir_fd;
    int source_fd;
    int notes_fd;
    struct es_buf unit_dir;
    struct es_buf note;
    struct es_buf scratch;
    struct es_result result;
    struct es_err *err;
};

static int open_folder(int dir_fd, const char *path)
{
    return openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
}

static int copy_folder(const struct adoption *a, int from_fd, int to_fd, int depth);

static int copy_folder_below(const struct adoption *a, int from_fd, int to_fd, const char *name,
                             int depth)
{
    if (depth == MAX_DEPTH)
        return 0;
    if (es_mkdir_all_at(to_fd, name) < 0)
        return -1;
    int to = open_folder(to_fd, name);
    int from = to < 0 ? -1 : open_folder(from_fd, name);
    int rc = from < 0 ? -1 : copy_folder(a, from, to, depth + 1);
    es_fd_close(&from);
    es_fd_close(&to);
    return rc;
}

static bool is_left_out(const char *name, int depth)
{
    return name[0] == '.' ||
           (depth == 0 && (strcmp(name, ES_MARKER_NAME) == 0 || strcmp(name, ES_FAILED_NAME) == 0));
}

/* The first failure is the one that is told, and not that of the folders above it. */
static int fail_at(const struct adoption *a, int sys_errno, const char *name)
{
    char subject[PATH_MAX];
    (void)snprintf(subject, sizeof subject, "%s: %s", a->unit_dir.data, name);
    return a->err->code ? (int)a->err->code
                        : es_err_sys(a->err, sys_errno, "adopting a unit's files", subject);
}

/* What is neither file nor folder is nobody's result, and what is gone meanwhile was none. */
static int copy_entry(const struct adoption *a, int from_fd, int to_fd, const char *name, int depth)
{
    struct stat st;
    int rc = fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW);
    if (rc == 0 && S_ISDIR(st.st_mode)) {
        rc = copy_folder_below(a, from_fd, to_fd, name, depth);
    } else if (rc == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))) {
        rc = es_copy_file_at(from_fd, name, to_fd, name, a->config->sync);
        if (rc < 0 && errno == EINVAL)
            rc = 0;
    }
    if (rc < 0 && errno == ENOENT)
        return 0;
    return rc < 0 ? fail_at(a, errno, name) : rc;
}

/* Everything in a folder but markers and hidden files. */
static int copy_folder(const struct adoption *a, int from_fd, int to_fd, int depth)
{
    int fd = open_folder(from_fd, ".");
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    int rc = folder ? 0 : -1;
    if (!folder)
        es_fd_close(&fd);
    for (const struct dirent *entry; rc == 0 && (entry = readdir(folder));)
        if (!is_left_out(entry->d_name, depth))
            rc = copy_entry(a, from_fd, to_fd, entry->d_name, depth);
    int saved = errno;
    if (folder)
        (void)closedir(folder);
    errno = saved;
    return rc;
}

/* ---- a unit ---- */

static bool is_done(struct adoption *a, int dir_fd, struct es_unit unit)
{
    struct es_file_id id;
    return es_marker_read(dir_fd, a->unit_dir.data, es_grid_task(a->grid, unit.task),
                          a->config->not_before_ns, &a->scratch, &a->result,
                          &id) == ES_MARKER_VALID;
}

static int write_note(struct adoption *a, struct es_unit unit)
{
    char now[24];
    es_clock_format_utc(es_clock_wall_s(), now);
    es_buf_reset(&a->note);
    es_buf_printf(&a->note, "%s,", now);
    es_csv_put_text(&a->note, es_grid_checkpoint(a->grid, unit.checkpoint));
    es_buf_printf(&a->note, ",%d,", es_grid_layer(a->grid, unit.layer));
    es_csv_put_text(&a->note, es_grid_task(a->grid, unit.task));
    es_buf_putc(&a->note, ',');
    es_csv_put_text(&a->note, a->source);
    es_buf_putc(&a->note, '\n');
    if (a->note.failed)
        return es_err_nomem(a->err, DOING);
    return es_fd_write_all(a->notes_fd, a->note.data, a->note.len) < 0
               ? es_err_sys(a->err, errno, "noting what is adopted", NOTES_NAME)
               : 0;
}

/* The files are here: the marker makes it count. */
static int place_marker(struct adoption *a, struct es_unit unit, int from_fd, int to_fd)
{
    if (is_done(a, a->run_dir_fd, unit)) {
        a->counts->n_done++;
        return 0;
    }
    if (!is_done(a, a->source_fd, unit)) {
        a->counts->n_nothing++;
        return 0;
    }
    int rc = write_note(a, unit);
    if (rc < 0)
        return rc;
    if (es_link_file_at(from_fd, ES_MARKER_NAME, to_fd, ES_MARKER_NAME, a->config->sync) < 0 ||
        (a->config->sync && fsync(to_fd) < 0))
        return es_err_sys(a->err, errno, "adopting a marker of", a->unit_dir.data);
    if (unlinkat(to_fd, ES_FAILED_NAME, 0) < 0 && errno != ENOENT)
        return es_err_sys(a->err, errno, "clearing failed.json of", a->unit_dir.data);
    a->counts->n_taken++;
    return 0;
}

static int take_unit(struct adoption *a, uint32_t id)
{
    struct es_unit unit = es_grid_unit(a->grid, id);
    es_buf_reset(&a->unit_dir);
    es_layout_unit_dir(a->config->layout, a->grid, unit, &a->unit_dir);
    if (a->unit_dir.failed)
        return es_err_nomem(a->err, DOING);
    if (is_done(a, a->run_dir_fd, unit)) {
        a->counts->n_done++;
        return 0;
    }
    if (es_mkdir_all_at(a->run_dir_fd, a->unit_dir.data) < 0)
        return es_err_sys(a->err, errno, "making a unit's folder", a->unit_dir.data);
    es_atomic_sweep(a->run_dir_fd, a->unit_dir.data); /* what a killed adoption left */
    int from_fd = open_folder(a->source_fd, a->unit_dir.data);
    int to_fd = open_folder(a->run_dir_fd, a->unit_dir.data);
    int rc = 0;
    if (from_fd < 0 && errno == ENOENT)
        a->counts->n_nothing++;
    else if (from_fd < 0 || to_fd < 0)
        rc = es_err_sys(a->err, errno, "opening a unit's folder", a->unit_dir.data);
    else if (copy_folder(a, from_fd, to_fd, 0) < 0)
        rc = fail_at(a, errno, ".");
    else
        rc = place_marker(a, unit, from_fd, to_fd);
    es_fd_close(&from_fd);
    es_fd_close(&to_fd);
    return rc;
}

/* ---- all of them ---- */

/* The notes, to append to: with a header, and whole lines. */
static int open_notes(struct adoption *a)
{
    struct stat st;
    char last = '\n';
    int rc = -1;
    a->notes_fd = openat(a->run_dir_fd, NOTES_NAME, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (a->notes_fd >= 0)
        rc = fstat(a->notes_fd, &st);
    if (rc == 0 && st.st_size == 0)
        rc = es_fd_write_all(a->notes_fd, NOTES_HEADER, strlen(NOTES_HEADER));
    else if (rc == 0 && pread(a->notes_fd, &last, 1, st.st_size - 1) < 0)
        rc = -1;
    if (rc == 0 && last != '\n')
        rc = es_fd_write_all(a->notes_fd, "\n", 1);
    return rc < 0 ? es_err_sys(a->err, errno, "noting what is adopted", NOTES_NAME) : 0;
}

static int open_all(struct adoption *a)
{
    a->run_dir_fd = open_folder(AT_FDCWD, a->config->run_dir);
    if (a->run_dir_fd < 0)
        return es_err_sys(a->err, errno, "opening the run folder", a->config->run_dir);
    a->source_fd = open_folder(AT_FDCWD, a->config->source_dir);
    if (a->source_fd < 0 || !realpath(a->config->source_dir, a->source))
        return es_err_sys(a->err, errno, "opening the run folder", a->config->source_dir);
    return open_notes(a);
}

int es_adopt_take(const struct es_adopt_config *config, const struct es_adopt_found *found,
                  struct es_adopt_counts *ret_counts, struct es_err *err)
{
    struct es_err fault = {0};
    struct adoption a = {.config = config,
                         .grid = found->grid,
                         .counts = ret_counts,
                         .run_dir_fd = -1,
                         .source_fd = -1,
                         .notes_fd = -1,
                         .err = &fault};
    *ret_counts = (struct es_adopt_counts){0};
    if (found->n == 0)
        return 0;
    es_result_init(&a.result);
    int rc = open_all(&a);
    for (uint32_t i = 0; rc == 0 && i < found->n; i++)
        rc = take_unit(&a, found->ids[i]);
    es_fd_close(&a.notes_fd);
    es_fd_close(&a.source_fd);
    es_fd_close(&a.run_dir_fd);
    es_buf_clear(&a.unit_dir);
    es_buf_clear(&a.note);
    es_buf_clear(&a.scratch);
    es_result_clear(&a.result);
    if (rc < 0 && err)
        *err = fault;
    return rc;
}

/* ---- the notes ---- */

static void add_line_once(const struct es_buf *line, struct es_buf *text)
{
    for (const char *at = text->data; at && *at; at += strcspn(at, "\n") + 1)
        if (strncmp(at, line->data, line->len) == 0 && at[line->len] == '\n')
            return;
    es_buf_append(text, line->data, line->len);
    es_buf_putc(text, '\n');
}

static int collect_sources(const struct es_buf *notes, struct es_buf *text)
{
    const char *at = notes->data, *end = notes->data + notes->len;
    struct es_buf field = {0};
    bool is_header = true;
    while (at < end) {
        int n = 1;
        while (es_csv_take_field(&at, end, &field))
            n++;
        if (n == N_NOTE_FIELDS && !is_header && field.len)
            add_line_once(&field, text);
        is_header = false;
    }
    int rc = field.failed || text->failed ? ES_ERR_NOMEM : 0;
    es_buf_clear(&field);
    return rc;
}

int es_adopt_sources(const char *run_dir, struct es_buf *ret_text, struct es_err *err)
{
    struct es_buf path = {0}, notes = {0};
    es_buf_reset(ret_text);
    es_buf_printf(&path, "%s/" NOTES_NAME, run_dir);
    int rc = path.failed ? es_err_nomem(err, DOING) : 0;
    if (rc == 0 && es_file_read_at(AT_FDCWD, path.data, NOTES_LIMIT_BYTES, &notes, NULL) < 0)
        rc = errno == ENOENT || errno == ENOTDIR
                 ? 0
                 : es_file_read_error(err, errno, "reading what was adopted", path.data);
    if (rc == 0 && notes.len && collect_sources(&notes, ret_text) < 0)
        rc = es_err_nomem(err, "reading what was adopted");
    es_buf_clear(&notes);
    es_buf_clear(&path);
    return rc;
}
