#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "exec/device.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_RANKS = 8 };

#define CUDA "CUDA_VISIBLE_DEVICES"
#define HIP "HIP_VISIBLE_DEVICES"
#define ROCR "ROCR_VISIBLE_DEVICES"
#define GPU_A "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
#define GPU_B "GPU-1b0c6d3e-9f7f-4f19-8d33-97fd6d2d0e33"
#define MIG_A "MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/1/0"
#define MIG_B "MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/2/0"

struct rank {
    const char *node, *variable, *visible;
    bool per_task, idle;
    uint32_t n_found;
    const char *expected; /* its devices; NULL: it gets none */
    uint32_t local_rank;
};

struct row {
    const char *what;
    uint32_t gpus_per_worker, workers_per_gpu;
    struct rank ranks[MAX_RANKS]; /* up to one without a node */
    const char *why[4];           /* parts of the error; none: it succeeds */
};

// clang-format off
#define SEES(...) {__VA_ARGS__, .expected = NULL}

static const struct row rows[] = {
    {"the whole node's list, shared out by local rank", 1, 1,
     {{"a", CUDA, "0,1,2,3", .expected = "0", .local_rank = 0},
      {"a", CUDA, "0,1,2,3", .expected = "1", .local_rank = 1},
      {"b", CUDA, "4,5", .expected = "4", .local_rank = 0},
      {"a", CUDA, "0,1,2,3", .expected = "2", .local_rank = 2},
      {"b", CUDA, "4,5", .expected = "5", .local_rank = 1}},
     {0}},
    {"two GPUs a worker", 2, 1,
     {{"a", CUDA, "3,2,1,0", .expected = "3,2"},
      {"a", CUDA, "3,2,1,0", .expected = "1,0", .local_rank = 1}},
     {0}},
    {"two workers a GPU", 1, 2,
     {{"a", CUDA, "0,1", .expected = "0"},
      {"a", CUDA, "0,1", .expected = "0", .local_rank = 1},
      {"a", CUDA, "0,1", .expected = "1", .local_rank = 2},
      {"a", CUDA, "0,1", .expected = "1", .local_rank = 3}},
     {0}},
    {"two workers on each pair of GPUs", 2, 2,
     {{"a", CUDA, "0,1,2,3", .expected = "0,1"},
      {"a", CUDA, "0,1,2,3", .expected = "0,1", .local_rank = 1},
      {"a", CUDA, "0,1,2,3", .expected = "2,3", .local_rank = 2}},
     {0}},
    {"--gpus-per-task under cgroups: everybody's GPU is number 0", 1, 1,
     {{"a", CUDA, "0", .per_task = true, .expected = "0"},
      {"a", CUDA, "0", .per_task = true, .expected = "0", .local_rank = 1}},
     {0}},
    {"bound for each task with more than needed: kept as it is", 1, 1,
     {{"a", CUDA, "0,1", .per_task = true, .expected = "0,1"},
      {"a", CUDA, "0,1", .per_task = true, .expected = "0,1", .local_rank = 1}},
     {0}},
    {"lists that differ, each of the right length: kept", 1, 1,
     {{"a", CUDA, "2", .expected = "2"}, {"a", CUDA, "0", .expected = "0", .local_rank = 1}},
     {0}},
    {"lists that differ, two ranks on each GPU: kept", 1, 1,
     {{"a", CUDA, "0", .expected = "0"},
      {"a", CUDA, "0", .expected = "0", .local_rank = 1},
      {"a", CUDA, "1", .expected = "1", .local_rank = 2}},
     {0}},
    {"lists that differ, but longer: each takes from its own", 1, 1,
     {{"a", CUDA, "0,1", .expected = "0"}, {"a", CUDA, "2,3", .expected = "3", .local_rank = 1}},
     {0}},
    {"GPUs by UUID", 1, 1,
     {{"a", CUDA, GPU_A "," GPU_B, .expected = GPU_A},
      {"a", CUDA, GPU_A "," GPU_B, .expected = GPU_B, .local_rank = 1}},
     {0}},
    {"MIG instances", 1, 1,
     {{"a", CUDA, MIG_A "," MIG_B, .expected = MIG_A},
      {"a", CUDA, MIG_A "," MIG_B, .expected = MIG_B, .local_rank = 1}},
     {0}},
    {"AMD", 1, 1,
     {{"a", ROCR, "0,1", .expected = "0"}, {"a", ROCR, "0,1", .expected = "1", .local_rank = 1}},
     {0}},
    {"AMD by HIP's name", 1, 1,
     {{"a", HIP, "2,3", .expected = "2"}, {"a", HIP, "2,3", .expected = "3", .local_rank = 1}},
     {0}},
    {"no variable, but GPUs in /dev", 1, 1,
     {{"a", "", "", .n_found = 2, .expected = "0"},
      {"a", "", "", .n_found = 2, .expected = "1", .local_rank = 1}},
     {0}},
    {"none wanted", 0, 1,
     {{"a", CUDA, "0,1", .expected = NULL}, {"a", "", "", .expected = NULL, .local_rank = 1}},
     {0}},
    {"a coordinator that does not work takes no place", 1, 1,
     {{"a", CUDA, "0,1", .idle = true},
      {"a", CUDA, "0,1", .expected = "0"},
      {"a", CUDA, "0,1", .expected = "1", .local_rank = 1}},
     {0}},
    {"a coordinator alone on a node without GPUs", 1, 1,
     {{"login", "", "", .idle = true}, {"a", CUDA, "0", .expected = "0"}},
     {0}},
    {"a coordinator that sees another list binds nobody else", 1, 1,
     {{"a", CUDA, "7", .idle = true},
      {"a", CUDA, "0,1", .expected = "0"},
      {"a", CUDA, "0,1", .expected = "1", .local_rank = 1}},
     {0}},
    {"what follows an entry that is none", 1, 1,
     {{"a", CUDA, "1, 0,-1,2", .expected = "1"},
      {"a", CUDA, "1, 0,-1,2", .expected = "0", .local_rank = 1}},
     {0}},
    {"too few", 1, 1,
     {SEES("gpu07", CUDA, "0,1"), SEES("gpu07", CUDA, "0,1"), SEES("gpu07", CUDA, "0,1")},
     {"gpu07", "3 GPUs are needed", "2 are visible", CUDA "=0,1"}},
    {"too few for two workers a GPU", 2, 2,
     {SEES("gpu07", CUDA, "0,1"), SEES("gpu07", CUDA, "0,1"), SEES("gpu07", CUDA, "0,1")},
     {"gpu07", "4 GPUs are needed", "2 are visible"}},
    {"too few on the second node", 1, 1,
     {SEES("a", CUDA, "0"), SEES("b", CUDA, "")},
     {"b", "1 GPUs are needed", "0 are visible"}},
    {"an empty variable hides what /dev has", 1, 1,
     {{"a", CUDA, "", .n_found = 8}},
     {"a", "1 GPUs are needed", "0 are visible"}},
    {"NoDevFiles is none", 1, 1, {SEES("a", CUDA, "NoDevFiles")}, {"a", "0 are visible"}},
    {"no variable and nothing in /dev", 1, 1,
     {SEES("a", "", "")},
     {"a", "0 are visible", "in /dev"}},
    {"bound for each task with fewer than needed", 2, 1,
     {{"a", CUDA, "0", .per_task = true}, {"a", CUDA, "0", .per_task = true}},
     {"a", "2 GPUs are needed", "1 are visible", "for each task"}},
    {"equal lists with one GPU for two workers", 1, 1,
     {SEES("a", CUDA, "0"), SEES("a", CUDA, "0")},
     {"a", "2 GPUs are needed", "1 are visible"}},
};
// clang-format on

