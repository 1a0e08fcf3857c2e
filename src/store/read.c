#include "evalsweep/store.h"

#include "core/mem.h"
#include "store/evaluator.h"
#include "store/reading.h"
#include "store/seal.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const char doing[] = "reading the store";

/* A store that is open to read. */
struct open_store {
    struct es_h5 h5;
    int fd;
    hid_t file;
};

/* Checks the seal, then opens with HDF5. On failure nothing is open. */
static int open_store(struct open_store *store, const char *path, struct es_err *err)
{
    *store = (struct open_store){.file = -1};
    store->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (store->fd < 0)
        return es_err_sys(err, errno, doing, path);
    int rc = es_seal_check(store->fd, path, err);
    if (rc == 0) {
        es_h5_begin(&store->h5, doing, path, store->fd, err);
        store->file = es_h5_open_file(&store->h5);
        if (store->file >= 0)
            return 0;
        rc = es_h5_end(&store->h5);
    }
    es_fd_close(&store->fd);
    return rc;
}

static int close_store(struct open_store *store)
{
    es_h5_close_file(&store->h5, &store->file);
    es_fd_close(&store->fd);
    return es_h5_end(&store->h5);
}

/* Where the indices of one axis of the store lie in the table's grid. */
struct axis_maps {
    uint32_t *to[ES_N_AXES];
};

static int map_axes(const struct es_grid *stored, const struct es_grid *grid, const hsize_t *dims,
                    struct axis_maps *ret_maps)
{
    for (int axis = 0; axis < ES_N_AXES; axis++) {
        ret_maps->to[axis] = es_mem_calloc(dims[axis], sizeof **ret_maps->to);
        if (!ret_maps->to[axis])
            return ES_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < dims[ES_AXIS_CHECKPOINT]; i++)
        ret_maps->to[ES_AXIS_CHECKPOINT][i] =
            es_grid_find_checkpoint(grid, es_grid_checkpoint(stored, i));
    for (uint32_t i = 0; i < dims[ES_AXIS_LAYER]; i++)
        ret_maps->to[ES_AXIS_LAYER][i] = es_grid_find_layer(grid, es_grid_layer(stored, i));
    for (uint32_t i = 0; i < dims[ES_AXIS_TASK]; i++)
        ret_maps->to[ES_AXIS_TASK][i] = es_grid_find_task(grid, es_grid_task(stored, i));
    return 0;
}

static void free_maps(struct axis_maps *maps)
{
    for (int axis = 0; axis < ES_N_AXES; axis++)
        free(maps->to[axis]);
}

/* The table's id of a unit of the store; ES_GRID_NONE: it has no such unit, or excludes it. */
static uint32_t map_unit(const struct axis_maps *maps, const struct es_grid *grid,
                         struct es_unit unit)
{
    struct es_unit to = {.checkpoint = maps->to[ES_AXIS_CHECKPOINT][unit.checkpoint],
                         .layer = maps->to[ES_AXIS_LAYER][unit.layer],
                         .task = maps->to[ES_AXIS_TASK][unit.task]};
    if (to.checkpoint == ES_GRID_NONE || to.layer == ES_GRID_NONE || to.task == ES_GRID_NONE)
        return ES_GRID_NONE;
    uint32_t id = es_grid_id(grid, to);
    return es_grid_is_excluded(grid, id) ? ES_GRID_NONE : id;
}

/* Everything that reading into a table needs. */
struct table_reader {
    const struct es_grid *stored; /* the grid of the store */
    struct es_units *units;
    struct axis_maps maps;
    struct es_reading_columns columns;
    struct es_reading_long metrics;
    struct es_reading_long tries;
    struct es_result result;
    uint32_t n_outside;
};

static void take_unit(struct es_h5 *h5, struct table_reader *reader, uint32_t stored_id, uint32_t i)
{
    const struct es_units_columns *block = &reader->columns.block;
    struct es_result *result = &reader->result;
    const enum es_status status = (enum es_status)block->status[i];
    es_reading_metrics_take(h5, &reader->metrics, stored_id, result);
    es_reading_tries_take(h5, &reader->tries, stored_id, status, result);
    if (h5->rc < 0 || (status != ES_STATUS_DONE && status != ES_STATUS_FAILED))
        return;
    uint32_t id = map_unit(&reader->maps, es_units_grid(reader->units),
                           es_grid_unit(reader->stored, stored_id));
    if (id == ES_GRID_NONE) {
        reader->n_outside += status == ES_STATUS_DONE;
        return;
    }
    result->main_score = block->main_score[i];
    result->evaluation_time_s = block->evaluation_time_s[i];
    result->finished_s = block->finished_s[i];
    result->attempt = block->attempts[i];
    result->rank = block->worker[i];
    if (es_units_set_result(reader->units, id, status, result, &block->marker[i]) < 0)
        es_h5_nomem(h5);
}

