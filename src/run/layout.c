#include "run/layout.h"

#include "core/mem.h"
#include "core/num.h"

#include <stdlib.h>
#include <string.h>

struct level {
    char *text;
    unsigned axes;
};

struct es_layout {
    struct level *levels;
    uint32_t n_levels;
};

static const struct placeholder {
    const char *text;
    enum es_layout_axis axis;
} placeholders[] = {
    {"{checkpoint}", ES_LAYOUT_CHECKPOINT},
    {"{layer}", ES_LAYOUT_LAYER},
    {"{task}", ES_LAYOUT_TASK},
};
#define N_PLACEHOLDERS (sizeof placeholders / sizeof placeholders[0])

/* The placeholder that text begins with, or NULL. */
static const struct placeholder *placeholder_at(const char *text)
{
    for (size_t i = 0; i < N_PLACEHOLDERS; i++)
        if (strncmp(text, placeholders[i].text, strlen(placeholders[i].text)) == 0)
            return &placeholders[i];
    return NULL;
}

static unsigned axes_in(const char *text, size_t len)
{
    unsigned axes = 0;
    for (size_t i = 0; i < len; i++) {
        const struct placeholder *found = placeholder_at(text + i);
        if (found)
            axes |= found->axis;
    }
    return axes;
}

static const char *part_fault(const char *part, size_t len)
{
    if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0))
        return "has an empty, \".\" or \"..\" part";
    bool after_placeholder = false;
    for (size_t i = 0; i < len;) {
        const struct placeholder *found = placeholder_at(part + i);
        if (found && after_placeholder)
            return "has two placeholders that touch: put something between them";
        if (!found && (part[i] == '{' || part[i] == '}'))
            return "has braces that hold none of {checkpoint}, {layer} and {task}";
        size_t n = found ? strlen(found->text) : es_utf8_char_len(part + i, len - i);
        if (n == 0)
            return "is not valid UTF-8";
        if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
            return "holds a control character";
        after_placeholder = found;
        i += n;
    }
    return NULL;
}

const char *es_layout_fault(const char *layout)
{
    if (layout[0] == '\0')
        return "is empty";
    if (layout[0] == '/')
        return "begins with a '/': it is relative to the run folder";
    for (const char *part = layout;; part++) {
        size_t len = strcspn(part, "/");
        const char *fault = part_fault(part, len);
        if (fault)
            return fault;
        part += len;
        if (!*part)
            break;
    }
    unsigned axes = axes_in(layout, strlen(layout));
    if (!(axes & ES_LAYOUT_CHECKPOINT))
        return "has no {checkpoint}";
    if (!(axes & ES_LAYOUT_LAYER))
        return "has no {layer}";
    if (!(axes & ES_LAYOUT_TASK))
        return "has no {task}";
    return NULL;
}

/* Length of the level that text begins with: a part with placeholders, or all the parts without. */
static size_t level_len(const char *text)
{
    size_t len = strcspn(text, "/");
    if (axes_in(text, len))
        return len;
    while (text[len] == '/') {
        size_t next = strcspn(text + len + 1, "/");
        if (axes_in(text + len + 1, next))
            break;
        len += 1 + next;
    }
    return len;
}

int es_layout_create(const char *text, struct es_layout **ret_layout, struct es_err *err)
{
    const char *fault = es_layout_fault(text);
    if (fault)
        return es_err_set(err, ES_ERR_USAGE, "reading the layout", text, "it %s", fault);
    uint32_t n_parts = 1;
    for (const char *p = text; *p; p++)
        n_parts += *p == '/';
    struct es_layout *layout = es_mem_calloc(1, sizeof *layout);
    if (layout)
        layout->levels = es_mem_calloc(n_parts, sizeof *layout->levels);
    bool ok = layout && layout->levels;
    for (const char *p = text; ok && *p;) {
        size_t len = level_len(p);
        struct level *level = &layout->levels[layout->n_levels++];
        level->text = es_mem_strndup(p, len);
        level->axes = axes_in(p, len);
        ok = level->text;
        p += len + (p[len] == '/');
    }
    if (!ok) {
        es_layout_free(layout);
        return es_err_nomem(err, "reading the layout");
    }
    *ret_layout = layout;
    return 0;
}

void es_layout_free(struct es_layout *layout)
{
    if (!layout)
        return;
    for (uint32_t i = 0; layout->levels && i < layout->n_levels; i++)
        free(layout->levels[i].text);
    free(layout->levels);
    free(layout);
}

uint32_t es_layout_n_levels(const struct es_layout *layout)
{
    return layout->n_levels;
}

unsigned es_layout_level_axes(const struct es_layout *layout, uint32_t level)
{
    return layout->levels[level].axes;
}

static void append_axis(enum es_layout_axis axis, const struct es_grid *grid, struct es_unit unit,
                        struct es_buf *name)
{
    switch (axis) {
    case ES_LAYOUT_CHECKPOINT:
        es_buf_puts(name, es_grid_checkpoint(grid, unit.checkpoint));
        break;
    case ES_LAYOUT_LAYER:
        es_buf_printf(name, "%d", es_grid_layer(grid, unit.layer));
        break;
    case ES_LAYOUT_TASK:
        es_buf_puts(name, es_grid_task(grid, unit.task));
        break;
    }
}

void es_layout_level_name(const struct es_layout *layout, uint32_t level,
                          const struct es_grid *grid, struct es_unit unit, struct es_buf *name)
{
    const char *p = layout->levels[level].text;
    while (*p) {
        size_t plain = strcspn(p, "{");
        es_buf_append(name, p, plain);
        p += plain;
        const struct placeholder *found = placeholder_at(p);
        if (!found)
            continue;
        append_axis(found->axis, grid, unit, name);
        p += strlen(found->text);
    }
}

void es_layout_unit_dir(const struct es_layout *layout, const struct es_grid *grid,
                        struct es_unit unit, struct es_buf *path)
{
    for (uint32_t i = 0; i < layout->n_levels; i++) {
        if (i)
            es_buf_putc(path, '/');
        es_layout_level_name(layout, i, grid, unit, path);
    }
}
