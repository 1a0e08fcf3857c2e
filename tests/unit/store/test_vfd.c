#include "unit/store/store_fixture.h"

#include "store/h5.h"

#include <errno.h>

static int create_fd(const struct fixture *fixture)
{
    int fd = open(fixture->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    return fd;
}

enum { N_VALUES = 100000 };

/* Writes a file with one variable, allocated in full; its values are written if there are any. */
static int write_file(struct es_h5 *h5, const int32_t *values)
{
    const hsize_t n = N_VALUES;
    hid_t file = es_h5_create_file(h5);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &n, NULL);
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
    hid_t dataset = H5Dcreate2(file, "last", H5T_STD_I32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (values)
        es_h5_ok(h5, H5Dwrite(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
    es_h5_close(&dataset);
    es_h5_close(&space);
    es_h5_close(&list);
    es_h5_close_file(h5, &file);
    return es_h5_end(h5);
}

/* HDF5 takes a file for cut when the last bytes that it allocated are not there. */
static void test_allocated_end_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct es_h5 h5;
    int fd = create_fd(fixture);
    es_h5_begin(&h5, "testing", fixture->path, fd, NULL);
    assert_int_equal(write_file(&h5, NULL), 0);
    es_h5_begin(&h5, "testing", fixture->path, fd, NULL);
    hid_t file = es_h5_open_file(&h5);
    assert_true(file >= 0);
    es_h5_close_file(&h5, &file);
    assert_int_equal(es_h5_end(&h5), 0);
    es_fd_close(&fd);
    file = H5Fopen(fixture->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_true(H5Fclose(file) >= 0);
    assert_hdf5_clean();
}

/* What cannot be written is told once, with its own errno, and HDF5 ends as if all were well. */
static void test_failed_write(void **state)
{
    struct fixture *fixture = *state;
    struct es_h5 h5;
    struct es_err err = {0};
    int fd = create_fd(fixture);
    es_fd_close(&fd);
    fd = open(fixture->path, O_RDONLY | O_CLOEXEC);
    es_h5_begin(&h5, "testing", fixture->path, fd, &err);
    static const int32_t values[N_VALUES];
    assert_int_equal(write_file(&h5, values), ES_ERR_IO);
    assert_int_equal(err.sys_errno, EBADF);
    assert_string_equal(err.subject, fixture->path);
    es_fd_close(&fd);
    assert_hdf5_clean();
}

static void test_failed_read(void **state)
{
    struct fixture *fixture = *state;
    struct es_h5 h5;
    struct es_err err = {0};
    int fd = create_fd(fixture);
    es_h5_begin(&h5, "testing", fixture->path, fd, NULL);
    assert_int_equal(write_file(&h5, NULL), 0);
    es_fd_close(&fd);
    fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
    es_h5_begin(&h5, "testing", fixture->path, fd, &err);
    assert_true(es_h5_open_file(&h5) < 0);
    assert_int_equal(es_h5_end(&h5), ES_ERR_IO);
    assert_int_equal(err.sys_errno, EBADF);
    es_fd_close(&fd);
    assert_hdf5_clean();
}

/* The first failure stays, with HDF5's innermost words. */
static void test_first_failure_stays(void **state)
{
    struct fixture *fixture = *state;
    struct es_h5 h5;
    struct es_err err = {0};
    int fd = create_fd(fixture);
    es_h5_begin(&h5, "testing", fixture->path, fd, &err);
    hid_t file = es_h5_create_file(&h5);
    assert_true(es_h5_ok(&h5, 0));
    hid_t group = es_h5_id(&h5, H5Gopen2(file, "missing", H5P_DEFAULT));
    assert_true(group < 0);
    es_h5_fail(&h5, ES_ERR_PARSE, "later");
    es_h5_nomem(&h5);
    assert_false(es_h5_ok(&h5, 0));
    es_h5_close(&group);
    es_h5_close_file(&h5, &file);
    assert_int_equal(es_h5_end(&h5), ES_ERR_STORE);
    assert_string_equal(err.why, "object 'missing' doesn't exist");
    assert_string_equal(err.doing, "testing");
    es_fd_close(&fd);
    assert_hdf5_clean();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_allocated_end_is_there),
        TEST(test_failed_write),
        TEST(test_failed_read),
        TEST(test_first_failure_stays),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
