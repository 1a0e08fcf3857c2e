#include "sys/atomicfile.h"

#include "sys/clock.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEMP_PREFIX ".es-"

/* Names differ within a process by the counter, between processes by pid and start time; O_EXCL
 * settles what is left. */
int es_atomic_temp_path(const char *path, char *ret_path, size_t path_size_bytes)
{
    static atomic_uint counter;
    uint64_t mix = (uint64_t)es_clock_mono_ns() ^ ((uint64_t)getpid() << 32);
    mix = (mix + atomic_fetch_add(&counter, 1)) * 0x9e3779b97f4a7c15u;
    const char *slash = strrchr(path, '/');
    int folder_len = slash ? (int)(slash - path + 1) : 0;
    int n = snprintf(ret_path, path_size_bytes, "%.*s" TEMP_PREFIX "%08x", folder_len, path,
                     (unsigned)(mix >> 32));
    if (n < 0 || (size_t)n >= path_size_bytes) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

bool es_atomic_is_temp(const char *name)
{
    size_t prefix_len = strlen(TEMP_PREFIX);
    return strncmp(name, TEMP_PREFIX, prefix_len) == 0 && strlen(name) == prefix_len + 8 &&
           strspn(name + prefix_len, "0123456789abcdef") == 8;
}

void es_atomic_sweep(int dir_fd, const char *path)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        es_fd_close(&fd);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (es_atomic_is_temp(entry->d_name))
            (void)unlinkat(fd, entry->d_name, 0);
    if (dir)
        (void)closedir(dir);
}

int es_atomic_open(int dir_fd, const char *path, char *ret_temp, size_t temp_size_bytes)
{
    for (int tries = 0; tries < 100; tries++) {
        if (es_atomic_temp_path(path, ret_temp, temp_size_bytes) < 0)
            return -1;
        int fd = openat(dir_fd, ret_temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

int es_atomic_close(int dir_fd, const char *temp, int *fd, int rc, const char *path)
{
    if (rc == 0) {
        rc = close(*fd); /* some file systems report a full disk only here */
        *fd = -1;
    }
    if (rc == 0)
        rc = renameat(dir_fd, temp, dir_fd, path);
    if (rc < 0) {
        int saved = errno;
        es_fd_close(fd);
        (void)unlinkat(dir_fd, temp, 0);
        errno = saved;
    }
    return rc;
}

int es_atomic_write_if(int dir_fd, const char *path, const void *bytes, size_t n,
                       int (*may_replace)(void *context, struct es_err *err), void *context,
                       struct es_err *err)
{
    char temp[PATH_MAX];
    int fd = es_atomic_open(dir_fd, path, temp, sizeof temp);
    if (fd < 0)
        return es_err_sys(err, errno, "writing", path);
    int rc = es_fd_write_all(fd, bytes, n), refused = 0;
    if (rc == 0)
        refused = may_replace(context, err);
    if (es_atomic_close(dir_fd, temp, &fd, refused < 0 ? -1 : rc, path) == 0)
        return 0;
    return refused < 0 ? refused : es_err_sys(err, errno, "writing", path);
}

static int sync_folder(int dir_fd, const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int n = snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
                     slash ? path : ".");
    if (n < 0 || (size_t)n >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    es_fd_close(&fd);
    return rc;
}

int es_atomic_write(int dir_fd, const char *path, const void *bytes, size_t n, bool sync,
                    struct es_file_id *ret_id, struct es_err *err)
{
    char temp[PATH_MAX];
    struct stat st;
    int fd = es_atomic_open(dir_fd, path, temp, sizeof temp);
    if (fd < 0)
        return es_err_sys(err, errno, "writing", path);
    int rc = es_fd_write_all(fd, bytes, n);
    if (rc == 0 && sync)
        rc = fsync(fd);
    if (rc == 0)
        rc = fstat(fd, &st);
    if (es_atomic_close(dir_fd, temp, &fd, rc, path) < 0)
        return es_err_sys(err, errno, "writing", path);
    if (sync && sync_folder(dir_fd, path) < 0)
        return es_err_sys(err, errno, "syncing the folder of", path);
    if (ret_id)
        *ret_id = es_file_id(&st);
    return 0;
}
