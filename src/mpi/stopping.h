/* Stopping a run before its end: when, why, and what running units get.
 *
 *     SIGUSR1, SIGUSR2            nothing more begins; running units get grace_s
 *     SIGTERM, SIGINT, SIGHUP     the same, with what whoever sent it leaves us
 *     a second SIGINT             evaluators are killed
 *     grace_s before the end of the time that the job has: the same, less what it takes to write up
 *
 * What was once decided is never put off. Pure: the time (seconds on any steady clock) is an
 * argument.
 */
#ifndef ES_MPI_STOPPING_H
#define ES_MPI_STOPPING_H

#include <stdbool.h>
#include <stdint.h>

struct es_stopping {
    double grace_s; /* limits.grace_s */
    double end_s;   /* the job's time is over; INFINITY: it has no limit that is known */
    bool is_stopping;
    double until_s;       /* stopping: running units may run on until then */
    bool was_interrupted; /* by a SIGINT */
    bool is_killing;
};

/* A signal came. True: units get *ret_grace_s from now on (ES_DRAIN_KILL: none). False: it changes
 * nothing. */
bool es_stopping_signal(struct es_stopping *stopping, int number, double term_grace_s, double now_s,
                        double *ret_grace_s);

/* The same for the end of the time that the job has. */
bool es_stopping_time(struct es_stopping *stopping, double now_s, double *ret_grace_s);

/* When es_stopping_time will say true; INFINITY: never. */
double es_stopping_due_s(const struct es_stopping *stopping);

/* When the last unit must have ended, for the rest to be written before the end. */
double es_stopping_work_end_s(const struct es_stopping *stopping);

#endif
