#include "exec/fifo.h"

#include "core/buf.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char leaf[] = "/reply";

static int make(struct es_buf *path, const char *parent)
{
    es_buf_reset(path);
    es_buf_printf(path, "%s/evalsweep-XXXXXX", parent);
    if (path->failed || !es_buf_reserve(path, sizeof leaf)) {
        errno = ENOMEM;
        return -1;
    }
    if (!mkdtemp(path->data))
        return -1;
    size_t folder_n = path->len;
    es_buf_puts(path, leaf);
    if (mkfifo(path->data, 0600) == 0)
        return 0;
    int saved = errno;
    path->data[folder_n] = '\0';
    (void)rmdir(path->data);
    errno = saved;
    return -1;
}

int es_fifo_create(char **ret_path, int *ret_fd, struct es_err *err)
{
    const char *folder = getenv("TMPDIR");
    struct es_buf path = {0};
    int fd;
    if ((!folder || !folder[0] || make(&path, folder) < 0) && make(&path, "/tmp") < 0) {
        int rc = es_err_sys(err, errno, "making a FIFO for replies", "/tmp");
        es_buf_clear(&path);
        return rc;
    }
    /* Open for writing too, it has a writer for ever: no end of file, no hang-up. */
    fd = open(path.data, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        int rc = es_err_sys(err, errno, "opening the FIFO for replies", path.data);
        es_fifo_remove(path.data);
        return rc;
    }
    *ret_path = path.data;
    *ret_fd = fd;
    return 0;
}

void es_fifo_remove(char *path)
{
    if (!path)
        return;
    (void)unlink(path);
    char *slash = strrchr(path, '/');
    if (slash) {
        *slash = '\0';
        (void)rmdir(path);
    }
    free(path);
}
