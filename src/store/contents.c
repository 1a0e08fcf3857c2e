#include "store/contents.h"

#include "core/mem.h"
#include "store/evaluator.h"

#include <hdf5_hl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The last part of a path, by which netCDF knows a variable. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static hid_t create_dataset(struct es_h5 *h5, hid_t file, const char *path, hid_t type, int n_axes,
                            const hsize_t *dims, const hsize_t *chunk)
{
    hid_t list = es_h5_id(h5, H5Pcreate(H5P_DATASET_CREATE));
    es_h5_set_creation(h5, list, false);
    if (H5Tget_class(type) != H5T_STRING) /* all is written, and once; texts must have a filling */
        es_h5_ok(h5, H5Pset_fill_time(list, H5D_FILL_TIME_NEVER));
    if (chunk) {
        es_h5_ok(h5, H5Pset_chunk(list, n_axes, chunk));
        es_h5_ok(h5, H5Pset_shuffle(list));
        es_h5_ok(h5, H5Pset_deflate(list, 1));
    }
    hid_t space = es_h5_id(h5, H5Screate_simple(n_axes, dims, NULL));
    hid_t dataset = -1;
    if (h5->rc == 0)
        dataset = es_h5_id(h5, H5Dcreate2(file, path, type, space, H5P_DEFAULT, list, H5P_DEFAULT));
    es_h5_close(&space);
    es_h5_close(&list);
    return dataset;
}

static void put_description(struct es_h5 *h5, hid_t dataset,
                            const struct es_store_variable *variable)
{
    es_h5_put_text(h5, dataset, "long_name", variable->long_name);
    if (variable->units)
        es_h5_put_text(h5, dataset, "units", variable->units);
    if (variable->type == ES_STORE_F64) {
        const double missing = (double)NAN;
        es_h5_put_numbers(h5, dataset, "_FillValue", H5T_IEEE_F64LE, &missing, 1);
    }
}

/* Integers take a tenth of their space deflated, at once. Scores are noise to a compressor: 4.3
 * million rows took 0.25 s and 48 MB with integers deflated, 0.83 s and 35 MB with all, 0.24 s and
 * 153 MB with nothing. */
hid_t es_contents_create(struct es_h5 *h5, hid_t file, const struct es_store_variable *variable,
                         int n_axes, const hsize_t *dims, const hsize_t *chunk, const hid_t *scales)
{
    const bool is_packed = variable->type != ES_STORE_F64 || variable->packs;
    hid_t dataset = create_dataset(h5, file, variable->path, es_store_file_type(variable->type),
                                   n_axes, dims, is_packed ? chunk : NULL);
    for (int axis = 0; scales && axis < n_axes && h5->rc == 0; axis++)
        es_h5_ok(h5, H5DSattach_scale(dataset, scales[axis], (unsigned)axis));
    put_description(h5, dataset, variable);
    return dataset;
}

hid_t es_contents_put_names(struct es_h5 *h5, hid_t file, const struct es_store_variable *variable,
                            const struct es_buf *texts, uint32_t n)
{
    const hsize_t dims = n;
    const char **names = es_mem_calloc(n, sizeof *names);
    if (!names || texts->failed)
        es_h5_nomem(h5);
    hid_t type = es_h5_string_type(h5);
    hid_t dataset = create_dataset(h5, file, variable->path, type, 1, &dims, NULL);
    if (names && h5->rc == 0) {
        const char *text = texts->data;
        for (uint32_t i = 0; i < n; i++) {
            names[i] = text;
            text += strlen(text) + 1;
        }
        es_h5_ok(h5, H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names));
        es_h5_ok(h5, H5DSset_scale(dataset, base_name(variable->path)));
        put_description(h5, dataset, variable);
    }
    es_h5_close(&type);
    free(names);
    return dataset;
}

