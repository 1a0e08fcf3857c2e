#include "store/schema.h"

#include "core/mem.h"

#include <stdlib.h>

#define SINCE_1970 "seconds since 1970-01-01 00:00:00"

const char *const es_store_axis_name[ES_N_AXES] = {"checkpoint", "layer", "task"};

/* The unit is "s": readers turn what is in "seconds" into a time span of another type. */
const struct es_store_variable es_store_columns[ES_N_COLUMNS] = {
    [ES_COLUMN_MAIN_SCORE] = {.path = "main_score",
                              .type = ES_STORE_F64,
                              .long_name = "main score of the task"},
    [ES_COLUMN_STATUS] = {.path = "status", .type = ES_STORE_I8, .long_name = "completion status"},
    [ES_COLUMN_EVALUATION_TIME] = {.path = "evaluation_time",
                                   .type = ES_STORE_F64,
                                   .long_name = "time the evaluation took",
                                   .units = "s"},
    [ES_COLUMN_FINISHED_AT] = {.path = "finished_at",
                               .type = ES_STORE_F64,
                               .long_name = "when the evaluation ended",
                               .units = SINCE_1970},
    [ES_COLUMN_ATTEMPTS] = {.path = "attempts",
                            .type = ES_STORE_I32,
                            .long_name = "number of tries, 0 for none"},
    [ES_COLUMN_WORKER] = {.path = "worker",
                          .type = ES_STORE_I32,
                          .long_name = "MPI rank that evaluated, -1 for none"},
    [ES_COLUMN_MARKER_INODE] = {.path = "markers/inode",
                                .type = ES_STORE_U64,
                                .long_name = "inode of the marker, 0 for no marker"},
    [ES_COLUMN_MARKER_SIZE] = {.path = "markers/size",
                               .type = ES_STORE_I64,
                               .long_name = "size of the marker in bytes"},
    [ES_COLUMN_MARKER_MTIME] = {.path = "markers/mtime_ns",
                                .type = ES_STORE_I64,
                                .long_name = "last change of the marker, nanoseconds since 1970"},
};

static const struct es_store_variable metric_fields[ES_METRIC_N_FIELDS] = {
    [ES_METRIC_CHECKPOINT] = {.path = "metrics/checkpoint",
                              .type = ES_STORE_I32,
                              .long_name = "index along checkpoint"},
    [ES_METRIC_LAYER] = {.path = "metrics/layer",
                         .type = ES_STORE_I32,
                         .long_name = "index along layer"},
    [ES_METRIC_TASK] = {.path = "metrics/task",
                        .type = ES_STORE_I32,
                        .long_name = "index along task"},
    [ES_METRIC_SPLIT] = {.path = "metrics/split",
                         .type = ES_STORE_I32,
                         .long_name = "index along split_name"},
    [ES_METRIC_SUBSET] = {.path = "metrics/subset",
                          .type = ES_STORE_I32,
                          .long_name = "index along subset_name"},
    [ES_METRIC_NAME] = {.path = "metrics/metric",
                        .type = ES_STORE_I32,
                        .long_name = "index along metric_name"},
    [ES_METRIC_VALUE] = {.path = "metrics/value",
                         .type = ES_STORE_F64,
                         .long_name = "value of the metric"},
};

const struct es_store_long es_store_metrics = {
    .group = "metrics",
    .row_path = "metrics/row",
    .run = {.path = "metrics/run", .type = ES_STORE_I32, .long_name = "index along run"},
    .fields = metric_fields,
    .n_fields = ES_METRIC_N_FIELDS,
    .first_kind = ES_NAME_SPLIT,
    .names = {{.path = "metrics/split_name", .long_name = "split of the data set"},
              {.path = "metrics/subset_name", .long_name = "subset of the data set"},
              {.path = "metrics/metric_name", .long_name = "name of the metric"}},
    .code_field = {ES_METRIC_SPLIT, ES_METRIC_SUBSET, ES_METRIC_NAME},
};

