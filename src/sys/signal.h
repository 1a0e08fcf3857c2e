/* Signals as readable descriptors.
 *
 * es_signal_block() comes first in main, before any thread and before MPI_Init, so that no thread
 * ever takes one of these signals by its default action:
 * SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 (drain), SIGCHLD (an evaluator ended). SIGPIPE is
 * ignored; so is SIGHUP where it was (nohup).
 */
#ifndef ES_SYS_SIGNAL_H
#define ES_SYS_SIGNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void es_signal_block(void);

/* A non-blocking signalfd of the drain signals, or of SIGCHLD. -1 with errno set. */
int es_signal_open_drain(void);
int es_signal_open_child(void);

/* The same of any signals, which are blocked from then on; those that are ignored stay so. Before
 * any thread. */
int es_signal_open(const int *numbers, size_t n);

/* Whether a blocked drain signal waits to be taken. */
bool es_signal_is_pending(void);

/* Ends the process as this signal would have, had it not been blocked. */
_Noreturn void es_signal_die(int number);

/* Whether a drain signal asks for an end within a while of the job's choosing (SIGUSR1, SIGUSR2),
 * and not for the soonest one. */
bool es_signal_is_soft(int number);

/* Takes one signal off the descriptor: its number, or 0 when there is none. */
int es_signal_take(int fd);

#endif
