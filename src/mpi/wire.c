#include "mpi/wire.h"

#include "core/attributes.h"
#include "evalsweep/grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BYTE_ORDER_MARK 0x65733031u /* "es01": protocol version, and byte order */

void es_message_clear(struct es_message *message)
{
    free(message->data);
    *message = (struct es_message){0};
}

enum es_message_type es_message_type(const struct es_message *message)
{
    return message->n ? (enum es_message_type)message->data[0] : (enum es_message_type)0;
}

int es_message_take(struct es_buf *buf, struct es_message *ret_message)
{
    if (buf->failed) {
        es_buf_clear(buf);
        return ES_ERR_NOMEM;
    }
    *ret_message = (struct es_message){.data = (uint8_t *)buf->data, .n = buf->len};
    *buf = (struct es_buf){0};
    return 0;
}

void es_wire_put_u8(struct es_buf *buf, uint8_t value)
{
    es_buf_append(buf, &value, sizeof value);
}

void es_wire_put_u32(struct es_buf *buf, uint32_t value)
{
    es_buf_append(buf, &value, sizeof value);
}

void es_wire_put_i64(struct es_buf *buf, int64_t value)
{
    es_buf_append(buf, &value, sizeof value);
}

void es_wire_put_f64(struct es_buf *buf, double value)
{
    es_buf_append(buf, &value, sizeof value);
}

/* The NUL behind the bytes lets a decoder hand the text out as a C string. */
void es_wire_put_text(struct es_buf *buf, const char *text, size_t n)
{
    if (n > UINT32_MAX - 1) {
        buf->failed = true;
        return;
    }
    es_wire_put_u32(buf, (uint32_t)n);
    es_buf_append(buf, text, n);
    es_wire_put_u8(buf, 0);
}

static void put_string(struct es_buf *buf, const char *text)
{
    es_wire_put_text(buf, text, strlen(text));
}

struct es_wire_reader es_wire_read(const struct es_message *message)
{
    struct es_wire_reader reader = {.at = message->data, .end = message->data + message->n};
    if (message->n)
        reader.at++;
    else
        reader.failed = true;
    return reader;
}

static void get_bytes(struct es_wire_reader *reader, void *ret_bytes, size_t n)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < n) {
        reader->failed = true;
        memset(ret_bytes, 0, n);
        return;
    }
    memcpy(ret_bytes, reader->at, n);
    reader->at += n;
}

uint8_t es_wire_get_u8(struct es_wire_reader *reader)
{
    uint8_t value;
    get_bytes(reader, &value, sizeof value);
    return value;
}

uint32_t es_wire_get_u32(struct es_wire_reader *reader)
{
    uint32_t value;
    get_bytes(reader, &value, sizeof value);
    return value;
}

int64_t es_wire_get_i64(struct es_wire_reader *reader)
{
    int64_t value;
    get_bytes(reader, &value, sizeof value);
    return value;
}

double es_wire_get_f64(struct es_wire_reader *reader)
{
    double value;
    get_bytes(reader, &value, sizeof value);
    return value;
}

const char *es_wire_get_text(struct es_wire_reader *reader, size_t *ret_n)
{
    size_t n = es_wire_get_u32(reader);
    size_t left = (size_t)(reader->end - reader->at);
    *ret_n = 0;
    if (reader->failed || n >= left || reader->at[n] != 0) {
        reader->failed = true;
        return NULL;
    }
    const char *text = (const char *)reader->at;
    reader->at += n + 1;
    *ret_n = n;
    return text;
}

/* A text that has no NUL inside, as a C string borrowed from the message; "" on failure. */
static const char *get_c_string(struct es_wire_reader *reader)
{
    size_t n;
    const char *text = es_wire_get_text(reader, &n);
    if (text && strlen(text) != n)
        reader->failed = true;
    return text && !reader->failed ? text : "";
}

void es_wire_get_string(struct es_wire_reader *reader, char *ret_text, size_t size_bytes)
{
    const char *text = get_c_string(reader);
    size_t n = strlen(text);
    if (n >= size_bytes) {
        reader->failed = true;
        n = 0;
    }
    memcpy(ret_text, text, n);
    ret_text[n] = '\0';
}

/* Everything was there and nothing is left over. */
static int finish(const struct es_wire_reader *reader)
{
    return reader->failed || reader->at != reader->end ? ES_ERR_PROTOCOL : 0;
}

