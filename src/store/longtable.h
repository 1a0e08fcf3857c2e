/* Writing a long table: its rows, streamed through one block, and its names, numbered by first use.
 *
 *     es_long_open(&stream, h5, file, table, n_rows);     // or es_long_open_runs
 *     es_long_begin(&stream, run, units);                 // for each run
 *     ... for each row, in the order of units: at = es_long_next(&stream), and its fields in
 *         stream.block at that index, codes through es_long_code ...
 *     es_long_end(&stream);
 *     es_long_close(&stream);
 *
 * So the same results make the same file, in whatever order they came in, and names that nothing
 * has any more are gone.
 */
#ifndef ES_STORE_LONGTABLE_H
#define ES_STORE_LONGTABLE_H

#include "core/strtab.h"
#include "evalsweep/units.h"
#include "store/h5.h"
#include "store/schema.h"

/* Names of one kind: those of the file by its codes, and the file's codes by the run's. */
struct es_numbering {
    struct es_strtab texts;
    uint32_t *code; /* ES_GRID_NONE: not used yet */
};

/* Where the streaming of rows stands. */
struct es_long_stream {
    struct es_h5 *h5;
    hid_t file;
    const struct es_store_long *table;
    hid_t dataset[ES_LONG_MAX_FIELDS];
    hid_t run;      /* of the runs' indices; -1: there is one run only, and n_rows of it */
    hid_t row;      /* the dimension */
    hsize_t n_rows; /* of the file */
    hsize_t n_written;
    struct es_numbering names[ES_LONG_N_NAMES];

    /* of a run, from begin to end */
    const struct es_units *units;
    struct es_store_block block;
    int32_t *run_index; /* [ES_STORE_BLOCK] */
    hsize_t n_held;     /* in the block */
};

/* Makes the group and the variables, for n_rows rows. To be closed in any case. */
void es_long_open(struct es_long_stream *stream, struct es_h5 *h5, hid_t file,
                  const struct es_store_long *table, hsize_t n_rows);
/* The same for any number of rows, with the runs' indices. */
void es_long_open_runs(struct es_long_stream *stream, struct es_h5 *h5, hid_t file,
                       const struct es_store_long *table);
/* Writes the names. */
void es_long_close(struct es_long_stream *stream);

/* Rows only when it has not failed. To be ended in any case. */
void es_long_begin(struct es_long_stream *stream, uint32_t run, const struct es_units *units);
void es_long_end(struct es_long_stream *stream);

/* The index of the next row in the block. */
void es_long_flush(struct es_long_stream *stream);
static inline hsize_t es_long_next(struct es_long_stream *stream)
{
    if (stream->n_held == ES_STORE_BLOCK)
        es_long_flush(stream);
    return stream->n_held++;
}

/* The file's code for a run's code of the table's i-th kind of names. */
void es_long_number(struct es_long_stream *stream, int i, uint32_t code);
static inline int32_t es_long_code(struct es_long_stream *stream, int i, uint32_t code)
{
    if (stream->names[i].code[code] == ES_GRID_NONE)
        es_long_number(stream, i, code);
    return (int32_t)stream->names[i].code[code];
}

#endif
