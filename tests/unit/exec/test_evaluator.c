#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/buf.h"
#include "exec/evaluator.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/json.h"
#include "sys/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ARGS = 12, LOG_LIMIT_BYTES = 100000 };

/* One evaluator, and the folder of the one unit that the tests give it. */
struct fixture {
    char folder[64];
    int dir_fd;
    int child_fd;
    const char *command[MAX_ARGS + 3];
    struct es_evaluator_spec spec;
    struct es_evaluator *evaluator;
    struct es_evaluator_request request;
};

static const int32_t bundle[] = {21, 22};

static void path_in(const struct fixture *f, char *ret_path, size_t size_bytes, const char *leaf)
{
    (void)snprintf(ret_path, size_bytes, "%s/%s", f->folder, leaf);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *parent = getenv("TMPDIR");
    if (!f)
        return -1;
    (void)snprintf(f->folder, sizeof f->folder, "%.40s/es-eval-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(f->folder)) {
        free(f);
        return -1;
    }
    f->dir_fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->child_fd = es_signal_open_child();
    f->spec = (struct es_evaluator_spec){.command = f->command,
                                         .run_dir = "/runs/demo",
                                         .kill_after_s = 60,
                                         .log_limit_bytes = LOG_LIMIT_BYTES};
    f->request = (struct es_evaluator_request){.unit_id = 17,
                                               .checkpoint = "step1000",
                                               .layer = 22,
                                               .task = "STS12",
                                               .output_dir = f->folder,
                                               .output_dir_fd = f->dir_fd,
                                               .attempt = 1,
                                               .bundle = bundle,
                                               .n_bundle = 2,
                                               .next_checkpoint = "step2000"};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const leaves[] = {"log.txt", "result.json", "done.json",
                                         "env",     "args",        "count"};
    es_evaluator_free(f->evaluator);
    for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++)
        (void)unlinkat(f->dir_fd, leaves[i], 0);
    es_fd_close(&f->dir_fd);
    es_fd_close(&f->child_fd);
    int rc = rmdir(f->folder);
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        rc = -1; /* a child was left */
    free(f);
    return rc;
}

