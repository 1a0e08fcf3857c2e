/* Messages between the coordinator (C) and its workers (W): layout, encoding, bounds-checked
 * decoding.
 *
 * A message is a type byte followed by fields in the byte order of the machine (the ranks of one
 * job share it; HELLO carries a number that tells when they do not). Texts are a length and bytes.
 * Decoders never read past the end and never trust a count; a message that is not well-formed is
 * refused whole.
 *
 * No MPI here: what is sent is a struct es_message, how is transport.h's affair.
 */
#ifndef ES_MPI_WIRE_H
#define ES_MPI_WIRE_H

#include "core/buf.h"
#include "evalsweep/error.h"
#include "evalsweep/result.h"
#include "evalsweep/units.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum es_message_type {
    ES_MESSAGE_HELLO = 1, /* W->C: what a rank is and sees */
    ES_MESSAGE_CONFIG,    /* C->W: the job, and what the rank is to be */
    ES_MESSAGE_READY,     /* W->C: the evaluator can start, or why not */
    ES_MESSAGE_ASSIGN,    /* C->W: bundles to append to the queue */
    ES_MESSAGE_RECALL,    /* C->W: units to give back unless begun */
    ES_MESSAGE_RESULTS,   /* W->C: what became of units, in order */
    ES_MESSAGE_DRAIN, /* C->W: begin nothing more; give what is queued back. W->C: the rank does so,
                         for a signal of its own */
    ES_MESSAGE_QUIT,  /* C->W: stop the evaluator; no unit is held any more */
    ES_MESSAGE_BYE,   /* W->C: the evaluator has stopped */
    ES_MESSAGE_EXIT,  /* C->W: end the process with this exit code */
    ES_MESSAGE_BEAT,  /* either: alive */
    ES_MESSAGE_RESET, /* C->W: what you hold is others' by now; READY again when rid of it */
};

/* Owned bytes; data[0] is the type. */
struct es_message {
    uint8_t *data;
    size_t n;
};

/* Releases the bytes; empty afterwards. */
void es_message_clear(struct es_message *message);

/* The type, or 0 for an empty message. */
enum es_message_type es_message_type(const struct es_message *message);

/* Takes what was encoded out of buf (left empty). ES_ERR_NOMEM if encoding it had failed. */
int es_message_take(struct es_buf *buf, struct es_message *ret_message);

/* A reading position in a message. After any get that did not fit, `failed` stays set and gets give
 * zeros, so that a decoder checks once. */
struct es_wire_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

void es_wire_put_u8(struct es_buf *buf, uint8_t value);
void es_wire_put_u32(struct es_buf *buf, uint32_t value);
void es_wire_put_i64(struct es_buf *buf, int64_t value);
void es_wire_put_f64(struct es_buf *buf, double value);
void es_wire_put_text(struct es_buf *buf, const char *text, size_t n);

/* Begins to read behind the type byte. */
struct es_wire_reader es_wire_read(const struct es_message *message);
uint8_t es_wire_get_u8(struct es_wire_reader *reader);
uint32_t es_wire_get_u32(struct es_wire_reader *reader);
int64_t es_wire_get_i64(struct es_wire_reader *reader);
double es_wire_get_f64(struct es_wire_reader *reader);
/* Borrowed from the message, not NUL-terminated; NULL with *ret_n == 0 when it did not fit. */
const char *es_wire_get_text(struct es_wire_reader *reader, size_t *ret_n);
/* The same into a fixed array, NUL-terminated; a text that does not fit is a failure. */
void es_wire_get_string(struct es_wire_reader *reader, char *ret_text, size_t size_bytes);

#define ES_WIRE_TEXT_SIZE 256
#define ES_WIRE_DEVICES_SIZE 1024

/* HELLO. */
struct es_hello {
    char node[ES_WIRE_TEXT_SIZE]; /* ranks with the same text share a node */
    char host[ES_WIRE_TEXT_SIZE];
    uint32_t n_cpus;      /* that the rank may use */
    uint32_t n_cpus_node; /* that the node has */
    char device_variable[32];
    char device_visible[ES_WIRE_DEVICES_SIZE];
    bool device_per_task;
    uint32_t n_devices_found;
};
void es_hello_encode(const struct es_hello *hello, struct es_buf *buf);
int es_hello_decode(const struct es_message *message, struct es_hello *ret_hello);

