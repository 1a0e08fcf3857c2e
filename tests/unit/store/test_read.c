#include "unit/store/store_fixture.h"

#include "core/mem.h"
#include "core/num.h"
#include "helper/make_grid.h"
#include "store/seal.h"

static const struct sample_size small = {3, 2, 4, 3};

static void write_sample(const struct fixture *fixture, struct sample_size size,
                         struct sample *ret_sample)
{
    *ret_sample = (struct sample){0};
    assert_int_equal(sample_create(size, ret_sample), 0);
    assert_int_equal(es_store_write_file(fixture->path, NULL, 0, ret_sample->units, NULL), 0);
}

/* Reads into another grid, and checks every unit of it against the sample. */
static void assert_aligned(const char *path, struct sample *sample, const struct es_grid *grid)
{
    struct es_units *units = empty_table(grid), *untouched = empty_table(grid);
    uint32_t n_outside = 0, n_done_inside = 0;
    assert_int_equal(es_store_read(path, units, &n_outside, NULL), 0);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        struct es_unit unit = es_grid_unit(grid, id), there;
        there.checkpoint =
            es_grid_find_checkpoint(sample->grid, es_grid_checkpoint(grid, unit.checkpoint));
        there.layer = es_grid_find_layer(sample->grid, es_grid_layer(grid, unit.layer));
        there.task = es_grid_find_task(sample->grid, es_grid_task(grid, unit.task));
        bool is_there = there.checkpoint != ES_GRID_NONE && there.layer != ES_GRID_NONE &&
                        there.task != ES_GRID_NONE &&
                        !es_grid_is_excluded(sample->grid, es_grid_id(sample->grid, there));
        if (!is_there || es_grid_is_excluded(grid, id)) {
            assert_same_unit(units, id, untouched, id);
            continue;
        }
        assert_same_unit(units, id, sample->units, es_grid_id(sample->grid, there));
        n_done_inside += es_units_columns(units).status[id] == ES_STATUS_DONE;
    }
    assert_int_equal(n_outside, es_units_count(sample->units).done - n_done_inside);
    es_units_free(units);
    es_units_free(untouched);
    assert_hdf5_clean();
}

static void test_grid_changed(void **state)
{
    static const struct {
        const char *checkpoints[4];
        uint32_t n_checkpoints;
        int32_t layers[4];
        uint32_t n_layers;
        const char *tasks[5];
        uint32_t n_tasks;
        bool excluded; /* the second checkpoint */
    } rows[] = {
        /* The same, in another order. */
        {{"step \"1\", l'\xc3\xa9tape \xe6\xa8\xa1", "step0", "final"},
         3,
         {4, 3},
         2,
         {"Task3", " \xc3\x9cml\xc3\xa4ut ", "STS12", "Banking77, \"quoted\""},
         4,
         false},
        /* Grown in front and behind. */
        {{"new", "step0", "final", "step \"1\", l'\xc3\xa9tape \xe6\xa8\xa1"},
         4,
         {0, 3, 4, 9},
         4,
         {"New", "STS12", "Banking77, \"quoted\"", " \xc3\x9cml\xc3\xa4ut ", "Task3"},
         5,
         false},
        /* Shrunk, and excluded in part. */
        {{"step0", "final"}, 2, {4}, 1, {"STS12", "Task3"}, 2, true},
        /* Nothing in common. */
        {{"x"}, 1, {3, 4}, 2, {"STS12"}, 1, false},
    };
    struct fixture *fixture = *state;
    struct sample sample;
    write_sample(fixture, small, &sample);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_grid *grid = make_grid(rows[i].checkpoints, rows[i].n_checkpoints, rows[i].layers,
                                         rows[i].n_layers, rows[i].tasks, rows[i].n_tasks);
        if (rows[i].excluded)
            es_grid_exclude(grid, 1, ES_GRID_ANY, ES_GRID_ANY);
        assert_aligned(fixture->path, &sample, grid);
        es_grid_free(grid);
    }
    sample_free(&sample);
}