void es_plain_encode(enum es_message_type type, struct es_buf *buf)
{
    es_buf_reset(buf);
    es_wire_put_u8(buf, (uint8_t)type);
}

void es_hello_encode(const struct es_hello *hello, struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_HELLO, buf);
    es_wire_put_u32(buf, BYTE_ORDER_MARK);
    put_string(buf, hello->node);
    put_string(buf, hello->host);
    es_wire_put_u32(buf, hello->n_cpus);
    es_wire_put_u32(buf, hello->n_cpus_node);
    put_string(buf, hello->device_variable);
    put_string(buf, hello->device_visible);
    es_wire_put_u8(buf, hello->device_per_task);
    es_wire_put_u32(buf, hello->n_devices_found);
}

int es_hello_decode(const struct es_message *message, struct es_hello *ret_hello)
{
    struct es_hello hello;
    struct es_wire_reader reader = es_wire_read(message);
    if (es_wire_get_u32(&reader) != BYTE_ORDER_MARK)
        reader.failed = true;
    es_wire_get_string(&reader, hello.node, sizeof hello.node);
    es_wire_get_string(&reader, hello.host, sizeof hello.host);
    hello.n_cpus = es_wire_get_u32(&reader);
    hello.n_cpus_node = es_wire_get_u32(&reader);
    es_wire_get_string(&reader, hello.device_variable, sizeof hello.device_variable);
    es_wire_get_string(&reader, hello.device_visible, sizeof hello.device_visible);
    hello.device_per_task = es_wire_get_u8(&reader) != 0;
    hello.n_devices_found = es_wire_get_u32(&reader);
    if (finish(&reader) < 0)
        return ES_ERR_PROTOCOL;
    *ret_hello = hello;
    return 0;
}

void es_config_encode(const struct es_config *config, struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_CONFIG, buf);
    es_wire_put_text(buf, config->job_text, config->job_text_n);
    put_string(buf, config->run_dir);
    put_string(buf, config->versions_json);
    put_string(buf, config->device_variable);
    put_string(buf, config->device_visible);
    es_wire_put_u32(buf, config->n_threads);
    es_wire_put_i64(buf, config->not_before_ns);
    put_string(buf, config->driver_id);
    es_wire_put_i64(buf, config->started_ns);
}

int es_config_decode(const struct es_message *message, struct es_config *ret_config)
{
    struct es_config config;
    struct es_wire_reader reader = es_wire_read(message);
    config.job_text = es_wire_get_text(&reader, &config.job_text_n);
    config.run_dir = get_c_string(&reader);
    config.versions_json = get_c_string(&reader);
    config.device_variable = get_c_string(&reader);
    config.device_visible = get_c_string(&reader);
    config.n_threads = es_wire_get_u32(&reader);
    config.not_before_ns = es_wire_get_i64(&reader);
    config.driver_id = get_c_string(&reader);
    config.started_ns = es_wire_get_i64(&reader);
    if (finish(&reader) < 0)
        return ES_ERR_PROTOCOL;
    *ret_config = config;
    return 0;
}

void es_ready_encode(const struct es_ready *ready, struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_READY, buf);
    put_string(buf, ready->why);
    put_string(buf, ready->note);
}

int es_ready_decode(const struct es_message *message, struct es_ready *ret_ready)
{
    struct es_ready ready;
    struct es_wire_reader reader = es_wire_read(message);
    ready.why = get_c_string(&reader);
    ready.note = get_c_string(&reader);
    if (finish(&reader) < 0)
        return ES_ERR_PROTOCOL;
    *ret_ready = ready;
    return 0;
}

void es_assign_begin(struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_ASSIGN, buf);
}

void es_assign_add(struct es_buf *buf, const struct es_wire_bundle *bundle,
                   const struct es_wire_layer *layers)
{
    es_wire_put_u32(buf, bundle->checkpoint);
    es_wire_put_u32(buf, bundle->task);
    es_wire_put_u32(buf, bundle->next_checkpoint);
    es_wire_put_u32(buf, bundle->n_layers);
    es_buf_append(buf, layers, bundle->n_layers * sizeof *layers);
}

