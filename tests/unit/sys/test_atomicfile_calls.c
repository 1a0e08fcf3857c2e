/* Atomic files, call by call: which order they are in, and that each one's failure is one. */
#include "sys/atomicfile.h"

#include "helper/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* What was called on the file (c: closed, s: synced, r: renamed) and its folder (S: synced); the
 * call that is to fail, 0: none. It takes effect all the same, as a close of NFS does. */
static char calls[32];
static char failing;

static int end(char call, int rc)
{
    size_t n = strlen(calls);
    assert_true(n + 1 < sizeof calls);
    calls[n] = call;
    calls[n + 1] = '\0';
    if (call != failing)
        return rc;
    errno = EDQUOT;
    return -1;
}

static bool is_written(int fd)
{
    return ((int)syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

int close(int fd)
{
    bool is_file = is_written(fd);
    int rc = (int)syscall(SYS_close, fd);
    return is_file ? end('c', rc) : rc;
}

int fsync(int fd)
{
    return end(is_written(fd) ? 's' : 'S', 0);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    if (failing == 'r')
        return end('r', -1);
    return end('r', (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0));
}

static void every_call_counts(void **state)
{
    (void)state;
    static const struct {
        bool sync;
        char failing;
        const char *calls;
        bool is_there;
    } rows[] = {
        {false, 0, "cr", true},
        {true, 0, "scrS", true}, /* on the disk before it has its name, and the name thereafter */
        {false, 'c', "c", false},
        {false, 'r', "cr", false},
        {true, 's', "sc", false},
        {true, 'c', "sc", false},
        {true, 'r', "scr", false},
        {true, 'S', "scrS", true}, /* it may be lost yet */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char folder[TEMPDIR_SIZE], path[TEMPDIR_SIZE + 16];
        struct es_err err = {0};
        assert_int_equal(tempdir_create(folder), 0);
        (void)snprintf(path, sizeof path, "%s/file", folder);
        calls[0] = '\0';
        failing = rows[i].failing;
        int rc = es_atomic_write(AT_FDCWD, path, "text", 4, rows[i].sync, NULL, &err);
        failing = 0;
        if (strcmp(calls, rows[i].calls) != 0 || (rc == 0) != !rows[i].failing ||
            (access(path, F_OK) == 0) != rows[i].is_there)
            fail_msg("row %zu: %d %s", i, rc, calls);
        if (rc < 0)
            assert_int_equal(err.sys_errno, EDQUOT);
        if (rows[i].is_there)
            assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(folder), 0); /* nothing temporary is left */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