/* Makes the evaluator from a line of arguments for the fake one. */
static void create(struct fixture *f, bool persistent, char *arguments)
{
    size_t n = 0;
    f->command[n++] = FAKE_EVALUATOR;
    if (persistent)
        f->command[n++] = "--persistent";
    char *rest = NULL;
    for (char *word = strtok_r(arguments, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(n < MAX_ARGS + 2);
        f->command[n++] = word;
    }
    f->command[n] = NULL;
    f->spec.persistent = persistent;
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
}

static void begin(struct fixture *f)
{
    struct es_err err = {0};
    char text[1024];
    if (es_evaluator_begin(f->evaluator, &f->request, &err) < 0) {
        es_err_text(&err, text, sizeof text);
        fail_msg("%s", text);
    }
}

/* Waits for something to happen, then steps once. */
static void turn(struct fixture *f)
{
    struct pollfd fds[5];
    size_t n = es_evaluator_poll_fds(f->evaluator, fds);
    assert_in_range(n, 0, 4);
    fds[n++] = (struct pollfd){.fd = f->child_fd, .events = POLLIN};
    int64_t deadline_ns = es_evaluator_deadline_ns(f->evaluator);
    int64_t left_ns = deadline_ns - es_clock_mono_ns();
    int wait_ms = deadline_ns == INT64_MAX ? -1 : left_ns < 0 ? 0 : (int)(left_ns / 1000000 + 1);
    (void)poll(fds, n, wait_ms);
    while (es_signal_take(f->child_fd))
        continue;
    es_evaluator_step(f->evaluator, es_clock_mono_ns());
}

/* A SIGTERM that comes before it has come so far would end it all the same. */
static void wait_until_it_ignores_term(struct fixture *f)
{
    char path[64], line[256];
    unsigned long long mask = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", es_evaluator_pid(f->evaluator));
    for (int i = 0; i < 20000 && !(mask & 1ull << (SIGTERM - 1)); i++) {
        FILE *status = fopen(path, "re");
        assert_non_null(status);
        while (fgets(line, sizeof line, status))
            if (strncmp(line, "SigIgn:", 7) == 0)
                mask = strtoull(line + 7, NULL, 16);
        (void)fclose(status);
        (void)poll(NULL, 0, 1);
    }
    assert_true(mask & 1ull << (SIGTERM - 1));
}

static const struct es_outcome *wait_outcome(struct fixture *f)
{
    while (es_evaluator_outcome(f->evaluator)->kind == ES_OUTCOME_NONE)
        turn(f);
    return es_evaluator_outcome(f->evaluator);
}

static void wait_state(struct fixture *f, enum es_evaluator_state state)
{
    while (es_evaluator_state(f->evaluator) != state)
        turn(f);
}

static const struct es_outcome *run(struct fixture *f)
{
    begin(f);
    return wait_outcome(f);
}

/* A file of the unit's folder; "" when it is not there. */
static void read_file(struct fixture *f, const char *leaf, struct es_buf *buf)
{
    es_buf_reset(buf);
    es_buf_puts(buf, "");
    if (es_file_read_at(f->dir_fd, leaf, 1 << 24, buf, NULL) < 0)
        assert_int_equal(errno, ENOENT);
}

static void assert_file(struct fixture *f, const char *leaf, const char *expected)
{
    struct es_buf buf = {0};
    read_file(f, leaf, &buf);
    assert_string_equal(buf.data, expected);
    es_buf_clear(&buf);
}

static void write_file(struct fixture *f, const char *leaf, const char *text)
{
    int fd = openat(f->dir_fd, leaf, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
}

static bool is_there(struct fixture *f, const char *leaf)
{
    return faccessat(f->dir_fd, leaf, F_OK, 0) == 0;
}

/* ------------------------------------------------------------------------------ outcomes */

struct row {
    bool persistent;
    const char *arguments;
    enum es_outcome_kind kind;
    const char *exit_text;
    const char *reply; /* a part of it */
    const char *tail;  /* all of it; NULL: not looked at */
    enum es_evaluator_state after;
};

static const struct row rows[] = {
    {false, "", ES_OUTCOME_EXIT_OK, "exit code 0", NULL, "", ES_EVALUATOR_STOPPED},
    {false, "--exit 3", ES_OUTCOME_EXIT, "exit code 3", NULL, "", ES_EVALUATOR_STOPPED},
    {false, "--print hello --exit 1", ES_OUTCOME_EXIT, "exit code 1", NULL, "hello\nhello",
     ES_EVALUATOR_STOPPED},
    {false, "--signal 9", ES_OUTCOME_SIGNAL, "signal 9 (Killed)", NULL, "", ES_EVALUATOR_STOPPED},
    {false, "--fork-grandchild", ES_OUTCOME_EXIT_OK, "exit code 0", NULL, "", ES_EVALUATOR_STOPPED},
    {false, "--fork-grandchild --print x --exit 2", ES_OUTCOME_EXIT, "exit code 2", NULL, "x\nx",
     ES_EVALUATOR_STOPPED},
    {true, "", ES_OUTCOME_REPLY, "", "{\"unit\":17,\"status\":\"ok\",", "", ES_EVALUATOR_IDLE},
    {true, "--reply-by-path", ES_OUTCOME_REPLY, "", "{\"unit\":17,\"status\":\"ok\",", "",
     ES_EVALUATOR_IDLE},
    {true, "--print hello", ES_OUTCOME_REPLY, "", "\"ok\"", "hello\nhello", ES_EVALUATOR_IDLE},
    {true, "--error --retry", ES_OUTCOME_REPLY, "", "\"retry\":true", "", ES_EVALUATOR_IDLE},
    {true, "--garbage", ES_OUTCOME_REPLY, "", "this is no JSON", "", ES_EVALUATOR_IDLE},
    {true, "--wrong-unit", ES_OUTCOME_REPLY, "", "{\"unit\":18,", "", ES_EVALUATOR_IDLE},
    {true, "--nan", ES_OUTCOME_REPLY, "", "\"main_score\":NaN", "", ES_EVALUATOR_IDLE},
    {true, "--twice", ES_OUTCOME_REPLY, "", "}]}", "", ES_EVALUATOR_IDLE},
    {true, "--exit 0", ES_OUTCOME_EXIT, "exit code 0", NULL, "", ES_EVALUATOR_STOPPED},
    {true, "--print bye --exit 4", ES_OUTCOME_EXIT, "exit code 4", NULL, "bye\nbye",
     ES_EVALUATOR_STOPPED},
    {true, "--signal 11", ES_OUTCOME_SIGNAL, "signal 11 (Segmentation fault)", NULL, "",
     ES_EVALUATOR_STOPPED},
    {true, "--die-mid-line", ES_OUTCOME_EXIT, "exit code 0", NULL, "", ES_EVALUATOR_STOPPED},
    {true, "--fork-grandchild --exit 5", ES_OUTCOME_EXIT, "exit code 5", NULL, "",
     ES_EVALUATOR_STOPPED},
    {true, "--big-reply 67108865", ES_OUTCOME_GARBAGE, "its reply is longer than 64 MiB", NULL, "",
     ES_EVALUATOR_STOPPED},
    {true, "--big-reply 60000000", ES_OUTCOME_REPLY, "", "xxxx{\"unit\":17", "", ES_EVALUATOR_IDLE},
};

static void check_row(struct fixture *f, const struct row *row)
{
    char arguments[128];
    (void)snprintf(arguments, sizeof arguments, "%s", row->arguments);
    create(f, row->persistent, arguments);
    assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_STOPPED);
    int64_t before_ns = es_clock_mono_ns();
    const struct es_outcome *outcome = run(f);
    assert_int_equal(outcome->kind, row->kind);
    assert_string_equal(outcome->exit_text, row->exit_text);
    assert_true(before_ns <= outcome->begun_ns && outcome->begun_ns <= outcome->ended_ns);
    assert_true(outcome->ended_ns <= es_clock_mono_ns());
    if (row->reply) {
        assert_int_equal(strlen(outcome->reply), outcome->reply_n);
        assert_non_null(strstr(outcome->reply, row->reply));
        assert_null(strchr(outcome->reply, '\n'));
    }
    if (row->tail) {
        assert_int_equal(outcome->log_tail_n, strlen(row->tail));
        assert_memory_equal(outcome->log_tail, row->tail, outcome->log_tail_n);
        assert_file(f, "log.txt", row->tail);
        assert_int_equal(is_there(f, "log.txt"), row->tail[0] != '\0');
    }
    es_evaluator_take(f->evaluator);
    assert_int_equal(es_evaluator_outcome(f->evaluator)->kind, ES_OUTCOME_NONE);
    assert_int_equal(es_evaluator_state(f->evaluator), row->after);
    es_evaluator_free(f->evaluator);
    f->evaluator = NULL;
    (void)unlinkat(f->dir_fd, "log.txt", 0);
}

static void test_outcomes(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s: %s\n", rows[i].persistent ? "persistent" : "one-shot",
                      rows[i].arguments);
        check_row(*state, &rows[i]);
    }
}

