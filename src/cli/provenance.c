#include "cli/provenance.h"

#include "evalsweep/version.h"
#include "mpi/transport.h"
#include "run/adopt.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

int es_provenance_init(struct es_provenance *provenance, const struct es_target *target,
                       struct es_err *err)
{
    *provenance = (struct es_provenance){0};
    es_buf_printf(&provenance->versions, "{\"evalsweep\":\"%s\",\"mpi\":", ES_VERSION);
    es_buf_json_string(&provenance->versions, es_mpi_version(), strlen(es_mpi_version()));
    es_buf_printf(&provenance->versions, ",\"cjson\":\"%s\"}", cJSON_Version());
    if (provenance->versions.failed)
        return es_err_nomem(err, "noting the versions");
    es_provenance_add(provenance, "versions", provenance->versions.data);
    if (getenv("SLURM_JOB_ID"))
        es_provenance_add(provenance, "slurm_job_id", getenv("SLURM_JOB_ID"));
    if (!target->job)
        return 0;
    es_provenance_add(provenance, "run_id", target->job->run.id);
    int rc = es_job_text(target->job, &provenance->job_text, &provenance->job_text_n, err);
    if (rc == 0)
        es_provenance_add(provenance, "job", provenance->job_text);
    return rc;
}

int es_provenance_add_adopted(struct es_provenance *provenance, const struct es_target *target,
                              struct es_err *err)
{
    int rc = es_adopt_sources(target->run_dir, &provenance->adopted, err);
    if (rc == 0 && provenance->adopted.len)
        es_provenance_add(provenance, "adopted_from", provenance->adopted.data);
    return rc;
}

void es_provenance_add(struct es_provenance *provenance, const char *name, const char *value)
{
    if (provenance->n < ES_PROVENANCE_MAX)
        provenance->attributes[provenance->n++] = (struct es_attribute){name, value};
}

void es_provenance_clear(struct es_provenance *provenance)
{
    es_buf_clear(&provenance->versions);
    es_buf_clear(&provenance->adopted);
    free(provenance->job_text);
    *provenance = (struct es_provenance){0};
}
