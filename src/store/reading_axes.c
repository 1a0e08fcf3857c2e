#include "store/reading.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static void check_schema(struct es_h5 *h5, hid_t file)
{
    int32_t schema = 0;
    if (H5Aexists(file, ES_STORE_KIND_ATTRIBUTE) > 0)
        es_h5_fail(h5, ES_ERR_STORE,
                   "it has several runs (consolidate --into), and is no run's store");
    hid_t attribute = es_h5_id(h5, H5Aopen(file, ES_STORE_SCHEMA_ATTRIBUTE, H5P_DEFAULT));
    hid_t space = es_h5_id(h5, H5Aget_space(attribute));
    if (h5->rc == 0 && H5Sget_simple_extent_npoints(space) != 1)
        es_h5_fail(h5, ES_ERR_STORE, "its schema number is a list");
    if (h5->rc == 0)
        es_h5_ok(h5, H5Aread(attribute, H5T_NATIVE_INT32, &schema));
    if (h5->rc == 0 && schema != ES_STORE_SCHEMA) /* an older one is as good as none */
        es_h5_fail(h5, schema > 0 && schema < ES_STORE_SCHEMA ? ES_ERR_NOENT : ES_ERR_STORE,
                   "its schema is %d; this program knows %d", schema, ES_STORE_SCHEMA);
    es_h5_close(&space);
    es_h5_close(&attribute);
}

hid_t es_reading_open(struct es_h5 *h5, hid_t file, const char *path, int n_axes,
                      const hsize_t *dims)
{
    if (h5->rc < 0)
        return -1;
    hsize_t found[H5S_MAX_RANK] = {0};
    hid_t dataset = es_h5_id(h5, H5Dopen2(file, path, H5P_DEFAULT));
    hid_t space = es_h5_id(h5, H5Dget_space(dataset));
    if (h5->rc == 0 && (H5Sget_simple_extent_ndims(space) != n_axes ||
                        H5Sget_simple_extent_dims(space, found, NULL) != n_axes ||
                        memcmp(found, dims, (size_t)n_axes * sizeof *dims) != 0))
        es_h5_fail(h5, ES_ERR_STORE, "%s has another shape than the axes", path);
    es_h5_close(&space);
    return dataset;
}

/* The length of a variable along one axis that is there in full, so that its file pays for what is
 * allocated. */
static hsize_t length_of(struct es_h5 *h5, hid_t dataset, const char *path)
{
    hsize_t n = 0;
    hid_t space = es_h5_id(h5, H5Dget_space(dataset));
    if (h5->rc == 0 &&
        (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_dims(space, &n, NULL) != 1))
        es_h5_fail(h5, ES_ERR_STORE, "%s is no list", path);
    if (h5->rc == 0 && (n >= UINT32_MAX || H5Dget_storage_size(dataset) / sizeof(int32_t) < n))
        es_h5_fail(h5, ES_ERR_STORE, "%s is not there in full", path);
    es_h5_close(&space);
    return h5->rc == 0 ? n : 0;
}

void es_reading_names_clear(struct es_reading_names *names)
{
    for (uint32_t i = 0; i < names->n; i++)
        if (names->text[i])
            (void)H5free_memory(names->text[i]);
    free(names->text);
    *names = (struct es_reading_names){0};
}

void es_reading_names_get(struct es_h5 *h5, hid_t file, const char *path,
                          struct es_reading_names *ret_names)
{
    if (h5->rc < 0)
        return;
    hid_t dataset = es_h5_id(h5, H5Dopen2(file, path, H5P_DEFAULT));
    struct es_reading_names names = {.n = (uint32_t)length_of(h5, dataset, path)};
    names.text = es_mem_calloc(names.n, sizeof *names.text);
    if (!names.text) {
        names.n = 0;
        es_h5_nomem(h5);
    }
    hid_t type = es_h5_string_type(h5);
    if (h5->rc == 0)
        es_h5_ok(h5, H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names.text));
    for (uint32_t i = 0; i < names.n && h5->rc == 0; i++)
        if (!names.text[i])
            es_h5_fail(h5, ES_ERR_STORE, "%s[%u] is no text", path, i);
    es_h5_close(&type);
    es_h5_close(&dataset);
    *ret_names = names;
}

static int32_t *read_layers(struct es_h5 *h5, hid_t file, uint32_t *ret_n)
{
    if (h5->rc < 0)
        return NULL;
    const char *path = es_store_axis_name[ES_AXIS_LAYER];
    hid_t dataset = es_h5_id(h5, H5Dopen2(file, path, H5P_DEFAULT));
    hsize_t n = length_of(h5, dataset, path);
    int32_t *layers = es_mem_calloc(n, sizeof *layers);
    if (!layers)
        es_h5_nomem(h5);
    if (h5->rc == 0)
        es_h5_ok(h5, H5Dread(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, layers));
    es_h5_close(&dataset);
    *ret_n = (uint32_t)n;
    return layers;
}

struct es_grid *es_reading_grid(struct es_h5 *h5, hid_t file)
{
    struct es_reading_names checkpoints = {0}, tasks = {0};
    struct es_grid *grid = NULL;
    struct es_err fault;
    uint32_t n_layers = 0;
    check_schema(h5, file);
    es_reading_names_get(h5, file, es_store_axis_name[ES_AXIS_CHECKPOINT], &checkpoints);
    int32_t *layers = read_layers(h5, file, &n_layers);
    es_reading_names_get(h5, file, es_store_axis_name[ES_AXIS_TASK], &tasks);
    if (h5->rc == 0) {
        int rc = es_grid_create((const char *const *)checkpoints.text, checkpoints.n, layers,
                                n_layers, (const char *const *)tasks.text, tasks.n, &grid, &fault);
        if (rc < 0)
            es_h5_fail(h5, rc == ES_ERR_NOMEM ? rc : ES_ERR_STORE, "%s: %s", fault.subject,
                       fault.why);
    }
    free(layers);
    es_reading_names_clear(&checkpoints);
    es_reading_names_clear(&tasks);
    return grid;
}
