/* The result of one unit: scores, times and where it ran.
 *
 * Strings are kept in the result's own memory and named by offset, so that a result is reused for
 * the next unit without an allocation:
 *
 *     struct es_result result;
 *     es_result_init(&result);
 *     es_result_add_metric(&result, "test", "default", "accuracy", 0.61);
 *     puts(es_result_text(&result, result.metrics[0].metric));
 *     es_result_reset(&result);      // empty again, memory kept
 *     es_result_clear(&result);      // memory released
 *
 * A missing number is NaN. Threads: any; a result belongs to one thread at a time.
 */
#ifndef EVALSWEEP_RESULT_H
#define EVALSWEEP_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many earlier tries a result keeps, the newest; and the bytes of a text that they keep. */
enum { ES_TRIES_LIMIT = 16, ES_TRY_TEXT_LIMIT = 500 };

/* One score of a unit; the three names are offsets for es_result_text. */
struct es_metric {
    double value;
    uint32_t split;
    uint32_t subset;
    uint32_t metric;
};

/* A try at the unit that failed before; the texts are offsets for es_result_text. */
struct es_try {
    double evaluation_time_s;
    double started_s;
    double finished_s;
    double load_s;
    double pass_s;
    double score_s;
    int32_t attempt;
    int32_t rank;
    uint32_t host;
    uint32_t device;
    uint32_t reason;
    uint32_t exit;
};

/* What one try of a unit gave. */
struct es_result {
    double main_score;
    double evaluation_time_s;
    double started_s;  /* seconds since 1970-01-01 UTC */
    double finished_s; /* the same */
    double load_s;     /* the three parts, as an evaluator may report them */
    double pass_s;
    double score_s;
    int32_t attempt; /* from 1; 0: not known */
    int32_t rank;    /* -1: not known */
    uint32_t host;   /* offsets for es_result_text; 0 is "" */
    uint32_t device;
    uint32_t reason;     /* why the unit failed; "" for success */
    uint32_t exit;       /* how the evaluator of a failed unit ended; "": not known */
    uint32_t attributes; /* what the evaluator says of itself, as core/attributes.h has it */

    struct es_metric *metrics;
    size_t n_metrics;
    size_t metrics_cap;
    struct es_try *earlier; /* [n_earlier], the oldest first */
    size_t n_earlier;
    size_t earlier_cap;
    char *text;
    size_t text_len;
    size_t text_cap;
    bool is_interim; /* a failure, after which the unit is tried again in the same start */
    bool failed;     /* an allocation failed since the last reset: the result is not complete */
};

/* Makes an empty result: numbers NaN, attempt 0, rank -1, texts "". */
void es_result_init(struct es_result *result);
/* The same for one that was used, whose memory is kept for the next. */
void es_result_reset(struct es_result *result);
/* Releases its memory. */
void es_result_clear(struct es_result *result);

/* Keeps a copy of text (len bytes); its offset, or 0 with `failed` set. */
uint32_t es_result_keep(struct es_result *result, const char *text, size_t len);

/* The text at an offset, NUL-terminated, borrowed until the next keep, add, reset or clear. */
const char *es_result_text(const struct es_result *result, uint32_t offset);

/* Adds one metric; `failed` tells when there was no memory. */
void es_result_add_metric(struct es_result *result, const char *split, const char *subset,
                          const char *metric, double value);

/* The texts of a try, to be copied and cut. */
struct es_try_texts {
    const char *host;
    const char *device;
    const char *reason;
    const char *exit;
};

/* Adds an earlier try, the newest of them, with these texts in place of its offsets. The oldest one
 * goes when there are too many. */
void es_result_add_try(struct es_result *result, const struct es_try *numbers,
                       const struct es_try_texts *texts);

/* Adds another result, which is that of a failed try, and its earlier tries. */
void es_result_add_failed(struct es_result *result, const struct es_result *failed);

#endif
