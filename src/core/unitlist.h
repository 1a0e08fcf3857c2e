/* Doubly linked lists of units, threaded through one array: a unit is in one list at a time. */
#ifndef ES_CORE_UNITLIST_H
#define ES_CORE_UNITLIST_H

#include "evalsweep/grid.h"

enum es_unit_state {
    ES_UNIT_ABSENT,   /* not to be run */
    ES_UNIT_READY,    /* in its bundle */
    ES_UNIT_DELAYED,  /* failed, waits for its next try */
    ES_UNIT_PROMISED, /* given back for another worker, which gets it next */
    ES_UNIT_LATE,     /* could not end before the job does */
    ES_UNIT_BLOCKED,  /* of a task or checkpoint under suspicion */
    ES_UNIT_HELD,     /* in a worker's queue */
    ES_UNIT_PARKED,   /* another job has it; in no list */
    ES_UNIT_DONE,
    ES_UNIT_FAILED,
};

enum es_unit_recall {
    ES_RECALL_NONE,
    ES_RECALL_ASKED, /* and not answered yet */
    ES_RECALL_KEPT,  /* begun: not to be asked for again */
};

/* What the scheduler knows of a unit: 24 bytes. */
struct es_unit_node {
    uint32_t next;
    uint32_t prev;
    uint32_t worker;    /* HELD: the holder */
    uint32_t failed_on; /* the worker that it failed on last, or ES_GRID_NONE */
    union {
        float expected_s; /* HELD: what the holder's queue was charged, for a worker of speed 1 */
        float ready_s;    /* DELAYED: until when, since the scheduler's first event */
    } u;
    unsigned n_failed : 10;   /* attempts that count; more than retries can be */
    unsigned n_retracted : 6; /* and that do not, ES_RETRACTED_MOST at most */
    unsigned state : 8;       /* enum es_unit_state */
    unsigned recall : 3;      /* HELD: enum es_unit_recall */
    unsigned tried : 1;       /* failed once, or was held by a worker that left */
    unsigned pays : 4;        /* HELD: enum es_cost_paid, as expected */
};

enum { ES_RETRACTED_MOST = 63 };

struct es_unit_list {
    uint32_t first; /* ES_GRID_NONE: empty */
    uint32_t last;
    uint32_t n;
};

#define ES_UNIT_LIST_EMPTY ((struct es_unit_list){ES_GRID_NONE, ES_GRID_NONE, 0})

void es_unit_list_append(struct es_unit_list *list, struct es_unit_node *units, uint32_t unit_id);
void es_unit_list_remove(struct es_unit_list *list, struct es_unit_node *units, uint32_t unit_id);

#endif
