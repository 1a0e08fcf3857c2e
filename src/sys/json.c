#include "sys/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static cJSON *parse_strict(const char *text, size_t n, const char **ret_end)
{
    *ret_end = text;
    if (n && text[n - 1] == ',') { /* cJSON before 1.7.18 would read the byte behind it */
        *ret_end = text + n - 1;
        return NULL;
    }
    cJSON *root = cJSON_ParseWithLengthOpts(text, n, ret_end, 0);
    if (!root)
        return NULL;
    for (const char *p = *ret_end; p < text + n; p++) {
        if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
            continue;
        *ret_end = p;
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

/* Copies text with the words that Python writes for missing numbers replaced by null. False when
 * there is none of them. */
static bool replace_python_words(const char *text, size_t n, struct es_buf *copy)
{
    static const char *const words[] = {"-Infinity", "Infinity", "NaN"};
    bool in_string = false, found = false;
    size_t start = 0;
    for (size_t i = 0; i < n; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                in_string = false;
            continue;
        }
        if (text[i] == '"') {
            in_string = true;
            continue;
        }
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            size_t len = strlen(words[w]);
            if (n - i < len || memcmp(text + i, words[w], len) != 0)
                continue;
            es_buf_append(copy, text + start, i - start);
            es_buf_puts(copy, "null");
            i += len - 1;
            start = i + 1;
            found = true;
            break;
        }
    }
    es_buf_append(copy, text + start, n - start);
    return found;
}

static int fault_at(const char *text, size_t n, const char *at, const char *subject,
                    struct es_err *err)
{
    if (n == 0)
        return es_err_set(err, ES_ERR_PARSE, "reading JSON", subject, "it is empty");
    size_t line = 1, column = 1;
    for (const char *p = text; p < at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    return es_err_set(err, ES_ERR_PARSE, "reading JSON", subject,
                      "line %zu, column %zu: not valid JSON", line, column);
}

int es_json_parse(const char *text, size_t n, const char *subject, cJSON **ret_root,
                  struct es_err *err)
{
    const char *end;
    struct es_buf copy = {0};
    cJSON *root = parse_strict(text, n, &end);
    if (!root && replace_python_words(text, n, &copy) && !copy.failed) {
        text = copy.data; /* a fault is shown where it is there: in the same line */
        n = copy.len;
        root = parse_strict(text, n, &end);
    }
    int rc = 0;
    if (root)
        *ret_root = root;
    else if (copy.failed)
        rc = es_err_nomem(err, "reading JSON");
    else
        rc = fault_at(text, n, end, subject, err);
    es_buf_clear(&copy);
    return rc;
}

const cJSON *es_json_get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *es_json_get_string(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(es_json_get(object, key));
}

double es_json_get_double(const cJSON *object, const char *key)
{
    const cJSON *item = es_json_get(object, key);
    return cJSON_IsNumber(item) && isfinite(item->valuedouble) ? item->valuedouble : (double)NAN;
}
