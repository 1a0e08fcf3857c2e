#include "run/jobfile_internal.h"

#include "core/mem.h"
#include "core/num.h"
#include "run/layout.h"
#include "sys/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ---- */

static const char *root_fault(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return "holds a control character";
    return text[0] ? NULL : "is empty";
}

static bool starts_processes(const struct es_job *job)
{
    return job->evaluator.mode != ES_EVALUATOR_NULL;
}

static bool is_null_evaluator(const struct es_job *job)
{
    return !starts_processes(job);
}

static const char *const mode_words[] = {
    [ES_EVALUATOR_ONE_SHOT] = "one-shot",
    [ES_EVALUATOR_PERSISTENT] = "persistent",
    [ES_EVALUATOR_NULL] = "null",
    NULL,
};

_Static_assert(sizeof(enum es_evaluator_mode) == sizeof(unsigned) &&
                   sizeof(enum es_policy) == sizeof(unsigned),
               "JOBFILE_WORD fields are written as unsigned");

#define AT(member) .offset = offsetof(struct es_job, member)
#define BOOL(member) .kind = JOBFILE_BOOL, AT(member)
#define COUNT(member, least, most) .kind = JOBFILE_COUNT, AT(member), .min = (least), .max = (most)
#define NUMBER(member, least, most)                                                                \
    .kind = JOBFILE_NUMBER, AT(member), .min = (least), .max = (most)

static const struct jobfile_field run_fields[] = {
    {.key = "root", .kind = JOBFILE_TEXT, AT(run.root), .fault = root_fault},
    {.key = "id",
     .kind = JOBFILE_TEXT,
     AT(run.id),
     .fault = es_name_fault,
     .missing = "there is no run id: set run.id or the environment's RUN_ID"},
    {.key = "resume", BOOL(run.resume)},
    {.key = "fsync", BOOL(run.fsync)},
    {.key = "reuse",
     .kind = JOBFILE_CUSTOM,
     .read = es_jobfile_read_reuse,
     .write = es_jobfile_write_reuse},
    {.key = NULL},
};

static const struct jobfile_field grid_fields[] = {
    {.key = "checkpoints",
     .kind = JOBFILE_CUSTOM,
     .read = es_jobfile_read_checkpoints,
     .write = es_jobfile_write_checkpoints,
     .missing = "grid.checkpoints is missing"},
    {.key = "layers",
     .kind = JOBFILE_CUSTOM,
     .read = es_jobfile_read_layers,
     .write = es_jobfile_write_layers,
     .missing = "grid.layers is missing"},
    {.key = "tasks",
     .kind = JOBFILE_CUSTOM,
     .read = es_jobfile_read_tasks,
     .write = es_jobfile_write_tasks,
     .missing = "grid.tasks is missing"},
    {.key = "exclude", .kind = JOBFILE_CUSTOM, .write = es_jobfile_write_exclude},
    {.key = NULL},
};

/* mode comes first: it decides which others apply. */
static const struct jobfile_field evaluator_fields[] = {
    {.key = "mode", .kind = JOBFILE_WORD, AT(evaluator.mode), .words = mode_words},
    {.key = "command",
     .kind = JOBFILE_CUSTOM,
     .read = es_jobfile_read_command,
     .write = es_jobfile_write_command,
     .applies = starts_processes,
     .missing = "evaluator.command is missing"},
    {.key = "env",
     .kind = JOBFILE_CUSTOM,
     .read = es_jobfile_read_env,
     .write = es_jobfile_write_env,
     .has_text_members = true},
    {.key = "timeout_s", NUMBER(evaluator.timeout_s, 0, JOBFILE_LONGEST_S), .word = "auto"},
    {.key = "retries", COUNT(evaluator.retries, 0, 1000)},
    {.key = "require_score", BOOL(evaluator.require_score)},
    {.key = "markers", BOOL(evaluator.null_markers), .applies = is_null_evaluator},
    {.key = "seconds",
     NUMBER(evaluator.null_seconds, 0, JOBFILE_LONGEST_S),
     .applies = is_null_evaluator},
    {.key = NULL},
};

static const struct jobfile_field resources_fields[] = {
    {.key = "gpus_per_worker", COUNT(resources.gpus_per_worker, 0, 1024)},
    {.key = "workers_per_gpu", COUNT(resources.workers_per_gpu, 1, 1024)},
    {.key = "coordinator_works", BOOL(resources.coordinator_works)},
    {.key = NULL},
};

