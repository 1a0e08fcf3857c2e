/* The reader of results.h5.
 *
 * Input 'u': the rest is the file as it is, which must be refused: no fuzzer finds a whole store
 * and its seal.
 *
 * Input 's': a store of ours whose contents are changed, by HDF5, as a program might that seals its
 * file as we do: then come, for each change, a byte that picks the variable, two bytes with a
 * length, and so many bytes for its values. The file is sealed again and read.
 *
 * Out of reach is a file with HDF5's own structures damaged behind a right seal: HDF5 1.10.8
 * crashes and hangs on such (src/store/seal.h), and a checksum that is right by accident is no
 * case.
 */
#include "fuzz.h"

#include "evalsweep/store.h"
#include "helper/sample.h"
#include "store/schema.h"
#include "store/seal.h"
#include "sys/fd.h"

enum {
    N_VARIABLES = ES_N_COLUMNS + ES_METRIC_N_FIELDS + ES_TRY_N_FIELDS + 1,
    N_NAMES = 2 * ES_LONG_N_NAMES + 2
};
#define MAX_VALUES 4096

static struct sample sample;
static struct es_buf original; /* the store, with its seal */
static char path[FUZZ_PATH_SIZE];

static void make_original(void)
{
    static const struct sample_size size = {3, 2, 4, 5};
    FUZZ_ASSERT(sample_create(size, &sample) == 0);
    fuzz_write("results.h5", "", 0, path);
    FUZZ_ASSERT(es_store_write_file(path, NULL, 0, sample.units, NULL) == 0);
    FUZZ_ASSERT(es_file_read_at(AT_FDCWD, path, 1 << 24, &original, NULL) == 0);
    FUZZ_ASSERT(H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0);
}

/* The numeric variables: their path and type. */
static const char *variable(unsigned which, hid_t *ret_type)
{
    if (which < ES_N_COLUMNS) {
        *ret_type = es_store_memory_type(es_store_columns[which].type);
        return es_store_columns[which].path;
    }
    which -= ES_N_COLUMNS;
    if (which < ES_METRIC_N_FIELDS + ES_TRY_N_FIELDS) {
        bool is_metric = which < ES_METRIC_N_FIELDS;
        const struct es_store_variable *field =
            is_metric ? &es_store_metrics.fields[which]
                      : &es_store_tries.fields[which - ES_METRIC_N_FIELDS];
        *ret_type = es_store_memory_type(field->type);
        return field->path;
    }
    *ret_type = H5T_NATIVE_INT32;
    return es_store_axis_name[ES_AXIS_LAYER];
}

static const char *names_variable(unsigned which)
{
    if (which < ES_LONG_N_NAMES)
        return es_store_metrics.names[which].path;
    which -= ES_LONG_N_NAMES;
    if (which < ES_LONG_N_NAMES)
        return es_store_tries.names[which].path;
    return es_store_axis_name[which == ES_LONG_N_NAMES ? ES_AXIS_CHECKPOINT : ES_AXIS_TASK];
}

static hssize_t n_values(hid_t dataset)
{
    hid_t space = H5Dget_space(dataset);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    FUZZ_ASSERT(n >= 0 && n <= MAX_VALUES);
    return n;
}

/* Overwrites the values at the front of a numeric variable. */
static void put_numbers(hid_t file, unsigned which, const uint8_t *bytes, size_t n)
{
    static uint64_t values[MAX_VALUES];
    hid_t type;
    const char *name = variable(which, &type);
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    size_t size = (size_t)n_values(dataset) * H5Tget_size(type);
    FUZZ_ASSERT(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    memcpy(values, bytes, n < size ? n : size);
    FUZZ_ASSERT(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
}

/* Replaces the first name of an axis or of a table of names. */
static void put_name(hid_t file, unsigned which, const uint8_t *bytes, size_t n)
{
    char *name = malloc(n + 1);
    FUZZ_ASSERT(name);
    memcpy(name, bytes, n);
    name[n] = '\0';
    hid_t dataset = H5Dopen2(file, names_variable(which), H5P_DEFAULT);
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset),
          memory = H5Screate(H5S_SCALAR);
    static const hsize_t first[1] = {0};
    FUZZ_ASSERT(H5Sselect_elements(space, H5S_SELECT_SET, 1, first) >= 0);
    FUZZ_ASSERT(H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, &name) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
    free(name);
}

static void change_contents(const uint8_t *data, size_t size)
{
    fuzz_write("results.h5", original.data, original.len - 24, NULL);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    FUZZ_ASSERT(file >= 0);
    while (size >= 3) {
        unsigned which = data[0] % (N_VARIABLES + N_NAMES);
        size_t n = (size_t)data[1] | (size_t)data[2] << 8;
        data += 3;
        size -= 3;
        if (n > size)
            n = size;
        if (which < N_VARIABLES)
            put_numbers(file, which, data, n);
        else
            put_name(file, which - N_VARIABLES, data, n);
        data += n;
        size -= n;
    }
    FUZZ_ASSERT(H5Fclose(file) >= 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    FUZZ_ASSERT(fd >= 0 && es_seal_put(fd) == 0);
    es_fd_close(&fd);
}

/* Reads it as every command does. On failure nothing of it may stay in the table. */
static int read_store(void)
{
    struct es_units *units = NULL;
    struct es_grid *grid = NULL;
    struct es_err err = {0};
    uint32_t n_outside = 0;
    FUZZ_ASSERT(es_units_create(sample.grid, &units, NULL) == 0);
    int rc = es_store_read(path, units, &n_outside, &err);
    FUZZ_ASSERT(rc == 0 || (rc == ES_ERR_STORE && err.why[0]));
    struct es_counts counts = es_units_count(units);
    FUZZ_ASSERT(rc == 0 || (counts.done == 0 && counts.failed == 0));
    es_units_free(units);
    if (es_store_read_grid(path, &grid, NULL) == 0)
        es_grid_free(grid);
    free(es_store_read_attribute(path, "title"));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!original.len)
        make_original();
    if (size && data[0] == 'u') {
        fuzz_write("results.h5", data + 1, size - 1, NULL);
        FUZZ_ASSERT(read_store() < 0);
    } else if (size && data[0] == 's') {
        change_contents(data + 1, size - 1);
        int rc = read_store();
        FUZZ_ASSERT(rc == 0 || size > 1); /* unchanged, it is read */
    } else {
        return 0;
    }
    return 0;
}
