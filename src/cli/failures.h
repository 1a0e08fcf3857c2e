/* Why units failed: their failed.json files, the commonest reasons first. What is the same up to
 * ES_TRY_TEXT_LIMIT is one reason, here as in status.json and the store. */
#ifndef ES_CLI_FAILURES_H
#define ES_CLI_FAILURES_H

#include "cli/target.h"
#include "core/strtab.h"

struct es_failure_reason {
    const char *text;
    uint32_t n_units;
    uint32_t first_unit; /* one that failed so */
    char *log;           /* of that: where it tells more, relative to the run; NULL: nowhere */
};

struct es_failures {
    struct es_failure_reason *reasons; /* [n], the commonest first */
    size_t n;
    struct es_strtab texts; /* has those of the reasons */
};

/* Of all units that are failed in the table. */
int es_failures_read(const struct es_target *target, struct es_units *units,
                     struct es_failures *ret_failures, struct es_err *err);
void es_failures_clear(struct es_failures *failures);

#endif
