#include "run/marker.h"

#include "core/attributes.h"
#include "run/result_internal.h"
#include "sys/clock.h"
#include "sys/json.h"

#include <math.h>
#include <string.h>

#define DEFAULT_SPLIT "test"
#define DEFAULT_SUBSET "default"

double es_result_number(const cJSON *item)
{
    return cJSON_IsNumber(item) && isfinite(item->valuedouble) ? item->valuedouble : (double)NAN;
}

/* text itself if it is valid UTF-8, else a corrected copy in `copy`. */
static const char *clean(const char *text, struct es_buf *copy)
{
    size_t len = strlen(text), i = 0;
    while (i < len && (unsigned char)text[i] < 0x80)
        i++;
    if (i == len)
        return text;
    es_buf_puts_utf8(copy, text);
    return copy->failed ? NULL : copy->data;
}

uint32_t es_result_keep_clean(struct es_result *result, const char *text)
{
    struct es_buf copy = {0};
    uint32_t offset = 0;
    const char *kept = clean(text, &copy);
    if (kept)
        offset = es_result_keep(result, kept, strlen(kept));
    else
        result->failed = true;
    es_buf_clear(&copy);
    return offset;
}

bool es_result_is_name(const char *name)
{
    return strnlen(name, ES_SCORE_NAME_LIMIT + 1) <= ES_SCORE_NAME_LIMIT;
}

void es_result_add_clean(struct es_result *result, const char *split, const char *subset,
                         const char *metric, double value)
{
    if (!es_result_is_name(split) || !es_result_is_name(subset) || !es_result_is_name(metric))
        return;
    struct es_buf copies[3] = {{0}, {0}, {0}};
    const char *kept[3] = {clean(split, &copies[0]), clean(subset, &copies[1]),
                           clean(metric, &copies[2])};
    if (!kept[0] || !kept[1] || !kept[2])
        result->failed = true;
    else if (es_result_is_name(kept[0]) && es_result_is_name(kept[1]) && es_result_is_name(kept[2]))
        es_result_add_metric(result, kept[0], kept[1], kept[2], value); /* U+FFFD has 3 bytes */
    for (int i = 0; i < 3; i++)
        es_buf_clear(&copies[i]);
}

/* The metrics of a marker or a result.json of ours: a list of split, subset, metric and value. */
static bool read_metrics(const cJSON *metrics, struct es_result *result)
{
    const cJSON *entry;
    size_t n_before = result->n_metrics;
    if (!cJSON_IsArray(metrics))
        return false;
    cJSON_ArrayForEach(entry, metrics)
    {
        const char *name = es_json_get_string(entry, "metric");
        const cJSON *value = es_json_get(entry, "value");
        const char *split = es_json_get_string(entry, "split");
        const char *subset = es_json_get_string(entry, "subset");
        if (name && (cJSON_IsNumber(value) || cJSON_IsNull(value)))
            es_result_add_clean(result, split ? split : DEFAULT_SPLIT,
                                subset ? subset : DEFAULT_SUBSET, name, es_result_number(value));
    }
    return result->n_metrics > n_before;
}

static void fill_double(double *field, double value)
{
    if (isnan(*field))
        *field = value;
}

static void fill_time(double *field, const cJSON *object, const char *key)
{
    const char *text = es_json_get_string(object, key);
    double unix_s;
    if (isnan(*field) && text && es_clock_parse_utc(text, &unix_s))
        *field = unix_s;
}

static void fill_int(int32_t *field, int32_t unknown, const cJSON *object, const char *key)
{
    double value = es_result_number(es_json_get(object, key));
    if (*field == unknown && value >= 0 && value <= INT32_MAX && value == floor(value))
        *field = (int32_t)value;
}

static void fill_text(uint32_t *field, struct es_result *result, const cJSON *object,
                      const char *key)
{
    const char *text = es_json_get_string(object, key);
    if (*field == 0 && text)
        *field = es_result_keep_clean(result, text);
}

