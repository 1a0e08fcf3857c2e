/* Writing a long table: its names, numbered by first use, and its rows, streamed through one block.
 *
 *     struct es_numbering names[ES_LONG_N_NAMES];
 *     es_numbering_create(h5, table, units, names);
 *     ... es_numbering_use for every code, in the order of units: so the same results make the same
 *         file, in whatever order they came in, and names that nothing has any more are gone ...
 *     es_long_open(&stream, h5, file, table, names, n_rows);
 *     ... for each row: at = es_long_next(&stream), and its fields in stream.block at that index
 * ... es_long_close(&stream); es_numbering_clear(names);
 */
#ifndef ES_STORE_LONGTABLE_H
#define ES_STORE_LONGTABLE_H

#include "core/buf.h"
#include "evalsweep/units.h"
#include "store/h5.h"
#include "store/schema.h"

/* Codes of one kind as the file has them. */
struct es_numbering {
    const struct es_units *units;
    enum es_name_kind kind;
    uint32_t *code; /* by the table's code; ES_GRID_NONE: not used */
    struct es_buf texts;
    uint32_t n;
};

void es_numbering_create(struct es_h5 *h5, const struct es_store_long *table,
                         const struct es_units *units, struct es_numbering names[ES_LONG_N_NAMES]);
void es_numbering_clear(struct es_numbering names[ES_LONG_N_NAMES]);
void es_numbering_add(struct es_numbering *names, uint32_t code);

/* Numbers a code of the table unless it has a number. */
static inline void es_numbering_use(struct es_numbering *names, uint32_t code)
{
    if (names->code[code] == ES_GRID_NONE)
        es_numbering_add(names, code);
}

/* Where the streaming of rows stands. */
struct es_long_stream {
    struct es_h5 *h5;
    const struct es_store_long *table;
    hid_t dataset[ES_LONG_MAX_FIELDS];
    hid_t space; /* of the file */
    struct es_store_block block;
    hsize_t n_written;
    hsize_t n_held; /* in the block */
};

/* Makes the group with the names and the variables, for n_rows rows. To be closed in any case;
 * rows only when h5 has not failed. */
void es_long_open(struct es_long_stream *stream, struct es_h5 *h5, hid_t file,
                  const struct es_store_long *table,
                  const struct es_numbering names[ES_LONG_N_NAMES], hsize_t n_rows);
void es_long_close(struct es_long_stream *stream);

/* The index of the next row in the block. */
void es_long_flush(struct es_long_stream *stream);
static inline hsize_t es_long_next(struct es_long_stream *stream)
{
    if (stream->n_held == ES_STORE_BLOCK)
        es_long_flush(stream);
    return stream->n_held++;
}

#endif
