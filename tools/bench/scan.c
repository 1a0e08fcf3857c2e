/* The scan of a tree of markers, and bare loops over the same paths to hold it against.
 *
 *     bench_scan MODE RUN_DIR N_CHECKPOINTS N_LAYERS N_TASKS [N_THREADS]
 *
 *   make     makes the tree, with a marker as a worker writes it for every unit, and its store
 *   first    the scan when nothing is known: every marker is read and parsed
 *   resume   the scan when the store has told everything: every marker is asked for
 *   store    reading that store
 *   read     bare open, read and close of every marker
 *   access   bare faccessat of every marker
 *
 * Prints the seconds that it took (making the table and reading the store are not in those of the
 * scans). Ends with 1 when not every unit was found.
 */
#include "core/buf.h"
#include "core/num.h"
#include "evalsweep/store.h"
#include "run/scan.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_THREADS 64
#define NAME_SIZE 32

struct bench {
    const char *run_dir;
    int run_fd;
    struct es_grid *grid;
    struct es_layout *layout;
    struct es_units *units;
    uint32_t n_threads;
};

static _Noreturn void die(const char *what, const struct es_err *err)
{
    char text[1024] = "";
    if (err)
        es_err_text(err, text, sizeof text);
    (void)fprintf(stderr, "bench_scan: %s %s\n", what, text);
    exit(1);
}

/* --- The tree --- */

static char **make_names(const char *prefix, const char *suffix, uint32_t n)
{
    char **names = calloc(n, sizeof *names);
    for (uint32_t i = 0; names && i < n; i++) {
        names[i] = malloc(NAME_SIZE);
        if (!names[i])
            die("out of memory", NULL);
        (void)snprintf(names[i], NAME_SIZE, "%s%u%s", prefix, i, suffix);
    }
    return names;
}

