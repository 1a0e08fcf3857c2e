#include "mpi/lastlook.h"

#include "core/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct es_last_look {
    const struct es_layout *layout;
    const struct es_grid *grid;
    uint32_t first[]; /* [n_checkpoints] a unit that is done, or ES_GRID_NONE */
};

int es_last_look_create(const struct es_layout *layout, struct es_units *units,
                        struct es_last_look **ret_look, struct es_err *err)
{
    const struct es_grid *grid = es_units_grid(units);
    struct es_units_columns columns = es_units_columns(units);
    uint32_t n_checkpoints = es_grid_n_checkpoints(grid);
    struct es_last_look *look =
        es_mem_calloc(1, sizeof *look + n_checkpoints * sizeof look->first[0]);
    if (!look)
        return es_err_nomem(err, "starting the recorder");
    look->layout = layout;
    look->grid = grid;
    for (uint32_t c = 0; c < n_checkpoints; c++)
        look->first[c] = ES_GRID_NONE;
    for (uint32_t id = 0; id < columns.n_units; id++)
        if (columns.status[id] == ES_STATUS_DONE)
            es_last_look_note(look, id);
    *ret_look = look;
    return 0;
}

void es_last_look_free(struct es_last_look *look)
{
    free(look);
}

void es_last_look_note(struct es_last_look *look, uint32_t unit_id)
{
    uint32_t *first = &look->first[es_grid_unit(look->grid, unit_id).checkpoint];
    if (*first == ES_GRID_NONE)
        *first = unit_id;
}

/* Whether a folder is gone indeed. Those above it, from the run folder on, are opened first: on
 * NFS, what was not there when this node looked before the run may be remembered so, though another
 * node has made it since. */
static bool is_gone(const char *run_dir, char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 || errno != ENOENT)
        return false;
    for (char *at = path + strlen(run_dir); (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        es_fd_close(&fd);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_there = fd >= 0 || errno != ENOENT;
    es_fd_close(&fd);
    return !is_there;
}

int es_last_look_check(const struct es_last_look *look, const char *run_dir, struct es_err *err)
{
    struct es_buf path = {0};
    int rc = 0;
    for (uint32_t c = 0; rc == 0 && c < es_grid_n_checkpoints(look->grid); c++) {
        if (look->first[c] == ES_GRID_NONE)
            continue;
        es_buf_reset(&path);
        es_buf_printf(&path, "%s/", run_dir);
        es_layout_unit_dir(look->layout, look->grid, es_grid_unit(look->grid, look->first[c]),
                           &path);
        if (!path.failed && is_gone(run_dir, path.data))
            rc = es_err_set(err, ES_ERR_NOENT, "looking back at what was done", path.data,
                            "it was there, and is gone: what was deleted is run by the next start");
    }
    es_buf_clear(&path);
    return rc;
}
