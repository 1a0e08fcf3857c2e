#include "run/folder.h"

#include "helper/run_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

#define JOB                                                                                        \
    "{\"run\":{\"id\":\"x\"},\"evaluator\":{\"mode\":\"null\"},"                                   \
    "\"grid\":{\"checkpoints\":[\"a\"],\"layers\":[1],\"tasks\":[\"t\"]}}"

static void the_job_comes_back(void **state)
{
    (void)state;
    struct es_job *job = NULL;
    assert_int_equal(es_folder_load_job(run_dir, NULL, &job, NULL), ES_ERR_NOENT);
    assert_int_equal(es_folder_write_job(run_dir, JOB, strlen(JOB), NULL), 0);
    assert_int_equal(es_folder_load_job(run_dir, NULL, &job, NULL), 0);
    assert_string_equal(job->run.id, "x");
    es_job_free(job);
}

static void assert_job_is_refused(int code, const char *why)
{
    struct es_job *job = NULL;
    struct es_err err = {0};
    assert_int_equal(es_folder_load_job(run_dir, NULL, &job, &err), code);
    assert_string_equal(err.subject, path_of(".evalsweep/job.json"));
    assert_string_equal(err.why, why);
    assert_null(job);
}

static void a_damaged_job_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {{"", "it is empty"},
                {"{\"run\":{", "line 1, column 8: not valid JSON"},
                {"{}", "line 1: $: there is no run id: set run.id or the environment's RUN_ID"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(es_folder_write_job(run_dir, rows[i].text, strlen(rows[i].text), NULL), 0);
        assert_job_is_refused(i < 2 ? ES_ERR_PARSE : ES_ERR_USAGE, rows[i].why);
    }
    assert_int_equal(unlink(path_of(".evalsweep/job.json")), 0);
    assert_int_equal(mkfifo(path_of(".evalsweep/job.json"), 0600), 0);
    assert_job_is_refused(ES_ERR_IO, "it is no regular file");
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
        cmocka_unit_test_setup_teardown(a_damaged_job_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(an_epoch_is_kept_within_a_slurm_job, setup, teardown),
        cmocka_unit_test_setup_teardown(only_temporary_files_are_swept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
