/* A unit's done.json and failed.json, whoever wrote them.
 *
 * Input: 'd' or 'f' (which of the two), then the file. What is read is written as a marker of ours,
 * which must be read back as the same, and the short way through such a marker must tell what cJSON
 * tells.
 */
#include "results.h"

#include "run/marker.h"
#include "run/result_internal.h"

static void check_short_way(const char *text, size_t n)
{
    struct es_result quick, full;
    es_result_init(&quick);
    es_result_init(&full);
    if (es_result_quick(text, n, &quick)) {
        FUZZ_ASSERT(es_result_merge(text, n, "STS12", &full) == ES_FORM_COMPLETE);
        fuzz_check_same(&quick, &full);
    }
    es_result_clear(&quick);
    es_result_clear(&full);
}

static void check_written_again(const struct es_grid *grid, const struct es_result *result)
{
    struct es_buf text = {0};
    struct es_result again;
    es_result_init(&again);
    es_marker_text(grid, (struct es_unit){0, 0, 0}, result, "{}", "", NULL, 0, &text);
    FUZZ_ASSERT(!text.failed);
    FUZZ_ASSERT(es_result_parse(text.data, text.len, "STS12", &again, NULL));
    fuzz_check_same(result, &again);
    es_result_clear(&again);
    es_buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"step0"}, *const tasks[] = {"STS12"};
    static const int32_t layers[] = {21};
    static struct es_grid *grid; /* the same for every input; freed by nobody */
    struct es_buf scratch = {0};
    struct es_result result;
    if (size == 0 || (data[0] != 'd' && data[0] != 'f'))
        return 0;
    if (!grid)
        FUZZ_ASSERT(es_grid_create(names, 1, layers, 1, tasks, 1, &grid, NULL) == 0);
    bool done = data[0] == 'd';
    fuzz_write(done ? "done.json" : "failed.json", data + 1, size - 1, NULL);
    es_result_init(&result);
    if (done) {
        struct es_file_id id;
        enum es_marker_state state =
            es_marker_read(AT_FDCWD, fuzz_folder(), "STS12", INT64_MIN, &scratch, &result, &id);
        FUZZ_ASSERT(state == ES_MARKER_VALID || state == ES_MARKER_EMPTY ||
                    state == ES_MARKER_MALFORMED);
        FUZZ_ASSERT((state == ES_MARKER_EMPTY) == (size == 1));
    } else {
        FUZZ_ASSERT(es_failed_read(AT_FDCWD, fuzz_folder(), "STS12", &scratch, &result));
    }
    fuzz_check_result(&result);
    check_written_again(grid, &result);
    char *text = fuzz_copy(data + 1, size - 1);
    check_short_way(text, size - 1);
    free(text);
    es_result_clear(&result);
    es_buf_clear(&scratch);
    return 0;
}
