#include "evalsweep/store.h"

#include "store/contents.h"
#include "store/h5.h"
#include "store/seal.h"
#include "sys/atomicfile.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const char doing[] = "writing the store";
static const char state_folder[] = ".evalsweep";
static const char previous_name[] = ".evalsweep/results.prev.h5";

static int join_path(char *ret_path, size_t size_bytes, const char *folder, const char *name,
                     struct es_err *err)
{
    int n = snprintf(ret_path, size_bytes, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= size_bytes)
        return es_err_sys(err, ENAMETOOLONG, doing, folder);
    return 0;
}

/* What is written: a run, or several. */
struct content {
    const struct es_attribute *attributes;
    size_t n_attributes;
    struct es_units *units;
    const struct es_store_merge *merge; /* NULL: a run */
};

/* The file's content, sealed. The error names the file that it will be. */
static int fill(int fd, const char *path, const struct content *content, struct es_err *err)
{
    struct es_h5 h5;
    es_h5_begin(&h5, doing, path, fd, err);
    hid_t file = es_h5_create_file(&h5);
    if (file >= 0 && content->merge)
        es_contents_merge(&h5, file, content->merge);
    else if (file >= 0)
        es_contents_write(&h5, file, content->attributes, content->n_attributes, content->units);
    es_h5_close_file(&h5, &file);
    int rc = es_h5_end(&h5);
    if (rc == 0 && es_seal_put(fd) < 0)
        rc = es_err_sys(err, errno, doing, path);
    return rc;
}

/* Writes the temporary file; on failure it is gone. */
static int write_temp(const char *temp, const char *path, const struct content *content, bool sync,
                      struct es_err *err)
{
    int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return es_err_sys(err, errno, doing, path);
    int rc = fill(fd, path, content, err);
    if (rc == 0 && sync && fsync(fd) < 0)
        rc = es_err_sys(err, errno, doing, path);
    if (rc < 0)
        es_fd_close(&fd);
    else if (close(fd) < 0) /* some file systems report a full disk only here */
        rc = es_err_sys(err, errno, doing, path);
    if (rc < 0)
        (void)unlink(temp);
    return rc;
}

/* Another name for the file that is about to be replaced. Without it readers over NFS may lose
 * theirs in mid-read, but nothing else is lost: so where links cannot be made, there is none. */
static void keep_previous(int run_fd)
{
    char temp[PATH_MAX];
    if (es_atomic_temp_path(previous_name, temp, sizeof temp) < 0 ||
        linkat(run_fd, ES_STORE_NAME, run_fd, temp, 0) < 0)
        return;
    (void)renameat(run_fd, temp, run_fd, previous_name);
    (void)unlinkat(run_fd, temp, 0); /* a rename between two names of one file leaves both */
}

static int publish(int run_fd, const char *temp, const struct es_store_write *request,
                   const char *path, struct es_err *err)
{
    if (es_mkdir_all_at(run_fd, state_folder) < 0) {
        char folder[PATH_MAX];
        int saved = errno;
        return join_path(folder, sizeof folder, request->run_dir, state_folder, err) < 0
                   ? ES_ERR_IO
                   : es_err_sys(err, saved, doing, folder);
    }
    int rc = request->may_replace ? request->may_replace(request->context, err) : 0;
    if (rc < 0)
        return rc;
    keep_previous(run_fd);
    if (rename(temp, path) < 0 || (request->fsync && fsync(run_fd) < 0))
        return es_err_sys(err, errno, doing, path);
    return 0;
}

int es_store_write(const struct es_store_write *request, struct es_units *units, struct es_err *err)
{
    char path[PATH_MAX], temp[PATH_MAX];
    int rc = join_path(path, sizeof path, request->run_dir, ES_STORE_NAME, err);
    if (rc < 0)
        return rc;
    if (es_atomic_temp_path(path, temp, sizeof temp) < 0)
        return es_err_sys(err, errno, doing, path);
    int run_fd = open(request->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run_fd < 0)
        return es_err_sys(err, errno, doing, request->run_dir);
    const struct content content = {request->attributes, request->n_attributes, units, NULL};
    rc = write_temp(temp, path, &content, request->fsync, err);
    if (rc == 0) {
        rc = publish(run_fd, temp, request, path, err);
        if (rc < 0)
            (void)unlink(temp);
    }
    es_fd_close(&run_fd);
    return rc;
}

static int write_file(const char *path, const struct content *content, struct es_err *err)
{
    char temp[PATH_MAX];
    if (es_atomic_temp_path(path, temp, sizeof temp) < 0)
        return es_err_sys(err, errno, doing, path);
    int rc = write_temp(temp, path, content, false, err);
    if (rc == 0 && rename(temp, path) < 0) {
        rc = es_err_sys(err, errno, doing, path);
        (void)unlink(temp);
    }
    return rc;
}

int es_store_write_file(const char *path, const struct es_attribute *attributes,
                        size_t n_attributes, struct es_units *units, struct es_err *err)
{
    const struct content content = {attributes, n_attributes, units, NULL};
    return write_file(path, &content, err);
}

int es_store_merge(const struct es_store_merge *request, struct es_err *err)
{
    const struct content content = {.merge = request};
    return write_file(request->path, &content, err);
}
