#include "run/jobfile_internal.h"

#include "core/mem.h"
#include "sys/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_KEYS 3 /* schedule.task_cost_s.STS12 */
#define EXPECTED_SET "expected KEY.KEY=JSON, such as grid.layers=[21,22]"

const char *es_jobfile_text_fault(const char *text, size_t n, size_t *ret_line)
{
    static const char escaped_nul[] = "\\u0000";
    size_t depth = 0, line = 1;
    bool in_string = false;
    const char *fault = NULL;
    for (size_t i = 0; i < n && !fault; i++) {
        char c = text[i];
        line += c == '\n';
        if (c == '\0') {
            fault = "a NUL character, which no text may hold";
        } else if (in_string && c == '\\') {
            if (n - i >= 6 && memcmp(text + i, escaped_nul, 6) == 0)
                fault = "\\u0000, which no text may hold";
            else
                i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '[' || c == '{')) {
            if (++depth > CJSON_NESTING_LIMIT)
                fault = "lists or objects nested too deep";
        } else if (!in_string && (c == ']' || c == '}')) {
            depth -= depth > 0;
        }
    }
    *ret_line = line;
    return fault;
}

/* The replaced item goes away, and with it what earlier overrides put below it. */
static void forget_origins_in(struct jobfile_reader *reader, const cJSON *replaced)
{
    for (size_t i = 0; i < reader->n_origins; i++) {
        struct jobfile_origin *origin = &reader->origins[i];
        if (origin->item && es_jobfile_contains(replaced, origin->item))
            origin->item = NULL;
    }
}

/* Puts value (taken) in the tree at the keys, making the objects above it where there are none. */
static int put(struct jobfile_reader *reader, struct jobfile_origin *origin,
               const char *const *keys, size_t n_keys, cJSON *value)
{
    cJSON *object = reader->root;
    size_t i = 0;
    for (; i + 1 < n_keys && cJSON_IsObject(object); i++) {
        cJSON *child = cJSON_GetObjectItemCaseSensitive(object, keys[i]);
        if (!child) {
            child = cJSON_AddObjectToObject(object, keys[i]);
            if (!origin->item)
                origin->item = child;
        }
        object = child;
    }
    if (object && !cJSON_IsObject(object)) {
        cJSON_Delete(value);
        return origin->set ? es_jobfile_origin_fault(reader, origin, "%s is no object", keys[i - 1])
                           : es_jobfile_mismatch(reader, object, "an object");
    }
    cJSON *old = cJSON_GetObjectItemCaseSensitive(object, keys[i]);
    if (old)
        forget_origins_in(reader, old);
    bool ok = old ? cJSON_ReplaceItemInObjectCaseSensitive(object, keys[i], value)
                  : cJSON_AddItemToObject(object, keys[i], value);
    if (!ok) {
        cJSON_Delete(value);
        return es_jobfile_nomem(reader);
    }
    if (!origin->item)
        origin->item = value;
    return 0;
}

/* Whether only a string can stand at the keys, so that a --set need not quote it. */
static bool takes_text(const char *const *keys, size_t n_keys)
{
    const struct jobfile_field *field = es_jobfile_find_field(keys, n_keys);
    if (!field)
        return false;
    return field->kind == JOBFILE_TEXT || field->kind == JOBFILE_WORD ||
           (field->has_text_members && n_keys == MAX_KEYS);
}

static int make_string(const struct jobfile_reader *reader, const char *text, cJSON **ret_value)
{
    cJSON *value = cJSON_CreateString(text);
    if (!value)
        return es_jobfile_nomem(reader);
    *ret_value = value;
    return 0;
}

/* The value of a --set: JSON, or a bare word as a string. */
static int parse_value(const struct jobfile_reader *reader, const struct jobfile_origin *origin,
                       const char *text, cJSON **ret_value)
{
    size_t n = strlen(text), line;
    const char *fault = es_jobfile_text_fault(text, n, &line);
    if (fault)
        return es_jobfile_origin_fault(reader, origin, "it has %s", fault);
    cJSON *value = NULL;
    if (es_json_parse(text, n, origin->set, &value, NULL) < 0)
        return n && !strchr("[{\"", text[0])
                   ? make_string(reader, text, ret_value)
                   : es_jobfile_origin_fault(reader, origin, "the value is not valid JSON");
    char path[100];
    if (es_json_find_duplicate(value, path, sizeof path)) {
        cJSON_Delete(value);
        return es_jobfile_origin_fault(reader, origin, "in the value, the key at %s stands twice",
                                       path);
    }
    *ret_value = value;
    return 0;
}

/* path is "a.b", to be cut into its keys in place; value the text after the '='. */
static int apply_set(struct jobfile_reader *reader, struct jobfile_origin *origin, char *path,
                     const char *value_text)
{
    const char *keys[MAX_KEYS] = {0};
    size_t n_keys = 0;
    for (char *key = path, *next; key; key = next) {
        /* the last key takes the rest: a task's name may have dots in it */
        next = n_keys + 1 < MAX_KEYS ? strchr(key, '.') : NULL;
        if (next)
            *next++ = '\0';
        if (!*key)
            return es_jobfile_origin_fault(reader, origin, EXPECTED_SET);
        keys[n_keys++] = key;
    }
    cJSON *value = NULL;
    int rc = value_text[0] != '"' && takes_text(keys, n_keys)
                 ? make_string(reader, value_text, &value)
                 : parse_value(reader, origin, value_text, &value);
    return rc < 0 ? rc : put(reader, origin, keys, n_keys, value);
}

static int apply_one(struct jobfile_reader *reader, const char *set)
{
    struct jobfile_origin *origin = &reader->origins[reader->n_origins++];
    *origin = (struct jobfile_origin){.set = set};
    const char *equals = strchr(set, '=');
    if (!equals)
        return es_jobfile_origin_fault(reader, origin, EXPECTED_SET);
    char *path = es_mem_strndup(set, (size_t)(equals - set));
    int rc = path ? apply_set(reader, origin, path, equals + 1) : es_jobfile_nomem(reader);
    free(path);
    return rc;
}

static int apply_run_id(struct jobfile_reader *reader, const char *run_id)
{
    const char *const keys[] = {"run", "id"};
    struct jobfile_origin *origin = &reader->origins[reader->n_origins++];
    *origin = (struct jobfile_origin){0};
    cJSON *value = cJSON_CreateString(run_id);
    return value ? put(reader, origin, keys, 2, value) : es_jobfile_nomem(reader);
}

int es_jobfile_override(struct jobfile_reader *reader, const struct es_job_overrides *overrides)
{
    if (!overrides)
        return 0;
    reader->origins = es_mem_calloc(overrides->n_sets + 1, sizeof *reader->origins);
    if (!reader->origins)
        return es_jobfile_nomem(reader);
    int rc = 0;
    if (overrides->run_id && overrides->run_id[0])
        rc = apply_run_id(reader, overrides->run_id);
    for (size_t i = 0; i < overrides->n_sets && rc == 0; i++)
        rc = apply_one(reader, overrides->sets[i]);
    return rc;
}
