#include "cli/terminal.h"

#include "core/num.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int size_of(int told, const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    int64_t value;
    if (told > 0)
        return told;
    return text && es_parse_int(text, &value) && value > 0 && value < 10000 ? (int)value
                                                                            : otherwise;
}

struct es_window es_terminal_window(int fd)
{
    struct winsize size = {0};
    if (ioctl(fd, TIOCGWINSZ, &size) < 0)
        size = (struct winsize){0};
    return (struct es_window){.columns = size_of(size.ws_col, "COLUMNS", 80),
                              .lines = size_of(size.ws_row, "LINES", 24)};
}

bool es_terminal_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *value = NULL;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0] && (!value || !*value); i++)
        value = getenv(variables[i]);
    return value && (strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "UTF8") ||
                     strstr(value, "utf-8"));
}

/* Characters of East Asian scripts, and pictures, take two columns. */
static int columns_of(const unsigned char *at, size_t len)
{
    static const struct {
        uint32_t first, last;
    } wide[] = {{0x1100, 0x115f},   {0x231a, 0x23ff},   {0x25fd, 0x27bf},  {0x2b1b, 0x2b55},
                {0x2e80, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},  {0xf900, 0xfaff},
                {0xfe10, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},  {0x16fe0, 0x18cff},
                {0x1aff0, 0x1b2ff}, {0x1f000, 0x1faff}, {0x20000, 0x3fffd}};
    uint32_t code = len == 1 ? at[0] : at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (at[i] & 0x3f);
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (code >= wide[i].first && code <= wide[i].last)
            return 2;
    return 1;
}

size_t es_terminal_fit(const char *text, int n_columns, int *ret_columns)
{
    size_t at = 0, n = strlen(text);
    int columns = 0;
    while (at < n) {
        size_t len = es_utf8_char_len(text + at, n - at);
        int more = len ? columns_of((const unsigned char *)text + at, len) : 1;
        if (columns + more > n_columns)
            break;
        columns += more;
        at += len ? len : 1;
    }
    *ret_columns = columns;
    return at;
}
