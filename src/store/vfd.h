/* The way of HDF5's bytes to a descriptor of ours.
 *
 * HDF5's own file drivers open without O_CLOEXEC, take flock(2), which Lustre and NFS often lack,
 * and pass on a write that fails (a full disk), after which the library can neither close the file
 * nor end in peace (HDF5 1.10.8 leaks, and prints "infinite loop closing library" at exit). This
 * driver keeps the errno of the first failure for the caller and lets HDF5 finish in the belief
 * that all is well.
 */
#ifndef ES_STORE_VFD_H
#define ES_STORE_VFD_H

#include <hdf5.h>

struct es_vfd {
    int fd;        /* borrowed while HDF5 has the file open */
    int sys_errno; /* of the first read or write that failed; 0: none did */
    hid_t driver;
};

/* One for a descriptor, registered with HDF5. Negative on failure, as HDF5 has it. */
herr_t es_vfd_init(struct es_vfd *vfd, int fd);

/* When the files that went through it are closed, and not before: HDF5 1.10 reads the driver after
 * it has given it up as the last one that held it. */
void es_vfd_clear(struct es_vfd *vfd);

/* Makes files opened with this access list go through vfd. The list, and files opened with it,
 * borrow it. Negative on failure, as HDF5 has it. */
herr_t es_vfd_set(hid_t access_list, struct es_vfd *vfd);

#endif
