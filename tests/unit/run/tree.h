/* A temporary folder for one test, with files in it. */
#ifndef ES_TESTS_UNIT_RUN_TREE_H
#define ES_TESTS_UNIT_RUN_TREE_H

#include "core/buf.h"
#include "helper/tempdir.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
    char path[TEMPDIR_SIZE];
    int fd;
};

static inline void tree_make(struct tree *tree)
{
    assert_int_equal(tempdir_create(tree->path), 0);
    tree->fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(tree->fd >= 0);
}

static inline void tree_remove(struct tree *tree)
{
    es_fd_close(&tree->fd);
    tempdir_remove(tree->path);
}

static inline void tree_folder(const struct tree *tree, const char *path)
{
    assert_true(es_mkdir_all_at(tree->fd, path) >= 0);
}

/* Writes a file, with the folders above it. */
static inline void tree_write_n(const struct tree *tree, const char *path, const void *bytes,
                                size_t n)
{
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = '\0';
        tree_folder(tree, folder);
    }
    int fd = openat(tree->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, bytes, n), 0);
    es_fd_close(&fd);
}

static inline void tree_write(const struct tree *tree, const char *path, const char *text)
{
    tree_write_n(tree, path, text, strlen(text));
}

/* Sets a file's mtime, in seconds since 1970. */
static inline void tree_set_mtime(const struct tree *tree, const char *path, time_t mtime_s)
{
    const struct timespec times[2] = {{.tv_sec = mtime_s}, {.tv_sec = mtime_s}};
    assert_int_equal(utimensat(tree->fd, path, times, 0), 0);
}

static inline void tree_read(const struct tree *tree, const char *path, struct es_buf *ret_text)
{
    es_buf_reset(ret_text);
    assert_int_equal(es_file_read_at(tree->fd, path, (size_t)1 << 30, ret_text, NULL), 0);
}

#endif
