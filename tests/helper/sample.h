/* A table of units whose every value follows from the sizes, with awkward names: for the tests of
 * the store, in C and in Python. Header only, so that both kinds of test program share it.
 */
#ifndef ES_TESTS_SAMPLE_H
#define ES_TESTS_SAMPLE_H

#include "evalsweep/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sample_size {
    uint32_t n_checkpoints;
    uint32_t n_layers;
    uint32_t n_tasks;
    uint32_t n_metrics;
};

struct sample {
    struct es_grid *grid;
    struct es_units *units;
};

enum { SAMPLE_NAME_SIZE = 256 };

static inline void sample_checkpoint(uint32_t i, char ret_name[SAMPLE_NAME_SIZE])
{
    static const char *const awkward[] = {
        "step0", "final", "step \"1\", l'\xc3\xa9tape \xe6\xa8\xa1", "\xf0\x9f\x90\x8d step2"};
    if (i < sizeof awkward / sizeof awkward[0])
        (void)snprintf(ret_name, SAMPLE_NAME_SIZE, "%s", awkward[i]);
    else if (i == sizeof awkward / sizeof awkward[0])
        (void)snprintf(
            ret_name, SAMPLE_NAME_SIZE, "%.*sz%u", 238, /* 240 bytes in all */
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
            "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
            i);
    else
        (void)snprintf(ret_name, SAMPLE_NAME_SIZE, "step%u", i * 1000);
}

static inline void sample_task(uint32_t i, char ret_name[SAMPLE_NAME_SIZE])
{
    static const char *const awkward[] = {"STS12", "Banking77, \"quoted\"",
                                          " \xc3\x9cml\xc3\xa4ut "};
    if (i < sizeof awkward / sizeof awkward[0])
        (void)snprintf(ret_name, SAMPLE_NAME_SIZE, "%s", awkward[i]);
    else
        (void)snprintf(ret_name, SAMPLE_NAME_SIZE, "Task%u", i);
}

static inline char **sample_names(uint32_t n, void (*name_of)(uint32_t, char *))
{
    char **names = calloc(n, sizeof *names);
    for (uint32_t i = 0; names && i < n; i++) {
        char name[SAMPLE_NAME_SIZE];
        name_of(i, name);
        names[i] = strdup(name);
    }
    return names;
}

