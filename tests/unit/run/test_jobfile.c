#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/buf.h"
#include "core/mem.h"
#include "evalsweep/jobfile.h"
#include "helper/tempdir.h"
#include "run/layout.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

/* Parts of job files. In these texts ' stands for ". */
#define RUN "'run': {'id': 'demo'}"
#define GRID                                                                                       \
    "'grid': {'checkpoints': ['step0', 'step1'], 'layers': [1, 2, 3], 'tasks': ['A', 'B.x']}"
#define EVALUATOR "'evaluator': {'command': ['true']}"
#define JOB "{" RUN ", " GRID ", " EVALUATOR "}"

static int parse_with(const char *text, const struct es_job_overrides *overrides,
                      struct es_job **ret_job, struct es_err *err)
{
    char *json = strdup(text);
    assert_non_null(json);
    for (char *p = json; *p; p++)
        if (*p == '\'')
            *p = '"';
    int rc = es_job_parse(json, strlen(json), "jobs/demo.json", overrides, ret_job, err);
    free(json);
    return rc;
}

static struct es_job *must_parse_with(const char *text, const struct es_job_overrides *overrides)
{
    struct es_job *job = NULL;
    struct es_err err = {0};
    if (parse_with(text, overrides, &job, &err) < 0)
        fail_msg("%s: %s: %s", text, err.subject, err.why);
    assert_int_equal(err.code, 0);
    assert_string_equal(job->path, "jobs/demo.json");
    return job;
}

static struct es_job *must_parse(const char *text)
{
    return must_parse_with(text, NULL);
}

/* The job must fail, with this subject and this reason. */
static void must_fail_with(const char *text, const struct es_job_overrides *overrides,
                           const char *subject, const char *why)
{
    struct es_job *job = NULL;
    struct es_err err = {0};
    int rc = parse_with(text, overrides, &job, &err);
    assert_null(job);
    if ((rc != ES_ERR_USAGE && rc != ES_ERR_PARSE) || strcmp(err.subject, subject) != 0 ||
        strcmp(err.why, why) != 0)
        fail_msg("%s\n  gave %d: %s: %s\n  not %s: %s", text, rc, err.subject, err.why, subject,
                 why);
    assert_int_equal(err.code, rc);
    assert_string_equal(err.doing, "reading the job file");
    assert_int_equal(parse_with(text, overrides, &job, NULL), rc);
}

/* How many of the sets of a row there are. */
static size_t n_given(const char *const *sets, size_t most)
{
    size_t n = 0;
    while (n < most && sets[n])
        n++;
    return n;
}

/* ---- files for the forms that name one ---- */

static char folder[TEMPDIR_SIZE];

static int make_folder(void **state)
{
    (void)state;
    return tempdir_create(folder);
}

static int remove_folder(void **state)
{
    (void)state;
    tempdir_remove(folder);
    return 0;
}

static void file_path(const char *name, char ret_path[PATH_MAX])
{
    (void)snprintf(ret_path, PATH_MAX, "%s/%s", folder, name);
}

static void write_file(const char *name, const char *bytes, size_t n)
{
    char path[PATH_MAX];
    file_path(name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, bytes, n), 0);
    assert_int_equal(close(fd), 0);
}

static void remove_file(const char *name)
{
    char path[PATH_MAX];
    file_path(name, path);
    assert_int_equal(unlink(path), 0);
}

/* ---- what a job file says ---- */

static void test_timeouts(void **state)
{
    static const struct {
        const char *text;
        double timeout_s; /* NaN: auto */
    } rows[] = {{"\"auto\"", (double)NAN}, {"0", 0}, {"1.5", 1.5}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[400];
        (void)snprintf(text, sizeof text,
                       "{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'timeout_s': %s}}",
                       rows[i].text);
        struct es_job *job = must_parse(text);
        assert_true(job->evaluator.timeout_s == rows[i].timeout_s ||
                    (isnan(job->evaluator.timeout_s) && isnan(rows[i].timeout_s)));
        es_job_free(job);
    }
}

static void test_defaults(void **state)
{
    (void)state;
    struct es_job *job = must_parse(JOB);
    assert_string_equal(job->run.root, "runs");
    assert_string_equal(job->run.id, "demo");
    assert_true(job->run.resume);
    assert_false(job->run.fsync);
    assert_int_equal(job->run.n_reuse, 0);
    assert_string_equal(job->layout, ES_LAYOUT_DEFAULT);
    assert_null(job->exclude);
    assert_int_equal(job->evaluator.mode, ES_EVALUATOR_ONE_SHOT);
    assert_int_equal(job->evaluator.n_command, 1);
    assert_string_equal(job->evaluator.command[0], "true");
    assert_null(job->evaluator.command[1]);
    assert_int_equal(job->evaluator.n_env, 0);
    assert_true(isnan(job->evaluator.timeout_s)); /* "auto" */
    assert_int_equal(job->evaluator.retries, 2);
    assert_false(job->evaluator.require_score);
    assert_int_equal(job->resources.gpus_per_worker, 0);
    assert_int_equal(job->resources.workers_per_gpu, 1);
    assert_true(job->resources.coordinator_works);
    assert_int_equal(job->schedule.policy, ES_POLICY_AFFINE);
    assert_true(isnan(job->schedule.checkpoint_load_s));
    assert_true(job->schedule.pass_share == 0);
    assert_true(isnan(job->schedule.task_cost_s[0]) && isnan(job->schedule.task_cost_s[1]));
    assert_true(job->limits.time_limit_s == 0);
    assert_true(job->limits.grace_s == 60);
    assert_true(job->limits.heartbeat_s == 60);
    assert_int_equal(job->limits.max_consecutive_failures, 5);
    assert_true(job->limits.outage_s == 1800);
    es_job_free(job);
    es_job_free(NULL);
}

static const char everything[] =
    "{'limits': {'time_limit_s': 3600, 'grace_s': 0.5, 'heartbeat_s': 5, "
    "'max_consecutive_failures': 9},\n"
    " 'schedule': {'policy': 'static', 'checkpoint_load_s': 30, 'task_cost_s': {'B.x': 2.5},\n"
    "              'pass_share': 0.25},\n"
    " 'resources': {'gpus_per_worker': 2, 'workers_per_gpu': 3, 'coordinator_works': false},\n"
    " 'evaluator': {'command': ['sh', '-c', '', 'a \\\"b\\\" \\u00e9'], 'mode': 'persistent',\n"
    "               'timeout_s': 7200, 'retries': 0, 'require_score': true,\n"
    "               'env': {'Z': '', 'A': '1', 'M': '\\n'}},\n"
    " 'grid': {'checkpoints': ['step0', 'st\\u00e9p \\\"1\\\"'], 'layers': [0, 10000],\n"
    "          'tasks': ['A', 'B.x'], 'exclude': [{'task': 'A', 'layer': [0]}]},\n"
    " 'layout': 'out/{task}/{layer}/{checkpoint}',\n"
    " 'run': {'root': '/data/runs/', 'id': 'r-1', 'resume': false, 'fsync': true,\n"
    "         'reuse': ['r-0', '\\u00e9']}}\n";

