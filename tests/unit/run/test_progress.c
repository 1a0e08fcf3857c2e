/* progress.csv: fresh, with a foreign header, after a torn line, on a full disk. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "run/progress.h"
#include "unit/run/tree.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])
#define HEADER                                                                                     \
    "finished,checkpoint,layer,task,status,main_score,evaluation_time_s,host,device,attempt\n"
#define LINE_0 "2026-01-15T04:52:14Z,step0,3,\"STS \"\"12\"\", a\",done,0.61,12.5,n1,cuda:0,2\n"
#define LINE_1 ",step0,3,plain,failed,,,,,\n"

struct fixture {
    struct tree tree;
    struct es_grid *grid;
    struct es_result full;
    struct es_result empty;
    struct es_buf text;
};

static int setup(void **state)
{
    static const char *const checkpoints[] = {"step0"}, *const tasks[] = {"STS \"12\", a", "plain"};
    static const int32_t layers[] = {3};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    tree_make(&f->tree);
    assert_int_equal(es_grid_create(checkpoints, 1, layers, 1, tasks, 2, &f->grid, NULL), 0);
    es_result_init(&f->full);
    es_result_init(&f->empty);
    f->full.main_score = 0.61;
    f->full.evaluation_time_s = 12.5;
    f->full.finished_s = 1768452734;
    f->full.attempt = 2;
    f->full.host = es_result_keep(&f->full, "n1", 2);
    f->full.device = es_result_keep(&f->full, "cuda:0", 6);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tree_remove(&f->tree);
    es_grid_free(f->grid);
    es_result_clear(&f->full);
    es_result_clear(&f->empty);
    es_buf_clear(&f->text);
    free(f);
    return 0;
}

static struct es_progress *open_progress(struct fixture *f)
{
    struct es_progress *progress;
    assert_int_equal(es_progress_open(f->tree.path, &progress, NULL), 0);
    return progress;
}

static void add_both(struct fixture *f, struct es_progress *progress)
{
    es_progress_add(progress, f->grid, 0, ES_STATUS_DONE, &f->full);
    es_progress_add(progress, f->grid, 1, ES_STATUS_FAILED, &f->empty);
}

static void check_content(struct fixture *f, const char *expected)
{
    tree_read(&f->tree, "progress.csv", &f->text);
    assert_string_equal(f->text.data, expected);
}

static void test_fresh(void **state)
{
    struct fixture *f = *state;
    struct es_progress *progress = open_progress(f);
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    assert_int_equal(faccessat(f->tree.fd, "progress.csv", F_OK, 0), -1); /* not before a line */
    add_both(f, progress);
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    check_content(f, HEADER LINE_0 LINE_1);
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    es_progress_add(progress, f->grid, 1, ES_STATUS_FAILED, &f->empty);
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    check_content(f, HEADER LINE_0 LINE_1 LINE_1);
    es_progress_close(progress);

    progress = open_progress(f); /* the next start goes on */
    es_progress_add(progress, f->grid, 0, ES_STATUS_DONE, &f->full);
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    check_content(f, HEADER LINE_0 LINE_1 LINE_1 LINE_0);
    es_progress_close(progress);
}

static void test_there(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *before;
        const char *after; /* of two lines added */
    } cases[] = {
        {"", HEADER LINE_0 LINE_1},
        {"f", HEADER LINE_0 LINE_1}, /* our own header, torn */
        {"finished,checkpoint,lay", HEADER LINE_0 LINE_1},
        {HEADER "torn,li", HEADER "torn,li\n" LINE_0 LINE_1},
        {"task,main_score\nx,1\n", "task,main_score\nx,1\n\"STS \"\"12\"\", a\",0.61\nplain,\n"},
        {"when,layer,who,attempt\r\n", "when,layer,who,attempt\r\n,3,,2\r\n,3,,\r\n"},
        {"layer,x\r\ntorn", "layer,x\r\ntorn\r\n3,\r\n3,\r\n"},
        {"status", "status\ndone\nfailed\n"}, /* a torn header */
        {"\"layer\",\"a \"\"quoted\"\", one\",\"sta\"tus,\"two\nlines\",host\n",
         "\"layer\",\"a \"\"quoted\"\", "
         "one\",\"sta\"tus,\"two\nlines\",host\n3,,done,,n1\n3,,failed,,\n"},
        {"\xef\xbb\xbflayer,Layer, layer,\n", "\xef\xbb\xbflayer,Layer, layer,\n3,,,\n3,,,\n"},
        {"layer,layer\n", "layer,layer\n3,3\n3,3\n"},
        {"2024,nothing known\n", "2024,nothing known\n,\n,\n"}, /* lines are counted, by wc -l */
        {"\n", "\n\n\n"},
        {"\"never closed,layer\n", "\"never closed,layer\n\n\n"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        tree_write(&f->tree, "progress.csv", cases[i].before);
        struct es_progress *progress = open_progress(f);
        add_both(f, progress);
        assert_int_equal(es_progress_flush(progress, NULL), 0);
        check_content(f, cases[i].after);
        es_progress_close(progress);
    }
}

