/* The scan on real folders: what it finds, what it leaves alone, and how many calls it takes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "run/scan.h"
#include "unit/run/tree.h"

#include <math.h>
#include <errno.h>
#include <sys/resource.h>

#define LEN(array) (sizeof(array) / sizeof(array)[0])
#define N_CHECKPOINTS 3
#define N_LAYERS 2
#define N_TASKS 4
#define N_UNITS (N_CHECKPOINTS * N_LAYERS * N_TASKS)

static const char *const checkpoints[N_CHECKPOINTS] = {"step0", "step1", "step512"};
static const int32_t layers[N_LAYERS] = {3, 12};
static const char *const tasks[N_TASKS] = {"STS12", "STS13", "Bank 77", "\xc3\xa4"};

struct fixture {
    struct tree tree;
    struct es_grid *grid;
    struct es_layout *layout;
    struct es_units *units;
    struct es_units_columns columns;
    struct es_scan_options options;
    struct es_scan_summary summary;
};

static void use_layout(struct fixture *f, const char *text)
{
    es_layout_free(f->layout);
    f->layout = NULL;
    assert_int_equal(es_layout_create(text, &f->layout, NULL), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    tree_make(&f->tree);
    assert_int_equal(es_grid_create(checkpoints, N_CHECKPOINTS, layers, N_LAYERS, tasks, N_TASKS,
                                    &f->grid, NULL),
                     0);
    assert_int_equal(es_units_create(f->grid, &f->units, NULL), 0);
    f->columns = es_units_columns(f->units);
    f->options.not_before_ns = INT64_MIN;
    use_layout(f, ES_LAYOUT_DEFAULT);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tree_remove(&f->tree);
    es_layout_free(f->layout);
    es_units_free(f->units);
    es_grid_free(f->grid);
    free(f);
    return 0;
}

static const char *path_of(struct fixture *f, uint32_t unit_id, const char *name)
{
    static char path[4096];
    struct es_buf dir = {0};
    es_layout_unit_dir(f->layout, f->grid, es_grid_unit(f->grid, unit_id), &dir);
    (void)snprintf(path, sizeof path, "%s/%s", dir.data, name);
    es_buf_clear(&dir);
    return path;
}

/* A marker whose main score is the unit's id. */
static void mark(struct fixture *f, uint32_t unit_id)
{
    char text[100];
    (void)snprintf(text, sizeof text,
                   "{\"main_score\":%u,\"metrics\":[{\"metric\":\"m\",\"value\":1}]}", unit_id);
    tree_write(&f->tree, path_of(f, unit_id, "done.json"), text);
}

static void scan(struct fixture *f)
{
    struct es_err err = {0};
    if (es_scan(f->tree.path, f->layout, &f->options, f->units, &f->summary, &err) < 0)
        fail_msg("%s: %s", err.subject, err.why);
    uint32_t n = 0;
    for (int i = 0; i < ES_MARKER_N_STATES; i++)
        n += f->summary.n_markers[i];
    assert_int_equal(n, es_grid_n_units(f->grid) - es_grid_n_excluded(f->grid));
}

static void check_done(const struct fixture *f, uint32_t unit_id)
{
    assert_int_equal(f->columns.status[unit_id], ES_STATUS_DONE);
    assert_true(f->columns.main_score[unit_id] == unit_id);
    uint32_t first;
    assert_int_equal(es_units_rows_of(f->units, unit_id, &first), 1);
}

static const char *const layouts[] = {
    ES_LAYOUT_DEFAULT,
    "{task}/{layer}/{checkpoint}",
    "out/layer_{layer}/x/{checkpoint}/y/{task}/z",
    "{checkpoint}-{layer}-{task}",
    "a/b/{layer}.{task}/c/{checkpoint}",
    "{checkpoint}/{checkpoint}_{layer}/{task}/{task}-{layer}-{checkpoint}",
    "{layer}/{checkpoint}_{task}",
};

