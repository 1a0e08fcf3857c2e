/* Result files: MTEB's, 1.x and 2.x, and result.json. Input: the file. */
#include "results.h"

#include "run/marker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct es_buf scratch = {0};
    struct es_result parsed, found;
    bool has_score = false;
    char *text = fuzz_copy(data, size);
    es_result_init(&parsed);
    es_result_init(&found);
    bool is_json = es_result_parse(text, size, "STS12", &parsed, &has_score);
    FUZZ_ASSERT(is_json || !has_score);
    fuzz_check_result(&parsed);
    fuzz_write("STS12.json", data, size, NULL);
    bool has_found = es_result_find(AT_FDCWD, fuzz_folder(), "STS12", &scratch, &found);
    FUZZ_ASSERT(has_found == has_score);
    fuzz_check_result(&found);
    es_result_clear(&parsed);
    es_result_clear(&found);
    es_buf_clear(&scratch);
    free(text);
    return 0;
}
