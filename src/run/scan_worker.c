#include "run/scan_internal.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DOING "looking for markers"
#define BATCH_LEN 32        /* changes to the table made under one lock */
#define UNITS_PER_VISIT 256 /* of one folder, so that several threads share a large one */

/* A unit of which the table is to learn something. */
struct change {
    uint32_t unit_id;
    enum es_status status;
    struct es_file_id marker;
    struct es_result result; /* PENDING: of the last try, if has_failed */
    bool has_failed;
};

struct worker {
    struct es_scan_shared *shared;
    struct es_units_columns columns; /* only a unit's own thread writes what is there for it */
    const struct es_grid *grid;
    struct es_look look;
    struct es_buf folder_path;
    struct change changes[BATCH_LEN];
    size_t n_changes;
    struct es_result scratch;
    struct es_scan_summary summary;
};

static void stop(struct worker *worker, int rc, const struct es_err *err)
{
    struct es_scan_shared *shared = worker->shared;
    (void)pthread_mutex_lock(&shared->lock);
    if (shared->rc == 0) {
        shared->rc = rc;
        shared->err = *err;
    }
    (void)pthread_mutex_unlock(&shared->lock);
    es_scan_queue_stop(&shared->queue);
}

static void stop_nomem(struct worker *worker)
{
    struct es_err err = {0};
    stop(worker, es_err_nomem(&err, DOING), &err);
}

/* Makes the batch's changes. */
static void flush(struct worker *worker)
{
    struct es_units *units = worker->shared->units;
    int rc = 0;
    (void)pthread_mutex_lock(&worker->shared->lock);
    for (size_t i = 0; rc == 0 && i < worker->n_changes; i++) {
        const struct change *change = &worker->changes[i];
        if (change->status == ES_STATUS_PENDING && !change->has_failed)
            es_units_reset(units, change->unit_id);
        else if (change->status == ES_STATUS_PENDING)
            rc = es_units_set_pending(units, change->unit_id, &change->result, &worker->scratch);
        else
            rc = es_units_set_result(units, change->unit_id, change->status, &change->result,
                                     change->status == ES_STATUS_DONE ? &change->marker : NULL);
    }
    (void)pthread_mutex_unlock(&worker->shared->lock);
    worker->n_changes = 0;
    if (rc < 0)
        stop_nomem(worker);
}

/* Adds a change to the batch, which takes the look's result for a unit that has one: pending units
 * have that of a failed try, or none. */
static void change_to(struct worker *worker, uint32_t unit_id, enum es_status status,
                      bool has_failed)
{
    struct change *change = &worker->changes[worker->n_changes++];
    change->unit_id = unit_id;
    change->status = status;
    change->has_failed = has_failed;
    if (status != ES_STATUS_PENDING || has_failed) {
        struct es_result spare = change->result;
        change->result = worker->look.result;
        change->marker = worker->look.id;
        worker->look.result = spare;
    }
    if (worker->n_changes == BATCH_LEN)
        flush(worker);
}

/* Whether the table has the content of the unit's marker already. */
static bool is_known(struct worker *worker, uint32_t unit_id, enum es_marker_state *ret_state)
{
    const struct es_file_id *known = &worker->columns.marker[unit_id];
    struct es_look *look = &worker->look;
    if (worker->columns.status[unit_id] != ES_STATUS_DONE || known->inode == 0)
        return false;
    struct stat st;
    size_t len = es_path_push(&look->path, ES_MARKER_NAME);
    look->n_calls++;
    int rc = fstatat(look->dir_fd, look->path.data, &st, AT_SYMLINK_NOFOLLOW);
    if (rc == 0 && S_ISLNK(st.st_mode)) {
        look->n_calls++;
        rc = fstatat(look->dir_fd, look->path.data, &st, 0);
    }
    es_path_pop(&look->path, len);
    if (rc < 0 || !S_ISREG(st.st_mode))
        return false;
    struct es_file_id id = es_file_id(&st);
    look->is_older = id.mtime_ns < look->not_before_ns;
    *ret_state = look->is_older ? ES_MARKER_NONE : ES_MARKER_VALID;
    return look->is_older || (id.inode == known->inode && id.size_bytes == known->size_bytes &&
                              id.mtime_ns == known->mtime_ns);
}

/* Whether there is a failed.json that is not too old. */
static bool has_failed(struct worker *worker)
{
    const struct es_scan_options *options = worker->shared->options;
    if (options->failed_not_before_ns > options->not_before_ns)
        worker->look.not_before_ns = options->failed_not_before_ns;
    bool has_it = es_marker_is_file(es_look_at_failed(&worker->look));
    worker->look.not_before_ns = options->not_before_ns;
    return has_it;
}

/* Whether it failed for good in this job, which could not write that down. */
static bool stays_failed(const struct worker *worker, uint32_t unit_id)
{
    const uint8_t *those = worker->shared->options->stays_failed;
    return those && those[unit_id] && worker->columns.status[unit_id] == ES_STATUS_FAILED;
}

