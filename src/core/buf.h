/* Growable bytes with a sticky failure, so that a text is built first and checked once.
 *
 *     struct es_buf text = {0};
 *     es_buf_printf(&text, "%d units", n);
 *     if (text.failed) ...               // out of memory at some point; data is still valid
 *     es_buf_clear(&text);
 *
 * `data` is NUL-terminated after every append that succeeded (the NUL is not counted in len), and
 * NULL while nothing was appended.
 */
#ifndef ES_CORE_BUF_H
#define ES_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct es_buf {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

/* Releases the memory and makes the buffer empty and usable again. */
void es_buf_clear(struct es_buf *buf);

/* Forgets the content and the failure, keeps the memory. */
void es_buf_reset(struct es_buf *buf);

/* Room for at least n more bytes (and a NUL) after len; where they begin, or NULL. */
char *es_buf_reserve(struct es_buf *buf, size_t n);

void es_buf_append(struct es_buf *buf, const void *bytes, size_t n);
void es_buf_puts(struct es_buf *buf, const char *text);
void es_buf_putc(struct es_buf *buf, char c);
void es_buf_printf(struct es_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes. */
void es_buf_consume(struct es_buf *buf, size_t n);

/* Appends text with U+FFFD for bytes that are not UTF-8. */
void es_buf_puts_utf8(struct es_buf *buf, const char *text);

/* Appends text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void es_buf_json_string(struct es_buf *buf, const char *text, size_t len);

/* Appends the shortest decimal that reads back as the same double, and `null` for NaN and
 * infinities. */
void es_buf_json_double(struct es_buf *buf, double value);

#endif
