/* Which GPU each worker gets: every rank looks at what it sees, and rank 0 binds them all by these
 * facts alone.
 *
 * A binding is kept if per-task variables are set, or if the lists of a node's ranks differ and
 * each has gpus_per_worker entries; otherwise local rank r takes gpus_per_worker entries from
 * floor(r / workers_per_gpu) * gpus_per_worker on. Too few is an error that names both counts.
 */
#ifndef ES_EXEC_DEVICE_H
#define ES_EXEC_DEVICE_H

#include "evalsweep/error.h"

#include <stdbool.h>
#include <stdint.h>

#define ES_DEVICE_NODE_SIZE 256
#define ES_DEVICE_LIST_SIZE 1024

/* What one rank sees. Texts are "" when a variable is not set. */
struct es_device_facts {
    char node[ES_DEVICE_NODE_SIZE]; /* ranks with the same text share a node */
    char variable[32];              /* CUDA_, HIP_ or ROCR_VISIBLE_DEVICES: the first that is set */
    char visible[ES_DEVICE_LIST_SIZE]; /* its value; of one that is longer, the whole entries */
    bool per_task;                     /* Slurm bound devices for each task */
    uint32_t n_found;                  /* GPUs that the system shows, when no variable is set */
};

/* Fills the facts of this process from its environment and /dev. */
void es_device_look(struct es_device_facts *ret_facts);

/* The same with another folder for "/", for tests. */
void es_device_look_under(const char *root, struct es_device_facts *ret_facts);

struct es_device_binding {
    uint32_t local_rank; /* among the working ranks of its node; 0 for one that does not work */
    char variable[32];   /* to set for the evaluator; "": none */
    char visible[ES_DEVICE_LIST_SIZE]; /* its value */
};

/* Binds all ranks. `works` (a byte a rank) tells which ranks work; one that does not takes no
 * device and no place. gpus_per_worker 0 binds nothing. ES_ERR_USAGE: a node has too few. */
int es_device_bind(const struct es_device_facts *facts, const uint8_t *works, uint32_t n_ranks,
                   uint32_t gpus_per_worker, uint32_t workers_per_gpu,
                   struct es_device_binding *ret_bindings, struct es_err *err);

/* Whether any of the working ranks sees a device. */
bool es_device_any(const struct es_device_facts *facts, const uint8_t *works, uint32_t n_ranks);

#endif
