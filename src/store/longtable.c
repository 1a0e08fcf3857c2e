#include "store/longtable.h"

#include "core/mem.h"
#include "store/contents.h"

#include <stdlib.h>
#include <string.h>

static enum es_name_kind kind_of(const struct es_long_stream *stream, int i)
{
    return (enum es_name_kind)((int)stream->table->first_kind + i);
}

static void open_fields(struct es_long_stream *stream, bool grows)
{
    struct es_h5 *h5 = stream->h5;
    const struct es_store_long *table = stream->table;
    const hsize_t n = stream->n_rows, chunk = n < ES_STORE_BLOCK && !grows ? n : ES_STORE_BLOCK;
    struct es_store_shape shape = {
        .n_axes = 1, .dims = &n, .chunk = chunk ? &chunk : NULL, .grows = grows};
    es_contents_make_group(h5, stream->file, table->group);
    stream->row = es_contents_put_dimension(h5, stream->file, table->row_path, &shape);
    shape.scales = &stream->row;
    if (grows)
        stream->run = es_contents_create(h5, stream->file, &table->run, &shape);
    for (int field = 0; field < table->n_fields; field++)
        stream->dataset[field] =
            es_contents_create(h5, stream->file, &table->fields[field], &shape);
}

void es_long_open(struct es_long_stream *stream, struct es_h5 *h5, hid_t file,
                  const struct es_store_long *table, hsize_t n_rows)
{
    *stream = (struct es_long_stream){
        .h5 = h5, .file = file, .table = table, .run = -1, .row = -1, .n_rows = n_rows};
    open_fields(stream, false);
}

void es_long_open_runs(struct es_long_stream *stream, struct es_h5 *h5, hid_t file,
                       const struct es_store_long *table)
{
    *stream = (struct es_long_stream){.h5 = h5, .file = file, .table = table, .run = -1, .row = -1};
    open_fields(stream, true);
}

void es_long_begin(struct es_long_stream *stream, uint32_t run, const struct es_units *units)
{
    bool failed = es_store_block_create(stream->table, &stream->block) < 0;
    stream->units = units;
    if (stream->run >= 0) {
        stream->run_index = es_mem_calloc(ES_STORE_BLOCK, sizeof *stream->run_index);
        failed = failed || !stream->run_index;
        for (uint32_t i = 0; stream->run_index && i < ES_STORE_BLOCK; i++)
            stream->run_index[i] = (int32_t)run;
    }
    for (int i = 0; i < ES_LONG_N_NAMES; i++) {
        uint32_t n = es_units_n_names(units, kind_of(stream, i));
        uint32_t *code = es_mem_calloc(n, sizeof *code);
        failed = failed || !code;
        if (code)
            memset(code, 0xff, n * sizeof *code);
        stream->names[i].code = code;
    }
    if (failed)
        es_h5_nomem(stream->h5);
}

void es_long_number(struct es_long_stream *stream, int i, uint32_t code)
{
    const char *text = es_units_name(stream->units, kind_of(stream, i), code);
    struct es_numbering *names = &stream->names[i];
    if (es_strtab_add(&names->texts, text, strlen(text), &names->code[code]) < 0)
        es_h5_nomem(stream->h5);
}

/* Makes room for the rows of the block. */
static void grow(struct es_long_stream *stream)
{
    struct es_h5 *h5 = stream->h5;
    stream->n_rows = stream->n_written + stream->n_held;
    es_h5_ok(h5, H5Dset_extent(stream->row, &stream->n_rows));
    es_h5_ok(h5, H5Dset_extent(stream->run, &stream->n_rows));
    for (int field = 0; field < stream->table->n_fields && h5->rc == 0; field++)
        es_h5_ok(h5, H5Dset_extent(stream->dataset[field], &stream->n_rows));
}

void es_long_flush(struct es_long_stream *stream)
{
    struct es_h5 *h5 = stream->h5;
    if (stream->n_held == 0)
        return;
    if (stream->run >= 0)
        grow(stream);
    hid_t memory = es_h5_id(h5, H5Screate_simple(1, &stream->n_held, NULL));
    hid_t space = es_h5_id(h5, H5Screate_simple(1, &stream->n_rows, NULL));
    es_h5_ok(h5, H5Sselect_hyperslab(space, H5S_SELECT_SET, &stream->n_written, NULL,
                                     &stream->n_held, NULL));
    if (stream->run >= 0 && h5->rc == 0)
        es_h5_ok(h5, H5Dwrite(stream->run, es_store_memory_type(stream->table->run.type), memory,
                              space, H5P_DEFAULT, stream->run_index));
    for (int field = 0; field < stream->table->n_fields && h5->rc == 0; field++)
        es_h5_ok(h5, H5Dwrite(stream->dataset[field],
                              es_store_memory_type(stream->table->fields[field].type), memory,
                              space, H5P_DEFAULT, stream->block.field[field]));
    es_h5_close(&space);
    es_h5_close(&memory);
    stream->n_written += stream->n_held;
    stream->n_held = 0;
}

void es_long_end(struct es_long_stream *stream)
{
    if (stream->h5->rc == 0)
        es_long_flush(stream);
    es_store_block_clear(&stream->block);
    free(stream->run_index);
    stream->run_index = NULL;
    for (int i = 0; i < ES_LONG_N_NAMES; i++) {
        free(stream->names[i].code);
        stream->names[i].code = NULL;
    }
}

static void put_names(struct es_long_stream *stream, int i)
{
    const struct es_strtab *names = &stream->names[i].texts;
    struct es_buf texts = {0};
    for (uint32_t code = 0; code < names->n; code++) {
        es_buf_puts_utf8(&texts, names->text[code]);
        es_buf_putc(&texts, '\0');
    }
    hid_t dataset = es_contents_put_texts(stream->h5, stream->file, &stream->table->names[i],
                                          &texts, names->n, -1);
    es_h5_close(&dataset);
    es_buf_clear(&texts);
}

void es_long_close(struct es_long_stream *stream)
{
    for (int field = 0; field < stream->table->n_fields; field++)
        es_h5_close(&stream->dataset[field]);
    es_h5_close(&stream->run);
    es_h5_close(&stream->row);
    for (int i = 0; i < ES_LONG_N_NAMES; i++) {
        if (stream->h5->rc == 0)
            put_names(stream, i);
        es_strtab_clear(&stream->names[i].texts);
    }
}
