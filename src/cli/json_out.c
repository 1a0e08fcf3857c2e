#include "cli/json_out.h"

#include "cli/say.h"

#include <stdio.h>

void es_json_out(struct es_buf *text)
{
    if (text->failed)
        es_say("writing JSON: out of memory");
    else
        printf("%s\n", text->data);
    es_buf_clear(text);
}
