#include "run/lease.h"

#include "run/folder.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TAKE_TRIES 10

/* FNV-1a, each bit spread over all in the end (splitmix64's last steps). */
static uint64_t hash(uint64_t seed, const char *checkpoint, const char *task)
{
    uint64_t h = 14695981039346656037u ^ seed;
    for (const char *at = checkpoint; *at; at++)
        h = (h ^ (unsigned char)*at) * 1099511628211u;
    h = (h ^ '/') * 1099511628211u; /* in no name */
    for (const char *at = task; *at; at++)
        h = (h ^ (unsigned char)*at) * 1099511628211u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

void es_lease_name(const char *checkpoint, const char *task, char ret_name[ES_LEASE_NAME_SIZE])
{
    (void)snprintf(ret_name, ES_LEASE_NAME_SIZE, "%016" PRIx64 "%016" PRIx64,
                   hash(0, checkpoint, task), hash(0x9e3779b97f4a7c15u, checkpoint, task));
}

int es_lease_open_folder(int run_dir_fd)
{
    return openat(run_dir_fd, ES_FOLDER_NAME "/" ES_FOLDER_LEASES,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int es_lease_read(int folder_fd, const char *name, char ret_id[ES_HOLDER_ID_SIZE])
{
    char id[ES_HOLDER_ID_SIZE];
    ssize_t n = readlinkat(folder_fd, name, id, sizeof id);
    if (n < 0 && errno == ENOENT)
        n = 0;
    if (n == (ssize_t)sizeof id) { /* longer than any id */
        errno = EINVAL;
        n = -1;
    }
    if (n < 0)
        return -1;
    memcpy(ret_id, id, (size_t)n);
    ret_id[n] = '\0';
    return 0;
}

int es_lease_take(int folder_fd, const char *name, const char *id, bool *ret_is_ours)
{
    char holder[ES_HOLDER_ID_SIZE];
    for (int tries = 0; tries < TAKE_TRIES; tries++) {
        if (symlinkat(id, folder_fd, name) == 0) {
            *ret_is_ours = true;
            return 0;
        }
        if (errno != EEXIST)
            return -1;
        if (es_lease_read(folder_fd, name, holder) < 0)
            return -1;
        if (holder[0]) { /* our own: of another unit, or the server did it, and answered twice */
            *ret_is_ours = strcmp(holder, id) == 0;
            return 0;
        }
    }
    *ret_is_ours = false; /* removed and taken by others again and again */
    return 0;
}

int es_lease_drop(int folder_fd, const char *name, const char *id)
{
    char holder[ES_HOLDER_ID_SIZE];
    if (es_lease_read(folder_fd, name, holder) < 0)
        return -1;
    if (strcmp(holder, id) != 0)
        return 0;
    return unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT ? 0 : -1;
}

int es_lease_sweep(int folder_fd, bool (*is_one)(const char *id, const void *context),
                   const void *context)
{
    char holder[ES_HOLDER_ID_SIZE];
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* at its beginning */
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        es_fd_close(&fd);
        return -1;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && es_lease_read(folder_fd, entry->d_name, holder) == 0 &&
            holder[0] && is_one(holder, context))
            (void)es_lease_drop(folder_fd, entry->d_name, holder);
    (void)closedir(dir);
    return 0;
}
