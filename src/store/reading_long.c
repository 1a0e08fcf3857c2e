#include "store/reading.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static void open_fields(struct es_h5 *h5, hid_t file, struct es_reading_long *rows)
{
    const struct es_store_variable *fields = rows->table->fields;
    hid_t dataset = es_h5_id(h5, H5Dopen2(file, fields[0].path, H5P_DEFAULT));
    rows->space = es_h5_id(h5, H5Dget_space(dataset));
    es_h5_close(&dataset);
    if (h5->rc == 0 && (H5Sget_simple_extent_ndims(rows->space) != 1 ||
                        H5Sget_simple_extent_dims(rows->space, &rows->n_rows, NULL) != 1))
        es_h5_fail(h5, ES_ERR_STORE, "%s is no list", fields[0].path);
    for (int field = 0; field < rows->table->n_fields; field++)
        rows->dataset[field] = es_reading_open(h5, file, fields[field].path, 1, &rows->n_rows);
}

void es_reading_long_close(struct es_reading_long *rows)
{
    for (int field = 0; field < ES_LONG_MAX_FIELDS; field++)
        es_h5_close(&rows->dataset[field]);
    es_h5_close(&rows->space);
    es_store_block_clear(&rows->block);
    for (int i = 0; i < ES_LONG_N_NAMES; i++) {
        es_reading_names_clear(&rows->names[i]);
        free(rows->offset[i]);
    }
}

/* Keeps every name in the result once, so that they can be set by code. */
static void keep_names(struct es_h5 *h5, struct es_reading_long *rows, struct es_result *result)
{
    for (int i = 0; i < ES_LONG_N_NAMES && h5->rc == 0; i++) {
        const struct es_reading_names *names = &rows->names[i];
        rows->offset[i] = es_mem_calloc(names->n, sizeof *rows->offset[i]);
        if (!rows->offset[i]) {
            es_h5_nomem(h5);
            return;
        }
        for (uint32_t k = 0; k < names->n; k++)
            rows->offset[i][k] = es_result_keep(result, names->text[k], strlen(names->text[k]));
    }
    if (result->failed)
        es_h5_nomem(h5);
}

void es_reading_long_open(struct es_h5 *h5, hid_t file, const struct es_store_long *table,
                          const struct es_grid *grid, struct es_result *result,
                          struct es_reading_long *ret_rows)
{
    *ret_rows = (struct es_reading_long){.table = table, .grid = grid, .space = -1};
    for (int field = 0; field < ES_LONG_MAX_FIELDS; field++)
        ret_rows->dataset[field] = -1;
    for (int i = 0; i < ES_LONG_N_NAMES; i++)
        es_reading_names_get(h5, file, table->names[i].path, &ret_rows->names[i]);
    keep_names(h5, ret_rows, result);
    if (es_store_block_create(table, &ret_rows->block) < 0)
        es_h5_nomem(h5);
    if (h5->rc == 0)
        open_fields(h5, file, ret_rows);
}

/* Checks that the values of a field in the block are indices along an axis of n. */
static void check_codes(struct es_h5 *h5, const struct es_reading_long *rows, int field, hsize_t n)
{
    const int32_t *code = rows->block.field[field];
    for (hsize_t i = 0; i < rows->n_held && h5->rc == 0; i++)
        if (code[i] < 0 || (hsize_t)code[i] >= n)
            es_h5_fail(h5, ES_ERR_STORE, "row %llu of the %s has an index beyond its axis",
                       (unsigned long long)(rows->n_read - rows->n_held + i), rows->table->group);
}

/* Reads the next block of rows and checks every index in it. */
static void read_rows(struct es_h5 *h5, struct es_reading_long *rows)
{
    const struct es_store_variable *fields = rows->table->fields;
    const hsize_t n_axis[] = {es_grid_n_checkpoints(rows->grid), es_grid_n_layers(rows->grid),
                              es_grid_n_tasks(rows->grid)};
    const hsize_t left = rows->n_rows - rows->n_read;
    const hsize_t n = left < ES_STORE_BLOCK ? left : ES_STORE_BLOCK;
    hid_t memory = es_h5_id(h5, H5Screate_simple(1, &n, NULL));
    es_h5_ok(h5, H5Sselect_hyperslab(rows->space, H5S_SELECT_SET, &rows->n_read, NULL, &n, NULL));
    for (int field = 0; field < rows->table->n_fields && h5->rc == 0; field++)
        es_h5_ok(h5, H5Dread(rows->dataset[field], es_store_memory_type(fields[field].type), memory,
                             rows->space, H5P_DEFAULT, rows->block.field[field]));
    es_h5_close(&memory);
    rows->n_read += n;
    rows->n_held = n;
    rows->at = 0;
    for (int axis = 0; axis < ES_N_AXES; axis++)
        check_codes(h5, rows, axis, n_axis[axis]);
    for (int i = 0; i < ES_LONG_N_NAMES; i++)
        check_codes(h5, rows, rows->table->code_field[i], rows->names[i].n);
}

/* The unit of the row at the cursor; ES_GRID_NONE: no row is left, or it failed. */
static uint32_t row_unit(struct es_h5 *h5, struct es_reading_long *rows)
{
    if (rows->at == rows->n_held && rows->n_read < rows->n_rows)
        read_rows(h5, rows);
    if (h5->rc < 0 || rows->at == rows->n_held)
        return ES_GRID_NONE;
    void *const *field = rows->block.field;
    return es_grid_id(
        rows->grid,
        (struct es_unit){.checkpoint = (uint32_t)((int32_t *)field[ES_AXIS_CHECKPOINT])[rows->at],
                         .layer = (uint32_t)((int32_t *)field[ES_AXIS_LAYER])[rows->at],
                         .task = (uint32_t)((int32_t *)field[ES_AXIS_TASK])[rows->at]});
}

static void fail_order(struct es_h5 *h5, const struct es_reading_long *rows)
{
    es_h5_fail(h5, ES_ERR_STORE, "the %s are not in the order of units", rows->table->group);
}

/* Rows are in the order of units, so those before this one would be a second lot of a unit that is
 * through. */
bool es_reading_long_next(struct es_h5 *h5, struct es_reading_long *rows, uint32_t unit_id,
                          hsize_t *ret_at)
{
    uint32_t id = row_unit(h5, rows);
    if (id > unit_id)
        return false;
    if (id < unit_id) {
        fail_order(h5, rows);
        return false;
    }
    *ret_at = rows->at++;
    return true;
}

void es_reading_long_finish(struct es_h5 *h5, struct es_reading_long *rows)
{
    if (h5->rc == 0 && row_unit(h5, rows) != ES_GRID_NONE)
        fail_order(h5, rows);
}

uint32_t es_reading_long_name(const struct es_reading_long *rows, int nth, hsize_t at)
{
    const int32_t *code = rows->block.field[rows->table->code_field[nth]];
    return rows->offset[nth][code[at]];
}
