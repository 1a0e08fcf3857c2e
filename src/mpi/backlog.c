#include "mpi/backlog.h"

#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

static void bundle_free(struct es_backlog_bundle *bundle)
{
    free(bundle->layers);
    free(bundle->layer_numbers);
    free(bundle);
}

static struct es_backlog_bundle *bundle_create(const struct es_grid *grid,
                                               const struct es_wire_bundle *head,
                                               const struct es_wire_layer *layers)
{
    struct es_backlog_bundle *bundle = es_mem_calloc(1, sizeof *bundle);
    if (!bundle)
        return NULL;
    bundle->head = *head;
    bundle->layers = es_mem_calloc(head->n_layers, sizeof *bundle->layers);
    bundle->layer_numbers = es_mem_calloc(head->n_layers, sizeof *bundle->layer_numbers);
    if (!bundle->layers || !bundle->layer_numbers) {
        bundle_free(bundle);
        return NULL;
    }
    for (uint32_t i = 0; i < head->n_layers; i++) {
        bundle->layers[i] = layers[i];
        bundle->layer_numbers[i] = es_grid_layer(grid, layers[i].layer);
    }
    return bundle;
}

static bool is_in_grid(const struct es_grid *grid, const struct es_wire_bundle *head,
                       const struct es_wire_layer *layers)
{
    if (head->checkpoint >= es_grid_n_checkpoints(grid) || head->task >= es_grid_n_tasks(grid) ||
        (head->next_checkpoint != ES_GRID_NONE &&
         head->next_checkpoint >= es_grid_n_checkpoints(grid)))
        return false;
    for (uint32_t i = 0; i < head->n_layers; i++)
        if (layers[i].layer >= es_grid_n_layers(grid))
            return false;
    return true;
}

int es_backlog_append(struct es_backlog *backlog, const struct es_grid *grid,
                      const struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    struct es_wire_bundle head;
    struct es_buf layers = {0};
    int rc = 0;
    while (rc == 0 && es_assign_next(&reader, &head, &layers)) {
        const struct es_wire_layer *array = (const struct es_wire_layer *)(void *)layers.data;
        struct es_backlog_bundle *bundle = NULL;
        if (!is_in_grid(grid, &head, array))
            rc = ES_ERR_PROTOCOL;
        else if (!(bundle = bundle_create(grid, &head, array)))
            rc = ES_ERR_NOMEM;
        if (!bundle)
            continue;
        if (backlog->last)
            backlog->last->next = bundle;
        else
            backlog->first = bundle;
        backlog->last = bundle;
        backlog->n_waiting += head.n_layers;
    }
    if (layers.failed)
        rc = ES_ERR_NOMEM;
    es_buf_clear(&layers);
    return rc < 0 ? rc : reader.failed ? ES_ERR_PROTOCOL : 0;
}

bool es_backlog_take(struct es_backlog *backlog, struct es_unit *ret_unit, uint32_t *ret_attempt,
                     const struct es_backlog_bundle **ret_bundle)
{
    while (backlog->first && backlog->first->n_begun == backlog->first->head.n_layers) {
        struct es_backlog_bundle *ended = backlog->first;
        backlog->first = ended->next;
        if (!backlog->first)
            backlog->last = NULL;
        bundle_free(ended);
    }
    struct es_backlog_bundle *bundle = backlog->first;
    if (!bundle)
        return false;
    struct es_wire_layer layer = bundle->layers[bundle->n_begun++];
    backlog->n_waiting--;
    *ret_unit = (struct es_unit){bundle->head.checkpoint, layer.layer, bundle->head.task};
    *ret_attempt = layer.attempt;
    *ret_bundle = bundle;
    return true;
}

bool es_backlog_remove(struct es_backlog *backlog, struct es_unit unit)
{
    for (struct es_backlog_bundle *bundle = backlog->first; bundle; bundle = bundle->next) {
        if (bundle->head.checkpoint != unit.checkpoint || bundle->head.task != unit.task)
            continue;
        for (uint32_t i = bundle->n_begun; i < bundle->head.n_layers; i++) {
            if (bundle->layers[i].layer != unit.layer)
                continue;
            uint32_t n_behind = --bundle->head.n_layers - i;
            memmove(&bundle->layers[i], &bundle->layers[i + 1], n_behind * sizeof *bundle->layers);
            memmove(&bundle->layer_numbers[i], &bundle->layer_numbers[i + 1],
                    n_behind * sizeof *bundle->layer_numbers);
            backlog->n_waiting--;
            return true;
        }
    }
    return false;
}

bool es_backlog_remove_of(struct es_backlog *backlog, uint32_t checkpoint, uint32_t task,
                          struct es_unit *ret_unit)
{
    for (struct es_backlog_bundle *bundle = backlog->first; bundle; bundle = bundle->next) {
        if (bundle->head.checkpoint != checkpoint || bundle->head.task != task ||
            bundle->n_begun == bundle->head.n_layers)
            continue;
        *ret_unit = (struct es_unit){checkpoint, bundle->layers[bundle->n_begun].layer, task};
        return es_backlog_remove(backlog, *ret_unit);
    }
    return false;
}

void es_backlog_clear(struct es_backlog *backlog)
{
    while (backlog->first) {
        struct es_backlog_bundle *bundle = backlog->first;
        backlog->first = bundle->next;
        bundle_free(bundle);
    }
    *backlog = (struct es_backlog){0};
}
