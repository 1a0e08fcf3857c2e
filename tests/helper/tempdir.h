/* A folder of a test's own, in $TMPDIR or /tmp, removed with all that is in it. */
#ifndef ES_TESTS_HELPER_TEMPDIR_H
#define ES_TESTS_HELPER_TEMPDIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for the path of such a folder. */
#define TEMPDIR_SIZE 256

/* 0, or -1 with errno set. */
static inline int tempdir_create(char ret_path[TEMPDIR_SIZE])
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(ret_path, TEMPDIR_SIZE, "%s/evalsweep-test-XXXXXX", base ? base : "/tmp");
    return n > 0 && n < TEMPDIR_SIZE && mkdtemp(ret_path) ? 0 : -1;
}

static inline int tempdir_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static inline void tempdir_remove(const char *path)
{
    (void)nftw(path, tempdir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
