/* The HDF5 side of writing a store: everything between creating the file and closing it. */
#ifndef ES_STORE_CONTENTS_H
#define ES_STORE_CONTENTS_H

#include "core/buf.h"
#include "evalsweep/store.h"
#include "evalsweep/units.h"
#include "store/h5.h"
#include "store/schema.h"

/* Root attributes, axes, the variables over them and the long tables. The failure is h5's. */
void es_contents_write(struct es_h5 *h5, hid_t file, const struct es_attribute *attributes,
                       size_t n_attributes, struct es_units *units);

/* A variable, in one piece or in these chunks as suits its type (NULL: in one piece), each axis
 * attached to its scale (NULL: to none), described; to close. */
hid_t es_contents_create(struct es_h5 *h5, hid_t file, const struct es_store_variable *variable,
                         int n_axes, const hsize_t *dims, const hsize_t *chunk,
                         const hid_t *scales);

/* A dimension and its coordinate: n texts, each with its NUL, one behind the other; to close. */
hid_t es_contents_put_names(struct es_h5 *h5, hid_t file, const struct es_store_variable *variable,
                            const struct es_buf *texts, uint32_t n);

void es_contents_make_group(struct es_h5 *h5, hid_t file, const char *name);

/* The groups of metrics and of tries. */
void es_contents_put_metrics(struct es_h5 *h5, hid_t file, struct es_units *units);
void es_contents_put_tries(struct es_h5 *h5, hid_t file, struct es_units *units);

#endif