static void check_everything(const struct es_job *job)
{
    assert_string_equal(job->run.root, "/data/runs/");
    assert_string_equal(job->run.id, "r-1");
    assert_false(job->run.resume);
    assert_true(job->run.fsync);
    assert_int_equal(job->run.n_reuse, 2);
    assert_string_equal(job->run.reuse[0], "r-0");
    assert_string_equal(job->run.reuse[1], "\xc3\xa9");
    assert_string_equal(job->layout, "out/{task}/{layer}/{checkpoint}");
    assert_int_equal(es_grid_n_units(job->grid), 8);
    assert_string_equal(es_grid_checkpoint(job->grid, 1), "st\xc3\xa9p \"1\"");
    assert_int_equal(es_grid_layer(job->grid, 1), 10000);
    assert_int_equal(es_grid_n_excluded(job->grid), 2);
    assert_true(es_grid_is_excluded(job->grid, 0));
    assert_int_equal(job->evaluator.mode, ES_EVALUATOR_PERSISTENT);
    assert_int_equal(job->evaluator.n_command, 4);
    assert_string_equal(job->evaluator.command[2], "");
    assert_string_equal(job->evaluator.command[3], "a \"b\" \xc3\xa9");
    assert_int_equal(job->evaluator.n_env, 3);
    assert_string_equal(job->evaluator.env[0].name, "A");
    assert_string_equal(job->evaluator.env[1].value, "\n");
    assert_string_equal(job->evaluator.env[2].name, "Z");
    assert_true(job->evaluator.timeout_s == 7200);
    assert_int_equal(job->evaluator.retries, 0);
    assert_true(job->evaluator.require_score);
    assert_int_equal(job->resources.gpus_per_worker, 2);
    assert_int_equal(job->resources.workers_per_gpu, 3);
    assert_false(job->resources.coordinator_works);
    assert_int_equal(job->schedule.policy, ES_POLICY_STATIC);
    assert_true(job->schedule.checkpoint_load_s == 30);
    assert_true(job->schedule.pass_share == 0.25);
    assert_true(isnan(job->schedule.task_cost_s[0]));
    assert_true(job->schedule.task_cost_s[1] == 2.5);
    assert_true(job->limits.time_limit_s == 3600);
    assert_true(job->limits.grace_s == 0.5);
    assert_true(job->limits.heartbeat_s == 5);
    assert_int_equal(job->limits.max_consecutive_failures, 9);
}

static void test_everything(void **state)
{
    (void)state;
    struct es_job *job = must_parse(everything);
    check_everything(job);
    es_job_free(job);
}

static void test_null_evaluator(void **state)
{
    (void)state;
    struct es_job *job = must_parse(
        "{" RUN ", " GRID ", 'evaluator': {'seconds': 0.5, 'markers': true, 'mode': 'null'}}");
    assert_int_equal(job->evaluator.mode, ES_EVALUATOR_NULL);
    assert_int_equal(job->evaluator.n_command, 0);
    assert_true(job->evaluator.null_markers);
    assert_true(job->evaluator.null_seconds == 0.5);
    es_job_free(job);
    job = must_parse("{" RUN ", " GRID ", 'evaluator': {'mode': 'null'}}");
    assert_false(job->evaluator.null_markers);
    assert_true(job->evaluator.null_seconds == 0);
    es_job_free(job);
}

static void test_run_dir(void **state)
{
    static const struct {
        const char *root, *dir;
    } rows[] = {{"runs", "runs/demo"}, {"/a/b/", "/a/b/demo"}, {"/", "/demo"}};
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char set[64];
        (void)snprintf(set, sizeof set, "run.root=%s", rows[i].root);
        const char *sets[] = {set};
        struct es_job *job =
            must_parse_with(JOB, &(struct es_job_overrides){.sets = sets, .n_sets = 1});
        char *dir = es_job_run_dir(job);
        assert_string_equal(dir, rows[i].dir);
        free(dir);
        es_mem_fail_after(0);
        dir = es_job_run_dir(job);
        es_mem_fail_after(-1);
        assert_null(dir);
        es_job_free(job);
    }
}

/* ---- forms of the grid ---- */

static void axis_text(const struct es_job *job, const char *axis, struct es_buf *text)
{
    const struct es_grid *grid = job->grid;
    if (axis[0] == 'l')
        for (uint32_t i = 0; i < es_grid_n_layers(grid); i++)
            es_buf_printf(text, "%s%d", i ? " " : "", es_grid_layer(grid, i));
    if (axis[0] == 'c')
        for (uint32_t i = 0; i < es_grid_n_checkpoints(grid); i++)
            es_buf_printf(text, "%s%s", i ? " " : "", es_grid_checkpoint(grid, i));
    if (axis[0] == 't')
        for (uint32_t i = 0; i < es_grid_n_tasks(grid); i++)
            es_buf_printf(text, "%s%s", i ? " " : "", es_grid_task(grid, i));
}