static void check_failure(const struct row *row, int rc, const struct es_err *err)
{
    char text[1024];
    es_err_text(err, text, sizeof text);
    assert_int_equal(rc, ES_ERR_USAGE);
    for (size_t k = 0; k < 4 && row->why[k]; k++) {
        if (!strstr(text, row->why[k]))
            fail_msg("\"%s\" is not in \"%s\"", row->why[k], text);
    }
}

static void check_row(const struct row *row)
{
    struct es_device_facts facts[MAX_RANKS] = {0};
    struct es_device_binding bindings[MAX_RANKS];
    uint8_t works[MAX_RANKS];
    uint32_t n = 0;
    memset(bindings, 0x55, sizeof bindings);
    for (; n < MAX_RANKS && row->ranks[n].node; n++) {
        const struct rank *rank = &row->ranks[n];
        (void)snprintf(facts[n].node, sizeof facts[n].node, "%s", rank->node);
        (void)snprintf(facts[n].variable, sizeof facts[n].variable, "%s", rank->variable);
        (void)snprintf(facts[n].visible, sizeof facts[n].visible, "%s", rank->visible);
        facts[n].per_task = rank->per_task;
        facts[n].n_found = rank->n_found;
        works[n] = !rank->idle;
    }
    struct es_err err = {0};
    int rc =
        es_device_bind(facts, works, n, row->gpus_per_worker, row->workers_per_gpu, bindings, &err);
    if (row->why[0]) {
        check_failure(row, rc, &err);
        assert_int_equal(((unsigned char *)bindings)[0], 0x55); /* untouched */
        return;
    }
    assert_int_equal(rc, 0);
    for (uint32_t i = 0; i < n; i++) {
        const struct rank *rank = &row->ranks[i];
        assert_int_equal(bindings[i].local_rank, rank->local_rank);
        assert_string_equal(bindings[i].visible, rank->expected ? rank->expected : "");
        const char *variable = rank->variable[0] ? rank->variable : CUDA;
        assert_string_equal(bindings[i].variable, rank->expected ? variable : "");
    }
}

