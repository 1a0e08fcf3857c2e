#include "core/csv.h"

#include "core/num.h"

#include <string.h>

void es_csv_put_text(struct es_buf *line, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        es_buf_puts(line, text);
        return;
    }
    es_buf_putc(line, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            es_buf_putc(line, '"');
        es_buf_putc(line, *p);
    }
    es_buf_putc(line, '"');
}

void es_csv_put_double(struct es_buf *line, double value)
{
    char text[32];
    es_format_double(value, text);
    es_buf_puts(line, text);
}

/* What stands in quotes from `at` on, behind the first one; behind the last one. */
static const char *take_quoted(const char *at, const char *end, struct es_buf *field)
{
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *stop = quote ? quote : end;
        es_buf_append(field, at, (size_t)(stop - at));
        if (!quote)
            return end;
        at = quote + 1;
        if (at == end || *at != '"')
            return at;
        es_buf_putc(field, '"');
        at++;
    }
    return end;
}

bool es_csv_take_field(const char **at, const char *end, struct es_buf *field)
{
    const char *p = *at;
    es_buf_reset(field);
    if (p < end && *p == '"')
        p = take_quoted(p + 1, end, field);
    const char *start = p;
    while (p < end && *p != ',' && *p != '\n')
        p++;
    size_t len = (size_t)(p - start);
    if (len && start[len - 1] == '\r' && (p == end || *p == '\n'))
        len--;
    es_buf_append(field, start, len);
    bool goes_on = p < end && *p == ',';
    *at = p < end ? p + 1 : end;
    return goes_on;
}
