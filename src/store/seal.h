/* The seal: 24 bytes behind the HDF5 file's own end, with a checksum of everything before them.
 *
 * HDF5 checks its headers, but neither the scores nor every length that it follows: a page lost in
 * a power cut is read as scores, and of 15,000 stores with one byte changed HDF5 1.10.8 crashed on
 * 33 and hung on 5. So a store is checked whole before HDF5 opens it. Readers ignore what lies
 * behind HDF5's end of file. A program that writes to the store cuts the seal off: then the file is
 * no store to us any more, and the markers are read instead.
 */
#ifndef ES_STORE_SEAL_H
#define ES_STORE_SEAL_H

#include "evalsweep/error.h"

/* Appends the seal to a file that HDF5 has closed. -1 with errno set. */
int es_seal_put(int fd);

/* ES_ERR_STORE: not sealed, cut, or damaged. path is for the error. */
int es_seal_check(int fd, const char *path, struct es_err *err);

#endif