static void test_bind(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].what);
        check_row(&rows[i]);
    }
}

static void test_bind_nobody(void **state)
{
    (void)state;
    struct es_device_facts facts = {.node = "a"};
    struct es_device_binding binding;
    uint8_t works = 0;
    assert_int_equal(es_device_bind(&facts, &works, 0, 1, 1, &binding, NULL), 0);
    assert_int_equal(es_device_bind(&facts, &works, 1, 1, 1, &binding, NULL), 0);
    assert_string_equal(binding.variable, "");
}

/* ------------------------------------------------------------------------------ looking */

static const char *const variables[] = {CUDA,
                                        HIP,
                                        ROCR,
                                        "SLURM_PROCID",
                                        "SLURMD_NODENAME",
                                        "SLURM_GPUS_PER_TASK",
                                        "SLURM_NTASKS_PER_GPU",
                                        "SLURM_TRES_PER_TASK",
                                        "SLURM_GPU_BIND",
                                        "SLURM_TRES_BIND",
                                        "OMPI_MCA_orte_launch",
                                        "PRTE_LAUNCHED"};

static void clear_variables(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        (void)unsetenv(variables[i]);
}

static void test_look_per_task(void **state)
{
    (void)state;
    static const struct {
        const char *set[3]; /* NAME=value */
        bool per_task;
    } looks[] = {
        {{NULL}, false},
        {{"SLURM_PROCID=1"}, false},
        {{"SLURM_GPUS_PER_TASK=1"}, false}, /* of the batch script, not of a task */
        {{"SLURM_PROCID=1", "SLURM_GPUS_PER_TASK=1"}, true},
        {{"SLURM_PROCID=1", "SLURM_NTASKS_PER_GPU=2"}, true},
        {{"SLURM_PROCID=1", "SLURM_TRES_PER_TASK=cpu=4,gres/gpu=1"}, true},
        {{"SLURM_PROCID=1", "SLURM_TRES_PER_TASK=cpu=4"}, false},
        {{"SLURM_PROCID=1", "SLURM_GPU_BIND=single:1"}, true},
        {{"SLURM_PROCID=1", "SLURM_GPU_BIND=closest"}, false},
        {{"SLURM_PROCID=1", "SLURM_TRES_BIND=gres/gpu:per_task:1"}, true},
        {{"SLURM_PROCID=1", "SLURM_TRES_BIND=gres/gpu:map_gpu:0"}, true},
        {{"SLURM_PROCID=1", "SLURM_TRES_BIND=gres/gpu:none"}, false},
        {{"SLURM_PROCID=1", "SLURM_GPUS_PER_TASK=1", "OMPI_MCA_orte_launch=1"}, false},
        {{"SLURM_PROCID=1", "SLURM_GPUS_PER_TASK=1", "PRTE_LAUNCHED=1"}, false},
    };
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        struct es_device_facts facts;
        clear_variables();
        for (size_t k = 0; k < 3 && looks[i].set[k]; k++) {
            char name[32] = "";
            size_t n = strcspn(looks[i].set[k], "=");
            memcpy(name, looks[i].set[k], n);
            assert_int_equal(setenv(name, looks[i].set[k] + n + 1, 1), 0);
        }
        es_device_look(&facts);
        if (facts.per_task != looks[i].per_task)
            fail_msg("row %zu: per_task is %d", i, facts.per_task);
    }
    clear_variables();
}

