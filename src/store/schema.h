/* What the store is made of, for the writer and the reader alike: variables, their place in the
 * table of units, and the blocks in which they are moved. docs/store.md has the same for people.
 */
#ifndef ES_STORE_SCHEMA_H
#define ES_STORE_SCHEMA_H

#include "evalsweep/units.h"

#include <hdf5.h>
#include <stdbool.h>

#define ES_STORE_SCHEMA_ATTRIBUTE "evalsweep_schema"
#define ES_STORE_SCHEMA 1

#define ES_STORE_MARKERS "markers"
#define ES_STORE_METRICS "metrics"

/* Units that move at once, and metric rows: the buffers' bound, and the size of a chunk. */
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
    enum es_store_type type;
    const char *long_name;
    const char *units; /* NULL: none */
};
extern const struct es_store_variable es_store_columns[ES_N_COLUMNS];

/* Where a column begins in a table, and the distance of its items: more than the type's size where
 * they are members of a struct. */
char *es_store_column_at(const struct es_units_columns *columns, enum es_store_column column,
                         size_t *ret_stride);

/* Variables over the rows of the long table: what each row says of one metric. */
enum es_store_field {
    ES_FIELD_CHECKPOINT,
    ES_FIELD_LAYER,
    ES_FIELD_TASK,
    ES_FIELD_SPLIT,
    ES_FIELD_SUBSET,
    ES_FIELD_METRIC,
    ES_N_CODES, /* the fields before are int32, the one after is a number */
    ES_FIELD_VALUE = ES_N_CODES,
    ES_N_FIELDS
};
extern const struct es_store_variable es_store_fields[ES_N_FIELDS];

/* The names of split, subset and metric codes, by enum es_name_kind: dimension and coordinate. */
enum { ES_N_NAME_KINDS = 3 };
extern const struct es_store_variable es_store_names[ES_N_NAME_KINDS];

/* A block of the long table, by field. */
struct es_store_rows {
    int32_t *code[ES_N_CODES]; /* [ES_STORE_BLOCK] each */
    double *value;
};
int es_store_rows_create(struct es_store_rows *ret_rows);
void es_store_rows_clear(struct es_store_rows *rows);
void *es_store_rows_field(const struct es_store_rows *rows, enum es_store_field field);

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
