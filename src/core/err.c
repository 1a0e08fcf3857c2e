#include "evalsweep/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *es_code_text(enum es_code code)
{
    switch (code) {
#define ES_CODE_CASE(name, value, text)                                                            \
    case ES_##name:                                                                                \
        return text;
        ES_CODES(ES_CODE_CASE)
#undef ES_CODE_CASE
    }
    return "unknown error";
}

static void copy_text(char *dest, size_t size_bytes, const char *text)
{
    (void)snprintf(dest, size_bytes, "%s", text ? text : "");
}

int es_err_set(struct es_err *err, enum es_code code, const char *doing, const char *subject,
               const char *why_format, ...)
{
    if (!err)
        return code;
    va_list args;
    struct es_err filled = {.code = code};
    copy_text(filled.doing, sizeof filled.doing, doing);
    copy_text(filled.subject, sizeof filled.subject, subject);
    va_start(args, why_format);
    (void)vsnprintf(filled.why, sizeof filled.why, why_format, args);
    va_end(args);
    *err = filled;
    return code;
}

int es_err_sys(struct es_err *err, int sys_errno, const char *doing, const char *subject)
{
    enum es_code code = ES_ERR_IO;
    if (sys_errno == ENOMEM)
        code = ES_ERR_NOMEM;
    else if (sys_errno == ENOENT)
        code = ES_ERR_NOENT;
    char buf[128];
    es_err_set(err, code, doing, subject, "%s", strerror_r(sys_errno, buf, sizeof buf));
    if (err)
        err->sys_errno = sys_errno;
    return code;
}

void es_err_text(const struct es_err *err, char *ret_text, size_t size_bytes)
{
    const char *parts[3] = {err->doing, err->subject, err->why};
    size_t len = 0;
    if (size_bytes)
        ret_text[0] = '\0';
    for (int i = 0; i < 3; i++) {
        if (!parts[i][0] || len + 1 >= size_bytes)
            continue;
        int n = snprintf(ret_text + len, size_bytes - len, "%s%s", len ? ": " : "", parts[i]);
        if (n > 0)
            len += (size_t)n;
    }
}