static const struct jobfile_field schedule_fields[] = {
    {.key = "policy", .kind = JOBFILE_WORD, AT(schedule.policy), .words = es_policy_names},
    {.key = "checkpoint_load_s", NUMBER(schedule.checkpoint_load_s, 0, JOBFILE_LONGEST_S)},
    {.key = "task_cost_s",
     .kind = JOBFILE_CUSTOM,
     .read = es_jobfile_read_task_costs,
     .write = es_jobfile_write_task_costs},
    {.key = "pass_share", NUMBER(schedule.pass_share, 0, 1)},
    {.key = NULL},
};

static const struct jobfile_field limits_fields[] = {
    {.key = "time_limit_s", NUMBER(limits.time_limit_s, 0, JOBFILE_LONGEST_S)},
    {.key = "grace_s", NUMBER(limits.grace_s, 0, JOBFILE_LONGEST_S)},
    {.key = "heartbeat_s", NUMBER(limits.heartbeat_s, 5, JOBFILE_LONGEST_S)},
    {.key = "outage_s", NUMBER(limits.outage_s, 0, JOBFILE_LONGEST_S)},
    {.key = "max_consecutive_failures", COUNT(limits.max_consecutive_failures, 0, 1000000)},
    {.key = NULL},
};

/* The grid comes before what speaks of its tasks. */
const struct jobfile_field es_jobfile_fields[] = {
    {.key = "run", .kind = JOBFILE_SECTION, .fields = run_fields},
    {.key = "layout", .kind = JOBFILE_TEXT, AT(layout), .fault = es_layout_fault},
    {.key = "grid", .kind = JOBFILE_SECTION, .fields = grid_fields, .read = es_jobfile_read_grid},
    {.key = "evaluator", .kind = JOBFILE_SECTION, .fields = evaluator_fields},
    {.key = "resources", .kind = JOBFILE_SECTION, .fields = resources_fields},
    {.key = "schedule", .kind = JOBFILE_SECTION, .fields = schedule_fields},
    {.key = "limits", .kind = JOBFILE_SECTION, .fields = limits_fields},
    {.key = NULL},
};

/* ---- reading by table ---- */

static const struct jobfile_field *field_of(const struct jobfile_field *fields, const char *key)
{
    for (; fields->key; fields++)
        if (strcmp(fields->key, key) == 0)
            return fields;
    return NULL;
}

const struct jobfile_field *es_jobfile_find_field(const char *const *keys, size_t n_keys)
{
    const struct jobfile_field *field = NULL;
    const struct jobfile_field *fields = es_jobfile_fields;
    for (size_t i = 0; i < n_keys && fields; i++) {
        field = field_of(fields, keys[i]);
        fields = field ? field->fields : NULL;
    }
    return field;
}

static int unknown_key(const struct jobfile_reader *reader, const cJSON *item,
                       const struct jobfile_field *fields)
{
    const char *known[16]; /* more than any section has */
    size_t n = 0;
    for (; n < sizeof known / sizeof known[0] && fields[n].key; n++)
        known[n] = fields[n].key;
    return es_jobfile_unknown_key(reader, item, known, n);
}

bool es_jobfile_is_whole(const cJSON *item, double min, double max)
{
    return cJSON_IsNumber(item) && item->valuedouble >= min && item->valuedouble <= max &&
           item->valuedouble == floor(item->valuedouble);
}

bool es_jobfile_is_utf8(const char *text)
{
    for (size_t i = 0, len = strlen(text), n; i < len; i += n) {
        n = es_utf8_char_len(text + i, len - i);
        if (n == 0)
            return false;
    }
    return true;
}

int es_jobfile_get_text(const struct jobfile_reader *reader, const cJSON *item,
                        const char *expected, const char **ret_text)
{
    if (!cJSON_IsString(item))
        return es_jobfile_mismatch(reader, item, expected);
    if (!es_jobfile_is_utf8(item->valuestring))
        return es_jobfile_fault(reader, item, "expected %s, found bytes that are not UTF-8",
                                expected);
    *ret_text = item->valuestring;
    return 0;
}