static void test_axis_forms(void **state)
{
    static const struct {
        const char *set, *axis;
    } rows[] = {
        {"grid.layers=[3, 0, 21.0]", "3 0 21"},
        {"grid.layers=\"21-24\"", "21 22 23 24"},
        {"grid.layers=21-24", "21 22 23 24"},
        {"grid.layers=0,5,21-24", "0 5 21 22 23 24"},
        {"grid.layers=\" 5 , 0 - 1 \"", "5 0 1"},
        {"grid.layers=\"10000\"", "10000"},
        {"grid.layers=\"7-7\"", "7"},
        {"grid.layers={\"last\": 4, \"of\": 24}", "21 22 23 24"},
        {"grid.layers={\"of\": 2, \"last\": 3}", "0 1 2"},
        {"grid.checkpoints=[\"b\", \"a 1\"]", "b a 1"},
        {"grid.checkpoints={\"range\": [\"step1000\", \"step4000\", 1000]}",
         "step1000 step2000 step3000 step4000"},
        {"grid.checkpoints={\"range\": [\"v2-e8-x\", \"v2-e12-x\", 2]}",
         "v2-e8-x v2-e10-x v2-e12-x"},
        {"grid.checkpoints={\"range\": [\"008\", \"012\", 2]}", "008 010 012"},
        {"grid.checkpoints={\"range\": [\"0\", \"2\", 1]}", "0 1 2"},
        {"grid.checkpoints={\"range\": [\"s5\", \"s5\", 7]}", "s5"},
        {"grid.tasks=[\"STS12\"]", "STS12"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct es_job *job =
            must_parse_with(JOB, &(struct es_job_overrides){.sets = &rows[i].set, .n_sets = 1});
        struct es_buf text = {0};
        axis_text(job, rows[i].set + strlen("grid."), &text);
        if (strcmp(text.data, rows[i].axis) != 0)
            fail_msg("%s: %s", rows[i].set, text.data);
        es_buf_clear(&text);
        es_job_free(job);
    }
}

static void test_pythia(void **state)
{
    (void)state;
    const char *set = "grid.checkpoints={\"pythia\": \"all\"}";
    struct es_job *job =
        must_parse_with(JOB, &(struct es_job_overrides){.sets = &set, .n_sets = 1});
    assert_int_equal(es_grid_n_checkpoints(job->grid), 154);
    double before = -1;
    for (uint32_t i = 0; i < 154; i++) {
        double step = es_grid_step(job->grid, i);
        double expected = i == 0 ? 0 : i <= 10 ? (double)(1 << (i - 1)) : 1000.0 * (i - 10);
        assert_true(step == expected && step > before);
        before = step;
    }
    assert_string_equal(es_grid_checkpoint(job->grid, 10), "step512");
    assert_string_equal(es_grid_checkpoint(job->grid, 153), "step143000");
    es_job_free(job);
}

static void test_names_in_files(void **state)
{
    static const struct {
        const char *content, *axis;
    } rows[] = {
        {"STS12\nSTS13\n", "STS12 STS13"},
        {"\xef\xbb\xbfSTS12\r\n\r\n  STS13\t\r\n", "STS12 STS13"},
        {"# tasks\n\n   \n STS12 # the first\nC#\n  # none\nno newline", "STS12 C# no newline"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char path[PATH_MAX];
        static const char job_text[] =
            "{\"run\": {\"id\": \"x\"}, \"grid\": {\"checkpoints\": {\"file\": \"names.txt\"}, "
            "\"layers\": [1], \"tasks\": {\"file\": \"names.txt\"}}, "
            "\"evaluator\": {\"command\": [\"true\"]}}";
        write_file("names.txt", rows[i].content, strlen(rows[i].content));
        write_file("job.json", job_text, sizeof job_text - 1);
        file_path("job.json", path);
        struct es_job *job = NULL;
        struct es_err err = {0};
        if (es_job_load(path, NULL, &job, &err) < 0)
            fail_msg("%s: %s", err.subject, err.why);
        struct es_buf checkpoints = {0}, tasks = {0};
        axis_text(job, "checkpoints", &checkpoints);
        axis_text(job, "tasks", &tasks);
        assert_string_equal(checkpoints.data, rows[i].axis);
        assert_string_equal(tasks.data, rows[i].axis);
        es_buf_clear(&checkpoints);
        es_buf_clear(&tasks);
        es_job_free(job);
    }
    remove_file("names.txt");
    remove_file("job.json");
}

static void test_faults_in_files(void **state)
{
    static const struct {
        const char *content, *why;
        size_t n; /* 0: all of content */
    } rows[] = {
        {"STS12\n\na/b\n", "line 3: \"a/b\" holds a '/'", 0},
        {"STS12\n#\n STS12", "line 3: \"STS12\" stands in the file twice", 0},
        {"ab\0cd\n", "line 1: \"ab\" holds a NUL character", 6},
        {"x\n\xff\n", "line 2: \"\xef\xbf\xbd\" is not valid UTF-8", 0},
        {"# nothing\n\n", "it holds no name", 0},
        {"", "it holds no name", 0},
    };
    (void)state;
    char path[PATH_MAX], set[PATH_MAX + 64];
    const char *sets[] = {set};
    struct es_job_overrides overrides = {.sets = sets, .n_sets = 1};
    file_path("names.txt", path);
    (void)snprintf(set, sizeof set, "grid.tasks={\"file\": \"%s\"}", path);
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        write_file("names.txt", rows[i].content, rows[i].n ? rows[i].n : strlen(rows[i].content));
        must_fail_with(JOB, &overrides, path, rows[i].why);
    }
    char line[400];
    memset(line, 'x', sizeof line);
    write_file("names.txt", line, sizeof line);
    struct es_err err = {0};
    struct es_job *job = NULL;
    assert_int_equal(parse_with(JOB, &overrides, &job, &err), ES_ERR_USAGE);
    assert_non_null(strstr(err.why, "longer than 240 bytes"));
    remove_file("names.txt");
}

/* ---- exclusions ---- */

static void test_exclusions(void **state)
{
    /* units: step0 1 A, step0 1 B.x, step0 2 A, ..., step1 3 B.x */
    static const struct {
        const char *exclude, *excluded;
    } rows[] = {
        {"[]", "000000000000"},
        {"[{'checkpoint': 'step1'}]", "000000111111"},
        {"[{'layer': 2}]", "001100001100"},
        {"[{'task': 'B.x'}]", "010101010101"},
        {"[{'task': ['B.x'], 'layer': [3, 1], 'checkpoint': ['step0']}]", "010001000000"},
        {"[{'task': 'A', 'layer': 1}, {'task': 'B.x', 'layer': 3}, {'task': 'A', 'layer': 1}]",
         "100001100001"},
        {"[{'checkpoint': ['step0', 'step1'], 'layer': 1}]", "110000110000"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct es_buf text = {0};
        es_buf_printf(&text,
                      "{" RUN ", " EVALUATOR ", 'grid': {'exclude': %s, 'checkpoints': ['step0', "
                      "'step1'], 'layers': [1, 2, 3], 'tasks': ['A', 'B.x']}}",
                      rows[i].exclude);
        struct es_job *job = must_parse(text.data);
        uint32_t n = 0;
        for (uint32_t id = 0; id < 12; id++) {
            assert_int_equal(es_grid_is_excluded(job->grid, id), rows[i].excluded[id] == '1');
            n += rows[i].excluded[id] == '1';
        }
        assert_int_equal(es_grid_n_excluded(job->grid), n);
        es_job_free(job);
        es_buf_clear(&text);
    }
}

/* ---- errors ---- */

static void test_errors(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        /* no JSON, or not quite */
        {"", "it is empty"},
        {"{\n'run': nope}", "line 2, column 8: not valid JSON"},
        {"{} {}", "line 1, column 4: not valid JSON"},
        {"[]", "line 1: $: expected an object, found an empty list"},
        {"\n3", "line 2: $: expected an object, found 3"},
        {"{\n'run': {'id': 'a\\u0000b'}}", "line 2: \\u0000, which no text may hold"},
        /* keys */
        {"{\n\n'rum': 1}", "line 3: $.rum: unknown key \"rum\"; did you mean \"run\"?"},
        {"{'GRID': 1}", "line 1: $.GRID: unknown key \"GRID\"; expected one of run, layout, grid, "
                        "evaluator, resources, schedule, limits"},
        {"{'run': {'a\\\"b': 1}}",
         "line 1: $.run[\"a\\\"b\"]: unknown key \"a\\\"b\"; expected one "
         "of root, id, resume, fsync, reuse"},
        {"{'run': {'id': 'a',\n 'id': 'b'}}",
         "line 2: $.run.id: the key stands twice in its object"},
        {"{'run': {'depends': true}}",
         "line 1: $.run.depends: unknown key \"depends\"; expected one of root, id, resume, fsync, "
         "reuse"},
        {"{" RUN ", " GRID "}", "line 1: $: evaluator.command is missing"},
        {"{" RUN ",\n 'evaluator': {'mode': 'null'}}", "line 1: $: grid.checkpoints is missing"},
        {"{" RUN ",\n'grid': {'checkpoints': ['a'], 'layers': [1]}}",
         "line 2: $.grid: grid.tasks is missing"},
        {"{" GRID "}", "line 1: $: there is no run id: set run.id or the environment's RUN_ID"},
        {"{\n'run': {}, " GRID "}",
         "line 2: $.run: there is no run id: set run.id or the environment's RUN_ID"},
        /* run, layout */
        {"{'run': []}", "line 1: $.run: expected an object, found an empty list"},
        {"{'run': {'id': 7}}", "line 1: $.run.id: expected a string, found 7"},
        {"{'run': {'id': ''}}", "line 1: $.run.id: \"\" is empty"},
        {"{'run': {'id': '..'}}", "line 1: $.run.id: \"..\" names a folder above or itself"},
        {"{'run': {'id': '\xff'}}",
         "line 1: $.run.id: expected a string, found bytes that are not UTF-8"},
        {"{'run': {'id': 'a', 'reuse': 'b'}}",
         "line 1: $.run.reuse: expected a list of run ids, found \"b\""},
        {"{'run': {'id': 'a', 'reuse': ['b', 7]}}",
         "line 1: $.run.reuse[1]: expected a run id, found 7"},
        {"{'run': {'id': 'a', 'reuse': ['b', 'a/b']}}",
         "line 1: $.run.reuse[1]: \"a/b\" holds a '/'"},
        {"{'run': {'id': 'a', 'reuse': ['b', 'c', 'b']}}",
         "line 1: $.run.reuse[2]: \"b\" stands in the list twice"},
        {"{'run': {'root': '', 'id': 'a'}}", "line 1: $.run.root: \"\" is empty"},
        {"{'run': {'id': 'a', 'resume': 1}}",
         "line 1: $.run.resume: expected true or false, found 1"},
        {"{'run': {'id': 'a', 'root': 'r\\n'}}",
         "line 1: $.run.root: \"r\\n\" holds a control character"},
        {"{" RUN ", 'layout': '{layer}/{task}'}",
         "line 1: $.layout: \"{layer}/{task}\" has no {checkpoint}"},
        /* the axes */
        {"{" RUN ", 'grid': {'checkpoints': []}}", "line 1: $.grid.checkpoints: the list is empty"},
        {"{" RUN ", 'grid': {'checkpoints': 'step0'}}",
         "line 1: $.grid.checkpoints: expected a list of names, {\"pythia\": \"all\"}, {\"range\": "
         "[\"step1000\", \"step143000\", 1000]} or {\"file\": \"steps.txt\"}, found \"step0\""},
        {"{" RUN ", 'grid': {'checkpoints': ['a',\n'b',\n'a']}}",
         "line 3: $.grid.checkpoints[2]: \"a\" stands in the list twice"},
        {"{" RUN ", 'grid': {'checkpoints': ['a\\n']}}",
         "line 1: $.grid.checkpoints[0]: \"a\\n\" holds a control character"},
        {"{" RUN ", 'grid': {'checkpoints': [null]}}",
         "line 1: $.grid.checkpoints[0]: expected a name, found null"},
        {"{" RUN ", 'grid': {'checkpoints': [NaN]}}",
         "line 1: $.grid.checkpoints[0]: expected a name, found null"},
        {"{" RUN ", 'grid': {'checkpoints': {'pythia': 'most'}}}",
         "line 1: $.grid.checkpoints.pythia: expected \"all\", found \"most\""},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a1', 'a2']}}}",
         "line 1: $.grid.checkpoints.range: expected [\"first\", \"last\", step], found a list"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a1', 'a2', 0]}}}",
         "line 1: $.grid.checkpoints.range[2]: expected a whole number from 1, found 0"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a1', 'a/2', 1]}}}",
         "line 1: $.grid.checkpoints.range[1]: \"a/2\" holds a '/'"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a1', 'a4', 2]}}}",
         "line 1: $.grid.checkpoints.range: counting from 1 by 2 does not lead to 4"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a4', 'a1', 1]}}}",
         "line 1: $.grid.checkpoints.range: counting from 4 by 1 does not lead to 1"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a1', 'b2', 1]}}}",
         "line 1: $.grid.checkpoints.range: the two names differ in more than their number"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a8', 'a010', 1]}}}",
         "line 1: $.grid.checkpoints.range: the two names differ in more than their number"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a', 'b', 1]}}}",
         "line 1: $.grid.checkpoints.range: the names have no number to count by"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a0', 'a99999999999999999999', 1]}}}",
         "line 1: $.grid.checkpoints.range: the names have no number to count by"},
        {"{" RUN ", 'grid': {'checkpoints': {'range': ['a0', 'a900000000000000000', 1]}}}",
         "line 1: $.grid.checkpoints.range: more than 1000000 names"},
        {"{" RUN ", 'grid': {'checkpoints': {'file': 'none.txt'}}}",
         "line 1: $.grid.checkpoints.file: cannot read jobs/none.txt: No such file or directory"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': []}}",
         "line 1: $.grid.layers: the list is empty"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'],\n'layers': [1,\n2,\n'x']}}",
         "line 4: $.grid.layers[2]: expected a whole number from 0 to 10000, found \"x\""},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1.5]}}",
         "line 1: $.grid.layers[0]: expected a whole number from 0 to 10000, found 1.5"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [-1]}}",
         "line 1: $.grid.layers[0]: expected a whole number from 0 to 10000, found -1"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1e999]}}",
         "line 1: $.grid.layers[0]: expected a whole number from 0 to 10000, found a number too "
         "large"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1, 1]}}",
         "line 1: $.grid.layers[1]: layer 1 stands there twice"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': '1-3,2'}}",
         "line 1: $.grid.layers: layer 2 stands there twice"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': '24-21'}}",
         "line 1: $.grid.layers: expected a list of whole numbers, \"21-24\" or {\"last\": 4, "
         "\"of\": 24}, found \"24-21\""},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': {'last': 0, 'of': 24}}}",
         "line 1: $.grid.layers.last: expected a whole number from 1 to 25, found 0"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': {'pythia': 'all'}}}",
         "line 1: $.grid.tasks: expected a list of names or {\"file\": \"tasks.txt\"}, found an "
         "object"},
        /* exclusions */
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'], 'exclude': {}}}",
         "line 1: $.grid.exclude: expected a list of objects, found an empty object"},
        {"{" RUN
         ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'], 'exclude': [{}]}}",
         "line 1: $.grid.exclude[0]: expected an object with checkpoint, layer, task or some of "
         "them, found an empty object"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'],\n"
         "'exclude': [{'tasc': 'T'}]}}",
         "line 2: $.grid.exclude[0].tasc: unknown key \"tasc\"; did you mean \"task\"?"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['STS12'],\n"
         "'exclude': [{'layer': 1}, {'task': ['STS12', 'STS13']}]}}",
         "line 2: $.grid.exclude[1].task[1]: \"STS13\" is no task of the grid; did you mean "
         "\"STS12\"?"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'],\n"
         "'exclude': [{'checkpoint': 'b'}]}}",
         "line 2: $.grid.exclude[0].checkpoint: \"b\" is no checkpoint of the grid"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'],\n"
         "'exclude': [{'layer': 2}]}}",
         "line 2: $.grid.exclude[0].layer: 2 is no layer of the grid"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'],\n"
         "'exclude': [{'layer': '1'}]}}",
         "line 2: $.grid.exclude[0].layer: expected a whole number from 0 to 10000, found \"1\""},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'],\n"
         "'exclude': [{'layer': []}]}}",
         "line 2: $.grid.exclude[0].layer: the list is empty"},
        {"{" RUN ", 'grid': {'checkpoints': ['a'], 'layers': [1], 'tasks': ['T'],\n"
         "'exclude': [{'task': ['T', 'T']}]}}",
         "line 2: $.grid.exclude[0].task[1]: it stands in the list twice"},
        /* the evaluator */
        {"{" RUN ", " GRID ", 'evaluator': {'command': 'true'}}",
         "line 1: $.evaluator.command: expected a list of strings, such as [\"python3\", "
         "\"evaluator.py\"], found \"true\""},
        {"{" RUN ", " GRID ", 'evaluator': {'command': []}}",
         "line 1: $.evaluator.command: expected a list of strings, such as [\"python3\", "
         "\"evaluator.py\"], found an empty list"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a', 1]}}",
         "line 1: $.evaluator.command[1]: expected a string, found 1"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['']}}",
         "line 1: $.evaluator.command[0]: expected the name of a program, found \"\""},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'mode': 'oneshot'}}",
         "line 1: $.evaluator.mode: expected \"one-shot\", \"persistent\" or \"null\", found "
         "\"oneshot\""},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'mode': 'null'}}",
         "line 1: $.evaluator.command: does not go with evaluator.mode \"null\""},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'markers': true}}",
         "line 1: $.evaluator.markers: does not go with evaluator.mode \"one-shot\""},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'env': {'A': 1}}}",
         "line 1: $.evaluator.env.A: expected a string, found 1"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'env': {'A=B': ''}}}",
         "line 1: $.evaluator.env[\"A=B\"]: no variable can have this name"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'env': {'\xff': ''}}}",
         "line 1: $.evaluator.env[\"\xef\xbf\xbd\"]: no variable can have this name"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'env': []}}",
         "line 1: $.evaluator.env: expected an object of strings, found an empty list"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'timeout': 1}}",
         "line 1: $.evaluator.timeout: unknown key \"timeout\"; did you mean \"timeout_s\"?"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'timeout_s': -1}}",
         "line 1: $.evaluator.timeout_s: expected \"auto\" or a number from 0 to 1000000000, found "
         "-1"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'retries': 1001}}",
         "line 1: $.evaluator.retries: expected a whole number from 0 to 1000, found 1001"},
        /* the rest */
        {"{" RUN ", " GRID ", " EVALUATOR ", 'resources': {'workers_per_gpu': 0}}",
         "line 1: $.resources.workers_per_gpu: expected a whole number from 1 to 1024, found 0"},
        {"{" RUN ", " GRID ", " EVALUATOR ", 'schedule': {'policy': ['lpt']}}",
         "line 1: $.schedule.policy: expected \"affine\", \"lpt\", \"fifo\" or \"static\", found a "
         "list"},
        {"{" RUN ", " GRID ", " EVALUATOR ", 'schedule': {'pass_share': 1.5}}",
         "line 1: $.schedule.pass_share: expected a number from 0 to 1, found 1.5"},
        {"{" RUN ", " GRID ", " EVALUATOR ", 'schedule': {'task_cost_s': {'B.y': 1}}}",
         "line 1: $.schedule.task_cost_s[\"B.y\"]: \"B.y\" is no task of the grid; did you mean "
         "\"B.x\"?"},
        {"{" RUN ", " GRID ", " EVALUATOR ", 'schedule': {'task_cost_s': {'A': null}}}",
         "line 1: $.schedule.task_cost_s.A: expected a number from 0 to 1000000000, found null"},
        {"{" RUN ", " GRID ", " EVALUATOR ", 'schedule': {'task_cost_s': []}}",
         "line 1: $.schedule.task_cost_s: expected an object of seconds by task, found an empty "
         "list"},
        {"{" RUN ", " GRID ", " EVALUATOR ", 'limits': {'time_limit_s': 10, 'grace_s': 10}}",
         "$.limits.time_limit_s: expected more than limits.grace_s (10 s), found 10: nothing would "
         "ever start"},
        {"{" RUN ", " GRID ", " EVALUATOR ", 'limits': {'max_consecutive_failures': -1}}",
         "line 1: $.limits.max_consecutive_failures: expected a whole number from 0 to 1000000, "
         "found -1"},
        {"{" RUN ", " GRID ", 'evaluator': {'command': ['a'], 'timeout_s': 'never'}}",
         "line 1: $.evaluator.timeout_s: expected \"auto\" or a number from 0 to 1000000000, "
         "found \"never\""},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++)
        must_fail_with(rows[i].text, NULL, "jobs/demo.json", rows[i].why);
}

