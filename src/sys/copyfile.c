#include "sys/copyfile.h"

#include "sys/atomicfile.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)1 << 30)

/* By the kernel as far as it goes (some file systems share the blocks), the rest through memory. */
static int copy_bytes(int from, int to)
{
    ssize_t n;
    do
        n = copy_file_range(from, NULL, to, NULL, CHUNK_BYTES, 0);
    while (n > 0 || (n < 0 && errno == EINTR));
    char bytes[65536];
    while ((n = read(from, bytes, sizeof bytes)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || es_fd_write_all(to, bytes, (size_t)n) < 0)
            return -1;
    }
    return 0;
}

static int fill(int from, int to, const struct stat *st, bool sync)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (copy_bytes(from, to) < 0 || futimens(to, times) < 0)
        return -1;
    return sync ? fsync(to) : 0;
}

static int copy_open(int from, int to_dir_fd, const char *to, bool sync)
{
    char temp[PATH_MAX];
    struct stat st;
    if (fstat(from, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    int fd = es_atomic_open(to_dir_fd, to, temp, sizeof temp);
    return fd < 0 ? -1 : es_atomic_close(to_dir_fd, temp, &fd, fill(from, fd, &st, sync), to);
}

int es_copy_file_at(int from_dir_fd, const char *from, int to_dir_fd, const char *to, bool sync)
{
    int fd = openat(from_dir_fd, from, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    int rc = copy_open(fd, to_dir_fd, to, sync);
    es_fd_close(&fd);
    return rc;
}

int es_link_file_at(int from_dir_fd, const char *from, int to_dir_fd, const char *to, bool sync)
{
    char temp[PATH_MAX];
    if (es_atomic_temp_path(to, temp, sizeof temp) < 0)
        return -1;
    if (linkat(from_dir_fd, from, to_dir_fd, temp, AT_SYMLINK_FOLLOW) < 0)
        return es_copy_file_at(from_dir_fd, from, to_dir_fd, to, sync);
    int rc = renameat(to_dir_fd, temp, to_dir_fd, to);
    int saved = errno;
    (void)unlinkat(to_dir_fd, temp, 0); /* it is there yet where both were names of one file */
    errno = saved;
    return rc;
}
