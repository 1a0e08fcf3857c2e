#include "unit/store/store_fixture.h"

#include "core/mem.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static const struct sample_size small = {3, 2, 4, 3};

static void assert_reads_as(const char *path, struct sample *expected)
{
    struct es_units *units = empty_table(expected->grid);
    struct es_err err = {0};
    uint32_t n_outside = 77;
    int rc = es_store_read(path, units, &n_outside, &err);
    if (rc < 0)
        print_error("%s\n", err.why);
    assert_int_equal(rc, 0);
    assert_int_equal(n_outside, 0);
    assert_same_table(units, expected->units);
    es_units_free(units);
    assert_hdf5_clean();
}

/* One of each shape of box: all in one, parts of checkpoints, of layers, of tasks, and more rows
 * than a block. */
static void test_round_trip(void **state)
{
    static const struct sample_size sizes[] = {{1, 1, 1, 0},     {3, 2, 4, 3},     {1, 1, 1, 20},
                                               {5, 200, 100, 0}, {3, 300, 301, 0}, {2, 2, 66000, 0},
                                               {40, 5, 50, 20}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct sample sample;
        assert_int_equal(sample_create(sizes[i], &sample), 0);
        assert_int_equal(es_store_write_file(fixture->path, NULL, 0, sample.units, NULL), 0);
        assert_reads_as(fixture->path, &sample);
        sample_free(&sample);
    }
    assert_int_equal(count_entries(fixture->folder), 1);
}

static void test_same_results_in_any_order_make_the_same_file(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    struct es_result result;
    assert_int_equal(sample_create(small, &sample), 0);
    assert_int_equal(es_store_write_file(fixture->path, NULL, 0, sample.units, NULL), 0);
    struct es_buf first = read_whole(fixture->path);

    struct es_units *units = empty_table(sample.grid);
    es_result_init(&result);
    for (uint32_t id = es_grid_n_units(sample.grid); id-- > 0;) {
        es_result_reset(&result);
        es_result_add_metric(&result, "forgotten", "replaced", "gone", 1.0);
        if (sample_status(id) == ES_STATUS_DONE && !es_grid_is_excluded(sample.grid, id))
            assert_int_equal(es_units_set_result(units, id, ES_STATUS_DONE, &result, NULL), 0);
        assert_int_equal(sample_set(units, id, small.n_metrics, &result), 0);
    }
    es_result_clear(&result);
    assert_int_equal(es_store_write_file(fixture->path, NULL, 0, units, NULL), 0);
    struct es_buf second = read_whole(fixture->path);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    es_buf_clear(&first);
    es_buf_clear(&second);
    es_units_free(units);
    sample_free(&sample);
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void test_previous_file_is_kept(void **state)
{
    struct fixture *fixture = *state;
    const struct es_store_write request = {.run_dir = fixture->folder, .fsync = true};
    char state_folder[PATH_MAX], previous[PATH_MAX];
    struct sample sample;
    (void)snprintf(state_folder, sizeof state_folder, "%s/.evalsweep", fixture->folder);
    (void)snprintf(previous, sizeof previous, "%s/.evalsweep/results.prev.h5", fixture->folder);
    assert_int_equal(sample_create(small, &sample), 0);
    assert_int_equal(es_store_write(&request, sample.units, NULL), 0);
    assert_int_equal(access(previous, F_OK), -1);
    for (int i = 0; i < 3; i++) {
        ino_t before = inode_of(fixture->path);
        assert_int_equal(es_store_write(&request, sample.units, NULL), 0);
        assert_int_equal(inode_of(previous), before);
        assert_int_not_equal(inode_of(fixture->path), before);
        assert_reads_as(previous, &sample);
        assert_reads_as(fixture->path, &sample);
    }
    /* As a kill between the link and the rename leaves it: both names are of one file. */
    assert_int_equal(unlink(previous), 0);
    assert_int_equal(link(fixture->path, previous), 0);
    assert_int_equal(es_store_write(&request, sample.units, NULL), 0);
    assert_int_not_equal(inode_of(fixture->path), inode_of(previous));
    assert_int_equal(count_entries(fixture->folder), 2);
    assert_int_equal(count_entries(state_folder), 1);
    sample_free(&sample);
}

static int refuse(void *context, struct es_err *err)
{
    ++*(int *)context;
    return es_err_set(err, ES_ERR_BUSY, "keeping the lock", "lock", "the run is another's");
}

static void test_file_is_left_where_it_may_not_be_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    struct es_err err = {0};
    int n_asked = 0;
    struct es_store_write request = {.run_dir = fixture->folder};
    assert_int_equal(sample_create(small, &sample), 0);
    assert_int_equal(es_store_write(&request, sample.units, NULL), 0);
    ino_t before = inode_of(fixture->path);
    request.may_replace = refuse;
    request.context = &n_asked;
    assert_int_equal(es_store_write(&request, sample.units, &err), ES_ERR_BUSY);
    assert_int_equal(n_asked, 1);
    assert_string_equal(err.why, "the run is another's");
    assert_int_equal(inode_of(fixture->path), before);
    assert_int_equal(count_entries(fixture->folder), 2); /* .evalsweep, and no temporary file */
    sample_free(&sample);
    assert_hdf5_clean();
}

