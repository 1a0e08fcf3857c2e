/* Signals as readable descriptors.
 *
 * es_signal_block() comes first in main, before any thread and before MPI_Init, so that no thread
 * ever takes one of these signals by its default action:
 * SIGINT, SIGTERM, SIGUSR1, SIGUSR2 (drain), SIGCHLD (an evaluator ended). SIGPIPE is ignored.
 */
#ifndef ES_SYS_SIGNAL_H
#define ES_SYS_SIGNAL_H

#include <stdint.h>

void es_signal_block(void);

/* A non-blocking signalfd of the four drain signals, or of SIGCHLD. -1 with errno set. */
int es_signal_open_drain(void);
int es_signal_open_child(void);

/* Takes one signal off the descriptor: its number, or 0 when there is none. */
int es_signal_take(int fd);

#endif