/* Every layout, done units at random, one thread and many: exactly those are done. */
static void test_layouts(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < LEN(layouts); i++) {
        use_layout(f, layouts[i]);
        for (uint32_t id = 0; id < N_UNITS; id++)
            if (id % 3 != i % 3)
                mark(f, id);
        for (f->options.n_threads = 0; f->options.n_threads < 4; f->options.n_threads++) {
            for (uint32_t id = 0; id < N_UNITS; id++)
                es_units_reset(f->units, id);
            scan(f);
            for (uint32_t id = 0; id < N_UNITS; id++) {
                if (id % 3 != i % 3)
                    check_done(f, id);
                else
                    assert_int_equal(f->columns.status[id], ES_STATUS_PENDING);
            }
            assert_int_equal(f->summary.n_markers[ES_MARKER_VALID], N_UNITS * 2 / 3);
            assert_int_equal(f->summary.first_bad, ES_GRID_NONE);
        }
        assert_int_equal(es_units_n_names(f->units, ES_NAME_METRIC), 1);
        tree_remove(&f->tree);
        tree_make(&f->tree);
    }
}

/* A folder that is not there costs one call for all the units below it. */
static void test_calls(void **state)
{
    struct fixture *f = *state;
    scan(f);
    assert_int_equal(f->summary.n_calls, 1);
    assert_int_equal(f->summary.n_markers[ES_MARKER_NONE], N_UNITS);

    tree_folder(&f->tree, "outputs/mteb/Pythia/410m");
    scan(f);
    assert_int_equal(f->summary.n_calls, 2 + N_CHECKPOINTS);

    tree_folder(&f->tree, "outputs/mteb/Pythia/410m/step1");
    scan(f);
    assert_int_equal(f->summary.n_calls, 2 + N_CHECKPOINTS + 1 + N_LAYERS);

    tree_folder(&f->tree, "outputs/mteb/Pythia/410m/step1/layer_12");
    scan(f);
    assert_int_equal(f->summary.n_calls, 2 + N_CHECKPOINTS + 1 + N_LAYERS + 1 +
                                             2 * N_TASKS); /* done.json, failed.json */

    mark(f, 12); /* open, stat, read and close where two calls were */
    scan(f);
    check_done(f, 12);
    assert_int_equal(f->summary.n_calls, 2 + N_CHECKPOINTS + 1 + N_LAYERS + 1 + 2 * N_TASKS + 2);

    scan(f); /* a stat */
    check_done(f, 12);
    assert_int_equal(f->summary.n_known, 1);
    assert_int_equal(f->summary.n_calls, 2 + N_CHECKPOINTS + 1 + N_LAYERS + 1 + 2 * N_TASKS - 1);
}

static void test_no_run_dir(void **state)
{
    struct fixture *f = *state;
    char missing[5000];
    mark(f, 5);
    scan(f);
    (void)snprintf(missing, sizeof missing, "%s/none", f->tree.path);
    assert_int_equal(es_scan(missing, f->layout, &f->options, f->units, &f->summary, NULL), 0);
    assert_int_equal(f->summary.n_markers[ES_MARKER_NONE], N_UNITS);
    assert_int_equal(f->columns.status[5], ES_STATUS_PENDING);

    struct es_err err = {0};
    tree_write(&f->tree, "none", "a file");
    assert_int_equal(es_scan(missing, f->layout, &f->options, f->units, &f->summary, &err),
                     ES_ERR_IO);
    assert_string_equal(err.subject, missing);
}

/* outputs/ on another file system, as a link of the user's: followed while it leads somewhere. One
 * that leads nowhere, or what is no folder, must not look like a run without results. */
