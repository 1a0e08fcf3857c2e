/* Errors as values.
 *
 * A function that can fail returns 0 or a negative `enum es_code`, and describes the failure in the
 * `struct es_err` that it was given last (NULL: not wanted). On failure its outputs are untouched;
 * on success the error is untouched. Libraries never print: only src/cli does, with es_err_text().
 *
 *     struct es_err err = {0};
 *     if (es_job_load(path, NULL, &job, &err) < 0)
 *         return fail(&err);          // "reading the job file: demo.json: line 3: ..."
 *
 * Threads: any; an es_err belongs to one thread at a time.
 */
#ifndef EVALSWEEP_ERROR_H
#define EVALSWEEP_ERROR_H

#include <stddef.h>

/* X(name, value, text): what each code means. */
#define ES_CODES(X)                                                                                \
    X(OK, 0, "success")                                                                            \
    X(ERR_NOMEM, -1, "out of memory")                                                              \
    X(ERR_USAGE, -2, "bad usage, job file, launcher or devices")                                   \
    X(ERR_PARSE, -3, "malformed input")                                                            \
    X(ERR_NOENT, -4, "not found")                                                                  \
    X(ERR_IO, -5, "the operating system refused")                                                  \
    X(ERR_BUSY, -6, "another driver holds the run")                                                \
    X(ERR_SPAWN, -7, "the evaluator cannot be started")                                            \
    X(ERR_PROTOCOL, -8, "the other side broke the protocol")                                       \
    X(ERR_STORE, -9, "HDF5 failed")                                                                \
    X(ERR_INTERNAL, -10, "internal error")

/* What went wrong, of which ES_CODES has the meaning; ES_OK is 0, the others are negative. */
enum es_code {
#define ES_CODE_ENUM(name, value, text) ES_##name = (value),
    ES_CODES(ES_CODE_ENUM)
#undef ES_CODE_ENUM
};

/* One failure: what was being done, to which file or unit, and why it failed. */
struct es_err {
    enum es_code code;
    int sys_errno; /* errno of the failing call, or 0 */
    char doing[80];
    char subject[400];
    char why[500];
};

/* The meaning of a code, for example "out of memory". Static storage. */
const char *es_code_text(enum es_code code);

/* Fills err (which may be NULL) and returns `code`, so that failing is one return statement.
 * `doing` and `subject` may be NULL; too long a text is cut. */
int es_err_set(struct es_err *err, enum es_code code, const char *doing, const char *subject,
               const char *why_format, ...) __attribute__((format(printf, 5, 6)));

/* As es_err_set, for a failed system call: the reason is the text of sys_errno, and the code
 * follows from it (ENOMEM, ENOENT, else ES_ERR_IO). */
int es_err_sys(struct es_err *err, int sys_errno, const char *doing, const char *subject);

/* As es_err_set, for a failed allocation. In the header for the static analyzers: they learn that
 * what failed to allocate has returned a negative value. */
static inline int es_err_nomem(struct es_err *err, const char *doing)
{
    (void)es_err_set(err, ES_ERR_NOMEM, doing, NULL, "%s", es_code_text(ES_ERR_NOMEM));
    return ES_ERR_NOMEM;
}

/* Writes "doing: subject: why", leaving out what is empty, always NUL-terminated. */
void es_err_text(const struct es_err *err, char *ret_text, size_t size_bytes);

#endif
