/* `status` for people: a view as text. */
#include "cli/ui.h"
#include "cli/view.h"
#include "core/num.h"

#include <stdio.h>
#include <string.h>

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
        printf("\nfailures (the commonest reasons):\n");
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

static void print_worker(const struct es_view *view, const struct es_status_worker *worker)
{
    char line[2048], running[32];
    if (worker->is_running) {
        es_ui_duration(es_view_running_s(view, worker), running);
        (void)snprintf(line, sizeof line, "%12s  %s, layer %d, %s: worker %u on %s, device %s",
                       running, worker->checkpoint, worker->layer, worker->task, worker->worker,
                       worker->host, worker->device);
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
    for (uint32_t w = 0; w < view->driver.n_workers && n_running < ES_VIEW_N_RUNNING; w++) {
        const struct es_status_worker *worker = view->workers[w];
        if (worker->is_out || !worker->is_running)
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
    printf(", %u pending, %u failed", counts->pending, counts->failed);
    if (counts->excluded)
        printf(", %u excluded", counts->excluded);
    es_view_driver_text(view, &driver);
    printf("\ndriver  %s\n", driver.data ? driver.data : "");
    es_buf_clear(&driver);
    print_checkpoints(view);
    print_failures(view);
    print_workers(view);
}