bool es_assign_next(struct es_wire_reader *reader, struct es_wire_bundle *ret_bundle,
                    struct es_buf *layers_buf)
{
    if (reader->failed || reader->at == reader->end)
        return false;
    struct es_wire_bundle bundle;
    bundle.checkpoint = es_wire_get_u32(reader);
    bundle.task = es_wire_get_u32(reader);
    bundle.next_checkpoint = es_wire_get_u32(reader);
    bundle.n_layers = es_wire_get_u32(reader);
    size_t left = (size_t)(reader->end - reader->at);
    if (reader->failed || bundle.n_layers > left / sizeof(struct es_wire_layer)) {
        reader->failed = true;
        return false;
    }
    size_t n_bytes = bundle.n_layers * sizeof(struct es_wire_layer);
    es_buf_reset(layers_buf);
    es_buf_append(layers_buf, reader->at, n_bytes);
    reader->at += n_bytes;
    *ret_bundle = bundle;
    return !layers_buf->failed;
}

void es_recall_begin(struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_RECALL, buf);
}

void es_recall_add(struct es_buf *buf, uint32_t unit_id)
{
    es_wire_put_u32(buf, unit_id);
}

uint32_t es_recall_next(struct es_wire_reader *reader)
{
    if (reader->failed || reader->at == reader->end)
        return ES_GRID_NONE;
    uint32_t unit_id = es_wire_get_u32(reader);
    return reader->failed ? ES_GRID_NONE : unit_id;
}

void es_results_begin(struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_RESULTS, buf);
}

_Static_assert(sizeof(struct es_try) == 6 * sizeof(double) + 6 * sizeof(uint32_t),
               "a message holds no bytes that nobody has set");

/* Earlier tries whole, though the offsets in them mean nothing to the reader; the texts follow, but
 * for how the evaluator ended, which only markers tell. */
static void put_earlier(struct es_buf *buf, const struct es_result *result)
{
    es_wire_put_u8(buf, (uint8_t)result->n_earlier);
    for (size_t i = 0; i < result->n_earlier; i++) {
        const struct es_try *try = &result->earlier[i];
        es_buf_append(buf, try, sizeof *try);
        put_string(buf, es_result_text(result, try->host));
        put_string(buf, es_result_text(result, try->device));
        put_string(buf, es_result_text(result, try->reason));
    }
}

static void get_earlier(struct es_wire_reader *reader, struct es_result *result)
{
    uint8_t n = es_wire_get_u8(reader);
    if (n > ES_TRIES_LIMIT)
        reader->failed = true;
    for (uint8_t i = 0; i < n && !reader->failed; i++) {
        struct es_try try;
        struct es_try_texts texts = {.exit = ""};
        get_bytes(reader, &try, sizeof try);
        texts.host = get_c_string(reader);
        texts.device = get_c_string(reader);
        texts.reason = get_c_string(reader);
        if (!reader->failed)
            es_result_add_try(result, &try, &texts);
    }
}

/* The numbers of a result, as they stand in a message. */
struct wire_numbers {
    double main_score, evaluation_time_s, started_s, finished_s, load_s, pass_s, score_s;
    int32_t attempt, rank;
};

static bool has_result(enum es_result_kind kind)
{
    return kind == ES_RESULT_DONE || kind == ES_RESULT_FOUND || kind == ES_RESULT_FAILED ||
           kind == ES_RESULT_FOUND_FAILED || kind == ES_RESULT_LOST;
}

void es_results_add(struct es_buf *buf, const struct es_result_entry *entry,
                    const struct es_result *result)
{
    es_wire_put_u32(buf, entry->unit_id);
    es_wire_put_u8(buf, (uint8_t)entry->kind);
    if (!has_result(entry->kind))
        return;
    es_wire_put_u8(buf, entry->may_retry);
    es_wire_put_f64(buf, entry->total_s);
    es_buf_append(buf, &entry->marker, sizeof entry->marker);
    struct wire_numbers numbers = {
        .main_score = result->main_score,
        .evaluation_time_s = result->evaluation_time_s,
        .started_s = result->started_s,
        .finished_s = result->finished_s,
        .load_s = result->load_s,
        .pass_s = result->pass_s,
        .score_s = result->score_s,
        .attempt = result->attempt,
        .rank = result->rank,
    };
    es_buf_append(buf, &numbers, sizeof numbers);
    put_string(buf, es_result_text(result, result->host));
    put_string(buf, es_result_text(result, result->device));
    put_string(buf, es_result_text(result, result->reason));
    put_string(buf, es_result_text(result, result->attributes));
    put_earlier(buf, result);
    es_wire_put_u32(buf, (uint32_t)result->n_metrics);
    for (size_t i = 0; i < result->n_metrics; i++) {
        es_wire_put_f64(buf, result->metrics[i].value);
        put_string(buf, es_result_text(result, result->metrics[i].split));
        put_string(buf, es_result_text(result, result->metrics[i].subset));
        put_string(buf, es_result_text(result, result->metrics[i].metric));
    }
}

