/* A run folder of each test's own, made and removed by `setup` and `teardown`. */
#ifndef ES_TESTS_HELPER_RUN_DIR_H
#define ES_TESTS_HELPER_RUN_DIR_H

#include "helper/tempdir.h"
#include "run/folder.h"

static char run_dir[TEMPDIR_SIZE];

static int setup(void **state)
{
    (void)state;
    return tempdir_create(run_dir) < 0 ? -1 : es_folder_make(run_dir, NULL);
}

static int teardown(void **state)
{
    (void)state;
    tempdir_remove(run_dir);
    return 0;
}

#endif