static void test_missing_folder(void **state)
{
    struct fixture *fixture = *state;
    char nowhere[PATH_MAX];
    struct es_err err = {0};
    struct sample sample;
    (void)snprintf(nowhere, sizeof nowhere, "%s/nowhere", fixture->folder);
    const struct es_store_write request = {.run_dir = nowhere};
    assert_int_equal(sample_create(small, &sample), 0);
    assert_int_equal(es_store_write(&request, sample.units, &err), ES_ERR_NOENT);
    assert_string_equal(err.subject, nowhere);
    (void)snprintf(nowhere, sizeof nowhere, "%s/nowhere/results.h5", fixture->folder);
    assert_int_equal(es_store_write_file(nowhere, NULL, 0, sample.units, &err), ES_ERR_NOENT);
    assert_string_equal(err.subject, nowhere);
    assert_int_equal(count_entries(fixture->folder), 0);
    assert_hdf5_clean();
    sample_free(&sample);
}

/* A file size limit stands for a full disk: at every stage of the file, the old one stays. */
static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    struct es_err err;
    struct rlimit old_limit, limit;
    assert_int_equal(sample_create((struct sample_size){20, 4, 10, 5}, &sample), 0);
    assert_int_equal(es_store_write_file(fixture->path, NULL, 0, sample.units, NULL), 0);
    struct es_buf before = read_whole(fixture->path);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t part = 0; part < 64; part++) {
        limit = old_limit;
        limit.rlim_cur = before.len * part / 64;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        err = (struct es_err){0};
        int rc = es_store_write_file(fixture->path, NULL, 0, sample.units, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old_limit), 0);
        assert_int_equal(rc, ES_ERR_IO);
        assert_string_equal(err.why, "File too large");
        assert_string_equal(err.subject, fixture->path);
        assert_int_equal(count_entries(fixture->folder), 1);
        assert_hdf5_clean();
    }
    (void)signal(SIGXFSZ, SIG_DFL);
    struct es_buf after = read_whole(fixture->path);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    es_buf_clear(&before);
    es_buf_clear(&after);
    assert_int_equal(es_store_write_file(fixture->path, NULL, 0, sample.units, NULL), 0);
    assert_reads_as(fixture->path, &sample);
    sample_free(&sample);
}

/* Some file systems report a full disk only when a file is closed, as this one does on demand. */
static bool close_fails;

