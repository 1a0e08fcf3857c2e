/* The driver: rank 0's part of `evalsweep run`, from the lock to the last word.
 *
 * It prepares (driver_prepare.c), has the coordinator run the units, writes up, and says how it
 * went (driver_say.c). All of its waiting for files is done in other threads, while the main thread
 * keeps the other ranks informed that it is alive.
 */
#ifndef ES_CLI_DRIVER_H
#define ES_CLI_DRIVER_H

#include "cli/opt.h"
#include "cli/ui.h"
#include "mpi/bridge.h"
#include "mpi/coordinator.h"

struct es_run_options {
    const char *job_path;
    const char *progress;
    struct es_opt_list sets;
    struct es_opt_list only;
    bool json;
    bool quiet;
    bool join;
    bool no_resume;
    bool no_retry_failed;
    bool accept_change;
    bool allow_cpu;
};

/* How this process came to be. */
struct es_launch {
    double started_s;
    bool by_mpi;
    bool is_srun;
};

/* How a rank's part in the run ended. */
struct es_part {
    struct es_exit exit;
    bool is_left;      /* threads of it go on: the process must not be taken down in order */
    bool is_abandoned; /* rank 0 is dead: MPI must not be finalised, which may hang */
};

/* Runs the job on rank 0, and tells all ranks to end. Errors are said. Borrows all. */
struct es_part es_driver_run(const struct es_run_options *options, const struct es_launch *launch,
                             struct es_bridge *bridge, const struct es_ui *ui);

#endif
