#include "unit/store/store_fixture.h"

#include "core/gridunion.h"
#include "core/mem.h"

enum { N_RUNS = 3 };

/* Runs whose grids overlap, as stores of their own, and the axes that have them all. */
struct runs {
    struct sample sample[N_RUNS];
    char path[N_RUNS][TEMPDIR_SIZE + 40];
    struct es_grid *axes;

    struct es_grid *grid[N_RUNS];
    struct es_units *units[N_RUNS]; /* as loaded; they stay, for comparison */
    int n_loads;
    int fails_at; /* this load; 0: none */
};

static const char *const names[N_RUNS] = {"410m", "1b", "l'\xc3\xa9preuve"};

static void make_runs(const struct fixture *fixture, struct runs *runs)
{
    static const struct sample_size sizes[N_RUNS] = {{3, 2, 4, 3}, {6, 3, 1, 2}, {1, 1, 2, 0}};
    const struct es_grid *grids[N_RUNS];
    *runs = (struct runs){0};
    for (int i = 0; i < N_RUNS; i++) {
        assert_int_equal(sample_create(sizes[i], &runs->sample[i]), 0);
        grids[i] = runs->sample[i].grid;
        (void)snprintf(runs->path[i], sizeof runs->path[i], "%s/run%d", fixture->folder, i);
        assert_int_equal(es_store_write_file(runs->path[i], NULL, 0, runs->sample[i].units, NULL),
                         0);
    }
    assert_int_equal(es_grid_union(grids, N_RUNS, &runs->axes, NULL), 0);
}

static void unload(struct runs *runs)
{
    for (int i = 0; i < N_RUNS; i++) {
        es_units_free(runs->units[i]);
        es_grid_free(runs->grid[i]);
        runs->units[i] = NULL;
        runs->grid[i] = NULL;
    }
    runs->n_loads = 0;
}

static void free_runs(struct runs *runs)
{
    unload(runs);
    for (int i = 0; i < N_RUNS; i++)
        sample_free(&runs->sample[i]);
    es_grid_free(runs->axes);
}

static int load(void *context, uint32_t run, struct es_store_run *ret_run, struct es_err *err)
{
    static const struct es_attribute attributes[] = {{"run_dir", "/runs"}, {"job", "{}"}};
    struct runs *runs = context;
    assert_true(run < N_RUNS && !runs->units[run]);
    if (++runs->n_loads == runs->fails_at)
        return es_err_set(err, ES_ERR_PARSE, "loading", names[run], "it is broken");
    int rc = es_grid_spread(runs->sample[run].grid, runs->axes, &runs->grid[run], err);
    if (rc == 0)
        rc = es_units_create(runs->grid[run], &runs->units[run], err);
    if (rc == 0)
        rc = es_store_read(runs->path[run], runs->units[run], NULL, err);
    *ret_run = (struct es_store_run){runs->units[run], attributes, run == 1 ? 1 : 2};
    return rc;
}

static int merge(const struct fixture *fixture, struct runs *runs, uint32_t n, struct es_err *err)
{
    static const struct es_attribute attributes[] = {{"host", "here"}};
    const struct es_store_merge request = {.path = fixture->path,
                                           .attributes = attributes,
                                           .n_attributes = 1,
                                           .grid = runs->axes,
                                           .runs = names,
                                           .n_runs = n,
                                           .load = load,
                                           .context = runs};
    unload(runs);
    return es_store_merge(&request, err);
}

/* The values of a variable, as many as there are; free with free. */
static void *read_all(hid_t file, const char *path, hid_t type, size_t size_bytes, hsize_t *ret_n)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    *ret_n = (hsize_t)H5Sget_simple_extent_npoints(space);
    void *values = calloc(*ret_n + 1, size_bytes);
    assert_non_null(values);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    (void)H5Sclose(space);
    (void)H5Dclose(dataset);
    return values;
}

static char **read_texts(hid_t file, const char *path, hsize_t *ret_n)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    (void)H5Tset_size(type, H5T_VARIABLE);
    (void)H5Tset_cset(type, H5T_CSET_UTF8);
    char **texts = read_all(file, path, type, sizeof *texts, ret_n);
    (void)H5Tclose(type);
    return texts;
}

static void free_texts(char **texts, hsize_t n)
{
    for (hsize_t i = 0; i < n; i++)
        (void)H5free_memory(texts[i]);
    free(texts);
}

