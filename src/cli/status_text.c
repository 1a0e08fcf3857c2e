/* `status` for people: a view as text. */
#include "cli/ui.h"
#include "cli/view.h"
#include "core/num.h"

#include "run/layout.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_checkpoints(const struct es_view *view)
{
    int width = 10;
    for (uint32_t c = 0; c < view->n_checkpoints; c++)
        if ((int)strlen(view->checkpoints[c].name) > width)
            width = (int)strlen(view->checkpoints[c].name);
    printf("\n%-*s  %8s %8s %8s\n", width, "checkpoint", "done", "pending", "failed");
    for (uint32_t c = 0; c < view->n_checkpoints; c++)
        printf("%-*s  %8u %8u %8u\n", width, view->checkpoints[c].name, view->checkpoints[c].done,
               view->checkpoints[c].pending, view->checkpoints[c].failed);
}

static void print_failures(const struct es_view *view)
{
    if (view->n_failures)
        printf("\nfailures (the most frequent reasons):\n");
    for (uint32_t i = 0; i < view->n_failures && i < ES_VIEW_N_REASONS; i++) {
        const struct es_status_failure *failure = &view->failures[i];
        char reason[1024];
        (void)snprintf(reason, sizeof reason, "%s", failure->reason);
        es_text_to_line(reason);
        printf("%8u  %s\n", failure->n_units, reason);
        if (failure->log)
            printf("          %s/%s\n", view->run_dir, failure->log);
    }
}

/* An evaluator that printed nothing has no log: its failed.json tells what there is. */
static void print_log(const struct es_view *view, const char *log)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", view->run_dir, log);
    char *name = strrchr(path, '/');
    if (n < 0 || (size_t)n >= sizeof path)
        return;
    if (access(path, F_OK) < 0 && strcmp(name + 1, ES_LOG_NAME) == 0 &&
        (size_t)(name - path) + sizeof "/" ES_FAILED_NAME <= sizeof path)
        memcpy(name + 1, ES_FAILED_NAME, sizeof ES_FAILED_NAME);
    es_text_to_line(path);
    printf("          %s\n", path);
}

static void print_suspects(const struct es_view *view)
{
    const struct es_status_seen *driver = &view->driver;
    if (driver->n_suspects)
        printf("\nblocked or quarantined:\n");
    for (uint32_t i = 0; i < driver->n_suspects; i++) {
        struct es_buf text = {0};
        es_status_suspect_text(&driver->suspects[i], &text);
        if (text.data && !text.failed) {
            es_text_to_line(text.data);
            printf("          %s\n", text.data);
        }
        if (driver->suspects[i].log)
            print_log(view, driver->suspects[i].log);
        es_buf_clear(&text);
    }
}

static void print_worker(const struct es_view *view, const struct es_status_worker *worker)
{
    char line[2048], running[32], overdue[64] = "";
    if (worker->is_running) {
        es_ui_duration(es_view_running_s(view, worker), running);
        double times = es_view_overdue_times(view, worker);
        if (times > 0)
            (void)snprintf(overdue, sizeof overdue, " (%.0f times longer than expected)", times);
        (void)snprintf(line, sizeof line, "%12s  %s, layer %d, %s: worker %u on %s, device %s%s",
                       running, worker->checkpoint, worker->layer, worker->task, worker->worker,
                       worker->host, worker->device, overdue);
    } else {
        (void)snprintf(line, sizeof line, "      worker %u on %s, device %s", worker->worker,
                       worker->host, worker->device);
    }
    es_text_to_line(line); /* the words of other hosts */
    printf("%s\n", line);
}

static void print_workers(const struct es_view *view)
{
    uint32_t n_out = 0, n_running = 0;
    for (uint32_t w = 0; w < view->driver.n_workers; w++) {
        const struct es_status_worker *worker = view->workers[w];
        if (!worker->is_out)
            continue;
        if (n_out++ == 0)
            printf("\nworkers that are out:\n");
        print_worker(view, worker);
    }
    for (uint32_t w = 0; w < view->driver.n_workers; w++) {
        const struct es_status_worker *worker = view->workers[w];
        if (worker->is_out || !worker->is_running ||
            (n_running >= ES_VIEW_N_RUNNING && es_view_overdue_times(view, worker) <= 0))
            continue;
        if (n_running++ == 0)
            printf("\nrunning longest:\n");
        print_worker(view, worker);
    }
}

void es_view_print_text(const struct es_view *view)
{
    struct es_buf driver = {0};
    const struct es_counts *counts = &view->counts;
    printf("run     %s\nunits   %u: %u done", view->run_dir, es_counts_total(&view->counts),
           counts->done);
    if (counts->done_without_score)
        printf(" (%u without a score)", counts->done_without_score);
    printf(", %u pending", counts->pending);
    if (counts->blocked)
        printf(" (%u blocked)", counts->blocked);
    printf(", %u failed", counts->failed);
    if (counts->excluded)
        printf(", %u excluded", counts->excluded);
    es_view_driver_text(view, &driver);
    printf("\ndriver  %s\n", driver.data ? driver.data : "");
    es_buf_clear(&driver);
    print_checkpoints(view);
    print_failures(view);
    print_suspects(view);
    print_workers(view);
}
