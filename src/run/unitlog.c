#include "run/unitlog.h"

#include <string.h>
#include <unistd.h>

bool es_unit_log_find(const char *run_dir, const struct es_layout *layout,
                      const struct es_grid *grid, uint32_t unit_id, struct es_buf *path)
{
    static const char *const names[] = {ES_LOG_NAME, ES_FAILED_NAME};
    struct es_buf whole = {0};
    bool is_found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !is_found; i++) {
        es_buf_reset(&whole);
        es_buf_printf(&whole, "%s/", run_dir);
        es_layout_unit_dir(layout, grid, es_grid_unit(grid, unit_id), &whole);
        es_buf_printf(&whole, "/%s", names[i]);
        is_found = !whole.failed && access(whole.data, F_OK) == 0;
    }
    if (is_found)
        es_buf_puts(path, whole.data + strlen(run_dir) + 1);
    es_buf_clear(&whole);
    return is_found;
}