static inline void sample_free_names(char **names, uint32_t n)
{
    for (uint32_t i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

/* The layers are 3, 4, 5 ... so that a number is never its own index; (step0, *, second task) is
 * excluded. NULL when that fails. */
static inline struct es_grid *sample_grid(struct sample_size size)
{
    char **checkpoints = sample_names(size.n_checkpoints, sample_checkpoint);
    char **tasks = sample_names(size.n_tasks, sample_task);
    int32_t *layers = calloc(size.n_layers, sizeof *layers);
    struct es_grid *grid = NULL;
    for (uint32_t i = 0; layers && i < size.n_layers; i++)
        layers[i] = (int32_t)i + 3;
    if (checkpoints && tasks && layers &&
        es_grid_create((const char *const *)checkpoints, size.n_checkpoints, layers, size.n_layers,
                       (const char *const *)tasks, size.n_tasks, &grid, NULL) == 0)
        es_grid_exclude(grid, 0, ES_GRID_ANY, 1);
    sample_free_names(checkpoints, size.n_checkpoints);
    sample_free_names(tasks, size.n_tasks);
    free(layers);
    return grid;
}

/* Unit by unit in turn: done without a score, pending, failed, and the rest done. */
static inline enum es_status sample_status(uint32_t unit_id)
{
    static const enum es_status turn[] = {ES_STATUS_DONE, ES_STATUS_PENDING, ES_STATUS_FAILED,
                                          ES_STATUS_DONE, ES_STATUS_DONE,    ES_STATUS_DONE,
                                          ES_STATUS_DONE};
    return turn[unit_id % 7];
}

/* Where and when a try ran; units without a host, device or times are among them. */
static inline void sample_try(uint32_t n, struct es_try *ret_try, char ret_host[40],
                              char ret_reason[SAMPLE_NAME_SIZE])
{
    *ret_try = (struct es_try){.evaluation_time_s = (double)NAN,
                               .started_s = n % 6 == 5 ? (double)NAN : 1.7e9 + n * 0.125 - 3,
                               .finished_s = 1.7e9 + n * 0.125,
                               .load_s = n % 4 == 0 ? 0.25 * n : (double)NAN,
                               .pass_s = n % 3 == 0 ? 1.0 / (n + 1.0) : (double)NAN,
                               .score_s = n % 5 == 0 ? (double)NAN : 1e-3 * n,
                               .attempt = (int32_t)(n % 3) + 1,
                               .rank = (int32_t)(n % 5) - 1};
    ret_host[0] = '\0';
    if (n % 6 != 5)
        (void)snprintf(ret_host, 40, "node-%u, \xc3\xbc", n % 4);
    (void)snprintf(ret_reason, SAMPLE_NAME_SIZE, "exit code %u: \"it burns\",\nl'\xc3\xa9t\xc3\xa9",
                   n % 7);
}

/* The unit's earlier tries: one, two or mostly none. */
static inline void sample_earlier(uint32_t unit_id, struct es_result *result)
{
    for (uint32_t i = 0; unit_id % 4 == 2 && i < unit_id % 3; i++) {
        struct es_try try;
        char host[40], reason[SAMPLE_NAME_SIZE];
        sample_try(unit_id + 100 * i, &try, host, reason);
        const struct es_try_texts texts = {host, i ? "0,1" : "", reason, "signal 9"};
        es_result_add_try(result, &try, &texts);
    }
}

static inline void sample_result(uint32_t unit_id, uint32_t n_metrics, struct es_result *result)
{
    static const char *const splits[] = {"test", "validation"};
    static const char *const subsets[] = {"default", "en-de", "\xe4\xb8\xad\xe6\x96\x87"};
    es_result_reset(result);
    struct es_try try;
    char host[40], reason[SAMPLE_NAME_SIZE];
    sample_try(unit_id, &try, host, reason);
    result->attempt = try.attempt;
    result->rank = try.rank;
    result->started_s = try.started_s;
    result->finished_s = try.finished_s;
    result->load_s = try.load_s;
    result->pass_s = try.pass_s;
    result->score_s = try.score_s;
    result->host = es_result_keep(result, host, strlen(host));
    result->device = es_result_keep(result, "1", unit_id % 2);
    if (sample_status(unit_id) == ES_STATUS_FAILED)
        result->reason = es_result_keep(result, reason, strlen(reason));
    sample_earlier(unit_id, result);
    result->evaluation_time_s = 1.0 / (unit_id + 3.0);
    char attributes[200];
    int len = snprintf(attributes, sizeof attributes,
                       "{\"dtype\":\"float32\",\"empty\":\"\",\"ends\":false,\"n_layers\":24,"
                       "\"normalize\":true,\"note\":\"l'\xc3\xa9preuve,\\n\\\"1\\\"\","
                       "\"rate\":0.1,\"turn\":%u}",
                       unit_id % 2);
    result->attributes = es_result_keep(result, attributes, (size_t)len);
    if (sample_status(unit_id) != ES_STATUS_DONE)
        return;
    result->main_score = unit_id % 7 == 0 ? (double)NAN : 1.0 - 1.0 / (unit_id + 1.5);
    for (uint32_t i = 0; i < n_metrics; i++) {
        char metric[64];
        (void)snprintf(metric, sizeof metric, "metric \"%u\", \xce\xbc", i);
        es_result_add_metric(result, splits[unit_id % 2], subsets[i % 3], metric,
                             i == 1 ? (double)NAN : (unit_id + i / 7.0) / 3.0);
    }
}

/* Sets one unit as its id has it. */
static inline int sample_set(struct es_units *units, uint32_t unit_id, uint32_t n_metrics,
                             struct es_result *result)
{
    const struct es_file_id marker = {.inode = 0xfedcba9876543210u + unit_id,
                                      .size_bytes = 600 + unit_id,
                                      .mtime_ns = 1700000000123456789 + unit_id};
    enum es_status status = sample_status(unit_id);
    if (status == ES_STATUS_PENDING || es_grid_is_excluded(es_units_grid(units), unit_id))
        return 0;
    sample_result(unit_id, n_metrics, result);
    return es_units_set_result(units, unit_id, status, result,
                               status == ES_STATUS_DONE ? &marker : NULL);
}

static inline void sample_free(struct sample *sample)
{
    es_units_free(sample->units);
    es_grid_free(sample->grid);
    *sample = (struct sample){0};
}

static inline int sample_create(struct sample_size size, struct sample *ret_sample)
{
    struct sample sample = {.grid = sample_grid(size)};
    struct es_result result;
    int rc = sample.grid ? es_units_create(sample.grid, &sample.units, NULL) : -1;
    es_result_init(&result);
    for (uint32_t id = 0; rc == 0 && id < es_grid_n_units(sample.grid); id++)
        rc = sample_set(sample.units, id, size.n_metrics, &result);
    es_result_clear(&result);
    if (rc < 0)
        sample_free(&sample);
    else
        *ret_sample = sample;
    return rc;
}

#endif