static void assert_texts(hid_t file, const char *path, const char *const *expected, hsize_t n)
{
    hsize_t n_found;
    char **texts = read_texts(file, path, &n_found);
    assert_int_equal(n_found, n);
    for (hsize_t i = 0; i < n; i++)
        assert_string_equal(texts[i], expected[i]);
    free_texts(texts, n);
}

static void assert_columns(hid_t file, const struct runs *runs, uint32_t n_runs)
{
    const uint32_t n_units = es_grid_n_units(runs->axes);
    hsize_t n;
    double *scores = read_all(file, "main_score", H5T_NATIVE_DOUBLE, sizeof *scores, &n);
    assert_int_equal(n, (hsize_t)n_runs * n_units);
    int8_t *status = read_all(file, "status", H5T_NATIVE_INT8, 1, &n);
    assert_int_equal(n, (hsize_t)n_runs * n_units);
    int32_t *worker = read_all(file, "worker", H5T_NATIVE_INT32, sizeof *worker, &n);
    for (uint32_t run = 0; run < n_runs; run++) {
        const struct es_units_columns columns = es_units_columns(runs->units[run]);
        for (uint32_t id = 0; id < n_units; id++) {
            const size_t at = (size_t)run * n_units + id;
            assert_same_double(scores[at], columns.main_score[id]);
            assert_int_equal(status[at], columns.status[id]);
            assert_int_equal(worker[at], columns.worker[id]);
        }
    }
    free(scores);
    free(status);
    free(worker);
}

enum { RUN, CHECKPOINT, LAYER, TASK, SPLIT, SUBSET, METRIC, N_INDICES };

static void assert_rows(hid_t file, const struct runs *runs, uint32_t n_runs)
{
    static const char *const paths[N_INDICES] = {
        "metrics/run",   "metrics/checkpoint", "metrics/layer", "metrics/task",
        "metrics/split", "metrics/subset",     "metrics/metric"};
    int32_t *index[N_INDICES];
    hsize_t n_rows, n, n_names[3], at = 0;
    double *values = read_all(file, "metrics/value", H5T_NATIVE_DOUBLE, sizeof *values, &n_rows);
    for (int i = 0; i < N_INDICES; i++) {
        index[i] = read_all(file, paths[i], H5T_NATIVE_INT32, sizeof **index, &n);
        assert_int_equal(n, n_rows);
    }
    char **texts[3] = {read_texts(file, "metrics/split_name", &n_names[0]),
                       read_texts(file, "metrics/subset_name", &n_names[1]),
                       read_texts(file, "metrics/metric_name", &n_names[2])};
    for (uint32_t run = 0; run < n_runs; run++) {
        struct es_units *units = runs->units[run];
        for (uint32_t id = 0; id < es_grid_n_units(runs->axes); id++) {
            const struct es_unit unit = es_grid_unit(runs->axes, id);
            uint32_t first, n_here = es_units_rows_of(units, id, &first);
            for (uint32_t i = 0; i < n_here; i++, at++) {
                const struct es_metric_row row = es_units_columns(units).rows[first + i];
                assert_true(at < n_rows);
                assert_int_equal(index[RUN][at], run);
                assert_int_equal(index[CHECKPOINT][at], unit.checkpoint);
                assert_int_equal(index[LAYER][at], unit.layer);
                assert_int_equal(index[TASK][at], unit.task);
                assert_string_equal(texts[0][index[SPLIT][at]],
                                    es_units_name(units, ES_NAME_SPLIT, row.split));
                assert_string_equal(texts[1][index[SUBSET][at]],
                                    es_units_name(units, ES_NAME_SUBSET, row.subset));
                assert_string_equal(texts[2][index[METRIC][at]],
                                    es_units_name(units, ES_NAME_METRIC, row.metric));
                assert_same_double(values[at], row.value);
            }
        }
    }
    assert_int_equal(at, n_rows);
    for (int i = 0; i < N_INDICES; i++)
        free(index[i]);
    for (int i = 0; i < 3; i++)
        free_texts(texts[i], n_names[i]);
    free(values);
}

