/* Pairing heaps over numbered items: the greatest key first, the smaller number among equals, so
 * that the order never depends on history.
 *
 * Any number of heaps share one array of nodes, as long as an item is in one of them at a time: a
 * heap is nothing but the number of its first item. No memory is allocated.
 *
 *     struct es_heap_node *nodes = es_mem_calloc(n, sizeof *nodes);
 *     es_heap_init(nodes, 0, n);
 *     uint32_t heap = ES_HEAP_EMPTY;
 *     es_heap_set(nodes, &heap, 17, 3.5);      // puts item 17 in, or changes its key
 *     es_heap_remove(nodes, &heap, heap);      // takes the first one out
 *
 * Amortised O(log n) each. Keys are never NaN.
 */
#ifndef ES_CORE_HEAP_H
#define ES_CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ES_HEAP_EMPTY UINT32_MAX

struct es_heap_node {
    double key;
    uint32_t child;
    uint32_t next; /* sibling */
    uint32_t prev; /* sibling, or parent of the first child; itself: in no heap */
};

/* Makes items [first, end) be in no heap. */
void es_heap_init(struct es_heap_node *nodes, size_t first, size_t end);

bool es_heap_contains(const struct es_heap_node *nodes, uint32_t item);

/* Puts an item in, or moves it to its new key. */
void es_heap_set(struct es_heap_node *nodes, uint32_t *heap, uint32_t item, double key);

/* Takes an item out; one that is in no heap is left alone. */
void es_heap_remove(struct es_heap_node *nodes, uint32_t *heap, uint32_t item);

/* The first item of the first n_most that suits, or ES_HEAP_EMPTY. `suits` must leave the heap
 * alone; O(log n) for each item passed over. */
uint32_t es_heap_find(struct es_heap_node *nodes, uint32_t *heap, uint32_t n_most,
                      bool (*suits)(void *context, uint32_t item), void *context);

#endif
