#include "sys/json.h"

#include "core/num.h"
#include "core/strtab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- paths of items in a tree ---- */

/* One step on the way down to an item; cJSON's nesting limit bounds how many there are. */
struct link {
    const struct link *up;
    const cJSON *item;
    size_t index; /* in the list or object above */
};

void es_json_path_add_key(struct es_buf *path, const char *key)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (key[0] && !key[strspn(key, plain)]) {
        es_buf_putc(path, '.');
        es_buf_puts(path, key);
        return;
    }
    es_buf_putc(path, '[');
    es_buf_json_string(path, key, strlen(key));
    es_buf_putc(path, ']');
}

static void add_link(struct es_buf *path, const struct link *link)
{
    if (!link->up) {
        es_buf_putc(path, '$');
        return;
    }
    add_link(path, link->up);
    if (cJSON_IsObject(link->up->item))
        es_json_path_add_key(path, link->item->string);
    else
        es_buf_printf(path, "[%zu]", link->index);
}

static bool find_item(const struct link *here, const cJSON *item, struct es_buf *path)
{
    if (here->item == item) {
        add_link(path, here);
        return true;
    }
    size_t index = 0;
    for (const cJSON *child = here->item->child; child; child = child->next, index++) {
        struct link link = {.up = here, .item = child, .index = index};
        if (find_item(&link, item, path))
            return true;
    }
    return false;
}

bool es_json_path_of(const cJSON *root, const cJSON *item, struct es_buf *path)
{
    struct link top = {.item = root};
    return find_item(&top, item, path);
}

/* ---- duplicate keys ---- */

#define FEW_KEYS 16 /* up to this many, comparing them all is cheaper than a table */

static const cJSON *repeated_among_few(const cJSON *object)
{
    for (const cJSON *later = object->child; later; later = later->next)
        for (const cJSON *earlier = object->child; earlier != later; earlier = earlier->next)
            if (strcmp(earlier->string, later->string) == 0)
                return later;
    return NULL;
}

static const cJSON *repeated_key(const cJSON *object)
{
    size_t n = 0;
    for (const cJSON *child = object->child; child; child = child->next)
        n++;
    if (n <= FEW_KEYS)
        return repeated_among_few(object);
    struct es_strtab seen = {0};
    const cJSON *child = object->child;
    for (; child; child = child->next) {
        uint32_t code, n_before = seen.n;
        if (es_strtab_add(&seen, child->string, strlen(child->string), &code) < 0) {
            child = repeated_among_few(object); /* without memory: slow, but as good */
            break;
        }
        if (code < n_before)
            break;
    }
    es_strtab_clear(&seen);
    return child;
}

static const cJSON *find_repeated(const cJSON *item)
{
    const cJSON *found = cJSON_IsObject(item) ? repeated_key(item) : NULL;
    for (const cJSON *child = item->child; child && !found; child = child->next)
        found = find_repeated(child);
    return found;
}

bool es_json_find_duplicate(const cJSON *item, char *ret_path, size_t size_bytes)
{
    const cJSON *found = find_repeated(item);
    if (!found)
        return false;
    struct es_buf path = {0};
    (void)es_json_path_of(item, found, &path);
    (void)snprintf(ret_path, size_bytes, "%s", path.failed ? "$" : path.data);
    es_buf_clear(&path);
    return true;
}

/* ---- lines of a text: only for errors, so it scans the text as far as it has to ---- */

/* The bytes that a JSON string's inside stands for, one by one. */
struct string_bytes {
    const char *p, *end;
    unsigned char decoded[4]; /* of the escape read last */
    size_t n, at;
};

static unsigned hex4(const char *p, const char *end)
{
    unsigned value = 0;
    for (int i = 0; i < 4 && p + i < end; i++) {
        unsigned c = (unsigned char)p[i];
        unsigned digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        value = value << 4 | (digit & 0xf);
    }
    return value;
}

