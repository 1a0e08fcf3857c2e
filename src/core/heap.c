#include "core/heap.h"

#define NONE ES_HEAP_EMPTY

void es_heap_init(struct es_heap_node *nodes, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        nodes[i] = (struct es_heap_node){.child = NONE, .next = NONE, .prev = (uint32_t)i};
}

bool es_heap_contains(const struct es_heap_node *nodes, uint32_t item)
{
    return nodes[item].prev != item;
}

static bool before(const struct es_heap_node *nodes, uint32_t a, uint32_t b)
{
    if (nodes[a].key != nodes[b].key)
        return nodes[a].key > nodes[b].key;
    return a < b;
}

/* Joins two heaps; either may be empty. The first item's own siblings are not looked at. */
static uint32_t meld(struct es_heap_node *nodes, uint32_t a, uint32_t b)
{
    if (a == NONE)
        return b;
    if (b == NONE)
        return a;
    if (before(nodes, b, a)) {
        uint32_t swap = a;
        a = b;
        b = swap;
    }
    uint32_t child = nodes[a].child;
    nodes[b].next = child;
    nodes[b].prev = a;
    if (child != NONE)
        nodes[child].prev = b;
    nodes[a].child = b;
    nodes[a].next = NONE;
    nodes[a].prev = NONE;
    return a;
}

/* Joins a list of siblings: neighbours in pairs, then the pairs from the last to the first. */
static uint32_t meld_siblings(struct es_heap_node *nodes, uint32_t first)
{
    uint32_t pairs = NONE; /* linked through prev, the last one first */
    while (first != NONE) {
        uint32_t second = nodes[first].next;
        uint32_t rest = second == NONE ? NONE : nodes[second].next;
        nodes[first].next = NONE;
        uint32_t pair = meld(nodes, first, second);
        nodes[pair].prev = pairs;
        pairs = pair;
        first = rest;
    }
    uint32_t heap = NONE;
    while (pairs != NONE) {
        uint32_t rest = nodes[pairs].prev;
        heap = meld(nodes, heap, pairs);
        pairs = rest;
    }
    if (heap != NONE)
        nodes[heap].prev = nodes[heap].next = NONE;
    return heap;
}

/* Takes an item that is not the first away from its siblings, with all that is below it. */
static void cut(struct es_heap_node *nodes, uint32_t item)
{
    uint32_t prev = nodes[item].prev, next = nodes[item].next;
    if (nodes[prev].child == item)
        nodes[prev].child = next;
    else
        nodes[prev].next = next;
    if (next != NONE)
        nodes[next].prev = prev;
    nodes[item].next = NONE;
}

void es_heap_remove(struct es_heap_node *nodes, uint32_t *heap, uint32_t item)
{
    if (!es_heap_contains(nodes, item))
        return;
    if (*heap == item) {
        *heap = meld_siblings(nodes, nodes[item].child);
    } else {
        cut(nodes, item);
        *heap = meld(nodes, *heap, meld_siblings(nodes, nodes[item].child));
    }
    nodes[item].child = nodes[item].next = NONE;
    nodes[item].prev = item;
}

void es_heap_set(struct es_heap_node *nodes, uint32_t *heap, uint32_t item, double key)
{
    if (es_heap_contains(nodes, item)) {
        if (nodes[item].key == key)
            return;
        if (key > nodes[item].key) { /* all below it stays below it */
            nodes[item].key = key;
            if (*heap != item) {
                cut(nodes, item);
                *heap = meld(nodes, *heap, item);
            }
            return;
        }
        es_heap_remove(nodes, heap, item);
    }
    nodes[item].key = key;
    nodes[item].prev = NONE;
    *heap = meld(nodes, *heap, item);
}

uint32_t es_heap_find(struct es_heap_node *nodes, uint32_t *heap, uint32_t n_most,
                      bool (*suits)(void *context, uint32_t item), void *context)
{
    uint32_t found = NONE;
    uint32_t passed = NONE; /* taken out meanwhile, linked through next */
    for (uint32_t i = 0; i < n_most && *heap != NONE && found == NONE; i++) {
        uint32_t item = *heap;
        if (suits(context, item)) {
            found = item;
            continue;
        }
        es_heap_remove(nodes, heap, item);
        nodes[item].next = passed;
        passed = item;
    }
    while (passed != NONE) {
        uint32_t item = passed;
        passed = nodes[item].next;
        nodes[item].next = NONE;
        es_heap_set(nodes, heap, item, nodes[item].key);
    }
    return found;
}