/* A name within the limit, and no room left for what the layout puts around it. */
static void test_long_folder_names(void **state)
{
    (void)state;
    char name[241];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int n_more = 0; n_more < 2; n_more++) {
        struct es_buf text = {0};
        struct es_job *job = NULL;
        struct es_err err = {0};
        es_buf_printf(&text,
                      "{\"run\":{\"id\":\"a\"},\"evaluator\":{\"mode\":\"null\"},"
                      "\"layout\":\"out/{layer}/a_%s_{task}.of/{checkpoint}\",\"grid\":{"
                      "\"checkpoints\":[\"c\"],\"layers\":[1],\"tasks\":[\"A\",\"%s\"]}}",
                      n_more ? "0123456789" : "012345678", name);
        int rc = es_job_parse(text.data, text.len, "demo.json", NULL, &job, &err);
        assert_int_equal(rc, n_more ? ES_ERR_USAGE : 0);
        if (n_more)
            assert_non_null(strstr(err.why, "a folder name of 256 bytes, and 255 are the most"));
        es_job_free(job);
        es_buf_clear(&text);
    }
}

static void test_too_many_units(void **state)
{
    (void)state;
    must_fail_with("{" RUN ", 'grid': {'checkpoints': {'range': ['1', '300000', 1]},\n"
                   "'layers': '0-9999', 'tasks': ['A']}}",
                   NULL, "jobs/demo.json",
                   "line 1: $.grid: 300000 checkpoints x 10000 layers x 1 tasks are more than 2^31 "
                   "units");
}

