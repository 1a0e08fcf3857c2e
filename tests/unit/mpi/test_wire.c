#include "mpi/wire.h"

#include "evalsweep/grid.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct es_message taken(struct es_buf *buf)
{
    struct es_message message = {0};
    assert_int_equal(es_message_take(buf, &message), 0);
    return message;
}

static struct es_hello some_hello(void)
{
    return (struct es_hello){.node = "node7",
                             .host = "node7.cluster",
                             .n_cpus = 8,
                             .n_cpus_node = 64,
                             .device_variable = "CUDA_VISIBLE_DEVICES",
                             .device_visible = "0,1",
                             .device_per_task = true,
                             .n_devices_found = 2};
}

static struct es_message hello_message(void)
{
    struct es_buf buf = {0};
    struct es_hello hello = some_hello();
    es_hello_encode(&hello, &buf);
    return taken(&buf);
}

static void hello_comes_back(void **state)
{
    (void)state;
    struct es_message message = hello_message();
    struct es_hello hello, sent = some_hello();
    assert_int_equal(es_message_type(&message), ES_MESSAGE_HELLO);
    assert_int_equal(es_hello_decode(&message, &hello), 0);
    assert_string_equal(hello.node, sent.node);
    assert_string_equal(hello.host, sent.host);
    assert_int_equal(hello.n_cpus, sent.n_cpus);
    assert_int_equal(hello.n_cpus_node, sent.n_cpus_node);
    assert_string_equal(hello.device_variable, sent.device_variable);
    assert_string_equal(hello.device_visible, sent.device_visible);
    assert_true(hello.device_per_task);
    assert_int_equal(hello.n_devices_found, sent.n_devices_found);
    es_message_clear(&message);
}

static void another_byte_order_is_refused(void **state)
{
    (void)state;
    struct es_message message = hello_message();
    struct es_hello hello;
    uint8_t first = message.data[1];
    message.data[1] = message.data[4];
    message.data[4] = first;
    assert_int_equal(es_hello_decode(&message, &hello), ES_ERR_PROTOCOL);
    es_message_clear(&message);
}

static struct es_message config_message(void)
{
    struct es_buf buf = {0};
    struct es_config config = {.job_text = "{\"a\":1}",
                               .job_text_n = 7,
                               .run_dir = "/data/run",
                               .versions_json = "{}",
                               .device_variable = "CUDA_VISIBLE_DEVICES",
                               .device_visible = "3",
                               .n_threads = 4,
                               .not_before_ns = INT64_MIN,
                               .driver_id = "node7-1-2",
                               .started_ns = 5};
    es_config_encode(&config, &buf);
    return taken(&buf);
}

static void config_comes_back(void **state)
{
    (void)state;
    struct es_message message = config_message();
    struct es_config config;
    assert_int_equal(es_config_decode(&message, &config), 0);
    assert_int_equal(config.job_text_n, 7);
    assert_string_equal(config.job_text, "{\"a\":1}");
    assert_string_equal(config.run_dir, "/data/run");
    assert_string_equal(config.versions_json, "{}");
    assert_string_equal(config.device_variable, "CUDA_VISIBLE_DEVICES");
    assert_string_equal(config.device_visible, "3");
    assert_int_equal(config.n_threads, 4);
    assert_true(config.not_before_ns == INT64_MIN);
    assert_string_equal(config.driver_id, "node7-1-2");
    assert_int_equal(config.started_ns, 5);
    es_message_clear(&message);
}

static struct es_message ready_message(void)
{
    struct es_buf buf = {0};
    struct es_ready ready = {.why = "no such command", .note = "gpu 0"};
    es_ready_encode(&ready, &buf);
    return taken(&buf);
}

static void ready_comes_back(void **state)
{
    (void)state;
    struct es_message message = ready_message();
    struct es_ready ready;
    assert_int_equal(es_ready_decode(&message, &ready), 0);
    assert_string_equal(ready.why, "no such command");
    assert_string_equal(ready.note, "gpu 0");
    es_message_clear(&message);
}