static int read_number(const struct jobfile_reader *reader, const cJSON *item,
                       const struct jobfile_field *field)
{
    bool whole = field->kind == JOBFILE_COUNT;
    if (field->word && cJSON_IsString(item) && strcmp(item->valuestring, field->word) == 0) {
        *(double *)(void *)((char *)reader->job + field->offset) = (double)NAN;
        return 0;
    }
    bool fits = whole ? es_jobfile_is_whole(item, field->min, field->max)
                      : cJSON_IsNumber(item) && item->valuedouble >= field->min &&
                            item->valuedouble <= field->max;
    if (!fits) {
        char min[32], max[32], expected[120];
        es_format_double(field->min, min);
        es_format_double(field->max, max);
        (void)snprintf(expected, sizeof expected, "%s%s%sa %snumber from %s to %s",
                       field->word ? "\"" : "", field->word ? field->word : "",
                       field->word ? "\" or " : "", whole ? "whole " : "", min, max);
        return es_jobfile_mismatch(reader, item, expected);
    }
    char *at = (char *)reader->job + field->offset;
    if (whole)
        *(uint32_t *)(void *)at = (uint32_t)item->valuedouble;
    else
        *(double *)(void *)at = item->valuedouble;
    return 0;
}

static int read_text(const struct jobfile_reader *reader, const cJSON *item,
                     const struct jobfile_field *field)
{
    const char *text = NULL;
    int rc = es_jobfile_get_text(reader, item, "a string", &text);
    if (rc < 0)
        return rc;
    const char *fault = field->fault(text);
    if (fault) {
        char quoted[JOBFILE_QUOTED_SIZE];
        return es_jobfile_fault(reader, item, "%s %s", es_jobfile_quote(text, quoted), fault);
    }
    char **at = (char **)(void *)((char *)reader->job + field->offset);
    char *copy = es_mem_strdup(text);
    if (!copy)
        return es_jobfile_nomem(reader);
    free(*at);
    *at = copy;
    return 0;
}

static int read_word(const struct jobfile_reader *reader, const cJSON *item,
                     const struct jobfile_field *field)
{
    char expected[200] = "";
    size_t len = 0;
    for (unsigned i = 0; field->words[i]; i++) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, field->words[i]) == 0) {
            memcpy((char *)reader->job + field->offset, &i, sizeof i);
            return 0;
        }
        int n = snprintf(expected + len, sizeof expected - len, "%s\"%s\"",
                         i == 0                ? ""
                         : field->words[i + 1] ? ", "
                                               : " or ",
                         field->words[i]);
        len += n > 0 && (size_t)n < sizeof expected - len ? (size_t)n : 0;
    }
    return es_jobfile_mismatch(reader, item, expected);
}

static int read_bool(const struct jobfile_reader *reader, const cJSON *item,
                     const struct jobfile_field *field)
{
    if (!cJSON_IsBool(item))
        return es_jobfile_mismatch(reader, item, "true or false");
    *(bool *)((char *)reader->job + field->offset) = cJSON_IsTrue(item);
    return 0;
}

/* item is NULL where the section is missing: then what it must hold is missing, too. */
static int read_section(struct jobfile_reader *reader, const cJSON *item,
                        const struct jobfile_field *field)
{
    int rc = es_jobfile_read_fields(reader, item, field->fields);
    return rc == 0 && field->read ? field->read(reader, item) : rc;
}

static int read_field(struct jobfile_reader *reader, const cJSON *item,
                      const struct jobfile_field *field)
{
    switch (field->kind) {
    case JOBFILE_BOOL:
        return read_bool(reader, item, field);
    case JOBFILE_COUNT:
    case JOBFILE_NUMBER:
        return read_number(reader, item, field);
    case JOBFILE_TEXT:
        return read_text(reader, item, field);
    case JOBFILE_WORD:
        return read_word(reader, item, field);
    case JOBFILE_SECTION:
        return read_section(reader, item, field);
    case JOBFILE_CUSTOM:
        return field->read ? field->read(reader, item) : 0;
    }
    return es_err_set(reader->err, ES_ERR_INTERNAL, JOBFILE_DOING, field->key, "bad table");
}

int es_jobfile_read_fields(struct jobfile_reader *reader, const cJSON *object,
                           const struct jobfile_field *fields)
{
    if (object && !cJSON_IsObject(object))
        return es_jobfile_mismatch(reader, object, "an object");
    for (const cJSON *item = object ? object->child : NULL; item; item = item->next)
        if (!field_of(fields, item->string))
            return unknown_key(reader, item, fields);
    int rc = 0;
    for (const struct jobfile_field *field = fields; field->key && rc == 0; field++) {
        const cJSON *item = es_json_get(object, field->key);
        bool applies = !field->applies || field->applies(reader->job);
        if (item && !applies)
            return es_jobfile_fault(reader, item, "does not go with evaluator.mode \"%s\"",
                                    mode_words[reader->job->evaluator.mode]);
        if (item || field->kind == JOBFILE_SECTION)
            rc = read_field(reader, item, field);
        else if (applies && field->missing)
            rc = es_jobfile_fault(reader, object ? object : reader->root, "%s", field->missing);
    }
    return rc;
}
