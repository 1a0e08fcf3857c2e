#include "run/jobfile_internal.h"

#include "core/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_string(struct es_buf *text, const char *string)
{
    es_buf_json_string(text, string, strlen(string));
}

/* What comes before item i of a list. */
static void separate(struct es_buf *text, size_t i)
{
    if (i)
        es_buf_puts(text, ", ");
}

/* ---- `write` functions of fields; one that has nothing to say appends nothing ---- */

void es_jobfile_write_reuse(const struct es_job *job, struct es_buf *text)
{
    if (job->run.n_reuse == 0)
        return;
    es_buf_putc(text, '[');
    for (size_t i = 0; i < job->run.n_reuse; i++) {
        separate(text, i);
        put_string(text, job->run.reuse[i]);
    }
    es_buf_putc(text, ']');
}

void es_jobfile_write_checkpoints(const struct es_job *job, struct es_buf *text)
{
    es_buf_putc(text, '[');
    for (uint32_t i = 0; i < es_grid_n_checkpoints(job->grid); i++) {
        separate(text, i);
        put_string(text, es_grid_checkpoint(job->grid, i));
    }
    es_buf_putc(text, ']');
}

void es_jobfile_write_layers(const struct es_job *job, struct es_buf *text)
{
    es_buf_putc(text, '[');
    for (uint32_t i = 0; i < es_grid_n_layers(job->grid); i++) {
        separate(text, i);
        es_buf_printf(text, "%d", es_grid_layer(job->grid, i));
    }
    es_buf_putc(text, ']');
}

void es_jobfile_write_tasks(const struct es_job *job, struct es_buf *text)
{
    es_buf_putc(text, '[');
    for (uint32_t i = 0; i < es_grid_n_tasks(job->grid); i++) {
        separate(text, i);
        put_string(text, es_grid_task(job->grid, i));
    }
    es_buf_putc(text, ']');
}

void es_jobfile_write_exclude(const struct es_job *job, struct es_buf *text)
{
    if (job->exclude)
        es_buf_puts(text, job->exclude);
}

void es_jobfile_write_task_costs(const struct es_job *job, struct es_buf *text)
{
    es_buf_putc(text, '{');
    for (uint32_t i = 0, n = 0; i < es_grid_n_tasks(job->grid); i++) {
        if (isnan(job->schedule.task_cost_s[i]))
            continue;
        separate(text, n++);
        put_string(text, es_grid_task(job->grid, i));
        es_buf_puts(text, ": ");
        es_buf_json_double(text, job->schedule.task_cost_s[i]);
    }
    es_buf_putc(text, '}');
}

void es_jobfile_write_command(const struct es_job *job, struct es_buf *text)
{
    es_buf_putc(text, '[');
    for (size_t i = 0; i < job->evaluator.n_command; i++) {
        separate(text, i);
        put_string(text, job->evaluator.command[i]);
    }
    es_buf_putc(text, ']');
}

void es_jobfile_write_env(const struct es_job *job, struct es_buf *text)
{
    es_buf_putc(text, '{');
    for (size_t i = 0; i < job->evaluator.n_env; i++) {
        separate(text, i);
        put_string(text, job->evaluator.env[i].name);
        es_buf_puts(text, ": ");
        put_string(text, job->evaluator.env[i].value);
    }
    es_buf_putc(text, '}');
}

/* ---- writing by table ---- */

static void write_fields(const struct es_job *job, const struct jobfile_field *fields,
                         struct es_buf *text);

static void write_value(const struct es_job *job, const struct jobfile_field *field,
                        struct es_buf *text)
{
    const char *at = (const char *)job + field->offset;
    unsigned word;
    double number;
    switch (field->kind) {
    case JOBFILE_BOOL:
        es_buf_puts(text, *(const bool *)at ? "true" : "false");
        break;
    case JOBFILE_COUNT:
        es_buf_printf(text, "%u", *(const uint32_t *)(const void *)at);
        break;
    case JOBFILE_NUMBER:
        number = *(const double *)(const void *)at;
        if (!isnan(number))
            es_buf_json_double(text, number);
        break;
    case JOBFILE_TEXT:
        put_string(text, *(char *const *)(const void *)at);
        break;
    case JOBFILE_WORD:
        memcpy(&word, at, sizeof word);
        put_string(text, field->words[word]);
        break;
    case JOBFILE_SECTION:
        write_fields(job, field->fields, text);
        break;
    case JOBFILE_CUSTOM:
        field->write(job, text);
        break;
    }
}