static struct es_message assign_message(void)
{
    struct es_buf buf = {0};
    struct es_wire_bundle first = {1, 2, ES_GRID_NONE, 3}, second = {4, 5, 6, 1};
    struct es_wire_layer layers[] = {{7, 1, 0, 0, 900}, {8, 2, 1, 1, 0}, {9, 3, 0, 0, 1}};
    es_assign_begin(&buf);
    es_assign_add(&buf, &first, layers);
    es_assign_add(&buf, &second, layers + 1);
    return taken(&buf);
}

static void bundles_come_back_in_order(void **state)
{
    (void)state;
    struct es_message message = assign_message();
    struct es_wire_reader reader = es_wire_read(&message);
    struct es_wire_bundle bundle;
    struct es_buf layers = {0};
    assert_true(es_assign_next(&reader, &bundle, &layers));
    assert_int_equal(bundle.checkpoint, 1);
    assert_int_equal(bundle.task, 2);
    assert_int_equal(bundle.next_checkpoint, ES_GRID_NONE);
    assert_int_equal(bundle.n_layers, 3);
    const struct es_wire_layer *array = (const struct es_wire_layer *)(void *)layers.data;
    assert_int_equal(array[0].layer, 7);
    assert_int_equal(array[2].layer, 9);
    assert_int_equal(array[2].attempt, 3);
    assert_int_equal(array[1].was_tried, 1);
    assert_true(es_assign_next(&reader, &bundle, &layers));
    assert_int_equal(bundle.checkpoint, 4);
    assert_int_equal(bundle.next_checkpoint, 6);
    array = (const struct es_wire_layer *)(void *)layers.data;
    assert_int_equal(array[0].layer, 8);
    assert_false(es_assign_next(&reader, &bundle, &layers));
    assert_false(reader.failed);
    es_buf_clear(&layers);
    es_message_clear(&message);
}

static void a_count_beyond_the_message_is_refused(void **state)
{
    (void)state;
    struct es_message message = assign_message();
    uint32_t huge = UINT32_MAX;
    memcpy(message.data + 1 + 12, &huge, sizeof huge); /* n_layers of the first bundle */
    struct es_wire_reader reader = es_wire_read(&message);
    struct es_wire_bundle bundle;
    struct es_buf layers = {0};
    assert_false(es_assign_next(&reader, &bundle, &layers));
    assert_true(reader.failed);
    es_buf_clear(&layers);
    es_message_clear(&message);
}

static void recalled_units_come_back(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    es_recall_begin(&buf);
    es_recall_add(&buf, 0);
    es_recall_add(&buf, 99);
    struct es_message message = taken(&buf);
    struct es_wire_reader reader = es_wire_read(&message);
    assert_int_equal(es_recall_next(&reader), 0);
    assert_int_equal(es_recall_next(&reader), 99);
    assert_int_equal(es_recall_next(&reader), ES_GRID_NONE);
    es_message_clear(&message);
}

#define ATTRIBUTES "{\"n_layers\":24,\"pooling\":\"mean\"}"

#define TRY_REASON "it burned"

