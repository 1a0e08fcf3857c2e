/* What the driver is made of. Only driver*.c look in here. */
#ifndef ES_CLI_DRIVER_STATE_H
#define ES_CLI_DRIVER_STATE_H

#include "cli/driver.h"
#include "cli/provenance.h"
#include "cli/target.h"
#include "evalsweep/blame.h"
#include "evalsweep/cost.h"
#include "mpi/recorder.h"
#include "run/keeper.h"

#include <limits.h>

/* Everything of rank 0. */
struct es_driver {
    const struct es_run_options *options;
    struct es_ui ui;
    struct es_bridge *bridge; /* the main thread's: preparing may go on when it is gone */
    uint32_t n_ranks;
    struct es_target target;
    struct es_units *units;
    struct es_scan_summary summary;
    struct es_selection selection;
    uint32_t *pending;
    uint32_t n_pending;
    struct es_suspect *suspects; /* [n_suspects] that an earlier start had blocked */
    uint32_t n_suspects;
    struct es_cost *cost;
    struct es_lock *lock;
    struct es_keeper *keeper;
    bool has_joined;     /* another driver owned the run when this one came */
    int64_t started_ns;  /* of the run */
    int64_t previous_ns; /* of its start before this one; INT64_MAX: there was none */
    struct es_company_config company;
    struct es_recorder *recorder;
    struct es_counts counts; /* when it started */
    char run_dir[PATH_MAX];  /* absolute */
    struct es_provenance provenance;
    const struct es_launch *launch;
    double started_s; /* the process: the job's time counts from there */
    double begun_s;   /* rank 0's work, when MPI was there: wall_s counts from there */
    struct es_slurm *slurm;
    int signal_fd;
    int prepared_rc;
    struct es_err prepare_fault;
    bool is_left; /* its thread still prepares: nothing here may be touched any more */
    struct es_coordinator_outcome outcome;
    struct es_err end_fault; /* of what the recorder wrote last; code 0: none */
};

/* Whether a driver beside this one can see what is done: without markers it cannot. */
bool es_driver_can_share(const struct es_driver *d);

/* Prepares, while the other ranks hear that this one is alive. The exit code; ES_EXIT_OK: go on. */
int es_driver_prepare(struct es_driver *d);

void es_driver_say_start(const struct es_driver *d);
void es_driver_say_end(const struct es_driver *d, int exit_code);
void es_driver_print_json(const struct es_driver *d);

#endif