/* Slurm's nodes on one host are nodes of their own. */
static void test_look_at_the_node(void **state)
{
    (void)state;
    struct es_device_facts host, same, first, second;
    clear_variables();
    es_device_look(&host);
    (void)setenv("SLURMD_NODENAME", host.node, 1);
    es_device_look(&same);
    assert_string_equal(same.node, host.node);
    (void)setenv("SLURMD_NODENAME", "n1", 1);
    es_device_look(&first);
    (void)setenv("SLURMD_NODENAME", "n2", 1);
    es_device_look(&second);
    assert_string_not_equal(first.node, second.node);
    assert_int_equal(strncmp(first.node, host.node, strlen(host.node)), 0);
    clear_variables();
}

static void make_device(const char *root, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/dev/%s", root, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static void test_look_counts_devices(void **state)
{
    (void)state;
    static const char *const names[] = {"nvidia0",    "nvidia1",  "nvidia10", "nvidiactl",
                                        "nvidia-uvm", "nvidia2x", "nvidia",   "null"};
    const char *parent = getenv("TMPDIR");
    char root[64], path[128];
    struct es_device_facts facts;
    clear_variables();
    (void)snprintf(root, sizeof root, "%.40s/es-dev-XXXXXX", parent ? parent : "/tmp");
    assert_non_null(mkdtemp(root));
    es_device_look_under(root, &facts);
    assert_int_equal(facts.n_found, 0);
    (void)snprintf(path, sizeof path, "%s/dev", root);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        make_device(root, names[i]);
    es_device_look_under(root, &facts);
    assert_int_equal(facts.n_found, 3);
    assert_string_equal(facts.variable, "");
    assert_string_not_equal(facts.node, "");
    (void)setenv(ROCR, "2,3", 1);
    es_device_look_under(root, &facts);
    assert_int_equal(facts.n_found, 0);
    assert_string_equal(facts.variable, ROCR);
    assert_string_equal(facts.visible, "2,3");
    (void)setenv(HIP, "1", 1); /* of what ROCR shows */
    es_device_look_under(root, &facts);
    assert_string_equal(facts.variable, HIP);
    assert_string_equal(facts.visible, "1");
    (void)setenv(CUDA, "", 1);
    es_device_look_under(root, &facts);
    assert_string_equal(facts.variable, CUDA);
    assert_string_equal(facts.visible, "");
    clear_variables();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/dev/%s", root, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/dev", root);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(root), 0);
}

static void test_look_at_a_long_list(void **state)
{
    (void)state;
    char list[60 * sizeof MIG_A] = "";
    size_t len = 0;
    for (int i = 0; i < 56; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? "," : "", MIG_A);
    struct es_device_facts facts;
    clear_variables();
    (void)setenv(CUDA, list, 1);
    es_device_look(&facts);
    clear_variables();
    size_t n = strlen(facts.visible);
    assert_in_range(n, ES_DEVICE_LIST_SIZE - 1 - sizeof MIG_A, ES_DEVICE_LIST_SIZE - 1);
    assert_int_equal((n + 1) % sizeof MIG_A, 0); /* whole entries */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_bind_nobody),
        cmocka_unit_test(test_look_per_task),
        cmocka_unit_test(test_look_at_the_node),
        cmocka_unit_test(test_look_counts_devices),
        cmocka_unit_test(test_look_at_a_long_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