static void test_linked_outputs(void **state)
{
    struct fixture *f = *state;
    struct es_err err = {0};
    mark(f, 5);
    assert_int_equal(renameat(f->tree.fd, "outputs", f->tree.fd, "scratch"), 0);
    assert_int_equal(symlinkat("scratch", f->tree.fd, "outputs"), 0);
    scan(f);
    check_done(f, 5);
    assert_int_equal(renameat(f->tree.fd, "scratch", f->tree.fd, "elsewhere"), 0);
    assert_int_equal(es_scan(f->tree.path, f->layout, &f->options, f->units, &f->summary, &err),
                     ES_ERR_IO);
    assert_string_equal(err.subject, "outputs");
    assert_string_equal(err.why, "a link to nothing");
    assert_int_equal(unlinkat(f->tree.fd, "outputs", 0), 0);
    tree_write(&f->tree, "outputs", "a file");
    assert_int_equal(es_scan(f->tree.path, f->layout, &f->options, f->units, &f->summary, &err),
                     ES_ERR_IO);
    assert_string_equal(err.why, "Not a directory");
}

/* The table is brought up to date: new and changed markers are read, gone ones forgotten. */
static void test_again(void **state)
{
    struct fixture *f = *state;
    mark(f, 0);
    mark(f, 1);
    mark(f, 2);
    scan(f);
    assert_int_equal(f->summary.n_known, 0);
    tree_write(&f->tree, path_of(f, 1, "done.json"), "{\"main_score\":77}");
    assert_int_equal(unlinkat(f->tree.fd, path_of(f, 2, "done.json"), 0), 0);
    mark(f, 3);
    scan(f);
    assert_int_equal(f->summary.n_known, 1);
    check_done(f, 0);
    check_done(f, 3);
    assert_true(f->columns.main_score[1] == 77);
    uint32_t first;
    assert_int_equal(es_units_rows_of(f->units, 1, &first), 0);
    assert_int_equal(f->columns.status[2], ES_STATUS_PENDING);
    assert_true(isnan(f->columns.main_score[2]));
    assert_int_equal(es_units_rows_of(f->units, 2, &first), 0);
}

/* Each of inode, size and mtime on its own makes a marker unknown. */
static void test_identity(void **state)
{
    struct fixture *f = *state;
    use_layout(f, "{checkpoint}-{layer}-{task}");
    mark(f, 0);
    tree_set_mtime(&f->tree, path_of(f, 0, "done.json"), 5000);
    for (int i = 0; i < 4; i++) {
        scan(f);
        struct es_file_id *id = &f->columns.marker[0];
        f->columns.main_score[0] = -1;
        if (i == 0)
            id->inode++;
        if (i == 1)
            id->size_bytes++;
        if (i == 2)
            id->mtime_ns++;
        scan(f);
        assert_int_equal(f->summary.n_known, i == 3);
        assert_true(f->columns.main_score[0] == (i == 3 ? -1 : 0));
    }
}

/* A link to a marker is known as well as a marker. */
static void test_link(void **state)
{
    struct fixture *f = *state;
    mark(f, 0);
    tree_folder(&f->tree, "outputs/mteb/Pythia/410m/step0/layer_3/STS13");
    assert_int_equal(symlinkat("../STS12/done.json", f->tree.fd, path_of(f, 1, "done.json")), 0);
    scan(f);
    assert_int_equal(f->summary.n_markers[ES_MARKER_VALID], 2);
    assert_int_equal(f->columns.status[1], ES_STATUS_DONE);
    scan(f);
    assert_int_equal(f->summary.n_known, 2);
    assert_int_equal(unlinkat(f->tree.fd, path_of(f, 0, "done.json"), 0), 0);
    scan(f);
    assert_int_equal(f->summary.n_markers[ES_MARKER_DANGLING], 1);
    assert_int_equal(f->columns.status[1], ES_STATUS_PENDING);
}

