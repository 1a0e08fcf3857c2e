/* Files that appear whole or not at all: written under a short temporary name in the same folder,
 * then renamed.
 *
 * With sync, the content is on the disk before the rename and the folder after it. Without, a
 * kill -9 leaves the old file or the new one; a power loss may leave an empty one.
 * A writer that is killed leaves at most a ".es-XXXXXXXX" file behind, which nothing reads.
 * Permissions follow the umask. Threads: any.
 */
#ifndef ES_SYS_ATOMICFILE_H
#define ES_SYS_ATOMICFILE_H

#include "evalsweep/error.h"
#include "evalsweep/units.h"

#include <stdbool.h>
#include <stddef.h>

/* Writes path (relative to dir_fd, which may be AT_FDCWD) from n bytes. ret_id may be NULL: which
 * content was written. The error names the path. */
int es_atomic_write(int dir_fd, const char *path, const void *bytes, size_t n, bool sync,
                    struct es_file_id *ret_id, struct es_err *err);

/* The same, without sync; may_replace is asked when all is written, before the file that is there
 * is replaced: an error leaves it. */
int es_atomic_write_if(int dir_fd, const char *path, const void *bytes, size_t n,
                       int (*may_replace)(void *context, struct es_err *err), void *context,
                       struct es_err *err);

/* The parts of it, for those who fill the file by other means. Makes a temporary file beside
 * `path`, whose name goes to ret_temp: its descriptor, or -1 with errno set. */
int es_atomic_open(int dir_fd, const char *path, char *ret_temp, size_t temp_size_bytes);
/* Closes *fd (-1 afterwards) and renames the file to `path`; if that fails, or rc says that filling
 * it did, removes it instead. 0, or -1 with errno set. */
int es_atomic_close(int dir_fd, const char *temp, int *fd, int rc, const char *path);

/* A temporary name beside `path`, for what is no descriptor of ours to write (a link, HDF5's); the
 * caller renames or unlinks it. path_size bytes at ret_path. */
int es_atomic_temp_path(const char *path, char *ret_path, size_t path_size_bytes);

/* Whether a file's name (without its folder) is such a temporary name. */
bool es_atomic_is_temp(const char *name);

/* Removes the files with such names from a folder, as far as it can: only for who knows that their
 * writers are gone. */
void es_atomic_sweep(int dir_fd, const char *path);

#endif
