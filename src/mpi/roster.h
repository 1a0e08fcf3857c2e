/* The roster: which ranks there are, what each is and sees, and how far it has come.
 *
 * For each rank: EXPECTED -HELLO-> GREETED -CONFIG sent-> CONFIGURED -READY-> READY
 *                -QUIT sent-> QUITTING -BYE-> GONE; a READY with a reason: BROKEN, then QUITTING.
 * CONFIGURED or READY, given up for its silence: LOST; heard again (RESET sent): CONFIGURED.
 * A rank that does not work stays GREETED; so does one that was given up before its CONFIG.
 */
#ifndef ES_MPI_ROSTER_H
#define ES_MPI_ROSTER_H

#include "evalsweep/jobfile.h"
#include "exec/device.h"
#include "mpi/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum es_rank_state {
    ES_RANK_EXPECTED,
    ES_RANK_GREETED,
    ES_RANK_CONFIGURED,
    ES_RANK_READY,
    ES_RANK_BROKEN,
    ES_RANK_LOST,
    ES_RANK_QUITTING,
    ES_RANK_GONE,
};

struct es_rank {
    enum es_rank_state state;
    bool works;
    bool is_out; /* was BROKEN, or is LOST */
    struct es_hello hello;
    struct es_device_binding binding;
    char device[ES_WIRE_TEXT_SIZE]; /* as its worker calls it, once READY */
};

struct es_roster {
    struct es_rank *ranks; /* [n_ranks] */
    uint32_t n_ranks;
    uint32_t n_expected; /* that have not greeted yet */
};

int es_roster_init(struct es_roster *roster, const struct es_job *job, uint32_t n_ranks,
                   struct es_err *err);
void es_roster_clear(struct es_roster *roster);

/* Takes a HELLO. ES_ERR_USAGE: the rank runs another version, or on another kind of machine. */
int es_roster_greet(struct es_roster *roster, uint32_t rank, const struct es_message *message,
                    struct es_err *err);

/* A rank will not work: it was given up before it was CONFIGURED, if not before it greeted. */
void es_roster_leave_out(struct es_roster *roster, uint32_t rank);

/* Binds devices to the working ranks, once all have greeted. allow_cpu: if none has a device, they
 * work without. */
int es_roster_bind(struct es_roster *roster, const struct es_job *job, bool allow_cpu,
                   struct es_err *err);

/* Threads that an evaluator of this rank should use: the CPUs that the rank may use, shared out
 * where the ranks of a node are not bound to CPUs of their own. */
uint32_t es_roster_n_threads(const struct es_roster *roster, uint32_t rank);

/* How many working ranks are in a state. */
uint32_t es_roster_count(const struct es_roster *roster, enum es_rank_state state);

/* "node7, local rank 1, device 3, 8 cpus", with a word where one CPU is suspicious. */
void es_roster_describe(const struct es_roster *roster, uint32_t rank, char *ret_text,
                        size_t size_bytes);

#endif
