/* The folder above all markers, when it cannot be opened: whether there is none yet, or the user's
 * link leads nowhere. */
#include "run/scan_internal.h"

#include <fcntl.h>
#include <sys/stat.h>

bool es_scan_is_cut_off(int run_fd, char *path)
{
    struct stat st;
    for (char *end = path;; end++) {
        if (*end != '/' && *end != '\0')
            continue;
        char kept = *end;
        *end = '\0';
        bool is_there = fstatat(run_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
        bool leads_nowhere = is_there && S_ISLNK(st.st_mode) && fstatat(run_fd, path, &st, 0) < 0;
        if (leads_nowhere)
            return true; /* path is the link now, for the error */
        *end = kept;
        if (!is_there || !kept)
            return false;
    }
}
