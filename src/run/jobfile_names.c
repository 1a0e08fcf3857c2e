#include "run/jobfile_internal.h"

#include "core/num.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_RANGE 1000000 /* names that a range may make */

int es_jobfile_get_name(const struct jobfile_reader *reader, const cJSON *item,
                        const char *expected, const char **ret_name)
{
    char quoted[JOBFILE_QUOTED_SIZE];
    const char *name, *fault;
    int rc = es_jobfile_get_text(reader, item, expected, &name);
    if (rc < 0)
        return rc;
    fault = es_name_fault(name);
    if (fault)
        return es_jobfile_fault(reader, item, "%s %s", es_jobfile_quote(name, quoted), fault);
    *ret_name = name;
    return 0;
}

/* Whether the name was new: 1, or 0 when it was there. */
static int add_name(const struct jobfile_reader *reader, struct es_strtab *names, const char *name)
{
    uint32_t code, n_before = names->n;
    if (es_strtab_add(names, name, strlen(name), &code) < 0)
        return es_jobfile_nomem(reader);
    return code == n_before;
}

static int read_list(struct jobfile_reader *reader, const cJSON *item, struct es_strtab *names)
{
    if (!item->child)
        return es_jobfile_fault(reader, item, "the list is empty");
    for (const cJSON *child = item->child; child; child = child->next) {
        char quoted[JOBFILE_QUOTED_SIZE];
        const char *name = "";
        int rc = es_jobfile_get_name(reader, child, "a name", &name);
        if (rc < 0)
            return rc;
        rc = add_name(reader, names, name);
        if (rc == 0)
            return es_jobfile_fault(reader, child, "%s stands in the list twice",
                                    es_jobfile_quote(name, quoted));
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- {"pythia": "all"} ---- */

static int add_step(const struct jobfile_reader *reader, struct es_strtab *names, int step)
{
    char name[32];
    (void)snprintf(name, sizeof name, "step%d", step);
    int rc = add_name(reader, names, name);
    return rc < 0 ? rc : 0;
}

/* The 154 public checkpoints of each Pythia model. */
static int read_pythia(struct jobfile_reader *reader, const cJSON *item, struct es_strtab *names)
{
    if (!cJSON_IsString(item) || strcmp(item->valuestring, "all") != 0)
        return es_jobfile_mismatch(reader, item, "\"all\"");
    int rc = add_step(reader, names, 0);
    for (int step = 1; step <= 512 && rc == 0; step *= 2)
        rc = add_step(reader, names, step);
    for (int step = 1000; step <= 143000 && rc == 0; step += 1000)
        rc = add_step(reader, names, step);
    return rc;
}

/* ---- {"range": ["step1000", "step143000", 1000]} ---- */

/* A name cut at its last run of digits: prefix, number, suffix. */
struct numbered {
    int prefix_len;
    int n_digits;
    int64_t number;
    const char *suffix;
};

static bool cut_number(const char *name, struct numbered *ret)
{
    static const char digits[] = "0123456789";
    size_t end = strlen(name);
    while (end > 0 && !strchr(digits, name[end - 1]))
        end--;
    size_t first = end;
    while (first > 0 && strchr(digits, name[first - 1]))
        first--;
    char number[20];
    if (first == end || end - first >= sizeof number)
        return false;
    memcpy(number, name + first, end - first);
    number[end - first] = '\0';
    *ret = (struct numbered){
        .prefix_len = (int)first, .n_digits = (int)(end - first), .suffix = name + end};
    return es_parse_int(number, &ret->number);
}

/* The first name with another number; as wide as it, where it is written with leading zeros. */
static void numbered_name(const char *first, const struct numbered *cut, int64_t number,
                          char *ret_name, size_t size_bytes)
{
    int width = first[cut->prefix_len] == '0' ? cut->n_digits : 1;
    (void)snprintf(ret_name, size_bytes, "%.*s%0*" PRId64 "%s", cut->prefix_len, first, width,
                   number, cut->suffix);
}

static int add_range(const struct jobfile_reader *reader, const cJSON *item, const char *first,
                     const char *last, int64_t step, struct es_strtab *names)
{
    char name[320]; /* a name has at most 240 bytes, a number 20 */
    struct numbered from, to;
    if (!cut_number(first, &from) || !cut_number(last, &to))
        return es_jobfile_fault(reader, item, "the names have no number to count by");
    numbered_name(first, &from, to.number, name, sizeof name);
    if (strcmp(name, last) != 0)
        return es_jobfile_fault(reader, item, "the two names differ in more than their number");
    if (to.number < from.number || (to.number - from.number) % step != 0)
        return es_jobfile_fault(
            reader, item, "counting from %" PRId64 " by %" PRId64 " does not lead to %" PRId64,
            from.number, step, to.number);
    if ((to.number - from.number) / step >= MAX_RANGE)
        return es_jobfile_fault(reader, item, "more than %d names", MAX_RANGE);
    for (int64_t number = from.number;; number += step) {
        numbered_name(first, &from, number, name, sizeof name);
        int rc = add_name(reader, names, name);
        if (rc < 0)
            return rc;
        if (number == to.number)
            return 0;
    }
}

static int read_range(struct jobfile_reader *reader, const cJSON *item, struct es_strtab *names)
{
    const cJSON *ends[2], *step = NULL;
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 3) {
        ends[0] = item->child;
        ends[1] = ends[0]->next;
        step = ends[1]->next;
    }
    if (!step)
        return es_jobfile_mismatch(reader, item, "[\"first\", \"last\", step]");
    const char *name[2] = {"", ""};
    for (int i = 0; i < 2; i++) {
        int rc = es_jobfile_get_name(reader, ends[i], "a name", &name[i]);
        if (rc < 0)
            return rc;
    }
    if (!es_jobfile_is_whole(step, 1, 1e15))
        return es_jobfile_mismatch(reader, step, "a whole number from 1");
    return add_range(reader, item, name[0], name[1], (int64_t)step->valuedouble, names);
}

/* ---- {"file": "steps.txt"} ---- */

/* The name on a line, with its length; 0 for none. A '#' at the beginning or after a space begins a
 * comment. */
static size_t name_on_line(const char **line, size_t len)
{
    static const char space[] = " \t\r";
    const char *p = *line, *end = p + len;
    for (const char *hash = p; hash < end; hash++)
        if (*hash == '#' && (hash == p || strchr(space, hash[-1])))
            end = hash;
    while (p < end && strchr(space, *p))
        p++;
    while (end > p && strchr(space, end[-1]))
        end--;
    *line = p;
    return (size_t)(end - p);
}

static int add_line(const struct jobfile_reader *reader, const char *path, size_t n_line,
                    const char *line, size_t len, struct es_strtab *names)
{
    len = name_on_line(&line, len);
    if (len == 0)
        return 0;
    char name[260], quoted[JOBFILE_QUOTED_SIZE];
    (void)snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name), line);
    const char *fault =
        strlen(name) < len && len < sizeof name ? "holds a NUL character" : es_name_fault(name);
    if (fault)
        return es_err_set(reader->err, ES_ERR_USAGE, JOBFILE_DOING, path, "line %zu: %s %s", n_line,
                          es_jobfile_quote(name, quoted), fault);
    int rc = add_name(reader, names, name);
    if (rc == 0)
        return es_err_set(reader->err, ES_ERR_USAGE, JOBFILE_DOING, path,
                          "line %zu: %s stands in the file twice", n_line,
                          es_jobfile_quote(name, quoted));
    return rc < 0 ? rc : 0;
}

