#include "mpi/lastlook.h"

#include "helper/tempdir.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static char run_dir[TEMPDIR_SIZE];
static struct es_grid *grid;
static struct es_units *units;
static struct es_layout *layout;

/* What this node remembers as not there, until the folder that would hold it is opened: NFS. */
static const char *remembered;

int stat(const char *path, struct stat *ret_st)
{
    if (remembered && strstr(path, remembered)) {
        errno = ENOENT;
        return -1;
    }
    return fstatat(AT_FDCWD, path, ret_st, 0);
}

int open(const char *path, int flags, ...)
{
    const char *end = path + strlen(path);
    if (remembered && strstr(path, remembered)) {
        errno = ENOENT;
        return -1;
    }
    if (remembered && end - path >= 8 && strcmp(end - 8, "/outputs") == 0)
        remembered = NULL;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0666);
}

static int setup(void **state)
{
    (void)state;
    const char *const checkpoints[] = {"step0", "step1", "step2"};
    const char *const tasks[] = {"A"};
    const int32_t layers[] = {1, 2};
    remembered = NULL;
    if (tempdir_create(run_dir) < 0 ||
        es_grid_create(checkpoints, 3, layers, 2, tasks, 1, &grid, NULL) < 0 ||
        es_layout_create("outputs/{checkpoint}/{layer}/{task}", &layout, NULL) < 0)
        return -1;
    return es_units_create(grid, &units, NULL);
}

static int teardown(void **state)
{
    (void)state;
    remembered = NULL;
    es_layout_free(layout);
    es_units_free(units);
    es_grid_free(grid);
    tempdir_remove(run_dir);
    return 0;
}

static void make(const char *unit_dir)
{
    char path[TEMPDIR_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/%s", run_dir, unit_dir);
    assert_int_equal(es_mkdir_all_at(AT_FDCWD, path), 1);
}

/* Of step0, the second layer was done before; of step1, both in this run; of step2, nothing. */
static struct es_last_look *start(void)
{
    struct es_last_look *look;
    make("outputs/step0/2/A");
    make("outputs/step1/1/A");
    es_units_columns(units).status[1] = ES_STATUS_DONE;
    assert_int_equal(es_last_look_create(layout, units, &look, NULL), 0);
    es_last_look_note(look, 2);
    es_last_look_note(look, 3);
    return look;
}

static void what_is_there_is_found(void **state)
{
    (void)state;
    struct es_last_look *look = start();
    assert_int_equal(es_last_look_check(look, run_dir, NULL), 0);
    es_last_look_free(look);
}

static void what_is_gone_is_named(void **state)
{
    (void)state;
    static const char *const dirs[] = {"outputs/step0/2/A", "outputs/step1/1/A"};
    struct es_last_look *look = start();
    for (size_t i = 0; i < 2; i++) {
        struct es_err err = {0};
        char path[TEMPDIR_SIZE + 64];
        (void)snprintf(path, sizeof path, "%s/%s", run_dir, dirs[i]);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(es_last_look_check(look, run_dir, &err), ES_ERR_NOENT);
        assert_non_null(strstr(err.subject, dirs[i]));
        make(dirs[i]);
    }
    es_last_look_free(look);
}

static void what_another_node_has_made_is_not_gone(void **state)
{
    (void)state;
    struct es_last_look *look = start();
    remembered = "/step1";
    assert_int_equal(es_last_look_check(look, run_dir, NULL), 0);
    assert_null(remembered);
    es_last_look_free(look);
}

static void what_cannot_be_told_is_no_error(void **state)
{
    (void)state;
    struct es_last_look *look = start();
    char path[TEMPDIR_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s/outputs/step1/1/A", run_dir);
    assert_int_equal(rmdir(path), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC); /* no folder */
    assert_true(fd >= 0);
    es_fd_close(&fd);
    assert_int_equal(es_last_look_check(look, run_dir, NULL), 0);
    es_last_look_free(look);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_there_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_gone_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(what_another_node_has_made_is_not_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_told_is_no_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
