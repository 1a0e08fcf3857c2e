/* The reply line of a persistent evaluator. Input: the line. */
#include "results.h"

#include "run/marker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct es_reply reply = {.unit = 17};
    struct es_result result;
    struct es_err err = {0};
    char *line = fuzz_copy(data, size);
    es_result_init(&result);
    int rc = es_reply_parse(line, size, &reply, &result, &err);
    fuzz_check_result(&result);
    if (rc < 0) {
        FUZZ_ASSERT(err.code == ES_ERR_PROTOCOL && err.why[0]);
        FUZZ_ASSERT(reply.unit == 17 && result.n_metrics == 0 && isnan(result.main_score));
    } else {
        FUZZ_ASSERT(reply.unit >= -1);
        fuzz_check_text(es_result_text(&result, reply.error));
    }
    es_result_clear(&result);
    free(line);
    return 0;
}
