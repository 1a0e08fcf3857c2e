/* The pulse: who was heard when, who is due a beat, who is silent for too long.
 *
 *     es_pulse_create(n_peers, &limits, now_s, &pulse, &err);
 *     es_pulse_watch(pulse, peer);                      // all others are left out
 *     each turn of a loop:
 *         before = es_pulse_heard(pulse, source)        // for each message: the state until then
 *         es_pulse_sent(pulse, dest)                    // for each message that is sent
 *         es_pulse_look(pulse, now_s);
 *         while ((event = es_pulse_next(pulse, &peer)) != ES_PULSE_NOTHING) ...
 *         wait, at most until es_pulse_due_s(pulse)
 *
 * Silence counts only while the observer itself was running: a gap between two looks that is longer
 * than two beats (SIGSTOP, a suspended job, a paused machine) is no time at all.
 *
 * Pure: time (seconds on any clock that does not go back) is an argument. One owner at a time.
 */
#ifndef ES_MPI_PULSE_H
#define ES_MPI_PULSE_H

#include "evalsweep/error.h"

#include <stdbool.h>
#include <stdint.h>

/* A rank that has sent nothing else says that it is alive. */
#define ES_BEAT_INTERVAL_S 1.0
/* A rank that is silent for so long gets nothing new. */
#define ES_SUSPECT_S 10.0
/* Without the coordinator for so long, a rank ends. Its death is mostly told sooner, by Slurm,
 * mpirun or tools/mpirun.sh; a network that stops for less should cost nothing. */
#define ES_COORDINATOR_SILENT_S 30.0

struct es_pulse_limits {
    double beat_s;    /* between two messages to a peer */
    double suspect_s; /* INFINITY: nobody becomes a suspect */
    double given_up_s;
};

enum es_pulse_state {
    ES_PULSE_UNWATCHED,
    ES_PULSE_ALIVE,
    ES_PULSE_SUSPECT,  /* silent; gets a beat now and then */
    ES_PULSE_GIVEN_UP, /* gets nothing until it is heard */
};

enum es_pulse_event {
    ES_PULSE_NOTHING,
    ES_PULSE_BEAT_DUE,      /* the peer is to be sent a beat (and counts as having been sent one) */
    ES_PULSE_TURNED_SILENT, /* it is a suspect from now on */
    ES_PULSE_TURNED_DEAD,   /* it is given up */
};

struct es_pulse;

int es_pulse_create(uint32_t n_peers, const struct es_pulse_limits *limits, double now_s,
                    struct es_pulse **ret_pulse, struct es_err *err);
void es_pulse_free(struct es_pulse *pulse);

/* From now on, as if it had been heard just now. */
void es_pulse_watch(struct es_pulse *pulse, uint32_t peer);

/* Alive again, whatever it was; which is returned. */
enum es_pulse_state es_pulse_heard(struct es_pulse *pulse, uint32_t peer);
void es_pulse_sent(struct es_pulse *pulse, uint32_t peer);

enum es_pulse_state es_pulse_state(const struct es_pulse *pulse, uint32_t peer);

/* Time has passed. Cheap: the peers are gone through a few times a beat. */
void es_pulse_look(struct es_pulse *pulse, double now_s);

/* What is to be done since the last look. */
enum es_pulse_event es_pulse_next(struct es_pulse *pulse, uint32_t *ret_peer);

/* When to look again. */
double es_pulse_due_s(const struct es_pulse *pulse);

#endif