/* An object; the sections of the whole job file stand on lines of their own. */
static void write_fields(const struct es_job *job, const struct jobfile_field *fields,
                         struct es_buf *text)
{
    bool is_root = fields == es_jobfile_fields;
    bool first = true;
    es_buf_puts(text, is_root ? "{\n" : "{");
    for (const struct jobfile_field *field = fields; field->key; field++) {
        if (field->applies && !field->applies(job))
            continue;
        size_t before = text->len;
        if (!first)
            es_buf_puts(text, is_root ? ",\n" : ", ");
        es_buf_printf(text, "%s\"%s\": ", is_root ? "  " : "", field->key);
        size_t value = text->len;
        write_value(job, field, text);
        if (text->len == value && !text->failed) { /* not given: take the key back */
            text->len = before;
            continue;
        }
        first = false;
    }
    es_buf_puts(text, is_root ? "\n}\n" : "}");
}

int es_job_text(const struct es_job *job, char **ret_text, size_t *ret_n, struct es_err *err)
{
    struct es_buf text = {0};
    write_fields(job, es_jobfile_fields, &text);
    if (text.failed) {
        es_buf_clear(&text);
        return es_err_nomem(err, "writing the job file");
    }
    *ret_text = text.data;
    *ret_n = text.len;
    return 0;
}

/* ---- differences ---- */

/* Appends a line if the values differ; NULL: there is none. */
static void compare(struct es_buf *text, const char *what, const char *name, const char *was,
                    const char *is)
{
    if (was && is && strcmp(was, is) == 0)
        return;
    es_buf_printf(text, "%s%s: ", what, name);
    if (was)
        es_buf_printf(text, "was %s", was);
    else
        es_buf_puts(text, "was not set");
    if (is)
        es_buf_printf(text, ", is %s\n", is);
    else
        es_buf_puts(text, ", is not set\n");
}

static void compare_field(struct es_buf *text, const char *section, const char *key,
                          const struct es_job *before, const struct es_job *now)
{
    const char *keys[] = {section, key};
    size_t skip = section[0] ? 0 : 1;
    const struct jobfile_field *field = es_jobfile_find_field(keys + skip, 2 - skip);
    struct es_buf was = {0}, is = {0};
    write_value(before, field, &was);
    write_value(now, field, &is);
    if (was.failed || is.failed)
        text->failed = true;
    else
        compare(text, section[0] ? "evaluator." : "", key, was.data, is.data);
    es_buf_clear(&was);
    es_buf_clear(&is);
}

static void compare_variable(struct es_buf *text, const char *name, const struct es_env_var *before,
                             const struct es_env_var *now)
{
    struct es_buf was = {0}, is = {0};
    if (before)
        put_string(&was, before->value);
    if (now)
        put_string(&is, now->value);
    if (was.failed || is.failed)
        text->failed = true;
    else
        compare(text, "evaluator.env.", name, was.data, is.data);
    es_buf_clear(&was);
    es_buf_clear(&is);
}

/* Both are sorted by name. */
static void compare_env(struct es_buf *text, const struct es_job *before, const struct es_job *now)
{
    const struct es_env_var *b = before->evaluator.env, *n = now->evaluator.env;
    const size_t n_b = before->evaluator.n_env, n_n = now->evaluator.n_env;
    for (size_t i = 0, k = 0; i < n_b || k < n_n;) {
        int order = i == n_b ? 1 : k == n_n ? -1 : strcmp(b[i].name, n[k].name);
        const char *name = order <= 0 ? b[i].name : n[k].name;
        compare_variable(text, name, order <= 0 ? &b[i++] : NULL, order >= 0 ? &n[k++] : NULL);
    }
}

int es_job_differs(const struct es_job *before, const struct es_job *now, char **ret_text)
{
    struct es_buf text = {0};
    compare_field(&text, "", "layout", before, now);
    compare_field(&text, "evaluator", "mode", before, now);
    compare_field(&text, "evaluator", "command", before, now);
    compare_env(&text, before, now);
    bool failed = text.failed, differ = text.len > 0;
    if (failed || !ret_text)
        es_buf_clear(&text);
    if (failed)
        return ES_ERR_NOMEM;
    if (ret_text)
        *ret_text = text.data;
    return differ;
}
