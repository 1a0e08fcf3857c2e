/* The result files of MTEB.
 *
 * Early 1.x, where a split of several languages has one object for each:
 *     {"mteb_version": ..., "test": {"main_score": ..., "cos_sim": {"spearman": ...}, ...}}
 * Later 1.x and 2.x:
 *     {"scores": {"test": [{"hf_subset": "default", "main_score": ..., ...}, ...]}, ...}
 */
#include "run/result_internal.h"

#include "core/buf.h"
#include "sys/json.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MAX_NESTING 8 /* of metrics within metrics; what lies deeper is no score */

struct reading {
    struct es_result *result;
    const char *split;
    const char *subset;
    struct es_buf metric;  /* the name so far: "cos_sim_spearman" */
    double main_score_sum; /* over n_sets sets of scores, one for each split and subset */
    uint32_t n_sets;
    double time_s;
};

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

/* Every number below `scores` becomes a metric, nested ones under joined names. A list (the scores
 * of each experiment) or a text is none. */
static void read_metrics(struct reading *reading, const cJSON *scores, int nesting)
{
    static const char *const no_metrics[] = {"hf_subset", "languages", "evaluation_time", NULL};
    size_t len = reading->metric.len;
    const cJSON *item;
    cJSON_ArrayForEach(item, scores)
    {
        if (!item->string || (nesting == 0 && is_one_of(item->string, no_metrics)))
            continue;
        if (len)
            es_buf_putc(&reading->metric, '_');
        es_buf_puts(&reading->metric, item->string);
        if (reading->metric.failed)
            reading->result->failed = true;
        else if (cJSON_IsNumber(item) || cJSON_IsNull(item))
            es_result_add_clean(reading->result, reading->split, reading->subset,
                                reading->metric.data, es_result_number(item));
        else if (cJSON_IsObject(item) && nesting < MAX_NESTING)
            read_metrics(reading, item, nesting + 1);
        if (reading->metric.failed)
            return;
        reading->metric.len = len;
        reading->metric.data[len] = '\0';
    }
}

/* The scores of one split and subset. */
static void read_set(struct reading *reading, const char *subset, const cJSON *scores)
{
    reading->subset = subset;
    read_metrics(reading, scores, 0);
    reading->main_score_sum += es_result_number(es_json_get(scores, "main_score"));
    reading->n_sets++;
}

/* Whether an early split holds an object for each language, and not the scores themselves. */
static bool is_by_subset(const cJSON *split)
{
    static const char *const groups[] = {"cos_sim",   "dot", "euclidean",  "hamming",
                                         "manhattan", "max", "similarity", NULL};
    bool has_objects = false;
    const cJSON *item;
    cJSON_ArrayForEach(item, split)
    {
        if (cJSON_IsObject(item) && !is_one_of(item->string, groups))
            has_objects = true;
        else if (strcmp(item->string, "evaluation_time") != 0)
            return false;
    }
    return has_objects;
}

static void read_split(struct reading *reading, const cJSON *split)
{
    const cJSON *item;
    reading->split = split->string;
    if (cJSON_IsArray(split)) {
        cJSON_ArrayForEach(item, split)
        {
            const char *subset = es_json_get_string(item, "hf_subset");
            if (cJSON_IsObject(item))
                read_set(reading, subset ? subset : "default", item);
        }
    } else if (is_by_subset(split)) {
        cJSON_ArrayForEach(item, split)
        {
            if (cJSON_IsObject(item))
                read_set(reading, item->string, item);
        }
    } else if (cJSON_IsObject(split) && split->child) {
        read_set(reading, "default", split);
    }
    double time_s = es_result_number(es_json_get(split, "evaluation_time"));
    if (!isnan(time_s))
        reading->time_s = (isnan(reading->time_s) ? 0 : reading->time_s) + time_s;
}

static void read_early(struct reading *reading, const cJSON *root)
{
    static const char *const splits[] = {"test", "validation", "dev", "train", NULL};
    bool by_mteb = es_json_get(root, "mteb_version") || es_json_get(root, "mteb_dataset_name");
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        if (cJSON_IsObject(item) && (by_mteb || is_one_of(item->string, splits)))
            read_split(reading, item);
    }
}

/* {"scores": {"accuracy": ...}}, as some old scripts wrote: no splits, just numbers. */
static bool is_one_set(const cJSON *scores)
{
    bool has_number = false;
    const cJSON *item;
    cJSON_ArrayForEach(item, scores)
    {
        if (cJSON_IsArray(item))
            return false;
        has_number |= cJSON_IsNumber(item);
    }
    return has_number;
}

bool es_mteb_read(const cJSON *root, struct es_result *result, double *ret_main_score,
                  double *ret_time_s)
{
    struct reading reading = {.result = result, .split = "test", .time_s = (double)NAN};
    const cJSON *scores = es_json_get(root, "scores"), *split;
    if (!cJSON_IsObject(root))
        return false;
    if (!cJSON_IsObject(scores)) {
        read_early(&reading, root);
    } else if (is_one_set(scores)) {
        read_set(&reading, "default", scores);
    } else {
        cJSON_ArrayForEach(split, scores)
        {
            read_split(&reading, split);
        }
    }
    es_buf_clear(&reading.metric);
    if (reading.n_sets == 0)
        return false;
    *ret_main_score = reading.main_score_sum / reading.n_sets;
    *ret_time_s = reading.time_s;
    return true;
}