static void test_bad_markers(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 0; id < N_UNITS; id++)
        mark(f, id);
    scan(f);
    tree_write(&f->tree, path_of(f, 20, "done.json"), "");
    tree_write(&f->tree, path_of(f, 7, "done.json"), "{\"main_score\":");
    assert_int_equal(unlinkat(f->tree.fd, path_of(f, 9, "done.json"), 0), 0);
    tree_folder(&f->tree, path_of(f, 9, "done.json"));
    assert_int_equal(unlinkat(f->tree.fd, path_of(f, 11, "done.json"), 0), 0);
    assert_int_equal(mkfifoat(f->tree.fd, path_of(f, 11, "done.json"), 0666), 0);
    int fd = openat(f->tree.fd, path_of(f, 13, "done.json"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)65 << 20), 0);
    es_fd_close(&fd);
    scan(f);
    assert_int_equal(f->summary.n_markers[ES_MARKER_EMPTY], 1);
    assert_int_equal(f->summary.n_markers[ES_MARKER_MALFORMED], 1);
    assert_int_equal(f->summary.n_markers[ES_MARKER_NOT_FILE], 2);
    assert_int_equal(f->summary.n_markers[ES_MARKER_HUGE], 1);
    assert_int_equal(f->summary.n_known, N_UNITS - 5);
    assert_int_equal(f->summary.first_bad, 7);
    assert_int_equal(es_units_count(f->units).pending, 5);
    assert_int_equal(es_units_count(f->units).done, N_UNITS - 5);
}

static void test_excluded(void **state)
{
    struct fixture *f = *state;
    es_units_free(f->units);
    es_grid_exclude(f->grid, 1, ES_GRID_ANY, ES_GRID_ANY);
    es_grid_exclude(f->grid, 0, 0, 2);
    assert_int_equal(es_units_create(f->grid, &f->units, NULL), 0);
    f->columns = es_units_columns(f->units);
    for (uint32_t id = 0; id < N_UNITS; id++)
        mark(f, id);
    scan(f);
    assert_int_equal(es_units_count(f->units).done, N_UNITS - N_LAYERS * N_TASKS - 1);
    assert_int_equal(f->columns.status[2], ES_STATUS_EXCLUDED);
    assert_int_equal(f->columns.status[8], ES_STATUS_EXCLUDED);
    tree_remove(&f->tree);
    tree_make(&f->tree);
    scan(f);
    assert_int_equal(f->columns.status[2], ES_STATUS_EXCLUDED);
    assert_int_equal(es_units_count(f->units).done, 0);
}

static void test_failed(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, path_of(f, 0, "failed.json"),
               "{\"schema\":1,\"status\":\"failed\",\"attempt\":3,\"reason\":\"timed out\"}");
    tree_write(&f->tree, path_of(f, 1, "failed.json"), "torn {");
    tree_folder(&f->tree, path_of(f, 2, "failed.json"));
    tree_write(&f->tree, path_of(f, 3, "failed.json"), "{}");
    tree_write(&f->tree, path_of(f, 4, "failed.json"),
               "{\"schema\":1,\"status\":\"failed\",\"attempt\":1,\"retry\":true}");
    mark(f, 3);
    scan(f);
    assert_int_equal(es_units_count(f->units).failed, 0);
    f->options.look_for_failed = true;
    scan(f);
    assert_int_equal(f->columns.status[0], ES_STATUS_FAILED);
    assert_int_equal(f->columns.attempts[0], 3);
    assert_int_equal(f->columns.marker[0].inode, 0);
    assert_int_equal(f->columns.status[1], ES_STATUS_FAILED);
    assert_int_equal(f->columns.status[2], ES_STATUS_PENDING);
    check_done(f, 3);
    assert_int_equal(f->columns.status[4], ES_STATUS_PENDING); /* it was not the last try */
    assert_int_equal(es_units_count(f->units).failed, 2);
    assert_int_equal(unlinkat(f->tree.fd, path_of(f, 0, "failed.json"), 0), 0);
    scan(f);
    assert_int_equal(f->columns.status[0], ES_STATUS_PENDING);
    assert_int_equal(f->columns.attempts[0], 0);
    f->options.look_for_failed = false;
    scan(f);
    assert_int_equal(f->columns.status[1], ES_STATUS_PENDING);
}