static void assert_merge(const struct fixture *fixture, const struct runs *runs, uint32_t n_runs)
{
    static const char *const jobs[N_RUNS] = {"{}", "", "{}"};
    static const char *const rate[N_RUNS] = {"0.1", "0.1", "0.1"};
    static const char *const normalize[N_RUNS] = {"true", "true", "true"};
    hid_t file = H5Fopen(fixture->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_texts(file, "run", names, n_runs);
    assert_texts(file, "job", jobs, n_runs);
    assert_texts(file, "evaluator_rate", rate, n_runs);
    assert_texts(file, "evaluator_normalize", normalize, n_runs);
    assert_true(H5Lexists(file, "markers", H5P_DEFAULT) == 0);
    assert_columns(file, runs, n_runs);
    assert_rows(file, runs, n_runs);
    assert_true(H5Fclose(file) >= 0);
}

static void every_run_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct runs runs;
    make_runs(fixture, &runs);
    for (uint32_t n = 1; n <= N_RUNS; n++) {
        assert_int_equal(merge(fixture, &runs, n, NULL), 0);
        assert_hdf5_clean();
        assert_merge(fixture, &runs, n);
    }
    struct es_buf first = read_whole(fixture->path);
    assert_int_equal(merge(fixture, &runs, N_RUNS, NULL), 0);
    struct es_buf second = read_whole(fixture->path);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    es_buf_clear(&first);
    es_buf_clear(&second);
    assert_int_equal(count_entries(fixture->folder), N_RUNS + 1);
    free_runs(&runs);
}

static void it_is_no_store_of_a_run(void **state)
{
    struct fixture *fixture = *state;
    struct runs runs;
    struct es_grid *grid = NULL;
    struct es_err err = {0};
    make_runs(fixture, &runs);
    assert_int_equal(es_store_check_merge(fixture->path, &err), 0); /* nothing is there */
    assert_int_equal(merge(fixture, &runs, N_RUNS, NULL), 0);
    assert_int_equal(es_store_check_merge(fixture->path, &err), 0);
    assert_int_equal(es_store_check_merge(runs.path[0], &err), ES_ERR_USAGE);
    assert_string_equal(err.subject, runs.path[0]);
    assert_int_equal(es_store_check_merge(fixture->folder, &err), ES_ERR_USAGE);
    assert_int_equal(es_store_read_grid(fixture->path, &grid, &err), ES_ERR_STORE);
    assert_non_null(strstr(err.why, "several runs"));
    assert_int_equal(es_store_read(fixture->path, runs.sample[0].units, NULL, &err), ES_ERR_STORE);
    char *host = es_store_read_attribute(fixture->path, "host");
    assert_string_equal(host, "here");
    free(host);
    free_runs(&runs);
}

static void a_run_that_fails_leaves_what_was_there(void **state)
{
    struct fixture *fixture = *state;
    struct runs runs;
    make_runs(fixture, &runs);
    write_whole(fixture->path, "before", 6);
    for (runs.fails_at = 1; runs.fails_at <= N_RUNS; runs.fails_at++) {
        struct es_err err = {0};
        assert_int_equal(merge(fixture, &runs, N_RUNS, &err), ES_ERR_PARSE);
        assert_string_equal(err.subject, names[runs.fails_at - 1]);
        assert_string_equal(err.why, "it is broken");
        assert_hdf5_clean();
        assert_int_equal(count_entries(fixture->folder), N_RUNS + 1);
        struct es_buf bytes = read_whole(fixture->path);
        assert_int_equal(bytes.len, 6);
        es_buf_clear(&bytes);
    }
    free_runs(&runs);
}

static void out_of_memory(void **state)
{
    struct fixture *fixture = *state;
    struct runs runs;
    int n_failures = 0, rc = -1;
    make_runs(fixture, &runs);
    for (; rc < 0; n_failures += n_failures < 40 ? 1 : 9) {
        unload(&runs);
        es_mem_fail_after(n_failures);
        rc = merge(fixture, &runs, N_RUNS, NULL);
        es_mem_fail_after(-1);
        assert_hdf5_clean();
        assert_int_equal(count_entries(fixture->folder), N_RUNS + (rc == 0));
        assert_true(rc == 0 || rc == ES_ERR_NOMEM);
    }
    assert_true(n_failures > 100);
    assert_merge(fixture, &runs, N_RUNS);
    free_runs(&runs);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(every_run_is_there),
        TEST(it_is_no_store_of_a_run),
        TEST(a_run_that_fails_leaves_what_was_there),
        TEST(out_of_memory),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