/* CONFIG. Texts are borrowed from the message when decoded, and NUL-terminated there. */
struct es_config {
    const char *job_text;
    size_t job_text_n;
    const char *run_dir; /* absolute */
    const char *versions_json;
    const char *device_variable; /* "": none to set */
    const char *device_visible;
    uint32_t n_threads;    /* that an evaluator should use */
    int64_t not_before_ns; /* markers older than this do not count */
    const char *driver_id; /* that leases name; "": none are taken */
    int64_t started_ns;    /* a failed.json from then on is of this run; used with leases */
};
void es_config_encode(const struct es_config *config, struct es_buf *buf);
int es_config_decode(const struct es_message *message, struct es_config *ret_config);

/* READY: `why` is "" when the worker is ready. Then `note` says what it runs on. */
struct es_ready {
    const char *why;
    const char *note;
};
void es_ready_encode(const struct es_ready *ready, struct es_buf *buf);
int es_ready_decode(const struct es_message *message, struct es_ready *ret_ready);

/* ASSIGN: any number of bundles in one message, encoded one after the other behind a begin. */
struct es_wire_bundle {
    uint32_t checkpoint;
    uint32_t task;
    uint32_t next_checkpoint; /* or ES_GRID_NONE */
    uint32_t n_layers;
};
struct es_wire_layer {
    uint32_t layer; /* index */
    uint32_t attempt;
    uint32_t was_tried; /* 1: it was begun before in this job, or may have been; 0 */
    uint32_t is_last;   /* 1: if this attempt fails, the unit has; 0 */
    uint32_t timeout_s; /* where evaluator.timeout_s is "auto"; 0: none */
};
void es_assign_begin(struct es_buf *buf);
void es_assign_add(struct es_buf *buf, const struct es_wire_bundle *bundle,
                   const struct es_wire_layer *layers);
/* The next bundle, its layers into layers_buf (reset first; an array of es_wire_layer). False at
 * the end or when malformed (reader->failed tells). */
bool es_assign_next(struct es_wire_reader *reader, struct es_wire_bundle *ret_bundle,
                    struct es_buf *layers_buf);

/* RECALL: unit ids; next is ES_GRID_NONE at the end. */
void es_recall_begin(struct es_buf *buf);
void es_recall_add(struct es_buf *buf, uint32_t unit_id);
uint32_t es_recall_next(struct es_wire_reader *reader);

/* RESULTS: entries in the order in which they happened. */
enum es_result_kind {
    ES_RESULT_DONE = 1,
    ES_RESULT_FOUND,        /* done already: a marker was there; nothing ran */
    ES_RESULT_FAILED,       /* this try */
    ES_RESULT_RETURNED,     /* not tried: given back, or interrupted by a drain */
    ES_RESULT_KEPT,         /* recalled too late: it is running */
    ES_RESULT_FOUND_FAILED, /* failed for good in this run already: nothing ran */
    ES_RESULT_ELSEWHERE,    /* not tried: another driver has its bundle */
    ES_RESULT_LOST,         /* failed for good; from the coordinator to its recorder only */
};
struct es_result_entry {
    uint32_t unit_id;
    enum es_result_kind kind;
    bool may_retry; /* FAILED */
    double total_s; /* as the worker measured it; NaN: not measured */
    struct es_file_id marker;
};
void es_results_begin(struct es_buf *buf);
/* `result` is encoded for DONE, FOUND, FAILED, FOUND_FAILED and LOST, and may be NULL for the
 * others. */
void es_results_add(struct es_buf *buf, const struct es_result_entry *entry,
                    const struct es_result *result);
/* The next entry, its scores into result (reset first). False at the end or when malformed
 * (reader->failed tells). */
bool es_results_next(struct es_wire_reader *reader, struct es_result_entry *ret_entry,
                     struct es_result *result);

/* DRAIN: seconds that running units get; ES_DRAIN_KILL: none, and evaluators no SIGTERM either. */
#define ES_DRAIN_KILL (-1.0)
void es_drain_encode(double grace_s, struct es_buf *buf);
int es_drain_decode(const struct es_message *message, double *ret_grace_s);

/* EXIT. */
struct es_exit {
    uint8_t code;
    bool is_whole; /* every rank is there to end together */
};
void es_exit_encode(const struct es_exit *exit, struct es_buf *buf);
int es_exit_decode(const struct es_message *message, struct es_exit *ret_exit);

/* A message without fields: QUIT, BYE, BEAT, RESET. */
void es_plain_encode(enum es_message_type type, struct es_buf *buf);

#endif
