/* A snapshot of a large table, and what the table takes in memory.
 *
 *     bench_store N_CHECKPOINTS N_LAYERS N_TASKS N_METRICS PATH
 *
 * Prints JSON: the seconds of writing the store to PATH, its size, and the bytes of memory that the
 * table has in use.
 */
#include "core/num.h"
#include "evalsweep/store.h"
#include "sys/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SIZE 24
#define N_WORKERS 64 /* four to a node */

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench_store: %s\n", what);
    exit(1);
}

static void check(int rc, const struct es_err *err)
{
    char text[1024];
    if (rc == 0)
        return;
    es_err_text(err, text, sizeof text);
    die(text);
}

static const char **make_names(const char *prefix, uint32_t n)
{
    char *texts = malloc((size_t)n * NAME_SIZE);
    const char **names = calloc(n, sizeof *names);
    if (!texts || !names)
        die("out of memory");
    for (uint32_t i = 0; i < n; i++) {
        names[i] = texts + (size_t)i * NAME_SIZE;
        (void)snprintf(texts + (size_t)i * NAME_SIZE, NAME_SIZE, "%s%u", prefix, i);
    }
    return names;
}

static void free_names(const char **names)
{
    free((void *)(uintptr_t)names[0]); /* NOLINT(performance-no-int-to-ptr) */
    free(names);
}

static struct es_grid *make_grid(const uint32_t n[3])
{
    struct es_err err = {0};
    struct es_grid *grid = NULL;
    const char **checkpoints = make_names("step", n[0]), **tasks = make_names("Task", n[2]);
    int32_t *layers = calloc(n[1], sizeof *layers);
    if (!layers)
        die("out of memory");
    for (uint32_t i = 0; i < n[1]; i++)
        layers[i] = (int32_t)i;
    check(es_grid_create(checkpoints, n[0], layers, n[1], tasks, n[2], &grid, &err), &err);
    free_names(checkpoints);
    free_names(tasks);
    free(layers);
    return grid;
}

static void fill(struct es_units *units, uint32_t n_metrics)
{
    struct es_result result;
    const char **metrics = make_names("metric_", n_metrics);
    const char **hosts = make_names("node", N_WORKERS / 4), **devices = make_names("", 4);
    struct es_rng rng;
    es_rng_init(&rng, 1);
    es_result_init(&result);
    for (uint32_t id = 0; id < es_grid_n_units(es_units_grid(units)); id++) {
        const struct es_file_id marker = {.inode = id + 1, .size_bytes = 400, .mtime_ns = id};
        es_result_reset(&result);
        result.main_score = 1.0 / (id + 1.0);
        result.evaluation_time_s = 30 * es_rng_unit(&rng);
        result.finished_s = floor(1.768e9 + id / (double)N_WORKERS + 600 * es_rng_unit(&rng));
        result.started_s = result.finished_s - floor(result.evaluation_time_s);
        result.pass_s = 20 * es_rng_unit(&rng);
        result.score_s = es_rng_unit(&rng);
        result.attempt = 1;
        result.rank = (int32_t)es_rng_below(&rng, N_WORKERS);
        result.host =
            es_result_keep(&result, hosts[result.rank / 4], strlen(hosts[result.rank / 4]));
        result.device =
            es_result_keep(&result, devices[result.rank % 4], strlen(devices[result.rank % 4]));
        for (uint32_t m = 0; m < n_metrics; m++)
            es_result_add_metric(&result, "test", "default", metrics[m], id / (m + 1.5));
        if (es_units_set_result(units, id, ES_STATUS_DONE, &result, &marker) < 0)
            die("out of memory");
    }
    es_result_clear(&result);
    free_names(metrics);
    free_names(hosts);
    free_names(devices);
}

static long resident_bytes(void)
{
    long total = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    /* NOLINTNEXTLINE(cert-err34-c): the kernel wrote them */
    if (!statm || fscanf(statm, "%ld %ld", &total, &resident) != 2)
        die("no /proc/self/statm");
    (void)fclose(statm);
    return resident * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
    struct es_err err = {0};
    struct es_units *units = NULL;
    struct stat st;
    uint32_t n[4];
    for (int i = 0; i < 4; i++) {
        int64_t value;
        if (argc != 6 || !es_parse_int(argv[1 + i], &value) || value < 1 || value > 1000000)
            die("usage: bench_store N_CHECKPOINTS N_LAYERS N_TASKS N_METRICS PATH");
        n[i] = (uint32_t)value;
    }
    struct es_grid *grid = make_grid(n);
    long before_bytes = resident_bytes();
    check(es_units_create(grid, &units, &err), &err);
    fill(units, n[3]);
    long table_bytes = resident_bytes() - before_bytes;
    double begun_s = es_clock_mono_s();
    check(es_store_write_file(argv[5], NULL, 0, units, &err), &err);
    double wall_s = es_clock_mono_s() - begun_s;
    if (stat(argv[5], &st) < 0)
        die("there is no store");
    printf("{\"wall_s\":%.6f,\"size_bytes\":%lld,\"table_bytes\":%ld}\n", wall_s,
           (long long)st.st_size, table_bytes);
    es_units_free(units);
    es_grid_free(grid);
    return 0;
}
