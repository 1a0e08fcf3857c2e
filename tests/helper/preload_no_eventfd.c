/* Preloaded: from MPI's start on, no eventfd can be had, so that the rank cannot start its worker.
 */
#include <dlfcn.h>
#include <errno.h>
#include <mpi.h>
#include <stdbool.h>
#include <sys/eventfd.h>

static bool is_started;

int MPI_Comm_size(MPI_Comm comm, int *size)
{
    is_started = true;
    return PMPI_Comm_size(comm, size);
}

int eventfd(unsigned count, int flags)
{
    union {
        void *symbol;
        int (*function)(unsigned, int);
    } real = {.symbol = dlsym(RTLD_NEXT, "eventfd")};
    if (!is_started)
        return real.function(count, flags);
    errno = EMFILE;
    return -1;
}
