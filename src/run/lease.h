/* Leases: which driver is at work on which bundle.
 *
 * A lease is a symbolic link, <run_dir>/.evalsweep/leases/<hash of checkpoint and task>, whose
 * target is the driver's id: made exclusively and whole by one call, on NFS too. It needs no
 * renewing, as it lives by its driver's counter (run/holder.h), and is worth nothing once the
 * driver's file is gone.
 *
 * A worker takes the lease right before the first unit of a bundle starts; then it looks once more
 * for the unit's marker. Only its own driver removes a lease, and the lock's owner those of drivers
 * that are gone: so no two drivers ever think that they hold one.
 *
 * Functions give -1 with errno set where they fail. Threads: any.
 */
#ifndef ES_RUN_LEASE_H
#define ES_RUN_LEASE_H

#include "run/holder.h"

#include <stdbool.h>

#define ES_LEASE_NAME_SIZE 33

/* The name of a bundle's lease. */
void es_lease_name(const char *checkpoint, const char *task, char ret_name[ES_LEASE_NAME_SIZE]);

/* Opens the folder of leases of the run folder run_dir_fd: a descriptor. Opened anew, it shows what
 * others have changed, also where the file system remembers what it saw (NFS). */
int es_lease_open_folder(int run_dir_fd);

/* Takes a lease for the driver, which may hold it already. */
int es_lease_take(int folder_fd, const char *name, const char *id, bool *ret_is_ours);

/* Who holds it; "": nobody. */
int es_lease_read(int folder_fd, const char *name, char ret_id[ES_HOLDER_ID_SIZE]);

/* Removes it if that driver holds it. */
int es_lease_drop(int folder_fd, const char *name, const char *id);

/* Removes all leases of those for whom is_one says so. */
int es_lease_sweep(int folder_fd, bool (*is_one)(const char *id, const void *context),
                   const void *context);

#endif
