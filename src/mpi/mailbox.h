/* A mailbox: messages in the order in which they came, to be opened by another thread.
 *
 *     letter = es_letter_create(source, &message);  // NULL: no memory
 *     ... es_mailbox_put(&box, letter) ...          // under the lock that guards the box
 *     ... letter = es_mailbox_take(&box) ...        // likewise; NULL: it is empty
 *     es_letter_open(letter, &source, &message);
 *
 * Memory is asked for and given back outside of the lock.
 */
#ifndef ES_MPI_MAILBOX_H
#define ES_MPI_MAILBOX_H

#include "mpi/wire.h"

struct es_letter {
    struct es_letter *next;
    uint32_t source;
    struct es_message message;
};

/* All zero: empty. */
struct es_mailbox {
    struct es_letter *first;
    struct es_letter *last; /* valid unless it is empty */
};

/* Takes the message, which is emptied also where there is no memory. */
struct es_letter *es_letter_create(uint32_t source, struct es_message *message);

/* Gives what is in a letter, and frees it. */
void es_letter_open(struct es_letter *letter, uint32_t *ret_source, struct es_message *ret_message);

/* Takes the letter. */
void es_mailbox_put(struct es_mailbox *box, struct es_letter *letter);

/* Gives the first letter, or NULL. */
struct es_letter *es_mailbox_take(struct es_mailbox *box);

/* Throws all letters away. */
void es_mailbox_clear(struct es_mailbox *box);

#endif
