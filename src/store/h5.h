/* HDF5 with errors as values: silence, the first failure kept with HDF5's innermost message, and
 * identifiers that are closed on every path.
 *
 *     struct es_h5 h5;
 *     es_h5_begin(&h5, "reading the store", path, fd, err);
 *     hid_t file = es_h5_open_file(&h5);
 *     hid_t group = es_h5_id(&h5, H5Gopen2(file, "metrics", H5P_DEFAULT));
 *     ...                                   // a call on a bad identifier fails again, harmlessly
 *     es_h5_close(&group);
 *     es_h5_close_file(&h5, &file);
 *     return es_h5_end(&h5);                // 0, or the code of the first failure
 *
 * The failure is sticky, as in es_buf: what follows it may go on and changes nothing.
 */
#ifndef ES_STORE_H5_H
#define ES_STORE_H5_H

#include "core/buf.h"
#include "evalsweep/error.h"
#include "store/vfd.h"

#include <hdf5.h>
#include <stdbool.h>

struct es_h5 {
    const char *doing;
    const char *path;
    struct es_err *err; /* may be NULL */
    int rc;             /* 0, or the code of the first failure */
    struct es_vfd vfd;
    H5E_auto2_t printer;
    void *printer_data;
};

/* Turns HDF5's own printing off until the end. The texts, and fd (of the file at path), are
 * borrowed until then. */
void es_h5_begin(struct es_h5 *h5, const char *doing, const char *path, int fd, struct es_err *err);
int es_h5_end(struct es_h5 *h5);

/* Passes a result on and keeps the failure, if it is one (negative). */
hid_t es_h5_id(struct es_h5 *h5, hid_t id);
bool es_h5_ok(struct es_h5 *h5, herr_t status);

/* Keeps a failure that HDF5 knows nothing of. */
void es_h5_fail(struct es_h5 *h5, enum es_code code, const char *why_format, ...)
    __attribute__((format(printf, 3, 4)));

void es_h5_nomem(struct es_h5 *h5);

/* Closes any kind of identifier, unless it is negative, and makes it -1. */
void es_h5_close(hid_t *id);

/* Creation in a known order, as netCDF-4 asks for, and no times, so that the same content makes the
 * same bytes. For the creation list of a file, group or dataset. */
void es_h5_set_creation(struct es_h5 *h5, hid_t list, bool is_group);

/* Makes the descriptor's empty file one of HDF5, or opens it to read. Negative on failure. */
hid_t es_h5_create_file(struct es_h5 *h5);
hid_t es_h5_open_file(struct es_h5 *h5);

/* Closes the file, and keeps the failure to write the rest of it. */
void es_h5_close_file(struct es_h5 *h5, hid_t *file);

/* The type of variable-length UTF-8 strings, to close. */
hid_t es_h5_string_type(struct es_h5 *h5);

/* Attributes of an object: one text, or n numbers of a type. */
void es_h5_put_text(struct es_h5 *h5, hid_t object, const char *name, const char *text);
void es_h5_put_numbers(struct es_h5 *h5, hid_t object, const char *name, hid_t type,
                       const void *values, hsize_t n);

/* The value of a text attribute, allocated; NULL when it is of another kind, or on failure. */
char *es_h5_get_text(struct es_h5 *h5, hid_t attribute);

#endif
