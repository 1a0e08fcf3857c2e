#include "sys/fd.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void es_fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}

int es_fd_write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

int es_fd_write_within(int fd, const void *bytes, size_t n, int timeout_ms, int stop_fd)
{
    const char *at = bytes;
    while (n > 0) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT}, {.fd = stop_fd, .events = POLLIN}};
        int n_ready = poll(fds, 2, timeout_ms);
        if (n_ready < 0 && errno != EINTR)
            return -1;
        if (n_ready == 0)
            errno = ETIMEDOUT;
        else if (n_ready > 0 && !fds[0].revents)
            errno = EINTR;
        if (n_ready == 0 || (n_ready > 0 && !fds[0].revents))
            return -1;
        if (n_ready < 0)
            continue;
        size_t n_now = n < PIPE_BUF ? n : PIPE_BUF; /* a pipe that is ready takes so much */
        if (es_fd_write_all(fd, at, n_now) < 0)
            return -1;
        at += n_now;
        n -= n_now;
    }
    return 0;
}

int es_fd_pwrite_all(int fd, const void *bytes, size_t n, int64_t offset)
{
    const char *p = bytes;
    while (n) {
        ssize_t done = pwrite(fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        offset += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Reads up to the end, into room for hint bytes at first: a file whose size is known takes one read
 * that gets everything and, in the byte of room left, one that gets the end. */
static int read_to_end(int fd, size_t hint, size_t limit_bytes, struct es_buf *buf)
{
    size_t start = buf->len;
    int fault = es_buf_reserve(buf, hint) ? 0 : ENOMEM;
    while (!fault) {
        if (buf->cap - buf->len <= 1 && !es_buf_reserve(buf, 65536)) {
            fault = ENOMEM;
            break;
        }
        ssize_t n = read(fd, buf->data + buf->len, buf->cap - buf->len - 1);
        if (n == 0) {
            buf->data[buf->len] = '\0';
            return 0;
        }
        if (n > 0)
            buf->len += (size_t)n;
        else if (errno != EINTR)
            fault = errno;
        if (buf->len - start > limit_bytes)
            fault = EFBIG;
    }
    buf->len = start;
    if (buf->data)
        buf->data[start] = '\0';
    errno = fault;
    return -1;
}

int es_fd_read_all(int fd, size_t limit_bytes, struct es_buf *buf)
{
    return read_to_end(fd, 65536, limit_bytes, buf);
}

struct es_file_id es_file_id(const struct stat *st)
{
    return (struct es_file_id){.inode = st->st_ino,
                               .size_bytes = st->st_size,
                               .mtime_ns = st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec};
}

int es_file_read_at(int dir_fd, const char *path, size_t limit_bytes, struct es_buf *buf,
                    struct es_file_id *ret_id)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    struct stat st;
    int rc = fstat(fd, &st);
    if (rc == 0 && !S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        rc = -1;
    }
    if (rc == 0 && (st.st_size < 0 || (size_t)st.st_size > limit_bytes)) {
        errno = EFBIG;
        rc = -1;
    }
    if (rc == 0)
        rc = read_to_end(fd, (size_t)st.st_size + 1, limit_bytes, buf);
    if (rc == 0 && ret_id)
        *ret_id = es_file_id(&st);
    es_fd_close(&fd);
    return rc;
}

int es_file_read_error(struct es_err *err, int sys_errno, const char *doing, const char *path)
{
    if (sys_errno == EINVAL)
        return es_err_set(err, ES_ERR_IO, doing, path, "it is no regular file");
    return es_err_sys(err, sys_errno, doing, path);
}

/* As es_mkdir_all_at, but not the folders above it. */
static int make_folder(int dir_fd, const char *path)
{
    if (mkdirat(dir_fd, path, 0777) == 0)
        return 1;
    struct stat st;
    if (errno != EEXIST || fstatat(dir_fd, path, &st, 0) < 0)
        return -1;
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode) ? 0 : -1;
}

/* From the bottom: mostly all but the last one or two are there. */
static int make_all(int dir_fd, char *path)
{
    int rc = make_folder(dir_fd, path);
    char *slash = strrchr(path, '/');
    if (rc >= 0 || errno != ENOENT || !slash || slash == path)
        return rc;
    *slash = '\0';
    rc = make_all(dir_fd, path);
    *slash = '/';
    return rc < 0 ? rc : make_folder(dir_fd, path);
}

int es_mkdir_all_at(int dir_fd, const char *path)
{
    char *copy = es_mem_strdup(path);
    if (!copy) {
        errno = ENOMEM;
        return -1;
    }
    int rc = make_all(dir_fd, copy);
    int saved = errno;
    free(copy);
    errno = saved;
    return rc;
}

int es_fd_pipe(int *ret_read, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

int es_fd_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
