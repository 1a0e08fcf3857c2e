/* Who started the run, when, where and how: .evalsweep/starts.jsonl, a JSON object a line for each
 * start, those that joined among them. Nothing depends on it: the store's provenance has it.
 */
#ifndef ES_RUN_STARTS_H
#define ES_RUN_STARTS_H

#include "core/buf.h"
#include "evalsweep/error.h"

/* Appends a line, a JSON object without a newline in it, in one write. */
int es_starts_add(const char *run_dir, const char *line, struct es_err *err);

/* Appends the lines to ret_text, each with its newline; those that a killed driver left torn are
 * left out. Of more than 64 KiB, the first and the last of them. No file is no line. */
int es_starts_read(const char *run_dir, struct es_buf *ret_text, struct es_err *err);

#endif