void es_result_read_attributes(const cJSON *root, struct es_result *result)
{
    const cJSON *attributes = es_json_get(root, "attributes"), *item;
    struct es_attributes set = {0};
    struct es_buf text = {0};
    if (result->attributes || !cJSON_IsObject(attributes))
        return;
    cJSON_ArrayForEach(item, attributes)
    {
        if (cJSON_IsString(item))
            es_attributes_add_text(&set, item->string, item->valuestring);
        else if (cJSON_IsNumber(item))
            es_attributes_add_number(&set, item->string, item->valuedouble);
        else if (cJSON_IsBool(item))
            es_attributes_add_bool(&set, item->string, cJSON_IsTrue(item));
    }
    es_attributes_write(&set, &text);
    if (set.entries.failed || text.failed)
        result->failed = true;
    else
        result->attributes = es_result_keep(result, text.data, text.len);
    es_attributes_clear(&set);
    es_buf_clear(&text);
}

/* Old markers have `evaluation_time` or `time_s` for how long it took. */
void es_result_read_circumstances(const cJSON *root, struct es_result *result)
{
    static const char *const time_keys[] = {"evaluation_time_s", "evaluation_time", "time_s"};
    for (size_t i = 0; i < sizeof time_keys / sizeof time_keys[0]; i++)
        fill_double(&result->evaluation_time_s, es_result_number(es_json_get(root, time_keys[i])));
    fill_double(&result->load_s, es_result_number(es_json_get(root, "load_s")));
    fill_double(&result->pass_s, es_result_number(es_json_get(root, "pass_s")));
    fill_double(&result->score_s, es_result_number(es_json_get(root, "score_s")));
    fill_time(&result->started_s, root, "started");
    fill_time(&result->finished_s, root, "finished");
    fill_int(&result->attempt, 0, root, "attempt");
    fill_int(&result->rank, -1, root, "rank");
    fill_text(&result->host, result, root, "host");
    fill_text(&result->device, result, root, "device");
    fill_text(&result->reason, result, root, "reason");
    fill_text(&result->exit, result, root, "exit");
}

static enum es_form read_scores(const cJSON *root, const char *task, struct es_result *result)
{
    double mteb_score = (double)NAN, mteb_time_s = (double)NAN;
    const cJSON *main_score = es_json_get(root, "main_score");
    bool complete = result->n_metrics > 0 || read_metrics(es_json_get(root, "metrics"), result) ||
                    es_mteb_read(root, result, &mteb_score, &mteb_time_s);
    fill_double(&result->main_score, es_result_number(main_score));
    fill_double(&result->main_score, mteb_score);
    fill_double(&result->evaluation_time_s, mteb_time_s);
    if (complete || (cJSON_IsNumber(es_json_get(root, "schema")) && main_score))
        return ES_FORM_COMPLETE;
    if (cJSON_IsNumber(main_score) || cJSON_IsNull(main_score))
        return ES_FORM_SCORE_ONLY;
    const cJSON *by_task = es_json_get(root, task);
    if (cJSON_IsObject(by_task) && !es_json_get(by_task, task)) /* {"STS12": {...}} */
        return read_scores(by_task, task, result);
    return ES_FORM_NO_SCORE;
}

enum es_form es_result_merge(const char *text, size_t n, const char *task, struct es_result *result)
{
    cJSON *root;
    if (es_json_parse(text, n, NULL, &root, NULL) < 0)
        return ES_FORM_NOT_JSON;
    es_result_read_circumstances(root, result);
    es_result_read_attributes(root, result);
    es_earlier_read(root, result);
    result->is_interim = cJSON_IsTrue(es_json_get(root, "retry"));
    enum es_form form = read_scores(root, task, result);
    cJSON_Delete(root);
    return form;
}

enum es_form es_result_read(const char *text, size_t n, const char *task, struct es_result *result)
{
    es_result_reset(result);
    if (es_result_quick(text, n, result))
        return ES_FORM_COMPLETE;
    es_result_reset(result);
    return es_result_merge(text, n, task, result);
}

bool es_result_parse(const char *text, size_t n, const char *task, struct es_result *result,
                     bool *ret_has_score)
{
    enum es_form form = es_result_read(text, n, task, result);
    if (form == ES_FORM_NOT_JSON)
        return false;
    if (ret_has_score)
        *ret_has_score = form >= ES_FORM_SCORE_ONLY;
    return true;
}
