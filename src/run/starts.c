#include "run/starts.h"

#include "run/folder.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FILE_LIMIT_BYTES = 64 << 20, TEXT_LIMIT_BYTES = 64 << 10 };

static int path_of(const char *run_dir, struct es_buf *path, struct es_err *err)
{
    es_buf_printf(path, "%s/" ES_FOLDER_NAME "/starts.jsonl", run_dir);
    return path->failed ? es_err_nomem(err, "noting the start") : 0;
}

/* Behind whatever a killed driver left of its line, a newline first. */
static int append(int fd, const char *line)
{
    struct es_buf text = {0};
    struct stat st;
    char last = '\n';
    int rc = fstat(fd, &st);
    if (rc == 0 && st.st_size && pread(fd, &last, 1, st.st_size - 1) < 0)
        rc = -1;
    es_buf_printf(&text, "%s%s\n", last == '\n' ? "" : "\n", line);
    if (rc == 0 && text.failed) {
        errno = ENOMEM;
        rc = -1;
    }
    if (rc == 0)
        rc = es_fd_write_all(fd, text.data, text.len);
    es_buf_clear(&text);
    return rc;
}

int es_starts_add(const char *run_dir, const char *line, struct es_err *err)
{
    struct es_buf path = {0};
    int rc = path_of(run_dir, &path, err);
    if (rc == 0) {
        int fd = open(path.data, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
        if (fd < 0 || append(fd, line) < 0)
            rc = es_err_sys(err, errno, "noting the start", path.data);
        es_fd_close(&fd);
    }
    es_buf_clear(&path);
    return rc;
}

static bool is_object(const char *line, size_t n)
{
    cJSON *root = NULL;
    bool is = es_json_parse(line, n, "", &root, NULL) == 0 && cJSON_IsObject(root);
    cJSON_Delete(root);
    return is;
}

/* Appends the whole lines: the first, if it is no longer than the limit, and of the others those
 * that end within it. */
static void take_lines(const struct es_buf *file, struct es_buf *text)
{
    const char *at = file->data, *end = file->data + file->len;
    bool has_first = false;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline ? newline + 1 : end;
        const bool fits =
            end - at <= TEXT_LIMIT_BYTES || (!has_first && next - at <= TEXT_LIMIT_BYTES);
        if (fits && newline && is_object(at, (size_t)(newline - at))) {
            es_buf_append(text, at, (size_t)(next - at));
            has_first = true;
        }
        at = next;
    }
}

int es_starts_read(const char *run_dir, struct es_buf *ret_text, struct es_err *err)
{
    struct es_buf path = {0}, file = {0};
    int rc = path_of(run_dir, &path, err);
    if (rc == 0 && es_file_read_at(AT_FDCWD, path.data, FILE_LIMIT_BYTES, &file, NULL) < 0)
        rc = errno == ENOENT || errno == ENOTDIR
                 ? 0
                 : es_file_read_error(err, errno, "reading the run's starts", path.data);
    if (rc == 0)
        take_lines(&file, ret_text);
    if (rc == 0 && ret_text->failed)
        rc = es_err_nomem(err, "reading the run's starts");
    es_buf_clear(&file);
    es_buf_clear(&path);
    return rc;
}