static void test_age(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 0; id < 3; id++) {
        mark(f, id);
        tree_set_mtime(&f->tree, path_of(f, id, "done.json"), 1000 + (time_t)id);
    }
    tree_write(&f->tree, path_of(f, 4, "failed.json"), "{}");
    tree_set_mtime(&f->tree, path_of(f, 4, "failed.json"), 1000);
    scan(f);
    assert_int_equal(es_units_count(f->units).done, 3);
    assert_int_equal(f->summary.n_older, 0);
    f->options.not_before_ns = 1001000000000;
    f->options.look_for_failed = true;
    for (int again = 0; again < 2; again++) {
        scan(f);
        assert_int_equal(es_units_count(f->units).done, 2);
        assert_int_equal(f->summary.n_older, 1);
        assert_int_equal(f->summary.n_known, 2);
        assert_int_equal(f->columns.status[0], ES_STATUS_PENDING);
        assert_int_equal(es_units_count(f->units).failed, 0);
    }
}

/* What failed before the run that is going on is to be tried again; what failed in it is not. */
static void test_age_of_failed(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 0; id < 3; id++) {
        const char *path = path_of(f, id, id < 2 ? "failed.json" : "done.json");
        tree_write(&f->tree, path, "{}");
        tree_set_mtime(&f->tree, path, 1000 + (time_t)(id % 2));
    }
    f->options.look_for_failed = true;
    f->options.failed_not_before_ns = 1001000000000;
    scan(f);
    assert_int_equal(f->columns.status[0], ES_STATUS_PENDING);
    assert_int_equal(f->columns.status[1], ES_STATUS_FAILED);
    assert_int_equal(f->columns.status[2], ES_STATUS_DONE); /* markers are of any age */
}

/* More units in one folder than one visit takes. */
static void test_large_folder(void **state)
{
    struct fixture *f = *state;
    enum { N = 1000 };
    static char names[N][16];
    static const char *pointers[N];
    struct es_grid *grid;
    for (int i = 0; i < N; i++) {
        (void)snprintf(names[i], sizeof names[i], "task%d", i);
        pointers[i] = names[i];
    }
    assert_int_equal(es_grid_create(checkpoints, 1, layers, 1, pointers, N, &grid, NULL), 0);
    es_units_free(f->units);
    es_grid_free(f->grid);
    f->grid = grid;
    assert_int_equal(es_units_create(grid, &f->units, NULL), 0);
    f->columns = es_units_columns(f->units);
    for (uint32_t id = 0; id < N; id += 7)
        mark(f, id);
    scan(f);
    for (uint32_t id = 0; id < N; id++) {
        if (id % 7 == 0)
            check_done(f, id);
        else
            assert_int_equal(f->columns.status[id], ES_STATUS_PENDING);
    }
}

