/* What the parts of the job file's reader share.
 *
 * The file is read into a cJSON tree, the overrides are put into the tree, and then a table of
 * fields drives reading the tree into a struct es_job and writing a struct es_job as text. Where an
 * item stands (JSON path, line, or the flag that it came from) is only found out for an error.
 */
#ifndef ES_RUN_JOBFILE_INTERNAL_H
#define ES_RUN_JOBFILE_INTERNAL_H

#include "core/buf.h"
#include "core/strtab.h"
#include "evalsweep/jobfile.h"

#include <cjson/cJSON.h>

#define JOBFILE_DOING "reading the job file"
#define JOBFILE_LIMIT_BYTES ((size_t)64 << 20)
#define JOBFILE_MAX_LAYER 10000
#define JOBFILE_LONGEST_S 1e9
#define JOBFILE_QUOTED_SIZE 256

/* An override, and the topmost item of the tree that it made; NULL when another override has
 * replaced that. */
struct jobfile_origin {
    const char *set; /* "a.b=JSON"; NULL: the environment's RUN_ID */
    const cJSON *item;
};

struct jobfile_layers {
    int32_t number[JOBFILE_MAX_LAYER + 1];
    bool seen[JOBFILE_MAX_LAYER + 1];
    uint32_t n;
};

struct jobfile_reader {
    const char *path;
    const char *text;
    size_t n;
    cJSON *root;
    struct jobfile_origin *origins; /* in the order they were applied */
    size_t n_origins;
    struct es_strtab checkpoints; /* the axes, until the grid is built */
    struct es_strtab tasks;
    struct jobfile_layers *layers;
    struct es_job *job;
    struct es_err *err;
};

/* ---- jobfile_fields.c: the table of what a job file holds ---- */

enum jobfile_kind {
    JOBFILE_BOOL,    /* bool */
    JOBFILE_COUNT,   /* uint32_t, from min to max */
    JOBFILE_NUMBER,  /* double, from min to max; NaN: not given, not written */
    JOBFILE_TEXT,    /* char *, checked by `fault` */
    JOBFILE_WORD,    /* enum: the index of one of `words` */
    JOBFILE_SECTION, /* an object with `fields`; then `read`, if there is one, with the object */
    JOBFILE_CUSTOM,  /* `read` (NULL: its section's does it) and `write` */
};

struct jobfile_field {
    const char *key; /* NULL ends a table */
    enum jobfile_kind kind;
    bool has_text_members; /* an object of strings */
    size_t offset;         /* in struct es_job */
    double min, max;
    const char *word; /* of a NUMBER: may stand in its place, and is read as NaN; or NULL */
    const char *(*fault)(const char *text); /* NULL, or what is wrong: "is empty" */
    const char *const *words;               /* then NULL */
    const struct jobfile_field *fields;
    int (*read)(struct jobfile_reader *reader, const cJSON *item);
    void (*write)(const struct es_job *job, struct es_buf *text);
    bool (*applies)(const struct es_job *job); /* NULL: always; else what was read before decides */
    const char *missing; /* the error if it is not there; NULL: it may be missing */
};

extern const struct jobfile_field es_jobfile_fields[];

int es_jobfile_read_fields(struct jobfile_reader *reader, const cJSON *object,
                           const struct jobfile_field *fields);

/* The field at a path of keys, or the one above it where the table does not go so far down; NULL if
 * there is none. */
const struct jobfile_field *es_jobfile_find_field(const char *const *keys, size_t n_keys);

bool es_jobfile_is_utf8(const char *text);

/* Checks that item is valid UTF-8 text; `expected` for the error. */
int es_jobfile_get_text(const struct jobfile_reader *reader, const cJSON *item,
                        const char *expected, const char **ret_text);

bool es_jobfile_is_whole(const cJSON *item, double min, double max);

/* ---- jobfile_error.c; each returns the error's code ---- */

/* ES_ERR_USAGE "line 7: $.grid.layers[2]: <format>", or with the flag in the line's place. */
int es_jobfile_fault(const struct jobfile_reader *reader, const cJSON *item, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));

/* "expected <expected>, found <item>". */
int es_jobfile_mismatch(const struct jobfile_reader *reader, const cJSON *item,
                        const char *expected);

int es_jobfile_nomem(const struct jobfile_reader *reader);

/* An error of one override as a whole. */
int es_jobfile_origin_fault(const struct jobfile_reader *reader,
                            const struct jobfile_origin *origin, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text as a JSON string, cut where it is long. Returns ret_text. */
const char *es_jobfile_quote(const char *text, char ret_text[JOBFILE_QUOTED_SIZE]);

/* Whether item is `tree` or stands in it. */
bool es_jobfile_contains(const cJSON *tree, const cJSON *item);

/* Whether `known` is so close to text that it may have been meant. */
bool es_jobfile_is_near(const char *text, const char *known);

/* For a member whose key is none of `known`. */
int es_jobfile_unknown_key(const struct jobfile_reader *reader, const cJSON *item,
                           const char *const *known, size_t n_known);

/* ---- jobfile_override.c ---- */

/* Puts the overrides into the tree. */
int es_jobfile_override(struct jobfile_reader *reader, const struct es_job_overrides *overrides);

/* What cJSON would accept but not keep, or refuse without saying why: NUL characters, and lists too
 * deep. NULL if there is nothing; else what, and on which line. */
const char *es_jobfile_text_fault(const char *text, size_t n, size_t *ret_line);

/* ---- jobfile_names.c and jobfile_grid.c: names, and `read` functions of fields ---- */

/* As es_jobfile_get_text, for a name as core/num.h has it: one of the grid's, or a run's id. */
int es_jobfile_get_name(const struct jobfile_reader *reader, const cJSON *item,
                        const char *expected, const char **ret_name);

int es_jobfile_read_checkpoints(struct jobfile_reader *reader, const cJSON *item);
int es_jobfile_read_tasks(struct jobfile_reader *reader, const cJSON *item);
int es_jobfile_read_layers(struct jobfile_reader *reader, const cJSON *item);
int es_jobfile_read_grid(struct jobfile_reader *reader, const cJSON *item);
int es_jobfile_read_task_costs(struct jobfile_reader *reader, const cJSON *item);

/* ---- jobfile_reuse.c ---- */

int es_jobfile_read_reuse(struct jobfile_reader *reader, const cJSON *item);

/* ---- jobfile_evaluator.c ---- */

int es_jobfile_read_command(struct jobfile_reader *reader, const cJSON *item);
int es_jobfile_read_env(struct jobfile_reader *reader, const cJSON *item);

/* ---- jobfile_text.c: `write` functions of fields ---- */

void es_jobfile_write_reuse(const struct es_job *job, struct es_buf *text);
void es_jobfile_write_checkpoints(const struct es_job *job, struct es_buf *text);
void es_jobfile_write_layers(const struct es_job *job, struct es_buf *text);
void es_jobfile_write_tasks(const struct es_job *job, struct es_buf *text);
void es_jobfile_write_exclude(const struct es_job *job, struct es_buf *text);
void es_jobfile_write_task_costs(const struct es_job *job, struct es_buf *text);
void es_jobfile_write_command(const struct es_job *job, struct es_buf *text);
void es_jobfile_write_env(const struct es_job *job, struct es_buf *text);

#endif
