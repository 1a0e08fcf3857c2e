/* What every rank's main thread does with messages, beside its worker's thread.
 *
 * Rank 0: es_bridge_transport makes one transport of MPI and the worker beside it, for the
 * coordinator. Other ranks: es_bridge_run carries messages between MPI and the worker until EXIT
 * comes. Both start the worker's thread.
 *
 * Other ranks tell rank 0 every second that they are alive, and end by themselves when they do not
 * hear of it any more (pulse.h).
 */
#ifndef ES_MPI_BRIDGE_H
#define ES_MPI_BRIDGE_H

#include "mpi/pulse.h"
#include "mpi/transport.h"

struct es_bridge;

/* Starts the worker's thread of this rank. `mpi` is borrowed; NULL without MPI (rank 0 of 1). */
int es_bridge_create(struct es_transport *mpi, struct es_bridge **ret_bridge, struct es_err *err);

/* Ends the worker and joins its thread. NULL is fine. */
void es_bridge_free(struct es_bridge *bridge);

/* Rank 0: ranks as MPI has them, this one's worker being rank 0. Borrowed. */
struct es_transport *es_bridge_transport(struct es_bridge *bridge);

/* Sends HELLO for this rank: to rank 0 over MPI, or (on rank 0) to itself. */
int es_bridge_greet(struct es_bridge *bridge, const struct es_hello *hello);

/* Other ranks, without a bridge: tells rank 0 why this rank cannot take part, and waits for EXIT.
 * Errors as below. */
int es_bridge_refuse(struct es_transport *mpi, const char *why,
                     const struct es_pulse_limits *limits, struct es_exit *ret_exit,
                     struct es_err *err);

/* Other ranks: until EXIT comes. signal_fd is of es_signal_open_drain, or -1. SIGUSR1 and SIGUSR2
 * go to all ranks, and rank 0 decides what they mean; so do SIGTERM, SIGINT and SIGHUP if
 * rank_0_decides; if not (mpirun kills after a moment), each stops its evaluator itself.
 * ES_ERR_INTERNAL: rank 0 was silent for limits->given_up_s; ES_ERR_NOMEM: a message was lost, and
 * rank 0 is to miss this rank. The evaluator is being stopped, and MPI must not be finalised: it
 * may hang. */
int es_bridge_run(struct es_bridge *bridge, int signal_fd, bool rank_0_decides,
                  const struct es_pulse_limits *limits, struct es_exit *ret_exit,
                  struct es_err *err);

#endif
