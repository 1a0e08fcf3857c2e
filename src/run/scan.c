#include "run/scan.h"

#include "run/scan_internal.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MAX_THREADS 64
/* More than cores: what a parallel file system has to answer is waited for, not computed. */
#define DEFAULT_THREADS 16

static void *run_thread(void *shared)
{
    es_scan_work(shared);
    return NULL;
}

/* Works on the queue with n threads, this one included; with fewer if they cannot be had. */
static void work_together(struct es_scan_shared *shared, uint32_t n_threads)
{
    pthread_t threads[MAX_THREADS];
    uint32_t n_started = 0;
    while (n_started + 1 < n_threads &&
           pthread_create(&threads[n_started], NULL, run_thread, shared) == 0)
        n_started++;
    es_scan_work(shared);
    for (uint32_t i = 0; i < n_started; i++)
        (void)pthread_join(threads[i], NULL);
}

static uint32_t threads_for(const struct es_scan_options *options)
{
    if (options->n_threads == 0)
        return DEFAULT_THREADS;
    return options->n_threads < MAX_THREADS ? options->n_threads : MAX_THREADS;
}

static void scan_opened(struct es_scan_shared *shared)
{
    struct es_scan_folder first = {.n_steps = 1};
    if (shared->run_fd < 0) {
        es_scan_all_missing(shared);
    } else if (es_scan_queue_push(&shared->queue, first) < 0) {
        shared->rc = es_err_nomem(&shared->err, "looking for markers");
    } else {
        work_together(shared, threads_for(shared->options));
    }
}

int es_scan(const char *run_dir, const struct es_layout *layout,
            const struct es_scan_options *options, struct es_units *units,
            struct es_scan_summary *ret_summary, struct es_err *err)
{
    int run_fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (run_fd < 0 && errno != ENOENT)
        return es_err_sys(err, errno, "looking for markers", run_dir);
    struct es_scan_shared shared = {.options = options,
                                    .run_fd = run_fd,
                                    .units = units,
                                    .summary = {.first_bad = ES_GRID_NONE}};
    es_scan_steps_init(layout, es_units_grid(units), &shared.steps);
    es_scan_queue_init(&shared.queue);
    (void)pthread_mutex_init(&shared.lock, NULL);
    scan_opened(&shared);
    (void)pthread_mutex_destroy(&shared.lock);
    es_scan_queue_clear(&shared.queue);
    es_fd_close(&run_fd);
    if (shared.rc < 0) {
        if (err)
            *err = shared.err;
        return shared.rc;
    }
    *ret_summary = shared.summary;
    return 0;
}
