#include "run/jobfile_internal.h"

#include "core/mem.h"
#include "run/layout.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOO_LARGE "larger than 64 MiB, the most that a job file may have"

static struct es_job *job_with_defaults(const char *path)
{
    struct es_job *job = es_mem_calloc(1, sizeof *job);
    if (!job)
        return NULL;
    *job = (struct es_job){
        .path = es_mem_strdup(path),
        .run = {.root = es_mem_strdup("runs"), .resume = true},
        .layout = es_mem_strdup(ES_LAYOUT_DEFAULT),
        .evaluator = {.retries = 2, .timeout_s = (double)NAN},
        .resources = {.workers_per_gpu = 1, .coordinator_works = true},
        .schedule = {.checkpoint_load_s = (double)NAN},
        .limits = {.grace_s = 60,
                   .heartbeat_s = 60,
                   .outage_s = 1800,
                   .max_consecutive_failures = 5},
    };
    if (job->path && job->run.root && job->layout)
        return job;
    es_job_free(job);
    return NULL;
}

void es_job_free(struct es_job *job)
{
    if (!job)
        return;
    free(job->path);
    free(job->run.root);
    free(job->run.id);
    for (size_t i = 0; i < job->run.n_reuse; i++)
        free(job->run.reuse[i]);
    free(job->run.reuse);
    free(job->layout);
    es_grid_free(job->grid);
    free(job->exclude);
    for (size_t i = 0; i < job->evaluator.n_command; i++)
        free(job->evaluator.command[i]);
    free(job->evaluator.command);
    for (size_t i = 0; i < job->evaluator.n_env; i++) {
        free(job->evaluator.env[i].name);
        free(job->evaluator.env[i].value);
    }
    free(job->evaluator.env);
    free(job->schedule.task_cost_s);
    free(job);
}

static int parse_tree(struct jobfile_reader *reader)
{
    size_t line;
    struct es_err why = {0};
    const char *fault = es_jobfile_text_fault(reader->text, reader->n, &line);
    if (fault)
        return es_err_set(reader->err, ES_ERR_PARSE, JOBFILE_DOING, reader->path, "line %zu: %s",
                          line, fault);
    int rc = es_json_parse(reader->text, reader->n, reader->path, &reader->root, &why);
    if (rc < 0)
        return es_err_set(reader->err, (enum es_code)rc, JOBFILE_DOING, reader->path, "%s",
                          why.why);
    if (!cJSON_IsObject(reader->root))
        return es_jobfile_mismatch(reader, reader->root, "an object");
    char path[200];
    if (es_json_find_duplicate(reader->root, path, sizeof path))
        return es_err_set(reader->err, ES_ERR_USAGE, JOBFILE_DOING, reader->path,
                          "line %zu: %s: the key stands twice in its object",
                          es_json_line_of(reader->text, reader->n, path), path);
    return 0;
}

/* What each key by itself cannot show. */
static int check_limits(const struct jobfile_reader *reader)
{
    double limit_s = reader->job->limits.time_limit_s, grace_s = reader->job->limits.grace_s;
    if (limit_s == 0 || limit_s > grace_s)
        return 0;
    return es_err_set(reader->err, ES_ERR_USAGE, JOBFILE_DOING, reader->path,
                      "$.limits.time_limit_s: expected more than limits.grace_s (%g s), found %g: "
                      "nothing would ever start",
                      grace_s, limit_s);
}

static void clear_reader(struct jobfile_reader *reader)
{
    cJSON_Delete(reader->root);
    free(reader->origins);
    free(reader->layers);
    es_strtab_clear(&reader->checkpoints);
    es_strtab_clear(&reader->tasks);
}

int es_job_parse(const char *text, size_t n, const char *path,
                 const struct es_job_overrides *overrides, struct es_job **ret_job,
                 struct es_err *err)
{
    if (n > JOBFILE_LIMIT_BYTES)
        return es_err_set(err, ES_ERR_PARSE, JOBFILE_DOING, path, TOO_LARGE);
    struct jobfile_reader reader = {.path = path, .text = text, .n = n, .err = err};
    reader.job = job_with_defaults(path);
    int rc = reader.job ? parse_tree(&reader) : es_jobfile_nomem(&reader);
    if (rc == 0)
        rc = es_jobfile_override(&reader, overrides);
    if (rc == 0)
        rc = es_jobfile_read_fields(&reader, reader.root, es_jobfile_fields);
    if (rc == 0)
        rc = check_limits(&reader);
    clear_reader(&reader);
    if (rc < 0) {
        es_job_free(reader.job);
        return rc;
    }
    *ret_job = reader.job;
    return 0;
}

int es_job_load(const char *path, const struct es_job_overrides *overrides, struct es_job **ret_job,
                struct es_err *err)
{
    struct es_buf text = {0};
    int rc = es_file_read_at(AT_FDCWD, path, JOBFILE_LIMIT_BYTES, &text, NULL);
    if (rc == 0)
        rc = es_job_parse(text.data, text.len, path, overrides, ret_job, err);
    else if (errno == EFBIG)
        rc = es_err_set(err, ES_ERR_PARSE, JOBFILE_DOING, path, TOO_LARGE);
    else
        rc = es_file_read_error(err, errno, JOBFILE_DOING, path);
    es_buf_clear(&text);
    return rc;
}

char *es_job_run_dir(const struct es_job *job)
{
    struct es_buf dir = {0};
    size_t len = strlen(job->run.root);
    es_buf_printf(&dir, "%s%s%s", job->run.root, job->run.root[len - 1] == '/' ? "" : "/",
                  job->run.id);
    if (!dir.failed)
        return dir.data;
    es_buf_clear(&dir);
    return NULL;
}