static struct es_message results_message(void)
{
    struct es_buf buf = {0};
    struct es_result result;
    es_result_init(&result);
    result.main_score = 0.61;
    result.evaluation_time_s = 12.5;
    result.load_s = 1;
    result.pass_s = 2;
    result.score_s = 3;
    result.started_s = 1e9;
    result.finished_s = 1e9 + 12.5;
    result.attempt = 2;
    result.rank = 3;
    result.host = es_result_keep(&result, "node7", 5);
    result.device = es_result_keep(&result, "0", 1);
    result.attributes = es_result_keep(&result, ATTRIBUTES, strlen(ATTRIBUTES));
    es_result_add_metric(&result, "test", "default", "accuracy", 0.61);
    es_result_add_metric(&result, "test", "en", "f1", (double)NAN);
    const struct es_try try = {.started_s = 9e8, .load_s = 0.5, .attempt = 1, .rank = -1};
    es_result_add_try(&result, &try, &(struct es_try_texts){"node6", "1", TRY_REASON, "signal 9"});
    struct es_result_entry done = {.unit_id = 17,
                                   .kind = ES_RESULT_DONE,
                                   .may_retry = true,
                                   .total_s = 12.6,
                                   .marker = {11, 22, 33}};
    struct es_result_entry returned = {.unit_id = 18, .kind = ES_RESULT_RETURNED};
    struct es_result_entry failed = {.unit_id = 19, .kind = ES_RESULT_FAILED, .total_s = 1};
    struct es_result_entry elsewhere = {.unit_id = 20, .kind = ES_RESULT_ELSEWHERE};
    struct es_result_entry found = {.unit_id = 21, .kind = ES_RESULT_FOUND_FAILED};
    es_results_begin(&buf);
    es_results_add(&buf, &done, &result);
    es_results_add(&buf, &returned, NULL);
    es_result_reset(&result);
    result.reason = es_result_keep(&result, "exit code 1", 11);
    es_results_add(&buf, &failed, &result);
    es_results_add(&buf, &elsewhere, NULL);
    es_results_add(&buf, &found, &result);
    es_result_clear(&result);
    return taken(&buf);
}

static void results_come_back_in_order(void **state)
{
    (void)state;
    struct es_message message = results_message();
    struct es_wire_reader reader = es_wire_read(&message);
    struct es_result_entry entry;
    struct es_result result;
    es_result_init(&result);
    assert_true(es_results_next(&reader, &entry, &result));
    assert_int_equal(entry.unit_id, 17);
    assert_int_equal(entry.kind, ES_RESULT_DONE);
    assert_true(entry.may_retry);
    assert_true(entry.total_s == 12.6);
    assert_int_equal(entry.marker.inode, 11);
    assert_int_equal(entry.marker.size_bytes, 22);
    assert_int_equal(entry.marker.mtime_ns, 33);
    assert_true(result.main_score == 0.61);
    assert_true(result.evaluation_time_s == 12.5);
    assert_true(result.load_s == 1 && result.pass_s == 2 && result.score_s == 3);
    assert_true(result.started_s == 1e9 && result.finished_s == 1e9 + 12.5);
    assert_int_equal(result.attempt, 2);
    assert_int_equal(result.rank, 3);
    assert_string_equal(es_result_text(&result, result.host), "node7");
    assert_string_equal(es_result_text(&result, result.device), "0");
    assert_string_equal(es_result_text(&result, result.attributes), ATTRIBUTES);
    assert_int_equal(result.n_earlier, 1);
    assert_true(result.earlier[0].started_s == 9e8 && result.earlier[0].load_s == 0.5);
    assert_int_equal(result.earlier[0].attempt, 1);
    assert_int_equal(result.earlier[0].rank, -1);
    assert_string_equal(es_result_text(&result, result.earlier[0].host), "node6");
    assert_string_equal(es_result_text(&result, result.earlier[0].device), "1");
    assert_string_equal(es_result_text(&result, result.earlier[0].reason), TRY_REASON);
    assert_int_equal(result.n_metrics, 2);
    assert_string_equal(es_result_text(&result, result.metrics[1].split), "test");
    assert_string_equal(es_result_text(&result, result.metrics[1].subset), "en");
    assert_string_equal(es_result_text(&result, result.metrics[1].metric), "f1");
    assert_true(isnan(result.metrics[1].value));
    assert_true(es_results_next(&reader, &entry, &result));
    assert_int_equal(entry.unit_id, 18);
    assert_int_equal(entry.kind, ES_RESULT_RETURNED);
    assert_true(es_results_next(&reader, &entry, &result));
    assert_int_equal(entry.kind, ES_RESULT_FAILED);
    assert_false(entry.may_retry);
    assert_string_equal(es_result_text(&result, result.reason), "exit code 1");
    assert_int_equal(result.attributes, 0);
    assert_true(es_results_next(&reader, &entry, &result));
    assert_int_equal(entry.unit_id, 20);
    assert_int_equal(entry.kind, ES_RESULT_ELSEWHERE);
    assert_true(es_results_next(&reader, &entry, &result));
    assert_int_equal(entry.kind, ES_RESULT_FOUND_FAILED);
    assert_string_equal(es_result_text(&result, result.reason), "exit code 1");
    assert_false(es_results_next(&reader, &entry, &result));
    assert_false(reader.failed);
    es_result_clear(&result);
    es_message_clear(&message);
}