static void test_read_grid(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    struct es_grid *grid;
    write_sample(fixture, (struct sample_size){6, 3, 4, 0}, &sample);
    assert_int_equal(es_store_read_grid(fixture->path, &grid, NULL), 0);
    assert_int_equal(es_grid_n_units(grid), es_grid_n_units(sample.grid));
    assert_int_equal(es_grid_n_excluded(grid), 3);
    for (uint32_t id = 0; id < es_grid_n_units(grid); id++) {
        char text[600], expected[600];
        es_grid_unit_text(grid, id, text, sizeof text);
        es_grid_unit_text(sample.grid, id, expected, sizeof expected);
        assert_string_equal(text, expected);
        assert_int_equal(es_grid_is_excluded(grid, id), es_grid_is_excluded(sample.grid, id));
    }
    es_grid_free(grid);
    sample_free(&sample);
    assert_hdf5_clean();
}

/* Reads a store that is none in both ways: an error each, and nothing left behind. */
static void assert_refused(const char *path, enum es_code code, const char *why_part)
{
    static const char *const names[] = {"a"};
    static const int32_t layers[] = {1};
    struct es_grid *grid = make_grid(names, 1, layers, 1, names, 1), *read_grid = NULL;
    struct es_units *units = empty_table(grid);
    struct es_err err = {0};
    int rc = es_store_read(path, units, NULL, &err);
    if (rc != (int)code || !strstr(err.why, why_part))
        print_error("%s: %d, %s\n", path, rc, err.why);
    assert_int_equal(rc, code);
    assert_non_null(strstr(err.why, why_part));
    assert_string_equal(err.subject, path);
    rc = es_store_read_grid(path, &read_grid, NULL);
    assert_true(rc == 0 || rc == (int)code);
    es_grid_free(read_grid);
    es_units_free(units);
    es_grid_free(grid);
    assert_hdf5_clean();
}

static void test_what_is_no_store(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture->path, ES_ERR_NOENT, "No such file");
    assert_refused(fixture->folder, ES_ERR_STORE, "not a file");
    write_whole(fixture->path, "", 0);
    assert_refused(fixture->path, ES_ERR_STORE, "no seal");
    write_whole(fixture->path, "{\"status\": \"done\"} and some more text", 37);
    assert_refused(fixture->path, ES_ERR_STORE, "no seal");
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_refused(fixture->path, ES_ERR_STORE, "not a file");
    assert_int_equal(unlink(fixture->path), 0);
    hid_t file = H5Fcreate(fixture->path, H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Fclose(file) >= 0);
    assert_refused(fixture->path, ES_ERR_STORE, "no seal");
}

static void test_cut_files(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    write_sample(fixture, small, &sample);
    struct es_buf bytes = read_whole(fixture->path);
    for (size_t n = 0; n < bytes.len; n += n < 100 || n + 100 > bytes.len ? 1 : 97) {
        write_whole(fixture->path, bytes.data, n);
        assert_refused(fixture->path, ES_ERR_STORE, "no seal");
    }
    es_buf_append(&bytes, "more", 4);
    write_whole(fixture->path, bytes.data, bytes.len);
    assert_refused(fixture->path, ES_ERR_STORE, "no seal");
    es_buf_clear(&bytes);
    sample_free(&sample);
}

static void test_flipped_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    struct es_rng rng;
    es_rng_init(&rng, 7);
    write_sample(fixture, small, &sample);
    struct es_buf bytes = read_whole(fixture->path);
    for (size_t i = 0; i < 2000; i++) {
        size_t at = i < 64 ? i : i < 128 ? bytes.len - 1 - (i - 64) : es_rng_below(&rng, bytes.len);
        const char before = bytes.data[at];
        bytes.data[at] = (char)(before ^ (int)(1 + es_rng_below(&rng, 255)));
        write_whole(fixture->path, bytes.data, bytes.len);
        assert_refused(fixture->path, ES_ERR_STORE, "");
        bytes.data[at] = before;
    }
    /* A page that the disk lost. */
    memset(bytes.data + 4096, 0, 4096);
    write_whole(fixture->path, bytes.data, bytes.len);
    assert_refused(fixture->path, ES_ERR_STORE, "checksum");
    es_buf_clear(&bytes);
    sample_free(&sample);
}

