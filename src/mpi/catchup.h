/* Catching up with what other drivers did: the table is brought up to the markers, and progress.csv
 * up to the table. For a driver that has come to own the run; at its end for one that had company.
 */
#ifndef ES_MPI_CATCHUP_H
#define ES_MPI_CATCHUP_H

#include "evalsweep/units.h"
#include "mpi/company.h"
#include "run/progress.h"

/* Brings the table up to date from the markers. is_lost[unit]: failed for good on this driver,
 * which stays so where no failed.json could be written. */
int es_catch_up_units(const struct es_company_config *config, const char *run_dir,
                      struct es_units *units, const uint8_t *is_lost, struct es_err *err);

/* The same; and adds lines (in memory: es_progress_flush writes them) for what this run's drivers
 * finished that has none yet. has_line[unit] (borrowed, brought up to date): whose lines are added
 * or written already. */
int es_catch_up(const struct es_company_config *config, const char *run_dir, struct es_units *units,
                struct es_progress *progress, uint8_t *has_line, const uint8_t *is_lost,
                struct es_err *err);

/* The same at the start of a run, for what the start before it finished as its driver was killed:
 * the marker was there, and not the line yet. Nothing older gets one, nor anything in a run that
 * has adopted units, which have none. */
int es_catch_up_previous(const struct es_company_config *config, const char *run_dir,
                         struct es_units *units, struct es_progress *progress, struct es_err *err);

/* Whether a marker with this rank and identity was written by a driver of this run: it wants a
 * line. Old array scripts write their own. */
bool es_is_of_run(const struct es_company_config *config, int32_t rank,
                  const struct es_file_id *marker);

#endif
