#include "run/trace.h"

#include "core/csv.h"
#include "core/num.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>

#define TRACE_LIMIT_BYTES ((size_t)4 << 30)

enum column { COLUMN_CHECKPOINT, COLUMN_LAYER, COLUMN_TASK, COLUMN_SECONDS, N_COLUMNS };

struct reader {
    const char *path;
    const char *at;
    const char *end;
    size_t line;
    int index_of[N_COLUMNS]; /* which field of a row; -1: none */
    struct es_buf fields[N_COLUMNS];
    struct es_buf field;
};

static int read_header(struct reader *reader, struct es_err *err)
{
    static const char *const names[N_COLUMNS] = {"checkpoint", "layer", "task", "seconds"};
    bool goes_on = true;
    for (int i = 0; i < N_COLUMNS; i++)
        reader->index_of[i] = -1;
    for (int i = 0; goes_on; i++) {
        goes_on = es_csv_take_field(&reader->at, reader->end, &reader->field);
        const char *name = reader->field.data ? reader->field.data : "";
        for (int c = 0; c < N_COLUMNS; c++)
            if (strcmp(name, names[c]) == 0)
                reader->index_of[c] = i;
        if (strcmp(name, "evaluation_time_s") == 0 && reader->index_of[COLUMN_SECONDS] < 0)
            reader->index_of[COLUMN_SECONDS] = i;
    }
    for (int c = 0; c < N_COLUMNS; c++)
        if (reader->index_of[c] < 0)
            return es_err_set(err, ES_ERR_PARSE, "reading the trace", reader->path,
                              "line 1: there is no column \"%s\"%s", names[c],
                              c == COLUMN_SECONDS ? " or \"evaluation_time_s\"" : "");
    return 0;
}

/* The fields of the next row that count. */
static void read_row(struct reader *reader)
{
    bool goes_on = true;
    for (int c = 0; c < N_COLUMNS; c++) {
        es_buf_reset(&reader->fields[c]);
        es_buf_puts(&reader->fields[c], ""); /* for a row that ends before this column */
    }
    for (int i = 0; goes_on; i++) {
        goes_on = es_csv_take_field(&reader->at, reader->end, &reader->field);
        for (int c = 0; c < N_COLUMNS; c++)
            if (reader->index_of[c] == i)
                es_buf_append(&reader->fields[c], reader->field.data, reader->field.len);
    }
    reader->line++;
}

static bool has_failed(const struct reader *reader)
{
    bool failed = reader->field.failed;
    for (int c = 0; c < N_COLUMNS; c++)
        failed |= reader->fields[c].failed;
    return failed;
}

static bool find_unit(const struct reader *reader, const struct es_grid *grid, int64_t layer,
                      uint32_t *ret_unit_id)
{
    struct es_unit unit = {es_grid_find_checkpoint(grid, reader->fields[COLUMN_CHECKPOINT].data),
                           es_grid_find_layer(grid, (int32_t)layer),
                           es_grid_find_task(grid, reader->fields[COLUMN_TASK].data)};
    if (unit.checkpoint == ES_GRID_NONE || unit.layer == ES_GRID_NONE || unit.task == ES_GRID_NONE)
        return false;
    *ret_unit_id = es_grid_id(grid, unit);
    return true;
}

static int take_row(const struct reader *reader, const struct es_grid *grid, float *unit_s,
                    uint32_t *n_outside, struct es_err *err)
{
    const char *seconds_text = reader->fields[COLUMN_SECONDS].data;
    const char *layer_text = reader->fields[COLUMN_LAYER].data;
    int64_t layer;
    double seconds;
    uint32_t unit_id;
    if (!es_parse_int(layer_text, &layer) || layer < 0 || layer > INT32_MAX)
        return es_err_set(err, ES_ERR_PARSE, "reading the trace", reader->path,
                          "line %zu: expected a layer number, found \"%.40s\"", reader->line,
                          layer_text);
    if (!seconds_text[0])
        return 0; /* a unit whose time is not known */
    if (!es_parse_double(seconds_text, &seconds) || seconds < 0)
        return es_err_set(err, ES_ERR_PARSE, "reading the trace", reader->path,
                          "line %zu: expected seconds, found \"%.40s\"", reader->line,
                          seconds_text);
    if (find_unit(reader, grid, layer, &unit_id))
        unit_s[unit_id] = (float)seconds;
    else
        (*n_outside)++;
    return 0;
}

int es_trace_read(const char *path, const struct es_grid *grid, float *unit_s,
                  uint32_t *ret_n_outside, struct es_err *err)
{
    struct es_buf text = {0};
    struct reader reader = {.path = path, .line = 1};
    uint32_t n_outside = 0;
    int rc = 0;
    if (es_file_read_at(AT_FDCWD, path, TRACE_LIMIT_BYTES, &text, NULL) < 0) {
        rc = es_file_read_error(err, errno, "reading the trace", path);
    } else {
        reader.at = text.data;
        reader.end = text.data + text.len;
        rc = read_header(&reader, err);
    }
    for (uint32_t id = 0; rc == 0 && id < es_grid_n_units(grid); id++)
        unit_s[id] = (float)NAN;
    while (rc == 0 && reader.at < reader.end) {
        read_row(&reader);
        if (has_failed(&reader))
            rc = es_err_nomem(err, "reading the trace");
        else
            rc = take_row(&reader, grid, unit_s, &n_outside, err);
    }
    for (int c = 0; c < N_COLUMNS; c++)
        es_buf_clear(&reader.fields[c]);
    es_buf_clear(&reader.field);
    es_buf_clear(&text);
    if (rc == 0 && ret_n_outside)
        *ret_n_outside = n_outside;
    return rc;
}