/* Opens a store to change it as another program would, and seals it afterwards as only we do. */
static hid_t begin_change(const struct fixture *fixture)
{
    hid_t file = H5Fopen(fixture->path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void end_change(const struct fixture *fixture, hid_t file)
{
    assert_true(H5Fclose(file) >= 0);
    int fd = open(fixture->path, O_RDWR | O_CLOEXEC);
    assert_int_equal(es_seal_put(fd), 0);
    es_fd_close(&fd);
}

/* Writes one item of a variable. */
static void poke(hid_t file, const char *path, hid_t type, hsize_t at, const void *value)
{
    hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset), memory = H5Screate(H5S_SCALAR);
    hsize_t dims[3] = {0}, coordinate[3] = {0};
    int n_axes = H5Sget_simple_extent_dims(space, dims, NULL);
    for (int axis = n_axes - 1; axis >= 0; axis--) {
        coordinate[axis] = at % dims[axis];
        at /= dims[axis];
    }
    assert_true(H5Sselect_elements(space, H5S_SELECT_SET, 1, coordinate) >= 0);
    assert_true(H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, value) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
}

/* Puts a variable of another type or shape in the place of one. */
static void replace(hid_t file, const char *path, hid_t type, int n_axes, const hsize_t *dims)
{
    hid_t space = H5Screate_simple(n_axes, dims, NULL);
    assert_true(H5Ldelete(file, path, H5P_DEFAULT) >= 0);
    hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

enum change { POKE_I32, POKE_STATUS, POKE_NAME, REMOVE, RETYPE, RESHAPE, SCHEMA, NO_SCHEMA };

static void apply(hid_t file, enum change change, const char *path, int value, hsize_t at)
{
    static const hsize_t few[3] = {1, 1, 1}, huge[1] = {UINT32_MAX - 1u};
    static const hsize_t same[3] = {3, 2, 4};
    const int8_t status = (int8_t)value;
    hid_t object;
    switch (change) {
    case POKE_I32:
        poke(file, path, H5T_NATIVE_INT, at, &value);
        break;
    case POKE_STATUS:
        poke(file, path, H5T_NATIVE_INT8, at, &status);
        break;
    case POKE_NAME: {
        const char *name = value == 0 ? "STS12" : value == 1 ? "a/b" : "bad \xff";
        hid_t type = H5Tcopy(H5T_C_S1);
        assert_true(H5Tset_size(type, H5T_VARIABLE) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0);
        poke(file, path, type, at, &name);
        H5Tclose(type);
        break;
    }
    case REMOVE:
        assert_true(H5Ldelete(file, path, H5P_DEFAULT) >= 0);
        break;
    case RETYPE:
        object = H5Tcreate(H5T_OPAQUE, 5);
        replace(file, path, object, value, same);
        H5Tclose(object);
        break;
    case RESHAPE:
        replace(file, path, H5T_STD_I32LE, value, value == 1 && at ? huge : few);
        break;
    case SCHEMA:
        object = H5Aopen(file, "evalsweep_schema", H5P_DEFAULT);
        assert_true(H5Awrite(object, H5T_NATIVE_INT, &value) >= 0);
        H5Aclose(object);
        break;
    case NO_SCHEMA:
        assert_true(H5Adelete(file, "evalsweep_schema") >= 0);
        break;
    }
}

static void assert_leaves_pending(const char *path, const struct es_grid *grid)
{
    struct es_units *units = empty_table(grid), *untouched = empty_table(grid);
    assert_int_equal(es_store_read(path, units, NULL, NULL), ES_ERR_STORE);
    assert_same_table(units, untouched);
    es_units_free(units);
    es_units_free(untouched);
}

/* Stores that are whole HDF5 files and sealed, and yet not what they must be. */
static void test_wrong_contents(void **state)
{
    static const struct {
        enum change change;
        const char *path;
        int value;
        hsize_t at;
        const char *why_part;
    } rows[] = {
        {SCHEMA, NULL, 0, 0, "schema is 0"},
        {SCHEMA, NULL, 3, 0, "schema is 3"},
        {NO_SCHEMA, NULL, 0, 0, ""},
        {POKE_STATUS, "status", 4, 5, "status 4"},
        {POKE_STATUS, "status", -1, 5, "status -1"},
        {POKE_I32, "metrics/checkpoint", 3, 0, "row 0"},
        {POKE_I32, "metrics/layer", -1, 4, "row 4"},
        {POKE_I32, "metrics/task", 1 << 30, 7, "row 7"},
        {POKE_I32, "metrics/split", 9, 7, "row 7"},
        {POKE_I32, "metrics/subset", -7, 7, "row 7"},
        {POKE_I32, "metrics/metric", 3, 7, "row 7"},
        {POKE_I32, "metrics/checkpoint", 2, 0, "order"},
        {POKE_I32, "metrics/checkpoint", 0, 41, "order"},
        {POKE_I32, "layer", -3, 1, "negative"},
        {POKE_I32, "layer", 3, 1, "twice"},
        {POKE_NAME, "task", 0, 2, "twice"},
        {POKE_NAME, "task", 1, 2, "'/'"},
        {POKE_NAME, "checkpoint", 2, 0, "UTF-8"},
        {REMOVE, "checkpoint", 0, 0, ""},
        {REMOVE, "main_score", 0, 0, ""},
        {REMOVE, "markers", 0, 0, ""},
        {REMOVE, "metrics", 0, 0, ""},
        {REMOVE, "metrics/value", 0, 0, ""},
        {REMOVE, "metrics/split_name", 0, 0, ""},
        {POKE_I32, "tries/checkpoint", 3, 0, "row 0 of the tries"},
        {POKE_I32, "tries/host", 99, 2, "row 2 of the tries"},
        {POKE_I32, "tries/device", -1, 2, "row 2 of the tries"},
        {POKE_I32, "tries/reason", 99, 2, "row 2 of the tries"},
        {POKE_I32, "tries/checkpoint", 2, 0, "as the status"},
        {POKE_I32, "tries/checkpoint", 0, 14, "order"},
        {POKE_STATUS, "tries/outcome", 2, 0, "as the status"},
        {POKE_STATUS, "tries/outcome", 0, 0, "as the status"},
        {POKE_STATUS, "tries/outcome", 1, 2, "more of a unit"},
        {POKE_STATUS, "status", 0, 0, "more of a unit"},
        {POKE_STATUS, "status", 1, 1, "as the status"},
        {REMOVE, "tries", 0, 0, ""},
        {REMOVE, "tries/host_name", 0, 0, ""},
        {RETYPE, "status", 3, 0, ""},
        {RETYPE, "main_score", 3, 0, ""},
        {RETYPE, "task", 1, 0, ""},
        {RESHAPE, "worker", 3, 0, "another shape"},
        {RESHAPE, "markers/size", 2, 0, "another shape"},
        {RESHAPE, "metrics/split", 1, 0, "another shape"},
        {RESHAPE, "metrics/value", 2, 0, "another shape"},
        {RESHAPE, "metrics/checkpoint", 2, 0, "no list"},
        {RESHAPE, "tries/reason", 1, 0, "another shape"},
        {RESHAPE, "layer", 2, 0, "no list"},
        {RESHAPE, "layer", 1, 1, "in full"},
        {RESHAPE, "checkpoint", 1, 1, "in full"},
        {RESHAPE, "metrics/metric_name", 1, 0, ""},
    };
    struct fixture *fixture = *state;
    struct sample sample;
    write_sample(fixture, small, &sample);
    struct es_buf bytes = read_whole(fixture->path);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        write_whole(fixture->path, bytes.data, bytes.len);
        hid_t file = begin_change(fixture);
        apply(file, rows[i].change, rows[i].path, rows[i].value, rows[i].at);
        end_change(fixture, file);
        assert_refused(fixture->path, ES_ERR_STORE, rows[i].why_part);
        assert_leaves_pending(fixture->path, sample.grid);
    }
    es_buf_clear(&bytes);
    sample_free(&sample);
}

/* A store of an older program is as good as none: the caller reads the markers, without a word. */
static void test_older_schema(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    struct es_grid *grid = NULL;
    write_sample(fixture, small, &sample);
    hid_t file = begin_change(fixture);
    apply(file, SCHEMA, NULL, 1, 0);
    apply(file, REMOVE, "tries", 0, 0);
    end_change(fixture, file);
    struct es_units *units = empty_table(sample.grid), *untouched = empty_table(sample.grid);
    assert_int_equal(es_store_read(fixture->path, units, NULL, NULL), ES_ERR_NOENT);
    assert_int_equal(es_store_read_grid(fixture->path, &grid, NULL), ES_ERR_NOENT);
    assert_same_table(units, untouched);
    assert_hdf5_clean();
    es_units_free(units);
    es_units_free(untouched);
    sample_free(&sample);
}

static void add_attribute(hid_t file, const char *name, hid_t type, hid_t space, const void *value)
{
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0 && H5Awrite(attribute, type, value) >= 0);
    H5Aclose(attribute);
}