int close(int fd)
{
    bool is_written = ((int)syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
    int rc = (int)syscall(SYS_close, fd);
    if (!close_fails || !is_written)
        return rc;
    errno = EDQUOT;
    return -1;
}

static void test_full_disk_on_close(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    struct es_err err = {0};
    assert_int_equal(sample_create(small, &sample), 0);
    close_fails = true;
    int rc = es_store_write_file(fixture->path, NULL, 0, sample.units, &err);
    close_fails = false;
    assert_int_equal(rc, ES_ERR_IO);
    assert_int_equal(err.sys_errno, EDQUOT);
    assert_int_equal(count_entries(fixture->folder), 0);
    sample_free(&sample);
}

static void test_out_of_memory(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    int n_failures = 0;
    assert_int_equal(sample_create(small, &sample), 0);
    for (;; n_failures++) {
        es_mem_fail_after(n_failures);
        int rc = es_store_write_file(fixture->path, NULL, 0, sample.units, NULL);
        es_mem_fail_after(-1);
        assert_hdf5_clean();
        if (rc == 0)
            break;
        assert_int_equal(rc, ES_ERR_NOMEM);
        assert_int_equal(count_entries(fixture->folder), 0);
    }
    assert_true(n_failures > 10);
    assert_reads_as(fixture->path, &sample);
    sample_free(&sample);
}

static void test_attributes(void **state)
{
    static char long_value[200001];
    memset(long_value, 'x', sizeof long_value - 1);
    static const struct {
        struct es_attribute attribute;
        const char *expected;
    } rows[] = {{{"run", "demo"}, "demo"},
                {{"empty", ""}, ""},
                {{"unicode", "\xc3\xa9 \xe6\xa8\xa1"}, "\xc3\xa9 \xe6\xa8\xa1"},
                {{"broken", "a\xff, z\xc3"}, "a\xef\xbf\xbd, z\xef\xbf\xbd"},
                {{"long", long_value}, long_value}};
    enum { N = sizeof rows / sizeof rows[0] };
    struct fixture *fixture = *state;
    struct es_attribute attributes[N];
    struct sample sample;
    for (int i = 0; i < N; i++)
        attributes[i] = rows[i].attribute;
    assert_int_equal(sample_create(small, &sample), 0);
    assert_int_equal(es_store_write_file(fixture->path, attributes, N, sample.units, NULL), 0);
    for (int i = 0; i < N; i++) {
        char *value = es_store_read_attribute(fixture->path, attributes[i].name);
        assert_non_null(value);
        assert_string_equal(value, rows[i].expected);
        free(value);
    }
    assert_null(es_store_read_attribute(fixture->path, "missing"));
    assert_null(es_store_read_attribute(fixture->path, "evalsweep_schema"));
    assert_null(es_store_read_attribute(fixture->folder, "run"));
    assert_hdf5_clean();
    sample_free(&sample);
}

/* What evaluators say, of either kind, comes back; and what differs did so in the first place. */
static void test_evaluator_attributes(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    assert_int_equal(sample_create(small, &sample), 0);
    const char *attributes = es_units_attributes(sample.units);
    assert_non_null(strstr(attributes, "\"normalize\":true"));
    assert_non_null(strstr(attributes, "\"turn\":\"(differs)\"}"));
    assert_int_equal(es_store_write_file(fixture->path, NULL, 0, sample.units, NULL), 0);
    char *note = es_store_read_attribute(fixture->path, "evaluator_note");
    char *turn = es_store_read_attribute(fixture->path, "evaluator_turn");
    assert_non_null(note);
    assert_non_null(turn);
    assert_string_equal(note, "l'\xc3\xa9preuve,\n\"1\"");
    assert_string_equal(turn, "(differs)");
    free(note);
    free(turn);
    assert_reads_as(fixture->path, &sample); /* numbers and truth values among them */
    sample_free(&sample);
}

/* Nobody checked what an evaluator calls its metrics: bytes that are not UTF-8 are replaced. */
static void test_broken_metric_names(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample = {0};
    struct es_result result;
    uint32_t first = 0;
    assert_int_equal(sample_create((struct sample_size){1, 1, 1, 0}, &sample), 0);
    es_result_init(&result);
    es_result_add_metric(&result, "te\xffst", "", "line\nfeed", 0.5);
    assert_int_equal(es_units_set_result(sample.units, 0, ES_STATUS_DONE, &result, NULL), 0);
    es_result_clear(&result);
    assert_int_equal(es_store_write_file(fixture->path, NULL, 0, sample.units, NULL), 0);
    struct es_units *units = empty_table(sample.grid);
    assert_int_equal(es_store_read(fixture->path, units, NULL, NULL), 0);
    assert_int_equal(es_units_rows_of(units, 0, &first), 1);
    struct es_metric_row row = es_units_columns(units).rows[first];
    assert_string_equal(es_units_name(units, ES_NAME_SPLIT, row.split), "te\xef\xbf\xbdst");
    assert_string_equal(es_units_name(units, ES_NAME_SUBSET, row.subset), "");
    assert_string_equal(es_units_name(units, ES_NAME_METRIC, row.metric), "line\nfeed");
    es_units_free(units);
    sample_free(&sample);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_round_trip),
        TEST(test_same_results_in_any_order_make_the_same_file),
        TEST(test_previous_file_is_kept),
        TEST(test_file_is_left_where_it_may_not_be_replaced),
        TEST(test_missing_folder),
        TEST(test_full_disk),
        TEST(test_full_disk_on_close),
        TEST(test_out_of_memory),
        TEST(test_attributes),
        TEST(test_evaluator_attributes),
        TEST(test_broken_metric_names),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
