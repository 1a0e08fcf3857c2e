#include "evalsweep/result.h"

#include "core/mem.h"
#include "core/num.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void es_result_init(struct es_result *result)
{
    *result = (struct es_result){0};
    es_result_reset(result);
}

void es_result_reset(struct es_result *result)
{
    struct es_result empty = {
        .main_score = (double)NAN,
        .evaluation_time_s = (double)NAN,
        .started_s = (double)NAN,
        .finished_s = (double)NAN,
        .load_s = (double)NAN,
        .pass_s = (double)NAN,
        .score_s = (double)NAN,
        .rank = -1,
        .metrics = result->metrics,
        .metrics_cap = result->metrics_cap,
        .earlier = result->earlier,
        .earlier_cap = result->earlier_cap,
        .text = result->text,
        .text_cap = result->text_cap,
    };
    *result = empty;
}

void es_result_clear(struct es_result *result)
{
    free(result->metrics);
    free(result->earlier);
    free(result->text);
    es_result_init(result);
}

uint32_t es_result_keep(struct es_result *result, const char *text, size_t len)
{
    if (len == 0)
        return 0;
    size_t start = result->text_len ? result->text_len : 1; /* offset 0 stands for "" */
    void *grown = result->text;
    if (len > UINT32_MAX / 2 || start > UINT32_MAX / 2 ||
        es_mem_grow(&grown, &result->text_cap, start + len + 1, 1) < 0) {
        result->failed = true;
        return 0;
    }
    result->text = grown;
    result->text[0] = '\0';
    memcpy(result->text + start, text, len);
    result->text[start + len] = '\0';
    result->text_len = start + len + 1;
    return (uint32_t)start;
}

const char *es_result_text(const struct es_result *result, uint32_t offset)
{
    return offset ? result->text + offset : "";
}

/* Offset of name; the one that the previous metric has where that is the same, as it mostly is. */
static uint32_t keep_again(struct es_result *result, uint32_t previous, const char *name)
{
    if (previous && strcmp(es_result_text(result, previous), name) == 0)
        return previous;
    return es_result_keep(result, name, strlen(name));
}

void es_result_add_metric(struct es_result *result, const char *split, const char *subset,
                          const char *metric, double value)
{
    void *grown = result->metrics;
    if (es_mem_grow(&grown, &result->metrics_cap, result->n_metrics + 1, sizeof *result->metrics) <
        0) {
        result->failed = true;
        return;
    }
    result->metrics = grown;
    struct es_metric previous = {0};
    if (result->n_metrics)
        previous = result->metrics[result->n_metrics - 1];
    struct es_metric added = {.value = value,
                              .split = keep_again(result, previous.split, split),
                              .subset = keep_again(result, previous.subset, subset),
                              .metric = keep_again(result, previous.metric, metric)};
    result->metrics[result->n_metrics++] = added;
}

static uint32_t keep_cut(struct es_result *result, const char *text)
{
    return es_result_keep(result, text, es_utf8_cut(text, ES_TRY_TEXT_LIMIT));
}

void es_result_add_try(struct es_result *result, const struct es_try *numbers,
                       const struct es_try_texts *texts)
{
    void *grown = result->earlier;
    struct es_try added = *numbers;
    if (result->n_earlier == ES_TRIES_LIMIT) {
        result->n_earlier--;
        memmove(result->earlier, result->earlier + 1, result->n_earlier * sizeof added);
    }
    if (es_mem_grow(&grown, &result->earlier_cap, result->n_earlier + 1, sizeof added) < 0) {
        result->failed = true;
        return;
    }
    result->earlier = grown;
    added.host = keep_cut(result, texts->host);
    added.device = keep_cut(result, texts->device);
    added.reason = keep_cut(result, texts->reason);
    added.exit = keep_cut(result, texts->exit);
    result->earlier[result->n_earlier++] = added;
}

static void copy_try(struct es_result *result, const struct es_try *from,
                     const struct es_result *texts_of)
{
    const struct es_try_texts texts = {.host = es_result_text(texts_of, from->host),
                                       .device = es_result_text(texts_of, from->device),
                                       .reason = es_result_text(texts_of, from->reason),
                                       .exit = es_result_text(texts_of, from->exit)};
    es_result_add_try(result, from, &texts);
}

void es_result_add_failed(struct es_result *result, const struct es_result *failed)
{
    const struct es_try last = {.evaluation_time_s = failed->evaluation_time_s,
                                .started_s = failed->started_s,
                                .finished_s = failed->finished_s,
                                .load_s = failed->load_s,
                                .pass_s = failed->pass_s,
                                .score_s = failed->score_s,
                                .attempt = failed->attempt,
                                .rank = failed->rank,
                                .host = failed->host,
                                .device = failed->device,
                                .reason = failed->reason,
                                .exit = failed->exit};
    for (size_t i = 0; i < failed->n_earlier; i++)
        copy_try(result, &failed->earlier[i], failed);
    copy_try(result, &last, failed);
    result->failed = result->failed || failed->failed;
}