static const struct es_store_variable try_fields[ES_TRY_N_FIELDS] = {
    [ES_TRY_CHECKPOINT] = {.path = "tries/checkpoint",
                           .type = ES_STORE_I32,
                           .long_name = "index along checkpoint"},
    [ES_TRY_LAYER] = {.path = "tries/layer",
                      .type = ES_STORE_I32,
                      .long_name = "index along layer"},
    [ES_TRY_TASK] = {.path = "tries/task", .type = ES_STORE_I32, .long_name = "index along task"},
    [ES_TRY_ATTEMPT] = {.path = "tries/attempt",
                        .type = ES_STORE_I32,
                        .long_name = "number of the try, 0 for not known"},
    [ES_TRY_WORKER] = {.path = "tries/worker",
                       .type = ES_STORE_I32,
                       .long_name = "MPI rank, -1 for not known"},
    [ES_TRY_HOST] = {.path = "tries/host",
                     .type = ES_STORE_I32,
                     .long_name = "index along host_name"},
    [ES_TRY_DEVICE] = {.path = "tries/device",
                       .type = ES_STORE_I32,
                       .long_name = "index along device_name"},
    [ES_TRY_STARTED_AT] = {.path = "tries/started_at",
                           .type = ES_STORE_F64,
                           .long_name = "when the try began",
                           .units = SINCE_1970,
                           .packs = true},
    [ES_TRY_FINISHED_AT] = {.path = "tries/finished_at",
                            .type = ES_STORE_F64,
                            .long_name = "when the try ended",
                            .units = SINCE_1970,
                            .packs = true},
    [ES_TRY_LOAD_TIME] = {.path = "tries/load_time",
                          .type = ES_STORE_F64,
                          .long_name = "time to load the checkpoint",
                          .units = "s",
                          .packs = true},
    [ES_TRY_PASS_TIME] = {.path = "tries/pass_time",
                          .type = ES_STORE_F64,
                          .long_name = "time of the forward pass",
                          .units = "s",
                          .packs = true},
    [ES_TRY_SCORE_TIME] = {.path = "tries/score_time",
                           .type = ES_STORE_F64,
                           .long_name = "time to compute the scores",
                           .units = "s",
                           .packs = true},
    [ES_TRY_OUTCOME] = {.path = "tries/outcome",
                        .type = ES_STORE_I8,
                        .long_name = "how the try ended"},
    [ES_TRY_REASON] = {.path = "tries/reason",
                       .type = ES_STORE_I32,
                       .long_name = "index along reason_name"},
};

const struct es_store_long es_store_tries = {
    .group = "tries",
    .row_path = "tries/row",
    .run = {.path = "tries/run", .type = ES_STORE_I32, .long_name = "index along run"},
    .fields = try_fields,
    .n_fields = ES_TRY_N_FIELDS,
    .first_kind = ES_NAME_HOST,
    .names = {{.path = "tries/host_name", .long_name = "host, empty for not known"},
              {.path = "tries/device_name", .long_name = "device, empty for not known"},
              {.path = "tries/reason_name", .long_name = "why a try failed, empty for none"}},
    .code_field = {ES_TRY_HOST, ES_TRY_DEVICE, ES_TRY_REASON},
};

hid_t es_store_memory_type(enum es_store_type type)
{
    switch (type) {
    case ES_STORE_I8:
        return H5T_NATIVE_INT8;
    case ES_STORE_I32:
        return H5T_NATIVE_INT32;
    case ES_STORE_I64:
        return H5T_NATIVE_INT64;
    case ES_STORE_U64:
        return H5T_NATIVE_UINT64;
    case ES_STORE_F64:
        return H5T_NATIVE_DOUBLE;
    }
    return H5I_INVALID_HID;
}

