#include "mpi/mailbox.h"

#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void put(struct es_mailbox *box, uint32_t source)
{
    struct es_buf buf = {0};
    struct es_message message;
    es_plain_encode(ES_MESSAGE_BEAT, &buf);
    assert_int_equal(es_message_take(&buf, &message), 0);
    struct es_letter *letter = es_letter_create(source, &message);
    assert_non_null(letter);
    assert_int_equal(message.n, 0); /* taken */
    es_mailbox_put(box, letter);
}

static uint32_t take(struct es_mailbox *box)
{
    uint32_t source;
    struct es_message message;
    struct es_letter *letter = es_mailbox_take(box);
    assert_non_null(letter);
    es_letter_open(letter, &source, &message);
    assert_int_equal(es_message_type(&message), ES_MESSAGE_BEAT);
    es_message_clear(&message);
    return source;
}

static void what_came_first_is_taken_first(void **state)
{
    (void)state;
    struct es_mailbox box = {0};
    assert_null(es_mailbox_take(&box));
    for (uint32_t round = 0; round < 3; round++) { /* empty again after each */
        for (uint32_t i = 0; i < 3; i++)
            put(&box, 4 * round + i);
        assert_int_equal(take(&box), 4 * round);
        put(&box, 4 * round + 3);
        for (uint32_t i = 1; i < 4; i++)
            assert_int_equal(take(&box), 4 * round + i);
        assert_null(es_mailbox_take(&box));
    }
    put(&box, 0);
    put(&box, 1);
    es_mailbox_clear(&box);
    assert_null(es_mailbox_take(&box));
}

static void without_memory_the_message_is_gone(void **state)
{
    (void)state;
    struct es_buf buf = {0};
    struct es_message message;
    es_plain_encode(ES_MESSAGE_BEAT, &buf);
    assert_int_equal(es_message_take(&buf, &message), 0);
    es_mem_fail_after(0);
    assert_null(es_letter_create(0, &message));
    es_mem_fail_after(-1);
    assert_int_equal(message.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_first_is_taken_first),
        cmocka_unit_test(without_memory_the_message_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
