#include "mpi/roster.h"

#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof((struct es_hello *)0)->node == sizeof((struct es_device_facts *)0)->node &&
                   sizeof((struct es_hello *)0)->device_visible ==
                       sizeof((struct es_device_facts *)0)->visible &&
                   sizeof((struct es_hello *)0)->device_variable ==
                       sizeof((struct es_device_facts *)0)->variable,
               "a HELLO carries device facts whole");

int es_roster_init(struct es_roster *roster, const struct es_job *job, uint32_t n_ranks,
                   struct es_err *err)
{
    roster->ranks = es_mem_calloc(n_ranks, sizeof *roster->ranks);
    if (!roster->ranks)
        return es_err_nomem(err, "listing the ranks");
    roster->n_ranks = roster->n_expected = n_ranks;
    for (uint32_t r = 0; r < n_ranks; r++)
        roster->ranks[r].works = r > 0 || job->resources.coordinator_works;
    return 0;
}

void es_roster_clear(struct es_roster *roster)
{
    free(roster->ranks);
    *roster = (struct es_roster){0};
}

int es_roster_greet(struct es_roster *roster, uint32_t rank, const struct es_message *message,
                    struct es_err *err)
{
    struct es_rank *from = &roster->ranks[rank];
    if (from->state != ES_RANK_EXPECTED)
        return 0;
    if (es_hello_decode(message, &from->hello) < 0)
        return es_err_set(
            err, ES_ERR_USAGE, "starting the ranks", NULL,
            "rank %u runs another version of evalsweep, or on another kind of machine", rank);
    from->state = ES_RANK_GREETED;
    roster->n_expected--;
    return 0;
}

void es_roster_leave_out(struct es_roster *roster, uint32_t rank)
{
    struct es_rank *at = &roster->ranks[rank];
    if (at->state == ES_RANK_EXPECTED)
        roster->n_expected--;
    at->state = ES_RANK_GREETED;
    at->works = false;
}

int es_roster_bind(struct es_roster *roster, const struct es_job *job, bool allow_cpu,
                   struct es_err *err)
{
    uint32_t n = roster->n_ranks, gpus_per_worker = job->resources.gpus_per_worker;
    struct es_device_facts *facts = es_mem_calloc(n, sizeof *facts);
    struct es_device_binding *bindings = es_mem_calloc(n, sizeof *bindings);
    uint8_t *works = es_mem_calloc(n, 1);
    int rc = facts && bindings && works ? 0 : es_err_nomem(err, "binding devices");
    for (uint32_t r = 0; rc == 0 && r < n; r++) {
        const struct es_hello *hello = &roster->ranks[r].hello;
        memcpy(facts[r].node, hello->node, sizeof facts[r].node);
        memcpy(facts[r].variable, hello->device_variable, sizeof facts[r].variable);
        memcpy(facts[r].visible, hello->device_visible, sizeof facts[r].visible);
        facts[r].per_task = hello->device_per_task;
        facts[r].n_found = hello->n_devices_found;
        works[r] = roster->ranks[r].works;
    }
    if (rc == 0 && allow_cpu && !es_device_any(facts, works, n))
        gpus_per_worker = 0;
    if (rc == 0)
        rc = es_device_bind(facts, works, n, gpus_per_worker, job->resources.workers_per_gpu,
                            bindings, err);
    for (uint32_t r = 0; rc == 0 && r < n; r++)
        roster->ranks[r].binding = bindings[r];
    free(facts);
    free(bindings);
    free(works);
    return rc;
}

uint32_t es_roster_n_threads(const struct es_roster *roster, uint32_t rank)
{
    const struct es_hello *hello = &roster->ranks[rank].hello;
    uint32_t n_sharing = 0;
    for (uint32_t r = 0; r < roster->n_ranks; r++)
        n_sharing +=
            roster->ranks[r].works && strcmp(roster->ranks[r].hello.node, hello->node) == 0;
    if (hello->n_cpus < hello->n_cpus_node || n_sharing == 0)
        return hello->n_cpus;
    return hello->n_cpus > n_sharing ? hello->n_cpus / n_sharing : 1;
}

uint32_t es_roster_count(const struct es_roster *roster, enum es_rank_state state)
{
    uint32_t n = 0;
    for (uint32_t r = 0; r < roster->n_ranks; r++)
        n += roster->ranks[r].works && roster->ranks[r].state == state;
    return n;
}

void es_roster_describe(const struct es_roster *roster, uint32_t rank, char *ret_text,
                        size_t size_bytes)
{
    const struct es_rank *at = &roster->ranks[rank];
    bool is_suspicious = at->hello.n_cpus == 1 && at->hello.n_cpus_node > 1;
    (void)snprintf(ret_text, size_bytes, "%s, local rank %u, device %s, %u cpu%s%s", at->hello.host,
                   at->binding.local_rank, at->device, at->hello.n_cpus,
                   at->hello.n_cpus == 1 ? "" : "s",
                   is_suspicious ? " (only one: is --cpus-per-task or --bind-to as meant?)" : "");
}
