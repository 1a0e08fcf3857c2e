#include "store/vfd.h"

#include "core/mem.h"
#include "sys/fd.h"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the access list carries; HDF5 copies it bytewise. */
struct driver_info {
    struct es_vfd *vfd;
};

/* One open file. */
struct driver_file {
    H5FD_t base; /* HDF5's part, which must come first */
    struct es_vfd *vfd;
    haddr_t end_allocated;
    haddr_t end_written;
};

static struct driver_file *of(H5FD_t *file)
{
    return (struct driver_file *)file;
}

static void keep_errno(struct es_vfd *vfd, int sys_errno)
{
    if (vfd->sys_errno == 0)
        vfd->sys_errno = sys_errno;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access_list, haddr_t max_address)
{
    (void)name;
    (void)flags;
    (void)max_address;
    const struct driver_info *info = H5Pget_driver_info(access_list);
    if (!info)
        return NULL;
    struct stat st;
    struct driver_file *file = es_mem_calloc(1, sizeof *file);
    if (!file || fstat(info->vfd->fd, &st) < 0) {
        keep_errno(info->vfd, file ? errno : ENOMEM);
        free(file);
        return NULL;
    }
    file->vfd = info->vfd;
    file->end_written = (haddr_t)st.st_size;
    return &file->base;
}

static herr_t driver_close(H5FD_t *file)
{
    free(of(file));
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *ret_flags)
{
    (void)file;
    *ret_flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
                 H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA |
                 H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct driver_file *)file)->end_allocated;
}

static herr_t driver_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    of(file)->end_allocated = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct driver_file *)file)->end_written;
}

static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address,
                          size_t n, void *buffer)
{
    (void)type;
    (void)transfer_list;
    struct es_vfd *vfd = of(file)->vfd;
    char *to = buffer;
    while (n) {
        ssize_t got = pread(vfd->fd, to, n, (off_t)address);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            keep_errno(vfd, errno);
            return -1;
        }
        if (got == 0) { /* beyond the end, where HDF5 expects zeros */
            memset(to, 0, n);
            break;
        }
        to += got;
        address += (haddr_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer_list, haddr_t address,
                           size_t n, const void *buffer)
{
    (void)type;
    (void)transfer_list;
    struct es_vfd *vfd = of(file)->vfd;
    if (address + n > of(file)->end_written)
        of(file)->end_written = address + n;
    if (vfd->sys_errno == 0 && es_fd_pwrite_all(vfd->fd, buffer, n, (int64_t)address) < 0)
        keep_errno(vfd, errno);
    return 0;
}

/* The last bytes that HDF5 allocates may never be written; it expects the file to hold them. */
static herr_t driver_truncate(H5FD_t *file, hid_t transfer_list, hbool_t closing)
{
    (void)transfer_list;
    (void)closing;
    struct driver_file *own = of(file);
    if (own->end_allocated == own->end_written)
        return 0;
    if (own->vfd->sys_errno == 0 && ftruncate(own->vfd->fd, (off_t)own->end_allocated) < 0)
        keep_errno(own->vfd, errno);
    own->end_written = own->end_allocated;
    return 0;
}

static const H5FD_class_t driver_class = {
#if H5_VERSION_GE(1, 13, 2)
    .version = H5FD_CLASS_VERSION,
    .value = 0x4553, /* of the range that is free for use */
#endif
    .name = "evalsweep",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(struct driver_info),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

herr_t es_vfd_init(struct es_vfd *vfd, int fd)
{
    *vfd = (struct es_vfd){.fd = fd, .driver = H5FDregister(&driver_class)};
    return vfd->driver < 0 ? -1 : 0;
}

void es_vfd_clear(struct es_vfd *vfd)
{
    if (vfd->driver >= 0)
        (void)H5Idec_ref(vfd->driver);
    vfd->driver = -1;
}

herr_t es_vfd_set(hid_t access_list, struct es_vfd *vfd)
{
    const struct driver_info info = {.vfd = vfd};
    return H5Pset_driver(access_list, vfd->driver, &info);
}