static hid_t put_name_axis(struct es_h5 *h5, hid_t file, const struct es_grid *grid, uint32_t n,
                           const char *(*name_of)(const struct es_grid *, uint32_t),
                           const struct es_store_variable *variable)
{
    struct es_buf texts = {0};
    for (uint32_t i = 0; i < n; i++)
        es_buf_append(&texts, name_of(grid, i), strlen(name_of(grid, i)) + 1);
    hid_t dataset = es_contents_put_names(h5, file, variable, &texts, n);
    es_buf_clear(&texts);
    return dataset;
}

static hid_t put_layer_axis(struct es_h5 *h5, hid_t file, const struct es_grid *grid)
{
    static const struct es_store_variable variable = {
        .path = "layer", .type = ES_STORE_I32, .long_name = "layer, 0 for the embeddings"};
    const hsize_t dims = es_grid_n_layers(grid);
    int32_t *layers = es_mem_calloc(dims, sizeof *layers);
    if (!layers)
        es_h5_nomem(h5);
    hid_t dataset = es_contents_create(h5, file, &variable, 1, &dims, NULL, NULL);
    if (layers && h5->rc == 0) {
        for (uint32_t i = 0; i < dims; i++)
            layers[i] = es_grid_layer(grid, i);
        es_h5_ok(h5, H5Dwrite(dataset, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, layers));
        es_h5_ok(h5, H5DSset_scale(dataset, variable.path));
    }
    free(layers);
    return dataset;
}

static void put_step(struct es_h5 *h5, hid_t file, const struct es_grid *grid, hid_t scale)
{
    static const struct es_store_variable variable = {
        .path = "step", .type = ES_STORE_F64, .long_name = "training step"};
    const hsize_t dims = es_grid_n_checkpoints(grid);
    double *steps = es_mem_calloc(dims, sizeof *steps);
    if (!steps)
        es_h5_nomem(h5);
    hid_t dataset = es_contents_create(h5, file, &variable, 1, &dims, NULL, &scale);
    if (steps && h5->rc == 0) {
        for (uint32_t i = 0; i < dims; i++)
            steps[i] = es_grid_step(grid, i);
        es_h5_ok(h5, H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, steps));
    }
    es_h5_close(&dataset);
    free(steps);
}

static void put_column_attributes(struct es_h5 *h5, hid_t dataset, enum es_store_column column)
{
    es_h5_put_text(h5, dataset, "coordinates", "step");
    if (column == ES_COLUMN_FINISHED_AT)
        es_h5_put_text(h5, dataset, "calendar", "standard");
    if (column == ES_COLUMN_STATUS) {
        static const int8_t values[] = {ES_STATUS_PENDING, ES_STATUS_DONE, ES_STATUS_FAILED,
                                        ES_STATUS_EXCLUDED};
        es_h5_put_numbers(h5, dataset, "flag_values", H5T_STD_I8LE, values, sizeof values);
        es_h5_put_text(h5, dataset, "flag_meanings", "pending done failed excluded");
    }
}

/* The units of a box: where they stand, or in buffer when they are members of a struct. */
static const void *box_values(const char *column, size_t stride, size_t size_bytes,
                              const struct es_store_box *box, char *buffer)
{
    const char *from = column + (size_t)box->first_id * stride;
    if (stride == size_bytes)
        return from;
    for (uint32_t i = 0; i < box->n_units; i++)
        memcpy(buffer + i * size_bytes, from + i * stride, size_bytes);
    return buffer;
}

