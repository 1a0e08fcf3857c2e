/* What is known of a run: the one picture that `status` shows as text, JSON, Prometheus' metrics or
 * live.
 *
 * es_view_scan looks at every marker. es_view_read takes the driver's word, its status.json, and
 * costs three small files however large the run is: for those who look again and again.
 */
#ifndef ES_CLI_VIEW_H
#define ES_CLI_VIEW_H

#include "cli/failures.h"
#include "cli/target.h"
#include "run/drivers.h"
#include "run/status.h"

/* Of reasons, and of running units, people are shown so many. */
#define ES_VIEW_N_REASONS 5
#define ES_VIEW_N_RUNNING 5

struct es_view {
    const char *run_dir;
    char run_id[256];
    double now_s; /* when it was looked at, since 1970 UTC */
    struct es_counts counts;
    const struct es_status_checkpoint *checkpoints; /* [n_checkpoints] */
    uint32_t n_checkpoints;
    const struct es_status_failure *failures; /* [n_failures], the commonest first */
    uint32_t n_failures;
    const struct es_status_worker **workers; /* [driver.n_workers]: those that are out, then those
                                                that run a unit, the longest first, then the rest */
    bool has_driver;                         /* a driver has left a status.json: */
    struct es_status_seen driver;
    bool has_looked;    /* for drivers' files */
    uint32_t n_drivers; /* at work on the run, as far as can be told */
    bool is_scanned;    /* every marker was looked at: */
    struct es_target target;
    struct es_units *units;
    struct es_scan_summary summary;
    struct es_failures found;
    struct es_status_checkpoint *own_checkpoints;
    struct es_status_failure *own_failures;
};

/* Release with es_view_clear, whatever they return. */
int es_view_scan(const char *path, const struct es_opt_list *sets, struct es_view *ret_view,
                 struct es_err *err);
/* run_dir is borrowed; drivers (NULL: not looked for) remembers from look to look. ES_ERR_NOENT:
 * there is no status.json; the view has only the drivers then, as after any other failure. */
int es_view_read(const char *run_dir, struct es_drivers *drivers, struct es_view *ret_view,
                 struct es_err *err);
void es_view_clear(struct es_view *view);

/* For how long a worker's unit runs by now. */
double es_view_running_s(const struct es_view *view, const struct es_status_worker *worker);
/* By how many times that is longer than expected, if it is by far; else 0. */
double es_view_overdue_times(const struct es_view *view, const struct es_status_worker *worker);

bool es_view_is_quarantined(const struct es_view *view, const struct es_status_worker *worker);

/* Appends what there is to say of the driver, for people, as one line without an end. */
void es_view_driver_text(const struct es_view *view, struct es_buf *text);

/* On stdout. */
void es_view_print_text(const struct es_view *view);
void es_view_print_json(const struct es_view *view);
void es_view_print_prometheus(const struct es_view *view);

#endif
