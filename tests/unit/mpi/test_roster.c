#include "mpi/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct es_job a_job(bool coordinator_works, uint32_t gpus_per_worker)
{
    struct es_job job = {0};
    job.resources.coordinator_works = coordinator_works;
    job.resources.gpus_per_worker = gpus_per_worker;
    job.resources.workers_per_gpu = 1;
    return job;
}

static void greet(struct es_roster *roster, uint32_t rank, const char *node, uint32_t n_cpus,
                  uint32_t n_cpus_node, const char *visible)
{
    struct es_hello hello = {.n_cpus = n_cpus, .n_cpus_node = n_cpus_node};
    (void)snprintf(hello.node, sizeof hello.node, "%s", node);
    (void)snprintf(hello.host, sizeof hello.host, "%s.cluster", node);
    (void)snprintf(hello.device_variable, sizeof hello.device_variable, "CUDA_VISIBLE_DEVICES");
    (void)snprintf(hello.device_visible, sizeof hello.device_visible, "%s", visible);
    struct es_buf buf = {0};
    struct es_message message;
    es_hello_encode(&hello, &buf);
    assert_int_equal(es_message_take(&buf, &message), 0);
    assert_int_equal(es_roster_greet(roster, rank, &message, NULL), 0);
    es_message_clear(&message);
}

static void threads_are_shared_out_where_ranks_are_not_bound(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_cpus, n_cpus_node, n_threads;
        bool coordinator_works;
    } rows[] = {
        {64, 64, 16, true},  /* four workers, none bound: a quarter each */
        {64, 64, 21, false}, /* three of the ranks work */
        {16, 64, 16, true},  /* bound to its own */
        {2, 2, 1, true},     /* fewer CPUs than workers */
        {1, 1, 1, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_job job = a_job(rows[i].coordinator_works, 0);
        struct es_roster roster = {0};
        assert_int_equal(es_roster_init(&roster, &job, 5, NULL), 0);
        for (uint32_t r = 0; r < 4; r++)
            greet(&roster, r, "node1", rows[i].n_cpus, rows[i].n_cpus_node, "");
        greet(&roster, 4, "node2", rows[i].n_cpus, rows[i].n_cpus_node, "");
        assert_int_equal(es_roster_n_threads(&roster, 1), rows[i].n_threads);
        assert_int_equal(es_roster_n_threads(&roster, 4), rows[i].n_cpus);
        es_roster_clear(&roster);
    }
}

static void devices_go_to_the_ranks_that_work(void **state)
{
    (void)state;
    struct es_job job = a_job(false, 1);
    struct es_roster roster = {0};
    assert_int_equal(es_roster_init(&roster, &job, 3, NULL), 0);
    assert_int_equal(roster.n_expected, 3);
    for (uint32_t r = 0; r < 3; r++)
        greet(&roster, r, "node1", 8, 8, "4,5");
    assert_int_equal(roster.n_expected, 0);
    assert_int_equal(es_roster_bind(&roster, &job, false, NULL), 0);
    assert_string_equal(roster.ranks[0].binding.variable, "");
    assert_string_equal(roster.ranks[1].binding.visible, "4");
    assert_string_equal(roster.ranks[2].binding.visible, "5");
    es_roster_clear(&roster);
}

static void without_devices_they_work_only_if_allowed(void **state)
{
    (void)state;
    struct es_job job = a_job(true, 1);
    struct es_roster roster = {0};
    struct es_err err = {0};
    assert_int_equal(es_roster_init(&roster, &job, 2, NULL), 0);
    greet(&roster, 0, "node1", 8, 8, "");
    greet(&roster, 1, "node2", 8, 8, "");
    assert_int_equal(es_roster_bind(&roster, &job, false, &err), ES_ERR_USAGE);
    assert_non_null(strstr(err.why, "--allow-cpu"));
    assert_int_equal(es_roster_bind(&roster, &job, true, NULL), 0);
    assert_string_equal(roster.ranks[1].binding.variable, "");
    es_roster_clear(&roster);
}

