/* The worker: runs the units that the coordinator assigns, one at a time, and says what became of
 * each.
 *
 * It lives in a thread of its own on every rank that works, so that a file server that hangs delays
 * neither the rank's messages nor its heartbeat, and speaks through any transport:
 *
 *     CONFIG/RESET -> READY, ASSIGN/RECALL/DRAIN -> RESULTS, QUIT -> BYE.
 *
 * It writes what belongs to its units and nothing else: folder, log.txt, done.json, failed.json.
 */
#ifndef ES_MPI_WORKER_H
#define ES_MPI_WORKER_H

#include "mpi/transport.h"

struct es_worker_args {
    struct es_transport *transport;
    uint32_t coordinator; /* its rank on that transport */
    uint32_t rank;        /* the worker's number in the job */
    const char *host;
};

/* Runs until QUIT was answered. Errors after CONFIG are told to the coordinator (READY with a
 * reason), which does without this worker from then on. SIGCHLD must be blocked in every thread. */
void es_worker_run(const struct es_worker_args *args);

#endif
