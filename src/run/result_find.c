/* Scores beside a marker: result.json, <task>.json, or a <task>.json in the folders below, which is
 * where MTEB puts it: <model>/<revision>/<task>.json, under results/ where 2.x has its cache there,
 * and in experiments/<name>/ of a revision. */
#include "run/marker.h"

#include "core/num.h"
#include "run/marker_internal.h"
#include "run/result_internal.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 5
#define MAX_FOLDERS 1000 /* below one unit: a tree of data there must not stall the scan */

struct search {
    int dir_fd;
    struct es_buf *path; /* the folder being looked at */
    const char *task;
    const char *file_name; /* "<task>.json" */
    struct es_buf *scratch;
    struct es_result *result;
    uint64_t *n_calls;
    enum es_form found;
    uint32_t n_folders;
    struct es_buf newest; /* the newest file of that name below, or its absence: several revisions
                             of a model leave one each */
    int64_t newest_mtime_ns;
};

/* Adds the scores of path's file of this name. */
static void try_file(struct search *search, const char *name)
{
    struct es_buf *path = search->path;
    size_t len = es_path_push(path, name);
    es_buf_reset(search->scratch);
    *search->n_calls += 1;
    if (!path->failed && es_file_read_at(search->dir_fd, path->data, ES_MARKER_LIMIT_BYTES,
                                         search->scratch, NULL) == 0) {
        *search->n_calls += 4; /* fstat, read, the read that finds the end, close */
        enum es_form form = es_result_merge(search->scratch->data, search->scratch->len,
                                            search->task, search->result);
        if (form > search->found)
            search->found = form;
    } else if (path->failed || errno == ENOMEM) {
        search->result->failed = true;
    }
    es_path_pop(path, len);
}

/* Remembers the file at path if it is the newest so far; of two as new, the first by name. */
static void consider(struct search *search)
{
    struct stat st;
    *search->n_calls += 1;
    if (fstatat(search->dir_fd, search->path->data, &st, 0) < 0 || !S_ISREG(st.st_mode))
        return;
    int64_t mtime_ns = es_file_id(&st).mtime_ns;
    if (search->newest.len && (mtime_ns < search->newest_mtime_ns ||
                               (mtime_ns == search->newest_mtime_ns &&
                                es_name_compare(search->path->data, search->newest.data) > 0)))
        return;
    search->newest_mtime_ns = mtime_ns;
    es_buf_reset(&search->newest);
    es_buf_append(&search->newest, search->path->data, search->path->len);
}

static void search_folder(struct search *search, int depth);

static void look_at_entry(struct search *search, const struct dirent *entry, int depth)
{
    if (entry->d_name[0] == '.')
        return;
    bool may_be_folder = depth < MAX_DEPTH && (entry->d_type == DT_DIR || entry->d_type == DT_LNK ||
                                               entry->d_type == DT_UNKNOWN);
    bool is_wanted = depth > 0 && strcmp(entry->d_name, search->file_name) == 0;
    if (!may_be_folder && !is_wanted)
        return;
    size_t len = es_path_push(search->path, entry->d_name);
    if (!search->path->failed && is_wanted)
        consider(search);
    else if (!search->path->failed)
        search_folder(search, depth + 1);
    es_path_pop(search->path, len);
}

static void search_folder(struct search *search, int depth)
{
    if (search->n_folders++ >= MAX_FOLDERS)
        return;
    *search->n_calls += 1;
    int fd =
        openat(search->dir_fd, search->path->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        es_fd_close(&fd);
        return;
    }
    *search->n_calls += 3; /* two getdents at least, close */
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        look_at_entry(search, entry, depth);
    (void)closedir(folder);
}

/* Adds the scores of the newest file of that name in the folders below. */
static void try_below(struct search *search)
{
    search_folder(search, 0);
    if (search->path->failed || search->newest.failed)
        search->result->failed = true;
    else if (search->newest.len)
        try_file(search, search->newest.data + search->path->len + 1);
    es_buf_clear(&search->newest);
}

bool es_result_find_counted(int dir_fd, struct es_buf *path, const char *task,
                            struct es_buf *scratch, struct es_result *result, uint64_t *n_calls)
{
    struct es_buf file_name = {0};
    es_buf_printf(&file_name, "%s.json", task);
    struct search search = {.dir_fd = dir_fd,
                            .path = path,
                            .task = task,
                            .file_name = file_name.data,
                            .scratch = scratch,
                            .result = result,
                            .n_calls = n_calls,
                            .found = ES_FORM_NOT_JSON};
    if (file_name.failed || path->failed) {
        result->failed = true;
    } else {
        try_file(&search, "result.json");
        if (search.found != ES_FORM_COMPLETE)
            try_file(&search, search.file_name);
        if (search.found != ES_FORM_COMPLETE)
            try_below(&search);
    }
    es_buf_clear(&file_name);
    return search.found >= ES_FORM_SCORE_ONLY;
}

bool es_result_find(int dir_fd, const char *unit_dir, const char *task, struct es_buf *scratch,
                    struct es_result *result)
{
    struct es_buf path = {0};
    uint64_t n_calls = 0;
    es_buf_puts(&path, unit_dir);
    bool found = es_result_find_counted(dir_fd, &path, task, scratch, result, &n_calls);
    es_buf_clear(&path);
    return found;
}