/* A unit without a file that says what became of it: pending. */
static void change_to_pending(struct worker *worker, uint32_t unit_id)
{
    if (worker->columns.status[unit_id] != ES_STATUS_PENDING && !stays_failed(worker, unit_id))
        change_to(worker, unit_id, ES_STATUS_PENDING, false);
}

/* A unit without a valid marker: failed, or pending, where one of a try that was not the last
 * leaves it. */
static void look_at_unfinished(struct worker *worker, uint32_t unit_id)
{
    if (!has_failed(worker))
        change_to_pending(worker, unit_id);
    else if (worker->shared->options->look_for_failed && !worker->look.result.is_interim)
        change_to(worker, unit_id, ES_STATUS_FAILED, false);
    else if (!stays_failed(worker, unit_id))
        change_to(worker, unit_id, ES_STATUS_PENDING, true);
}

/* What keeps every marker from being read says nothing about this one. */
static bool is_our_trouble(int sys_errno)
{
    return sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ENOMEM;
}

static void look_at_unit(struct worker *worker, uint32_t unit_id, struct es_unit unit)
{
    struct es_look *look = &worker->look;
    struct es_scan_summary *summary = &worker->summary;
    enum es_marker_state state = ES_MARKER_NONE;
    look->task = es_grid_task(worker->grid, unit.task);
    bool known = is_known(worker, unit_id, &state);
    if (!known)
        state = es_look_at_marker(look);
    summary->n_markers[state]++;
    summary->n_known += known && state == ES_MARKER_VALID;
    summary->n_older += look->is_older;
    if (state == ES_MARKER_UNREADABLE && is_our_trouble(look->sys_errno)) {
        struct es_err err = {0};
        stop(worker, es_err_sys(&err, look->sys_errno, DOING, look->path.data), &err);
    } else if (look->result.failed) {
        stop_nomem(worker);
    } else if (state != ES_MARKER_VALID) {
        if (state != ES_MARKER_NONE && unit_id < summary->first_bad)
            summary->first_bad = unit_id;
        look_at_unfinished(worker, unit_id);
    } else if (!known) {
        change_to(worker, unit_id, ES_STATUS_DONE, false);
    }
}

/* The axes that a folder leaves open. */
static unsigned axes_below(const struct worker *worker, const struct es_scan_folder *folder)
{
    const struct es_scan_steps *steps = &worker->shared->steps;
    unsigned axes = 0;
    for (uint32_t i = folder->n_steps; i < steps->n; i++)
        axes |= steps->binds[i];
    return axes;
}

/* The unit bound in the nth way; its id, or ES_GRID_NONE if it is excluded. */
static uint32_t unit_below(const struct worker *worker, const struct es_scan_folder *folder,
                           unsigned axes, uint64_t nth, struct es_unit *ret_unit)
{
    *ret_unit = es_scan_bind(worker->grid, axes, nth, folder->unit);
    uint32_t unit_id = es_grid_id(worker->grid, *ret_unit);
    return es_grid_is_excluded(worker->grid, unit_id) ? ES_GRID_NONE : unit_id;
}

/* A folder is not there: every unit below it is without a marker. */
static void all_missing(struct worker *worker, const struct es_scan_folder *folder)
{
    unsigned axes = axes_below(worker, folder);
    uint64_t n_ways = es_scan_n_ways(worker->grid, axes);
    struct es_unit unit;
    for (uint64_t i = 0; i < n_ways; i++) {
        uint32_t unit_id = unit_below(worker, folder, axes, i, &unit);
        if (unit_id == ES_GRID_NONE)
            continue;
        worker->summary.n_markers[ES_MARKER_NONE]++;
        change_to_pending(worker, unit_id);
    }
}

static bool has_units(const struct worker *worker, const struct es_scan_folder *folder)
{
    unsigned axes = axes_below(worker, folder);
    uint64_t n_ways = es_scan_n_ways(worker->grid, axes);
    struct es_unit unit;
    for (uint64_t i = 0; i < n_ways; i++)
        if (unit_below(worker, folder, axes, i, &unit) != ES_GRID_NONE)
            return true;
    return false;
}

static void push(struct worker *worker, struct es_scan_folder folder)
{
    if (es_scan_queue_push(&worker->shared->queue, folder) < 0)
        stop_nomem(worker);
}

/* Puts a folder's subfolders on the queue, in reverse: the last put there is the first taken. */
static void push_subfolders(struct worker *worker, const struct es_scan_folder *folder)
{
    unsigned axes = worker->shared->steps.binds[folder->n_steps];
    for (uint64_t i = es_scan_n_ways(worker->grid, axes); i > 0; i--) {
        struct es_scan_folder sub = {.unit = es_scan_bind(worker->grid, axes, i - 1, folder->unit),
                                     .n_steps = folder->n_steps + 1};
        if (has_units(worker, &sub))
            push(worker, sub);
    }
}