static void test_reply_then_death_is_a_reply(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "--reply-then-exit 3";
    create(f, true, arguments);
    begin(f);
    /* Both are there before the first step: wait for the death alone. */
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)es_evaluator_pid(f->evaluator), &info, WEXITED | WNOWAIT),
                     0);
    const struct es_outcome *outcome = wait_outcome(f);
    assert_int_equal(outcome->kind, ES_OUTCOME_REPLY);
    assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_STOPPED);
    assert_int_equal(es_evaluator_pid(f->evaluator), -1);
    es_evaluator_take(f->evaluator);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY); /* it was started again */
    es_evaluator_take(f->evaluator);
}

/* Many units through one process. */
static void run_many(struct fixture *f, char *arguments, int n_units)
{
    char expected[32];
    create(f, true, arguments);
    assert_int_equal(es_evaluator_start(f->evaluator, NULL), 0);
    assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_IDLE);
    int pid = es_evaluator_pid(f->evaluator);
    for (int i = 0; i < n_units; i++) {
        f->request.unit_id = (uint32_t)i;
        const struct es_outcome *outcome = run(f);
        assert_int_equal(outcome->kind, ES_OUTCOME_REPLY);
        (void)snprintf(expected, sizeof expected, "{\"unit\":%d,", i);
        assert_memory_equal(outcome->reply, expected, strlen(expected));
        assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_BUSY);
        es_evaluator_take(f->evaluator);
        assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_IDLE);
    }
    assert_int_equal(es_evaluator_pid(f->evaluator), pid);
}

static void test_many_units(void **state)
{
    char arguments[] = "";
    run_many(*state, arguments, 2000);
}

static void test_many_units_by_path(void **state)
{
    char arguments[] = "--reply-by-path";
    run_many(*state, arguments, 200);
}

/* A shell that closes the FIFO after each reply: no end of file may be left behind to be polled. */
static void test_fifo_never_ends(void **state)
{
    struct fixture *f = *state;
    static const char *const command[] = {
        "/bin/sh", "-c", "while read line; do echo \"{}\" >\"$EVALSWEEP_REPLY_PATH\"; done", NULL};
    struct pollfd fds[4];
    f->spec.command = command;
    f->spec.persistent = true;
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(run(f)->reply, "{}");
        es_evaluator_take(f->evaluator);
        size_t n = es_evaluator_poll_fds(f->evaluator, fds);
        assert_int_equal(n, 3);
        assert_int_equal(poll(fds, n, 0), 0);
    }
}

/* More than was asked for, in one write: it must not pass for the next unit's reply. */
static void test_replies_beyond_the_first(void **state)
{
    struct fixture *f = *state;
    static const char *const command[] = {"/bin/sh", "-c",
                                          "printf 'zero\n' >&3;"
                                          "read line; printf '\n\r\none\r\ntwo\nthr' >&3;"
                                          "read line; printf 'four\n' >&3; read line",
                                          NULL};
    struct pollfd fds[4];
    f->spec.command = command;
    f->spec.persistent = true;
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    assert_int_equal(es_evaluator_start(f->evaluator, NULL), 0);
    size_t n = es_evaluator_poll_fds(f->evaluator, fds);
    assert_int_equal(poll(fds, n, -1), 1);
    es_evaluator_step(f->evaluator, es_clock_mono_ns()); /* "zero" was not asked for at all */
    assert_int_equal(es_evaluator_outcome(f->evaluator)->kind, ES_OUTCOME_NONE);
    assert_int_equal(poll(fds, n, 0), 0);
    assert_string_equal(run(f)->reply, "one");
    es_evaluator_take(f->evaluator);
    assert_string_equal(run(f)->reply, "four");
    es_evaluator_take(f->evaluator);
}

