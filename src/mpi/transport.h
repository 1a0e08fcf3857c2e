/* The seam between the loops and what carries their messages.
 *
 * A transport is one endpoint of `size` ranks: non-blocking sends that take the message, receives
 * in order for each sender. Waiting is the caller's affair: it polls es_transport_fd() if there is
 * one, and calls receive at least every es_transport_interval_ns() otherwise.
 *
 * Two of them: MPI between processes (transport_mpi.c, the one file with mpi.h), and queues
 * between threads of one process (transport_local.c), which is also how the loops are tested.
 */
#ifndef ES_MPI_TRANSPORT_H
#define ES_MPI_TRANSPORT_H

#include "evalsweep/error.h"
#include "mpi/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct es_transport;

struct es_transport_ops {
    int (*send)(struct es_transport *transport, uint32_t dest, struct es_message *message);
    bool (*receive)(struct es_transport *transport, uint32_t *ret_source,
                    struct es_message *ret_message);
    bool (*flushed)(struct es_transport *transport);
    int (*fd)(const struct es_transport *transport);
    int64_t (*interval_ns)(const struct es_transport *transport);
    void (*abandon)(struct es_transport *transport, uint32_t dest); /* NULL: nothing to do */
};

struct es_transport {
    const struct es_transport_ops *ops;
    uint32_t rank;
    uint32_t size;
};

/* Sends to a rank; takes the message (emptied also on failure). ES_ERR_NOMEM. */
int es_transport_send(struct es_transport *transport, uint32_t dest, struct es_message *message);

/* Sends what was encoded into buf, which is left empty. */
int es_transport_send_buf(struct es_transport *transport, uint32_t dest, struct es_buf *buf);

/* The next message that has arrived, which the caller then owns. False: none now. */
bool es_transport_receive(struct es_transport *transport, uint32_t *ret_source,
                          struct es_message *ret_message);

/* A rank is taken for dead: what is sent to it from now on is dropped, and nobody waits for what
 * was sent, until it is heard again. */
void es_transport_abandon(struct es_transport *transport, uint32_t dest);

/* Nothing sent still needs this process's help to arrive. */
bool es_transport_flushed(struct es_transport *transport);

/* A descriptor that polls readable when a message may be there, or -1. */
int es_transport_fd(const struct es_transport *transport);

/* How long the caller may wait between receives; INT64_MAX where the descriptor suffices. */
int64_t es_transport_interval_ns(const struct es_transport *transport);

/* Endpoints of one process, one for each thread. */
struct es_local_hub;
int es_local_hub_create(uint32_t n_endpoints, struct es_local_hub **ret_hub, struct es_err *err);
void es_local_hub_free(struct es_local_hub *hub);
struct es_transport *es_local_hub_endpoint(struct es_local_hub *hub, uint32_t rank);

/* Initialises MPI (collective; once a process, from the main thread, which alone may use the
 * transport). */
int es_mpi_start(struct es_transport **ret_transport, struct es_err *err);
/* Waits a little until what was sent has left, and finalises MPI (collective). With dead ranks it
 * may hang: the caller has a watchdog. */
void es_mpi_finish(struct es_transport *transport);
/* Whether a launcher started this process as one of several, or MPI is wanted: mpirun, or srun
 * with PMI. False without a launcher. */
bool es_mpi_is_launched(void);
/* The MPI library's version line. Static storage; without initialising MPI. */
const char *es_mpi_version(void);

#endif
