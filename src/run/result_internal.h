/* Between the files that read results: what a JSON value holds, and clean texts from it. */
#ifndef ES_RUN_RESULT_INTERNAL_H
#define ES_RUN_RESULT_INTERNAL_H

#include "core/buf.h"
#include "evalsweep/result.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* The most bytes that the name of a split, subset or metric may have. Each score is kept and sent
 * with its three names, so a file could otherwise make a name of megabytes stand a million times.
 */
#define ES_SCORE_NAME_LIMIT 1000

/* Whether a name is within the limit. */
bool es_result_is_name(const char *name);

/* How much a JSON text told about a unit's scores; a later value tells more. */
enum es_form {
    ES_FORM_NOT_JSON,
    ES_FORM_NO_SCORE,
    ES_FORM_SCORE_ONLY, /* a main score (or that there is none), and no metrics */
    ES_FORM_COMPLETE,   /* metrics, or a marker of ours, which leaves nothing to look for */
};

/* Reads a text into result (reset first). */
enum es_form es_result_read(const char *text, size_t n, const char *task, struct es_result *result);

/* Adds what a text holds to the result: fields that are known already stay, and metrics too. */
enum es_form es_result_merge(const char *text, size_t n, const char *task,
                             struct es_result *result);

/* Reads the very text that es_marker_text makes of a done unit into a result that is empty. False:
 * it is something else, and result holds parts of it. */
bool es_result_quick(const char *text, size_t n, struct es_result *result);

/* The scores of an MTEB result file, 1.x or 2.x, as metrics of the result. False: root is none.
 * ret_main_score: the mean over every split and subset; ret_time_s: its evaluation time, or NaN. */
bool es_mteb_read(const cJSON *root, struct es_result *result, double *ret_main_score,
                  double *ret_time_s);

/* The value of a number, NaN for anything else and for infinities. */
double es_result_number(const cJSON *item);

/* When, where and how long, and how it failed: what is not known yet. */
void es_result_read_circumstances(const cJSON *root, struct es_result *result);

/* The earlier tries of a marker or failed.json, the newest of them, unless the result has some. */
void es_earlier_read(const cJSON *root, struct es_result *result);

/* The attributes of a reply or a marker, of which what has no place in core/attributes.h is left
 * out; those that the result has stay. */
void es_result_read_attributes(const cJSON *root, struct es_result *result);

/* Keeps text with what is not UTF-8 replaced by U+FFFD: readers of the store trip over it. */
uint32_t es_result_keep_clean(struct es_result *result, const char *text);

/* es_result_add_metric with the names made clean in the same way. Nothing is added under a name
 * beyond the limit: it is no score's. */
void es_result_add_clean(struct es_result *result, const char *split, const char *subset,
                         const char *metric, double value);

/* es_result_find, for a unit_dir that is the content of `path` (as before when it returns),
 * counting the system calls that it makes. */
bool es_result_find_counted(int dir_fd, struct es_buf *path, const char *task,
                            struct es_buf *scratch, struct es_result *result, uint64_t *n_calls);

#endif
