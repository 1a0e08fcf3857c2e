#include "store/contents.h"

#include "core/mem.h"
#include "store/evaluator.h"
#include "store/longtable.h"
#include "store/runs.h"

#include <hdf5_hl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A store that is being written. */
struct es_contents {
    struct es_h5 *h5;
    hid_t file;
    uint32_t n_runs;             /* 0: one, and no dimension for it */
    hsize_t dims[1 + ES_N_AXES]; /* n_runs first */
    struct es_long_stream metrics, tries;
};

/* The last part of a path, by which netCDF knows a variable. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* How the values of a dataset are there. */
enum storage {
    STORAGE_PLAIN,
    STORAGE_PACKED,
    STORAGE_NONE, /* a dimension has none; who reads it gets zeros */
};

static hid_t create_dataset(struct es_h5 *h5, hid_t file, const char *path, hid_t type,
                            const struct es_store_shape *shape, enum storage storage)
{
    const bool is_packed = storage == STORAGE_PACKED;
    hid_t list = es_h5_id(h5, H5Pcreate(H5P_DATASET_CREATE));
    es_h5_set_creation(h5, list, false);
    /* All else is written, and once; texts must have a filling. */
    if (H5Tget_class(type) != H5T_STRING && storage != STORAGE_NONE)
        es_h5_ok(h5, H5Pset_fill_time(list, H5D_FILL_TIME_NEVER));
    if (shape->chunk && (is_packed || shape->grows))
        es_h5_ok(h5, H5Pset_chunk(list, shape->n_axes, shape->chunk));
    if (shape->chunk && is_packed) {
        es_h5_ok(h5, H5Pset_shuffle(list));
        es_h5_ok(h5, H5Pset_deflate(list, 1));
    }
    const hsize_t unlimited = H5S_UNLIMITED;
    hid_t space = es_h5_id(
        h5, H5Screate_simple(shape->n_axes, shape->dims, shape->grows ? &unlimited : NULL));
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
    if (variable->long_name)
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
                         const struct es_store_shape *shape)
{
    const bool is_packed = variable->type != ES_STORE_F64 || variable->packs;
    hid_t dataset = create_dataset(h5, file, variable->path, es_store_file_type(variable->type),
                                   shape, is_packed ? STORAGE_PACKED : STORAGE_PLAIN);
    for (int axis = 0; shape->scales && axis < shape->n_axes && h5->rc == 0; axis++)
        es_h5_ok(h5, H5DSattach_scale(dataset, shape->scales[axis], (unsigned)axis));
    put_description(h5, dataset, variable);
    return dataset;
}

/* The dimension's size stands in the label, where netCDF-4 puts it too. */
hid_t es_contents_put_dimension(struct es_h5 *h5, hid_t file, const char *path,
                                const struct es_store_shape *shape)
{
    char label[80];
    (void)snprintf(label, sizeof label,
                   "This is a netCDF dimension but not a netCDF variable. %9llu",
                   (unsigned long long)shape->dims[0]);
    hid_t scale = create_dataset(h5, file, path, H5T_IEEE_F32BE, shape, STORAGE_NONE);
    if (h5->rc == 0)
        es_h5_ok(h5, H5DSset_scale(scale, label));
    return scale;
}

hid_t es_contents_put_texts(struct es_h5 *h5, hid_t file, const struct es_store_variable *variable,
                            const struct es_buf *texts, uint32_t n, hid_t scale)
{
    const hsize_t dims = n;
    const struct es_store_shape shape = {.n_axes = 1, .dims = &dims};
    const char **names = es_mem_calloc(n, sizeof *names);
    if (!names || texts->failed)
        es_h5_nomem(h5);
    hid_t type = es_h5_string_type(h5);
    hid_t dataset = create_dataset(h5, file, variable->path, type, &shape, STORAGE_PLAIN);
    if (names && h5->rc == 0) {
        const char *text = texts->data;
        for (uint32_t i = 0; i < n; i++) {
            names[i] = text;
            text += strlen(text) + 1;
        }
        es_h5_ok(h5, H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names));
        if (scale < 0)
            es_h5_ok(h5, H5DSset_scale(dataset, base_name(variable->path)));
        else
            es_h5_ok(h5, H5DSattach_scale(dataset, scale, 0));
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
    hid_t dataset = es_contents_put_texts(h5, file, variable, &texts, n, -1);
    es_buf_clear(&texts);
    return dataset;
}