/* Attributes that we do not write are passed over: of another kind, name, length or number. */
static void test_other_attributes(void **state)
{
    static const double pair[] = {1, 2}, not_finite = (double)INFINITY;
    static const hsize_t two = 2;
    static char long_text[10000];
    const char *variable = "x";
    struct fixture *fixture = *state;
    struct sample sample;
    write_sample(fixture, small, &sample);
    hid_t file = begin_change(fixture), scalar = H5Screate(H5S_SCALAR);
    hid_t space = H5Screate_simple(1, &two, NULL), text = H5Tcopy(H5T_C_S1);
    memset(long_text, 'x', sizeof long_text);
    add_attribute(file, "evaluator_pair", H5T_NATIVE_DOUBLE, space, pair);
    add_attribute(file, "evaluator_a-b", H5T_NATIVE_DOUBLE, scalar, pair);
    add_attribute(file, "evaluator_", H5T_NATIVE_DOUBLE, scalar, pair);
    add_attribute(file, "evaluator", H5T_NATIVE_DOUBLE, scalar, pair);
    add_attribute(file, "evaluator_inf", H5T_NATIVE_DOUBLE, scalar, &not_finite);
    assert_true(H5Tset_size(text, sizeof long_text) >= 0);
    add_attribute(file, "evaluator_long", text, scalar, long_text);
    assert_true(H5Tset_size(text, H5T_VARIABLE) >= 0);
    add_attribute(file, "evaluator_variable", text, scalar, &variable);
    H5Tclose(text);
    H5Sclose(space);
    H5Sclose(scalar);
    end_change(fixture, file);
    struct es_units *units = empty_table(sample.grid);
    assert_int_equal(es_store_read(fixture->path, units, NULL, NULL), 0);
    assert_same_table(units, sample.units);
    es_units_free(units);
    assert_hdf5_clean();
    sample_free(&sample);
}