static void test_half_a_reply_is_forgotten(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "--die-mid-line --fail-attempts 1", by_path[] = "--die-mid-line "
                                                                       "--fail-attempts 1 "
                                                                       "--reply-by-path";
    for (int i = 0; i < 2; i++) {
        create(f, true, i ? by_path : arguments);
        f->request.attempt = 1;
        assert_int_equal(run(f)->kind, ES_OUTCOME_EXIT);
        es_evaluator_take(f->evaluator);
        f->request.attempt = 2;
        const struct es_outcome *outcome = run(f);
        assert_int_equal(outcome->kind, ES_OUTCOME_REPLY);
        assert_null(strstr(outcome->reply + 1, "{\"unit\":")); /* the half is not in front of it */
        es_evaluator_free(f->evaluator);
        f->evaluator = NULL;
    }
}

/* The reply and the end come close together, in every order that a step can see them. */
static void test_reply_and_end_race(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "--reply-then-exit 1";
    create(f, true, arguments);
    for (int i = 0; i < 200; i++) {
        begin(f);
        while (es_evaluator_outcome(f->evaluator)->kind == ES_OUTCOME_NONE)
            es_evaluator_step(f->evaluator, es_clock_mono_ns());
        assert_int_equal(es_evaluator_outcome(f->evaluator)->kind, ES_OUTCOME_REPLY);
        es_evaluator_take(f->evaluator);
        wait_state(f, ES_EVALUATOR_STOPPED);
    }
}

static void test_begin_needs_a_free_evaluator(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "";
    create(f, true, arguments);
    begin(f);
    assert_int_equal(es_evaluator_begin(f->evaluator, &f->request, NULL), ES_ERR_INTERNAL);
    wait_outcome(f);
    assert_int_equal(es_evaluator_begin(f->evaluator, &f->request, NULL), ES_ERR_INTERNAL);
    es_evaluator_take(f->evaluator);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
}

/* ------------------------------------------------------------------------------ what it is told */

static void test_request_line(void **state)
{
    struct fixture *f = *state;
    static const char *const cat[] = {"/bin/sh", "-c", "cat >&\"$EVALSWEEP_REPLY_FD\"", NULL};
    cJSON *root;
    struct es_buf expected = {0};
    f->spec.command = cat;
    f->spec.persistent = true;
    f->request.task = "quote \" and \xc3\xa9";
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    const struct es_outcome *outcome = run(f);
    assert_int_equal(outcome->kind, ES_OUTCOME_REPLY);
    assert_int_equal(es_json_parse(outcome->reply, outcome->reply_n, "request", &root, NULL), 0);
    assert_string_equal(es_json_get_string(root, "task"), f->request.task);
    cJSON_Delete(root);
    es_buf_printf(&expected,
                  "{\"unit\":17,\"checkpoint\":\"step1000\",\"layer\":22,"
                  "\"task\":\"quote \\\" and \xc3\xa9\",\"output_dir\":\"%s\",\"attempt\":1,"
                  "\"bundle\":[21,22],\"next_checkpoint\":\"step2000\"}",
                  f->folder);
    assert_string_equal(outcome->reply, expected.data);
    es_evaluator_take(f->evaluator);
    f->request.next_checkpoint = NULL;
    f->request.n_bundle = 0;
    assert_non_null(strstr(run(f)->reply, "\"bundle\":[],\"next_checkpoint\":null}"));
    es_evaluator_take(f->evaluator);
    es_buf_clear(&expected);
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    char dump[96];
    path_in(f, dump, sizeof dump, "args");
    const char *command[] = {
        FAKE_EVALUATOR,           "--dump-args", dump, "{checkpoint}", "x{layer}/{task}y",
        "{output_dir}/{run_dir}", "{none}{",     "",   "{{layer}}",    NULL};
    struct es_buf expected = {0};
    f->spec.command = command;
    f->request.task = "{layer}"; /* not replaced again */
    f->request.layer = -3;
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    assert_int_equal(run(f)->kind, ES_OUTCOME_EXIT_OK);
    es_evaluator_take(f->evaluator);
    es_buf_printf(&expected,
                  "%s\n--dump-args\n%s\nstep1000\nx-3/{layer}y\n%s//runs/demo\n{none}{\n\n{-3}\n",
                  FAKE_EVALUATOR, dump, f->folder);
    assert_file(f, "args", expected.data);
    es_buf_clear(&expected);
}

