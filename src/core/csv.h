/* CSV fields as RFC 4180 has them, written and read. */
#ifndef ES_CORE_CSV_H
#define ES_CORE_CSV_H

#include "core/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends a field, in quotes where it needs them. */
void es_csv_put_text(struct es_buf *line, const char *text);

/* Appends a number; nothing for NaN. */
void es_csv_put_double(struct es_buf *line, double value);

/* Reads the field at *at (before end) into field (reset first) and moves *at behind it and what
 * ended it. True when that was a comma: the record goes on. Any line end (or end) ends a record; a
 * quote that is not closed reaches to the end. */
bool es_csv_take_field(const char **at, const char *end, struct es_buf *field);

#endif