/* Without descriptors nothing can be known: an error, not a tree with nothing in it. */
static void test_no_descriptors(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit, none;
    struct es_err err = {0};
    mark(f, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(f->tree.fd); /* the scan gets this one for the run folder, and no other */
    es_fd_close(&next);
    next = dup(f->tree.fd);
    none = (struct rlimit){(rlim_t)next + 1, limit.rlim_max};
    es_fd_close(&next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    f->options.n_threads = 2;
    int rc = es_scan(f->tree.path, f->layout, &f->options, f->units, &f->summary, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(rc, ES_ERR_IO);
    assert_int_equal(err.sys_errno, EMFILE);
}

/* Out of memory at any point: an error, or everything found all the same. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    int rc = ES_ERR_NOMEM;
    f->options.n_threads = 1; /* the hook counts for one thread */
    mark(f, 0);
    mark(f, 13);
    tree_write(&f->tree, path_of(f, 2, "done.json"), "{}");
    tree_write(&f->tree, path_of(f, 2, "a/b/Bank 77.json"),
               "{\"scores\":{\"test\":[{\"main_score\":2}]}}");
    for (long n = 0; rc < 0; n++) {
        assert_in_range(n, 0, 1000);
        for (uint32_t id = 0; id < N_UNITS; id++)
            es_units_reset(f->units, id);
        es_mem_fail_after(n);
        rc = es_scan(f->tree.path, f->layout, &f->options, f->units, &f->summary, NULL);
        es_mem_fail_after(-1);
        assert_true(rc == 0 || rc == ES_ERR_NOMEM);
    }
    check_done(f, 0);
    check_done(f, 2);
    check_done(f, 13);

    struct es_grid *grid = NULL;
    rc = ES_ERR_NOMEM;
    for (long n = 0; rc < 0; n++) {
        assert_in_range(n, 0, 1000);
        es_mem_fail_after(n);
        rc = es_scan_discover(f->tree.path, &grid, NULL);
        es_mem_fail_after(-1);
        assert_true(rc == 0 || rc == ES_ERR_NOMEM);
    }
    assert_int_equal(es_grid_n_tasks(grid), 3);
    es_grid_free(grid);
}

static void test_discover(void **state)
{
    struct fixture *f = *state;
    struct es_grid *grid = NULL;
    struct es_err err = {0};
#define TOP "outputs/mteb/Pythia/410m/"
    assert_int_equal(es_scan_discover(f->tree.path, &grid, &err), ES_ERR_NOENT);
    tree_folder(&f->tree, TOP "step0");
    assert_int_equal(es_scan_discover(f->tree.path, &grid, &err), ES_ERR_NOENT);
    assert_null(grid);
    static const char *const folders[] = {
        TOP "step1000/layer_21/STS12",    TOP "step512/layer_3/STS12", TOP "step512/layer_21/Bank",
        TOP "step2/layer_100/a",          TOP "step2/layer_x/no",      TOP "step2/layer_007/no",
        TOP "step2/layer_-1/no",          TOP "step2/layer_/no",       TOP "step2/other/no",
        TOP ".cache/layer_21/no",         TOP "logs/2024/no",          TOP "step2/layer_3/.hidden",
        TOP "step2/layer_99999999999/no", TOP "bad\xff/layer_3/no",
    };
    for (size_t i = 0; i < LEN(folders); i++)
        tree_folder(&f->tree, folders[i]);
    tree_write(&f->tree, TOP "step2/layer_3/notes.txt", "no task");
    tree_write(&f->tree, TOP "README", "no checkpoint");
    tree_folder(&f->tree, "elsewhere/layer_4/linked");
    assert_int_equal(symlinkat("../../../../elsewhere", f->tree.fd, TOP "step3"), 0);
    assert_int_equal(es_scan_discover(f->tree.path, &grid, &err), 0);
    static const char *const steps[] = {"step2", "step3", "step512", "step1000"};
    static const int32_t numbers[] = {3, 4, 21, 100};
    static const char *const names[] = {"Bank", "STS12", "a", "linked"};
    assert_int_equal(es_grid_n_checkpoints(grid), LEN(steps));
    assert_int_equal(es_grid_n_layers(grid), LEN(numbers));
    assert_int_equal(es_grid_n_tasks(grid), LEN(names));
    for (uint32_t i = 0; i < LEN(steps); i++) {
        assert_string_equal(es_grid_checkpoint(grid, i), steps[i]);
        assert_int_equal(es_grid_layer(grid, i), numbers[i]);
        assert_string_equal(es_grid_task(grid, i), names[i]);
    }
    es_grid_free(grid);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_layouts),      TEST(test_calls),
        TEST(test_no_run_dir),   TEST(test_layouts),
        TEST(test_calls),        TEST(test_linked_outputs),
        TEST(test_again),        TEST(test_identity),
        TEST(test_link),         TEST(test_bad_markers),
        TEST(test_excluded),     TEST(test_failed),
        TEST(test_age),          TEST(test_age_of_failed),
        TEST(test_large_folder), TEST(test_no_descriptors),
        TEST(test_no_memory),    TEST(test_discover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