/* Attributes that no worker of ours sends: of the same length, so that nothing else is wrong. */
static void attributes_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"n_layers\":24,\"pooling\":[mean]}",
                                      "{\"n_layers\":024,\"pooling\":\"man\"}",
                                      "{\"x_layers\":24,\"pooling\":\"mean\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct es_message message = results_message();
        struct es_wire_reader reader = es_wire_read(&message);
        struct es_result_entry entry;
        struct es_result result;
        char *at = memmem(message.data, message.n, ATTRIBUTES, strlen(ATTRIBUTES));
        assert_non_null(at);
        assert_int_equal(strlen(bad[i]), strlen(ATTRIBUTES));
        memcpy(at, bad[i], strlen(ATTRIBUTES));
        es_result_init(&result);
        assert_false(es_results_next(&reader, &entry, &result));
        assert_true(reader.failed);
        es_result_clear(&result);
        es_message_clear(&message);
    }
}

static void more_tries_than_a_result_keeps_are_refused(void **state)
{
    (void)state;
    struct es_message message = results_message();
    struct es_wire_reader reader = es_wire_read(&message);
    struct es_result_entry entry;
    struct es_result result;
    uint8_t *at = memmem(message.data, message.n, ATTRIBUTES, sizeof ATTRIBUTES);
    assert_non_null(at);
    assert_int_equal(at[sizeof ATTRIBUTES], 1);
    at[sizeof ATTRIBUTES] = ES_TRIES_LIMIT + 1;
    es_result_init(&result);
    assert_false(es_results_next(&reader, &entry, &result));
    assert_true(reader.failed);
    assert_int_equal(result.n_earlier, 0);
    es_result_clear(&result);
    es_message_clear(&message);
}

static void drain_and_exit_come_back(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    double grace_s;
    struct es_exit exit = {0};
    es_drain_encode(2.5, &buf);
    struct es_message message = taken(&buf);
    assert_int_equal(es_drain_decode(&message, &grace_s), 0);
    assert_true(grace_s == 2.5);
    es_message_clear(&message);
    es_drain_encode((double)NAN, &buf);
    message = taken(&buf);
    assert_int_equal(es_drain_decode(&message, &grace_s), ES_ERR_PROTOCOL);
    es_message_clear(&message);
    es_exit_encode(&(struct es_exit){.code = 75, .is_whole = true}, &buf);
    message = taken(&buf);
    assert_int_equal(es_exit_decode(&message, &exit), 0);
    assert_int_equal(exit.code, 75);
    assert_true(exit.is_whole);
    es_message_clear(&message);
}

