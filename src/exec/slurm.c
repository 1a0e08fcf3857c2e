#include "exec/slurm.h"

#include "core/mem.h"
#include "core/num.h"
#include "exec/capture.h"
#include "sys/await.h"
#include "sys/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ANSWER_WITHIN_S 10.0
#define ANSWER_BYTES ((size_t)256 << 10)
#define DEFAULT_KILL_WAIT_S 30.0
/* A program that was killed and does not go is left to itself. */
#define JOIN_TIMEOUT_S 2

struct es_slurm {
    _Atomic double end_s;
    _Atomic double kill_wait_s;
    bool asks_end;
    bool asks_kill_wait;
    bool has_thread;
    int stop_fd;
    pthread_t thread;
};

bool es_slurm_is_srun(void)
{
    return getenv("SLURM_STEP_ID") && !getenv("OMPI_COMM_WORLD_SIZE");
}

/* ------------------------------------------------------------------------------ what they say */

bool es_slurm_parse_end_time(const char *text, double now_s, double *ret_left_s)
{
    int64_t end_s;
    if (!es_parse_int(text, &end_s) || (double)end_s <= now_s)
        return false;
    *ret_left_s = (double)end_s - now_s;
    return true;
}

/* The next line of a text, without blanks around it, if it is short. False: there is none. */
static bool next_line(const char **text, char *ret_line, size_t size_bytes)
{
    const char *at = *text + strspn(*text, " \t\r\n");
    size_t n = strcspn(at, "\n");
    if (!*at)
        return false;
    *text = at + n;
    while (n > 0 && strchr(" \t\r", at[n - 1]))
        n--;
    if (n >= size_bytes)
        n = 0;
    memcpy(ret_line, at, n);
    ret_line[n] = '\0';
    return true;
}

bool es_slurm_parse_left(const char *text, double *ret_left_s)
{
    char line[64];
    double left_s, least_s = (double)INFINITY;
    while (next_line(&text, line, sizeof line))
        if (strchr(line, ':') && es_parse_duration(line, &left_s))
            least_s = fmin(least_s, left_s);
    if (isinf(least_s))
        return false;
    *ret_left_s = least_s;
    return true;
}

bool es_slurm_parse_kill_wait(const char *text, double *ret_kill_wait_s)
{
    static const char key[] = "KillWait";
    char line[128];
    while (next_line(&text, line, sizeof line)) {
        char *value = line + strlen(key);
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        value += strspn(value, " \t");
        if (*value++ != '=')
            continue;
        value += strspn(value, " \t");
        value[strcspn(value, " \t")] = '\0'; /* "30 sec" */
        return es_parse_duration(value, ret_kill_wait_s);
    }
    return false;
}

/* ------------------------------------------------------------------------------ asking */

static void ask_end(struct es_slurm *slurm)
{
    const char *const argv[] = {"squeue", "-h", "-j", getenv("SLURM_JOB_ID"), "-o", "%L", NULL};
    struct es_buf answer = {0};
    double left_s;
    if (es_capture(argv, ANSWER_WITHIN_S, slurm->stop_fd, ANSWER_BYTES, &answer, NULL) == 0 &&
        answer.len && es_slurm_parse_left(answer.data, &left_s))
        atomic_store(&slurm->end_s, es_clock_mono_s() + left_s);
    es_buf_clear(&answer);
}

static void ask_kill_wait(struct es_slurm *slurm)
{
    const char *const argv[] = {"scontrol", "show", "config", NULL};
    struct es_buf answer = {0};
    double kill_wait_s;
    if (es_capture(argv, ANSWER_WITHIN_S, slurm->stop_fd, ANSWER_BYTES, &answer, NULL) == 0 &&
        answer.len && es_slurm_parse_kill_wait(answer.data, &kill_wait_s))
        atomic_store(&slurm->kill_wait_s, kill_wait_s);
    es_buf_clear(&answer);
}

static void *slurm_main(void *arg)
{
    struct es_slurm *slurm = arg;
    if (slurm->asks_end)
        ask_end(slurm);
    if (slurm->asks_kill_wait)
        ask_kill_wait(slurm);
    return NULL;
}

int es_slurm_ask(bool is_srun, struct es_slurm **ret_slurm, struct es_err *err)
{
    const char *end_time = getenv("SLURM_JOB_END_TIME"), *job_id = getenv("SLURM_JOB_ID");
    double left_s;
    int64_t id;
    struct es_slurm *slurm = es_mem_calloc(1, sizeof *slurm);
    if (!slurm)
        return es_err_nomem(err, "asking Slurm");
    atomic_init(&slurm->end_s, (double)INFINITY);
    atomic_init(&slurm->kill_wait_s, DEFAULT_KILL_WAIT_S);
    slurm->stop_fd = -1;
    if (end_time && es_slurm_parse_end_time(end_time, es_clock_wall_s(), &left_s))
        atomic_store(&slurm->end_s, es_clock_mono_s() + left_s);
    else
        slurm->asks_end = job_id && es_parse_int(job_id, &id);
    slurm->asks_kill_wait = is_srun;
    *ret_slurm = slurm;
    if (!slurm->asks_end && !slurm->asks_kill_wait)
        return 0;
    slurm->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (slurm->stop_fd >= 0) /* else it is not asked: no reason not to run */
        slurm->has_thread = pthread_create(&slurm->thread, NULL, slurm_main, slurm) == 0;
    return 0;
}

void es_slurm_free(struct es_slurm *slurm)
{
    if (!slurm)
        return;
    if (slurm->has_thread) {
        (void)eventfd_write(slurm->stop_fd, 1);
        if (!es_await_thread(slurm->thread, JOIN_TIMEOUT_S))
            return; /* it still uses all this */
    }
    es_fd_close(&slurm->stop_fd);
    free(slurm);
}

double es_slurm_end_s(const struct es_slurm *slurm)
{
    return atomic_load(&slurm->end_s);
}

double es_slurm_kill_wait_s(const struct es_slurm *slurm)
{
    return atomic_load(&slurm->kill_wait_s);
}
