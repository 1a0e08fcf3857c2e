/* The long table: one row for each metric of each unit, in the order of units, streamed through one
 * block of buffers. */
#include "store/contents.h"

#include "core/mem.h"

#include <hdf5_hl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Codes as the file has them: by first use in the order of units. So the same results make the same
 * file, in whatever order they came in, and names that only replaced rows had are gone. */
struct renaming {
    uint32_t *code; /* by the table's code; ES_GRID_NONE: not used */
    struct es_buf texts;
    uint32_t n;
};

static int rename_create(struct renaming names[ES_N_NAME_KINDS], const struct es_units *units)
{
    for (int kind = 0; kind < ES_N_NAME_KINDS; kind++) {
        uint32_t n = es_units_n_names(units, (enum es_name_kind)kind);
        names[kind] = (struct renaming){.code = es_mem_calloc(n, sizeof *names[kind].code)};
        if (names[kind].code)
            memset(names[kind].code, 0xff, n * sizeof *names[kind].code);
    }
    return names[0].code && names[1].code && names[2].code ? 0 : ES_ERR_NOMEM;
}

static void rename_clear(struct renaming names[ES_N_NAME_KINDS])
{
    for (int kind = 0; kind < ES_N_NAME_KINDS; kind++) {
        free(names[kind].code);
        es_buf_clear(&names[kind].texts);
    }
}

static void use_code(struct renaming *names, const struct es_units *units, enum es_name_kind kind,
                     uint32_t code)
{
    if (names->code[code] != ES_GRID_NONE)
        return;
    names->code[code] = names->n++;
    es_h5_append_utf8(&names->texts, es_units_name(units, kind, code));
    es_buf_putc(&names->texts, '\0');
}

/* Numbers the codes in use; how many rows there are. */
static hsize_t number_codes(struct renaming names[ES_N_NAME_KINDS], struct es_units *units,
                            const struct es_units_columns *columns)
{
    hsize_t n_rows = 0;
    for (uint32_t id = 0; id < columns->n_units; id++) {
        uint32_t first, n = es_units_rows_of(units, id, &first);
        for (const struct es_metric_row *row = columns->rows + first; n; n--, row++, n_rows++) {
            use_code(&names[ES_NAME_SPLIT], units, ES_NAME_SPLIT, row->split);
            use_code(&names[ES_NAME_SUBSET], units, ES_NAME_SUBSET, row->subset);
            use_code(&names[ES_NAME_METRIC], units, ES_NAME_METRIC, row->metric);
        }
    }
    return n_rows;
}

/* The dimension `row`, which has no coordinate: how netCDF-4 writes one. */
static hid_t put_row_dimension(struct es_h5 *h5, hid_t file, hsize_t n_rows)
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
        scale = es_h5_id(h5, H5Dcreate2(file, ES_STORE_METRICS "/row", H5T_IEEE_F32BE, space,
                                        H5P_DEFAULT, list, H5P_DEFAULT));
    if (h5->rc == 0)
        es_h5_ok(h5, H5DSset_scale(scale, label));
    es_h5_close(&space);
    es_h5_close(&list);
    return scale;
}

/* Where the streaming of rows stands. */
struct stream {
    struct es_h5 *h5;
    hid_t dataset[ES_N_FIELDS];
    hid_t space; /* of the file */
    struct es_store_rows block;
    hsize_t n_written;
    hsize_t n_held; /* in the block */
};

static void flush_block(struct stream *stream)
{
    struct es_h5 *h5 = stream->h5;
    if (stream->n_held == 0)
        return;
    hid_t memory = es_h5_id(h5, H5Screate_simple(1, &stream->n_held, NULL));
    es_h5_ok(h5, H5Sselect_hyperslab(stream->space, H5S_SELECT_SET, &stream->n_written, NULL,
                                     &stream->n_held, NULL));
    for (enum es_store_field field = 0; field < ES_N_FIELDS && h5->rc == 0; field++)
        es_h5_ok(h5,
                 H5Dwrite(stream->dataset[field], es_store_memory_type(es_store_fields[field].type),
                          memory, stream->space, H5P_DEFAULT,
                          es_store_rows_field(&stream->block, field)));
    es_h5_close(&memory);
    stream->n_written += stream->n_held;
    stream->n_held = 0;
}

static void add_row(struct stream *stream, struct es_unit unit, const struct es_metric_row *row,
                    const struct renaming names[ES_N_NAME_KINDS])
{
    hsize_t at = stream->n_held++;
    int32_t *const *code = stream->block.code;
    code[ES_FIELD_CHECKPOINT][at] = (int32_t)unit.checkpoint;
    code[ES_FIELD_LAYER][at] = (int32_t)unit.layer;
    code[ES_FIELD_TASK][at] = (int32_t)unit.task;
    code[ES_FIELD_SPLIT][at] = (int32_t)names[ES_NAME_SPLIT].code[row->split];
    code[ES_FIELD_SUBSET][at] = (int32_t)names[ES_NAME_SUBSET].code[row->subset];
    code[ES_FIELD_METRIC][at] = (int32_t)names[ES_NAME_METRIC].code[row->metric];
    stream->block.value[at] = row->value;
    if (stream->n_held == ES_STORE_BLOCK)
        flush_block(stream);
}

static void put_rows(struct es_h5 *h5, hid_t file, struct es_units *units,
                     const struct es_units_columns *columns, hsize_t n_rows,
                     const struct renaming names[ES_N_NAME_KINDS])
{
    const struct es_grid *grid = es_units_grid(units);
    struct stream stream = {.h5 = h5};
    if (es_store_rows_create(&stream.block) < 0)
        es_h5_nomem(h5);
    hid_t scale = put_row_dimension(h5, file, n_rows);
    const hsize_t chunk = n_rows < ES_STORE_BLOCK ? n_rows : ES_STORE_BLOCK;
    stream.space = es_h5_id(h5, H5Screate_simple(1, &n_rows, NULL));
    for (int field = 0; field < ES_N_FIELDS; field++)
        stream.dataset[field] = es_contents_create(h5, file, &es_store_fields[field], 1, &n_rows,
                                                   n_rows ? &chunk : NULL, &scale);
    for (uint32_t id = 0; id < columns->n_units && h5->rc == 0; id++) {
        const struct es_unit unit = es_grid_unit(grid, id);
        uint32_t first, n = es_units_rows_of(units, id, &first);
        for (uint32_t i = 0; i < n; i++)
            add_row(&stream, unit, &columns->rows[first + i], names);
    }
    if (h5->rc == 0)
        flush_block(&stream);
    for (int field = 0; field < ES_N_FIELDS; field++)
        es_h5_close(&stream.dataset[field]);
    es_h5_close(&stream.space);
    es_h5_close(&scale);
    es_store_rows_clear(&stream.block);
}

void es_contents_put_metrics(struct es_h5 *h5, hid_t file, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    struct renaming names[ES_N_NAME_KINDS];
    hsize_t n_rows = 0;
    if (rename_create(names, units) < 0)
        es_h5_nomem(h5);
    else
        n_rows = number_codes(names, units, &columns);
    for (int kind = 0; kind < ES_N_NAME_KINDS; kind++) {
        hid_t dataset = es_contents_put_names(h5, file, &es_store_names[kind], &names[kind].texts,
                                              names[kind].n);
        es_h5_close(&dataset);
    }
    put_rows(h5, file, units, &columns, n_rows, names);
    rename_clear(names);
}