/* Long and odd names keep the message whole, valid UTF-8, and its end in sight. */
static void test_long_names_in_errors(void **state)
{
    (void)state;
    struct es_buf text = {0};
    es_buf_puts(&text, "{\"");
    for (int i = 0; i < 1000; i++)
        es_buf_puts(&text, "\xe2\x82\xac\\\"");
    es_buf_puts(&text, "\": 1}");
    struct es_job *job = NULL;
    struct es_err err = {0};
    assert_int_equal(es_job_parse(text.data, text.len, "demo.json", NULL, &job, &err),
                     ES_ERR_USAGE);
    assert_non_null(strstr(err.why, "unknown key"));
    assert_non_null(strstr(err.why, "resources, schedule, limits"));
    struct es_buf quoted = {0};
    es_buf_json_string(&quoted, err.why, strlen(err.why));
    assert_null(strstr(quoted.data, "\xef\xbf\xbd"));
    es_buf_clear(&quoted);
    es_buf_clear(&text);
}

/* ---- files that are no job files ---- */

static void load_must_fail(const char *path, int code, const char *why)
{
    struct es_job *job = NULL;
    struct es_err err = {0};
    assert_int_equal(es_job_load(path, NULL, &job, &err), code);
    assert_null(job);
    assert_string_equal(err.subject, path);
    assert_string_equal(err.why, why);
}