hid_t es_store_file_type(enum es_store_type type)
{
    switch (type) {
    case ES_STORE_I8:
        return H5T_STD_I8LE;
    case ES_STORE_I32:
        return H5T_STD_I32LE;
    case ES_STORE_I64:
        return H5T_STD_I64LE;
    case ES_STORE_U64:
        return H5T_STD_U64LE;
    case ES_STORE_F64:
        return H5T_IEEE_F64LE;
    }
    return H5I_INVALID_HID;
}

size_t es_store_type_size(enum es_store_type type)
{
    switch (type) {
    case ES_STORE_I8:
        return 1;
    case ES_STORE_I32:
        return 4;
    case ES_STORE_I64:
    case ES_STORE_U64:
    case ES_STORE_F64:
        return 8;
    }
    return 0;
}

char *es_store_column_at(const struct es_units_columns *columns, enum es_store_column column,
                         size_t *ret_stride)
{
    *ret_stride = es_store_type_size(es_store_columns[column].type);
    switch (column) {
    case ES_COLUMN_MAIN_SCORE:
        return (char *)columns->main_score;
    case ES_COLUMN_STATUS:
        return (char *)columns->status;
    case ES_COLUMN_EVALUATION_TIME:
        return (char *)columns->evaluation_time_s;
    case ES_COLUMN_FINISHED_AT:
        return (char *)columns->finished_s;
    case ES_COLUMN_ATTEMPTS:
        return (char *)columns->attempts;
    case ES_COLUMN_WORKER:
        return (char *)columns->worker;
    case ES_COLUMN_MARKER_INODE:
        *ret_stride = sizeof *columns->marker;
        return (char *)&columns->marker->inode;
    case ES_COLUMN_MARKER_SIZE:
        *ret_stride = sizeof *columns->marker;
        return (char *)&columns->marker->size_bytes;
    case ES_COLUMN_MARKER_MTIME:
        *ret_stride = sizeof *columns->marker;
        return (char *)&columns->marker->mtime_ns;
    case ES_N_COLUMNS:
        break;
    }
    return NULL;
}

int es_store_block_create(const struct es_store_long *table, struct es_store_block *ret_block)
{
    struct es_store_block block = {0};
    bool failed = false;
    for (int i = 0; i < table->n_fields; i++) {
        block.field[i] = es_mem_calloc(ES_STORE_BLOCK, es_store_type_size(table->fields[i].type));
        failed = failed || !block.field[i];
    }
    if (failed) {
        es_store_block_clear(&block);
        return ES_ERR_NOMEM;
    }
    *ret_block = block;
    return 0;
}

void es_store_block_clear(struct es_store_block *block)
{
    for (int i = 0; i < ES_LONG_MAX_FIELDS; i++)
        free(block->field[i]);
    *block = (struct es_store_block){0};
}

void es_store_box_shape(const hsize_t dims[ES_N_AXES], hsize_t ret_shape[ES_N_AXES])
{
    hsize_t room = ES_STORE_BLOCK;
    for (int axis = ES_N_AXES - 1; axis >= 0; axis--) {
        ret_shape[axis] = dims[axis] < room ? dims[axis] : room;
        if (ret_shape[axis] > 1)
            room /= ret_shape[axis]; /* 1 from here on, when this is but a part of the axis */
    }
}

bool es_store_box_next(const hsize_t dims[ES_N_AXES], struct es_store_box *box)
{
    hsize_t shape[ES_N_AXES];
    es_store_box_shape(dims, shape);
    if (box->n_units) {
        int axis = ES_N_AXES - 1;
        while (axis >= 0 && box->start[axis] + shape[axis] >= dims[axis])
            box->start[axis--] = 0;
        if (axis < 0)
            return false;
        box->start[axis] += shape[axis];
    }
    hsize_t id = 0, n = 1;
    for (int axis = 0; axis < ES_N_AXES; axis++) {
        hsize_t left = dims[axis] - box->start[axis];
        box->count[axis] = left < shape[axis] ? left : shape[axis];
        id = id * dims[axis] + box->start[axis];
        n *= box->count[axis];
    }
    box->first_id = (uint32_t)id;
    box->n_units = (uint32_t)n;
    return true;
}
