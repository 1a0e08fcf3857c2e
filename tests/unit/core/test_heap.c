#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/heap.h"
#include "core/num.h"

#define N 200

static uint32_t naive_first(const double *keys, const bool *in)
{
    uint32_t first = ES_HEAP_EMPTY;
    for (uint32_t i = 0; i < N; i++)
        if (in[i] && (first == ES_HEAP_EMPTY || keys[i] > keys[first]))
            first = i;
    return first;
}

static void agrees_with_a_naive_search(void **state)
{
    (void)state;
    struct es_heap_node nodes[N];
    double keys[N] = {0};
    bool in[N] = {false};
    uint32_t heap = ES_HEAP_EMPTY;
    struct es_rng rng;
    es_rng_init(&rng, 1);
    es_heap_init(nodes, 0, N);
    for (int step = 0; step < 50000; step++) {
        uint32_t item = (uint32_t)es_rng_below(&rng, N);
        if (es_rng_below(&rng, 3) == 0) {
            if (es_rng_below(&rng, 2) && heap != ES_HEAP_EMPTY)
                item = heap;
            es_heap_remove(nodes, &heap, item);
            in[item] = false;
        } else {
            keys[item] = (double)es_rng_below(&rng, 50); /* many are equal */
            es_heap_set(nodes, &heap, item, keys[item]);
            in[item] = true;
        }
        assert_int_equal(heap, naive_first(keys, in));
        assert_int_equal(es_heap_contains(nodes, item), in[item]);
    }
}

static void equal_keys_come_by_number_whatever_came_before(void **state)
{
    (void)state;
    struct es_heap_node nodes[5];
    const uint32_t orders[][5] = {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 4, 0, 3, 1}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        uint32_t heap = ES_HEAP_EMPTY;
        es_heap_init(nodes, 0, 5);
        for (int j = 0; j < 5; j++)
            es_heap_set(nodes, &heap, orders[i][j], 1.0);
        for (uint32_t expected = 0; expected < 5; expected++) {
            assert_int_equal(heap, expected);
            es_heap_remove(nodes, &heap, heap);
        }
        assert_int_equal(heap, ES_HEAP_EMPTY);
    }
}

static void heaps_share_nodes(void **state)
{
    (void)state;
    struct es_heap_node nodes[4];
    uint32_t a = ES_HEAP_EMPTY, b = ES_HEAP_EMPTY;
    es_heap_init(nodes, 0, 4);
    es_heap_set(nodes, &a, 0, 1);
    es_heap_set(nodes, &a, 1, 2);
    es_heap_set(nodes, &b, 2, 1);
    es_heap_set(nodes, &b, 3, 0);
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    es_heap_remove(nodes, &a, 1);
    es_heap_set(nodes, &b, 1, 5);
    assert_int_equal(a, 0);
    assert_int_equal(b, 1);
}

static bool is_item(void *context, uint32_t item)
{
    return item == *(const uint32_t *)context;
}

static void finds_what_suits_and_leaves_the_order(void **state)
{
    (void)state;
    struct es_heap_node nodes[6];
    uint32_t heap = ES_HEAP_EMPTY, wanted;
    es_heap_init(nodes, 0, 6);
    assert_int_equal(es_heap_find(nodes, &heap, 9, is_item, &wanted), ES_HEAP_EMPTY);
    for (uint32_t item = 0; item < 5; item++)
        es_heap_set(nodes, &heap, item, -(double)item);
    for (uint32_t n_most = 0; n_most < 7; n_most++)
        for (wanted = 0; wanted < 6; wanted++) { /* the last is not in the heap */
            bool is_found = wanted < n_most && wanted < 5;
            assert_int_equal(es_heap_find(nodes, &heap, n_most, is_item, &wanted),
                             is_found ? wanted : ES_HEAP_EMPTY);
        }
    for (uint32_t expected = 0; expected < 5; expected++) {
        assert_int_equal(heap, expected);
        es_heap_remove(nodes, &heap, heap);
    }
    assert_int_equal(heap, ES_HEAP_EMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_search),
        cmocka_unit_test(equal_keys_come_by_number_whatever_came_before),
        cmocka_unit_test(heaps_share_nodes),
        cmocka_unit_test(finds_what_suits_and_leaves_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