static hid_t put_layer_axis(struct es_h5 *h5, hid_t file, const struct es_grid *grid)
{
    static const struct es_store_variable variable = {
        .path = "layer", .type = ES_STORE_I32, .long_name = "layer, 0 for the embeddings"};
    const hsize_t dims = es_grid_n_layers(grid);
    const struct es_store_shape shape = {.n_axes = 1, .dims = &dims};
    int32_t *layers = es_mem_calloc(dims, sizeof *layers);
    if (!layers)
        es_h5_nomem(h5);
    hid_t dataset = es_contents_create(h5, file, &variable, &shape);
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
    const struct es_store_shape shape = {.n_axes = 1, .dims = &dims, .scales = &scale};
    double *steps = es_mem_calloc(dims, sizeof *steps);
    if (!steps)
        es_h5_nomem(h5);
    hid_t dataset = es_contents_create(h5, file, &variable, &shape);
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

/* How many of the columns a store has: which marker a unit's values came from matters to its run
 * only. */
static enum es_store_column n_columns(const struct es_contents *contents)
{
    return contents->n_runs ? ES_COLUMN_MARKER_INODE : ES_N_COLUMNS;
}

/* The variables over the axes, over `run` before them where there is one, without values yet. */
static void create_columns(struct es_contents *contents, const hid_t scales[1 + ES_N_AXES])
{
    const int skip = contents->n_runs ? 0 : 1;
    hsize_t chunk[1 + ES_N_AXES] = {1};
    es_store_box_shape(contents->dims + 1, chunk + 1);
    const struct es_store_shape shape = {.n_axes = 1 + ES_N_AXES - skip,
                                         .dims = contents->dims + skip,
                                         .chunk = chunk + skip,
                                         .scales = scales + skip};
    if (!contents->n_runs)
        es_contents_make_group(contents->h5, contents->file, ES_STORE_MARKERS);
    for (enum es_store_column column = 0; column < n_columns(contents); column++) {
        hid_t dataset =
            es_contents_create(contents->h5, contents->file, &es_store_columns[column], &shape);
        put_column_attributes(contents->h5, dataset, column);
        es_h5_close(&dataset);
    }
}

/* Fills a variable, for one run. */
static void put_column(const struct es_contents *contents, uint32_t run,
                       const struct es_units_columns *columns, enum es_store_column column,
                       char *buffer)
{
    struct es_h5 *h5 = contents->h5;
    const struct es_store_variable *variable = &es_store_columns[column];
    const size_t size_bytes = es_store_type_size(variable->type);
    const int skip = contents->n_runs ? 0 : 1;
    size_t stride;
    const char *values = es_store_column_at(columns, column, &stride);
    hid_t dataset = es_h5_id(h5, H5Dopen2(contents->file, variable->path, H5P_DEFAULT));
    hid_t space = es_h5_id(h5, H5Screate_simple(1 + ES_N_AXES - skip, contents->dims + skip, NULL));
    struct es_store_box box = {0};
    while (h5->rc == 0 && es_store_box_next(contents->dims + 1, &box)) {
        const hsize_t n = box.n_units;
        const hsize_t start[] = {run, box.start[0], box.start[1], box.start[2]};
        const hsize_t count[] = {1, box.count[0], box.count[1], box.count[2]};
        hid_t memory = es_h5_id(h5, H5Screate_simple(1, &n, NULL));
        es_h5_ok(
            h5, H5Sselect_hyperslab(space, H5S_SELECT_SET, start + skip, NULL, count + skip, NULL));
        es_h5_ok(h5, H5Dwrite(dataset, es_store_memory_type(variable->type), memory, space,
                              H5P_DEFAULT, box_values(values, stride, size_bytes, &box, buffer)));
        es_h5_close(&memory);
    }
    es_h5_close(&space);
    es_h5_close(&dataset);
}

static void put_root_attributes(struct es_h5 *h5, hid_t file, const char *title,
                                const struct es_attribute *attributes, size_t n_attributes)
{
    const int32_t schema = ES_STORE_SCHEMA;
    es_h5_put_text(h5, file, "Conventions", "CF-1.10");
    es_h5_put_text(h5, file, "title", title);
    es_h5_put_numbers(h5, file, ES_STORE_SCHEMA_ATTRIBUTE, H5T_STD_I32LE, &schema, 1);
    for (size_t i = 0; i < n_attributes; i++)
        es_h5_put_text(h5, file, attributes[i].name, attributes[i].value);
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

/* The axes, and the variables over them without values. run_scale is -1 where there are no runs. */
static void create_axes(struct es_contents *contents, const struct es_grid *grid, hid_t run_scale)
{
    static const struct es_store_variable checkpoint = {.path = "checkpoint",
                                                        .long_name = "checkpoint"};
    static const struct es_store_variable task = {.path = "task", .long_name = "task"};
    struct es_h5 *h5 = contents->h5;
    hid_t file = contents->file, scales[1 + ES_N_AXES] = {run_scale};
    const hsize_t dims[] = {contents->n_runs, es_grid_n_checkpoints(grid), es_grid_n_layers(grid),
                            es_grid_n_tasks(grid)};
    memcpy(contents->dims, dims, sizeof dims);
    scales[1] = put_name_axis(h5, file, grid, (uint32_t)dims[1], es_grid_checkpoint, &checkpoint);
    scales[2] = put_layer_axis(h5, file, grid);
    scales[3] = put_name_axis(h5, file, grid, (uint32_t)dims[3], es_grid_task, &task);
    put_step(h5, file, grid, scales[1]);
    create_columns(contents, scales);
    for (int axis = 1; axis <= ES_N_AXES; axis++)
        es_h5_close(&scales[axis]);
}

/* The values of one run: variables and rows. */
static void put_run(struct es_contents *contents, uint32_t run, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    char *buffer = es_mem_calloc(ES_STORE_BLOCK, sizeof(uint64_t));
    if (!buffer)
        es_h5_nomem(contents->h5);
    for (enum es_store_column column = 0; column < n_columns(contents) && contents->h5->rc == 0;
         column++)
        put_column(contents, run, &columns, column, buffer);
    free(buffer);
    es_contents_put_metrics(&contents->metrics, run, units);
    es_contents_put_tries(&contents->tries, run, units);
}

void es_contents_write(struct es_h5 *h5, hid_t file, const struct es_attribute *attributes,
                       size_t n_attributes, struct es_units *units)
{
    struct es_contents contents = {.h5 = h5, .file = file};
    put_root_attributes(h5, file, "Evaluation results by checkpoint, layer and task", attributes,
                        n_attributes);
    es_evaluator_attributes_put(h5, file, units);
    create_axes(&contents, es_units_grid(units), -1);
    es_long_open(&contents.metrics, h5, file, &es_store_metrics, es_contents_n_metrics(units));
    es_long_open(&contents.tries, h5, file, &es_store_tries, es_contents_n_tries(units));
    put_run(&contents, 0, units);
    es_long_close(&contents.metrics);
    es_long_close(&contents.tries);
}

static hid_t put_run_axis(struct es_h5 *h5, hid_t file, const struct es_store_merge *merge)
{
    static const struct es_store_variable run = {.path = ES_STORE_RUN, .long_name = "run"};
    struct es_buf texts = {0};
    for (uint32_t i = 0; i < merge->n_runs; i++) {
        es_buf_puts_utf8(&texts, merge->runs[i]);
        es_buf_putc(&texts, '\0');
    }
    hid_t scale = es_contents_put_texts(h5, file, &run, &texts, merge->n_runs, -1);
    es_buf_clear(&texts);
    return scale;
}

void es_contents_merge(struct es_h5 *h5, hid_t file, const struct es_store_merge *merge)
{
    struct es_contents contents = {.h5 = h5, .file = file, .n_runs = merge->n_runs};
    struct es_runs_attributes attributes = {.n_runs = merge->n_runs};
    put_root_attributes(h5, file, "Evaluation results by run, checkpoint, layer and task",
                        merge->attributes, merge->n_attributes);
    es_h5_put_text(h5, file, ES_STORE_KIND_ATTRIBUTE, ES_STORE_KIND_MERGE);
    hid_t run_scale = put_run_axis(h5, file, merge);
    create_axes(&contents, merge->grid, run_scale);
    es_long_open_runs(&contents.metrics, h5, file, &es_store_metrics);
    es_long_open_runs(&contents.tries, h5, file, &es_store_tries);
    for (uint32_t i = 0; i < merge->n_runs && h5->rc == 0; i++) {
        struct es_store_run run = {0};
        h5->rc = merge->load(merge->context, i, &run, h5->err);
        if (h5->rc == 0) {
            put_run(&contents, i, run.units);
            es_runs_attributes_add(h5, &attributes, i, &run);
        }
    }
    es_long_close(&contents.metrics);
    es_long_close(&contents.tries);
    es_runs_attributes_put(h5, file, &attributes, run_scale);
    es_runs_attributes_clear(&attributes);
    es_h5_close(&run_scale);
}
