/* run.reuse: the ids of other runs. An empty list is none, so that `--set run.reuse=[]` can
 * say so. */
#include "run/jobfile_internal.h"

#include "core/mem.h"

#include <string.h>

static int add(struct jobfile_reader *reader, const cJSON *item)
{
    struct es_job *job = reader->job;
    char quoted[JOBFILE_QUOTED_SIZE];
    const char *id = "";
    int rc = es_jobfile_get_name(reader, item, "a run id", &id);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < job->run.n_reuse; i++)
        if (strcmp(job->run.reuse[i], id) == 0)
            return es_jobfile_fault(reader, item, "%s stands in the list twice",
                                    es_jobfile_quote(id, quoted));
    char *copy = es_mem_strdup(id);
    if (!copy)
        return es_jobfile_nomem(reader);
    job->run.reuse[job->run.n_reuse++] = copy;
    return 0;
}

int es_jobfile_read_reuse(struct jobfile_reader *reader, const cJSON *item)
{
    if (!cJSON_IsArray(item))
        return es_jobfile_mismatch(reader, item, "a list of run ids");
    reader->job->run.reuse =
        es_mem_calloc((size_t)cJSON_GetArraySize(item), sizeof *reader->job->run.reuse);
    if (!reader->job->run.reuse)
        return es_jobfile_nomem(reader);
    int rc = 0;
    for (const cJSON *id = item->child; id && rc == 0; id = id->next)
        rc = add(reader, id);
    return rc;
}
