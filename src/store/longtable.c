#include "store/longtable.h"

#include "core/mem.h"
#include "store/contents.h"

#include <hdf5_hl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void es_numbering_create(struct es_h5 *h5, const struct es_store_long *table,
                         const struct es_units *units, struct es_numbering names[ES_LONG_N_NAMES])
{
    for (int i = 0; i < ES_LONG_N_NAMES; i++) {
        enum es_name_kind kind = (enum es_name_kind)((int)table->first_kind + i);
        uint32_t n = es_units_n_names(units, kind);
        names[i] = (struct es_numbering){
            .units = units, .kind = kind, .code = es_mem_calloc(n, sizeof *names[i].code)};
        if (names[i].code)
            memset(names[i].code, 0xff, n * sizeof *names[i].code);
        else
            es_h5_nomem(h5);
    }
}

void es_numbering_clear(struct es_numbering names[ES_LONG_N_NAMES])
{
    for (int i = 0; i < ES_LONG_N_NAMES; i++) {
        free(names[i].code);
        es_buf_clear(&names[i].texts);
    }
}

void es_numbering_add(struct es_numbering *names, uint32_t code)
{
    names->code[code] = names->n++;
    es_buf_puts_utf8(&names->texts, es_units_name(names->units, names->kind, code));
    es_buf_putc(&names->texts, '\0');
}

/* The dimension `row`, which has no coordinate: how netCDF-4 writes one. */
static hid_t put_row_dimension(struct es_h5 *h5, hid_t file, const char *path, hsize_t n_rows)
{
    char label[80];
    (void)snprintf(label, sizeof label,
                   "This is a netCDF dimension but not a netCDF variable. %9llu",
                   (unsigned long long)n_rows);
    hid_t list = es_h5_id(h5, H5Pcreate(H5P_DATASET_CREATE));
    es_h5_set_creation(h5, list, false);
    hid_t space = es_h5_id(h5, H5Screate_simple(1, &n_rows, NULL));
    hid_t scale = -1;
    if (h5->rc == 0)
        scale = es_h5_id(
            h5, H5Dcreate2(file, path, H5T_IEEE_F32BE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    if (h5->rc == 0)
        es_h5_ok(h5, H5DSset_scale(scale, label));
    es_h5_close(&space);
    es_h5_close(&list);
    return scale;
}

void es_long_open(struct es_long_stream *stream, struct es_h5 *h5, hid_t file,
                  const struct es_store_long *table,
                  const struct es_numbering names[ES_LONG_N_NAMES], hsize_t n_rows)
{
    const hsize_t chunk = n_rows < ES_STORE_BLOCK ? n_rows : ES_STORE_BLOCK;
    *stream = (struct es_long_stream){.h5 = h5, .table = table};
    es_contents_make_group(h5, file, table->group);
    for (int i = 0; i < ES_LONG_N_NAMES; i++) {
        hid_t dataset =
            es_contents_put_names(h5, file, &table->names[i], &names[i].texts, names[i].n);
        es_h5_close(&dataset);
    }
    if (es_store_block_create(table, &stream->block) < 0)
        es_h5_nomem(h5);
    hid_t scale = put_row_dimension(h5, file, table->row_path, n_rows);
    stream->space = es_h5_id(h5, H5Screate_simple(1, &n_rows, NULL));
    for (int field = 0; field < table->n_fields; field++)
        stream->dataset[field] = es_contents_create(h5, file, &table->fields[field], 1, &n_rows,
                                                    n_rows ? &chunk : NULL, &scale);
    es_h5_close(&scale);
}

void es_long_flush(struct es_long_stream *stream)
{
    struct es_h5 *h5 = stream->h5;
    if (stream->n_held == 0)
        return;
    hid_t memory = es_h5_id(h5, H5Screate_simple(1, &stream->n_held, NULL));
    es_h5_ok(h5, H5Sselect_hyperslab(stream->space, H5S_SELECT_SET, &stream->n_written, NULL,
                                     &stream->n_held, NULL));
    for (int field = 0; field < stream->table->n_fields && h5->rc == 0; field++)
        es_h5_ok(h5, H5Dwrite(stream->dataset[field],
                              es_store_memory_type(stream->table->fields[field].type), memory,
                              stream->space, H5P_DEFAULT, stream->block.field[field]));
    es_h5_close(&memory);
    stream->n_written += stream->n_held;
    stream->n_held = 0;
}

void es_long_close(struct es_long_stream *stream)
{
    if (stream->h5->rc == 0)
        es_long_flush(stream);
    for (int field = 0; field < stream->table->n_fields; field++)
        es_h5_close(&stream->dataset[field]);
    es_h5_close(&stream->space);
    es_store_block_clear(&stream->block);
}
