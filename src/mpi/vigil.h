/* The vigil: rank 0's main thread while it has something to do that takes long and is no
 * coordinating (waiting for the run's lock, a scan, the last writes): the work has a thread of its
 * own, and this one tells the other ranks every second that rank 0 is alive, and takes signals.
 */
#ifndef ES_MPI_VIGIL_H
#define ES_MPI_VIGIL_H

#include "mpi/transport.h"

struct es_vigil {
    struct es_transport *transport; /* of rank 0; nothing is received from it */
    int signal_fd;                  /* of es_signal_open_drain, or -1 */
    double beat_s;
    double patience_s; /* that the work gets after a signal; INFINITY: signals are dropped */
};

enum es_vigil_end {
    ES_VIGIL_ENDED, /* the work is done */
    ES_VIGIL_LEFT,  /* it goes on; nothing that it uses may be touched from now on */
};

/* Runs work(context). *ret_signal: the first signal that came, or 0. An error: it was not begun. */
int es_vigil_run(const struct es_vigil *vigil, void (*work)(void *), void *context,
                 enum es_vigil_end *ret_end, int *ret_signal, struct es_err *err);

#endif
