/* The job file with its overrides.
 *
 * Input: the file, then a line "%%", then the environment's RUN_ID on a line and a --set on each
 * further line. What parses must survive being written and parsed again, as every resumed run does.
 */
#include "fuzz.h"

#include "evalsweep/jobfile.h"
#include "run/layout.h"

#define MAX_SETS 8

struct input {
    char *text;
    size_t n;
    char *lines[1 + MAX_SETS]; /* RUN_ID and the sets */
    size_t n_lines;
};

static void cut(const uint8_t *data, size_t size, struct input *ret_input)
{
    static const char separator[] = "\n%%\n";
    const uint8_t *end = memmem(data, size, separator, sizeof separator - 1);
    struct input input = {.n = end ? (size_t)(end - data) : size};
    input.text = fuzz_copy(data, input.n);
    if (end) {
        const uint8_t *at = end + sizeof separator - 1;
        size_t left = size - (size_t)(at - data);
        char *line;
        while (input.n_lines < 1 + MAX_SETS && (line = fuzz_take_line(&at, &left)))
            input.lines[input.n_lines++] = line;
    }
    *ret_input = input;
}

/* A job that was read: its text means the same job, and its units have folders. */
static void check_job(const struct es_job *job)
{
    char *text = NULL, *again_text = NULL, *difference = NULL;
    size_t n, again_n;
    struct es_job *again = NULL;
    struct es_layout *layout = NULL;
    struct es_buf path = {0};
    FUZZ_ASSERT(es_job_text(job, &text, &n, NULL) == 0);
    FUZZ_ASSERT(es_job_parse(text, n, "saved.json", NULL, &again, NULL) == 0);
    FUZZ_ASSERT(es_job_text(again, &again_text, &again_n, NULL) == 0);
    FUZZ_ASSERT(n == again_n && memcmp(text, again_text, n) == 0);
    FUZZ_ASSERT(es_job_differs(job, again, &difference) == 0);
    FUZZ_ASSERT(es_layout_create(job->layout, &layout, NULL) == 0);
    es_layout_unit_dir(layout, job->grid, es_grid_unit(job->grid, 0), &path);
    FUZZ_ASSERT(path.len && path.data[0] != '/' && !strstr(path.data, "/../"));
    char *run_dir = es_job_run_dir(job);
    FUZZ_ASSERT(run_dir);
    free(run_dir);
    es_buf_clear(&path);
    es_layout_free(layout);
    es_job_free(again);
    free(text);
    free(again_text);
    free(difference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input;
    struct es_job *job = NULL;
    struct es_err err = {0};
    cut(data, size, &input);
    struct es_job_overrides overrides = {.run_id = input.lines[0]};
    if (input.n_lines > 1) {
        overrides.sets = (const char *const *)&input.lines[1];
        overrides.n_sets = input.n_lines - 1;
    }
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the lines are freed below, each of them */
    int rc = es_job_parse(input.text, input.n, "/nonexistent/job.json", &overrides, &job, &err);
    FUZZ_ASSERT((rc == 0) == (job != NULL));
    FUZZ_ASSERT(rc == 0 || (err.code == rc && err.why[0]));
    /* A short text may ask for a range of a million names; writing that out takes too long here. */
    if (job && es_grid_n_checkpoints(job->grid) < 10000)
        check_job(job);
    es_job_free(job);
    free(input.text);
    for (size_t i = 0; i < input.n_lines; i++)
        free(input.lines[i]);
    return 0;
}
