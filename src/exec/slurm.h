/* What Slurm has decided about this job: when it ends, and how long after a SIGTERM SIGKILL comes.
 *
 * The first stands in the environment from Slurm 23.02 on. Otherwise, squeue and scontrol are
 * asked, once and in a thread of their own, so that nobody waits for a controller that does not
 * answer: what takes longer than ten seconds is killed, and counts as not known.
 *
 *     es_slurm_ask(is_srun, &slurm, &err);   // at the start; no SLURM_JOB_ID: nobody is asked
 *     ... es_slurm_end_s(slurm) ...      // whenever it is of interest
 *     es_slurm_free(slurm);
 *
 * Threads: es_slurm_end_s and es_slurm_kill_wait_s from any. SIGCHLD must be blocked in all.
 */
#ifndef ES_EXEC_SLURM_H
#define ES_EXEC_SLURM_H

#include "evalsweep/error.h"

#include <stdbool.h>

/* Whether srun (and not mpirun within a Slurm job) started this process. Before MPI_Init. */
bool es_slurm_is_srun(void);

struct es_slurm;

/* is_srun: whether KillWait is of interest. */
int es_slurm_ask(bool is_srun, struct es_slurm **ret_slurm, struct es_err *err);
/* Kills what is still asked. NULL is fine. */
void es_slurm_free(struct es_slurm *slurm);

/* When the job's time is over, on the clock of es_clock_mono_s; INFINITY: never, or not known
 * (yet). */
double es_slurm_end_s(const struct es_slurm *slurm);

/* Seconds between a step's SIGTERM and SIGKILL; 30, Slurm's default, unless known better. */
double es_slurm_kill_wait_s(const struct es_slurm *slurm);

/* SLURM_JOB_END_TIME (seconds since 1970), now being now_s since then: seconds that are left.
 * False: it is no such number, or passed already (then it is another job's, or the job may run on).
 */
bool es_slurm_parse_end_time(const char *text, double now_s, double *ret_left_s);

/* The output of `squeue -o %L`, a line for each job that the number stands for: the least time
 * left. False: no line has one (UNLIMITED, NOT_SET, INVALID, an error message). */
bool es_slurm_parse_left(const char *text, double *ret_left_s);

/* The output of `scontrol show config`. False: no KillWait in it. */
bool es_slurm_parse_kill_wait(const char *text, double *ret_kill_wait_s);

#endif