static uint32_t get_kept(struct es_wire_reader *reader, struct es_result *result)
{
    const char *text = get_c_string(reader);
    return es_result_keep(result, text, strlen(text));
}

/* What is none of ours would end up in the store and in nobody's hands before. */
static uint32_t get_attributes(struct es_wire_reader *reader, struct es_result *result)
{
    const char *text = get_c_string(reader);
    if (!es_attributes_are_valid(text)) {
        reader->failed = true;
        text = "";
    }
    return es_result_keep(result, text, strlen(text));
}

static void get_result(struct es_wire_reader *reader, struct es_result *result)
{
    struct wire_numbers numbers;
    get_bytes(reader, &numbers, sizeof numbers);
    es_result_reset(result);
    result->main_score = numbers.main_score;
    result->evaluation_time_s = numbers.evaluation_time_s;
    result->started_s = numbers.started_s;
    result->finished_s = numbers.finished_s;
    result->load_s = numbers.load_s;
    result->pass_s = numbers.pass_s;
    result->score_s = numbers.score_s;
    result->attempt = numbers.attempt;
    result->rank = numbers.rank;
    result->host = get_kept(reader, result);
    result->device = get_kept(reader, result);
    result->reason = get_kept(reader, result);
    result->attributes = get_attributes(reader, result);
    get_earlier(reader, result);
    uint32_t n = es_wire_get_u32(reader);
    for (uint32_t i = 0; i < n && !reader->failed; i++) {
        double value = es_wire_get_f64(reader);
        const char *split = get_c_string(reader);
        const char *subset = get_c_string(reader);
        const char *metric = get_c_string(reader);
        if (!reader->failed)
            es_result_add_metric(result, split, subset, metric, value);
    }
}

bool es_results_next(struct es_wire_reader *reader, struct es_result_entry *ret_entry,
                     struct es_result *result)
{
    if (reader->failed || reader->at == reader->end)
        return false;
    struct es_result_entry entry = {.total_s = (double)NAN};
    entry.unit_id = es_wire_get_u32(reader);
    uint8_t kind = es_wire_get_u8(reader);
    if (kind < ES_RESULT_DONE || kind > ES_RESULT_LOST)
        reader->failed = true;
    entry.kind = (enum es_result_kind)kind;
    if (!reader->failed && has_result(entry.kind)) {
        entry.may_retry = es_wire_get_u8(reader) != 0;
        entry.total_s = es_wire_get_f64(reader);
        get_bytes(reader, &entry.marker, sizeof entry.marker);
        get_result(reader, result);
    }
    if (reader->failed)
        return false;
    *ret_entry = entry;
    return true;
}

void es_drain_encode(double grace_s, struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_DRAIN, buf);
    es_wire_put_f64(buf, grace_s);
}

int es_drain_decode(const struct es_message *message, double *ret_grace_s)
{
    struct es_wire_reader reader = es_wire_read(message);
    double grace_s = es_wire_get_f64(&reader);
    if (finish(&reader) < 0 || isnan(grace_s))
        return ES_ERR_PROTOCOL;
    *ret_grace_s = grace_s;
    return 0;
}

void es_exit_encode(const struct es_exit *exit, struct es_buf *buf)
{
    es_plain_encode(ES_MESSAGE_EXIT, buf);
    es_wire_put_u8(buf, exit->code);
    es_wire_put_u8(buf, exit->is_whole);
}

int es_exit_decode(const struct es_message *message, struct es_exit *ret_exit)
{
    struct es_wire_reader reader = es_wire_read(message);
    struct es_exit exit = {.code = es_wire_get_u8(&reader)};
    exit.is_whole = es_wire_get_u8(&reader) != 0;
    if (finish(&reader) < 0)
        return ES_ERR_PROTOCOL;
    *ret_exit = exit;
    return 0;
}