/* A node whose GPUs are gone is no machine without GPUs. */
static void one_node_without_devices_is_not_allowed(void **state)
{
    (void)state;
    struct es_job job = a_job(true, 1);
    struct es_roster roster = {0};
    assert_int_equal(es_roster_init(&roster, &job, 2, NULL), 0);
    greet(&roster, 0, "node1", 8, 8, "0");
    greet(&roster, 1, "node2", 8, 8, "");
    assert_int_equal(es_roster_bind(&roster, &job, true, NULL), ES_ERR_USAGE);
    es_roster_clear(&roster);
}

static void a_greeting_counts_once(void **state)
{
    (void)state;
    struct es_job job = a_job(true, 0);
    struct es_roster roster = {0};
    assert_int_equal(es_roster_init(&roster, &job, 2, NULL), 0);
    greet(&roster, 1, "node1", 8, 8, "");
    greet(&roster, 1, "node2", 8, 8, "");
    assert_int_equal(roster.n_expected, 1);
    assert_string_equal(roster.ranks[1].hello.node, "node1");
    struct es_message nonsense = {.data = (uint8_t[]){ES_MESSAGE_HELLO, 1, 2}, .n = 3};
    struct es_err err = {0};
    assert_int_equal(es_roster_greet(&roster, 0, &nonsense, &err), ES_ERR_USAGE);
    assert_non_null(strstr(err.why, "rank 0"));
    es_roster_clear(&roster);
}

/* Whether it has greeted or not, and however often it is left out. */
static void one_that_is_left_out_is_not_waited_for_and_gets_nothing(void **state)
{
    (void)state;
    for (int has_greeted = 0; has_greeted < 2; has_greeted++) {
        struct es_job job = a_job(true, 1);
        struct es_roster roster = {0};
        assert_int_equal(es_roster_init(&roster, &job, 3, NULL), 0);
        greet(&roster, 0, "node1", 8, 8, "4,5");
        greet(&roster, 2, "node1", 8, 8, "4,5");
        if (has_greeted)
            greet(&roster, 1, "node1", 8, 8, "4,5");
        es_roster_leave_out(&roster, 1);
        es_roster_leave_out(&roster, 1);
        assert_int_equal(roster.n_expected, 0);
        assert_false(roster.ranks[1].works);
        greet(&roster, 1, "node1", 8, 8, "4,5"); /* too late */
        assert_int_equal(roster.n_expected, 0);
        assert_int_equal(es_roster_count(&roster, ES_RANK_GREETED), 2);
        assert_int_equal(es_roster_n_threads(&roster, 0), 4);
        roster.ranks[1].hello = roster.ranks[0].hello; /* wherever it runs, it takes no device */
        assert_int_equal(es_roster_bind(&roster, &job, false, NULL), 0);
        assert_string_equal(roster.ranks[0].binding.visible, "4");
        assert_string_equal(roster.ranks[1].binding.variable, "");
        assert_string_equal(roster.ranks[2].binding.visible, "5");
        es_roster_clear(&roster);
    }
}

static void one_cpu_is_remarked_upon(void **state)
{
    (void)state;
    struct es_job job = a_job(true, 0);
    struct es_roster roster = {0};
    char text[600];
    assert_int_equal(es_roster_init(&roster, &job, 2, NULL), 0);
    greet(&roster, 0, "node1", 1, 64, "");
    greet(&roster, 1, "node1", 8, 64, "");
    es_roster_describe(&roster, 0, text, sizeof text);
    assert_non_null(strstr(text, "node1.cluster"));
    assert_non_null(strstr(text, "only one"));
    es_roster_describe(&roster, 1, text, sizeof text);
    assert_null(strstr(text, "only one"));
    es_roster_clear(&roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_shared_out_where_ranks_are_not_bound),
        cmocka_unit_test(devices_go_to_the_ranks_that_work),
        cmocka_unit_test(without_devices_they_work_only_if_allowed),
        cmocka_unit_test(one_node_without_devices_is_not_allowed),
        cmocka_unit_test(a_greeting_counts_once),
        cmocka_unit_test(one_that_is_left_out_is_not_waited_for_and_gets_nothing),
        cmocka_unit_test(one_cpu_is_remarked_upon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
