#include "sys/atomicfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "helper/tempdir.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char path[TEMPDIR_SIZE];
    int dir_fd;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || tempdir_create(f->path) < 0)
        return -1;
    f->dir_fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return f->dir_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    es_fd_close(&f->dir_fd);
    tempdir_remove(f->path);
    free(f);
    return 0;
}

static void assert_content(struct fixture *f, const char *name, const char *text)
{
    struct es_buf buf = {0};
    assert_int_equal(es_file_read_at(f->dir_fd, name, 1 << 24, &buf, NULL), 0);
    assert_string_equal(buf.data, text);
    es_buf_clear(&buf);
}

static int count_files(struct fixture *f)
{
    int n = 0;
    DIR *dir = opendir(f->path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static void test_writes_and_replaces(void **state)
{
    struct fixture *f = *state;
    for (int sync = 0; sync < 2; sync++) {
        const char *const texts[] = {"first", "", "something longer", "x"};
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            struct es_file_id id = {0};
            struct stat st;
            assert_int_equal(
                es_atomic_write(f->dir_fd, "file", texts[i], strlen(texts[i]), sync, &id, NULL), 0);
            assert_content(f, "file", texts[i]);
            assert_int_equal(count_files(f), 1);
            assert_int_equal(fstatat(f->dir_fd, "file", &st, 0), 0);
            struct es_file_id seen = es_file_id(&st);
            assert_int_equal(id.inode, seen.inode);
            assert_int_equal(id.size_bytes, strlen(texts[i]));
            assert_true(id.mtime_ns == seen.mtime_ns);
        }
    }
}

static void test_in_a_folder_below_and_by_absolute_path(void **state)
{
    struct fixture *f = *state;
    char absolute[TEMPDIR_SIZE + 32];
    assert_int_equal(mkdirat(f->dir_fd, "sub", 0700), 0);
    assert_int_equal(es_atomic_write(f->dir_fd, "sub/file", "a", 1, true, NULL, NULL), 0);
    assert_content(f, "sub/file", "a");
    (void)snprintf(absolute, sizeof absolute, "%s/sub/other", f->path);
    assert_int_equal(es_atomic_write(AT_FDCWD, absolute, "b", 1, true, NULL, NULL), 0);
    assert_content(f, "sub/other", "b");
    assert_int_equal(count_files(f), 1);
}

static void test_permissions_follow_the_umask(void **state)
{
    struct fixture *f = *state;
    const mode_t masks[] = {0022, 0077, 0002};
    mode_t before = umask(0);
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        struct stat st;
        (void)umask(masks[i]);
        assert_int_equal(es_atomic_write(f->dir_fd, "file", "a", 1, false, NULL, NULL), 0);
        assert_int_equal(fstatat(f->dir_fd, "file", &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0666 & ~masks[i]);
    }
    (void)umask(before);
}

static void test_readers_of_the_old_file_keep_it(void **state)
{
    struct fixture *f = *state;
    struct es_buf buf = {0};
    assert_int_equal(es_atomic_write(f->dir_fd, "file", "old", 3, false, NULL, NULL), 0);
    int fd = openat(f->dir_fd, "file", O_RDONLY | O_CLOEXEC);
    assert_int_equal(es_atomic_write(f->dir_fd, "file", "new", 3, false, NULL, NULL), 0);
    assert_int_equal(es_fd_read_all(fd, 100, &buf), 0);
    assert_string_equal(buf.data, "old");
    es_fd_close(&fd);
    es_buf_clear(&buf);
}

static void test_errors_name_the_path(void **state)
{
    struct fixture *f = *state;
    struct es_err err = {0};
    struct es_file_id id = {.inode = 99};
    assert_int_equal(es_atomic_write(f->dir_fd, "no/file", "a", 1, false, &id, &err), ES_ERR_NOENT);
    assert_string_equal(err.doing, "writing");
    assert_string_equal(err.subject, "no/file");
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(id.inode, 99);

    assert_int_equal(mkdirat(f->dir_fd, "folder", 0700), 0); /* only the rename fails */
    assert_int_equal(es_atomic_write(f->dir_fd, "folder", "a", 1, false, &id, &err), ES_ERR_IO);
    assert_int_equal(err.sys_errno, EISDIR);
    assert_int_equal(count_files(f), 1);
    assert_int_equal(id.inode, 99);

    char path[PATH_MAX + 10];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    path[PATH_MAX - 5] = '/';
    assert_int_equal(es_atomic_write(f->dir_fd, path, "a", 1, false, NULL, &err), ES_ERR_IO);
    assert_int_equal(err.sys_errno, ENAMETOOLONG);
}

/* A file size limit stands for the full disk: the write fails half way. */
static void test_what_cannot_be_written_whole_is_not_there(void **state)
{
    struct fixture *f = *state;
    static char bytes[100000];
    struct rlimit before, small;
    assert_int_equal(es_atomic_write(f->dir_fd, "file", "old", 3, false, NULL, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 50000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct es_err err = {0};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = es_atomic_write(f->dir_fd, "file", bytes, sizeof bytes, false, NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(rc, ES_ERR_IO);
    assert_int_equal(err.sys_errno, EFBIG);
    assert_content(f, "file", "old");
    assert_int_equal(count_files(f), 1);
}

static void write_for_ever(struct fixture *f, size_t n)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when an assertion ends the test */
    char *bytes = malloc(n);
    for (char c = 'a';; c = c == 'z' ? 'a' : (char)(c + 1)) {
        memset(bytes, c, n);
        if (es_atomic_write(f->dir_fd, "file", bytes, n, false, NULL, NULL) < 0)
            _exit(1);
    }
}

/* However often a writer is killed, what is there is whole: n times the same letter. */
static void test_a_killed_writer_leaves_a_whole_file(void **state)
{
    struct fixture *f = *state;
    const size_t n = 300000;
    for (int round = 0; round < 20; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            write_for_ever(f, n);
        struct es_buf buf = {0};
        for (int reads = 0; reads < 1 + round % 5;) {
            es_buf_reset(&buf);
            if (es_file_read_at(f->dir_fd, "file", n, &buf, NULL) < 0) {
                assert_int_equal(errno, ENOENT); /* the first is not there yet */
                continue;
            }
            reads++;
            assert_int_equal(buf.len, n);
            assert_int_equal(buf.data[0], buf.data[n - 1]);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        es_buf_reset(&buf);
        assert_int_equal(es_file_read_at(f->dir_fd, "file", n, &buf, NULL), 0);
        assert_int_equal(buf.len, n);
        for (size_t i = 0; i < n; i += 997)
            assert_int_equal(buf.data[i], buf.data[0]);
        es_buf_clear(&buf);
    }
}

static void test_temp_paths(void **state)
{
    (void)state;
    char first[64], second[64];
    assert_int_equal(es_atomic_temp_path("a/b/file", first, sizeof first), 0);
    assert_int_equal(es_atomic_temp_path("a/b/file", second, sizeof second), 0);
    assert_memory_equal(first, "a/b/.es-", 8);
    assert_int_equal(strlen(first), 16);
    assert_string_not_equal(first, second);
    assert_int_equal(es_atomic_temp_path("file", first, sizeof first), 0);
    assert_memory_equal(first, ".es-", 4);
    assert_int_equal(strlen(first), 12);
    assert_int_equal(es_atomic_temp_path("file", first, 13), 0);
    assert_int_equal(es_atomic_temp_path("file", first, 12), -1);
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes_and_replaces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_a_folder_below_and_by_absolute_path, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_permissions_follow_the_umask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_readers_of_the_old_file_keep_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_name_the_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_written_whole_is_not_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_killed_writer_leaves_a_whole_file, set_up,
                                        tear_down),
        cmocka_unit_test(test_temp_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
