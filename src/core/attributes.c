#include "core/attributes.h"

#include "core/num.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char differs[] = "\"" ES_ATTRIBUTE_DIFFERS "\"";

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(const char *name, size_t len)
{
    if (len == 0 || len > ES_ATTRIBUTE_NAME_LIMIT || !is_letter(name[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_letter(name[i]) && !is_digit(name[i]))
            return false;
    return true;
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* ---- making a set ---- */

/* Where a name's entry belongs among those of the set; false if it is there already. */
static bool find_place(const struct es_attributes *set, const char *name, size_t *ret_place)
{
    size_t len = strlen(name), place = set->n;
    for (; place > 0; place--) {
        const char *other = set->entries.data + set->entry[place - 1].start + 1;
        int order = compare_bytes(name, len, other, (size_t)(strchr(other, '"') - other));
        if (order == 0)
            return false;
        if (order > 0)
            break;
    }
    *ret_place = place;
    return true;
}

/* The value is what was appended to the entries behind `"name":`. */
static void end_entry(struct es_attributes *set, size_t start, size_t place)
{
    if (set->entries.failed)
        return;
    size_t n = set->entries.len - start;
    /* With a brace before, and a comma or a brace behind each entry. */
    if (1 + set->entries.len + set->n + 1 > ES_ATTRIBUTES_LIMIT_BYTES) {
        set->entries.len = start;
        return;
    }
    memmove(&set->entry[place + 1], &set->entry[place], (set->n - place) * sizeof set->entry[0]);
    set->entry[place].start = start;
    set->entry[place].n = n;
    set->n++;
}

/* Appends `"name":` where there is a place for it. */
static bool begin_entry(struct es_attributes *set, const char *name, size_t *ret_place)
{
    if (set->n == ES_ATTRIBUTES_MAX || !is_name(name, strnlen(name, ES_ATTRIBUTE_NAME_LIMIT + 1)) ||
        set->entries.failed || !find_place(set, name, ret_place))
        return false;
    es_buf_printf(&set->entries, "\"%s\":", name);
    return true;
}

void es_attributes_add_text(struct es_attributes *set, const char *name, const char *value)
{
    size_t place, start = set->entries.len, len = strnlen(value, ES_ATTRIBUTES_LIMIT_BYTES);
    if (len == ES_ATTRIBUTES_LIMIT_BYTES || !begin_entry(set, name, &place))
        return;
    es_buf_json_string(&set->entries, value, len);
    end_entry(set, start, place);
}

void es_attributes_add_number(struct es_attributes *set, const char *name, double value)
{
    size_t place, start = set->entries.len;
    if (!isfinite(value) || !begin_entry(set, name, &place))
        return;
    es_buf_json_double(&set->entries, value);
    end_entry(set, start, place);
}

void es_attributes_add_bool(struct es_attributes *set, const char *name, bool value)
{
    size_t place, start = set->entries.len;
    if (!begin_entry(set, name, &place))
        return;
    es_buf_puts(&set->entries, value ? "true" : "false");
    end_entry(set, start, place);
}

void es_attributes_write(const struct es_attributes *set, struct es_buf *text)
{
    for (size_t i = 0; i < set->n; i++) {
        es_buf_putc(text, i ? ',' : '{');
        es_buf_append(text, set->entries.data + set->entry[i].start, set->entry[i].n);
    }
    if (set->n)
        es_buf_putc(text, '}');
}

void es_attributes_clear(struct es_attributes *set)
{
    es_buf_clear(&set->entries);
    *set = (struct es_attributes){0};
}

/* ---- reading a text ---- */

/* The length of a JSON string with its quotes; 0: it does not end. */
static size_t string_len(const char *text)
{
    size_t i = 1;
    while (text[i] && text[i] != '"')
        i += text[i] == '\\' && text[i + 1] ? 2 : 1;
    return text[i] ? i + 1 : 0;
}

bool es_attributes_next(const char **at, struct es_attribute_item *ret_item)
{
    const char *text = *at;
    if ((text[0] != '{' && text[0] != ',') || text[1] != '"')
        return false;
    size_t n = string_len(text + 1);
    if (n == 0 || text[1 + n] != ':')
        return false;
    struct es_attribute_item item = {.name = text + 2, .name_len = n - 2, .value = text + n + 2};
    item.value_len = item.value[0] == '"' ? string_len(item.value) : strcspn(item.value, ",}");
    if (item.value_len == 0)
        return false;
    *at = item.value + item.value_len;
    *ret_item = item;
    return true;
}

enum es_attribute_kind es_attribute_kind(const struct es_attribute_item *item)
{
    if (item->value[0] == '"')
        return ES_ATTRIBUTE_TEXT;
    return item->value[0] == 't' || item->value[0] == 'f' ? ES_ATTRIBUTE_BOOL : ES_ATTRIBUTE_NUMBER;
}

double es_attribute_number(const struct es_attribute_item *item)
{
    if (es_attribute_kind(item) == ES_ATTRIBUTE_BOOL)
        return item->value[0] == 't';
    return strtod(item->value, NULL);
}

static int hex_value(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape of es_buf_json_string stands for, and its length; -1: it is none. */
static int unescape(const char *text, size_t len, size_t *ret_n)
{
    *ret_n = 2;
    if (len < 2)
        return -1;
    switch (text[1]) {
    case '"':
    case '\\':
        return text[1];
    case 'n':
        return '\n';
    case 't':
        return '\t';
    default:
        break;
    }
    *ret_n = 6;
    if (len < 6 || memcmp(text, "\\u00", 4) != 0 || hex_value(text[4]) < 0 ||
        hex_value(text[5]) < 0)
        return -1;
    int byte = hex_value(text[4]) * 16 + hex_value(text[5]);
    bool is_escaped_so = byte > 0 && (byte < 0x20 || byte == 0x7f) && byte != '\n' && byte != '\t';
    return is_escaped_so ? byte : -1;
}

void es_attribute_text(const struct es_attribute_item *item, struct es_buf *text)
{
    const char *at = item->value + 1;
    size_t left = item->value_len - 2, n;
    while (left) {
        n = strcspn(at, "\\");
        if (n > left)
            n = left;
        es_buf_append(text, at, n);
        at += n;
        left -= n;
        if (left == 0)
            break;
        int byte = unescape(at, left, &n);
        if (byte < 0 || n > left)
            break;
        es_buf_putc(text, (char)byte);
        at += n;
        left -= n;
    }
}

/* ---- is it one of ours? ---- */

static bool is_valid_text(const char *value, size_t len)
{
    for (size_t i = 1, n; i < len - 1; i += n) {
        unsigned char c = (unsigned char)value[i];
        n = 1;
        if (c == '\\') {
            if (unescape(value + i, len - 1 - i, &n) < 0)
                return false;
        } else if (c >= 0x80) {
            n = es_utf8_char_len(value + i, len - 1 - i);
            if (n == 0)
                return false;
        } else if (c < 0x20 || c == 0x7f || c == '"') {
            return false;
        }
    }
    return true;
}

/* It reads back as a number that is written so. */
static bool is_valid_number(const char *value, size_t len)
{
    char *end, again[32];
    double number = strtod(value, &end);
    if (end != value + len || !isfinite(number))
        return false;
    es_format_double(number, again);
    return strlen(again) == len && memcmp(again, value, len) == 0;
}

static bool is_valid_value(const struct es_attribute_item *item)
{
    switch (es_attribute_kind(item)) {
    case ES_ATTRIBUTE_TEXT:
        return is_valid_text(item->value, item->value_len);
    case ES_ATTRIBUTE_BOOL:
        return (item->value_len == 4 && memcmp(item->value, "true", 4) == 0) ||
               (item->value_len == 5 && memcmp(item->value, "false", 5) == 0);
    case ES_ATTRIBUTE_NUMBER:
        break;
    }
    return is_valid_number(item->value, item->value_len);
}

bool es_attributes_are_valid(const char *text)
{
    const char *at = text;
    struct es_attribute_item item, last = {0};
    size_t n = 0;
    if (text[0] == '\0')
        return true;
    while (es_attributes_next(&at, &item)) {
        if (n++ == ES_ATTRIBUTES_MAX || !is_name(item.name, item.name_len) ||
            !is_valid_value(&item) ||
            (n > 1 && compare_bytes(last.name, last.name_len, item.name, item.name_len) >= 0))
            return false;
        last = item;
    }
    return n && strcmp(at, "}") == 0 && (size_t)(at + 1 - text) <= ES_ATTRIBUTES_LIMIT_BYTES;
}

/* ---- merging ---- */

/* Two lists of items that are gone through together, in the order of names. */
struct pair {
    const char *at[2];
    struct es_attribute_item item[2];
    bool has[2];
};

static void pair_begin(struct pair *pair, const char *a, const char *b)
{
    *pair = (struct pair){.at = {a, b}};
    for (int i = 0; i < 2; i++)
        pair->has[i] = es_attributes_next(&pair->at[i], &pair->item[i]);
}

/* Which of the two has the next name, or both: *ret_a, *ret_b. False: no name is left. */
static bool pair_next(struct pair *pair, const struct es_attribute_item **ret_a,
                      const struct es_attribute_item **ret_b, struct es_attribute_item here[2])
{
    int order = 0;
    if (!pair->has[0] && !pair->has[1])
        return false;
    if (!pair->has[0] || !pair->has[1])
        order = pair->has[0] ? -1 : 1;
    else
        order = compare_bytes(pair->item[0].name, pair->item[0].name_len, pair->item[1].name,
                              pair->item[1].name_len);
    here[0] = pair->item[0];
    here[1] = pair->item[1];
    *ret_a = order <= 0 ? &here[0] : NULL;
    *ret_b = order >= 0 ? &here[1] : NULL;
    if (order <= 0)
        pair->has[0] = es_attributes_next(&pair->at[0], &pair->item[0]);
    if (order >= 0)
        pair->has[1] = es_attributes_next(&pair->at[1], &pair->item[1]);
    return true;
}

static bool is_value(const struct es_attribute_item *item, const char *value, size_t len)
{
    return item->value_len == len && memcmp(item->value, value, len) == 0;
}

bool es_attributes_are_merged(const char *merged, const char *text)
{
    struct pair pair;
    const struct es_attribute_item *a, *b;
    struct es_attribute_item here[2];
    size_t n = 0;
    pair_begin(&pair, merged, text);
    while (pair_next(&pair, &a, &b, here) && n++ < ES_ATTRIBUTES_MERGED_MAX)
        if (!a || (b && !is_value(a, b->value, b->value_len) &&
                   !is_value(a, differs, sizeof differs - 1)))
            return false;
    return true;
}

void es_attributes_merge(const char *merged, const char *text, struct es_buf *ret_text)
{
    struct pair pair;
    const struct es_attribute_item *a, *b;
    struct es_attribute_item here[2];
    size_t n = 0;
    pair_begin(&pair, merged, text);
    while (n < ES_ATTRIBUTES_MERGED_MAX && pair_next(&pair, &a, &b, here)) {
        const struct es_attribute_item *item = a ? a : b;
        es_buf_printf(ret_text, "%c\"%.*s\":", n++ ? ',' : '{', (int)item->name_len, item->name);
        if (a && b && !is_value(a, b->value, b->value_len))
            es_buf_puts(ret_text, differs);
        else
            es_buf_append(ret_text, item->value, item->value_len);
    }
    if (n)
        es_buf_putc(ret_text, '}');
}