static void assert_variable(const struct es_buf *env, const char *name, const char *value)
{
    struct es_buf line = {0};
    es_buf_printf(&line, "\n%s=%s\n", name, value ? value : "");
    if (!value)
        line.data[strlen(name) + 2] = '\0';
    if ((strstr(env->data, line.data) != NULL) != (value != NULL))
        fail_msg("%s should be %s in\n%s", name, value ? value : "unset", env->data);
    es_buf_clear(&line);
}

static void test_environment(void **state)
{
    struct fixture *f = *state;
    struct es_env_pair pairs[] = {{"HF_HUB_OFFLINE", "1"}, {"OMP_NUM_THREADS", "4"}};
    struct es_buf env = {0};
    char arguments[128];
    (void)setenv("SLURM_PROCID", "3", 1);
    (void)setenv("SLURM_JOB_ID", "99", 1);
    (void)setenv("OMP_NUM_THREADS", "64", 1);
    (void)setenv("EVALSWEEP_REPLY_FD", "7", 1);
    f->spec.env = pairs;
    f->spec.n_env = 2;
    f->request.attempt = 2;
    (void)snprintf(arguments, sizeof arguments, "--dump-env %s/env", f->folder);
    create(f, false, arguments);
    (void)unsetenv("SLURM_PROCID");
    (void)unsetenv("SLURM_JOB_ID");
    (void)unsetenv("OMP_NUM_THREADS");
    (void)unsetenv("EVALSWEEP_REPLY_FD");
    assert_int_equal(run(f)->kind, ES_OUTCOME_EXIT_OK);
    es_evaluator_take(f->evaluator);
    read_file(f, "env", &env);
    const struct es_env_pair expected[] = {
        {"SLURM_PROCID", NULL},
        {"SLURM_JOB_ID", "99"},
        {"OMP_NUM_THREADS", "4"},
        {"HF_HUB_OFFLINE", "1"},
        {"PYTHONUNBUFFERED", "1"},
        {"EVALSWEEP_REPLY_FD", NULL},
        {"EVALSWEEP_REPLY_PATH", NULL},
        {"EVALSWEEP_CHECKPOINT", "step1000"},
        {"EVALSWEEP_LAYER", "22"},
        {"EVALSWEEP_TASK", "STS12"},
        {"EVALSWEEP_OUTPUT_DIR", f->folder},
        {"EVALSWEEP_RUN_DIR", "/runs/demo"},
        {"EVALSWEEP_ATTEMPT", "2"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_variable(&env, expected[i].name, expected[i].value);
    es_buf_clear(&env);
}

static void test_one_shot_twice(void **state)
{
    struct fixture *f = *state;
    char arguments[128];
    (void)snprintf(arguments, sizeof arguments, "--count-file %s/count", f->folder);
    create(f, false, arguments);
    assert_int_equal(run(f)->kind, ES_OUTCOME_EXIT_OK);
    es_evaluator_take(f->evaluator);
    f->request.checkpoint = "s";
    f->request.task = "a much longer name of a task";
    assert_int_equal(run(f)->kind, ES_OUTCOME_EXIT_OK);
    es_evaluator_take(f->evaluator);
    assert_file(f, "count", "step1000 22 STS12\ns 22 a much longer name of a task\n");
}

/* ------------------------------------------------------------------------------ the log */

static void test_log_is_capped(void **state)
{
    struct fixture *f = *state;
    struct es_buf log = {0};
    char arguments[] = "--spam 10000000 --exit 1", cut[80];
    create(f, false, arguments);
    const struct es_outcome *outcome = run(f);
    assert_int_equal(outcome->kind, ES_OUTCOME_EXIT); /* all was read: it was not held up */
    assert_int_equal(outcome->log_tail_n, 4096);
    es_evaluator_take(f->evaluator);
    read_file(f, "log.txt", &log);
    (void)snprintf(cut, sizeof cut, "\n[evalsweep: log cut after %d bytes]\n", LOG_LIMIT_BYTES);
    assert_int_equal(log.len, LOG_LIMIT_BYTES + strlen(cut));
    assert_string_equal(log.data + LOG_LIMIT_BYTES, cut);
    es_buf_clear(&log);
}

static void test_log_of_exactly_the_limit(void **state)
{
    struct fixture *f = *state;
    struct es_buf log = {0};
    char arguments[] = "--spam 100000";
    create(f, true, arguments);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
    read_file(f, "log.txt", &log);
    assert_int_equal(log.len, LOG_LIMIT_BYTES);
    es_buf_clear(&log);
}

static void test_log_is_the_units_own(void **state)
{
    struct fixture *f = *state;
    char other[96];
    path_in(f, other, sizeof other, "other");
    assert_int_equal(mkdir(other, 0700), 0);
    int other_fd = open(other, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char arguments[] = "--fail-unit loud --print words";
    create(f, true, arguments);
    f->request.task = "loud";
    write_file(f, "log.txt", "a longer text of an earlier attempt");
    assert_int_equal(run(f)->log_tail_n, 11);
    es_evaluator_take(f->evaluator);
    assert_file(f, "log.txt", "words\nwords");
    f->request.task = "quiet";
    f->request.output_dir_fd = other_fd;
    assert_int_equal(run(f)->log_tail_n, 0);
    es_evaluator_take(f->evaluator);
    assert_file(f, "log.txt", "words\nwords");
    assert_int_equal(faccessat(other_fd, "log.txt", F_OK, 0), -1);
    es_fd_close(&other_fd);
    assert_int_equal(rmdir(other), 0);
}

/* A shell as an evaluator: what it prints before the first request belongs to the first unit. */
static void test_output_before_the_first_unit(void **state)
{
    struct fixture *f = *state;
    static const char *const command[] = {
        "/bin/sh", "-c", "echo loading; read line; echo working; echo \"{}\" >&3; read line", NULL};
    f->spec.command = command;
    f->spec.persistent = true;
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    assert_int_equal(es_evaluator_start(f->evaluator, NULL), 0);
    struct pollfd fds[4]; /* the output comes first */
    assert_in_range(es_evaluator_poll_fds(f->evaluator, fds), 3, 3);
    assert_int_equal(poll(fds, 1, -1), 1);
    es_evaluator_step(f->evaluator, es_clock_mono_ns()); /* reads "loading": no unit is under way */
    assert_false(is_there(f, "log.txt"));
    const struct es_outcome *outcome = run(f);
    assert_string_equal(outcome->reply, "{}");
    assert_int_equal(outcome->log_tail_n, 16);
    es_evaluator_take(f->evaluator);
    assert_file(f, "log.txt", "loading\nworking\n");
}

static void test_died_at_start(void **state)
{
    struct fixture *f = *state;
    static const char *const command[] = {"/bin/sh", "-c", "echo no module named torch; exit 7",
                                          NULL};
    f->spec.command = command;
    f->spec.persistent = true;
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    assert_int_equal(es_evaluator_start(f->evaluator, NULL), 0);
    wait_state(f, ES_EVALUATOR_STOPPED);
    const struct es_outcome *outcome = es_evaluator_outcome(f->evaluator);
    assert_int_equal(outcome->kind, ES_OUTCOME_NONE);
    assert_string_equal(outcome->exit_text, "exit code 7");
    assert_int_equal(outcome->log_tail_n, 22);
    assert_memory_equal(outcome->log_tail, "no module named torch\n", 22);
}

static void test_log_that_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkfifoat(f->dir_fd, "log.txt", 0600), 0); /* nobody reads it */
    char arguments[] = "--print words";
    create(f, false, arguments);
    const struct es_outcome *outcome = run(f);
    assert_int_equal(outcome->kind, ES_OUTCOME_EXIT_OK);
    assert_int_equal(outcome->log_tail_n, 11);
    es_evaluator_take(f->evaluator);
}

/* ------------------------------------------------------------------------------ times and stops */

static void check_timeout(struct fixture *f, bool persistent, char *arguments, double kill_after_s)
{
    f->request.timeout_s = 0.05;
    f->spec.kill_after_s = kill_after_s;
    create(f, persistent, arguments);
    const struct es_outcome *outcome = run(f);
    assert_int_equal(outcome->kind, ES_OUTCOME_TIMEOUT);
    assert_string_equal(outcome->exit_text, "timeout after 0.05 s");
    assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_STOPPED);
    es_evaluator_take(f->evaluator);
    assert_true(es_evaluator_deadline_ns(f->evaluator) == INT64_MAX);
}

