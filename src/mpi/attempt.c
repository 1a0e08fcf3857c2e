#include "mpi/attempt.h"

#include "run/folder.h"
#include "run/lease.h"
#include "run/marker.h"
#include "sys/atomicfile.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void es_attempt_init(struct es_attempt *attempt)
{
    attempt->dir_fd = -1;
    es_result_init(&attempt->result);
    es_result_init(&attempt->spare);
}

void es_attempt_clear(struct es_attempt *attempt)
{
    es_fd_close(&attempt->dir_fd);
    es_result_clear(&attempt->result);
    es_result_clear(&attempt->spare);
    es_buf_clear(&attempt->dir);
    es_buf_clear(&attempt->absolute_dir);
    es_buf_clear(&attempt->scratch);
}

static bool writes_markers(const struct es_attempt *attempt)
{
    return attempt->evaluator || attempt->job->evaluator.null_markers;
}

static const char *task_name(const struct es_attempt *attempt)
{
    return es_grid_task(attempt->job->grid, attempt->unit.task);
}

/* A valid marker in the unit's folder (dir, relative to dir_fd): its scores into result, its
 * identity into the entry. */
static bool marker_is_there(struct es_attempt *attempt, int dir_fd, const char *dir,
                            struct es_result *result)
{
    return es_marker_read(dir_fd, dir, task_name(attempt), attempt->not_before_ns,
                          &attempt->scratch, result, &attempt->entry.marker) == ES_MARKER_VALID;
}

static void set_reason(struct es_result *result, const char *text)
{
    result->reason = es_result_keep(result, text, strlen(text));
}

/* Who ran it, when and for how long: what the worker knows better than the evaluator. */
static void stamp(struct es_attempt *attempt, int64_t ended_ns)
{
    struct es_result *result = &attempt->result;
    double elapsed_s = (double)(ended_ns - attempt->begun_ns) / 1e9;
    result->finished_s = floor(es_clock_wall_s()); /* as the marker says it */
    result->started_s = floor(result->finished_s - elapsed_s);
    result->evaluation_time_s = elapsed_s;
    result->attempt = (int32_t)attempt->number;
    result->rank = (int32_t)attempt->rank;
    result->host = es_result_keep(result, attempt->host, strlen(attempt->host));
    result->device = es_result_keep(result, attempt->device, strlen(attempt->device));
    attempt->entry.total_s = elapsed_s;
}

static void end(struct es_attempt *attempt, enum es_result_kind kind)
{
    attempt->is_running = false;
    attempt->entry.kind = kind;
    es_fd_close(&attempt->dir_fd);
}

/* Writes done.json or failed.json. */
static int write_marker(struct es_attempt *attempt, const char *name, const char *exit_text,
                        const char *log_tail, size_t log_tail_n, struct es_err *err)
{
    es_marker_text(attempt->job->grid, attempt->unit, &attempt->result, attempt->versions_json,
                   exit_text, log_tail, log_tail_n, &attempt->scratch);
    if (attempt->scratch.failed)
        return es_err_nomem(err, "writing a marker");
    return es_atomic_write(attempt->dir_fd, name, attempt->scratch.data, attempt->scratch.len,
                           attempt->job->run.fsync, &attempt->entry.marker, err);
}

/* Takes over the tries that a failed.json tells of. It stays until the marker is there. */
static void take_earlier(struct es_attempt *attempt)
{
    attempt->has_failed_file =
        attempt->dir_fd >= 0 &&
        es_earlier_take(attempt->dir_fd, task_name(attempt), attempt->not_before_ns,
                        &attempt->scratch, &attempt->spare, &attempt->result);
}

