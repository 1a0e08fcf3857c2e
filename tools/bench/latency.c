/* How soon an idle rank picks a message up, and what waiting costs it.
 *
 *     mpirun -n 2 bench_latency [SECONDS]
 *
 * Rank 1 waits for messages as every rank of evalsweep does between them; rank 0 sends it one now
 * and then, with the time of sending in it (both ranks read the clock of one machine). Prints JSON:
 * the median and the 99th percentile of the delay in milliseconds, and rank 1's share of a core.
 */
#include "core/num.h"
#include "mpi/transport.h"
#include "sys/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_MESSAGES 100000

/* Until a message comes: the waiting of es_bridge_run, without a worker beside it. */
static struct es_message wait_for_message(struct es_transport *mpi)
{
    struct es_message message;
    uint32_t source;
    while (!es_transport_receive(mpi, &source, &message)) {
        int64_t wait_ns = es_transport_interval_ns(mpi);
        struct timespec timeout = {wait_ns / ES_NS_PER_S, wait_ns % ES_NS_PER_S};
        (void)ppoll(NULL, 0, &timeout, NULL);
    }
    return message;
}

static void send_time(struct es_transport *mpi, int64_t time_ns)
{
    struct es_buf buf = {0};
    es_wire_put_u8(&buf, ES_MESSAGE_BEAT);
    es_wire_put_i64(&buf, time_ns);
    (void)es_transport_send_buf(mpi, 1, &buf);
    while (!es_transport_flushed(mpi))
        ;
}

static void send_now_and_then(struct es_transport *mpi, double seconds)
{
    struct es_rng rng;
    double end_s = es_clock_mono_s() + seconds;
    es_rng_init(&rng, 1);
    while (es_clock_mono_s() < end_s) {
        struct timespec pause = {.tv_nsec = 5000000 + (long)es_rng_below(&rng, 10000000)};
        (void)nanosleep(&pause, NULL);
        send_time(mpi, es_clock_mono_ns());
    }
    send_time(mpi, 0); /* the end */
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double cpu_s(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void receive_and_report(struct es_transport *mpi)
{
    static double delay_ms[MAX_MESSAGES];
    size_t n = 0;
    double begun_s = es_clock_mono_s(), begun_cpu_s = cpu_s();
    while (n < MAX_MESSAGES) {
        struct es_message message = wait_for_message(mpi);
        int64_t now_ns = es_clock_mono_ns();
        struct es_wire_reader reader = es_wire_read(&message);
        int64_t sent_ns = es_wire_get_i64(&reader);
        es_message_clear(&message);
        if (sent_ns == 0)
            break;
        delay_ms[n++] = (double)(now_ns - sent_ns) * 1e-6;
    }
    double share = (cpu_s() - begun_cpu_s) / (es_clock_mono_s() - begun_s);
    if (n == 0)
        return;
    qsort(delay_ms, n, sizeof *delay_ms, compare);
    printf("{\"messages\":%zu,\"median_ms\":%.3f,\"p99_ms\":%.3f,\"cpu_share\":%.4f}\n", n,
           delay_ms[n / 2], delay_ms[n * 99 / 100], share);
}

int main(int argc, char **argv)
{
    struct es_transport *mpi;
    struct es_err err = {0};
    double seconds = 5;
    if (argc > 1)
        (void)es_parse_double(argv[1], &seconds);
    if (es_mpi_start(&mpi, &err) < 0 || mpi->size != 2) {
        (void)fprintf(stderr, "bench_latency: needs two ranks: %s\n", err.why);
        return 2;
    }
    if (mpi->rank == 0)
        send_now_and_then(mpi, seconds);
    else
        receive_and_report(mpi);
    es_mpi_finish(mpi);
    return 0;
}
