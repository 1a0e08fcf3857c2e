#include "run/folder.h"

#include "helper/tempdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

static const char *path_of(const char *name)
{
    static char path[TEMPDIR_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", run_dir, name);
    return path;
}

static void touch(const char *name)
{
    FILE *file = fopen(path_of(name), "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void the_job_comes_back(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(es_folder_read_job(run_dir, &text, &n, NULL), ES_ERR_NOENT);
    assert_int_equal(es_folder_write_job(run_dir, "{\"a\":1}", 7, NULL), 0);
    assert_int_equal(es_folder_read_job(run_dir, &text, &n, NULL), 0);
    assert_int_equal(n, 7);
    assert_memory_equal(text, "{\"a\":1}", 7);
    free(text);
}

static int64_t epoch(void)
{
    int64_t ns = 0;
    assert_int_equal(es_folder_epoch(run_dir, &ns, NULL), 0);
    return ns;
}

static void an_epoch_is_kept_within_a_slurm_job(void **state)
{
    (void)state;
    struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_true(epoch() == INT64_MIN);
    assert_int_equal(es_folder_begin_epoch(run_dir, "5", NULL), 0);
    assert_int_equal(utimensat(0, path_of(".evalsweep/epoch"), past, 0), 0);
    assert_true(epoch() == 1000 * INT64_C(1000000000));
    assert_int_equal(es_folder_begin_epoch(run_dir, "5", NULL), 0); /* requeued */
    assert_true(epoch() == 1000 * INT64_C(1000000000));
    assert_int_equal(es_folder_begin_epoch(run_dir, "6", NULL), 0);
    assert_true(epoch() > 1000 * INT64_C(1000000000));
    assert_int_equal(utimensat(0, path_of(".evalsweep/epoch"), past, 0), 0);
    assert_int_equal(es_folder_begin_epoch(run_dir, NULL, NULL), 0); /* without Slurm: always new */
    assert_true(epoch() > 1000 * INT64_C(1000000000));
}

static void only_temporary_files_are_swept(void **state)
{
    (void)state;
    touch(".es-0123abcd");
    touch(".evalsweep/.es-ffffffff");
    touch(".es-0123abcx");
    touch(".es-0123abcd0");
    touch("results.h5");
    es_folder_sweep(run_dir);
    assert_int_equal(access(path_of(".es-0123abcd"), F_OK), -1);
    assert_int_equal(access(path_of(".evalsweep/.es-ffffffff"), F_OK), -1);
    assert_int_equal(access(path_of(".es-0123abcx"), F_OK), 0);
    assert_int_equal(access(path_of(".es-0123abcd0"), F_OK), 0);
    assert_int_equal(access(path_of("results.h5"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_job_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(an_epoch_is_kept_within_a_slurm_job, setup, teardown),
        cmocka_unit_test_setup_teardown(only_temporary_files_are_swept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