/* Decodes by the type byte, as the loops do; whether it was well-formed to the end. */
static bool decode_any(const struct es_message *message)
{
    struct es_hello hello;
    struct es_config config;
    struct es_ready ready;
    struct es_wire_bundle bundle;
    struct es_result_entry entry;
    struct es_result result;
    struct es_buf layers = {0};
    struct es_wire_reader reader = es_wire_read(message);
    double grace_s;
    struct es_exit exit;
    switch (es_message_type(message)) {
    case ES_MESSAGE_HELLO:
        return es_hello_decode(message, &hello) == 0;
    case ES_MESSAGE_CONFIG:
        return es_config_decode(message, &config) == 0;
    case ES_MESSAGE_READY:
        return es_ready_decode(message, &ready) == 0;
    case ES_MESSAGE_ASSIGN:
        while (es_assign_next(&reader, &bundle, &layers))
            ;
        es_buf_clear(&layers);
        return !reader.failed;
    case ES_MESSAGE_RECALL:
        while (es_recall_next(&reader) != ES_GRID_NONE)
            ;
        return !reader.failed;
    case ES_MESSAGE_RESULTS:
        es_result_init(&result);
        while (es_results_next(&reader, &entry, &result))
            ;
        es_result_clear(&result);
        return !reader.failed;
    case ES_MESSAGE_DRAIN:
        return es_drain_decode(message, &grace_s) == 0;
    case ES_MESSAGE_EXIT:
        return es_exit_decode(message, &exit) == 0;
    default:
        return false;
    }
}

/* A copy of exactly n bytes, so that the sanitizer sees a read beyond them. */
static struct es_message cut(const struct es_message *message, size_t n)
{
    struct es_message copy = {.data = malloc(n ? n : 1), .n = n};
    assert_non_null(copy.data);
    memcpy(copy.data, message->data, n);
    return copy;
}

static void truncated_messages_are_refused(void **state)
{
    (void)state;
    struct es_message messages[] = {hello_message(), config_message(), ready_message()};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        assert_true(decode_any(&messages[i]));
        for (size_t n = 0; n < messages[i].n; n++) {
            struct es_message copy = cut(&messages[i], n);
            assert_false(decode_any(&copy));
            es_message_clear(&copy);
        }
        es_message_clear(&messages[i]);
    }
}

/* A list may be cut between two entries: then it is a shorter list, and nothing is read beyond it.
 */
static void truncated_lists_are_read_within_bounds(void **state)
{
    (void)state;
    struct es_message messages[] = {assign_message(), results_message()};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        size_t n_refused = 0;
        for (size_t n = 1; n < messages[i].n; n++) {
            struct es_message copy = cut(&messages[i], n);
            n_refused += !decode_any(&copy);
            es_message_clear(&copy);
        }
        assert_true(n_refused > messages[i].n - 7); /* but where one entry ends */
        es_message_clear(&messages[i]);
    }
}

static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    struct es_message messages[] = {hello_message(), config_message(), ready_message(),
                                    assign_message(), results_message()};
    uint64_t x = 12345;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        for (int round = 0; round < 2000; round++) {
            struct es_message copy = cut(&messages[i], messages[i].n);
            for (int flip = 0; flip < 4; flip++) {
                x = x * 6364136223846793005u + 1442695040888963407u;
                copy.data[1 + (x >> 33) % (copy.n - 1)] = (uint8_t)(x >> 20);
            }
            (void)decode_any(&copy);
            es_message_clear(&copy);
        }
        es_message_clear(&messages[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_comes_back),
        cmocka_unit_test(another_byte_order_is_refused),
        cmocka_unit_test(config_comes_back),
        cmocka_unit_test(ready_comes_back),
        cmocka_unit_test(bundles_come_back_in_order),
        cmocka_unit_test(a_count_beyond_the_message_is_refused),
        cmocka_unit_test(recalled_units_come_back),
        cmocka_unit_test(results_come_back_in_order),
        cmocka_unit_test(attributes_that_are_none_are_refused),
        cmocka_unit_test(drain_and_exit_come_back),
        cmocka_unit_test(more_tries_than_a_result_keeps_are_refused),
        cmocka_unit_test(truncated_messages_are_refused),
        cmocka_unit_test(truncated_lists_are_read_within_bounds),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
