#include "run/trace.h"

#include "helper/tempdir.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char dir[TEMPDIR_SIZE];
static char path[TEMPDIR_SIZE + 16];
static struct es_grid *grid;

static int setup(void **state)
{
    (void)state;
    const char *const checkpoints[] = {"step0", "step1"};
    const char *const tasks[] = {"A", "B,b"};
    const int32_t layers[] = {3, 5};
    if (tempdir_create(dir) < 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/trace.csv", dir);
    return es_grid_create(checkpoints, 2, layers, 2, tasks, 2, &grid, NULL);
}

static int teardown(void **state)
{
    (void)state;
    es_grid_free(grid);
    tempdir_remove(dir);
    return 0;
}

static int read_text(const char *text, float *unit_s, uint32_t *ret_n_outside, struct es_err *err)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return es_trace_read(path, grid, unit_s, ret_n_outside, err);
}

static void a_short_row_is_outside(void **state)
{
    (void)state;
    static const char *const texts[] = {"layer,task,seconds,checkpoint\n3,A,1\n",
                                        "layer,checkpoint,seconds,task\n3,step0,1\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        float unit_s[8];
        uint32_t n_outside = 0;
        assert_int_equal(read_text(texts[i], unit_s, &n_outside, NULL), 0);
        assert_int_equal(n_outside, 1);
    }
}

static void seconds_go_to_their_units(void **state)
{
    (void)state;
    float unit_s[8];
    uint32_t n_outside;
    assert_int_equal(read_text("task,seconds,who,checkpoint,layer\n"
                               "A,1.5,me,step1,3\n\"B,b\",2,me,step0,5\r\nA,9,me,step7,3\n",
                               unit_s, &n_outside, NULL),
                     0);
    assert_int_equal(n_outside, 1);
    for (uint32_t id = 0; id < 8; id++) {
        if (id == es_grid_id(grid, (struct es_unit){1, 0, 0}))
            assert_true(unit_s[id] == 1.5f);
        else if (id == es_grid_id(grid, (struct es_unit){0, 1, 1}))
            assert_true(unit_s[id] == 2.0f);
        else
            assert_true(isnan(unit_s[id]));
    }
}

static void an_export_is_a_trace(void **state)
{
    (void)state;
    float unit_s[8];
    assert_int_equal(read_text("checkpoint,step,layer,task,status,split,subset,metric,value,"
                               "main_score,evaluation_time_s\n"
                               "step0,0,3,A,done,test,default,acc,0.5,0.5,12.25\n"
                               "step0,0,5,A,done,test,default,acc,0.5,0.5,\n",
                               unit_s, NULL, NULL),
                     0);
    assert_true(unit_s[0] == 12.25f);
    assert_true(isnan(unit_s[2]));
}

static void faults_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"checkpoint,layer,task\n", "line 1: there is no column \"seconds\""},
        {"checkpoint,layer,task,seconds\nstep0,x,A,1\n", "line 2: expected a layer number"},
        {"checkpoint,layer,task,seconds\nstep0,3,A,1\nstep0,3,A,soon\n",
         "line 3: expected seconds"},
        {"checkpoint,layer,task,seconds\nstep0,3,A,-1\n", "line 2: expected seconds"},
        {"checkpoint,layer,task,seconds\nstep0\n", "line 2: expected a layer number"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        float unit_s[8];
        struct es_err err = {0};
        assert_int_equal(read_text(rows[i].text, unit_s, NULL, &err), ES_ERR_PARSE);
        assert_string_equal(err.subject, path);
        assert_non_null(strstr(err.why, rows[i].why));
    }
    struct es_err err = {0};
    float unit_s[8];
    assert_int_equal(es_trace_read("/no/such/trace", grid, unit_s, NULL, &err), ES_ERR_NOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_short_row_is_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(seconds_go_to_their_units, setup, teardown),
        cmocka_unit_test_setup_teardown(an_export_is_a_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_name_file_and_line, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
