/* Files copied from folder to folder: whole or not at all, with their times, and with the copy's
 * content its own, however the copy or the original are written later.
 */
#ifndef ES_SYS_COPYFILE_H
#define ES_SYS_COPYFILE_H

#include <stdbool.h>

/* Copies a regular file (or what a symbolic link leads to) to `to`, in place of what is
 * there. The file system shares or copies the bytes itself where it can. With sync they are
 * on the disk before the rename; the folder is the caller's. 0, or -1 with errno set: EINVAL
 * for what is no regular file. */
int es_copy_file_at(int from_dir_fd, const char *from, int to_dir_fd, const char *to, bool sync);

/* Makes `to` a second name of a file, in place of what is there; copies it where that cannot
 * be (another file system, or one without links). As es_copy_file_at. */
int es_link_file_at(int from_dir_fd, const char *from, int to_dir_fd, const char *to, bool sync);

#endif
