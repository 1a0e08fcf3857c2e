/* The HDF5 side of reading a store: axes, variables over them, and the long tables, of which a
 * block at a time is in memory. Everything found is checked; failures are h5's.
 */
#ifndef ES_STORE_READING_H
#define ES_STORE_READING_H

#include "store/h5.h"
#include "store/schema.h"

/* Checks the schema's number and makes a grid of the axes, without exclusions. NULL on failure. */
struct es_grid *es_reading_grid(struct es_h5 *h5, hid_t file);

/* A list of texts, allocated by HDF5. */
struct es_reading_names {
    char **text;
    uint32_t n;
};
void es_reading_names_get(struct es_h5 *h5, hid_t file, const char *path,
                          struct es_reading_names *ret_names);
void es_reading_names_clear(struct es_reading_names *names);

/* Opens a variable whose axes must have these lengths; to close. */
hid_t es_reading_open(struct es_h5 *h5, hid_t file, const char *path, int n_axes,
                      const hsize_t *dims);

/* The variables over the axes, and one block of them in memory, as a small table of units. */
struct es_reading_columns {
    hsize_t dims[ES_N_AXES];
    hid_t dataset[ES_N_COLUMNS];
    hid_t space;
    struct es_units_columns block;
    char *buffer; /* for what is scattered into structs */
};

/* Opens the columns from `first` to before `end`, `status` among them. */
void es_reading_columns_open(struct es_h5 *h5, hid_t file, const struct es_grid *grid,
                             enum es_store_column first, enum es_store_column end,
                             struct es_reading_columns *ret_columns);
void es_reading_columns_close(struct es_reading_columns *columns);

/* Reads the next block of the open columns. False: that was the last, or it failed. */
bool es_reading_columns_next(struct es_h5 *h5, const struct es_reading_columns *columns,
                             struct es_store_box *box);

/* A long table, read in blocks, with a cursor that goes along with the units. */
struct es_reading_long {
    const struct es_store_long *table;
    const struct es_grid *grid; /* of the store */
    hid_t dataset[ES_LONG_MAX_FIELDS];
    hid_t space;
    hsize_t n_rows;
    hsize_t n_read; /* rows that were read, the block's included */
    hsize_t n_held; /* rows in the block */
    hsize_t at;     /* the cursor in the block */
    struct es_store_block block;
    struct es_reading_names names[ES_LONG_N_NAMES];
    uint32_t *offset[ES_LONG_N_NAMES]; /* of each name in the result that is filled */
};

/* Opens a long table. The grid, which is the store's, is borrowed; the result that is going to be
 * filled from it gets the names. */
void es_reading_long_open(struct es_h5 *h5, hid_t file, const struct es_store_long *table,
                          const struct es_grid *grid, struct es_result *result,
                          struct es_reading_long *ret_rows);
void es_reading_long_close(struct es_reading_long *rows);

/* The rows of a unit, one by one: the index of the next in the block, and the cursor moves on.
 * False: there is none, or it failed. To be asked for every unit, in the order of ids, until there
 * is none; after the last unit, finish checks that no row is left. */
bool es_reading_long_next(struct es_h5 *h5, struct es_reading_long *rows, uint32_t unit_id,
                          hsize_t *ret_at);
void es_reading_long_finish(struct es_h5 *h5, struct es_reading_long *rows);

/* The offset in the result of the nth name of the row at a block's index. */
uint32_t es_reading_long_name(const struct es_reading_long *rows, int nth, hsize_t at);

/* The metrics of a unit, in place of those that the result has. */
void es_reading_metrics_take(struct es_h5 *h5, struct es_reading_long *rows, uint32_t unit_id,
                             struct es_result *result);

/* The tries of a unit, in place of those that the result has, and what the last of them, which is
 * that of the result itself, tells of it. */
void es_reading_tries_take(struct es_h5 *h5, struct es_reading_long *rows, uint32_t unit_id,
                           enum es_status status, struct es_result *result);

#endif
