#include "mpi/vigil.h"

#include "core/mem.h"
#include "sys/await.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/signal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Outlives a vigil that is left. */
struct task {
    void (*work)(void *);
    void *context;
    int end_fd; /* closed when the work is done */
};

static void *task_main(void *arg)
{
    struct task *task = arg;
    int end_fd = task->end_fd;
    task->work(task->context);
    free(task);
    es_fd_close(&end_fd);
    return NULL;
}

static int start_task(void (*work)(void *), void *context, pthread_t *ret_thread, int *ret_fd,
                      struct es_err *err)
{
    struct task *task = es_mem_calloc(1, sizeof *task);
    if (!task)
        return es_err_nomem(err, "starting a thread");
    *task = (struct task){.work = work, .context = context};
    int fd = -1;
    int failed = es_fd_pipe(&fd, &task->end_fd) < 0 ? errno : 0;
    if (!failed)
        failed = pthread_create(ret_thread, NULL, task_main, task);
    if (failed) {
        es_fd_close(&fd);
        es_fd_close(&task->end_fd);
        free(task);
        return es_err_sys(err, failed, "starting a thread", NULL);
    }
    *ret_fd = fd;
    return 0;
}

static void send_beats(struct es_transport *transport)
{
    for (uint32_t r = 1; r < transport->size; r++) {
        struct es_buf buf = {0};
        es_plain_encode(ES_MESSAGE_BEAT, &buf);
        (void)es_transport_send_buf(transport, r, &buf);
    }
}

/* Waits for the end of the task, a signal, or until_s, and keeps sends moving; whether it ended. */
static bool wait_for_end(const struct es_vigil *vigil, int end_fd, double until_s)
{
    struct pollfd fds[2] = {{.fd = end_fd, .events = POLLIN},
                            {.fd = vigil->signal_fd, .events = POLLIN}};
    int64_t wait_ns = es_clock_after_ns(0, until_s - es_clock_mono_s());
    int64_t interval_ns = es_transport_interval_ns(vigil->transport);
    if (!es_transport_flushed(vigil->transport) && interval_ns < wait_ns)
        wait_ns = interval_ns;
    es_await_fds(fds, 2, wait_ns);
    return fds[0].revents != 0;
}

int es_vigil_run(const struct es_vigil *vigil, void (*work)(void *), void *context,
                 enum es_vigil_end *ret_end, int *ret_signal, struct es_err *err)
{
    pthread_t thread = 0;
    int end_fd = -1, number = 0;
    int rc = start_task(work, context, &thread, &end_fd, err);
    if (rc < 0)
        return rc;
    double beat_due_s = es_clock_mono_s(), left_s = (double)INFINITY;
    bool has_ended = false;
    while (!has_ended && es_clock_mono_s() < left_s) {
        if (es_clock_mono_s() >= beat_due_s) {
            send_beats(vigil->transport);
            beat_due_s = es_clock_mono_s() + vigil->beat_s;
        }
        has_ended = wait_for_end(vigil, end_fd, fmin(beat_due_s, left_s));
        for (int next; vigil->signal_fd >= 0 && (next = es_signal_take(vigil->signal_fd)) > 0;) {
            if (!number)
                left_s = es_clock_mono_s() + vigil->patience_s;
            number = number ? number : next;
        }
    }
    if (has_ended)
        (void)pthread_join(thread, NULL);
    else
        (void)pthread_detach(thread);
    es_fd_close(&end_fd);
    *ret_end = has_ended ? ES_VIGIL_ENDED : ES_VIGIL_LEFT;
    *ret_signal = number;
    return 0;
}
