/* The one file that includes mpi.h. */
#include "core/mem.h"
#include "mpi/transport.h"
#include "sys/clock.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TAG 1

/* Between two looks for a message while nothing happens: a message waits half of this on average,
 * and an idle rank stays under 2 % of a core (tools/bench/latency.c measures both). */
#define IDLE_INTERVAL_NS 1000000

/* While sends are on their way, MPI needs to be called for them to move on; those that are for so
 * long wait for their receiver. */
#define SENDING_INTERVAL_NS 50000
#define SENDING_NS 100000000
/* What has not left by then does not leave. */
#define FLUSH_NS (5 * ES_NS_PER_S)

struct pending_send {
    uint32_t dest;
    MPI_Request request;
    struct es_message message;
};

struct mpi_transport {
    struct es_transport base;
    struct pending_send *sends; /* [n_sends] not yet complete */
    size_t n_sends;
    size_t sends_cap;
    size_t n_stuck;  /* of them, to ranks that were abandoned; MPI cannot be made to forget them */
    int64_t sent_ns; /* the last time that anything was sent */
    bool *is_abandoned; /* [base.size] */
};

/* Frees the messages of sends that are complete, or failed. */
static void reap_sends(struct mpi_transport *mpi)
{
    size_t kept = 0;
    mpi->n_stuck = 0;
    for (size_t i = 0; i < mpi->n_sends; i++) {
        int complete = 0;
        if (MPI_Test(&mpi->sends[i].request, &complete, MPI_STATUS_IGNORE) != MPI_SUCCESS ||
            complete) {
            es_message_clear(&mpi->sends[i].message);
            continue;
        }
        mpi->n_stuck += mpi->is_abandoned[mpi->sends[i].dest];
        mpi->sends[kept++] = mpi->sends[i];
    }
    mpi->n_sends = kept;
}

static int mpi_send(struct es_transport *transport, uint32_t dest, struct es_message *message)
{
    struct mpi_transport *mpi = (struct mpi_transport *)transport;
    void *sends = mpi->sends;
    if (mpi->is_abandoned[dest]) {
        es_message_clear(message);
        return 0;
    }
    if (message->n > INT32_MAX ||
        es_mem_grow(&sends, &mpi->sends_cap, mpi->n_sends + 1, sizeof *mpi->sends) < 0) {
        es_message_clear(message);
        return ES_ERR_NOMEM;
    }
    mpi->sends = sends;
    struct pending_send *send = &mpi->sends[mpi->n_sends++];
    send->dest = dest;
    send->message = *message;
    *message = (struct es_message){0};
    mpi->sent_ns = es_clock_mono_ns();
    if (MPI_Isend(send->message.data, (int)send->message.n, MPI_BYTE, (int)dest, TAG,
                  MPI_COMM_WORLD, &send->request) != MPI_SUCCESS) {
        es_message_clear(&send->message); /* its receiver is gone: its silence will tell */
        mpi->n_sends--;
    }
    reap_sends(mpi);
    return 0;
}

static bool mpi_receive(struct es_transport *transport, uint32_t *ret_source,
                        struct es_message *ret_message)
{
    struct mpi_transport *mpi = (struct mpi_transport *)transport;
    if (mpi->n_sends)
        reap_sends(mpi);
    int arrived = 0, n = 0;
    MPI_Status status;
    MPI_Message handle;
    /* Open MPI looks at what has arrived first and lets messages arrive afterwards: only a second
     * look finds what the first one let in. */
    for (int look = 0; look < 2 && !arrived; look++)
        MPI_Improbe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &arrived, &handle, &status);
    if (!arrived)
        return false;
    MPI_Get_count(&status, MPI_BYTE, &n);
    uint8_t *data = es_mem_calloc((size_t)n, 1);
    if (!data) /* the message is lost; an empty one tells the caller that the protocol broke */
        n = 0;
    MPI_Mrecv(data, n, MPI_BYTE, &handle, MPI_STATUS_IGNORE);
    mpi->is_abandoned[status.MPI_SOURCE] = false;
    *ret_source = (uint32_t)status.MPI_SOURCE;
    *ret_message = (struct es_message){.data = data, .n = (size_t)n};
    return true;
}

static bool mpi_flushed(struct es_transport *transport)
{
    struct mpi_transport *mpi = (struct mpi_transport *)transport;
    reap_sends(mpi);
    return mpi->n_sends == mpi->n_stuck;
}

static void mpi_abandon(struct es_transport *transport, uint32_t dest)
{
    ((struct mpi_transport *)transport)->is_abandoned[dest] = true;
}

static int mpi_fd(const struct es_transport *transport)
{
    (void)transport;
    return -1;
}

static int64_t mpi_interval_ns(const struct es_transport *transport)
{
    const struct mpi_transport *mpi = (const struct mpi_transport *)transport;
    bool is_sending = mpi->n_sends && es_clock_mono_ns() - mpi->sent_ns < SENDING_NS;
    return is_sending ? SENDING_INTERVAL_NS : IDLE_INTERVAL_NS;
}

static const struct es_transport_ops mpi_ops = {
    .send = mpi_send,
    .receive = mpi_receive,
    .flushed = mpi_flushed,
    .fd = mpi_fd,
    .interval_ns = mpi_interval_ns,
    .abandon = mpi_abandon,
};

int es_mpi_start(struct es_transport **ret_transport, struct es_err *err)
{
    struct mpi_transport *mpi = es_mem_calloc(1, sizeof *mpi);
    if (!mpi)
        return es_err_nomem(err, "starting MPI");
    int provided = 0, rank = 0, size = 0;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS ||
        provided < MPI_THREAD_FUNNELED) {
        free(mpi);
        return es_err_set(err, ES_ERR_USAGE, "starting MPI", NULL,
                          "this MPI library does not support threads");
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    /* A rank that is gone is the heartbeat's affair: it must not end the others. */
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    mpi->is_abandoned = es_mem_calloc((size_t)size, sizeof *mpi->is_abandoned);
    if (!mpi->is_abandoned) {
        free(mpi);
        return es_err_nomem(err, "starting MPI");
    }
    mpi->base =
        (struct es_transport){.ops = &mpi_ops, .rank = (uint32_t)rank, .size = (uint32_t)size};
    *ret_transport = &mpi->base;
    return 0;
}

void es_mpi_finish(struct es_transport *transport)
{
    struct mpi_transport *mpi = (struct mpi_transport *)transport;
    const struct timespec pause = {.tv_nsec = SENDING_INTERVAL_NS};
    int64_t until_ns = es_clock_mono_ns() + FLUSH_NS;
    while (!mpi_flushed(transport) && es_clock_mono_ns() < until_ns)
        (void)nanosleep(&pause, NULL);
    MPI_Finalize();
    for (size_t i = 0; i < mpi->n_sends; i++)
        es_message_clear(&mpi->sends[i].message);
    free(mpi->sends);
    free(mpi->is_abandoned);
    free(mpi);
}

bool es_mpi_is_launched(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK",
                                            "PMI_FD"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        if (getenv(variables[i]))
            return true;
    return false;
}

const char *es_mpi_version(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int n = 0;
    if (!text[0]) {
        MPI_Get_library_version(text, &n);
        text[strcspn(text, ",\n")] = '\0';
    }
    return text;
}
