#include "mpi/mailbox.h"

#include "core/mem.h"

#include <stdlib.h>

struct es_letter *es_letter_create(uint32_t source, struct es_message *message)
{
    struct es_letter *letter = es_mem_calloc(1, sizeof *letter);
    if (!letter) {
        es_message_clear(message);
        return NULL;
    }
    letter->source = source;
    letter->message = *message;
    *message = (struct es_message){0};
    return letter;
}

void es_letter_open(struct es_letter *letter, uint32_t *ret_source, struct es_message *ret_message)
{
    *ret_source = letter->source;
    *ret_message = letter->message;
    free(letter);
}

void es_mailbox_put(struct es_mailbox *box, struct es_letter *letter)
{
    if (box->first)
        box->last->next = letter;
    else
        box->first = letter;
    box->last = letter;
}

struct es_letter *es_mailbox_take(struct es_mailbox *box)
{
    struct es_letter *letter = box->first;
    if (letter)
        box->first = letter->next;
    return letter;
}

void es_mailbox_clear(struct es_mailbox *box)
{
    for (struct es_letter *letter; (letter = es_mailbox_take(box));) {
        es_message_clear(&letter->message);
        free(letter);
    }
}