static void encode_utf8(struct string_bytes *bytes, unsigned c)
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    bytes->n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = bytes->n - 1; i > 0; i--) {
        bytes->decoded[i] = (unsigned char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    bytes->decoded[0] = (unsigned char)(lead[bytes->n] | c);
    bytes->at = 0;
}

/* p stands behind the backslash. */
static void decode_escape(struct string_bytes *bytes)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    char kind = *bytes->p++;
    const char *at = strchr(from, kind);
    unsigned c = at && kind ? (unsigned char)to[at - from] : (unsigned char)kind;
    if (kind == 'u') {
        c = hex4(bytes->p, bytes->end);
        bytes->p = bytes->end - bytes->p < 4 ? bytes->end : bytes->p + 4;
        bool high = c >= 0xd800 && c < 0xdc00;
        if (high && bytes->end - bytes->p >= 6 && bytes->p[0] == '\\' && bytes->p[1] == 'u') {
            c = 0x10000 + ((c & 0x3ff) << 10 | (hex4(bytes->p + 2, bytes->end) & 0x3ff));
            bytes->p += 6;
        }
    }
    encode_utf8(bytes, c);
}

static int next_byte(struct string_bytes *bytes)
{
    if (bytes->at < bytes->n)
        return bytes->decoded[bytes->at++];
    if (bytes->p >= bytes->end)
        return -1;
    if (*bytes->p != '\\' || bytes->end - bytes->p < 2)
        return (unsigned char)*bytes->p++;
    bytes->p++;
    decode_escape(bytes);
    return bytes->decoded[bytes->at++];
}

static bool same_string(const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct string_bytes in_a = {.p = a, .end = a + a_len};
    struct string_bytes in_b = {.p = b, .end = b + b_len};
    int byte;
    do {
        byte = next_byte(&in_a);
        if (byte != next_byte(&in_b))
            return false;
    } while (byte >= 0);
    return true;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p <= ' ')
        p++;
    return p;
}

/* From an opening quote to behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && p + 1 < end)
            p++;
    return p < end ? p + 1 : end;
}

static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            if (depth == 0)
                return p;
            continue;
        }
        bool closes = *p == '}' || *p == ']';
        if (depth == 0 && (closes || *p == ','))
            return p;
        if (*p == '{' || *p == '[')
            depth++;
        p++;
        if (closes && --depth == 0)
            return p;
    }
    return end;
}

/* One step of a path: a key (as a JSON string's inside) or, where key is NULL, an index. */
struct step {
    const char *key;
    size_t key_len;
    size_t index;
};

/* Reads a step off the path; NULL at its end. */
static const char *read_step(const char *path, struct step *ret_step)
{
    *ret_step = (struct step){0};
    if (path[0] == '.') {
        ret_step->key = path + 1;
        ret_step->key_len = strcspn(path + 1, ".[");
        return ret_step->key + ret_step->key_len;
    }
    if (path[0] != '[')
        return NULL;
    const char *end = path + strlen(path);
    const char *after = path + 1;
    if (path[1] == '"') {
        after = skip_string(path + 1, end);
        ret_step->key = path + 2;
        ret_step->key_len = (size_t)(after - path) - (after - path > 2 ? 3 : 2);
    } else {
        ret_step->index = strtoul(path + 1, NULL, 10);
    }
    after += strcspn(after, "]");
    return *after ? after + 1 : after;
}

/* Where the value at a step below the value at p begins, or NULL. Of a key that stands there twice,
 * the last. */
static const char *find_child(const char *p, const char *end, const struct step *step)
{
    if (p >= end || *p != (step->key ? '{' : '['))
        return NULL;
    const char *found = NULL;
    p = skip_space(p + 1, end);
    for (size_t index = 0; p < end && *p != '}' && *p != ']'; index++) {
        bool matches = !step->key && index == step->index;
        if (step->key) {
            const char *after = skip_string(p, end);
            size_t n_quotes = after - p >= 2 ? 2 : 1;
            matches = same_string(p + 1, (size_t)(after - p) - n_quotes, step->key, step->key_len);
            p = skip_space(after, end);
            p = skip_space(p < end ? p + 1 : end, end);
        }
        if (matches)
            found = p;
        p = skip_space(skip_value(p, end), end);
        p = skip_space(p < end && *p == ',' ? p + 1 : p, end);
    }
    return found;
}

size_t es_json_line_of(const char *text, size_t n, const char *path)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const char *end = text + n;
    const char *at = text;
    if (n >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        at += 3;
    at = skip_space(at, end);
    struct step step;
    for (path += path[0] == '$'; (path = read_step(path, &step));) {
        const char *child = find_child(at, end, &step);
        if (!child)
            break;
        at = child;
    }
    size_t line = 1;
    for (const char *p = text; p < at; p++)
        line += *p == '\n';
    return line;
}
