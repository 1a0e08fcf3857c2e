#include "run/jobfile_internal.h"

#include "core/num.h"
#include "sys/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *es_jobfile_quote(const char *text, char ret_text[JOBFILE_QUOTED_SIZE])
{
    size_t len = es_utf8_cut(text, 60);
    struct es_buf quoted = {0};
    es_buf_json_string(&quoted, text, len);
    (void)snprintf(ret_text, JOBFILE_QUOTED_SIZE, "%s%s", quoted.failed ? "?" : quoted.data,
                   text[len] ? "..." : "");
    es_buf_clear(&quoted);
    return ret_text;
}

bool es_jobfile_contains(const cJSON *tree, const cJSON *item)
{
    if (tree == item)
        return true;
    for (const cJSON *child = tree->child; child; child = child->next)
        if (es_jobfile_contains(child, item))
            return true;
    return false;
}

/* The last override whose part of the tree holds the item. */
static const struct jobfile_origin *origin_of(const struct jobfile_reader *reader,
                                              const cJSON *item)
{
    for (size_t i = reader->n_origins; i-- > 0;) {
        const struct jobfile_origin *origin = &reader->origins[i];
        if (origin->item && es_jobfile_contains(origin->item, item))
            return origin;
    }
    return NULL;
}

static int set_error(const struct jobfile_reader *reader, const struct jobfile_origin *origin,
                     const char *why)
{
    char flag[400];
    if (!origin)
        return es_err_set(reader->err, ES_ERR_USAGE, JOBFILE_DOING, reader->path, "%s", why);
    if (origin->set)
        (void)snprintf(flag, sizeof flag, "--set %.*s", (int)es_utf8_cut(origin->set, 200),
                       origin->set);
    else
        (void)snprintf(flag, sizeof flag, "the environment's RUN_ID");
    return es_err_set(reader->err, ES_ERR_USAGE, JOBFILE_DOING, flag, "%s", why);
}

int es_jobfile_origin_fault(const struct jobfile_reader *reader,
                            const struct jobfile_origin *origin, const char *format, ...)
{
    char why[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return set_error(reader, origin, why);
}

int es_jobfile_fault(const struct jobfile_reader *reader, const cJSON *item, const char *format,
                     ...)
{
    char what[320], why[500];
    va_list args;
    if (!reader->err)
        return ES_ERR_USAGE;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct es_buf path = {0};
    (void)es_json_path_of(reader->root, item, &path);
    const char *at = path.data && !path.failed ? path.data : "$";
    size_t at_len = es_utf8_cut(at, 120);
    const struct jobfile_origin *origin = origin_of(reader, item);
    int n = 0;
    if (!origin)
        n = snprintf(why, sizeof why, "line %zu: ", es_json_line_of(reader->text, reader->n, at));
    (void)snprintf(why + n, sizeof why - (size_t)n, "%.*s%s: %s", (int)at_len, at,
                   at[at_len] ? "..." : "", what);
    es_buf_clear(&path);
    return set_error(reader, origin, why);
}

static const char *describe(const cJSON *item, char ret_text[JOBFILE_QUOTED_SIZE])
{
    if (cJSON_IsString(item))
        return es_jobfile_quote(item->valuestring, ret_text);
    if (cJSON_IsNumber(item) && isfinite(item->valuedouble)) {
        es_format_double(item->valuedouble, ret_text);
        return ret_text;
    }
    if (cJSON_IsBool(item))
        return cJSON_IsTrue(item) ? "true" : "false";
    if (cJSON_IsNull(item))
        return "null";
    if (cJSON_IsArray(item))
        return item->child ? "a list" : "an empty list";
    if (cJSON_IsObject(item))
        return item->child ? "an object" : "an empty object";
    return "a number too large";
}

int es_jobfile_mismatch(const struct jobfile_reader *reader, const cJSON *item,
                        const char *expected)
{
    char found[JOBFILE_QUOTED_SIZE];
    return es_jobfile_fault(reader, item, "expected %s, found %s", expected, describe(item, found));
}

int es_jobfile_nomem(const struct jobfile_reader *reader)
{
    return es_err_nomem(reader->err, JOBFILE_DOING);
}

#define NEAR_MAX_LEN 60

bool es_jobfile_is_near(const char *text, const char *known)
{
    size_t n = strnlen(text, NEAR_MAX_LEN + 1), n_known = strnlen(known, NEAR_MAX_LEN + 1);
    if (n > NEAR_MAX_LEN || n_known > NEAR_MAX_LEN)
        return false;
    size_t row[NEAR_MAX_LEN + 1]; /* edits from the text so far to each front of known */
    for (size_t j = 0; j <= n_known; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_known; j++) {
            size_t edits = diagonal + (text[i - 1] != known[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < edits)
                edits = row[j] + 1;
            if (row[j - 1] + 1 < edits)
                edits = row[j - 1] + 1;
            row[j] = edits;
        }
    }
    return row[n_known] <= 2 && 2 * row[n_known] <= n_known;
}

int es_jobfile_unknown_key(const struct jobfile_reader *reader, const cJSON *item,
                           const char *const *known, size_t n_known)
{
    char key[JOBFILE_QUOTED_SIZE];
    es_jobfile_quote(item->string, key);
    for (size_t i = 0; i < n_known; i++)
        if (es_jobfile_is_near(item->string, known[i]))
            return es_jobfile_fault(reader, item, "unknown key %s; did you mean \"%s\"?", key,
                                    known[i]);
    struct es_buf list = {0};
    for (size_t i = 0; i < n_known; i++)
        es_buf_printf(&list, "%s%s", i ? ", " : "", known[i]);
    int rc = list.failed ? es_jobfile_nomem(reader)
                         : es_jobfile_fault(reader, item, "unknown key %s; expected one of %s", key,
                                            list.data);
    es_buf_clear(&list);
    return rc;
}
