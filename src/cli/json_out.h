/* One JSON document on stdout. */
#ifndef ES_CLI_JSON_OUT_H
#define ES_CLI_JSON_OUT_H

#include "core/buf.h"

/* Prints the text and a newline, and clears it. Says so when there was no memory for it. */
void es_json_out(struct es_buf *text);

#endif
