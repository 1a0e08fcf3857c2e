#include "run/jobfile_internal.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

int es_jobfile_read_command(struct jobfile_reader *reader, const cJSON *item)
{
    struct es_job *job = reader->job;
    if (!cJSON_IsArray(item) || !item->child)
        return es_jobfile_mismatch(reader, item,
                                   "a list of strings, such as [\"python3\", \"evaluator.py\"]");
    size_t n = (size_t)cJSON_GetArraySize(item);
    job->evaluator.command = es_mem_calloc(n + 1, sizeof *job->evaluator.command);
    if (!job->evaluator.command)
        return es_jobfile_nomem(reader);
    for (const cJSON *word = item->child; word; word = word->next) {
        const char *text;
        int rc = es_jobfile_get_text(reader, word, "a string", &text);
        if (rc < 0)
            return rc;
        if (word == item->child && !text[0])
            return es_jobfile_mismatch(reader, word, "the name of a program");
        char *copy = es_mem_strdup(text);
        if (!copy)
            return es_jobfile_nomem(reader);
        job->evaluator.command[job->evaluator.n_command++] = copy;
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    const struct es_env_var *left = a, *right = b;
    return strcmp(left->name, right->name);
}

int es_jobfile_read_env(struct jobfile_reader *reader, const cJSON *item)
{
    struct es_job *job = reader->job;
    if (!cJSON_IsObject(item))
        return es_jobfile_mismatch(reader, item, "an object of strings");
    size_t n = (size_t)cJSON_GetArraySize(item);
    job->evaluator.env = es_mem_calloc(n, sizeof *job->evaluator.env);
    if (!job->evaluator.env)
        return es_jobfile_nomem(reader);
    for (const cJSON *member = item->child; member; member = member->next) {
        const char *value;
        int rc = es_jobfile_get_text(reader, member, "a string", &value);
        if (rc < 0)
            return rc;
        if (!member->string[0] || strchr(member->string, '=') ||
            !es_jobfile_is_utf8(member->string))
            return es_jobfile_fault(reader, member, "no variable can have this name");
        struct es_env_var *var = &job->evaluator.env[job->evaluator.n_env++];
        var->name = es_mem_strdup(member->string);
        var->value = es_mem_strdup(value);
        if (!var->name || !var->value)
            return es_jobfile_nomem(reader);
    }
    if (job->evaluator.n_env)
        qsort(job->evaluator.env, job->evaluator.n_env, sizeof *job->evaluator.env, compare_names);
    return 0;
}
