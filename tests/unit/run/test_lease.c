#include "run/lease.h"

#include "helper/tempdir.h"
#include "run/folder.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char run_dir[TEMPDIR_SIZE];
static int folder_fd = -1;

static int setup(void **state)
{
    (void)state;
    if (tempdir_create(run_dir) < 0 || es_folder_make(run_dir, NULL) < 0)
        return -1;
    int fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    folder_fd = es_lease_open_folder(fd);
    es_fd_close(&fd);
    return folder_fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    es_fd_close(&folder_fd);
    tempdir_remove(run_dir);
    return 0;
}

static void assert_holder(const char *name, const char *id)
{
    char holder[ES_HOLDER_ID_SIZE];
    assert_int_equal(es_lease_read(folder_fd, name, holder), 0);
    assert_string_equal(holder, id);
}

static void names_differ_where_bundles_do(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"step1", "A"}, {"step1", "B"}, {"step2", "A"}, {"step", "1A"}, {"", "step1A"}};
    char names[5][ES_LEASE_NAME_SIZE], again[ES_LEASE_NAME_SIZE];
    for (int i = 0; i < 5; i++) {
        es_lease_name(pairs[i][0], pairs[i][1], names[i]);
        assert_int_equal(strspn(names[i], "0123456789abcdef"), 32);
        es_lease_name(pairs[i][0], pairs[i][1], again);
        assert_string_equal(names[i], again);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
    }
}

static void it_is_taken_by_one(void **state)
{
    (void)state;
    bool is_ours = false;
    assert_int_equal(es_lease_take(folder_fd, "00", "me-1", &is_ours), 0);
    assert_true(is_ours);
    assert_int_equal(es_lease_take(folder_fd, "00", "me-1", &is_ours), 0); /* the next unit's */
    assert_true(is_ours);
    assert_int_equal(es_lease_take(folder_fd, "00", "me-10", &is_ours), 0);
    assert_false(is_ours);
    assert_holder("00", "me-1");
    assert_holder("01", "");
}

static void it_is_dropped_by_its_holder_only(void **state)
{
    (void)state;
    bool is_ours = false;
    assert_int_equal(es_lease_take(folder_fd, "00", "a", &is_ours), 0);
    assert_int_equal(es_lease_drop(folder_fd, "00", "b"), 0);
    assert_holder("00", "a");
    assert_int_equal(es_lease_drop(folder_fd, "00", "a"), 0);
    assert_holder("00", "");
    assert_int_equal(es_lease_drop(folder_fd, "00", "a"), 0); /* gone already */
}

static bool is_a(const char *id, const void *context)
{
    return strcmp(id, context) == 0;
}

static void a_sweep_takes_those_of_some(void **state)
{
    (void)state;
    bool is_ours;
    for (int i = 0; i < 100; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%02d", i);
        assert_int_equal(es_lease_take(folder_fd, name, i % 2 ? "a" : "b", &is_ours), 0);
    }
    assert_int_equal(es_lease_sweep(folder_fd, is_a, "a"), 0);
    for (int i = 0; i < 100; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%02d", i);
        assert_holder(name, i % 2 ? "" : "b");
    }
}

static void what_is_no_lease_is_an_error(void **state)
{
    (void)state;
    bool is_ours = true;
    char holder[ES_HOLDER_ID_SIZE], longer[2 * ES_HOLDER_ID_SIZE];
    int fd = openat(folder_fd, "00", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    es_fd_close(&fd);
    assert_int_equal(es_lease_take(folder_fd, "00", "a", &is_ours), -1);
    assert_int_equal(es_lease_read(folder_fd, "00", holder), -1);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(symlinkat(longer, folder_fd, "01"), 0);
    assert_int_equal(es_lease_take(folder_fd, "01", "a", &is_ours), -1);
    assert_true(is_ours); /* untouched */
}

enum { N_RACERS = 4, N_LEASES = 200 };

static void each_of_many_goes_to_one_of_the_racers(void **state)
{
    (void)state;
    int n_taken = 0, status;
    for (int i = 0; i < N_RACERS; i++)
        if (fork() == 0) {
            char name[8], id[8];
            int n = 0;
            (void)snprintf(id, sizeof id, "r%d", i);
            for (int l = 0; l < N_LEASES; l++) {
                bool is_ours = false;
                (void)snprintf(name, sizeof name, "%03d", l);
                if (es_lease_take(folder_fd, name, id, &is_ours) < 0)
                    _exit(255);
                n += is_ours;
            }
            _exit(n);
        }
    for (int i = 0; i < N_RACERS; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= N_LEASES);
        n_taken += WEXITSTATUS(status);
    }
    assert_int_equal(n_taken, N_LEASES);
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(names_differ_where_bundles_do),    TEST_OF(it_is_taken_by_one),
        TEST_OF(it_is_dropped_by_its_holder_only), TEST_OF(a_sweep_takes_those_of_some),
        TEST_OF(what_is_no_lease_is_an_error),     TEST_OF(each_of_many_goes_to_one_of_the_racers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
