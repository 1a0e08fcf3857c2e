#include "exec/device.h"

#include "core/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ what there is */

static uint32_t count_nvidia(const char *root)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/dev", root);
    DIR *dir = opendir(path);
    uint32_t n = 0;
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        const char *digits = entry->d_name + strlen("nvidia"); /* nvidiactl, nvidia-uvm are none */
        if (strncmp(entry->d_name, "nvidia", strlen("nvidia")) == 0 && *digits &&
            digits[strspn(digits, "0123456789")] == '\0')
            n++;
    }
    if (dir)
        (void)closedir(dir);
    return n;
}

static bool has_part(const char *variable, const char *const *parts, size_t n_parts)
{
    const char *value = getenv(variable);
    for (size_t i = 0; value && i < n_parts; i++) {
        if (strstr(value, parts[i]))
            return true;
    }
    return false;
}

/* Whether Slurm gave this task devices of its own. Ranks that mpirun starts inherit the variables
 * of its daemon, whose devices they share. */
static bool is_bound_by_slurm(void)
{
    static const char *const each[] = {"per_task", "single", "map", "mask"};
    static const char *const gpu[] = {"gpu"};
    if (!getenv("SLURM_PROCID") || getenv("OMPI_MCA_orte_launch") || getenv("PRTE_LAUNCHED"))
        return false;
    return getenv("SLURM_GPUS_PER_TASK") || getenv("SLURM_NTASKS_PER_GPU") ||
           has_part("SLURM_TRES_PER_TASK", gpu, 1) || has_part("SLURM_GPU_BIND", each, 4) ||
           has_part("SLURM_TRES_BIND", each, 4);
}

/* Of a list that is too long, the entries that fit. */
static void copy_list(char *ret_list, const char *list)
{
    size_t n = strlen(list);
    if (n >= ES_DEVICE_LIST_SIZE) {
        n = ES_DEVICE_LIST_SIZE - 1;
        while (n > 0 && list[n] != ',')
            n--;
    }
    memcpy(ret_list, list, n);
    ret_list[n] = '\0';
}

/* The host's name; several of Slurm's nodes may be on one host (slurmd -N), each with its devices.
 */
static void look_at_node_name(char *ret_node)
{
    char host[ES_DEVICE_NODE_SIZE / 2] = "";
    const char *slurm_node = getenv("SLURMD_NODENAME");
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    size_t n = strcspn(host, ".");
    if (slurm_node && (strcspn(slurm_node, ".") != n || strncmp(host, slurm_node, n) != 0))
        (void)snprintf(ret_node, ES_DEVICE_NODE_SIZE, "%s/%.100s", host, slurm_node);
    else
        (void)snprintf(ret_node, ES_DEVICE_NODE_SIZE, "%s", host);
}

void es_device_look_under(const char *root, struct es_device_facts *ret_facts)
{
    /* HIP counts within what ROCR shows, and takes CUDA's for its own where that is set. */
    static const char *const variables[] = {"CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
                                            "ROCR_VISIBLE_DEVICES"};
    struct es_device_facts facts = {.per_task = is_bound_by_slurm()};
    look_at_node_name(facts.node);
    for (size_t i = 0; i < 3 && !facts.variable[0]; i++) {
        const char *list = getenv(variables[i]);
        if (!list)
            continue;
        (void)snprintf(facts.variable, sizeof facts.variable, "%s", variables[i]);
        copy_list(facts.visible, list);
    }
    if (!facts.variable[0])
        facts.n_found = count_nvidia(root);
    *ret_facts = facts;
}

void es_device_look(struct es_device_facts *ret_facts)
{
    es_device_look_under("", ret_facts);
}

/* ------------------------------------------------------------------------------ lists */

/* The entry at *at, which moves past it. False at the end: CUDA too takes what follows an entry
 * that names no device as not there, and Slurm writes NoDevFiles for none. */