static void test_hostile_files(void **state)
{
    char path[PATH_MAX];
    (void)state;
    load_must_fail("/nonexistent/job.json", ES_ERR_NOENT, "No such file or directory");
    load_must_fail(folder, ES_ERR_IO, "Is a directory");
    file_path("job.json", path);
    write_file("job.json", "", 0);
    load_must_fail(path, ES_ERR_PARSE, "it is empty");
    write_file("job.json", "{\n\"run\0\": 1}", 12);
    load_must_fail(path, ES_ERR_PARSE, "line 2: a NUL character, which no text may hold");
    write_file("job.json",
               "\x7f"
               "ELF\x02\x01\x01",
               7);
    load_must_fail(path, ES_ERR_PARSE, "line 1, column 1: not valid JSON");
    assert_int_equal(truncate(path, ((off_t)64 << 20) + 1), 0);
    load_must_fail(path, ES_ERR_PARSE, "larger than 64 MiB, the most that a job file may have");
    remove_file("job.json");
}

static void test_nesting(void **state)
{
    (void)state;
    for (int deep = 0; deep < 2; deep++) {
        struct es_buf text = {0};
        int depth = deep ? 100000 : 900;
        es_buf_puts(&text, "{\"run\":\n");
        for (int i = 0; i < depth; i++)
            es_buf_puts(&text, i % 2 ? "{\"a\":" : "[");
        struct es_job *job = NULL;
        struct es_err err = {0};
        es_buf_puts(&text, "1");
        for (int i = depth; i-- > 0;)
            es_buf_putc(&text, i % 2 ? '}' : ']');
        es_buf_putc(&text, '}');
        int rc = es_job_parse(text.data, text.len, "demo.json", NULL, &job, &err);
        assert_int_equal(rc, deep ? ES_ERR_PARSE : ES_ERR_USAGE);
        assert_string_equal(err.why, deep ? "line 2: lists or objects nested too deep"
                                          : "line 2: $.run: expected an object, found a list");
        es_buf_clear(&text);
    }
}

/* ---- overrides ---- */

static void test_overrides(void **state)
{
    static const struct {
        const char *run_id;
        const char *sets[3];
        const char *job; /* the run id, mode, layers, an environment variable */
    } rows[] = {
        {NULL, {NULL}, "demo one-shot 1 2 3 -"},
        {"", {NULL}, "demo one-shot 1 2 3 -"},
        {"env", {NULL}, "env one-shot 1 2 3 -"},
        {"true", {NULL}, "true one-shot 1 2 3 -"},
        {"env", {"run.id=flag"}, "flag one-shot 1 2 3 -"},
        {"env", {"run.id=\"quoted\""}, "quoted one-shot 1 2 3 -"},
        {NULL, {"run.id=20260115"}, "20260115 one-shot 1 2 3 -"},
        {NULL, {"run.id=1e3"}, "1e3 one-shot 1 2 3 -"},
        {NULL, {"run.id=a=b"}, "a=b one-shot 1 2 3 -"},
        {NULL, {"run.id=one", "run.id=two"}, "two one-shot 1 2 3 -"},
        {"env", {"run={\"id\": \"whole\"}"}, "whole one-shot 1 2 3 -"},
        {NULL, {"evaluator={\"mode\": \"null\"}"}, "demo null 1 2 3 -"},
        {NULL, {"evaluator={}", "evaluator.mode=null"}, "demo null 1 2 3 -"},
        {NULL, {"evaluator.mode=persistent", "grid.layers=7-8"}, "demo persistent 7 8 -"},
        {NULL, {"evaluator.env.A=1"}, "demo one-shot 1 2 3 A=1"},
        {NULL,
         {"evaluator.env.A=true", "evaluator.env={\"B.c\": \"x\"}"},
         "demo one-shot 1 2 3 B.c=x"},
        {NULL, {"evaluator.env.B.c=x y"}, "demo one-shot 1 2 3 B.c=x y"},
        {NULL, {"evaluator.env.A={\"b\": [}"}, "demo one-shot 1 2 3 A={\"b\": [}"},
        {NULL, {"evaluator.env.A="}, "demo one-shot 1 2 3 A="},
        {NULL, {"schedule.task_cost_s.B.x=3", "limits.grace_s=1"}, "demo one-shot 1 2 3 -"},
    };
    static const char *const modes[] = {"one-shot", "persistent", "null"};
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct es_job_overrides overrides = {
            .run_id = rows[i].run_id, .sets = rows[i].sets, .n_sets = n_given(rows[i].sets, 3)};
        struct es_job *job = must_parse_with(JOB, &overrides);
        struct es_buf text = {0};
        es_buf_printf(&text, "%s %s ", job->run.id, modes[job->evaluator.mode]);
        axis_text(job, "layers", &text);
        if (job->evaluator.n_env)
            es_buf_printf(&text, " %s=%s", job->evaluator.env[0].name, job->evaluator.env[0].value);
        else
            es_buf_puts(&text, " -");
        assert_string_equal(text.data, rows[i].job);
        es_buf_clear(&text);
        es_job_free(job);
    }
}

static void test_override_of_task_cost(void **state)
{
    (void)state;
    const char *set = "schedule.task_cost_s.B.x=3";
    struct es_job *job =
        must_parse_with(JOB, &(struct es_job_overrides){.sets = &set, .n_sets = 1});
    assert_true(job->schedule.task_cost_s[1] == 3);
    es_job_free(job);
}