static void test_timeout_one_shot(void **state)
{
    char arguments[] = "--hang";
    check_timeout(*state, false, arguments, 60);
}

static void test_timeout_ignored(void **state)
{
    char arguments[] = "--ignore-term --hang";
    check_timeout(*state, true, arguments, 0.05);
}

static void test_timeout_persistent_starts_again(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "--fail-unit slow --hang";
    f->request.task = "slow";
    check_timeout(f, true, arguments, 60);
    f->request.timeout_s = 0;
    f->request.task = "quick";
    es_evaluator_free(f->evaluator);
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
}

static void test_no_timeout_after_the_reply(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "";
    f->request.timeout_s = 100;
    create(f, true, arguments);
    begin(f);
    assert_true(es_evaluator_deadline_ns(f->evaluator) < INT64_MAX);
    wait_outcome(f);
    assert_true(es_evaluator_deadline_ns(f->evaluator) == INT64_MAX);
    es_evaluator_take(f->evaluator);
}

static void test_stop_idle(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "";
    create(f, true, arguments);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
    es_evaluator_stop(f->evaluator, 1000);
    assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_STOPPING);
    wait_state(f, ES_EVALUATOR_STOPPED);
    assert_int_equal(es_evaluator_outcome(f->evaluator)->kind, ES_OUTCOME_NONE);
    assert_string_equal(es_evaluator_outcome(f->evaluator)->exit_text, "exit code 0");
    es_evaluator_stop(f->evaluator, 0); /* nothing left to stop */
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
}