static bool next_entry(const char **at, const char **ret_entry, size_t *ret_n)
{
    const char *entry = *at + strspn(*at, " ");
    size_t n = strcspn(entry, ", ");
    if (n == 0 || entry[0] == '-' || strncmp(entry, "NoDevFiles", n) == 0)
        return false;
    const char *end = entry + strcspn(entry, ",");
    *at = *end ? end + 1 : end;
    *ret_entry = entry;
    *ret_n = n;
    return true;
}

static uint32_t count_entries(const char *list)
{
    const char *entry;
    size_t n;
    uint32_t count = 0;
    while (next_entry(&list, &entry, &n))
        count++;
    return count;
}

/* Writes n_wanted entries from number `first` on, which are there. */
static void take_entries(const char *list, uint32_t first, uint32_t n_wanted, char *ret_list)
{
    const char *entry;
    size_t n, len = 0;
    for (uint32_t i = 0; i < first + n_wanted && next_entry(&list, &entry, &n); i++) {
        if (i < first)
            continue;
        if (len)
            ret_list[len++] = ',';
        memcpy(ret_list + len, entry, n);
        len += n;
    }
    ret_list[len] = '\0';
}

/* What a rank sees as a list, whichever way it is known. */
static void seen_list(const struct es_device_facts *facts, char *ret_list)
{
    size_t len = 0;
    ret_list[0] = '\0';
    if (facts->variable[0])
        copy_list(ret_list, facts->visible);
    for (uint32_t i = 0; !facts->variable[0] && i < facts->n_found; i++) {
        int n = snprintf(ret_list + len, ES_DEVICE_LIST_SIZE - len, "%s%u", i ? "," : "", i);
        if ((size_t)n >= ES_DEVICE_LIST_SIZE - len) {
            ret_list[len] = '\0';
            return;
        }
        len += (size_t)n;
    }
}

/* ------------------------------------------------------------------------------ the rule */

struct rule {
    const struct es_device_facts *facts;
    const uint8_t *works;
    uint32_t gpus_per_worker;
    uint32_t workers_per_gpu;
};

/* The ranks of one node, in their order. */
struct node {
    const struct es_device_facts *const *ranks;
    size_t n_ranks;
    uint32_t n_workers;
    bool bound; /* somebody gave each of its workers devices of its own */
};

static bool rank_works(const struct rule *rule, const struct es_device_facts *rank)
{
    return rule->works[rank - rule->facts] != 0;
}

static void look_at_node(const struct rule *rule, struct node *node)
{
    const struct es_device_facts *first = NULL;
    bool differ = false, each_has = true;
    for (size_t i = 0; i < node->n_ranks; i++) {
        const struct es_device_facts *rank = node->ranks[i];
        if (!rank_works(rule, rank))
            continue;
        node->n_workers++;
        if (!first)
            first = rank;
        differ = differ || strcmp(rank->visible, first->visible) != 0;
        each_has = each_has && count_entries(rank->visible) == rule->gpus_per_worker;
    }
    node->bound = differ && each_has;
}

static int fail_too_few(const struct rule *rule, const struct node *node,
                        const struct es_device_facts *rank, uint32_t n_seen, struct es_err *err)
{
    uint32_t places = (node->n_workers - 1) / rule->workers_per_gpu + 1;
    uint32_t n_needed = (rank->per_task ? 1 : places) * rule->gpus_per_worker;
    return es_err_set(err, ES_ERR_USAGE, "binding GPUs", rank->node,
                      "%u GPUs are needed (workers here: %u, gpus_per_worker %u, workers_per_gpu "
                      "%u%s), and %u are visible (%s%s%s)%s",
                      n_needed, node->n_workers, rule->gpus_per_worker, rule->workers_per_gpu,
                      rank->per_task ? ", bound for each task" : "", n_seen,
                      rank->variable[0] ? rank->variable : "in /dev", rank->variable[0] ? "=" : "",
                      rank->visible,
                      n_seen ? "" : ": --allow-cpu runs without, if no rank has any");
}

