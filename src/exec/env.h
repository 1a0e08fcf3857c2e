/* The environment of an evaluator: the driver's own, without what would make torch, accelerate or
 * mpi4py in the evaluator take itself for a rank of this job.
 *
 *     struct es_env env = {0};
 *     es_env_init(&env, environ);           // cleaned copy, PYTHONUNBUFFERED=1 added
 *     es_env_set(&env, "HF_HUB_OFFLINE", "1");
 *     execve(path, argv, env.entries);
 *     es_env_clear(&env);
 */
#ifndef ES_EXEC_ENV_H
#define ES_EXEC_ENV_H

#include <stdbool.h>
#include <stddef.h>

struct es_env_pair {
    const char *name;
    const char *value;
};

struct es_env {
    char **entries; /* [n] "NAME=value", then NULL; owned */
    size_t n;
    size_t cap;
};

/* Whether an entry ("NAME=value") of the driver's environment is kept from evaluators: launcher and
 * rank variables, and the EVALSWEEP_* variables that the driver sets itself. */
bool es_env_is_dropped(const char *entry);

/* Fills an empty env. 0, or ES_ERR_NOMEM with env empty. */
int es_env_init(struct es_env *env, char *const *outer);

/* Sets or replaces a variable. 0, or ES_ERR_NOMEM with env as it was. */
int es_env_set(struct es_env *env, const char *name, const char *value);

/* The value, valid until it is set again; NULL: not set. */
const char *es_env_get(const struct es_env *env, const char *name);

void es_env_clear(struct es_env *env);

#endif