static void test_override_errors(void **state)
{
    static const struct {
        const char *sets[3];
        int faulty; /* the set that is named */
        const char *why;
    } rows[] = {
        {{"run.id"}, 0, "expected KEY.KEY=JSON, such as grid.layers=[21,22]"},
        {{"=1"}, 0, "expected KEY.KEY=JSON, such as grid.layers=[21,22]"},
        {{"run..id=1"}, 0, "expected KEY.KEY=JSON, such as grid.layers=[21,22]"},
        {{"run.id="}, 0, "$.run.id: \"\" is empty"},
        {{"grid.layers="}, 0, "the value is not valid JSON"},
        {{"grid.layers=[1"}, 0, "the value is not valid JSON"},
        {{"run.id=\"x"}, 0, "the value is not valid JSON"},
        {{"run.id=\"\\u0000\""}, 0, "it has \\u0000, which no text may hold"},
        {{"grid={\"layers\": 1, \"layers\": 2}"},
         0,
         "in the value, the key at $.layers stands twice"},
        {{"run.id.x=1"}, 0, "id is no object"},
        {{"grid.layers.last=1"}, 0, "layers is no object"},
        {{"run.root=a", "grd.layers=1"}, 1, "$.grd: unknown key \"grd\"; did you mean \"grid\"?"},
        {{"grid.layer=1"}, 0, "$.grid.layer: unknown key \"layer\"; did you mean \"layers\"?"},
        {{"run.id=a/b", "run.root=x"}, 0, "$.run.id: \"a/b\" holds a '/'"},
        {{"run.id=ok", "run.id=a/b"}, 1, "$.run.id: \"a/b\" holds a '/'"},
        {{"grid.layers=[1]", "grid={\"checkpoints\": [\"a\"], \"layers\": [-1]}"},
         1,
         "$.grid.layers[0]: expected a whole number from 0 to 10000, found -1"},
        {{"grid={\"checkpoints\": [\"a\"]}", "grid.layers=[0, true]", "run.root=x"},
         1,
         "$.grid.layers[1]: expected a whole number from 0 to 10000, found true"},
        {{"grid={\"checkpoints\": [\"a\"]}", "grid.layers=[0]", "run.root=x"},
         0,
         "$.grid: grid.tasks is missing"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct es_job_overrides overrides = {.sets = rows[i].sets,
                                             .n_sets = n_given(rows[i].sets, 3)};
        char subject[100];
        (void)snprintf(subject, sizeof subject, "--set %s", rows[i].sets[rows[i].faulty]);
        must_fail_with(JOB, &overrides, subject, rows[i].why);
    }
    must_fail_with(JOB, &(struct es_job_overrides){.run_id = "a/b"}, "the environment's RUN_ID",
                   "$.run.id: \"a/b\" holds a '/'");
    must_fail_with("{'run':\n5}", &(struct es_job_overrides){.run_id = "a"}, "jobs/demo.json",
                   "line 2: $.run: expected an object, found 5");
}

/* What an override put in and another took out again is no longer looked at. */
static void test_replaced_overrides(void **state)
{
    static const char *const sets[] = {"run.root=a", "run.root=b", "run={\"id\": \"c\"}"};
    (void)state;
    must_fail_with("{" RUN ",\n'grid': 5}",
                   &(struct es_job_overrides){.run_id = "d", .sets = sets, .n_sets = 3},
                   "jobs/demo.json", "line 2: $.grid: expected an object, found 5");
}

/* ---- the job as text ---- */

static void check_round_trip(struct es_job *job, struct es_job **ret_again)
{
    char *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    struct es_err err = {0};
    assert_int_equal(es_job_text(job, &first, &n_first, NULL), 0);
    assert_int_equal(strlen(first), n_first);
    if (es_job_parse(first, n_first, "elsewhere/job.json", NULL, ret_again, &err) < 0)
        fail_msg("%s\n%s", first, err.why);
    assert_int_equal(es_job_text(*ret_again, &second, &n_second, NULL), 0);
    assert_string_equal(first, second);
    assert_int_equal(n_first, n_second);
    assert_int_equal(es_job_differs(job, *ret_again, NULL), 0);
    free(first);
    free(second);
}

static void test_round_trip(void **state)
{
    static const char *const texts[] = {
        JOB,
        "{" RUN ", " GRID ", 'evaluator': {'mode': 'null', 'seconds': 0.1, 'markers': true}}",
        "{" RUN ", " EVALUATOR ", 'grid': {'checkpoints': {'pythia': 'all'}, 'layers': '0-24',"
        "'tasks': ['A'], 'exclude': [{'layer': [3, 4], 'checkpoint': 'step0'}, {'layer': 5.0}]}}",
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(texts); i++) {
        struct es_job *job = must_parse(texts[i]), *again = NULL;
        check_round_trip(job, &again);
        assert_int_equal(es_grid_n_units(again->grid), es_grid_n_units(job->grid));
        for (uint32_t id = 0; id < es_grid_n_units(job->grid); id++)
            assert_int_equal(es_grid_is_excluded(again->grid, id),
                             es_grid_is_excluded(job->grid, id));
        es_job_free(job);
        es_job_free(again);
    }
    struct es_job *job = must_parse(everything), *again = NULL;
    check_round_trip(job, &again);
    check_everything(again);
    es_job_free(job);
    es_job_free(again);
}

static void test_text(void **state)
{
    (void)state;
    struct es_job *job = must_parse(everything);
    char *text = NULL;
    size_t n;
    assert_int_equal(es_job_text(job, &text, &n, NULL), 0);
    assert_string_equal(
        text, "{\n"
              "  \"run\": {\"root\": \"/data/runs/\", \"id\": \"r-1\", \"resume\": false, "
              "\"fsync\": true, \"reuse\": [\"r-0\", \"\xc3\xa9\"]},\n"
              "  \"layout\": \"out/{task}/{layer}/{checkpoint}\",\n"
              "  \"grid\": {\"checkpoints\": [\"step0\", \"st\xc3\xa9p \\\"1\\\"\"], \"layers\": "
              "[0, 10000], "
              "\"tasks\": [\"A\", \"B.x\"], \"exclude\": [{\"task\":\"A\",\"layer\":[0]}]},\n"
              "  \"evaluator\": {\"mode\": \"persistent\", \"command\": [\"sh\", \"-c\", \"\", "
              "\"a \\\"b\\\" \xc3\xa9\"], \"env\": {\"A\": \"1\", \"M\": \"\\n\", \"Z\": \"\"}, "
              "\"timeout_s\": 7200, \"retries\": 0, \"require_score\": true},\n"
              "  \"resources\": {\"gpus_per_worker\": 2, \"workers_per_gpu\": 3, "
              "\"coordinator_works\": false},\n"
              "  \"schedule\": {\"policy\": \"static\", \"checkpoint_load_s\": 30, "
              "\"task_cost_s\": {\"B.x\": 2.5}, \"pass_share\": 0.25},\n"
              "  \"limits\": {\"time_limit_s\": 3600, \"grace_s\": 0.5, \"heartbeat_s\": 5, "
              "\"outage_s\": 1800, \"max_consecutive_failures\": 9}\n"
              "}\n");
    free(text);
    es_job_free(job);
}

/* ---- differences ---- */

static void test_differs(void **state)
{
    static const struct {
        const char *before[2], *now[2], *lines; /* sets; NULL: no difference */
    } rows[] = {
        {{NULL}, {NULL}, NULL},
        {{"run.id=a", "grid.layers=1-9"}, {"run.id=b", "evaluator.retries=7"}, NULL},
        {{NULL},
         {"evaluator.command=[\"true\", \"x y\"]"},
         "evaluator.command: was [\"true\"], is [\"true\", \"x y\"]\n"},
        {{NULL},
         {"evaluator={\"mode\": \"null\"}"},
         "evaluator.mode: was \"one-shot\", is \"null\"\n"
         "evaluator.command: was [\"true\"], is []\n"},
        {{NULL},
         {"layout={layer}/{checkpoint}-{task}"},
         "layout: was \"" ES_LAYOUT_DEFAULT "\", is \"{layer}/{checkpoint}-{task}\"\n"},
        {{"evaluator.env={\"A\": \"1\", \"B\": \"2\", \"D\": \"4\"}"},
         {"evaluator.env={\"D\": \"5\", \"C\": \"3\", \"B\": \"2\"}"},
         "evaluator.env.A: was \"1\", is not set\n"
         "evaluator.env.C: was not set, is \"3\"\n"
         "evaluator.env.D: was \"4\", is \"5\"\n"},
    };
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        size_t n_before = n_given(rows[i].before, 2), n_now = n_given(rows[i].now, 2);
        struct es_job *before = must_parse_with(
            JOB, &(struct es_job_overrides){.sets = rows[i].before, .n_sets = n_before});
        struct es_job *now =
            must_parse_with(JOB, &(struct es_job_overrides){.sets = rows[i].now, .n_sets = n_now});
        char *lines = NULL;
        assert_int_equal(es_job_differs(before, now, NULL), rows[i].lines != NULL);
        assert_int_equal(es_job_differs(before, now, &lines), rows[i].lines != NULL);
        if (rows[i].lines)
            assert_string_equal(lines, rows[i].lines);
        else
            assert_null(lines);
        free(lines);
        es_job_free(before);
        es_job_free(now);
    }
}

