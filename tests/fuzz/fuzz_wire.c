/* Messages between ranks: whatever the first byte says they are, read by the decoder of that type,
 * an ASSIGN by the worker's backlog. What decodes, encodes to a message that decodes to the same.
 */
#include "results.h"

#include "mpi/backlog.h"
#include "mpi/wire.h"

enum { N_CHECKPOINTS = 3, N_LAYERS = 4, N_TASKS = 2 };

static void read_hello(const struct es_message *message)
{
    struct es_hello hello, again;
    struct es_buf buf = {0};
    memset(&hello, 0, sizeof hello);
    if (es_hello_decode(message, &hello) < 0)
        return;
    es_hello_encode(&hello, &buf);
    struct es_message encoded;
    FUZZ_ASSERT(es_message_take(&buf, &encoded) == 0);
    FUZZ_ASSERT(es_hello_decode(&encoded, &again) == 0);
    FUZZ_ASSERT(strcmp(hello.host, again.host) == 0 && hello.n_cpus == again.n_cpus);
    es_message_clear(&encoded);
}

/* Every byte of the texts is there to read. */
static size_t length(const char *text, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (unsigned char)text[i];
    return sum + strlen(text);
}

static void read_config(const struct es_message *message)
{
    struct es_config config;
    if (es_config_decode(message, &config) < 0)
        return;
    (void)length(config.job_text, config.job_text_n);
    (void)length(config.run_dir, 0);
    (void)length(config.versions_json, 0);
    (void)length(config.device_variable, 0);
    (void)length(config.device_visible, 0);
}

static void read_ready(const struct es_message *message)
{
    struct es_ready ready;
    if (es_ready_decode(message, &ready) == 0)
        (void)(length(ready.why, 0) + length(ready.note, 0));
}

static void read_assign(const struct es_message *message)
{
    static const char *const checkpoints[N_CHECKPOINTS] = {"step0", "step1", "step2"};
    static const char *const tasks[N_TASKS] = {"A", "B"};
    static const int32_t layers[N_LAYERS] = {21, 22, 23, 24};
    static struct es_grid *grid;
    if (!grid)
        FUZZ_ASSERT(es_grid_create(checkpoints, N_CHECKPOINTS, layers, N_LAYERS, tasks, N_TASKS,
                                   &grid, NULL) == 0);
    struct es_backlog backlog = {0};
    struct es_unit unit;
    uint32_t attempt, n_taken = 0;
    const struct es_backlog_bundle *bundle;
    int rc = es_backlog_append(&backlog, grid, message);
    FUZZ_ASSERT(rc == 0 || rc == ES_ERR_PROTOCOL);
    uint32_t n_waiting = backlog.n_waiting;
    if (es_backlog_remove(&backlog, (struct es_unit){1, 2, 1}))
        n_waiting--;
    while (es_backlog_take(&backlog, &unit, &attempt, &bundle)) {
        FUZZ_ASSERT(unit.checkpoint < N_CHECKPOINTS && unit.layer < N_LAYERS &&
                    unit.task < N_TASKS);
        FUZZ_ASSERT(bundle->head.next_checkpoint == ES_GRID_NONE ||
                    bundle->head.next_checkpoint < N_CHECKPOINTS);
        n_taken++;
    }
    FUZZ_ASSERT(n_taken == n_waiting && backlog.n_waiting == 0);
    es_backlog_clear(&backlog);
}

static void read_recall(const struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    size_t n = 0;
    while (es_recall_next(&reader) != ES_GRID_NONE)
        n++;
    FUZZ_ASSERT(n <= message->n / sizeof(uint32_t));
}

static void read_results(const struct es_message *message)
{
    struct es_wire_reader reader = es_wire_read(message);
    struct es_result_entry entry, again;
    struct es_result result, result_again;
    struct es_buf buf = {0};
    es_result_init(&result);
    es_result_init(&result_again);
    while (es_results_next(&reader, &entry, &result)) {
        struct es_message encoded;
        FUZZ_ASSERT(!result.failed);
        es_results_begin(&buf);
        es_results_add(&buf, &entry, &result);
        FUZZ_ASSERT(es_message_take(&buf, &encoded) == 0);
        struct es_wire_reader of_encoded = es_wire_read(&encoded);
        FUZZ_ASSERT(es_results_next(&of_encoded, &again, &result_again));
        FUZZ_ASSERT(again.unit_id == entry.unit_id && again.kind == entry.kind);
        if (entry.kind != ES_RESULT_RETURNED && entry.kind != ES_RESULT_KEPT)
            fuzz_check_same(&result, &result_again);
        es_message_clear(&encoded);
    }
    es_result_clear(&result);
    es_result_clear(&result_again);
}

static void read_small(const struct es_message *message)
{
    double grace_s = 1;
    struct es_exit exit;
    if (es_drain_decode(message, &grace_s) == 0)
        FUZZ_ASSERT(!isnan(grace_s));
    (void)es_exit_decode(message, &exit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct es_message message = {.data = (uint8_t *)fuzz_copy(data, size), .n = size};
    switch (es_message_type(&message)) {
    case ES_MESSAGE_HELLO:
        read_hello(&message);
        break;
    case ES_MESSAGE_CONFIG:
        read_config(&message);
        break;
    case ES_MESSAGE_READY:
        read_ready(&message);
        break;
    case ES_MESSAGE_ASSIGN:
        read_assign(&message);
        break;
    case ES_MESSAGE_RECALL:
        read_recall(&message);
        break;
    case ES_MESSAGE_RESULTS:
        read_results(&message);
        break;
    default: /* too short for a text, or without fields */
        read_small(&message);
        break;
    }
    es_message_clear(&message);
    return 0;
}
