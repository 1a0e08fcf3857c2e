#include "run/drivers.h"

#include "core/mem.h"
#include "run/folder.h"
#include "sys/atomicfile.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOING "looking at the run's drivers"

struct driver {
    struct es_holder_watch watch;
    char id[ES_HOLDER_ID_SIZE];
    enum es_verdict verdict;
    bool is_there; /* at this look */
};

struct es_drivers {
    char folder[PATH_MAX];
    char own_id[ES_HOLDER_ID_SIZE];
    double stale_s;
    struct es_holder me;
    struct driver *all;
    size_t n;
    size_t cap;
};

int es_drivers_create(const char *run_dir, const char *own_id, double stale_s,
                      struct es_drivers **ret_drivers, struct es_err *err)
{
    struct es_drivers *drivers = es_mem_calloc(1, sizeof *drivers);
    if (!drivers)
        return es_err_nomem(err, DOING);
    int n =
        snprintf(drivers->folder, PATH_MAX, "%s/" ES_FOLDER_NAME "/" ES_FOLDER_DRIVERS, run_dir);
    if (n < 0 || n >= PATH_MAX) {
        free(drivers);
        return es_err_sys(err, ENAMETOOLONG, DOING, run_dir);
    }
    (void)snprintf(drivers->own_id, sizeof drivers->own_id, "%s", own_id);
    drivers->stale_s = stale_s;
    drivers->me = es_holder_self_joined();
    *ret_drivers = drivers;
    return 0;
}

void es_drivers_free(struct es_drivers *drivers)
{
    if (!drivers)
        return;
    free(drivers->all);
    free(drivers);
}

static struct driver *find(const struct es_drivers *drivers, const char *id)
{
    for (size_t i = 0; i < drivers->n; i++)
        if (strcmp(drivers->all[i].id, id) == 0)
            return &drivers->all[i];
    return NULL;
}

static struct driver *find_or_add(struct es_drivers *drivers, const char *id)
{
    struct driver *found = find(drivers, id);
    void *all = drivers->all;
    if (found)
        return found;
    if (es_mem_grow(&all, &drivers->cap, drivers->n + 1, sizeof *drivers->all) < 0)
        return NULL;
    drivers->all = all;
    struct driver *driver = &drivers->all[drivers->n++];
    *driver = (struct driver){.verdict = ES_VERDICT_UNKNOWN};
    (void)snprintf(driver->id, sizeof driver->id, "%s", id);
    return driver;
}

/* One file of the folder. One that cannot be read now counts as it was seen last. */
static int look_at(struct es_drivers *drivers, const char *name, struct es_err *err)
{
    char path[PATH_MAX + 256];
    if (name[0] == '.' || strlen(name) >= ES_HOLDER_ID_SIZE || strcmp(name, drivers->own_id) == 0)
        return 0;
    struct driver *driver = find_or_add(drivers, name);
    if (!driver)
        return es_err_nomem(err, DOING);
    (void)snprintf(path, sizeof path, "%s/%s", drivers->folder, name);
    driver->is_there = true;
    (void)es_holder_observe(&driver->watch, path, &drivers->me, drivers->stale_s, &driver->verdict,
                            NULL);
    return 0;
}

static void forget_missing(struct es_drivers *drivers)
{
    size_t n = 0;
    for (size_t i = 0; i < drivers->n; i++)
        if (drivers->all[i].is_there)
            drivers->all[n++] = drivers->all[i];
    drivers->n = n;
}

int es_drivers_look(struct es_drivers *drivers, struct es_err *err)
{
    DIR *dir = opendir(drivers->folder);
    int rc = 0;
    if (!dir)
        return es_err_sys(err, errno, DOING, drivers->folder);
    for (size_t i = 0; i < drivers->n; i++)
        drivers->all[i].is_there = false;
    errno = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir)); errno = 0)
        rc = look_at(drivers, entry->d_name, err);
    if (rc == 0 && errno)
        rc = es_err_sys(err, errno, DOING, drivers->folder);
    (void)closedir(dir);
    if (rc == 0)
        forget_missing(drivers);
    return rc;
}

uint32_t es_drivers_n_others(const struct es_drivers *drivers)
{
    uint32_t n = 0;
    for (size_t i = 0; i < drivers->n; i++)
        n += drivers->all[i].verdict != ES_VERDICT_GONE;
    return n;
}

uint32_t es_drivers_n_gone(const struct es_drivers *drivers)
{
    return (uint32_t)drivers->n - es_drivers_n_others(drivers);
}

/* Its folder is opened anew for that: what is remembered of it (NFS) does not count. */
static bool has_file(const struct es_drivers *drivers, const char *id)
{
    struct stat st;
    int fd = open(drivers->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool has_it = fd < 0 || fstatat(fd, id, &st, 0) == 0 || errno != ENOENT;
    es_fd_close(&fd);
    return has_it;
}

enum es_verdict es_drivers_verdict(const struct es_drivers *drivers, const char *id)
{
    const struct driver *driver = find(drivers, id);
    if (driver)
        return driver->verdict;
    return has_file(drivers, id) ? ES_VERDICT_UNKNOWN : ES_VERDICT_GONE; /* it has just come */
}

const struct es_holder *es_drivers_find(const struct es_drivers *drivers, const char *id)
{
    const struct driver *driver = find(drivers, id);
    return driver && driver->watch.has_seen ? &driver->watch.seen : NULL;
}

void es_drivers_bury(struct es_drivers *drivers)
{
    DIR *dir = opendir(drivers->folder);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        const struct driver *driver = find(drivers, entry->d_name);
        if (es_atomic_is_temp(entry->d_name) || (driver && driver->verdict == ES_VERDICT_GONE))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
}
