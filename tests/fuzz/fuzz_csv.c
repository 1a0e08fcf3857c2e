/* CSV files of others: a trace ('t', then the file), and a progress.csv to append to ('p', then the
 * file), of which nothing may be lost.
 */
#include "fuzz.h"

#include "core/buf.h"
#include "run/progress.h"
#include "run/trace.h"
#include "sys/fd.h"

#include <math.h>

enum { N_UNITS = 4 };

static void read_trace(const struct es_grid *grid, const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_SIZE];
    float unit_s[N_UNITS];
    uint32_t n_outside = 0;
    struct es_err err = {0};
    fuzz_write("trace.csv", data, size, path);
    if (es_trace_read(path, grid, unit_s, &n_outside, &err) < 0) {
        FUZZ_ASSERT(err.code == ES_ERR_PARSE);
        return;
    }
    for (int i = 0; i < N_UNITS; i++)
        FUZZ_ASSERT(isnan(unit_s[i]) || unit_s[i] >= 0);
    FUZZ_ASSERT(n_outside <= size);
}

static void append_progress(const struct es_grid *grid, const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH_SIZE];
    struct es_progress *progress = NULL;
    struct es_buf after = {0};
    struct es_result result;
    es_result_init(&result);
    result.main_score = 0.5;
    fuzz_write("progress.csv", data, size, path);
    FUZZ_ASSERT(es_progress_open(fuzz_folder(), &progress, NULL) == 0);
    es_progress_add(progress, grid, 0, ES_STATUS_DONE, &result);
    FUZZ_ASSERT(es_progress_flush(progress, NULL) == 0);
    es_progress_close(progress);
    FUZZ_ASSERT(es_file_read_at(AT_FDCWD, path, size + 1000000, &after, NULL) == 0);
    FUZZ_ASSERT(after.len > size && memcmp(after.data, data, size) == 0);
    FUZZ_ASSERT(after.data[after.len - 1] == '\n');
    es_buf_clear(&after);
    es_result_clear(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const checkpoints[] = {"step0", "step, 1"}, *const tasks[] = {"A", "\"B\""};
    static const int32_t layers[] = {21};
    static struct es_grid *grid;
    if (!grid)
        FUZZ_ASSERT(es_grid_create(checkpoints, 2, layers, 1, tasks, 2, &grid, NULL) == 0);
    if (size && data[0] == 't')
        read_trace(grid, data + 1, size - 1);
    else if (size && data[0] == 'p')
        append_progress(grid, data + 1, size - 1);
    return 0;
}
