/* What the fuzz targets share: the entry point that libFuzzer (or standalone_main.c) calls, an
 * assertion, and a scratch folder in memory for the readers that want a file.
 *
 * A target may be called any number of times in one process and must leave nothing behind. Inputs
 * are untrusted bytes; what a target asserts is what its callers rely on.
 */
#ifndef ES_TESTS_FUZZ_H
#define ES_TESTS_FUZZ_H

#include "helper/tempdir.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, so that libFuzzer keeps the input. */
#define FUZZ_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static char fuzz_folder_path[TEMPDIR_SIZE];

static inline void fuzz_remove_folder(void)
{
    tempdir_remove(fuzz_folder_path);
}

/* A folder of this process's own, removed when it ends well. */
static inline const char *fuzz_folder(void)
{
    if (fuzz_folder_path[0])
        return fuzz_folder_path;
    if (access("/dev/shm", W_OK) == 0 && !getenv("TMPDIR"))
        (void)setenv("TMPDIR", "/dev/shm", 1);
    FUZZ_ASSERT(tempdir_create(fuzz_folder_path) == 0);
    FUZZ_ASSERT(atexit(fuzz_remove_folder) == 0);
    return fuzz_folder_path;
}

/* Writes a file of the scratch folder; ret_path may be NULL. */
static inline void fuzz_write(const char *name, const void *bytes, size_t n, char *ret_path)
{
    char path[TEMPDIR_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_ASSERT(fd >= 0);
    FUZZ_ASSERT(write(fd, bytes, n) == (ssize_t)n);
    FUZZ_ASSERT(close(fd) == 0);
    if (ret_path)
        memcpy(ret_path, path, sizeof path);
}

#define FUZZ_PATH_SIZE (TEMPDIR_SIZE + 64)

/* A copy in an allocation of exactly n bytes, where sanitizers see a read beyond them. Free it. */
static inline char *fuzz_copy(const uint8_t *data, size_t n)
{
    char *copy = malloc(n ? n : 1);
    FUZZ_ASSERT(copy);
    if (n)
        memcpy(copy, data, n);
    return copy;
}

/* Cuts the next line off the front of *data: a C string, to free. NULL at the end. */
static inline char *fuzz_take_line(const uint8_t **data, size_t *n)
{
    if (*n == 0)
        return NULL;
    const uint8_t *newline = memchr(*data, '\n', *n);
    size_t len = newline ? (size_t)(newline - *data) : *n;
    char *line = malloc(len + 1);
    FUZZ_ASSERT(line);
    memcpy(line, *data, len);
    line[len] = '\0';
    *data += newline ? len + 1 : len;
    *n -= newline ? len + 1 : len;
    return line;
}

#endif
