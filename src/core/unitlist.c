#include "core/unitlist.h"

void es_unit_list_append(struct es_unit_list *list, struct es_unit_node *units, uint32_t unit_id)
{
    units[unit_id].prev = list->last;
    units[unit_id].next = ES_GRID_NONE;
    if (list->last == ES_GRID_NONE)
        list->first = unit_id;
    else
        units[list->last].next = unit_id;
    list->last = unit_id;
    list->n++;
}

void es_unit_list_remove(struct es_unit_list *list, struct es_unit_node *units, uint32_t unit_id)
{
    uint32_t prev = units[unit_id].prev, next = units[unit_id].next;
    if (prev == ES_GRID_NONE)
        list->first = next;
    else
        units[prev].next = next;
    if (next == ES_GRID_NONE)
        list->last = prev;
    else
        units[next].prev = prev;
    list->n--;
}