/* Somebody moves the file away in mid-run: a new one has the same header. */
static void test_moved_away(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, "progress.csv", "layer,x\r\n");
    struct es_progress *progress = open_progress(f);
    assert_int_equal(unlinkat(f->tree.fd, "progress.csv", 0), 0);
    es_progress_add(progress, f->grid, 0, ES_STATUS_DONE, &f->full);
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    check_content(f, "layer,x\r\n3,\r\n");
    es_progress_close(progress);
}

/* The disk is full in the middle of the second line: no part of it stays; it comes whole later. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    struct es_err err = {0};
    struct es_progress *progress = open_progress(f);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit small = {sizeof HEADER LINE_0 - 1 + 4, limit.rlim_max};
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    add_both(f, progress);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = es_progress_flush(progress, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, before);
    assert_int_equal(rc, ES_ERR_IO);
    assert_int_equal(err.sys_errno, EFBIG);
    check_content(f, HEADER LINE_0);
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    check_content(f, HEADER LINE_0 LINE_1);
    es_progress_close(progress);
}

static void test_mark(void **state)
{
    static const struct {
        const char *text;
        uint8_t full, empty; /* has a line */
    } rows[] = {
        {HEADER LINE_0 LINE_1, 1, 1},
        {HEADER LINE_1, 0, 1},
        {HEADER "2026-01-15T04:52:15Z,step0,3,\"STS \"\"12\"\", a\",done,0.61,12.5,n1,cuda:0,2\n",
         0, 0},
        {"task,layer,step,finished,checkpoint\r\nplain,3,,,step0\r\n", 0, 1},
        /* no time, no other */
        {"checkpoint,layer,task,note\nstep0,3,\"STS \"\"12\"\", a\",\n", 1, 0},
        {HEADER "15.01.26 4:52,step0,3,\"STS \"\"12\"\", a\",done,0.61,12.5,n1,cuda:0,2\n", 1, 0},
        {HEADER ",step9,3,plain,done,,,,,\n,step0,x,plain\n\n,step0", 0, 0},
        {HEADER "2026-01-15T04:52:14Z,step0,3,\"STS \"\"12\"\", a\",do\n", 0, 0}, /* torn */
        {NULL, 0, 0},
    };
    struct fixture *f = *state;
    struct es_units *units;
    assert_int_equal(es_units_create(f->grid, &units, NULL), 0);
    assert_int_equal(es_units_set_result(units, 0, ES_STATUS_DONE, &f->full, NULL), 0);
    for (size_t i = 0; i < LEN(rows); i++) {
        uint8_t has_line[2] = {0};
        if (rows[i].text)
            tree_write(&f->tree, "progress.csv", rows[i].text);
        else
            (void)unlinkat(f->tree.fd, "progress.csv", 0);
        struct es_progress *progress = open_progress(f);
        assert_int_equal(es_progress_mark(progress, units, has_line, NULL), 0);
        if (has_line[0] != rows[i].full || has_line[1] != rows[i].empty)
            fail_msg("row %zu: %d %d", i, has_line[0], has_line[1]);
        es_progress_close(progress);
    }
    es_units_free(units);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    struct es_progress *progress = NULL;
    struct es_err err = {0};
    tree_folder(&f->tree, "progress.csv");
    assert_int_equal(es_progress_open(f->tree.path, &progress, &err), ES_ERR_IO);
    assert_non_null(strstr(err.subject, "/progress.csv"));
    assert_int_equal(unlinkat(f->tree.fd, "progress.csv", AT_REMOVEDIR), 0);
    assert_int_equal(mkfifoat(f->tree.fd, "progress.csv", 0666), 0);
    assert_int_equal(es_progress_open(f->tree.path, &progress, &err), ES_ERR_IO);
    assert_null(progress);
}

/* A fresh run: the folder is made after the open. */
static void test_no_run_dir_yet(void **state)
{
    struct fixture *f = *state;
    char run_dir[5000];
    struct es_progress *progress;
    struct es_err err = {0};
    (void)snprintf(run_dir, sizeof run_dir, "%s/later", f->tree.path);
    assert_int_equal(es_progress_open(run_dir, &progress, NULL), 0);
    es_progress_add(progress, f->grid, 1, ES_STATUS_FAILED, &f->empty);
    assert_int_equal(es_progress_flush(progress, &err), ES_ERR_NOENT);
    tree_folder(&f->tree, "later");
    assert_int_equal(es_progress_flush(progress, NULL), 0);
    tree_read(&f->tree, "later/progress.csv", &f->text);
    assert_string_equal(f->text.data, HEADER LINE_1);
    es_progress_close(progress);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_fresh), TEST(test_there),   TEST(test_moved_away),     TEST(test_full_disk),
        TEST(test_mark),  TEST(test_refused), TEST(test_no_run_dir_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
