/* What a unit's folder and marker ask of the file system, and nothing else. */
#ifndef BENCH_BARE_MARKER_H
#define BENCH_BARE_MARKER_H

#include "sys/fd.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARKER_BYTES 345 /* as long as one of ours */

/* Makes folder `unit` in a folder, and done.json in it by way of a temporary file. -1: errno. */
static int bare_marker_write(int dir_fd, int64_t unit)
{
    static const char bytes[MARKER_BYTES] = {0};
    char folder[32], temp[64], marker[64];
    (void)snprintf(folder, sizeof folder, "%lld", (long long)unit);
    (void)snprintf(temp, sizeof temp, "%s/.temp", folder);
    (void)snprintf(marker, sizeof marker, "%s/done.json", folder);
    if (mkdirat(dir_fd, folder, 0777) < 0)
        return -1;
    int fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 || es_fd_write_all(fd, bytes, sizeof bytes) < 0 || close(fd) < 0)
        return -1;
    return renameat(dir_fd, temp, dir_fd, marker);
}

#endif
