/* What the store is made of, for the writer and the reader alike: variables, their place in the
 * table of units, and the blocks in which they are moved. docs/store.md has the same for people.
 */
#ifndef ES_STORE_SCHEMA_H
#define ES_STORE_SCHEMA_H

#include "evalsweep/units.h"

#include <hdf5.h>
#include <stdbool.h>

#define ES_STORE_SCHEMA_ATTRIBUTE "evalsweep_schema"
#define ES_STORE_SCHEMA 2

/* There in a file of several runs, which is no store of a run. */
#define ES_STORE_KIND_ATTRIBUTE "evalsweep_kind"
#define ES_STORE_KIND_MERGE "merge"
#define ES_STORE_RUN "run" /* its dimension */

#define ES_STORE_MARKERS "markers"

/* Units that move at once, and rows of a long table: the buffers' bound, and the size of a chunk.
 */
enum { ES_STORE_BLOCK = 65536 };

/* The axes, which are dimensions and their coordinates. */
enum es_store_axis { ES_AXIS_CHECKPOINT, ES_AXIS_LAYER, ES_AXIS_TASK, ES_N_AXES };
extern const char *const es_store_axis_name[ES_N_AXES];

enum es_store_type { ES_STORE_I8, ES_STORE_I32, ES_STORE_I64, ES_STORE_U64, ES_STORE_F64 };

/* The type in memory, and the same in the file on any machine. */
hid_t es_store_memory_type(enum es_store_type type);
hid_t es_store_file_type(enum es_store_type type);
size_t es_store_type_size(enum es_store_type type);

/* Variables over the three axes, each a column of the table of units. */
enum es_store_column {
    ES_COLUMN_MAIN_SCORE,
    ES_COLUMN_STATUS,
    ES_COLUMN_EVALUATION_TIME,
    ES_COLUMN_FINISHED_AT,
    ES_COLUMN_ATTEMPTS,
    ES_COLUMN_WORKER,
    ES_COLUMN_MARKER_INODE, /* this and what follows is in the group of markers */
    ES_COLUMN_MARKER_SIZE,
    ES_COLUMN_MARKER_MTIME,
    ES_N_COLUMNS
};

struct es_store_variable {
    const char *path; /* from the root */
    const char *long_name;
    const char *units; /* NULL: none */
    enum es_store_type type;
    bool packs; /* float64 that a compressor makes much smaller, as it does all integers */
};
extern const struct es_store_variable es_store_columns[ES_N_COLUMNS];

/* How a variable lies in the file. */
struct es_store_shape {
    int n_axes;
    const hsize_t *dims;
    const hsize_t *chunk; /* for what is deflated or grows; NULL: in one piece */
    const hid_t *scales;  /* of the axes; NULL: none */
    bool grows;           /* its one axis has no end */
};

/* Where a column begins in a table, and the distance of its items: more than the type's size where
 * they are members of a struct. */
char *es_store_column_at(const struct es_units_columns *columns, enum es_store_column column,
                         size_t *ret_stride);

/* A long table: a group of variables over a dimension `row`, and of the names that codes in them
 * stand for. Its rows are in the order of units, whose indices are the first fields. */
enum { ES_LONG_MAX_FIELDS = 14, ES_LONG_N_NAMES = 3 };
struct es_store_long {
    const char *group;
    const char *row_path;                   /* of the dimension */
    struct es_store_variable run;           /* of a file of several runs: the index along run */
    const struct es_store_variable *fields; /* [n_fields] */
    int n_fields;
    enum es_name_kind first_kind;                    /* of the names, which follow each other */
    struct es_store_variable names[ES_LONG_N_NAMES]; /* dimension and coordinate */
    int code_field[ES_LONG_N_NAMES];                 /* whose values are indices along them */
};

/* What each row of the metrics says of one metric. */
enum es_metric_field {
    ES_METRIC_CHECKPOINT,
    ES_METRIC_LAYER,
    ES_METRIC_TASK,
    ES_METRIC_SPLIT,
    ES_METRIC_SUBSET,
    ES_METRIC_NAME,
    ES_METRIC_VALUE,
    ES_METRIC_N_FIELDS
};
extern const struct es_store_long es_store_metrics;

/* And each of the tries of one try. */
enum es_try_field {
    ES_TRY_CHECKPOINT,
    ES_TRY_LAYER,
    ES_TRY_TASK,
    ES_TRY_ATTEMPT,
    ES_TRY_WORKER,
    ES_TRY_HOST,
    ES_TRY_DEVICE,
    ES_TRY_STARTED_AT,
    ES_TRY_FINISHED_AT,
    ES_TRY_LOAD_TIME,
    ES_TRY_PASS_TIME,
    ES_TRY_SCORE_TIME,
    ES_TRY_OUTCOME, /* ES_STATUS_DONE or _FAILED */
    ES_TRY_REASON,
    ES_TRY_N_FIELDS
};
extern const struct es_store_long es_store_tries;

/* A block of a long table, by field. */
struct es_store_block {
    void *field[ES_LONG_MAX_FIELDS]; /* [ES_STORE_BLOCK] each, of the field's type */
};
int es_store_block_create(const struct es_store_long *table, struct es_store_block *ret_block);
void es_store_block_clear(struct es_store_block *block);

/* A box of the three axes whose units have consecutive ids. */
struct es_store_box {
    hsize_t start[ES_N_AXES];
    hsize_t count[ES_N_AXES];
    uint32_t first_id;
    uint32_t n_units;
};

/* The shape of the largest such boxes within ES_STORE_BLOCK units. */
void es_store_box_shape(const hsize_t dims[ES_N_AXES], hsize_t ret_shape[ES_N_AXES]);

/* Goes from box to box in the order of ids; begin with a zeroed one. False: that was the last. */
bool es_store_box_next(const hsize_t dims[ES_N_AXES], struct es_store_box *box);

#endif
