/* The grid of an old tree, from its folders. */
#include "run/scan.h"

#include "core/mem.h"
#include "core/num.h"
#include "core/strtab.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DOING "looking for the grid of an old tree"
#define LAYER_PREFIX "layer_"

enum depth { CHECKPOINTS, LAYERS, TASKS, N_DEPTHS };

struct discovery {
    struct es_strtab names[N_DEPTHS]; /* layers as their digits */
    struct es_err *err;
};

/* "21" of "layer_21"; NULL for another name, or one that the layout would not give. */
static const char *layer_digits(const char *name)
{
    const char *digits = name + strlen(LAYER_PREFIX);
    int64_t layer;
    if (strncmp(name, LAYER_PREFIX, strlen(LAYER_PREFIX)) != 0 || !es_parse_int(digits, &layer) ||
        digits[0] == '-' || layer > INT32_MAX || (digits[0] == '0' && digits[1]))
        return NULL;
    return digits;
}

/* The name that a folder stands for at a depth, or NULL. */
static const char *meaning(enum depth depth, int dir_fd, const struct dirent *entry)
{
    const char *name = depth == LAYERS ? layer_digits(entry->d_name) : entry->d_name;
    struct stat st;
    if (entry->d_name[0] == '.' || !name || es_name_fault(name))
        return NULL;
    bool is_folder = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK)
        is_folder = fstatat(dir_fd, entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
    return is_folder ? name : NULL;
}

static int walk(struct discovery *discovery, enum depth depth, int dir_fd, const char *name,
                bool *ret_any);

static int enter(struct discovery *discovery, enum depth depth, int dir_fd,
                 const struct dirent *entry, bool *ret_any)
{
    const char *name = meaning(depth, dir_fd, entry);
    bool counts = true;
    uint32_t code;
    if (!name)
        return 0;
    if (depth < TASKS) {
        bool any_below = false;
        int rc = walk(discovery, (enum depth)(depth + 1), dir_fd, entry->d_name, &any_below);
        if (rc < 0)
            return rc;
        counts = depth == LAYERS || any_below; /* a checkpoint is known by its layers */
    }
    if (counts && es_strtab_add(&discovery->names[depth], name, strlen(name), &code) < 0)
        return es_err_nomem(discovery->err, DOING);
    *ret_any |= counts;
    return 0;
}

/* Goes through the folders in the one of this name. ret_any: whether one of them looked right. */
static int walk(struct discovery *discovery, enum depth depth, int dir_fd, const char *name,
                bool *ret_any)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        int sys_errno = errno;
        es_fd_close(&fd);
        return es_err_sys(discovery->err, sys_errno, DOING, name);
    }
    int rc = 0;
    while (rc == 0) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno)
                rc = es_err_sys(discovery->err, errno, DOING, name);
            break;
        }
        rc = enter(discovery, depth, dirfd(folder), entry, ret_any);
    }
    (void)closedir(folder);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return es_name_compare(*(char *const *)a, *(char *const *)b);
}

static int make_grid(struct discovery *discovery, struct es_grid **ret_grid)
{
    struct es_strtab *names = discovery->names;
    for (int depth = 0; depth < N_DEPTHS; depth++) /* nobody asks the tables for codes any more */
        if (names[depth].n > 0)
            qsort(names[depth].text, names[depth].n, sizeof *names[depth].text, by_name);
    int32_t *layers = es_mem_calloc(names[LAYERS].n, sizeof *layers);
    if (!layers)
        return es_err_nomem(discovery->err, DOING);
    for (uint32_t i = 0; i < names[LAYERS].n; i++) {
        int64_t layer = 0;
        (void)es_parse_int(names[LAYERS].text[i], &layer);
        layers[i] = (int32_t)layer;
    }
    int rc = es_grid_create((const char *const *)names[CHECKPOINTS].text, names[CHECKPOINTS].n,
                            layers, names[LAYERS].n, (const char *const *)names[TASKS].text,
                            names[TASKS].n, ret_grid, discovery->err);
    free(layers);
    return rc;
}

int es_scan_discover(const char *run_dir, struct es_grid **ret_grid, struct es_err *err)
{
    struct discovery discovery = {.err = err};
    bool any = false;
    struct es_buf top = {0};
    es_buf_printf(&top, "%s/%.*s", run_dir,
                  (int)(strstr(ES_LAYOUT_DEFAULT, "/{checkpoint}") - ES_LAYOUT_DEFAULT),
                  ES_LAYOUT_DEFAULT);
    if (top.failed) {
        es_buf_clear(&top);
        return es_err_nomem(err, DOING);
    }
    int rc = walk(&discovery, CHECKPOINTS, AT_FDCWD, top.data, &any);
    if (rc == 0 && discovery.names[TASKS].n == 0)
        rc = es_err_set(err, ES_ERR_NOENT, DOING, top.data,
                        "no folders <checkpoint>/" LAYER_PREFIX "<N>/<task>");
    if (rc == 0)
        rc = make_grid(&discovery, ret_grid);
    for (int depth = 0; depth < N_DEPTHS; depth++)
        es_strtab_clear(&discovery.names[depth]);
    es_buf_clear(&top);
    return rc;
}
