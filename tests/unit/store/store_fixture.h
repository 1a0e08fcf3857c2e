/* What the tests of the store share: a folder of their own, whole files, and comparing tables. */
#ifndef ES_TESTS_STORE_FIXTURE_H
#define ES_TESTS_STORE_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/buf.h"
#include "evalsweep/store.h"
#include "helper/sample.h"
#include "helper/tempdir.h"
#include "sys/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <hdf5.h>
#include <limits.h>
#include <stdbool.h>
#include <unistd.h>

struct fixture {
    char folder[TEMPDIR_SIZE];
    char path[TEMPDIR_SIZE + 20]; /* of results.h5 in it */
};

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture || tempdir_create(fixture->folder) < 0)
        return -1;
    (void)snprintf(fixture->path, sizeof fixture->path, "%s/%s", fixture->folder, ES_STORE_NAME);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    tempdir_remove(fixture->folder);
    free(fixture);
    return 0;
}

/* How many entries a folder has, the two dots left out. */
static inline int count_entries(const char *folder)
{
    DIR *dir = opendir(folder);
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n - 2;
}

static inline struct es_buf read_whole(const char *path)
{
    struct es_buf bytes = {0};
    assert_int_equal(es_file_read_at(AT_FDCWD, path, SIZE_MAX / 8, &bytes, NULL), 0);
    return bytes;
}

static inline void write_whole(const char *path, const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, bytes, n), 0);
    es_fd_close(&fd);
}

static inline void assert_same_double(double a, double b)
{
    assert_true((isnan(a) && isnan(b)) || a == b);
}

static inline void assert_same_name(struct es_units *a, uint32_t code_a, struct es_units *b,
                                    uint32_t code_b, enum es_name_kind kind)
{
    assert_string_equal(es_units_name(a, kind, code_a), es_units_name(b, kind, code_b));
}

static inline void assert_same_tries(struct es_units *a, uint32_t id_a, struct es_units *b,
                                     uint32_t id_b)
{
    const struct es_units_columns x = es_units_columns(a), y = es_units_columns(b);
    const struct es_try_row *p, *q;
    assert_same_double(x.started_s[id_a], y.started_s[id_b]);
    assert_same_double(x.load_s[id_a], y.load_s[id_b]);
    assert_same_double(x.pass_s[id_a], y.pass_s[id_b]);
    assert_same_double(x.score_s[id_a], y.score_s[id_b]);
    assert_same_name(a, x.host[id_a], b, y.host[id_b], ES_NAME_HOST);
    assert_same_name(a, x.device[id_a], b, y.device[id_b], ES_NAME_DEVICE);
    assert_same_name(a, x.reason[id_a], b, y.reason[id_b], ES_NAME_REASON);
    uint32_t n = es_units_earlier(a, id_a, &p);
    assert_int_equal(n, es_units_earlier(b, id_b, &q));
    for (; n; n--, p++, q++) {
        assert_same_double(p->started_s, q->started_s);
        assert_same_double(p->finished_s, q->finished_s);
        assert_same_double(p->load_s, q->load_s);
        assert_same_double(p->pass_s, q->pass_s);
        assert_same_double(p->score_s, q->score_s);
        assert_int_equal(p->attempt, q->attempt);
        assert_int_equal(p->worker, q->worker);
        assert_same_name(a, p->host, b, q->host, ES_NAME_HOST);
        assert_same_name(a, p->device, b, q->device, ES_NAME_DEVICE);
        assert_same_name(a, p->reason, b, q->reason, ES_NAME_REASON);
    }
}

/* Whether two tables say the same of these units; grids may differ. */
static inline void assert_same_unit(struct es_units *a, uint32_t id_a, struct es_units *b,
                                    uint32_t id_b)
{
    const struct es_units_columns x = es_units_columns(a), y = es_units_columns(b);
    uint32_t first_x, first_y;
    assert_same_tries(a, id_a, b, id_b);
    assert_int_equal(x.status[id_a], y.status[id_b]);
    assert_same_double(x.main_score[id_a], y.main_score[id_b]);
    assert_same_double(x.evaluation_time_s[id_a], y.evaluation_time_s[id_b]);
    assert_same_double(x.finished_s[id_a], y.finished_s[id_b]);
    assert_int_equal(x.attempts[id_a], y.attempts[id_b]);
    assert_int_equal(x.worker[id_a], y.worker[id_b]);
    assert_memory_equal(&x.marker[id_a], &y.marker[id_b], sizeof *x.marker);
    uint32_t n = es_units_rows_of(a, id_a, &first_x);
    assert_int_equal(n, es_units_rows_of(b, id_b, &first_y));
    for (uint32_t i = 0; i < n; i++) {
        struct es_metric_row p = x.rows[first_x + i], q = y.rows[first_y + i];
        assert_same_double(p.value, q.value);
        assert_string_equal(es_units_name(a, ES_NAME_SPLIT, p.split),
                            es_units_name(b, ES_NAME_SPLIT, q.split));
        assert_string_equal(es_units_name(a, ES_NAME_SUBSET, p.subset),
                            es_units_name(b, ES_NAME_SUBSET, q.subset));
        assert_string_equal(es_units_name(a, ES_NAME_METRIC, p.metric),
                            es_units_name(b, ES_NAME_METRIC, q.metric));
    }
}

static inline void assert_same_table(struct es_units *a, struct es_units *b)
{
    assert_int_equal(es_units_columns(a).n_units, es_units_columns(b).n_units);
    for (uint32_t id = 0; id < es_units_columns(a).n_units; id++)
        assert_same_unit(a, id, b, id);
    assert_string_equal(es_units_attributes(a), es_units_attributes(b));
}

/* How many of the last identifiers before this one are in use. Takes the identifier. */
static inline int count_before(hid_t id)
{
    int n = 0;
    for (hid_t back = 1; back < 2000; back++)
        n += H5Iis_valid(id - back) > 0;
    (void)H5Idec_ref(id);
    return n;
}

/* Nothing of HDF5 is left open, and its printing is as it was. */
static inline void assert_hdf5_clean(void)
{
    H5E_auto2_t printer = NULL;
    void *data;
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    assert_int_equal(count_before(H5Screate(H5S_SCALAR)), 0);
    assert_int_equal(count_before(H5Pcreate(H5P_DATASET_CREATE)), 0);
    assert_int_equal(count_before(H5Tcopy(H5T_C_S1)), 0);
    assert_true(H5Eget_auto2(H5E_DEFAULT, &printer, &data) >= 0);
    assert_non_null(printer);
}

static inline struct es_units *empty_table(const struct es_grid *grid)
{
    struct es_units *units;
    assert_int_equal(es_units_create(grid, &units, NULL), 0);
    return units;
}

#endif