static void read_table(struct es_h5 *h5, hid_t file, struct table_reader *reader)
{
    struct es_store_box box = {0};
    es_result_init(&reader->result);
    es_reading_columns_open(h5, file, reader->stored, 0, ES_N_COLUMNS, &reader->columns);
    es_reading_long_open(h5, file, &es_store_metrics, reader->stored, &reader->result,
                         &reader->metrics);
    es_reading_long_open(h5, file, &es_store_tries, reader->stored, &reader->result,
                         &reader->tries);
    if (map_axes(reader->stored, es_units_grid(reader->units), reader->columns.dims,
                 &reader->maps) < 0)
        es_h5_nomem(h5);
    while (es_reading_columns_next(h5, &reader->columns, &box))
        for (uint32_t i = 0; i < box.n_units && h5->rc == 0; i++)
            take_unit(h5, reader, box.first_id + i, i);
    es_reading_long_finish(h5, &reader->metrics);
    es_reading_long_finish(h5, &reader->tries);
    es_evaluator_attributes_get(h5, file, reader->units);
    es_result_clear(&reader->result);
    free_maps(&reader->maps);
    es_reading_long_close(&reader->metrics);
    es_reading_long_close(&reader->tries);
    es_reading_columns_close(&reader->columns);
}

static void reset_table(struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    for (uint32_t id = 0; id < columns.n_units; id++)
        if (columns.status[id] != ES_STATUS_EXCLUDED)
            es_units_reset(units, id);
}

int es_store_read(const char *path, struct es_units *units, uint32_t *ret_n_outside,
                  struct es_err *err)
{
    struct open_store store;
    int rc = open_store(&store, path, err);
    if (rc < 0)
        return rc;
    struct table_reader reader = {.units = units};
    struct es_grid *stored = es_reading_grid(&store.h5, store.file);
    if (stored) {
        reader.stored = stored;
        read_table(&store.h5, store.file, &reader);
    }
    es_grid_free(stored);
    rc = close_store(&store);
    if (rc < 0)
        reset_table(units);
    else if (ret_n_outside)
        *ret_n_outside = reader.n_outside;
    return rc;
}

int es_store_read_grid(const char *path, struct es_grid **ret_grid, struct es_err *err)
{
    struct open_store store;
    int rc = open_store(&store, path, err);
    if (rc < 0)
        return rc;
    struct es_grid *grid = es_reading_grid(&store.h5, store.file);
    if (grid) {
        struct es_reading_columns columns;
        struct es_store_box box = {0};
        es_reading_columns_open(&store.h5, store.file, grid, ES_COLUMN_STATUS, ES_COLUMN_STATUS + 1,
                                &columns);
        while (es_reading_columns_next(&store.h5, &columns, &box)) {
            for (uint32_t i = 0; i < box.n_units; i++) {
                struct es_unit unit = es_grid_unit(grid, box.first_id + i);
                if (columns.block.status[i] == ES_STATUS_EXCLUDED)
                    es_grid_exclude(grid, unit.checkpoint, unit.layer, unit.task);
            }
        }
        es_reading_columns_close(&columns);
    }
    rc = close_store(&store);
    if (rc < 0)
        es_grid_free(grid);
    else
        *ret_grid = grid;
    return rc;
}

char *es_store_read_attribute(const char *path, const char *name)
{
    struct open_store store;
    if (open_store(&store, path, NULL) < 0)
        return NULL;
    char *text = NULL;
    if (H5Aexists(store.file, name) > 0) {
        hid_t attribute = es_h5_id(&store.h5, H5Aopen(store.file, name, H5P_DEFAULT));
        text = es_h5_get_text(&store.h5, attribute);
        es_h5_close(&attribute);
    }
    if (close_store(&store) < 0) {
        free(text);
        text = NULL;
    }
    return text;
}

int es_store_check_merge(const char *path, struct es_err *err)
{
    struct es_err fault = {0};
    struct open_store store;
    int rc = open_store(&store, path, &fault);
    if (rc == ES_ERR_NOENT)
        return 0;
    bool is_merge = false;
    if (rc == 0) {
        is_merge = H5Aexists(store.file, ES_STORE_KIND_ATTRIBUTE) > 0;
        rc = close_store(&store);
    }
    return rc == 0 && is_merge
               ? 0
               : es_err_set(err, ES_ERR_USAGE, "merging runs", path,
                            "what is there is no earlier merge, and is not replaced");
}
