#include "exec/slurm.h"

#include "exec/capture.h"
#include "helper/tempdir.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_end_time(void **state)
{
    (void)state;
    double left_s = -7;
    assert_true(es_slurm_parse_end_time("1700000100", 1700000000.5, &left_s));
    assert_true(left_s == 99.5);
    const char *const bad[] = {"",
                               "1700000000",
                               "-5",
                               "17000x",
                               "2026-01-01T00:00:00",
                               " 1800000000",
                               "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(es_slurm_parse_end_time(bad[i], 1700000000.5, &left_s));
}

static void test_left(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double left_s; /* NaN: refused */
    } rows[] = {
        {"1-02:03:04\n", 93784},
        {"02:03:04\n", 7384},
        {"3:04", 184},
        {"0:00\n", 0},
        {"  12:34  \r\n", 754},
        {"warning: something\n5:00\n", 300},
        {"1:00:00\n5:00\n2:00:00\n", 300}, /* an array's number may stand for several jobs */
        {"", (double)NAN},
        {"\n\n", (double)NAN},
        {"UNLIMITED\n", (double)NAN},
        {"NOT_SET\n", (double)NAN},
        {"INVALID\n", (double)NAN},
        {"N/A\n", (double)NAN},
        {"300\n", (double)NAN},
        {"1:2:3:4\n", (double)NAN},
        {"-1:00\n", (double)NAN},
        {"slurm_load_jobs error: Invalid job id specified\n", (double)NAN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double left_s = -7;
        bool is_known = es_slurm_parse_left(rows[i].text, &left_s);
        if (is_known == (bool)isnan(rows[i].left_s) || (is_known && left_s != rows[i].left_s))
            fail_msg("\"%s\": %g", rows[i].text, left_s);
    }
}

static void test_kill_wait(void **state)
{
    (void)state;
    double wait_s = -7;
    assert_true(es_slurm_parse_kill_wait("Configuration data as of 2026\nKillOnBadExit = 0\n"
                                         "KillWait                = 45 sec\nX = 1\n",
                                         &wait_s));
    assert_true(wait_s == 45);
    const char *const bad[] = {"",
                               "KillWait",
                               "KillWait = ",
                               "KillWait = soon",
                               "KillWaiting = 3",
                               "XKillWait = 3",
                               "KillWait 30"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(es_slurm_parse_kill_wait(bad[i], &wait_s));
    assert_true(wait_s == 45);
}

/* --- Asking programs of the tests' own --- */

static char dir[TEMPDIR_SIZE];

static int setup(void **state)
{
    (void)state;
    char path[TEMPDIR_SIZE + 64];
    if (tempdir_create(dir) < 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s:/usr/bin:/bin", dir);
    unsetenv("SLURM_JOB_END_TIME");
    return setenv("PATH", path, 1) < 0 || setenv("SLURM_JOB_ID", "17", 1) < 0;
}

static int teardown(void **state)
{
    (void)state;
    tempdir_remove(dir);
    return 0;
}

static void write_program(const char *name, const char *body)
{
    char path[TEMPDIR_SIZE + 64], text[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int n = snprintf(text, sizeof text, "#!/bin/sh\n%s\n", body);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0777);
    assert_int_equal(es_fd_write_all(fd, text, (size_t)n), 0);
    es_fd_close(&fd);
}

static void a_program_is_run_for_its_output(void **state)
{
    (void)state;
    struct es_buf output = {0};
    const char *argv[] = {"asked", "a b", NULL};
    write_program("asked", "echo \"$1\"; echo err >&2; cat");
    assert_int_equal(es_capture(argv, 30, -1, 1 << 20, &output, NULL), 0);
    assert_string_equal(output.data, "a b\nerr\n");
    es_buf_reset(&output);
    write_program("asked", "head -c 300000 /dev/zero"); /* more than a pipe, and than is wanted */
    assert_int_equal(es_capture(argv, 30, -1, 1000, &output, NULL), 0);
    assert_in_range(output.len, 1000, 65536);
    write_program("asked", "exit 3");
    assert_int_equal(es_capture(argv, 30, -1, 1000, &output, NULL), ES_ERR_SPAWN);
    write_program("asked", "trap '' TERM; sleep 600");
    assert_int_equal(es_capture(argv, 0.1, -1, 1000, &output, NULL), ES_ERR_SPAWN);
    argv[0] = "no-such-program";
    assert_int_equal(es_capture(argv, 30, -1, 1000, &output, NULL), ES_ERR_SPAWN);
    es_buf_clear(&output);
}

static void wait_for_end_time(const struct es_slurm *slurm)
{
    for (int i = 0; i < 4000 && isinf(es_slurm_end_s(slurm)); i++)
        (void)poll(NULL, 0, 5);
}

static void squeue_and_scontrol_are_asked(void **state)
{
    (void)state;
    struct es_slurm *slurm;
    write_program("squeue", "[ \"$*\" = '-h -j 17 -o %L' ] && echo 1:00:00");
    write_program("scontrol", "[ \"$*\" = 'show config' ] && echo 'KillWait = 100 sec'");
    double before_s = es_clock_mono_s();
    assert_int_equal(es_slurm_ask(true, &slurm, NULL), 0);
    wait_for_end_time(slurm);
    double left_s = es_slurm_end_s(slurm) - before_s;
    assert_true(left_s >= 3600 && left_s < 3660);
    for (int i = 0; i < 4000 && es_slurm_kill_wait_s(slurm) < 100; i++)
        (void)poll(NULL, 0, 5);
    assert_true(es_slurm_kill_wait_s(slurm) == 100);
    es_slurm_free(slurm);
}

static void the_environment_is_enough(void **state)
{
    (void)state;
    struct es_slurm *slurm;
    char text[32];
    write_program("squeue", "touch asked; echo 1:00");
    (void)snprintf(text, sizeof text, "%.0f", es_clock_wall_s() + 1000);
    setenv("SLURM_JOB_END_TIME", text, 1);
    assert_int_equal(es_slurm_ask(false, &slurm, NULL), 0);
    double left_s = es_slurm_end_s(slurm) - es_clock_mono_s();
    assert_true(left_s > 900 && left_s <= 1001);
    assert_true(es_slurm_kill_wait_s(slurm) == 30);
    es_slurm_free(slurm);
    assert_int_equal(access("asked", F_OK), -1);
}

static void without_slurm_nobody_is_asked(void **state)
{
    (void)state;
    struct es_slurm *slurm;
    unsetenv("SLURM_JOB_ID");
    write_program("squeue", "echo 1:00");
    assert_int_equal(es_slurm_ask(false, &slurm, NULL), 0);
    assert_true(isinf(es_slurm_end_s(slurm)));
    es_slurm_free(slurm);
    es_slurm_free(NULL);
}

static void one_that_hangs_is_not_waited_for(void **state)
{
    (void)state;
    struct es_slurm *slurm;
    char path[TEMPDIR_SIZE + 64];
    write_program("squeue", "trap '' TERM; touch \"${0%/*}/begun\"; exec sleep 600");
    double begun_s = es_clock_mono_s();
    assert_int_equal(es_slurm_ask(false, &slurm, NULL), 0);
    (void)snprintf(path, sizeof path, "%s/begun", dir);
    for (int i = 0; i < 4000 && access(path, F_OK) < 0; i++)
        (void)poll(NULL, 0, 5);
    assert_true(isinf(es_slurm_end_s(slurm)));
    es_slurm_free(slurm);
    assert_true(es_clock_mono_s() - begun_s < 60); /* not the 600 */
}

static void srun_is_told_from_mpirun_within_a_job(void **state)
{
    (void)state;
    unsetenv("SLURM_STEP_ID");
    unsetenv("OMPI_COMM_WORLD_SIZE");
    assert_false(es_slurm_is_srun());
    setenv("SLURM_STEP_ID", "0", 1);
    assert_true(es_slurm_is_srun());
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    assert_false(es_slurm_is_srun());
}

int main(void)
{
    es_signal_block();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_time),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_kill_wait),
        cmocka_unit_test_setup_teardown(a_program_is_run_for_its_output, setup, teardown),
        cmocka_unit_test_setup_teardown(squeue_and_scontrol_are_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(the_environment_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(without_slurm_nobody_is_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_hangs_is_not_waited_for, setup, teardown),
        cmocka_unit_test(srun_is_told_from_mpirun_within_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
