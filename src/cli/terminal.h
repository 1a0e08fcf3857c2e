/* Terminals: the size of the window, and texts cut to it. */
#ifndef ES_CLI_TERMINAL_H
#define ES_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

struct es_window {
    int columns;
    int lines;
};

/* As the terminal at fd has it now; what it does not tell is taken from COLUMNS and LINES, or is 80
 * and 24. */
struct es_window es_terminal_window(int fd);

/* Whether the terminal shows UTF-8, as far as the locale's variables tell. */
bool es_terminal_is_utf8(void);

/* How many bytes at the start of text (UTF-8) take no more than so many columns; *ret_columns those
 * that they take. Where the terminal's opinion on a character may differ, it is the larger. */
size_t es_terminal_fit(const char *text, int n_columns, int *ret_columns);

#endif