static void free_names(char **names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

static struct es_grid *make_grid(uint32_t n_checkpoints, uint32_t n_layers, uint32_t n_tasks)
{
    struct es_err err = {0};
    struct es_grid *grid = NULL;
    char **checkpoints = make_names("step", "000", n_checkpoints);
    char **tasks = make_names("Task", "Classification", n_tasks);
    int32_t *layers = calloc(n_layers, sizeof *layers);
    if (!checkpoints || !tasks || !layers)
        die("out of memory", NULL);
    for (uint32_t i = 0; i < n_layers; i++)
        layers[i] = (int32_t)i;
    if (es_grid_create((const char *const *)checkpoints, n_checkpoints, layers, n_layers,
                       (const char *const *)tasks, n_tasks, &grid, &err) < 0)
        die("making the grid:", &err);
    free_names(checkpoints, n_checkpoints);
    free_names(tasks, n_tasks);
    free(layers);
    return grid;
}

static void fill_result(uint32_t unit_id, struct es_result *result)
{
    es_result_reset(result);
    result->main_score = 1.0 - 1.0 / (unit_id + 1.5);
    result->evaluation_time_s = 12.345;
    result->started_s = 1.768e9;
    result->finished_s = 1.768e9 + 12;
    result->attempt = 1;
    result->rank = 3;
    result->host = es_result_keep(result, "node0123", 8);
    result->device = es_result_keep(result, "cuda:3", 6);
    es_result_add_metric(result, "test", "default", "accuracy", result->main_score);
}

static void make_tree(const struct bench *bench)
{
    struct es_err err = {0};
    struct es_buf path = {0}, text = {0};
    struct es_result result;
    es_result_init(&result);
    for (uint32_t id = 0; id < es_grid_n_units(bench->grid); id++) {
        struct es_unit unit = es_grid_unit(bench->grid, id);
        fill_result(id, &result);
        es_marker_text(bench->grid, unit, &result, "{\"evalsweep\":\"0.1.0\"}", "", NULL, 0, &text);
        es_buf_reset(&path);
        es_layout_unit_dir(bench->layout, bench->grid, unit, &path);
        if (path.failed || es_mkdir_all_at(bench->run_fd, path.data) < 0)
            die("making a folder", NULL);
        es_buf_puts(&path, "/" ES_MARKER_NAME);
        if (path.failed || text.failed ||
            es_atomic_write(bench->run_fd, path.data, text.data, text.len, false, NULL, &err) < 0)
            die("writing a marker:", &err);
    }
    es_result_clear(&result);
    es_buf_clear(&path);
    es_buf_clear(&text);
}

/* --- The bare loops --- */

struct share {
    const struct bench *bench;
    void (*look)(int run_fd, const char *path, uint32_t *n_found);
    uint32_t first_id;
    uint32_t end_id;
    uint32_t n_found;
};

static void look_by_reading(int run_fd, const char *path, uint32_t *n_found)
{
    char content[4096];
    int fd = openat(run_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    *n_found += read(fd, content, sizeof content) > 0;
    (void)close(fd);
}

static void look_by_access(int run_fd, const char *path, uint32_t *n_found)
{
    *n_found += faccessat(run_fd, path, F_OK, 0) == 0;
}

static void *look_at_share(void *arg)
{
    struct share *share = arg;
    const struct bench *bench = share->bench;
    struct es_buf path = {0};
    for (uint32_t id = share->first_id; id < share->end_id; id++) {
        es_buf_reset(&path);
        es_layout_unit_dir(bench->layout, bench->grid, es_grid_unit(bench->grid, id), &path);
        es_buf_puts(&path, "/" ES_MARKER_NAME);
        share->look(bench->run_fd, path.data, &share->n_found);
    }
    es_buf_clear(&path);
    return NULL;
}

static uint32_t loop(const struct bench *bench,
                     void (*look)(int run_fd, const char *path, uint32_t *n_found))
{
    pthread_t threads[MAX_THREADS];
    struct share shares[MAX_THREADS];
    uint64_t n_units = es_grid_n_units(bench->grid);
    uint32_t n_found = 0;
    for (uint32_t t = 0; t < bench->n_threads; t++) {
        shares[t] = (struct share){
            .bench = bench,
            .look = look,
            .first_id = (uint32_t)(n_units * t / bench->n_threads),
            .end_id = (uint32_t)(n_units * (t + 1) / bench->n_threads),
        };
        if (pthread_create(&threads[t], NULL, look_at_share, &shares[t]) != 0)
            die("starting a thread", NULL);
    }
    for (uint32_t t = 0; t < bench->n_threads; t++) {
        (void)pthread_join(threads[t], NULL);
        n_found += shares[t].n_found;
    }
    return n_found;
}

/* --- Ours --- */

static void store_path(const struct bench *bench, char ret_path[4096])
{
    (void)snprintf(ret_path, 4096, "%s/" ES_STORE_NAME, bench->run_dir);
}

static uint32_t read_store(const struct bench *bench)
{
    struct es_err err = {0};
    char path[4096];
    store_path(bench, path);
    if (es_store_read(path, bench->units, NULL, &err) < 0)
        die("reading the store:", &err);
    return es_units_count(bench->units).done;
}

static struct es_scan_summary scan(const struct bench *bench)
{
    struct es_err err = {0};
    struct es_scan_options options = {.not_before_ns = INT64_MIN, .n_threads = bench->n_threads};
    struct es_scan_summary summary;
    if (es_scan(bench->run_dir, bench->layout, &options, bench->units, &summary, &err) < 0)
        die("scanning:", &err);
    return summary;
}

static uint32_t make(const struct bench *bench)
{
    struct es_err err = {0};
    char path[4096];
    make_tree(bench);
    uint32_t n_found = scan(bench).n_markers[ES_MARKER_VALID];
    store_path(bench, path);
    if (es_store_write_file(path, NULL, 0, bench->units, &err) < 0)
        die("writing the store:", &err);
    return n_found;
}

/* How many units were found; the seconds from *begun_s on are those that count. */
static uint32_t run_mode(const struct bench *bench, const char *mode, double *begun_s)
{
    if (strcmp(mode, "make") == 0)
        return make(bench);
    if (strcmp(mode, "first") == 0)
        return scan(bench).n_markers[ES_MARKER_VALID];
    if (strcmp(mode, "store") == 0)
        return read_store(bench);
    if (strcmp(mode, "read") == 0)
        return loop(bench, look_by_reading);
    if (strcmp(mode, "access") == 0)
        return loop(bench, look_by_access);
    if (strcmp(mode, "resume") != 0)
        die("no such mode:", NULL);
    (void)read_store(bench);
    *begun_s = es_clock_mono_s();
    return scan(bench).n_known;
}

static void parse(int argc, char **argv, struct bench *bench)
{
    int64_t n[4] = {0, 0, 0, 1};
    for (int i = 3; i < argc && i < 7; i++)
        if (!es_parse_int(argv[i], &n[i - 3]) || n[i - 3] < 1 || n[i - 3] > INT32_MAX)
            die("bad number", NULL);
    if (argc < 6 || argc > 7 || n[3] > MAX_THREADS)
        die("usage: bench_scan MODE RUN_DIR N_CHECKPOINTS N_LAYERS N_TASKS [N_THREADS]", NULL);
    *bench = (struct bench){.run_dir = argv[2], .n_threads = (uint32_t)n[3]};
    bench->grid = make_grid((uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2]);
}

int main(int argc, char **argv)
{
    struct bench bench;
    struct es_err err = {0};
    parse(argc, argv, &bench);
    bench.run_fd = open(bench.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (bench.run_fd < 0)
        die("no such run folder", NULL);
    if (es_layout_create(ES_LAYOUT_DEFAULT, &bench.layout, &err) < 0 ||
        es_units_create(bench.grid, &bench.units, &err) < 0)
        die("preparing:", &err);
    double begun_s = es_clock_mono_s();
    uint32_t n_found = run_mode(&bench, argv[1], &begun_s);
    double ended_s = es_clock_mono_s();
    if (n_found != es_grid_n_units(bench.grid))
        die("not every unit was found", NULL);
    printf("%.6f\n", ended_s - begun_s);
    es_units_free(bench.units);
    es_layout_free(bench.layout);
    es_grid_free(bench.grid);
    es_fd_close(&bench.run_fd);
    return 0;
}
