/* What holds of every result that was read from bytes of others. */
#ifndef ES_TESTS_FUZZ_RESULTS_H
#define ES_TESTS_FUZZ_RESULTS_H

#include "fuzz.h"

#include "core/attributes.h"
#include "core/num.h"
#include "evalsweep/result.h"

#include <math.h>
#include <stdbool.h>

static inline void fuzz_check_text(const char *text)
{
    for (size_t i = 0, len = strlen(text), n; i < len; i += n) {
        n = es_utf8_char_len(text + i, len - i);
        FUZZ_ASSERT(n); /* readers of the store trip over it */
    }
}

static inline void fuzz_check_number(double value)
{
    FUZZ_ASSERT(isnan(value) || isfinite(value));
}

static inline void fuzz_check_result(const struct es_result *result)
{
    FUZZ_ASSERT(!result->failed);
    FUZZ_ASSERT(result->attempt >= 0 && result->rank >= -1);
    fuzz_check_number(result->main_score);
    fuzz_check_number(result->evaluation_time_s);
    fuzz_check_text(es_result_text(result, result->host));
    fuzz_check_text(es_result_text(result, result->device));
    fuzz_check_text(es_result_text(result, result->reason));
    FUZZ_ASSERT(result->n_earlier <= ES_TRIES_LIMIT);
    for (size_t i = 0; i < result->n_earlier; i++) {
        const struct es_try *try = &result->earlier[i];
        FUZZ_ASSERT(try->attempt >= 0 && try->rank >= -1);
        fuzz_check_number(try->load_s);
        fuzz_check_text(es_result_text(result, try->host));
        fuzz_check_text(es_result_text(result, try->device));
        fuzz_check_text(es_result_text(result, try->reason));
        fuzz_check_text(es_result_text(result, try->exit));
    }
    FUZZ_ASSERT(es_attributes_are_valid(es_result_text(result, result->attributes)));
    for (size_t i = 0; i < result->n_metrics; i++) {
        const struct es_metric *metric = &result->metrics[i];
        fuzz_check_number(metric->value);
        fuzz_check_text(es_result_text(result, metric->split));
        fuzz_check_text(es_result_text(result, metric->subset));
        fuzz_check_text(es_result_text(result, metric->metric));
    }
}

static inline bool fuzz_same_number(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b;
}

/* Two results say the same. */
static inline void fuzz_check_same(const struct es_result *a, const struct es_result *b)
{
    FUZZ_ASSERT(fuzz_same_number(a->main_score, b->main_score));
    FUZZ_ASSERT(fuzz_same_number(a->evaluation_time_s, b->evaluation_time_s));
    FUZZ_ASSERT(a->attempt == b->attempt && a->rank == b->rank);
    FUZZ_ASSERT(strcmp(es_result_text(a, a->host), es_result_text(b, b->host)) == 0);
    FUZZ_ASSERT(strcmp(es_result_text(a, a->device), es_result_text(b, b->device)) == 0);
    FUZZ_ASSERT(strcmp(es_result_text(a, a->attributes), es_result_text(b, b->attributes)) == 0);
    FUZZ_ASSERT(a->n_earlier == b->n_earlier);
    for (size_t i = 0; i < a->n_earlier; i++) {
        const struct es_try *x = &a->earlier[i], *y = &b->earlier[i];
        FUZZ_ASSERT(fuzz_same_number(x->evaluation_time_s, y->evaluation_time_s));
        FUZZ_ASSERT(fuzz_same_number(x->score_s, y->score_s));
        FUZZ_ASSERT(x->attempt == y->attempt && x->rank == y->rank);
        FUZZ_ASSERT(strcmp(es_result_text(a, x->host), es_result_text(b, y->host)) == 0);
        FUZZ_ASSERT(strcmp(es_result_text(a, x->reason), es_result_text(b, y->reason)) == 0);
    }
    FUZZ_ASSERT(a->n_metrics == b->n_metrics);
    for (size_t i = 0; i < a->n_metrics; i++) {
        const struct es_metric *x = &a->metrics[i], *y = &b->metrics[i];
        FUZZ_ASSERT(fuzz_same_number(x->value, y->value));
        FUZZ_ASSERT(strcmp(es_result_text(a, x->split), es_result_text(b, y->split)) == 0);
        FUZZ_ASSERT(strcmp(es_result_text(a, x->subset), es_result_text(b, y->subset)) == 0);
        FUZZ_ASSERT(strcmp(es_result_text(a, x->metric), es_result_text(b, y->metric)) == 0);
    }
}

#endif