static void put_column(struct es_h5 *h5, hid_t file, const struct es_units_columns *columns,
                       enum es_store_column column, const hsize_t *dims, const hid_t *scales,
                       char *buffer)
{
    const struct es_store_variable *variable = &es_store_columns[column];
    const size_t size_bytes = es_store_type_size(variable->type);
    size_t stride;
    const char *values = es_store_column_at(columns, column, &stride);
    hsize_t chunk[ES_N_AXES];
    es_store_box_shape(dims, chunk);
    hid_t dataset = es_contents_create(h5, file, variable, ES_N_AXES, dims, chunk, scales);
    put_column_attributes(h5, dataset, column);
    hid_t space = es_h5_id(h5, H5Screate_simple(ES_N_AXES, dims, NULL));
    struct es_store_box box = {0};
    while (h5->rc == 0 && es_store_box_next(dims, &box)) {
        hsize_t n = box.n_units;
        hid_t memory = es_h5_id(h5, H5Screate_simple(1, &n, NULL));
        es_h5_ok(h5, H5Sselect_hyperslab(space, H5S_SELECT_SET, box.start, NULL, box.count, NULL));
        es_h5_ok(h5, H5Dwrite(dataset, es_store_memory_type(variable->type), memory, space,
                              H5P_DEFAULT, box_values(values, stride, size_bytes, &box, buffer)));
        es_h5_close(&memory);
    }
    es_h5_close(&space);
    es_h5_close(&dataset);
}

static void put_root_attributes(struct es_h5 *h5, hid_t file, const struct es_attribute *attributes,
                                size_t n_attributes, const struct es_units *units)
{
    const int32_t schema = ES_STORE_SCHEMA;
    es_h5_put_text(h5, file, "Conventions", "CF-1.10");
    es_h5_put_text(h5, file, "title", "Evaluation results by checkpoint, layer and task");
    es_h5_put_numbers(h5, file, ES_STORE_SCHEMA_ATTRIBUTE, H5T_STD_I32LE, &schema, 1);
    for (size_t i = 0; i < n_attributes; i++)
        es_h5_put_text(h5, file, attributes[i].name, attributes[i].value);
    es_evaluator_attributes_put(h5, file, units);
}

void es_contents_make_group(struct es_h5 *h5, hid_t file, const char *name)
{
    hid_t list = es_h5_id(h5, H5Pcreate(H5P_GROUP_CREATE));
    es_h5_set_creation(h5, list, true);
    if (h5->rc == 0) {
        hid_t group = es_h5_id(h5, H5Gcreate2(file, name, H5P_DEFAULT, list, H5P_DEFAULT));
        es_h5_close(&group);
    }
    es_h5_close(&list);
}

void es_contents_write(struct es_h5 *h5, hid_t file, const struct es_attribute *attributes,
                       size_t n_attributes, struct es_units *units)
{
    static const struct es_store_variable checkpoint = {.path = "checkpoint",
                                                        .long_name = "checkpoint"};
    static const struct es_store_variable task = {.path = "task", .long_name = "task"};
    const struct es_grid *grid = es_units_grid(units);
    const struct es_units_columns columns = es_units_columns(units);
    const hsize_t dims[ES_N_AXES] = {es_grid_n_checkpoints(grid), es_grid_n_layers(grid),
                                     es_grid_n_tasks(grid)};
    hid_t scales[ES_N_AXES];
    char *buffer = es_mem_calloc(ES_STORE_BLOCK, sizeof(uint64_t));
    if (!buffer)
        es_h5_nomem(h5);
    put_root_attributes(h5, file, attributes, n_attributes, units);
    scales[ES_AXIS_CHECKPOINT] =
        put_name_axis(h5, file, grid, (uint32_t)dims[0], es_grid_checkpoint, &checkpoint);
    scales[ES_AXIS_LAYER] = put_layer_axis(h5, file, grid);
    scales[ES_AXIS_TASK] = put_name_axis(h5, file, grid, (uint32_t)dims[2], es_grid_task, &task);
    put_step(h5, file, grid, scales[ES_AXIS_CHECKPOINT]);
    es_contents_make_group(h5, file, ES_STORE_MARKERS);
    for (enum es_store_column column = 0; column < ES_N_COLUMNS && h5->rc == 0; column++)
        put_column(h5, file, &columns, column, dims, scales, buffer);
    for (int axis = 0; axis < ES_N_AXES; axis++)
        es_h5_close(&scales[axis]);
    free(buffer);
    es_contents_put_metrics(h5, file, units);
    es_contents_put_tries(h5, file, units);
}
