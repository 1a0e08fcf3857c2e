#include "store/reading.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static const char out_of_order[] = "the metrics are not in the order of units";

static void open_fields(struct es_h5 *h5, hid_t file, struct es_reading_rows *rows)
{
    const char *path = es_store_fields[ES_FIELD_VALUE].path;
    hid_t dataset = es_h5_id(h5, H5Dopen2(file, path, H5P_DEFAULT));
    rows->space = es_h5_id(h5, H5Dget_space(dataset));
    es_h5_close(&dataset);
    if (h5->rc == 0 && (H5Sget_simple_extent_ndims(rows->space) != 1 ||
                        H5Sget_simple_extent_dims(rows->space, &rows->n_rows, NULL) != 1))
        es_h5_fail(h5, ES_ERR_STORE, "%s is no list", path);
    for (enum es_store_field field = 0; field < ES_N_FIELDS; field++)
        rows->dataset[field] =
            es_reading_open(h5, file, es_store_fields[field].path, 1, &rows->n_rows);
}

void es_reading_rows_close(struct es_reading_rows *rows)
{
    for (int field = 0; field < ES_N_FIELDS; field++)
        es_h5_close(&rows->dataset[field]);
    es_h5_close(&rows->space);
    es_store_rows_clear(&rows->block);
    for (int kind = 0; kind < ES_N_NAME_KINDS; kind++) {
        es_reading_names_clear(&rows->names[kind]);
        free(rows->offset[kind]);
    }
}

/* Keeps every name in the result once, so that metrics can be set by code. */
static void keep_names(struct es_h5 *h5, struct es_reading_rows *rows, struct es_result *result)
{
    for (int kind = 0; kind < ES_N_NAME_KINDS && h5->rc == 0; kind++) {
        const struct es_reading_names *names = &rows->names[kind];
        rows->offset[kind] = es_mem_calloc(names->n, sizeof **rows->offset);
        if (!rows->offset[kind]) {
            es_h5_nomem(h5);
            return;
        }
        for (uint32_t i = 0; i < names->n; i++)
            rows->offset[kind][i] = es_result_keep(result, names->text[i], strlen(names->text[i]));
    }
    if (result->failed)
        es_h5_nomem(h5);
}

void es_reading_rows_open(struct es_h5 *h5, hid_t file, const struct es_grid *grid,
                          struct es_result *result, struct es_reading_rows *ret_rows)
{
    *ret_rows = (struct es_reading_rows){.grid = grid, .space = -1};
    for (int field = 0; field < ES_N_FIELDS; field++)
        ret_rows->dataset[field] = -1;
    for (int kind = 0; kind < ES_N_NAME_KINDS; kind++)
        es_reading_names_get(h5, file, es_store_names[kind].path, &ret_rows->names[kind]);
    keep_names(h5, ret_rows, result);
    if (es_store_rows_create(&ret_rows->block) < 0)
        es_h5_nomem(h5);
    if (h5->rc == 0)
        open_fields(h5, file, ret_rows);
}

static bool is_code(int32_t code, hsize_t n)
{
    return code >= 0 && (hsize_t)code < n;
}

/* Reads the next block of rows and checks every index in it. */
static void read_rows(struct es_h5 *h5, struct es_reading_rows *rows)
{
    const hsize_t left = rows->n_rows - rows->n_read;
    const hsize_t n = left < ES_STORE_BLOCK ? left : ES_STORE_BLOCK;
    int32_t *const *code = rows->block.code;
    hid_t memory = es_h5_id(h5, H5Screate_simple(1, &n, NULL));
    es_h5_ok(h5, H5Sselect_hyperslab(rows->space, H5S_SELECT_SET, &rows->n_read, NULL, &n, NULL));
    for (enum es_store_field field = 0; field < ES_N_FIELDS && h5->rc == 0; field++)
        es_h5_ok(h5, H5Dread(rows->dataset[field],
                             es_store_memory_type(es_store_fields[field].type), memory, rows->space,
                             H5P_DEFAULT, es_store_rows_field(&rows->block, field)));
    es_h5_close(&memory);
    for (hsize_t i = 0; i < n && h5->rc == 0; i++)
        if (!is_code(code[ES_FIELD_CHECKPOINT][i], es_grid_n_checkpoints(rows->grid)) ||
            !is_code(code[ES_FIELD_LAYER][i], es_grid_n_layers(rows->grid)) ||
            !is_code(code[ES_FIELD_TASK][i], es_grid_n_tasks(rows->grid)) ||
            !is_code(code[ES_FIELD_SPLIT][i], rows->names[ES_NAME_SPLIT].n) ||
            !is_code(code[ES_FIELD_SUBSET][i], rows->names[ES_NAME_SUBSET].n) ||
            !is_code(code[ES_FIELD_METRIC][i], rows->names[ES_NAME_METRIC].n))
            es_h5_fail(h5, ES_ERR_STORE, "row %llu of the metrics has an index beyond its axis",
                       (unsigned long long)(rows->n_read + i));
    rows->n_read += n;
    rows->n_held = n;
    rows->at = 0;
}

/* The unit of the row at the cursor; ES_GRID_NONE: no row is left, or it failed. */
static uint32_t row_unit(struct es_h5 *h5, struct es_reading_rows *rows)
{
    if (rows->at == rows->n_held && rows->n_read < rows->n_rows)
        read_rows(h5, rows);
    if (h5->rc < 0 || rows->at == rows->n_held)
        return ES_GRID_NONE;
    int32_t *const *code = rows->block.code;
    return es_grid_id(rows->grid,
                      (struct es_unit){.checkpoint = (uint32_t)code[ES_FIELD_CHECKPOINT][rows->at],
                                       .layer = (uint32_t)code[ES_FIELD_LAYER][rows->at],
                                       .task = (uint32_t)code[ES_FIELD_TASK][rows->at]});
}

/* Rows are in the order of units, so those before this one would be a second lot of a unit that is
 * through. */
void es_reading_rows_take(struct es_h5 *h5, struct es_reading_rows *rows, uint32_t unit_id,
                          struct es_result *result)
{
    uint32_t id;
    result->n_metrics = 0;
    while ((id = row_unit(h5, rows)) <= unit_id) {
        int32_t *const *code = rows->block.code;
        void *metrics = result->metrics;
        if (id < unit_id)
            es_h5_fail(h5, ES_ERR_STORE, "%s", out_of_order);
        else if (es_mem_grow(&metrics, &result->metrics_cap, result->n_metrics + 1,
                             sizeof *result->metrics) < 0)
            es_h5_nomem(h5);
        if (h5->rc < 0)
            return;
        result->metrics = metrics;
        hsize_t at = rows->at++;
        result->metrics[result->n_metrics++] =
            (struct es_metric){.value = rows->block.value[at],
                               .split = rows->offset[ES_NAME_SPLIT][code[ES_FIELD_SPLIT][at]],
                               .subset = rows->offset[ES_NAME_SUBSET][code[ES_FIELD_SUBSET][at]],
                               .metric = rows->offset[ES_NAME_METRIC][code[ES_FIELD_METRIC][at]]};
    }
}

void es_reading_rows_finish(struct es_h5 *h5, struct es_reading_rows *rows)
{
    if (h5->rc == 0 && row_unit(h5, rows) != ES_GRID_NONE)
        es_h5_fail(h5, ES_ERR_STORE, "%s", out_of_order);
}
