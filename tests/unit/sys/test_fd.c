#include "sys/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mem.h"
#include "helper/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char path[TEMPDIR_SIZE];
    int dir_fd;
    struct es_buf buf;
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
    es_mem_fail_after(-1);
    es_buf_clear(&f->buf);
    es_fd_close(&f->dir_fd);
    tempdir_remove(f->path);
    free(f);
    return 0;
}

static void make_file(struct fixture *f, const char *name, const void *bytes, size_t n)
{
    int fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, bytes, n), 0);
    es_fd_close(&fd);
}

static bool is_cloexec(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void test_close(void **state)
{
    struct fixture *f = *state;
    int fd = dup(f->dir_fd), copy = fd;
    errno = EPERM;
    es_fd_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(copy, F_GETFD), -1);
    errno = EPERM;
    es_fd_close(&fd); /* again is fine */
    assert_int_equal(fd, -1);
    assert_int_equal(errno, EPERM);
}

static void test_pipe(void **state)
{
    (void)state;
    int reader = -1, writer = -1;
    assert_int_equal(es_fd_pipe(&reader, &writer), 0);
    assert_true(is_cloexec(reader) && is_cloexec(writer));
    char byte;
    assert_int_equal(es_fd_set_nonblocking(reader), 0);
    assert_int_equal(read(reader, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(es_fd_write_all(writer, "x", 1), 0);
    assert_int_equal(read(reader, &byte, 1), 1);
    assert_int_equal(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
    es_fd_close(&reader);
    es_fd_close(&writer);
    assert_int_equal(es_fd_set_nonblocking(-1), -1);
}

static void test_write_all_fails(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(es_fd_write_all(full, "x", 1), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(es_fd_write_all(full, "x", 0), 0);
    es_fd_close(&full);
    assert_int_equal(es_fd_write_all(-1, "x", 1), -1);
    assert_int_equal(errno, EBADF);
}

struct transfer {
    int fd;
    size_t n;
    int rc;
};

static char letter(size_t i)
{
    return (char)('a' + i % 23);
}

static void *write_much(void *argument)
{
    struct transfer *transfer = argument;
    char *bytes = malloc(transfer->n);
    for (size_t i = 0; i < transfer->n; i++)
        bytes[i] = letter(i);
    transfer->rc = es_fd_write_all(transfer->fd, bytes, transfer->n);
    free(bytes);
    es_fd_close(&transfer->fd);
    return NULL;
}

/* More than a pipe holds: the writer is stopped in the middle, the reader gets it in pieces. */
static void test_write_and_read_all_through_a_pipe(void **state)
{
    struct fixture *f = *state;
    int reader;
    struct transfer transfer = {.n = 1000000};
    assert_int_equal(es_fd_pipe(&reader, &transfer.fd), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_much, &transfer), 0);
    es_buf_puts(&f->buf, "before ");
    assert_int_equal(es_fd_read_all(reader, 1000000, &f->buf), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(transfer.rc, 0);
    assert_int_equal(f->buf.len, 7 + 1000000);
    assert_int_equal(strlen(f->buf.data), f->buf.len);
    assert_memory_equal(f->buf.data, "before ", 7);
    for (size_t i = 0; i < 1000000; i++)
        if (f->buf.data[7 + i] != letter(i))
            fail_msg("byte %zu", i);
    es_fd_close(&reader);
}

static void interrupt(int number)
{
    (void)number;
}

/* Signals that end its write() early, with a part written or nothing, do not disturb the writer. */
static void test_write_all_among_signals(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = interrupt}, before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    int reader;
    struct transfer transfer = {.n = 1000000};
    assert_int_equal(es_fd_pipe(&reader, &transfer.fd), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_much, &transfer), 0);
    size_t total = 0;
    char bytes[4096];
    for (ssize_t n; total < transfer.n; total += (size_t)n) {
        assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
        n = read(reader, bytes, sizeof bytes);
        assert_true(n > 0);
        for (size_t i = 0; i < (size_t)n; i++)
            if (bytes[i] != letter(total + i))
                fail_msg("byte %zu", total + i);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(transfer.rc, 0);
    es_fd_close(&reader);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static void test_read_all_limits(void **state)
{
    struct fixture *f = *state;
    const struct {
        size_t n, limit;
        bool fits;
    } rows[] = {
        {0, 0, true},          {1, 0, false},          {10, 10, true},       {11, 10, false},
        {65535, 65535, true},  {65536, 65535, false},  {65536, 65536, true}, {65537, 65536, false},
        {200000, 1000, false}, {200000, 200000, true},
    };
    static char bytes[200000];
    memset(bytes, 'b', sizeof bytes);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        make_file(f, "file", bytes, rows[i].n);
        for (int by_name = 0; by_name < 2; by_name++) {
            es_buf_clear(&f->buf);
            es_buf_puts(&f->buf, "held");
            int fd = openat(f->dir_fd, "file", O_RDONLY | O_CLOEXEC);
            int rc = by_name ? es_file_read_at(f->dir_fd, "file", rows[i].limit, &f->buf, NULL)
                             : es_fd_read_all(fd, rows[i].limit, &f->buf);
            int fault = errno;
            es_fd_close(&fd);
            assert_int_equal(rc, rows[i].fits ? 0 : -1);
            if (!rows[i].fits)
                assert_int_equal(fault, EFBIG);
            assert_int_equal(f->buf.len, 4 + (rows[i].fits ? rows[i].n : 0));
            assert_int_equal(strlen(f->buf.data), f->buf.len);
        }
    }
}

static void test_read_all_fails(void **state)
{
    struct fixture *f = *state;
    es_buf_puts(&f->buf, "held");
    assert_int_equal(es_fd_read_all(-1, 100, &f->buf), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(es_fd_read_all(f->dir_fd, 100, &f->buf), -1);
    assert_int_equal(errno, EISDIR);
    es_mem_fail_after(0);
    es_buf_clear(&f->buf);
    assert_int_equal(es_fd_read_all(f->dir_fd, 100, &f->buf), -1);
    assert_int_equal(errno, ENOMEM);
    assert_null(f->buf.data);
}

static void test_file_read(void **state)
{
    struct fixture *f = *state;
    make_file(f, "file", "a\0c", 3);
    struct stat st;
    assert_int_equal(fstatat(f->dir_fd, "file", &st, 0), 0);
    struct es_file_id id = {0};
    assert_int_equal(es_file_read_at(f->dir_fd, "file", 10, &f->buf, &id), 0);
    assert_int_equal(f->buf.len, 3);
    assert_memory_equal(f->buf.data, "a\0c", 4);
    assert_int_equal(id.inode, st.st_ino);
    assert_int_equal(id.size_bytes, 3);
    assert_true(id.mtime_ns == st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec);
}

static void test_a_small_file_needs_little_memory(void **state)
{
    struct fixture *f = *state;
    static char bytes[500];
    make_file(f, "file", bytes, sizeof bytes);
    assert_int_equal(es_file_read_at(f->dir_fd, "file", 100000, &f->buf, NULL), 0);
    assert_true(f->buf.cap <= 1024);
}

static void test_file_read_refuses(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdirat(f->dir_fd, "folder", 0700), 0);
    assert_int_equal(mkfifoat(f->dir_fd, "fifo", 0600), 0);
    assert_int_equal(symlinkat("nowhere", f->dir_fd, "dangling"), 0);
    assert_int_equal(symlinkat("loop", f->dir_fd, "loop"), 0);
    const struct {
        const char *name;
        int fault;
    } rows[] = {
        {"missing", ENOENT}, {"dangling", ENOENT}, {"folder", EISDIR},
        {"fifo", EINVAL},    {"loop", ELOOP},      {"/dev/null", EINVAL},
    };
    es_buf_puts(&f->buf, "held");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_file_id id = {.inode = 99};
        assert_int_equal(es_file_read_at(f->dir_fd, rows[i].name, 100, &f->buf, &id), -1);
        assert_int_equal(errno, rows[i].fault);
        assert_int_equal(id.inode, 99);
        assert_string_equal(f->buf.data, "held");
    }
    struct es_err err = {0};
    assert_int_equal(es_file_read_error(&err, EINVAL, "reading it", "fifo"), ES_ERR_IO);
    assert_string_equal(err.why, "it is no regular file");
    assert_int_equal(es_file_read_error(&err, ENOENT, "reading it", "missing"), ES_ERR_NOENT);
}

static void test_file_read_follows_links_and_growing_files(void **state)
{
    struct fixture *f = *state;
    make_file(f, "file", "abc", 3);
    assert_int_equal(symlinkat("file", f->dir_fd, "link"), 0);
    assert_int_equal(es_file_read_at(f->dir_fd, "link", 100, &f->buf, NULL), 0);
    assert_string_equal(f->buf.data, "abc");
    es_buf_reset(&f->buf); /* one whose size is said to be 0 is read to its end all the same */
    assert_int_equal(es_file_read_at(AT_FDCWD, "/proc/self/status", 1000000, &f->buf, NULL), 0);
    assert_non_null(strstr(f->buf.data, "Name:"));
}

static bool is_folder(struct fixture *f, const char *path)
{
    struct stat st;
    return fstatat(f->dir_fd, path, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static void test_mkdir_all(void **state)
{
    struct fixture *f = *state;
    const char *const paths[] = {"one", "one", "one/two", "a/b/c/d", "a/b/x/", "p//q", "a/b/c/d"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(es_mkdir_all_at(f->dir_fd, paths[i]), !is_folder(f, paths[i]));
        assert_true(is_folder(f, paths[i]));
    }
    char absolute[TEMPDIR_SIZE + 16];
    (void)snprintf(absolute, sizeof absolute, "%s/m/n", f->path);
    assert_int_equal(es_mkdir_all_at(AT_FDCWD, absolute), 1);
    assert_true(is_folder(f, "m/n"));
    assert_int_equal(symlinkat("one", f->dir_fd, "link"), 0);
    assert_int_equal(es_mkdir_all_at(f->dir_fd, "link"), 0);
    assert_int_equal(es_mkdir_all_at(f->dir_fd, "link/three"), 1);
    assert_true(is_folder(f, "one/three"));
}

static void test_mkdir_all_fails(void **state)
{
    struct fixture *f = *state;
    make_file(f, "file", "", 0);
    assert_int_equal(symlinkat("nowhere/far", f->dir_fd, "dangling"), 0);
    const struct {
        const char *path;
        int fault;
    } rows[] = {
        {"", ENOENT},          {"file", ENOTDIR},      {"file/x", ENOTDIR},
        {"file/x/y", ENOTDIR}, {"dangling/x", ENOENT}, {"dangling", ENOENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(es_mkdir_all_at(f->dir_fd, rows[i].path), -1);
        assert_int_equal(errno, rows[i].fault);
    }
    es_mem_fail_after(0);
    assert_int_equal(es_mkdir_all_at(f->dir_fd, "new/folder"), -1);
    assert_int_equal(errno, ENOMEM);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_close, set_up, tear_down),
        cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_write_all_fails),
        cmocka_unit_test_setup_teardown(test_write_and_read_all_through_a_pipe, set_up, tear_down),
        cmocka_unit_test(test_write_all_among_signals),
        cmocka_unit_test_setup_teardown(test_read_all_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_all_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_small_file_needs_little_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_read_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_read_follows_links_and_growing_files, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_mkdir_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mkdir_all_fails, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
