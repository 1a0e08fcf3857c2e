/* A unit as its evaluator is told of it: a JSON line, or arguments and environment variables. */
#ifndef ES_EXEC_REQUEST_H
#define ES_EXEC_REQUEST_H

#include "core/buf.h"
#include "exec/env.h"
#include "exec/evaluator.h"

/* Appends the request line of a persistent evaluator. */
void es_request_line(const struct es_evaluator_request *request, struct es_buf *line);

/* Sets the EVALSWEEP_* variables of a one-shot evaluator. */
int es_request_env(const struct es_evaluator_request *request, struct es_env *env);

/* A command with the placeholders in its arguments replaced. */
struct es_args {
    char **argv; /* [n], then NULL: into text */
    size_t n_cap;
    struct es_buf text;
};

/* Fills args (zeroed, or filled before). The program's own name and unknown placeholders stay. */
int es_args_expand(const char *const *command, const struct es_evaluator_request *request,
                   const char *run_dir, struct es_args *args);
void es_args_clear(struct es_args *args);

#endif
