/* Adopting: what another run of the same layout has finished counts in this one.
 *
 *     es_adopt_find(&config, units, &found, &err);       // units: this run's, scanned
 *     es_adopt_take(&config, &found, &counts, &err);     // holding this run's lock
 *     es_adopt_found_clear(&found);
 *
 * A unit's files come first and its marker last, each whole or not at all, so that an
 * interrupted adoption is gone on with by doing it again. The marker becomes a second name of
 * the other run's: it stays as it is, with its time, and is only ever replaced by rename. What
 * is beside it is copied, since evaluators and log.txt write over files of that name in place,
 * which must not change the other run. What an unfinished try left here under the same names is
 * replaced; a unit that is done here is left alone. A line for each unit goes to
 * <run_dir>/.evalsweep/adopted.csv before its marker is there.
 *
 * The other run may be at work, and may be an old tree. Nothing in it is written.
 */
#ifndef ES_RUN_ADOPT_H
#define ES_RUN_ADOPT_H

#include "core/buf.h"
#include "evalsweep/error.h"
#include "evalsweep/units.h"
#include "run/layout.h"

#include <stdbool.h>
#include <stdint.h>

struct es_adopt_config {
    const char *run_dir;
    const char *source_dir;
    const struct es_layout *layout; /* of both */
    int64_t not_before_ns;          /* this run's epoch: older markers would not count here */
    bool sync;
};

/* What there is to take. */
struct es_adopt_found {
    const struct es_grid *grid; /* borrowed */
    uint32_t *ids;              /* [n] */
    uint32_t n;
    uint32_t n_done;    /* done here, as far as the table knows */
    uint32_t n_nothing; /* neither here nor there */
};

/* Looks which units are done there and not here (failed ones neither done). They are then
 * marked done in the table, so that the next source is asked for the rest. ES_ERR_USAGE: the
 * source is not there, or is this run itself. */
int es_adopt_find(const struct es_adopt_config *config, struct es_units *units,
                  struct es_adopt_found *ret_found, struct es_err *err);
void es_adopt_found_clear(struct es_adopt_found *found);

struct es_adopt_counts {
    uint32_t n_taken;
    uint32_t n_done;    /* done here by somebody else meanwhile */
    uint32_t n_nothing; /* gone there meanwhile */
};

/* Takes them; needs the run's .evalsweep folder. On failure ret_counts has what was taken by
 * then. */
int es_adopt_take(const struct es_adopt_config *config, const struct es_adopt_found *found,
                  struct es_adopt_counts *ret_counts, struct es_err *err);

/* The run folders that units of this run were adopted from, a line each; nothing if there are
 * none. */
int es_adopt_sources(const char *run_dir, struct es_buf *ret_text, struct es_err *err);

#endif