static int add_lines(const struct jobfile_reader *reader, const char *path,
                     const struct es_buf *text, struct es_strtab *names)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    int rc = 0;
    size_t n_line = 1;
    size_t at = text->len >= 3 && memcmp(text->data, byte_order_mark, 3) == 0 ? 3 : 0;
    for (; at < text->len && rc == 0; n_line++) {
        const char *line = text->data + at;
        const char *newline = memchr(line, '\n', text->len - at);
        size_t len = newline ? (size_t)(newline - line) : text->len - at;
        rc = add_line(reader, path, n_line, line, len, names);
        at += len + 1;
    }
    if (rc == 0 && names->n == 0)
        return es_err_set(reader->err, ES_ERR_USAGE, JOBFILE_DOING, path, "it holds no name");
    return rc;
}

static int read_names_file(struct jobfile_reader *reader, const cJSON *item,
                           struct es_strtab *names)
{
    const char *file;
    int rc = es_jobfile_get_text(reader, item, "a file's name", &file);
    if (rc < 0)
        return rc;
    char reason[128];
    struct es_buf path = {0}, text = {0};
    const char *slash = strrchr(reader->path, '/');
    if (file[0] != '/' && slash)
        es_buf_append(&path, reader->path, (size_t)(slash - reader->path) + 1);
    es_buf_puts(&path, file);
    int failed = path.failed ? ENOMEM : 0;
    if (!failed && es_file_read_at(AT_FDCWD, path.data, JOBFILE_LIMIT_BYTES, &text, NULL) < 0)
        failed = errno;
    if (!failed)
        rc = add_lines(reader, path.data, &text, names);
    else if (failed == ENOMEM)
        rc = es_jobfile_nomem(reader);
    else
        rc = es_jobfile_fault(reader, item, "cannot read %s: %s", path.data,
                              strerror_r(failed, reason, sizeof reason));
    es_buf_clear(&path);
    es_buf_clear(&text);
    return rc;
}

/* ---- the forms of an axis ---- */

#define TASK_FORMS "a list of names or {\"file\": \"tasks.txt\"}"
#define CHECKPOINT_FORMS                                                                           \
    "a list of names, {\"pythia\": \"all\"}, {\"range\": [\"step1000\", \"step143000\", 1000]} "   \
    "or "                                                                                          \
    "{\"file\": \"steps.txt\"}"

int es_jobfile_read_tasks(struct jobfile_reader *reader, const cJSON *item)
{
    if (cJSON_IsArray(item))
        return read_list(reader, item, &reader->tasks);
    const cJSON *file = es_json_get(item, "file");
    if (!file || file != item->child || file->next)
        return es_jobfile_mismatch(reader, item, TASK_FORMS);
    return read_names_file(reader, file, &reader->tasks);
}

int es_jobfile_read_checkpoints(struct jobfile_reader *reader, const cJSON *item)
{
    static const struct {
        const char *key;
        int (*read)(struct jobfile_reader *reader, const cJSON *item, struct es_strtab *names);
    } forms[] = {{"pythia", read_pythia}, {"range", read_range}, {"file", read_names_file}};
    if (cJSON_IsArray(item))
        return read_list(reader, item, &reader->checkpoints);
    const cJSON *only = cJSON_IsObject(item) ? item->child : NULL;
    if (only && !only->next)
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
            if (strcmp(only->string, forms[i].key) == 0)
                return forms[i].read(reader, only, &reader->checkpoints);
    return es_jobfile_mismatch(reader, item, CHECKPOINT_FORMS);
}