/* ---- out of memory, at every request ---- */

static void test_load_out_of_memory(void **state)
{
    char path[PATH_MAX];
    static const char job_text[] =
        "{\"run\": {\"root\": \"r\"}, \"layout\": \"{checkpoint}/{layer}/{task}\","
        "\"grid\": {\"checkpoints\": {\"file\": \"names.txt\"}, \"layers\": \"1-4\","
        "\"tasks\": {\"file\": \"names.txt\"}, \"exclude\": [{\"task\": [\"a\"], \"layer\": 2}]},"
        "\"evaluator\": {\"command\": [\"a\", \"b\"], \"env\": {\"B\": \"1\", \"A\": \"2\"}},"
        "\"schedule\": {\"task_cost_s\": {\"a\": 1}}}";
    const char *sets[] = {"evaluator.env.C=1", "grid.layers=2-3"};
    struct es_job_overrides overrides = {.sets = sets, .n_sets = 2, .run_id = "id"};
    (void)state;
    write_file("names.txt", "a\nb\nc\n", 6);
    write_file("job.json", job_text, sizeof job_text - 1);
    file_path("job.json", path);
    bool done = false;
    long n = 0;
    for (; !done; n++) {
        struct es_job *job = NULL;
        struct es_err err = {0};
        es_mem_fail_after(n);
        int rc = es_job_load(path, &overrides, &job, &err);
        es_mem_fail_after(-1);
        done = rc == 0;
        assert_int_equal(job != NULL, done);
        if (rc != 0 && rc != ES_ERR_NOMEM)
            fail_msg("request %ld: %s: %s: %s", n, err.doing, err.subject, err.why);
        es_job_free(job);
    }
    assert_true(n > 40);
    remove_file("names.txt");
    remove_file("job.json");
}

/* An error in the file stays an error when there is no memory to describe it well. */
static void test_error_out_of_memory(void **state)
{
    (void)state;
    for (long n = 0; n < 60; n++) {
        struct es_job *job = NULL;
        struct es_err err = {0};
        es_mem_fail_after(n);
        int rc = parse_with("{" RUN ", 'grid': {'a\\\"': 1}}", NULL, &job, &err);
        es_mem_fail_after(-1);
        assert_true(rc == ES_ERR_NOMEM || rc == ES_ERR_USAGE);
        assert_int_equal(err.code, rc);
        assert_null(job);
    }
}

static void test_text_out_of_memory(void **state)
{
    (void)state;
    const char *set = "evaluator.env={\"A\": \"2\"}";
    struct es_job *job = must_parse(everything);
    struct es_job *other =
        must_parse_with(everything, &(struct es_job_overrides){.sets = &set, .n_sets = 1});
    bool done = false;
    for (long n = 0; !done; n++) {
        char *text = NULL, *lines = NULL;
        size_t len;
        es_mem_fail_after(n);
        int rc = es_job_text(job, &text, &len, NULL);
        es_mem_fail_after(n);
        int rc_differs = es_job_differs(job, other, &lines);
        es_mem_fail_after(-1);
        assert_true(rc == (text ? 0 : ES_ERR_NOMEM));
        assert_true(rc_differs == (lines ? 1 : ES_ERR_NOMEM));
        done = text && lines;
        free(text);
        free(lines);
        assert_true(n < 1000);
    }
    es_job_free(job);
    es_job_free(other);
}

/* ---- size ---- */

static void test_large_job(void **state)
{
    (void)state;
    struct es_buf text = {0};
    es_buf_puts(&text, "{" RUN ", " EVALUATOR ", 'grid': {'checkpoints': [");
    for (int i = 0; i < 200; i++)
        es_buf_printf(&text, "%s'step%d'", i ? ", " : "", i * 1000);
    es_buf_puts(&text, "], 'layers': [");
    for (int i = 0; i < 25; i++)
        es_buf_printf(&text, "%s%d", i ? ", " : "", i);
    es_buf_puts(&text, "], 'tasks': [");
    for (int i = 0; i < 100; i++)
        es_buf_printf(&text, "%s'Task%d'", i ? ", " : "", i);
    es_buf_puts(&text, "], 'exclude': [");
    for (int i = 0; i < 200; i++)
        es_buf_printf(&text, "%s{'checkpoint': 'step%d', 'task': 'Task%d'}", i ? ", " : "",
                      i * 1000, i % 100);
    es_buf_puts(&text, "]}}");
    struct es_job *job = must_parse(text.data);
    assert_int_equal(es_grid_n_units(job->grid), 500000);
    assert_int_equal(es_grid_n_excluded(job->grid), 5000);
    assert_string_equal(es_grid_task(job->grid, 99), "Task99");
    es_job_free(job);
    es_buf_clear(&text);
}

/* As many exclusions as half the checkpoints: no test's time is enough to go through all
 * checkpoints for each of them. */
static void test_many_exclusions(void **state)
{
    (void)state;
    struct es_buf text = {0};
    es_buf_puts(&text, "{" RUN ", " EVALUATOR
                       ", 'grid': {'checkpoints': {'range': ['c1', 'c1000000', 1]}, "
                       "'layers': [1], 'tasks': ['T'], 'exclude': [");
    for (int i = 2; i <= 1000000; i += 2)
        es_buf_printf(&text, "%s{'checkpoint': 'c%d'}", i > 2 ? ", " : "", i);
    es_buf_puts(&text, "]}}");
    struct es_job *job = must_parse(text.data);
    assert_int_equal(es_grid_n_excluded(job->grid), 500000);
    assert_false(es_grid_is_excluded(job->grid, 0));
    assert_true(es_grid_is_excluded(job->grid, 999999));
    es_job_free(job);
    es_buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_null_evaluator),
        cmocka_unit_test(test_run_dir),
        cmocka_unit_test(test_axis_forms),
        cmocka_unit_test(test_pythia),
        cmocka_unit_test(test_names_in_files),
        cmocka_unit_test(test_faults_in_files),
        cmocka_unit_test(test_exclusions),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_long_folder_names),
        cmocka_unit_test(test_too_many_units),
        cmocka_unit_test(test_long_names_in_errors),
        cmocka_unit_test(test_hostile_files),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_override_of_task_cost),
        cmocka_unit_test(test_override_errors),
        cmocka_unit_test(test_replaced_overrides),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_differs),
        cmocka_unit_test(test_load_out_of_memory),
        cmocka_unit_test(test_error_out_of_memory),
        cmocka_unit_test(test_text_out_of_memory),
        cmocka_unit_test(test_large_job),
        cmocka_unit_test(test_many_exclusions),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