struct stop_row {
    bool persistent;
    const char *arguments;
    double grace_s, kill_after_s;
    enum es_outcome_kind kind;
};

static void test_stop_busy(void **state)
{
    static const struct stop_row stops[] = {
        {true, "--sleep-ms 20", 1000, 60, ES_OUTCOME_REPLY}, /* it finishes within the grace */
        {false, "--sleep-ms 20", 1000, 60, ES_OUTCOME_EXIT_OK},
        {true, "--hang", 0, 60, ES_OUTCOME_STOPPED},
        {false, "--hang", 0.02, 60, ES_OUTCOME_STOPPED},
        {true, "--ignore-term --hang", 0.02, 0.02, ES_OUTCOME_STOPPED},
        {false, "--sleep-ms 20 --exit 3", 1000, 60, ES_OUTCOME_STOPPED}, /* interrupted */
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        char arguments[64];
        (void)snprintf(arguments, sizeof arguments, "%s", stops[i].arguments);
        f->spec.kill_after_s = stops[i].kill_after_s;
        create(f, stops[i].persistent, arguments);
        begin(f);
        es_evaluator_stop(f->evaluator, stops[i].grace_s);
        wait_state(f, ES_EVALUATOR_STOPPED);
        assert_int_equal(wait_outcome(f)->kind, stops[i].kind);
        es_evaluator_free(f->evaluator);
        f->evaluator = NULL;
    }
}

/* It was asked to end and does not, until it is killed. */
static void begin_stubborn(struct fixture *f, bool persistent)
{
    char arguments[] = "--ignore-term --hang";
    f->spec.kill_after_s = 1e6;
    create(f, persistent, arguments);
    begin(f);
    wait_until_it_ignores_term(f);
}

static void end_stubborn(struct fixture *f)
{
    wait_state(f, ES_EVALUATOR_STOPPED);
    assert_int_equal(wait_outcome(f)->kind, ES_OUTCOME_STOPPED);
    es_evaluator_kill(f->evaluator); /* nothing left to kill */
    es_evaluator_free(f->evaluator);
    f->evaluator = NULL;
}

static void test_kill(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        begin_stubborn(f, i < 2);
        if (i % 2 == 1) /* also when it was asked to stop before */
            es_evaluator_stop(f->evaluator, 0);
        es_evaluator_step(f->evaluator, es_clock_mono_ns());
        es_evaluator_kill(f->evaluator);
        end_stubborn(f);
    }
}

static void test_hurry(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        begin_stubborn(f, i < 2);
        if (i % 2 == 0)
            es_evaluator_hurry(f->evaluator, 0.02);
        es_evaluator_stop(f->evaluator, 0);
        es_evaluator_step(f->evaluator, es_clock_mono_ns());
        if (i % 2 == 1) /* SIGTERM is sent already */
            es_evaluator_hurry(f->evaluator, 0.02);
        end_stubborn(f);
    }
}

static void test_died_while_idle(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "";
    create(f, true, arguments);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
    int pid = es_evaluator_pid(f->evaluator);
    assert_int_equal(kill(pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    /* Not noticed yet: the unit goes to a fresh process all the same. */
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
    assert_int_not_equal(es_evaluator_pid(f->evaluator), pid);
}

static void test_closed_stdin(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "--close-stdin";
    create(f, true, arguments);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY);
    es_evaluator_take(f->evaluator);
    const struct es_outcome *outcome = run(f);
    assert_int_equal(outcome->kind, ES_OUTCOME_GARBAGE);
    assert_string_equal(outcome->exit_text, "it closed its standard input");
    es_evaluator_take(f->evaluator);
    assert_int_equal(run(f)->kind, ES_OUTCOME_REPLY); /* a fresh one */
    es_evaluator_take(f->evaluator);
}

/* A request that is larger than a pipe, to an evaluator that does not read at first. */
static void test_request_larger_than_a_pipe(void **state)
{
    struct fixture *f = *state;
    enum { N_LAYERS = 200000 };
    static const char *const command[] = {
        "/bin/sh", "-c", "echo up >&2; while read line; do echo \"${#line}\" >&3; done", NULL};
    int32_t *layers = calloc(N_LAYERS, sizeof *layers);
    assert_non_null(layers);
    f->spec.command = command;
    f->spec.persistent = true;
    f->request.bundle = layers;
    f->request.n_bundle = N_LAYERS;
    assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
    begin(f);
    struct pollfd fds[4];
    assert_int_equal(es_evaluator_poll_fds(f->evaluator, fds), 4);
    assert_int_equal(fds[3].events, POLLOUT);
    const struct es_outcome *outcome = wait_outcome(f);
    assert_int_equal(outcome->kind, ES_OUTCOME_REPLY);
    assert_in_range(strtol(outcome->reply, NULL, 10), 2 * N_LAYERS, 2 * N_LAYERS + 1000);
    es_evaluator_take(f->evaluator);
    free(layers);
}

/* ------------------------------------------------------------------------------ the start */

static void test_can_start(void **state)
{
    (void)state;
    static const struct {
        const char *program, *path, *why;
    } starts[] = {
        {"true", NULL, NULL},
        {"/bin/true", NULL, NULL},
        {"true", "/nowhere", "No such file or directory"},
        {"no-such-evaluator", NULL, "No such file or directory"},
        {"/etc/passwd", NULL, "Permission denied"},
        {"/etc", NULL, "Permission denied"},
    };
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        const char *command[] = {starts[i].program, NULL};
        struct es_env_pair path = {"PATH", starts[i].path};
        struct es_evaluator_spec spec = {.command = command,
                                         .env = &path,
                                         .n_env = starts[i].path ? 1 : 0,
                                         .run_dir = "/runs/demo"};
        char why[128] = "";
        assert_int_equal(es_evaluator_can_start(&spec, why, sizeof why), !starts[i].why);
        assert_string_equal(why, starts[i].why ? starts[i].why : "");
    }
}

