/* The reply line of a persistent evaluator. */
#include "run/marker.h"

#include "run/result_internal.h"
#include "sys/json.h"

#include <math.h>
#include <string.h>

#define DOING "reading the evaluator's reply"
#define MAX_EXACT_INTEGER 9007199254740992.0 /* 2^53 */

static int fault(struct es_err *err, const char *key, const char *expected)
{
    return es_err_set(err, ES_ERR_PROTOCOL, DOING, key, "expected %s", expected);
}

static bool is_number_or_null(const cJSON *item)
{
    return cJSON_IsNumber(item) || cJSON_IsNull(item);
}

/* An optional text under key, `fallback` when it is missing. False: it is something else. */
static bool get_text(const cJSON *object, const char *key, const char *fallback,
                     const char **ret_text)
{
    const cJSON *item = es_json_get(object, key);
    *ret_text = item ? cJSON_GetStringValue(item) : fallback;
    return *ret_text != NULL;
}

/* The same for the name of a split or subset. */
static bool get_name(const cJSON *object, const char *key, const char *fallback,
                     const char **ret_name)
{
    return get_text(object, key, fallback, ret_name) && es_result_is_name(*ret_name);
}

static int read_unit(const cJSON *root, int64_t *ret_unit, struct es_err *err)
{
    const cJSON *item = es_json_get(root, "unit");
    double value = es_result_number(item);
    if (!item) {
        *ret_unit = -1;
        return 0;
    }
    if (!(value >= 0 && value <= MAX_EXACT_INTEGER && value == floor(value)))
        return fault(err, "unit", "the number of the request's unit");
    *ret_unit = (int64_t)value;
    return 0;
}

static int read_metrics(const cJSON *root, struct es_result *result, struct es_err *err)
{
    const cJSON *metrics = es_json_get(root, "metrics"), *entry;
    int i = 0;
    if (metrics && !cJSON_IsNull(metrics) && !cJSON_IsArray(metrics))
        return fault(err, "metrics", "a list of {\"split\", \"subset\", \"metric\", \"value\"}");
    cJSON_ArrayForEach(entry, metrics)
    {
        const char *split, *subset, *metric = es_json_get_string(entry, "metric");
        const cJSON *value = es_json_get(entry, "value");
        if (!metric || !es_result_is_name(metric) || !is_number_or_null(value) ||
            !get_name(entry, "split", "test", &split) ||
            !get_name(entry, "subset", "default", &subset))
            return es_err_set(err, ES_ERR_PROTOCOL, DOING, "metrics",
                              "entry %d: expected texts \"split\", \"subset\" and \"metric\" of at "
                              "most %d bytes, and a number or null as \"value\"",
                              i, ES_SCORE_NAME_LIMIT);
        es_result_add_clean(result, split, subset, metric, es_result_number(value));
        i++;
    }
    return 0;
}

static int read_numbers(const cJSON *root, struct es_result *result, struct es_err *err)
{
    const struct {
        const char *key;
        double *field;
    } numbers[] = {{"main_score", &result->main_score},
                   {"load_s", &result->load_s},
                   {"pass_s", &result->pass_s},
                   {"score_s", &result->score_s}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const cJSON *item = es_json_get(root, numbers[i].key);
        if (item && !is_number_or_null(item))
            return fault(err, numbers[i].key, "a number or null");
        double value = es_result_number(item);
        if (numbers[i].field != &result->main_score && value < 0)
            return fault(err, numbers[i].key, "seconds, not below 0");
        *numbers[i].field = value;
    }
    return 0;
}

static int read_error(const cJSON *root, struct es_reply *reply, struct es_result *result,
                      struct es_err *err)
{
    const cJSON *retry = es_json_get(root, "retry");
    const char *text;
    if (retry && !cJSON_IsBool(retry))
        return fault(err, "retry", "true or false");
    if (!get_text(root, "error", "the evaluator gave no reason", &text))
        return fault(err, "error", "a text");
    reply->may_retry = !cJSON_IsFalse(retry);
    reply->error = es_result_keep_clean(result, text);
    return 0;
}

static int read_reply(const cJSON *root, struct es_reply *reply, struct es_result *result,
                      struct es_err *err)
{
    const char *status = es_json_get_string(root, "status");
    if (!cJSON_IsObject(root))
        return fault(err, NULL, "a JSON object");
    int rc = read_unit(root, &reply->unit, err);
    if (rc < 0)
        return rc;
    if (status && strcmp(status, "error") == 0)
        return read_error(root, reply, result, err);
    if (!status || strcmp(status, "ok") != 0)
        return fault(err, "status", "\"ok\" or \"error\"");
    reply->ok = true;
    es_result_read_attributes(root, result);
    rc = read_numbers(root, result, err);
    return rc < 0 ? rc : read_metrics(root, result, err);
}

int es_reply_parse(const char *line, size_t n, struct es_reply *ret_reply, struct es_result *result,
                   struct es_err *err)
{
    cJSON *root;
    struct es_reply reply = {.unit = -1, .may_retry = true};
    es_result_reset(result);
    struct es_err json_err = {0};
    if (es_json_parse(line, n, NULL, &root, &json_err) < 0)
        return es_err_set(err, ES_ERR_PROTOCOL, DOING, NULL, "%s", json_err.why);
    int rc = read_reply(root, &reply, result, err);
    cJSON_Delete(root);
    if (rc == 0 && result->failed)
        rc = es_err_nomem(err, DOING);
    if (rc < 0) {
        es_result_reset(result);
        return rc;
    }
    *ret_reply = reply;
    return 0;
}
