/* What the parts of the export share: lines of either format, built field by field. */
#ifndef ES_CORE_EXPORT_INTERNAL_H
#define ES_CORE_EXPORT_INTERNAL_H

#include "core/buf.h"
#include "core/strtab.h"
#include "evalsweep/export.h"

/* A field of a line. In CSV the key is only in the header, which is a line of keys as values. The
 * comma behind it is replaced where the line ends. */
void es_export_put_text(enum es_export_format format, const char *key, const char *text,
                        struct es_buf *line);
void es_export_put_double(enum es_export_format format, const char *key, double value,
                          struct es_buf *line);
/* The beginning of a line, and its end behind at least one field. */
void es_export_begin_line(enum es_export_format format, struct es_buf *line);
void es_export_end_line(enum es_export_format format, struct es_buf *line);

/* Which metrics are wanted. */
struct es_export_choice {
    uint8_t *wants; /* by metric code; NULL: all */
    bool wants_main_score;
};

/* The columns that the wide table has for metrics. */
struct es_export_columns {
    struct es_strtab triples; /* the codes of split, subset and metric, as a text; its code is the
                                 column's index */
    struct es_metric_row *first; /* [triples.n]: a row of each */
    size_t first_cap;
    struct es_strtab names; /* of the columns, the fixed ones among them */
    uint32_t *name;         /* [triples.n]: codes of `names` */
    double *value;          /* [triples.n]: of one unit */
};

/* Finds the columns that done units have values for. ES_ERR_NOMEM. */
int es_export_columns_find(struct es_units *units, const struct es_export_choice *choice,
                           struct es_export_columns *ret_columns);
void es_export_columns_clear(struct es_export_columns *columns);

/* The name of a column. */
const char *es_export_column_name(const struct es_export_columns *columns, uint32_t column);

/* Appends the fields of one unit, in the order of columns. */
void es_export_columns_put(struct es_export_columns *columns, enum es_export_format format,
                           struct es_units *units, const struct es_export_choice *choice,
                           uint32_t unit_id, struct es_buf *line);

#endif
