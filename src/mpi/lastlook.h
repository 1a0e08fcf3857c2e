/* The last look: whether what was done is still there when the run ends. Somebody may have deleted
 * outputs/, or a checkpoint of it, while the run went on: its units are done in the table, and
 * nowhere else.
 *
 * One unit that is done is remembered for each checkpoint, the first; at the end their folders are
 * looked for, by a call for each. (The folder, not the marker: who deletes a marker wants that unit
 * once more.)
 */
#ifndef ES_MPI_LASTLOOK_H
#define ES_MPI_LASTLOOK_H

#include "evalsweep/units.h"
#include "run/layout.h"

struct es_last_look;

/* Remembers of the units that are done in the table. Layout, and the table's grid, are borrowed. */
int es_last_look_create(const struct es_layout *layout, struct es_units *units,
                        struct es_last_look **ret_look, struct es_err *err);
/* NULL is fine. */
void es_last_look_free(struct es_last_look *look);

/* This unit is done. */
void es_last_look_note(struct es_last_look *look, uint32_t unit_id);

/* ES_ERR_NOENT: a folder is gone; the error names it. What cannot be told is no error. */
int es_last_look_check(const struct es_last_look *look, const char *run_dir, struct es_err *err);

#endif
