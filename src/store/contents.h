/* The HDF5 side of writing a store: everything between creating the file and closing it. */
#ifndef ES_STORE_CONTENTS_H
#define ES_STORE_CONTENTS_H

#include "core/buf.h"
#include "evalsweep/store.h"
#include "evalsweep/units.h"
#include "store/h5.h"
#include "store/longtable.h"
#include "store/schema.h"

/* Root attributes, axes, the variables over them and the long tables. The failure is h5's. */
void es_contents_write(struct es_h5 *h5, hid_t file, const struct es_attribute *attributes,
                       size_t n_attributes, struct es_units *units);

/* The same of several runs, which are loaded one after the other. */
void es_contents_merge(struct es_h5 *h5, hid_t file, const struct es_store_merge *merge);

/* A variable, chunked as suits its type, each axis attached to its scale, described; to close. */
hid_t es_contents_create(struct es_h5 *h5, hid_t file, const struct es_store_variable *variable,
                         const struct es_store_shape *shape);

/* A dimension that has no coordinate, as netCDF-4 writes one; to close. */
hid_t es_contents_put_dimension(struct es_h5 *h5, hid_t file, const char *path,
                                const struct es_store_shape *shape);

/* n texts, each with its NUL, one behind the other: over the dimension of a scale, or (-1) a
 * dimension and its coordinate; to close. */
hid_t es_contents_put_texts(struct es_h5 *h5, hid_t file, const struct es_store_variable *variable,
                            const struct es_buf *texts, uint32_t n, hid_t scale);

void es_contents_make_group(struct es_h5 *h5, hid_t file, const char *name);

/* The groups of metrics and of tries: how many rows a run has, and the rows. */
hsize_t es_contents_n_metrics(const struct es_units *units);
void es_contents_put_metrics(struct es_long_stream *stream, uint32_t run, struct es_units *units);
hsize_t es_contents_n_tries(struct es_units *units);
void es_contents_put_tries(struct es_long_stream *stream, uint32_t run, struct es_units *units);

#endif