/* What another program writes into a store unseals it. */
static void test_changed_by_another_program(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    const int8_t status = ES_STATUS_FAILED;
    write_sample(fixture, small, &sample);
    hid_t file = begin_change(fixture);
    poke(file, "status", H5T_NATIVE_INT8, 3, &status);
    assert_true(H5Fclose(file) >= 0);
    assert_refused(fixture->path, ES_ERR_STORE, "no seal");
    sample_free(&sample);
}

static void test_out_of_memory(void **state)
{
    struct fixture *fixture = *state;
    struct sample sample;
    write_sample(fixture, small, &sample);
    int rc = ES_ERR_NOMEM;
    long n_failures = 0;
    for (; rc < 0; n_failures++) {
        struct es_units *units = empty_table(sample.grid);
        struct es_err err = {0};
        es_mem_fail_after(n_failures);
        rc = es_store_read(fixture->path, units, NULL, &err);
        es_mem_fail_after(-1);
        assert_true(rc == 0 || rc == ES_ERR_NOMEM);
        assert_hdf5_clean();
        if (rc == 0)
            assert_same_table(units, sample.units);
        es_units_free(units);
    }
    assert_true(n_failures > 30);
    sample_free(&sample);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_older_schema),
        TEST(test_grid_changed),
        TEST(test_read_grid),
        TEST(test_what_is_no_store),
        TEST(test_cut_files),
        TEST(test_flipped_bytes),
        TEST(test_wrong_contents),
        TEST(test_other_attributes),
        TEST(test_changed_by_another_program),
        TEST(test_out_of_memory),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
