/* The progress of a run on stderr: a bar on a terminal, or a line a minute. */
#ifndef ES_CLI_UI_H
#define ES_CLI_UI_H

#include "run/status.h"

#include <stdbool.h>

enum es_ui_kind { ES_UI_NONE, ES_UI_LINES, ES_UI_BAR };

struct es_ui {
    enum es_ui_kind kind;
    bool is_quiet;
    char bar[512]; /* what stands in the terminal's last line; "": nothing of ours */
};

/* BAR when asked for, or on a terminal that no launcher stands before; LINES otherwise.
 * `wanted`: "bar", "lines", "none" or NULL. False: none of these. */
bool es_ui_choose(const char *wanted, bool is_launched, bool is_quiet, struct es_ui *ret_ui);

double es_ui_interval_s(const struct es_ui *ui);

/* Callbacks for the coordinator; the context is a struct es_ui. */
void es_ui_report(void *context, const struct es_run_state *state);
void es_ui_note(void *context, bool is_trouble, const char *text);

/* "12.3 units/s", "4.2 units/min"; false for NaN. */
bool es_ui_rate(double per_s, char ret_text[32]);

/* "1:02:03", "12:05", "5 s"; "?" for NaN. */
void es_ui_duration(double seconds, char ret_text[32]);

#endif
