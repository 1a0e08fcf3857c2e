#include "core/buf.h"

#include "core/mem.h"
#include "core/num.h"
#include "evalsweep/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void es_buf_clear(struct es_buf *buf)
{
    free(buf->data);
    *buf = (struct es_buf){0};
}

void es_buf_reset(struct es_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data)
        buf->data[0] = '\0';
}

char *es_buf_reserve(struct es_buf *buf, size_t n)
{
    if (n < buf->cap - buf->len)
        return buf->data + buf->len;
    void *data = buf->data;
    if (n > (size_t)-1 / 4 || es_mem_grow(&data, &buf->cap, buf->len + n + 1, 1) < 0) {
        buf->failed = true;
        return NULL;
    }
    buf->data = data;
    return buf->data + buf->len;
}

void es_buf_append(struct es_buf *buf, const void *bytes, size_t n)
{
    char *end = es_buf_reserve(buf, n);
    if (!end)
        return;
    if (n)
        memcpy(end, bytes, n);
    buf->len += n;
    buf->data[buf->len] = '\0';
}

void es_buf_puts(struct es_buf *buf, const char *text)
{
    es_buf_append(buf, text, strlen(text));
}

void es_buf_putc(struct es_buf *buf, char c)
{
    char *end = es_buf_reserve(buf, 1);
    if (!end)
        return;
    end[0] = c;
    end[1] = '\0';
    buf->len++;
}

void es_buf_printf(struct es_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *end = n >= 0 ? es_buf_reserve(buf, (size_t)n) : NULL;
    if (end) {
        (void)vsnprintf(end, (size_t)n + 1, format, again);
        buf->len += (size_t)n;
    } else {
        buf->failed = true;
    }
    va_end(again);
}

void es_buf_consume(struct es_buf *buf, size_t n)
{
    if (n > buf->len)
        n = buf->len;
    if (n == 0)
        return;
    memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
    buf->data[buf->len] = '\0';
}

void es_buf_puts_utf8(struct es_buf *buf, const char *text)
{
    size_t left = strlen(text);
    while (left) {
        size_t n = es_utf8_char_len(text, left);
        if (n)
            es_buf_append(buf, text, n);
        else
            es_buf_puts(buf, "\xef\xbf\xbd");
        text += n ? n : 1;
        left -= n ? n : 1;
    }
}

void es_buf_json_string(struct es_buf *buf, const char *text, size_t len)
{
    es_buf_putc(buf, '"');
    size_t i = 0;
    while (i < len) {
        size_t plain = i; /* the longest run that needs no escape, in one append */
        while (plain < len && (unsigned char)text[plain] >= 0x20 &&
               (unsigned char)text[plain] < 0x7f && text[plain] != '"' && text[plain] != '\\')
            plain++;
        es_buf_append(buf, text + i, plain - i);
        i = plain;
        if (i == len)
            break;
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80) {
            size_t n = es_utf8_char_len(text + i, len - i);
            if (n)
                es_buf_append(buf, text + i, n);
            else
                es_buf_puts(buf, "\xef\xbf\xbd");
            i += n ? n : 1;
            continue;
        }
        if (c == '"' || c == '\\')
            es_buf_printf(buf, "\\%c", c);
        else if (c == '\n')
            es_buf_puts(buf, "\\n");
        else if (c == '\t')
            es_buf_puts(buf, "\\t");
        else
            es_buf_printf(buf, "\\u%04x", c);
        i++;
    }
    es_buf_putc(buf, '"');
}

void es_buf_json_double(struct es_buf *buf, double value)
{
    char text[32];
    es_format_double(value, text);
    es_buf_puts(buf, text[0] ? text : "null");
}
