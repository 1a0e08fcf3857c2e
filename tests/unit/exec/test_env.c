#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "evalsweep/error.h"
#include "exec/env.h"

#include <stdio.h>
#include <string.h>

static void test_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        bool dropped;
    } rows[] = {
        {"OMPI_COMM_WORLD_RANK=3", true},
        {"OMPI_=", true},
        {"OMPI=1", false},
        {"PMI_RANK=0", true},
        {"PMI2_FD=4", true},
        {"PMIX_NAMESPACE=x", true},
        {"PRTE_LAUNCHED=1", true},
        {"PRTE=1", false},
        {"RANK=0", true},
        {"RANKING=0", false},
        {"MY_RANK=0", false},
        {"WORLD_SIZE=4", true},
        {"LOCAL_RANK=1", true},
        {"LOCAL_RANKS=1", false},
        {"SLURM_PROCID=1", true},
        {"SLURM_LOCALID=1", true},
        {"SLURM_NODEID=1", true},
        {"SLURM_NTASKS=8", true},
        {"SLURM_NTASKS_PER_NODE=8", false},
        {"SLURM_NPROCS=8", true},
        {"SLURM_STEP_ID=0", true},
        {"SLURM_STEPID=0", true},
        {"SLURM_GTIDS=0,1", true},
        {"SLURM_TASK_PID=77", true},
        {"SLURM_TASKS_PER_NODE=4", true},
        {"SLURM_LAUNCH_NODE_IPADDR=10.0.0.1", true},
        {"SLURM_SRUN_COMM_PORT=9", true},
        {"SLURM_MPI_TYPE=pmix", true},
        {"SLURM_JOB_ID=12", false},
        {"SLURM_CPUS_PER_TASK=4", false},
        {"SLURM_NODELIST=n[1-2]", false},
        {"SLURM_ARRAY_TASK_ID=4", false},
        {"EVALSWEEP_REPLY_FD=3", true},
        {"EVALSWEEP_CHECKPOINT=step0", true},
        {"EVALSWEEP_MODELS=/scratch", false},
        {"PATH=/bin", false},
        {"HOME=/root", false},
        {"CUDA_VISIBLE_DEVICES=0", false},
        {"noequals", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (es_env_is_dropped(rows[i].entry) != rows[i].dropped)
            fail_msg("\"%s\" should%s be dropped", rows[i].entry, rows[i].dropped ? "" : " not");
    }
}

static void test_init_cleans(void **state)
{
    (void)state;
    char path[] = "PATH=/bin", rank[] = "RANK=1", python[] = "PYTHONUNBUFFERED=";
    char *outer[] = {path, rank, python, NULL};
    struct es_env env = {0};
    assert_int_equal(es_env_init(&env, outer), 0);
    assert_int_equal(env.n, 2);
    assert_string_equal(env.entries[0], "PATH=/bin");
    assert_string_equal(env.entries[1], "PYTHONUNBUFFERED=1");
    assert_null(env.entries[2]);
    assert_null(es_env_get(&env, "RANK"));
    es_env_clear(&env);
}

static void test_set_replaces(void **state)
{
    (void)state;
    char *outer[] = {NULL};
    struct es_env env = {0};
    assert_int_equal(es_env_init(&env, outer), 0);
    assert_int_equal(es_env_set(&env, "A", "1"), 0);
    assert_int_equal(es_env_set(&env, "AB", "x=y"), 0);
    assert_int_equal(es_env_set(&env, "A", ""), 0);
    assert_int_equal(es_env_set(&env, "PYTHONUNBUFFERED", "0"), 0);
    assert_int_equal(env.n, 3);
    assert_string_equal(es_env_get(&env, "A"), "");
    assert_string_equal(es_env_get(&env, "AB"), "x=y");
    assert_string_equal(es_env_get(&env, "PYTHONUNBUFFERED"), "0");
    assert_null(es_env_get(&env, "B"));
    es_env_clear(&env);
    es_env_clear(&env);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    char a[] = "A=1", b[] = "B=2";
    char *outer[] = {a, b, NULL};
    int rc = ES_ERR_NOMEM;
    for (long n = 0; rc < 0; n++) {
        struct es_env env = {0};
        es_mem_fail_after(n);
        rc = es_env_init(&env, outer);
        es_mem_fail_after(-1);
        assert_true(rc == 0 || (rc == ES_ERR_NOMEM && env.n == 0 && !env.entries));
        if (rc == 0) {
            es_mem_fail_after(0);
            assert_int_equal(es_env_set(&env, "A", "other"), ES_ERR_NOMEM);
            es_mem_fail_after(-1);
            assert_string_equal(es_env_get(&env, "A"), "1");
        }
        es_env_clear(&env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_init_cleans),
        cmocka_unit_test(test_set_replaces),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
