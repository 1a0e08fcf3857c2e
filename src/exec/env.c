#include "exec/env.h"

#include "core/mem.h"
#include "evalsweep/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name, or with a star at its end every name that begins so. */
static const char *const dropped[] = {
    /* Open MPI, PMI and PMIx, PRRTE */
    "OMPI_*", "PMI*", "PRTE_*",
    /* torch.distributed and accelerate */
    "RANK", "WORLD_SIZE", "LOCAL_RANK",
    /* Slurm's per-task and step variables; those of the job stay */
    "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_STEP*",
    "SLURM_GTIDS", "SLURM_TASK*", "SLURM_LAUNCH*", "SLURM_SRUN*", "SLURM_MPI_TYPE",
    /* ours: a driver inside an evaluator must not hand on those of the outer one */
    "EVALSWEEP_CHECKPOINT", "EVALSWEEP_LAYER", "EVALSWEEP_TASK", "EVALSWEEP_OUTPUT_DIR",
    "EVALSWEEP_RUN_DIR", "EVALSWEEP_ATTEMPT", "EVALSWEEP_REPLY_FD", "EVALSWEEP_REPLY_PATH"};

bool es_env_is_dropped(const char *entry)
{
    size_t name_n = strcspn(entry, "=");
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        size_t n = strlen(dropped[i]);
        if (dropped[i][n - 1] == '*') {
            if (name_n >= n - 1 && memcmp(entry, dropped[i], n - 1) == 0)
                return true;
        } else if (name_n == n && memcmp(entry, dropped[i], n) == 0) {
            return true;
        }
    }
    return false;
}

static size_t find(const struct es_env *env, const char *name)
{
    size_t name_n = strlen(name);
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->entries[i], name, name_n) == 0 && env->entries[i][name_n] == '=')
            return i;
    }
    return env->n;
}

/* Puts an allocated entry, which it takes, at position i or at the end. */
static int put(struct es_env *env, size_t i, char *entry)
{
    void *entries = env->entries;
    if (!entry || es_mem_grow(&entries, &env->cap, env->n + 2, sizeof *env->entries) < 0) {
        free(entry);
        return ES_ERR_NOMEM;
    }
    env->entries = entries;
    if (i < env->n) {
        free(env->entries[i]);
    } else {
        env->n++;
        env->entries[env->n] = NULL;
    }
    env->entries[i] = entry;
    return 0;
}

int es_env_init(struct es_env *env, char *const *outer)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && outer && outer[i]; i++) {
        if (!es_env_is_dropped(outer[i]))
            rc = put(env, env->n, es_mem_strdup(outer[i]));
    }
    /* Python would else keep what it prints until it exits, and a crash would lose the log. */
    if (rc == 0)
        rc = es_env_set(env, "PYTHONUNBUFFERED", "1");
    if (rc < 0)
        es_env_clear(env);
    return rc;
}

int es_env_set(struct es_env *env, const char *name, const char *value)
{
    size_t size_bytes = strlen(name) + strlen(value) + 2;
    char *entry = es_mem_calloc(size_bytes, 1);
    if (entry)
        (void)snprintf(entry, size_bytes, "%s=%s", name, value);
    return put(env, find(env, name), entry);
}

const char *es_env_get(const struct es_env *env, const char *name)
{
    size_t i = find(env, name);
    return i < env->n ? env->entries[i] + strlen(name) + 1 : NULL;
}

void es_env_clear(struct es_env *env)
{
    for (size_t i = 0; i < env->n; i++)
        free(env->entries[i]);
    free(env->entries);
    *env = (struct es_env){0};
}