/* The unit failed. The reason stands in failed.json too, where the next try finds it. */
static void fail(struct es_attempt *attempt, const char *reason, const struct es_outcome *outcome)
{
    stamp(attempt, es_clock_mono_ns());
    set_reason(&attempt->result, reason);
    attempt->result.is_interim = !attempt->is_last && attempt->entry.may_retry;
    take_earlier(attempt);
    if (attempt->dir_fd >= 0)
        (void)write_marker(attempt, ES_FAILED_NAME, outcome ? outcome->exit_text : "",
                           outcome && outcome->log_tail ? outcome->log_tail : "",
                           outcome ? outcome->log_tail_n : 0, NULL);
    memset(&attempt->entry.marker, 0, sizeof attempt->entry.marker);
    end(attempt, ES_RESULT_FAILED);
}

static void fail_with(struct es_attempt *attempt, const struct es_err *err)
{
    char text[1024];
    es_err_text(err, text, sizeof text);
    fail(attempt, text, NULL);
}

static int open_folder(struct es_attempt *attempt, struct es_err *err)
{
    const char *dir = attempt->dir.data;
    int is_new = es_mkdir_all_at(attempt->run_dir_fd, dir);
    if (is_new < 0)
        return es_err_sys(err, errno, "making the output folder", dir);
    attempt->dir_fd = openat(attempt->run_dir_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (attempt->dir_fd < 0)
        return es_err_sys(err, errno, "opening the output folder", dir);
    if (!is_new)
        es_atomic_sweep(attempt->dir_fd, "."); /* of a writer that was killed */
    return 0;
}

/* Takes the lease of the unit's bundle: once for what was assigned together. (It is dropped when
 * all of the bundle is through, and what comes back in spite of that comes with another
 * assignment.) */
static int take_lease(struct es_attempt *attempt, struct es_err *err)
{
    char name[ES_LEASE_NAME_SIZE];
    if (attempt->leases_fd < 0)
        attempt->has_lease = true; /* there are none */
    if (attempt->has_lease)
        return 0;
    es_lease_name(es_grid_checkpoint(attempt->job->grid, attempt->unit.checkpoint),
                  task_name(attempt), name);
    if (es_lease_take(attempt->leases_fd, name, attempt->driver_id, &attempt->has_lease) < 0)
        return es_err_sys(err, errno, "taking the lease of its bundle",
                          ES_FOLDER_NAME "/" ES_FOLDER_LEASES);
    return 0;
}

/* Whether the unit has failed for good in this run, on another driver; what its failed.json tells
 * goes to result. */
static bool has_failed(struct es_attempt *attempt)
{
    return attempt->leases_fd >= 0 && !attempt->was_tried &&
           es_failed_in_run(attempt->dir_fd, ".", task_name(attempt), attempt->started_ns,
                            &attempt->scratch, &attempt->result);
}

/* Sees to it that the unit is this worker's, and not done yet. The order counts: once the lease is
 * ours nobody else begins the unit, and in a folder just opened a marker is seen although it was
 * looked for before (NFS remembers that a file was not there). False: the try has ended. */
static bool is_to_run(struct es_attempt *attempt)
{
    struct es_err err = {0};
    es_buf_reset(&attempt->dir);
    es_layout_unit_dir(attempt->layout, attempt->job->grid, attempt->unit, &attempt->dir);
    int rc = attempt->dir.failed ? es_err_nomem(&err, "naming the output folder")
                                 : take_lease(attempt, &err);
    if (rc == 0 && !attempt->has_lease) {
        end(attempt, ES_RESULT_ELSEWHERE);
        return false;
    }
    if (rc == 0)
        rc = open_folder(attempt, &err);
    if (rc < 0) {
        fail_with(attempt, &err);
        return false;
    }
    if (marker_is_there(attempt, attempt->dir_fd, ".", &attempt->result)) {
        end(attempt, ES_RESULT_FOUND);
        return false;
    }
    if (has_failed(attempt)) {
        memset(&attempt->entry.marker, 0, sizeof attempt->entry.marker);
        end(attempt, ES_RESULT_FOUND_FAILED);
        return false;
    }
    es_result_reset(&attempt->result);
    if (attempt->job->evaluator.mode == ES_EVALUATOR_ONE_SHOT)
        (void)unlinkat(attempt->dir_fd, ES_RESULT_NAME, 0); /* of an earlier try: not this one's */
    return true;
}

static int hand_over(struct es_attempt *attempt, const struct es_backlog_bundle *bundle,
                     struct es_err *err)
{
    const struct es_grid *grid = attempt->job->grid;
    es_buf_reset(&attempt->absolute_dir);
    es_buf_printf(&attempt->absolute_dir, "%s/%s", attempt->run_dir, attempt->dir.data);
    if (attempt->absolute_dir.failed)
        return es_err_nomem(err, "handing a unit to the evaluator");
    struct es_evaluator_request request = {
        .unit_id = attempt->entry.unit_id,
        .checkpoint = es_grid_checkpoint(grid, attempt->unit.checkpoint),
        .layer = es_grid_layer(grid, attempt->unit.layer),
        .task = task_name(attempt),
        .output_dir = attempt->absolute_dir.data,
        .output_dir_fd = attempt->dir_fd,
        .attempt = attempt->number,
        .bundle = bundle->layer_numbers,
        .n_bundle = bundle->head.n_layers,
        .next_checkpoint = bundle->head.next_checkpoint == ES_GRID_NONE
                               ? NULL
                               : es_grid_checkpoint(grid, bundle->head.next_checkpoint),
        .timeout_s = isnan(attempt->job->evaluator.timeout_s)
                         ? bundle->layers[bundle->n_begun - 1].timeout_s
                         : attempt->job->evaluator.timeout_s,
    };
    return es_evaluator_begin(attempt->evaluator, &request, err);
}

void es_attempt_begin(struct es_attempt *attempt, struct es_unit unit, uint32_t number,
                      const struct es_backlog_bundle *bundle)
{
    struct es_err err = {0};
    attempt->unit = unit;
    attempt->number = number;
    attempt->begun_ns = es_clock_mono_ns();
    attempt->is_running = true;
    attempt->was_tried = bundle->layers[bundle->n_begun - 1].was_tried;
    attempt->is_last = bundle->layers[bundle->n_begun - 1].is_last;
    attempt->has_lease = attempt->has_lease && bundle->n_begun > 1;
    attempt->entry = (struct es_result_entry){
        .unit_id = es_grid_id(attempt->job->grid, unit),
        .may_retry = true,
        .total_s = (double)NAN,
    };
    es_result_reset(&attempt->result);
    attempt->has_failed_file = true; /* until it was looked for */
    if (writes_markers(attempt) && !is_to_run(attempt))
        return;
    if (!attempt->evaluator) {
        double seconds = attempt->job->evaluator.null_seconds;
        attempt->null_until_ns = es_clock_after_ns(attempt->begun_ns, seconds);
    } else if (hand_over(attempt, bundle, &err) < 0) {
        fail_with(attempt, &err);
    }
}

static void end_done(struct es_attempt *attempt)
{
    if (attempt->dir_fd >= 0 && attempt->has_failed_file)
        (void)unlinkat(attempt->dir_fd, ES_FAILED_NAME, 0); /* of an earlier try or run */
    end(attempt, ES_RESULT_DONE);
}

/* Takes over what the evaluator's own marker says: it, and no reply, is read ever after. */
static void take_own(struct es_attempt *attempt, struct es_result *own)
{
    struct es_result reply = attempt->result;
    attempt->result = *own;
    attempt->result.load_s = reply.load_s;
    attempt->result.pass_s = reply.pass_s;
    attempt->result.score_s = reply.score_s;
    *own = reply;
}

/* Attributes of a marker stand above those of the file beside it, here as when they are read. */
static void take_own_attributes(struct es_attempt *attempt, const struct es_result *own)
{
    const char *text = es_result_text(own, own->attributes);
    if (text[0])
        attempt->result.attributes = es_result_keep(&attempt->result, text, strlen(text));
}

static int write_done(struct es_attempt *attempt, struct es_err *err)
{
    take_earlier(attempt);
    if (attempt->result.failed)
        return es_err_nomem(err, "keeping the earlier tries");
    return write_marker(attempt, ES_MARKER_NAME, "", NULL, 0, err);
}

/* What a reply said, where the evaluator's own marker, which is kept, has no scores. */
static int write_beside(struct es_attempt *attempt, struct es_err *err)
{
    struct es_file_id marker = attempt->entry.marker;
    take_earlier(attempt);
    int rc = write_marker(attempt, ES_RESULT_NAME, "", NULL, 0, err);
    attempt->entry.marker = marker;
    return rc;
}

/* The scores are in result: makes sure that they are on disk, with a marker. */
static void succeed(struct es_attempt *attempt, int64_t ended_ns)
{
    struct es_err err = {0};
    struct es_result own;
    int rc = 0;
    es_result_init(&own);
    bool is_there = attempt->evaluator &&
                    marker_is_there(attempt, attempt->run_dir_fd, attempt->dir.data, &own);
    bool has_scores = is_there && (!isnan(own.main_score) || own.n_metrics);
    if (has_scores)
        take_own(attempt, &own);
    else
        take_own_attributes(attempt, &own);
    es_result_clear(&own);
    stamp(attempt, ended_ns);
    if (attempt->result.failed)
        rc = es_err_nomem(&err, "keeping the scores");
    else if (!is_there && writes_markers(attempt))
        rc = write_done(attempt, &err);
    else if (is_there && !has_scores &&
             (!isnan(attempt->result.main_score) || attempt->result.attributes))
        rc = write_beside(attempt, &err);
    if (rc < 0)
        fail_with(attempt, &err);
    else
        end_done(attempt);
}

/* No result came. Still, a valid marker says done, whatever the evaluator's end. */
static void end_without_result(struct es_attempt *attempt, const struct es_outcome *outcome,
                               const char *reason)
{
    es_result_reset(&attempt->result);
    if (attempt->evaluator &&
        marker_is_there(attempt, attempt->run_dir_fd, attempt->dir.data, &attempt->result)) {
        if (isnan(attempt->result.finished_s))
            stamp(attempt, outcome->ended_ns);
        attempt->entry.total_s = (double)NAN; /* of a broken process: nothing to learn from */
        end_done(attempt);
    } else if (attempt->was_interrupted || outcome->kind == ES_OUTCOME_STOPPED) {
        end(attempt, ES_RESULT_RETURNED);
    } else {
        fail(attempt, reason, outcome);
    }
}

static void take_reply(struct es_attempt *attempt, const struct es_outcome *outcome)
{
    struct es_err err = {0};
    struct es_reply reply = {0};
    char text[1024];
    if (es_reply_parse(outcome->reply, outcome->reply_n, &reply, &attempt->result, &err) < 0) {
        es_err_text(&err, text, sizeof text);
        end_without_result(attempt, outcome, text);
    } else if (reply.unit != (int64_t)attempt->entry.unit_id) {
        (void)snprintf(text, sizeof text, "the reply is for unit %lld, not for %u",
                       (long long)reply.unit, attempt->entry.unit_id);
        end_without_result(attempt, outcome, text);
    } else if (!reply.ok) {
        (void)snprintf(text, sizeof text, "%s", es_result_text(&attempt->result, reply.error));
        attempt->entry.may_retry = reply.may_retry;
        end_without_result(attempt, outcome, text);
    } else if (attempt->job->evaluator.require_score && isnan(attempt->result.main_score)) {
        end_without_result(attempt, outcome, "the evaluator gave no main_score");
    } else {
        succeed(attempt, outcome->ended_ns);
    }
}

/* A result.json that was cut, by a full disk say, or cannot be read, is no score that was left out
 * on purpose. NULL: there is none, or it is one without a score. */
static const char *result_fault(struct es_attempt *attempt)
{
    cJSON *root = NULL;
    es_buf_reset(&attempt->scratch);
    if (es_file_read_at(attempt->dir_fd, ES_RESULT_NAME, ES_MARKER_LIMIT_BYTES, &attempt->scratch,
                        NULL) < 0)
        return errno == ENOENT  ? NULL
               : errno == EFBIG ? "its result.json is larger than 64 MiB"
                                : "its result.json cannot be read";
    bool is_json =
        es_json_parse(attempt->scratch.data, attempt->scratch.len, NULL, &root, NULL) == 0;
    cJSON_Delete(root);
    return is_json ? NULL : "its result.json is not valid JSON";
}

/* A one-shot evaluator ended well: its scores are in files, its own marker's among them. */
static void take_files(struct es_attempt *attempt, const struct es_outcome *outcome)
{
    es_result_reset(&attempt->result);
    bool found = es_result_find(attempt->run_dir_fd, attempt->dir.data, task_name(attempt),
                                &attempt->scratch, &attempt->result);
    const char *fault = found ? NULL : result_fault(attempt);
    if (fault)
        end_without_result(attempt, outcome, fault);
    else if (!found && attempt->job->evaluator.require_score)
        end_without_result(attempt, outcome,
                           "there is neither result.json nor an MTEB result file");
    else
        succeed(attempt, outcome->ended_ns);
}

/* The last line of a log's tail that is not blank, in at most n_most bytes. */
static const char *last_line(const char *tail, size_t n, size_t n_most, size_t *ret_n)
{
    while (n > 0 && isspace((unsigned char)tail[n - 1]))
        n--;
    size_t start = n;
    while (start > 0 && tail[start - 1] != '\n' && n - start < n_most)
        start--;
    *ret_n = n - start;
    return tail + start;
}

/* "exit code 1: ModuleNotFoundError: No module named 'mteb'": what people look for in the log. An
 * exit code of 0 is no reason by itself: what was wrong is that no reply came before it. */
static void end_with_exit(struct es_attempt *attempt, const struct es_outcome *outcome)
{
    char reason[320];
    const char *lack = strcmp(outcome->exit_text, "exit code 0") == 0 ? "no reply before " : "";
    size_t n = 0;
    const char *line =
        last_line(outcome->log_tail ? outcome->log_tail : "", outcome->log_tail_n, 200, &n);
    (void)snprintf(reason, sizeof reason, "%s%s%s%.*s", lack, outcome->exit_text, n ? ": " : "",
                   (int)n, line);
    end_without_result(attempt, outcome, reason);
}

static void take_outcome(struct es_attempt *attempt, const struct es_outcome *outcome)
{
    attempt->begun_ns = outcome->begun_ns;
    if (outcome->kind == ES_OUTCOME_REPLY) {
        take_reply(attempt, outcome);
    } else if (outcome->kind == ES_OUTCOME_EXIT_OK) {
        take_files(attempt, outcome);
    } else {
        end_with_exit(attempt, outcome);
    }
}

void es_attempt_step(struct es_attempt *attempt, int64_t now_ns)
{
    if (!attempt->is_running)
        return;
    if (!attempt->evaluator) {
        if (attempt->was_interrupted && now_ns < attempt->null_until_ns) {
            end(attempt, ES_RESULT_RETURNED);
        } else if (now_ns >= attempt->null_until_ns) {
            attempt->result.main_score = 0;
            succeed(attempt, now_ns);
        }
        return;
    }
    const struct es_outcome *outcome = es_evaluator_outcome(attempt->evaluator);
    if (outcome->kind == ES_OUTCOME_NONE)
        return;
    take_outcome(attempt, outcome);
    es_evaluator_take(attempt->evaluator);
}
