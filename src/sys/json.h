/* Reading JSON with cJSON: Python's NaN and Infinity accepted, case-sensitive lookups, and errors
 * that say where.
 *
 * The tree is freed with cJSON_Delete. Threads: any.
 */
#ifndef ES_SYS_JSON_H
#define ES_SYS_JSON_H

#include "core/buf.h"
#include "evalsweep/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* Parses exactly one JSON value from n bytes (no NUL is needed after them). Bare NaN, Infinity and
 * -Infinity, which Python's json writes, become null. On ES_ERR_PARSE `subject` names the text in
 * the error, with the line. */
int es_json_parse(const char *text, size_t n, const char *subject, cJSON **ret_root,
                  struct es_err *err);

/* The item of an object under exactly this key, or NULL (also when `object` is no object). */
const cJSON *es_json_get(const cJSON *object, const char *key);

/* The text of a string item, or NULL when it is none or missing. */
const char *es_json_get_string(const cJSON *object, const char *key);

/* The number under key; NaN when it is missing, null, no number or beyond the range of a double. */
double es_json_get_double(const cJSON *object, const char *key);

/* Appends the path of an item to `path`: "$.grid.tasks[3]". False, and nothing appended, when it is
 * not in the tree under root. */
bool es_json_path_of(const cJSON *root, const cJSON *item, struct es_buf *path);

/* The first key that stands twice in one object anywhere under item: its path ("$.grid.layers"),
 * written to ret_path. False: there is none. */
bool es_json_find_duplicate(const cJSON *item, char *ret_path, size_t size_bytes);

/* The line, from 1, where the value at a path such as "$.grid.tasks[3]" begins in the text (valid
 * JSON), and that of the nearest value above it if there is none. Of a key that stands twice, the
 * last. A key that is not [A-Za-z0-9_-]+ stands in the path as ["key"] with JSON escapes. */
size_t es_json_line_of(const char *text, size_t n, const char *path);

/* Appends `.key` or `["key"]` to a path. */
void es_json_path_add_key(struct es_buf *path, const char *key);

#endif
