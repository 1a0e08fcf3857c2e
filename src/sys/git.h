/* Which commit a folder's git work tree has checked out, without git: a few small files are read
 * (.git, also where it names another folder, HEAD, the ref, packed-refs). Whether the tree has
 * changes beside it is not told: that takes git itself.
 *
 * Threads: any.
 */
#ifndef ES_SYS_GIT_H
#define ES_SYS_GIT_H

#include <stdbool.h>

#define ES_GIT_COMMIT_SIZE 65

/* The commit of the work tree that the folder lies in, as lower-case hexadecimal digits. False:
 * there is none, or it cannot be told. */
bool es_git_commit(const char *folder, char ret_commit[ES_GIT_COMMIT_SIZE]);

#endif
