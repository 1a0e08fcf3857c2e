/* The tally: what status.json tells beside the driver's own figures, so that nobody has to scan a
 * run to see it: how far each checkpoint is, and why units failed.
 *
 * Counts come from the table of units at the moment they are asked for. Of reasons, no more than
 * 255 different ones are kept, the commonest: evaluators may say something else each time. They are
 * cut at ES_TRY_TEXT_LIMIT, as wherever reasons are told.
 *
 * Threads: the one that owns the table.
 */
#ifndef ES_RUN_TALLY_H
#define ES_RUN_TALLY_H

#include "evalsweep/units.h"
#include "run/layout.h"

#define ES_TALLY_N_REASONS 5

struct es_tally;

/* All are borrowed until the free. layout may be NULL: units have no folders. */
int es_tally_create(struct es_units *units, const struct es_layout *layout, const char *run_dir,
                    struct es_tally **ret_tally, struct es_err *err);
/* NULL is fine. */
void es_tally_free(struct es_tally *tally);

/* Notes why the units that are failed in the table failed, from their failed.json. */
void es_tally_read_reasons(struct es_tally *tally);

/* Notes why a unit failed for good ("": it is not known). It counts while the unit is failed in the
 * table; out of memory, it is not known. */
void es_tally_note(struct es_tally *tally, uint32_t unit_id, const char *reason);

/* Appends members of an object: "checkpoints":[...],"failures":[...], the latter with the
 * ES_TALLY_N_REASONS commonest reasons and where one of the units tells more. */
void es_tally_json(struct es_tally *tally, struct es_buf *text);

#endif
