/* A FIFO in a private folder under $TMPDIR, to be read without ever seeing its end. */
#ifndef ES_EXEC_FIFO_H
#define ES_EXEC_FIFO_H

#include "evalsweep/error.h"

/* *ret_path is allocated; *ret_fd is non-blocking and close-on-exec. */
int es_fifo_create(char **ret_path, int *ret_fd, struct es_err *err);

/* Removes FIFO and folder, and frees the path, which may be NULL. */
void es_fifo_remove(char *path);

#endif
