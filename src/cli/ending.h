/* How the process of a rank ends, whatever MPI makes of it.
 *
 * The last word: mpirun --enable-recovery returns 0 whatever its ranks return, and lets the others
 * go on when rank 0 dies. tools/mpirun.sh names a file in EVALSWEEP_EXIT_FILE, into which rank 0
 * writes "pid", its process id and host, so that its death is seen, and at the end its exit code
 * and how many seconds the ranks may take to end; the script returns the one and kills what is
 * left, a stopped rank say, after the other. The ranks themselves return 0 then: at any other code
 * mpirun 4.1 reports errors of its own making. Under srun they return the code all the same;
 * jobs/evalsweep.sbatch knows by the word that it was not srun that failed.
 *
 * Limits: MPI_Init hangs when a rank dies in it, and MPI_Finalize may hang with a dead one.
 */
#ifndef ES_CLI_ENDING_H
#define ES_CLI_ENDING_H

#include "sys/watchdog.h"

#include <stdbool.h>

struct es_process_end {
    char *word_path;    /* NULL: nobody asked for a word */
    bool tells_by_word; /* and returns 0 */
    double start_limit_s;
    const int *exit_code; /* of a process that is ending; borrowed */
};

/* Takes the variables of this file out of the environment, which evaluators inherit. Before any
 * thread. */
void es_ending_init(struct es_process_end *end);
void es_ending_clear(struct es_process_end *end);

/* Rank 0, as soon as it knows: the exit code that the job is to have, and whether all ranks are
 * there to end together. */
void es_ending_leave_word(const struct es_process_end *end, int exit_code, bool is_whole);

/* Ends the process if MPI_Init takes longer than a start may (EVALSWEEP_START_LIMIT_S, or 300 s). A
 * failure is no trouble: there is no limit then. Stop it when MPI has started. */
struct es_watchdog *es_ending_limit_start(struct es_process_end *end);

/* Ends the process with this code should MPI_Finalize hang: is_whole as above. *exit_code is read
 * when the time has come. */
struct es_watchdog *es_ending_limit_finish(struct es_process_end *end, bool is_whole,
                                           const int *exit_code);

/* Ends the process here and now: MPI, or a thread that hangs, is not to be waited for. */
_Noreturn void es_ending_now(const struct es_process_end *end, int exit_code);

/* What the process returns: the exit code, or 0 where the word tells it. */
int es_ending_code(const struct es_process_end *end, int exit_code);

#endif
