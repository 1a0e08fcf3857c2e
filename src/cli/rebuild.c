#include "cli/rebuild.h"

#include "cli/provenance.h"
#include "evalsweep/store.h"

int es_rebuild(const struct es_target *target, const char *output, struct es_units *units,
               struct es_scan_summary *ret_summary, struct es_err *err)
{
    struct es_provenance provenance;
    struct es_scan_options options = {.not_before_ns = target->not_before_ns,
                                      .look_for_failed = true};
    int rc = es_provenance_init(&provenance, target, err);
    if (rc == 0)
        rc = es_provenance_add_history(&provenance, target, err);
    if (rc == 0)
        rc = es_scan(target->run_dir, target->layout, &options, units, ret_summary, err);
    if (rc == 0 && output) {
        rc = es_store_write_file(output, provenance.attributes, provenance.n, units, err);
    } else if (rc == 0) {
        struct es_store_write request = {.run_dir = target->run_dir,
                                         .attributes = provenance.attributes,
                                         .n_attributes = provenance.n,
                                         .fsync = target->job && target->job->run.fsync};
        rc = es_store_write(&request, units, err);
    }
    es_provenance_clear(&provenance);
    return rc;
}
