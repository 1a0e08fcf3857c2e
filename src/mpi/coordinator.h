/* The coordinator: rank 0's loop, which hands units out, takes results in, and knows the end.
 *
 * It touches no file and waits for none: what it learns goes to the recorder as it came. Decisions
 * are the scheduler's. What people should see goes through two callbacks.
 */
#ifndef ES_MPI_COORDINATOR_H
#define ES_MPI_COORDINATOR_H

#include "evalsweep/cost.h"
#include "evalsweep/jobfile.h"
#include "evalsweep/units.h"
#include "exec/slurm.h"
#include "mpi/failures.h"
#include "mpi/pulse.h"
#include "mpi/recorder.h"
#include "mpi/transport.h"
#include "run/status.h"

struct es_coordinator_config {
    const struct es_job *job;
    const uint32_t *pending; /* [n_pending] ids of the units to run */
    uint32_t n_pending;
    const struct es_suspect *suspects; /* [n_suspects] what an earlier start had blocked */
    uint32_t n_suspects;
    struct es_counts counts; /* of the whole grid, before the start */
    struct es_cost *cost;    /* what is known of costs; taught while the run goes on */
    struct es_transport *transport;
    struct es_recorder *recorder;
    const char *run_dir; /* absolute */
    const char *versions_json;
    int64_t not_before_ns;
    struct es_pulse_limits pulse; /* beat_s 0: the other ranks do not beat, and are not watched */
    const char *driver_id; /* that leases name; "": none are taken, and no other driver can be */
    int64_t started_ns;    /* of the run; with leases */
    bool has_joined;       /* another driver began before */
    double started_s; /* of the job, on the clock of es_clock_mono_s: limits.time_limit_s counts
                         from it */
    const struct es_slurm *slurm; /* may know when the job ends; NULL: no */
    int signal_fd;                /* of es_signal_open_drain, or -1 */
    bool allow_cpu;               /* where no rank has a device, work without */
    bool is_srun; /* running units get nearly Slurm's KillWait after a SIGTERM; otherwise nothing */
    /* Called every report_interval_s and at the end; may be NULL. */
    void (*report)(void *context, const struct es_run_state *state);
    double report_interval_s;
    /* Called with one line about something that people should know; is_trouble: even those who want
     * to hear of errors only. */
    void (*note)(void *context, bool is_trouble, const char *text);
    void *context;
};

/* How a run ended. */
enum es_ending {
    ES_ENDING_FINISHED,     /* nothing is left: done, failed for good, or blocked */
    ES_ENDING_LEFT,         /* what is left is being done by other drivers, who have the run now */
    ES_ENDING_STOPPED,      /* by a signal, the time limit or an outage, with work left */
    ES_ENDING_NOTHING_DONE, /* nothing ever succeeded */
    ES_ENDING_NO_WORKER,    /* none is left that can work */
    ES_ENDING_CANNOT_START, /* the evaluator or the devices, before any unit */
};

struct es_coordinator_outcome {
    enum es_ending ending;
    struct es_common_failure failure; /* the most frequent */
    uint32_t *disowned; /* [n_disowned] units that failed.json may call failed although they did not
                           fail for good */
    size_t n_disowned;
    char *suspects_json;       /* as es_status_suspects_json has it; NULL: no memory, as the next */
    char *suspects_text;       /* a line for each */
    char why_ended[600];       /* with work left; else empty */
    uint32_t n_silent;         /* ranks that were not heard at the end, dead most likely */
    struct es_run_state state; /* the last; its pointers are not valid any more */
};

/* Runs all pending units to their end, and stops the workers; every rank waits for EXIT afterwards.
 * Returns an error, with every worker stopped, for what ended the run before it began (ending
 * CANNOT_START) or for an internal failure. */
int es_coordinator_run(const struct es_coordinator_config *config,
                       struct es_coordinator_outcome *ret_outcome, struct es_err *err);

/* Releases what the outcome holds. */
void es_coordinator_outcome_clear(struct es_coordinator_outcome *outcome);

/* Tells all other ranks to end. */
void es_coordinator_send_exit(struct es_transport *transport, const struct es_exit *exit);

#endif
