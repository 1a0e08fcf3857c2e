#include "cli/json_out.h"

#include "cli/say.h"

void es_json_out(struct es_buf *text)
{
    es_buf_putc(text, '\n');
    if (text->failed)
        es_say("writing JSON: out of memory");
    else
        es_say_data(text->data, text->len);
    es_buf_clear(text);
}
