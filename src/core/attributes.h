/* What an evaluator says of itself: its model, its versions, ... Names with a text, a number or a
 * truth value each.
 *
 * They are kept and sent as one text: a JSON object without spaces, names in ascending order, every
 * value in the one way in which core/buf.h writes it; "" for none. So what is equal is equal byte
 * for byte, and nothing needs a tree.
 *
 *     struct es_attributes set = {0};
 *     es_attributes_add_text(&set, "pooling", "mean");
 *     es_attributes_add_number(&set, "n_layers", 24);
 *     es_attributes_write(&set, &text);              // {"n_layers":24,"pooling":"mean"}
 *     es_attributes_clear(&set);
 *
 * Evaluators are not trusted: what is beyond the limits is left out.
 */
#ifndef ES_CORE_ATTRIBUTES_H
#define ES_CORE_ATTRIBUTES_H

#include "core/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ES_ATTRIBUTES_MAX = 32,
    ES_ATTRIBUTES_LIMIT_BYTES = 4096, /* of the text */
    ES_ATTRIBUTE_NAME_LIMIT = 64,     /* bytes: [A-Za-z_][A-Za-z0-9_]* */
    ES_ATTRIBUTES_MERGED_MAX = 64,    /* after merging those of many units */
};

/* The value of a name that has more than one. */
#define ES_ATTRIBUTE_DIFFERS "(differs)"

/* A set that is being made; zeroed it is empty. entries.failed: there was no memory. */
struct es_attributes {
    struct es_buf entries; /* "name":value each, as they came */
    struct {
        size_t start, n;
    } entry[ES_ATTRIBUTES_MAX]; /* [n], in the order of names */
    size_t n;
};

/* Each leaves out what has no place: a name that is none or is there already, a number that is not
 * finite, and what would make the set too large. */
void es_attributes_add_text(struct es_attributes *set, const char *name, const char *value);
void es_attributes_add_number(struct es_attributes *set, const char *name, double value);
void es_attributes_add_bool(struct es_attributes *set, const char *name, bool value);

/* Appends the text of the set; nothing for an empty one. */
void es_attributes_write(const struct es_attributes *set, struct es_buf *text);

void es_attributes_clear(struct es_attributes *set);

/* Whether it is a text that es_attributes_write could have made. */
bool es_attributes_are_valid(const char *text);

/* One attribute in a text, borrowed from it; name and value (as JSON) are not NUL-terminated. */
struct es_attribute_item {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

/* The next one of a valid text; *at is the text at first. False: that was the last. */
bool es_attributes_next(const char **at, struct es_attribute_item *ret_item);

enum es_attribute_kind { ES_ATTRIBUTE_TEXT, ES_ATTRIBUTE_NUMBER, ES_ATTRIBUTE_BOOL };
enum es_attribute_kind es_attribute_kind(const struct es_attribute_item *item);

/* The value of a number, or 1 or 0 of a truth value. */
double es_attribute_number(const struct es_attribute_item *item);

/* Appends the value of a text. */
void es_attribute_text(const struct es_attribute_item *item, struct es_buf *text);

/* Merging: a name has the value that it has wherever it is, or ES_ATTRIBUTE_DIFFERS; of more than
 * ES_ATTRIBUTES_MERGED_MAX names the first ones stay. So the order of merging makes no difference.
 */

/* Whether merging text into `merged` would leave it as it is. */
bool es_attributes_are_merged(const char *merged, const char *text);

/* Appends to ret_text what both together make. */
void es_attributes_merge(const char *merged, const char *text, struct es_buf *ret_text);

#endif