/* One working rank; ret_binding NULL: only checks. */
static int bind_rank(const struct rule *rule, const struct node *node,
                     const struct es_device_facts *rank, uint32_t local_rank,
                     struct es_device_binding *ret_binding, struct es_err *err)
{
    char list[ES_DEVICE_LIST_SIZE];
    seen_list(rank, list);
    bool kept = rank->per_task || node->bound;
    uint32_t n_seen = count_entries(list);
    uint32_t first = kept ? 0 : local_rank / rule->workers_per_gpu * rule->gpus_per_worker;
    if (first + rule->gpus_per_worker > n_seen)
        return fail_too_few(rule, node, rank, n_seen, err);
    if (!ret_binding)
        return 0;
    *ret_binding = (struct es_device_binding){.local_rank = local_rank};
    (void)snprintf(ret_binding->variable, sizeof ret_binding->variable, "%s",
                   rank->variable[0] ? rank->variable : "CUDA_VISIBLE_DEVICES");
    take_entries(list, first, kept ? n_seen : rule->gpus_per_worker, ret_binding->visible);
    return 0;
}

static int bind_node(const struct rule *rule, struct node *node,
                     struct es_device_binding *ret_bindings, struct es_err *err)
{
    uint32_t local_rank = 0;
    node->n_workers = 0;
    look_at_node(rule, node);
    for (size_t i = 0; i < node->n_ranks; i++) {
        const struct es_device_facts *rank = node->ranks[i];
        struct es_device_binding *binding = ret_bindings ? &ret_bindings[rank - rule->facts] : NULL;
        int rc = 0;
        if (!rank_works(rule, rank)) {
            if (binding)
                *binding = (struct es_device_binding){0};
            continue;
        }
        if (rule->gpus_per_worker > 0)
            rc = bind_rank(rule, node, rank, local_rank, binding, err);
        else if (binding)
            *binding = (struct es_device_binding){.local_rank = local_rank};
        if (rc < 0)
            return rc;
        local_rank++;
    }
    return 0;
}

static int compare_ranks(const void *a, const void *b)
{
    const struct es_device_facts *x = *(const struct es_device_facts *const *)a;
    const struct es_device_facts *y = *(const struct es_device_facts *const *)b;
    int order = strcmp(x->node, y->node);
    return order ? order : (x > y) - (x < y); /* of one array: their order is the ranks' */
}

static int bind_all(const struct rule *rule, const struct es_device_facts *const *sorted, size_t n,
                    struct es_device_binding *ret_bindings, struct es_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n;) {
        struct node node = {.ranks = sorted + i};
        while (i < n && strcmp(sorted[i]->node, node.ranks[0]->node) == 0) {
            node.n_ranks++;
            i++;
        }
        rc = bind_node(rule, &node, ret_bindings, err);
    }
    return rc;
}

int es_device_bind(const struct es_device_facts *facts, const uint8_t *works, uint32_t n_ranks,
                   uint32_t gpus_per_worker, uint32_t workers_per_gpu,
                   struct es_device_binding *ret_bindings, struct es_err *err)
{
    const struct rule rule = {.facts = facts,
                              .works = works,
                              .gpus_per_worker = gpus_per_worker,
                              .workers_per_gpu = workers_per_gpu ? workers_per_gpu : 1};
    const struct es_device_facts **sorted = es_mem_calloc(n_ranks, sizeof *sorted);
    if (!sorted)
        return es_err_nomem(err, "binding GPUs");
    for (uint32_t i = 0; i < n_ranks; i++)
        sorted[i] = &facts[i];
    qsort(sorted, n_ranks, sizeof *sorted, compare_ranks);
    int rc = bind_all(&rule, sorted, n_ranks, NULL, err);
    if (rc == 0) /* only now: a failure leaves no binding half done */
        rc = bind_all(&rule, sorted, n_ranks, ret_bindings, err);
    free(sorted);
    return rc;
}

bool es_device_any(const struct es_device_facts *facts, const uint8_t *works, uint32_t n_ranks)
{
    char list[ES_DEVICE_LIST_SIZE];
    for (uint32_t i = 0; i < n_ranks; i++) {
        seen_list(&facts[i], list);
        if (works[i] && count_entries(list) > 0)
            return true;
    }
    return false;
}
