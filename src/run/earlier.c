/* The earlier tries at a unit: how they go from a failed.json to the one that takes its place, or
 * to the marker, and how they are read there.
 */
#include "run/marker.h"

#include "run/marker_internal.h"
#include "run/result_internal.h"
#include "sys/json.h"

void es_earlier_read(const cJSON *root, struct es_result *result)
{
    const cJSON *earlier = es_json_get(root, "earlier"), *entry;
    struct es_result failed;
    if (result->n_earlier || !cJSON_IsArray(earlier))
        return;
    int n_older = cJSON_GetArraySize(earlier) - ES_TRIES_LIMIT;
    es_result_init(&failed);
    cJSON_ArrayForEach(entry, earlier)
    {
        if (n_older-- > 0 || !cJSON_IsObject(entry))
            continue;
        es_result_reset(&failed);
        es_result_read_circumstances(entry, &failed);
        es_result_add_failed(result, &failed);
    }
    es_result_clear(&failed);
}

bool es_earlier_take(int dir_fd, const char *task, int64_t not_before_ns, struct es_buf *scratch,
                     struct es_result *spare, struct es_result *result)
{
    struct es_look look = {.dir_fd = dir_fd,
                           .task = task,
                           .not_before_ns = not_before_ns,
                           .content = *scratch,
                           .result = *spare};
    result->n_earlier = 0;
    es_buf_puts(&look.path, ".");
    enum es_marker_state state = es_look_at_failed(&look);
    if (state == ES_MARKER_VALID)
        es_result_add_failed(result, &look.result);
    es_buf_clear(&look.path);
    *scratch = look.content;
    *spare = look.result;
    return state != ES_MARKER_NONE || look.is_older;
}
