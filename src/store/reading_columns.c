#include "store/reading.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static int create_block(struct es_units_columns *block)
{
    block->status = es_mem_calloc(ES_STORE_BLOCK, sizeof *block->status);
    block->main_score = es_mem_calloc(ES_STORE_BLOCK, sizeof *block->main_score);
    block->evaluation_time_s = es_mem_calloc(ES_STORE_BLOCK, sizeof *block->evaluation_time_s);
    block->finished_s = es_mem_calloc(ES_STORE_BLOCK, sizeof *block->finished_s);
    block->attempts = es_mem_calloc(ES_STORE_BLOCK, sizeof *block->attempts);
    block->worker = es_mem_calloc(ES_STORE_BLOCK, sizeof *block->worker);
    block->marker = es_mem_calloc(ES_STORE_BLOCK, sizeof *block->marker);
    return block->status && block->main_score && block->evaluation_time_s && block->finished_s &&
                   block->attempts && block->worker && block->marker
               ? 0
               : ES_ERR_NOMEM;
}

void es_reading_columns_open(struct es_h5 *h5, hid_t file, const struct es_grid *grid,
                             enum es_store_column first, enum es_store_column end,
                             struct es_reading_columns *ret_columns)
{
    *ret_columns = (struct es_reading_columns){
        .dims = {es_grid_n_checkpoints(grid), es_grid_n_layers(grid), es_grid_n_tasks(grid)}};
    for (int column = 0; column < ES_N_COLUMNS; column++)
        ret_columns->dataset[column] = -1;
    for (enum es_store_column column = first; column < end; column++)
        ret_columns->dataset[column] =
            es_reading_open(h5, file, es_store_columns[column].path, ES_N_AXES, ret_columns->dims);
    ret_columns->space = es_h5_id(h5, H5Screate_simple(ES_N_AXES, ret_columns->dims, NULL));
    ret_columns->buffer = es_mem_calloc(ES_STORE_BLOCK, sizeof(uint64_t));
    if (create_block(&ret_columns->block) < 0 || !ret_columns->buffer)
        es_h5_nomem(h5);
}

void es_reading_columns_close(struct es_reading_columns *columns)
{
    struct es_units_columns *block = &columns->block;
    for (int column = 0; column < ES_N_COLUMNS; column++)
        es_h5_close(&columns->dataset[column]);
    es_h5_close(&columns->space);
    free(columns->buffer);
    free(block->status);
    free(block->main_score);
    free(block->evaluation_time_s);
    free(block->finished_s);
    free(block->attempts);
    free(block->worker);
    free(block->marker);
}

static void read_column(struct es_h5 *h5, const struct es_reading_columns *columns,
                        enum es_store_column column, const struct es_store_box *box, hid_t memory)
{
    const enum es_store_type type = es_store_columns[column].type;
    const size_t size_bytes = es_store_type_size(type);
    size_t stride;
    char *to = es_store_column_at(&columns->block, column, &stride);
    char *values = stride == size_bytes ? to : columns->buffer;
    if (!es_h5_ok(h5, H5Dread(columns->dataset[column], es_store_memory_type(type), memory,
                              columns->space, H5P_DEFAULT, values)))
        return;
    for (uint32_t i = 0; values != to && i < box->n_units; i++)
        memcpy(to + i * stride, values + i * size_bytes, size_bytes);
}

bool es_reading_columns_next(struct es_h5 *h5, const struct es_reading_columns *columns,
                             struct es_store_box *box)
{
    if (h5->rc < 0 || !es_store_box_next(columns->dims, box))
        return false;
    const hsize_t n = box->n_units;
    hid_t memory = es_h5_id(h5, H5Screate_simple(1, &n, NULL));
    es_h5_ok(h5, H5Sselect_hyperslab(columns->space, H5S_SELECT_SET, box->start, NULL, box->count,
                                     NULL));
    for (enum es_store_column column = 0; column < ES_N_COLUMNS && h5->rc == 0; column++)
        if (columns->dataset[column] >= 0)
            read_column(h5, columns, column, box, memory);
    es_h5_close(&memory);
    for (uint32_t i = 0; i < box->n_units && h5->rc == 0; i++)
        if (columns->block.status[i] < ES_STATUS_PENDING ||
            columns->block.status[i] > ES_STATUS_EXCLUDED)
            es_h5_fail(h5, ES_ERR_STORE, "status %d is none that this program knows",
                       columns->block.status[i]);
    return h5->rc == 0;
}
