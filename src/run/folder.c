#include "run/folder.h"

#include "core/buf.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define JOB_LIMIT_BYTES ((size_t)64 << 20)
#define EPOCH_LIMIT_BYTES ((size_t)1 << 16)

static int own_path(const char *run_dir, const char *name, char *ret_path, struct es_err *err)
{
    int n = snprintf(ret_path, PATH_MAX, "%s/" ES_FOLDER_NAME "%s", run_dir, name);
    return n < 0 || n >= PATH_MAX ? es_err_sys(err, ENAMETOOLONG, "using the run folder", run_dir)
                                  : 0;
}

int es_folder_make(const char *run_dir, struct es_err *err)
{
    char path[PATH_MAX];
    static const char *const names[] = {"/" ES_FOLDER_DRIVERS, "/" ES_FOLDER_LEASES};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof names[0]; i++) {
        rc = own_path(run_dir, names[i], path, err);
        if (rc == 0 && es_mkdir_all_at(AT_FDCWD, path) < 0)
            rc = es_err_sys(err, errno, "making the run folder", path);
    }
    return rc;
}

void es_folder_sweep(const char *run_dir)
{
    char path[PATH_MAX];
    es_atomic_sweep(AT_FDCWD, run_dir);
    if (own_path(run_dir, "", path, NULL) == 0)
        es_atomic_sweep(AT_FDCWD, path);
}

int es_folder_load_job(const char *run_dir, const struct es_job_overrides *overrides,
                       struct es_job **ret_job, struct es_err *err)
{
    char path[PATH_MAX];
    struct es_buf text = {0};
    struct es_err fault = {0};
    int rc = own_path(run_dir, "/job.json", path, &fault);
    if (rc == 0 && es_file_read_at(AT_FDCWD, path, JOB_LIMIT_BYTES, &text, NULL) < 0)
        rc = es_file_read_error(&fault, errno, "reading the saved job", path);
    else if (rc == 0)
        rc = es_job_parse(text.data, text.len, run_dir, overrides, ret_job, &fault);
    es_buf_clear(&text);
    if (rc < 0 && strcmp(fault.subject, run_dir) == 0) /* where the files are that the job names */
        es_err_set(&fault, fault.code, fault.doing, path, "%s", fault.why);
    if (rc < 0 && err)
        *err = fault;
    return rc;
}

int es_folder_write_job(const char *run_dir, const char *text, size_t n, struct es_err *err)
{
    char path[PATH_MAX];
    int rc = own_path(run_dir, "/job.json", path, err);
    return rc < 0 ? rc : es_atomic_write(AT_FDCWD, path, text, n, true, NULL, err);
}

int es_folder_started(const char *run_dir, int64_t *ret_started_ns, struct es_err *err)
{
    char path[PATH_MAX];
    struct stat st;
    int rc = own_path(run_dir, "/job.json", path, err);
    if (rc < 0)
        return rc;
    if (stat(path, &st) < 0)
        return es_err_sys(err, errno, "looking at the saved job", path);
    *ret_started_ns = es_file_id(&st).mtime_ns;
    return 0;
}

/* The epoch file: whether it is there, its time, and the Slurm job id in it ("" for none). */
static int read_epoch(const char *run_dir, bool *ret_found, int64_t *ret_time_ns,
                      char ret_job_id[64], struct es_err *err)
{
    char path[PATH_MAX];
    struct es_buf text = {0};
    struct es_file_id id;
    cJSON *root = NULL;
    *ret_found = false;
    ret_job_id[0] = '\0';
    int rc = own_path(run_dir, "/epoch", path, err);
    if (rc < 0)
        return rc;
    if (es_file_read_at(AT_FDCWD, path, EPOCH_LIMIT_BYTES, &text, &id) < 0) {
        rc = errno == ENOENT || errno == ENOTDIR
                 ? 0
                 : es_file_read_error(err, errno, "reading the epoch", path);
        es_buf_clear(&text);
        return rc;
    }
    if (es_json_parse(text.data, text.len, path, &root, NULL) == 0) {
        const char *job_id = es_json_get_string(root, "slurm_job_id");
        (void)snprintf(ret_job_id, 64, "%s", job_id ? job_id : "");
        cJSON_Delete(root);
    }
    es_buf_clear(&text);
    *ret_found = true;
    *ret_time_ns = id.mtime_ns;
    return 0;
}

int es_folder_epoch(const char *run_dir, int64_t *ret_not_before_ns, struct es_err *err)
{
    bool found;
    int64_t time_ns = INT64_MIN;
    char job_id[64];
    int rc = read_epoch(run_dir, &found, &time_ns, job_id, err);
    if (rc == 0)
        *ret_not_before_ns = found ? time_ns : INT64_MIN;
    return rc;
}

int es_folder_begin_epoch(const char *run_dir, const char *slurm_job_id, struct es_err *err)
{
    bool found;
    int64_t time_ns;
    char job_id[64], path[PATH_MAX], begun[24];
    int rc = read_epoch(run_dir, &found, &time_ns, job_id, err);
    if (rc < 0)
        return rc;
    if (found && slurm_job_id && strcmp(slurm_job_id, job_id) == 0)
        return 0;
    rc = own_path(run_dir, "/epoch", path, err);
    if (rc < 0)
        return rc;
    struct es_buf text = {0};
    es_clock_format_utc(es_clock_wall_s(), begun);
    es_buf_printf(&text, "{\"begun\":\"%s\",\"slurm_job_id\":", begun);
    es_buf_json_string(&text, slurm_job_id ? slurm_job_id : "",
                       slurm_job_id ? strlen(slurm_job_id) : 0);
    es_buf_puts(&text, "}\n");
    rc = text.failed ? es_err_nomem(err, "beginning an epoch")
                     : es_atomic_write(AT_FDCWD, path, text.data, text.len, false, NULL, err);
    es_buf_clear(&text);
    return rc;
}
