/* The bare MPI round trip: what one request and one reply cost when each unit waits for both.
 *
 *     mpirun -n 2 bench_pingpong N_ROUND_TRIPS
 *
 * Plain blocking sends and receives of a unit's worth of bytes each way. Prints the seconds that
 * all of them took.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

/* About what a unit takes in our messages, each way. */
#define MESSAGE_BYTES 64

static void exchange(int rank, long n_round_trips)
{
    char bytes[MESSAGE_BYTES] = {0};
    int other = 1 - rank;
    for (long i = 0; i < n_round_trips; i++) {
        if (rank == 0)
            MPI_Send(bytes, MESSAGE_BYTES, MPI_BYTE, other, 0, MPI_COMM_WORLD);
        MPI_Recv(bytes, MESSAGE_BYTES, MPI_BYTE, other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(bytes, MESSAGE_BYTES, MPI_BYTE, other, 0, MPI_COMM_WORLD);
    }
}

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    long n_round_trips = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    int rc = size == 2 && n_round_trips > 0 ? 0 : 2;
    if (rc == 0) {
        exchange(rank, 1000); /* connects */
        MPI_Barrier(MPI_COMM_WORLD);
        double begun_s = MPI_Wtime();
        exchange(rank, n_round_trips);
        if (rank == 0)
            printf("%.6f\n", MPI_Wtime() - begun_s);
    } else if (rank == 0) {
        (void)fprintf(stderr, "usage: mpirun -n 2 bench_pingpong N_ROUND_TRIPS\n");
    }
    MPI_Finalize();
    return rc;
}