/* Looks at a visit's worth of units in the opened folder. */
static void look_at_units(struct worker *worker, const struct es_scan_folder *folder)
{
    const struct es_scan_steps *steps = &worker->shared->steps;
    unsigned axes = steps->binds[folder->n_steps];
    uint64_t end = es_scan_n_ways(worker->grid, axes);
    if (end - folder->first > UNITS_PER_VISIT)
        end = folder->first + UNITS_PER_VISIT;
    for (uint64_t i = folder->first; i < end; i++) {
        struct es_unit unit;
        uint32_t unit_id = unit_below(worker, folder, axes, i, &unit);
        if (unit_id == ES_GRID_NONE)
            continue;
        es_buf_reset(&worker->look.path);
        es_scan_steps_path(steps, folder->n_steps, folder->n_steps + 1, unit, &worker->look.path);
        look_at_unit(worker, unit_id, unit);
    }
}

/* The rest of a large folder goes to whoever is free. */
static void push_rest(struct worker *worker, const struct es_scan_folder *folder)
{
    uint64_t n = es_scan_n_ways(worker->grid, worker->shared->steps.binds[folder->n_steps]);
    struct es_scan_folder rest = *folder;
    for (rest.first = UNITS_PER_VISIT; rest.first < n; rest.first += UNITS_PER_VISIT)
        push(worker, rest);
}

/* A descriptor of the folder, -1 if it is not there, -2 after a failure. That the one above all
 * others is cut off must not look like a run without results. */
static int open_folder(struct worker *worker, const struct es_scan_folder *folder)
{
    struct es_buf *path = &worker->folder_path;
    es_buf_reset(path);
    es_scan_steps_path(&worker->shared->steps, 0, folder->n_steps, folder->unit, path);
    if (path->failed) {
        stop_nomem(worker);
        return -2;
    }
    worker->look.n_calls++;
    int fd = openat(worker->shared->run_fd, path->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool is_top = folder->n_steps == 1;
    if (fd >= 0 || errno == ENAMETOOLONG || (errno == ENOTDIR && !is_top) ||
        (errno == ENOENT && !(is_top && es_scan_is_cut_off(worker->shared->run_fd, path->data))))
        return fd;
    struct es_err err = {0};
    int rc = errno == ENOENT ? es_err_set(&err, ES_ERR_IO, DOING, path->data, "a link to nothing")
                             : es_err_sys(&err, errno, DOING, path->data);
    stop(worker, rc, &err);
    return -2;
}

static void visit(struct worker *worker, const struct es_scan_folder *folder)
{
    int fd = open_folder(worker, folder);
    if (fd == -1)
        all_missing(worker, folder);
    if (fd < 0)
        return;
    if (folder->n_steps + 1 < worker->shared->steps.n) {
        push_subfolders(worker, folder);
    } else {
        if (folder->first == 0)
            push_rest(worker, folder);
        worker->look.dir_fd = fd;
        look_at_units(worker, folder);
    }
    worker->look.n_calls++;
    es_fd_close(&fd);
}

static void add_summary(struct es_scan_summary *sum, const struct worker *worker)
{
    const struct es_scan_summary *one = &worker->summary;
    for (int state = 0; state < ES_MARKER_N_STATES; state++)
        sum->n_markers[state] += one->n_markers[state];
    sum->n_known += one->n_known;
    sum->n_older += one->n_older;
    sum->n_calls += worker->look.n_calls;
    if (one->first_bad < sum->first_bad)
        sum->first_bad = one->first_bad;
}

static void work(struct worker *worker)
{
    struct es_scan_queue *queue = &worker->shared->queue;
    struct es_scan_folder folder;
    while (es_scan_queue_take(queue, &folder)) {
        visit(worker, &folder);
        es_scan_queue_done(queue);
    }
    flush(worker);
    (void)pthread_mutex_lock(&worker->shared->lock);
    add_summary(&worker->shared->summary, worker);
    (void)pthread_mutex_unlock(&worker->shared->lock);
    for (size_t i = 0; i < BATCH_LEN; i++)
        es_result_clear(&worker->changes[i].result);
    es_result_clear(&worker->scratch);
    es_buf_clear(&worker->folder_path);
    es_look_clear(&worker->look);
}

static void init(struct worker *worker, struct es_scan_shared *shared)
{
    *worker = (struct worker){.shared = shared,
                              .columns = es_units_columns(shared->units),
                              .grid = shared->steps.grid,
                              .summary = {.first_bad = ES_GRID_NONE}};
    worker->look.not_before_ns = shared->options->not_before_ns;
    es_result_init(&worker->look.result);
    es_result_init(&worker->scratch);
    for (size_t i = 0; i < BATCH_LEN; i++)
        es_result_init(&worker->changes[i].result);
}

void es_scan_work(struct es_scan_shared *shared)
{
    struct worker worker;
    (void)pthread_mutex_lock(&shared->lock); /* another thread may be at the rows already */
    init(&worker, shared);
    (void)pthread_mutex_unlock(&shared->lock);
    work(&worker);
}

void es_scan_all_missing(struct es_scan_shared *shared)
{
    struct worker worker;
    struct es_scan_folder run_dir = {.n_steps = 0};
    init(&worker, shared);
    all_missing(&worker, &run_dir);
    work(&worker); /* with nothing on the queue: ends what was begun */
}
