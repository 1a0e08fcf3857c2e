#include "store/h5.h"

#include "core/mem.h"
#include "core/num.h"
#include "evalsweep/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void es_h5_begin(struct es_h5 *h5, const char *doing, const char *path, int fd, struct es_err *err)
{
    *h5 = (struct es_h5){.doing = doing, .path = path, .err = err};
    (void)H5Eget_auto2(H5E_DEFAULT, &h5->printer, &h5->printer_data);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    (void)H5Eclear2(H5E_DEFAULT);
    es_h5_ok(h5, es_vfd_init(&h5->vfd, fd));
}

int es_h5_end(struct es_h5 *h5)
{
    es_vfd_clear(&h5->vfd);
    (void)H5Eclear2(H5E_DEFAULT);
    (void)H5Eset_auto2(H5E_DEFAULT, h5->printer, h5->printer_data);
    return h5->rc;
}

static herr_t copy_innermost(unsigned n, const H5E_error2_t *error, void *ret_text)
{
    if (n == 0 && error->desc)
        (void)snprintf(ret_text, 500, "%s", error->desc);
    return 0;
}

static void keep_failure(struct es_h5 *h5)
{
    char text[500] = "HDF5 gives no reason";
    if (h5->rc < 0)
        return;
    if (h5->vfd.sys_errno) {
        h5->rc = es_err_sys(h5->err, h5->vfd.sys_errno, h5->doing, h5->path);
        return;
    }
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, copy_innermost, text);
    h5->rc = es_err_set(h5->err, ES_ERR_STORE, h5->doing, h5->path, "%s", text);
}

hid_t es_h5_id(struct es_h5 *h5, hid_t id)
{
    if (id < 0)
        keep_failure(h5);
    return id;
}

bool es_h5_ok(struct es_h5 *h5, herr_t status)
{
    if (status < 0 || h5->vfd.sys_errno)
        keep_failure(h5);
    return h5->rc == 0;
}

void es_h5_fail(struct es_h5 *h5, enum es_code code, const char *why_format, ...)
{
    if (h5->rc < 0)
        return;
    char text[500];
    va_list args;
    va_start(args, why_format);
    (void)vsnprintf(text, sizeof text, why_format, args);
    va_end(args);
    h5->rc = es_err_set(h5->err, code, h5->doing, h5->path, "%s", text);
}

void es_h5_nomem(struct es_h5 *h5)
{
    es_h5_fail(h5, ES_ERR_NOMEM, "%s", es_code_text(ES_ERR_NOMEM));
}

void es_h5_close(hid_t *id)
{
    if (*id >= 0)
        (void)H5Idec_ref(*id);
    *id = -1;
}

static hid_t access_list(struct es_h5 *h5)
{
    hid_t list = es_h5_id(h5, H5Pcreate(H5P_FILE_ACCESS));
    /* Formats that HDF5 1.8 knows, as netCDF-C writes them: what newer ones add (other chunk
     * indices, paged space) is of no use here and lost on older MATLAB and netCDF. 1.8 as the lower
     * bound gives checksummed headers, and attributes beyond 64 KiB. */
    es_h5_ok(h5, H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V18));
    es_h5_ok(h5, es_vfd_set(list, &h5->vfd));
    return list;
}

void es_h5_set_creation(struct es_h5 *h5, hid_t list, bool is_group)
{
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    if (is_group)
        es_h5_ok(h5, H5Pset_link_creation_order(list, order));
    es_h5_ok(h5, H5Pset_attr_creation_order(list, order));
    es_h5_ok(h5, H5Pset_obj_track_times(list, false));
}

hid_t es_h5_create_file(struct es_h5 *h5)
{
    hid_t create = es_h5_id(h5, H5Pcreate(H5P_FILE_CREATE));
    es_h5_set_creation(h5, create, true);
    hid_t access = access_list(h5);
    hid_t file = -1;
    if (h5->rc == 0)
        file = es_h5_id(h5, H5Fcreate(h5->path, H5F_ACC_EXCL, create, access));
    es_h5_close(&access);
    es_h5_close(&create);
    return file;
}

hid_t es_h5_open_file(struct es_h5 *h5)
{
    hid_t access = access_list(h5);
    hid_t file = -1;
    if (h5->rc == 0)
        file = es_h5_id(h5, H5Fopen(h5->path, H5F_ACC_RDONLY, access));
    es_h5_close(&access);
    return file;
}

void es_h5_close_file(struct es_h5 *h5, hid_t *file)
{
    if (*file >= 0)
        es_h5_ok(h5, H5Fclose(*file));
    *file = -1;
}

hid_t es_h5_string_type(struct es_h5 *h5)
{
    hid_t type = es_h5_id(h5, H5Tcopy(H5T_C_S1));
    es_h5_ok(h5, H5Tset_size(type, H5T_VARIABLE));
    es_h5_ok(h5, H5Tset_cset(type, H5T_CSET_UTF8));
    return type;
}

static void put_attribute(struct es_h5 *h5, hid_t object, const char *name, hid_t type, hid_t space,
                          const void *value)
{
    if (h5->rc < 0)
        return;
    hid_t attribute = es_h5_id(h5, H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    es_h5_ok(h5, H5Awrite(attribute, type, value));
    es_h5_close(&attribute);
}

/* Of fixed length, as netCDF-C writes text: a netCDF char attribute, which every reader knows. */
void es_h5_put_text(struct es_h5 *h5, hid_t object, const char *name, const char *text)
{
    struct es_buf utf8 = {0};
    es_buf_puts_utf8(&utf8, text);
    if (utf8.failed)
        es_h5_nomem(h5);
    hid_t type = es_h5_id(h5, H5Tcopy(H5T_C_S1));
    es_h5_ok(h5, H5Tset_size(type, utf8.len ? utf8.len : 1));
    es_h5_ok(h5, H5Tset_strpad(type, H5T_STR_NULLPAD));
    es_h5_ok(h5, H5Tset_cset(type, H5T_CSET_UTF8));
    hid_t space = es_h5_id(h5, H5Screate(H5S_SCALAR));
    put_attribute(h5, object, name, type, space, utf8.len ? utf8.data : "");
    es_h5_close(&space);
    es_h5_close(&type);
    es_buf_clear(&utf8);
}

void es_h5_put_numbers(struct es_h5 *h5, hid_t object, const char *name, hid_t type,
                       const void *values, hsize_t n)
{
    hid_t space = es_h5_id(h5, H5Screate_simple(1, &n, NULL));
    put_attribute(h5, object, name, type, space, values);
    es_h5_close(&space);
}

char *es_h5_get_text(struct es_h5 *h5, hid_t attribute)
{
    char *text = NULL;
    hid_t type = es_h5_id(h5, H5Aget_type(attribute));
    hid_t space = es_h5_id(h5, H5Aget_space(attribute));
    if (h5->rc == 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
        H5Sget_simple_extent_npoints(space) == 1) {
        text = es_mem_calloc(H5Tget_size(type) + 1, 1);
        if (text)
            es_h5_ok(h5, H5Aread(attribute, type, text));
        else
            es_h5_nomem(h5);
    }
    es_h5_close(&space);
    es_h5_close(&type);
    return text;
}

void es_store_hdf5_version(char ret_text[40])
{
    unsigned major = 0, minor = 0, release = 0;
    (void)H5get_libversion(&major, &minor, &release);
    (void)snprintf(ret_text, 40, "%u.%u.%u", major, minor, release);
}
