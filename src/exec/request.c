#include "exec/request.h"

#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 24 };

static void add_string(struct es_buf *line, const char *key, const char *value)
{
    es_buf_printf(line, ",\"%s\":", key);
    if (value)
        es_buf_json_string(line, value, strlen(value));
    else
        es_buf_puts(line, "null");
}

void es_request_line(const struct es_evaluator_request *request, struct es_buf *line)
{
    es_buf_printf(line, "{\"unit\":%" PRIu32, request->unit_id);
    add_string(line, "checkpoint", request->checkpoint);
    es_buf_printf(line, ",\"layer\":%" PRId32, request->layer);
    add_string(line, "task", request->task);
    add_string(line, "output_dir", request->output_dir);
    es_buf_printf(line, ",\"attempt\":%" PRIu32 ",\"bundle\":[", request->attempt);
    for (size_t i = 0; i < request->n_bundle; i++)
        es_buf_printf(line, "%s%" PRId32, i ? "," : "", request->bundle[i]);
    es_buf_putc(line, ']');
    add_string(line, "next_checkpoint", request->next_checkpoint);
    es_buf_puts(line, "}\n");
}

int es_request_env(const struct es_evaluator_request *request, struct es_env *env)
{
    char layer[NUMBER_SIZE], attempt[NUMBER_SIZE];
    (void)snprintf(layer, sizeof layer, "%" PRId32, request->layer);
    (void)snprintf(attempt, sizeof attempt, "%" PRIu32, request->attempt);
    const struct es_env_pair pairs[] = {
        {"EVALSWEEP_CHECKPOINT", request->checkpoint},
        {"EVALSWEEP_LAYER", layer},
        {"EVALSWEEP_TASK", request->task},
        {"EVALSWEEP_OUTPUT_DIR", request->output_dir},
        {"EVALSWEEP_ATTEMPT", attempt},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (es_env_set(env, pairs[i].name, pairs[i].value) < 0)
            return ES_ERR_NOMEM;
    }
    return 0;
}

/* Appends an argument; what replaces a placeholder is not looked at again. */
static void expand(const char *argument, const struct es_env_pair *values, size_t n_values,
                   struct es_buf *text)
{
    const char *at = argument;
    while (*at) {
        size_t plain = strcspn(at, "{");
        es_buf_append(text, at, plain);
        at += plain;
        if (!*at)
            break;
        size_t i = 0;
        while (i < n_values && strncmp(at, values[i].name, strlen(values[i].name)) != 0)
            i++;
        if (i < n_values) {
            es_buf_puts(text, values[i].value);
            at += strlen(values[i].name);
        } else {
            es_buf_putc(text, *at++);
        }
    }
    es_buf_putc(text, '\0');
}

int es_args_expand(const char *const *command, const struct es_evaluator_request *request,
                   const char *run_dir, struct es_args *args)
{
    char layer[NUMBER_SIZE];
    (void)snprintf(layer, sizeof layer, "%" PRId32, request->layer);
    const struct es_env_pair values[] = {
        {"{checkpoint}", request->checkpoint}, {"{layer}", layer},     {"{task}", request->task},
        {"{output_dir}", request->output_dir}, {"{run_dir}", run_dir},
    };
    es_buf_reset(&args->text);
    size_t n = 0;
    for (; command[n]; n++)
        expand(command[n], values, n ? sizeof values / sizeof values[0] : 0, &args->text);
    void *argv = args->argv;
    if (args->text.failed || es_mem_grow(&argv, &args->n_cap, n + 1, sizeof *args->argv) < 0)
        return ES_ERR_NOMEM;
    args->argv = argv;
    char *at = args->text.data;
    for (size_t i = 0; i < n; i++, at += strlen(at) + 1)
        args->argv[i] = at;
    args->argv[n] = NULL;
    return 0;
}

void es_args_clear(struct es_args *args)
{
    free(args->argv);
    es_buf_clear(&args->text);
    *args = (struct es_args){0};
}