static void test_cannot_start(void **state)
{
    struct fixture *f = *state;
    static const char *const command[] = {"no-such-evaluator", NULL};
    struct es_err err = {0};
    f->spec.command = command;
    for (int persistent = 0; persistent < 2; persistent++) {
        f->spec.persistent = persistent;
        assert_int_equal(es_evaluator_create(&f->spec, &f->evaluator, NULL), 0);
        assert_int_equal(es_evaluator_begin(f->evaluator, &f->request, &err), ES_ERR_SPAWN);
        assert_string_equal(err.subject, "no-such-evaluator");
        assert_int_equal(es_evaluator_state(f->evaluator), ES_EVALUATOR_STOPPED);
        assert_int_equal(es_evaluator_outcome(f->evaluator)->kind, ES_OUTCOME_NONE);
        es_evaluator_free(f->evaluator);
        f->evaluator = NULL;
    }
}

/* Whatever a process leaves in its group ends with it, be that its own end or ours: here it becomes
 * this process's to wait for. */
static void test_grandchildren_end_with_it(void **state)
{
    struct fixture *f = *state;
    for (int is_ended_by_us = 0; is_ended_by_us < 2; is_ended_by_us++) {
        char arguments[64];
        int status = 0;
        pid_t pid = 0;
        (void)snprintf(arguments, sizeof arguments, "--fork-grandchild%s",
                       is_ended_by_us ? "" : " --exit 5");
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        create(f, is_ended_by_us, arguments);
        assert_int_equal(run(f)->kind, is_ended_by_us ? ES_OUTCOME_REPLY : ES_OUTCOME_EXIT);
        if (is_ended_by_us) {
            es_evaluator_free(f->evaluator);
            f->evaluator = NULL;
        }
        for (int i = 0; i < 2000 && pid == 0; i++) {
            pid = waitpid(-1, &status, WNOHANG);
            (void)poll(NULL, 0, 5);
        }
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
        assert_true(pid > 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        es_evaluator_free(f->evaluator);
        f->evaluator = NULL;
    }
}

static void test_free_kills(void **state)
{
    struct fixture *f = *state;
    char arguments[] = "--ignore-term --fork-grandchild --hang";
    create(f, true, arguments);
    begin(f);
    es_evaluator_free(f->evaluator); /* teardown looks for what is left */
    f->evaluator = NULL;
}

int main(void)
{
    es_signal_block();
    (void)alarm(110); /* sooner than ctest, and with a name in the output */
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(test_outcomes),
        CASE(test_reply_then_death_is_a_reply),
        CASE(test_many_units),
        CASE(test_many_units_by_path),
        CASE(test_fifo_never_ends),
        CASE(test_replies_beyond_the_first),
        CASE(test_half_a_reply_is_forgotten),
        CASE(test_reply_and_end_race),
        CASE(test_begin_needs_a_free_evaluator),
        CASE(test_request_line),
        CASE(test_arguments),
        CASE(test_environment),
        CASE(test_one_shot_twice),
        CASE(test_log_is_capped),
        CASE(test_log_of_exactly_the_limit),
        CASE(test_log_is_the_units_own),
        CASE(test_output_before_the_first_unit),
        CASE(test_died_at_start),
        CASE(test_log_that_cannot_be_written),
        CASE(test_timeout_one_shot),
        CASE(test_timeout_ignored),
        CASE(test_timeout_persistent_starts_again),
        CASE(test_no_timeout_after_the_reply),
        CASE(test_stop_idle),
        CASE(test_stop_busy),
        CASE(test_kill),
        CASE(test_hurry),
        CASE(test_died_while_idle),
        CASE(test_closed_stdin),
        CASE(test_request_larger_than_a_pipe),
        CASE(test_can_start),
        CASE(test_cannot_start),
        CASE(test_free_kills),
        CASE(test_grandchildren_end_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
