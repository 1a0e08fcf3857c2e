#include "mpi/company.h"

#include "core/mem.h"
#include "run/drivers.h"
#include "run/lease.h"
#include "run/marker.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A bundle with parked units. */
struct parked {
    uint32_t bundle;
    uint32_t n_units;
};

/* What is so of a unit. */
#define IS_PARKED 1u
#define IS_SETTLED 2u

struct es_company {
    struct es_company_config config;
    const struct es_grid *grid;
    struct es_drivers *drivers;
    int run_dir_fd;
    int leases_fd;    /* to drop our own; those of others are read through one opened anew */
    uint32_t *n_left; /* [n_bundles] units to run that are neither done nor failed for good */
    uint32_t n_bundles_left; /* with such units */
    uint8_t *flags;          /* [n_units] IS_... */
    struct parked *parked;
    size_t n_bundles_parked;
    size_t parked_cap;
    uint32_t n_parked;
    bool owns;
    bool had_others;
    bool has_swept; /* leases of drivers that were gone when this one came to own the lock */
    bool all_live;  /* at the last look: whoever holds what is parked */
    char heir[ES_HOLDER_ID_SIZE]; /* one of them */
    struct es_buf dir;
    struct es_buf scratch;
    struct es_result result;
};

static uint32_t bundle_of(const struct es_company *company, uint32_t unit_id)
{
    struct es_unit unit = es_grid_unit(company->grid, unit_id);
    return unit.checkpoint * es_grid_n_tasks(company->grid) + unit.task;
}

static void lease_name(const struct es_company *company, uint32_t bundle,
                       char ret_name[ES_LEASE_NAME_SIZE])
{
    uint32_t n_tasks = es_grid_n_tasks(company->grid);
    es_lease_name(es_grid_checkpoint(company->grid, bundle / n_tasks),
                  es_grid_task(company->grid, bundle % n_tasks), ret_name);
}

static int open_folders(struct es_company *company, const char *run_dir, struct es_err *err)
{
    company->run_dir_fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (company->run_dir_fd < 0)
        return es_err_sys(err, errno, "opening the run folder", run_dir);
    company->leases_fd = es_lease_open_folder(company->run_dir_fd);
    return company->leases_fd < 0
               ? es_err_sys(err, errno, "opening the folder of leases in", run_dir)
               : 0;
}

int es_company_create(const struct es_company_config *config, const char *run_dir,
                      const struct es_grid *grid, struct es_company **ret_company,
                      struct es_err *err)
{
    struct es_company *company = es_mem_calloc(1, sizeof *company);
    if (!company)
        return es_err_nomem(err, "sharing the run");
    company->config = *config;
    company->grid = grid;
    company->owns = es_lock_owns(config->lock);
    /* The one that was joined, though it may be gone by the first look. */
    company->had_others = !company->owns;
    es_result_init(&company->result);
    company->flags = es_mem_calloc(es_grid_n_units(grid), 1);
    company->n_left = es_mem_calloc((size_t)es_grid_n_checkpoints(grid) * es_grid_n_tasks(grid),
                                    sizeof *company->n_left);
    company->run_dir_fd = company->leases_fd = -1;
    int rc = open_folders(company, run_dir, err);
    if (rc == 0 && (!company->flags || !company->n_left))
        rc = es_err_nomem(err, "sharing the run");
    if (rc == 0)
        rc = es_drivers_create(run_dir, es_lock_id(config->lock), config->stale_s,
                               &company->drivers, err);
    if (rc < 0) {
        es_company_free(company);
        return rc;
    }
    for (uint32_t i = 0; i < config->n_pending; i++)
        if (company->n_left[bundle_of(company, config->pending[i])]++ == 0)
            company->n_bundles_left++;
    *ret_company = company;
    return 0;
}

void es_company_free(struct es_company *company)
{
    if (!company)
        return;
    es_fd_close(&company->leases_fd);
    es_fd_close(&company->run_dir_fd);
    es_drivers_free(company->drivers);
    es_buf_clear(&company->dir);
    es_buf_clear(&company->scratch);
    es_result_clear(&company->result);
    free(company->n_left);
    free(company->flags);
    free(company->parked);
    free(company);
}

int es_company_park(struct es_company *company, uint32_t unit_id)
{
    uint32_t bundle = bundle_of(company, unit_id);
    void *block = company->parked;
    size_t i = 0;
    if (company->flags[unit_id] & IS_PARKED)
        return 0;
    while (i < company->n_bundles_parked && company->parked[i].bundle != bundle)
        i++;
    if (i == company->n_bundles_parked) {
        if (es_mem_grow(&block, &company->parked_cap, i + 1, sizeof *company->parked) < 0)
            return ES_ERR_NOMEM;
        company->parked = block;
        company->parked[company->n_bundles_parked++] = (struct parked){.bundle = bundle};
    }
    company->flags[unit_id] |= IS_PARKED;
    company->parked[i].n_units++;
    company->n_parked++;
    return 0;
}

void es_company_settle(struct es_company *company, uint32_t unit_id)
{
    char name[ES_LEASE_NAME_SIZE];
    uint32_t bundle = bundle_of(company, unit_id);
    if (company->flags[unit_id] & IS_SETTLED) /* it may be told twice */
        return;
    company->flags[unit_id] |= IS_SETTLED;
    if (company->n_left[bundle] == 0 || --company->n_left[bundle] > 0)
        return;
    company->n_bundles_left--;
    lease_name(company, bundle, name);
    (void)es_lease_drop(company->leases_fd, name, es_lock_id(company->config.lock));
}

/* What became of a unit that nobody has now. */
static void find_out(struct es_company *company, uint32_t unit_id, struct es_result_entry *entry)
{
    struct es_unit unit = es_grid_unit(company->grid, unit_id);
    const char *task = es_grid_task(company->grid, unit.task);
    es_buf_reset(&company->dir);
    es_layout_unit_dir(company->config.layout, company->grid, unit, &company->dir);
    *entry = (struct es_result_entry){
        .unit_id = unit_id, .kind = ES_RESULT_RETURNED, .total_s = (double)NAN};
    /* Opened first: what was looked for before may be remembered as not there. */
    int fd = company->dir.failed ? -1
                                 : openat(company->run_dir_fd, company->dir.data,
                                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (es_marker_read(fd, ".", task, company->config.not_before_ns, &company->scratch,
                       &company->result, &entry->marker) == ES_MARKER_VALID) {
        entry->kind = ES_RESULT_FOUND;
    } else if (es_failed_in_run(fd, ".", task, company->config.started_ns, &company->scratch,
                                &company->result)) {
        entry->kind = ES_RESULT_FOUND_FAILED;
        memset(&entry->marker, 0, sizeof entry->marker);
    }
    es_fd_close(&fd);
}

/* Nobody has the bundle any more: its parked units are news. */
static void tell_bundle(struct es_company *company, uint32_t bundle, struct es_buf *news)
{
    uint32_t n_tasks = es_grid_n_tasks(company->grid);
    struct es_unit unit = {.checkpoint = bundle / n_tasks, .task = bundle % n_tasks};
    if (news->len == 0)
        es_results_begin(news);
    for (unit.layer = 0; unit.layer < es_grid_n_layers(company->grid); unit.layer++) {
        uint32_t unit_id = es_grid_id(company->grid, unit);
        struct es_result_entry entry;
        if (!(company->flags[unit_id] & IS_PARKED))
            continue;
        find_out(company, unit_id, &entry);
        es_results_add(news, &entry, &company->result);
        company->flags[unit_id] &= (uint8_t)~IS_PARKED;
        company->n_parked--;
    }
}

/* Whether a driver that lives, or may, holds the bundle. */
static bool is_held(struct es_company *company, int leases_fd, uint32_t bundle)
{
    char name[ES_LEASE_NAME_SIZE], id[ES_HOLDER_ID_SIZE];
    lease_name(company, bundle, name);
    if (es_lease_read(leases_fd, name, id) < 0) {
        company->all_live = false;
        return true; /* it cannot be told now */
    }
    if (!id[0] || strcmp(id, es_lock_id(company->config.lock)) == 0)
        return false;
    enum es_verdict verdict = es_drivers_verdict(company->drivers, id);
    if (verdict == ES_VERDICT_GONE && company->owns)
        return es_lease_drop(leases_fd, name, id) < 0;
    if (verdict == ES_VERDICT_ALIVE)
        (void)snprintf(company->heir, sizeof company->heir, "%s", id);
    else
        company->all_live = false;
    return true;
}

static void look_at_parked(struct es_company *company, int leases_fd, struct es_buf *news)
{
    size_t n = 0;
    for (size_t i = 0; i < company->n_bundles_parked; i++) {
        if (is_held(company, leases_fd, company->parked[i].bundle))
            company->parked[n++] = company->parked[i];
        else
            tell_bundle(company, company->parked[i].bundle, news);
    }
    company->n_bundles_parked = n;
}

static bool is_gone(const char *id, const void *context)
{
    const struct es_company *company = context;
    return strcmp(id, es_lock_id(company->config.lock)) != 0 &&
           es_drivers_verdict(company->drivers, id) == ES_VERDICT_GONE;
}

void es_company_look(struct es_company *company, struct es_buf *news)
{
    if (es_drivers_look(company->drivers, NULL) < 0)
        return;
    if (!company->owns)
        company->owns = es_lock_try(company->config.lock);
    uint32_t n_others = es_drivers_n_others(company->drivers);
    bool some_are_gone = es_drivers_n_gone(company->drivers) > 0;
    company->had_others = company->had_others || n_others > 0 || some_are_gone;
    company->all_live = true;
    if (!company->owns && company->n_parked == 0)
        return;
    int fd = es_lease_open_folder(company->run_dir_fd);
    company->all_live = fd >= 0;
    if (fd < 0)
        return;
    if (company->owns && (some_are_gone || !company->has_swept)) {
        es_drivers_bury(company->drivers);
        company->has_swept = es_lease_sweep(fd, is_gone, company) == 0;
    }
    look_at_parked(company, fd, news);
    es_fd_close(&fd);
}

bool es_company_owns(const struct es_company *company)
{
    return company->owns;
}

uint32_t es_company_n_parked(const struct es_company *company)
{
    return company->n_parked;
}

bool es_company_is_complete(const struct es_company *company)
{
    return company->n_bundles_left == 0;
}

bool es_company_had_others(const struct es_company *company)
{
    return company->had_others;
}

bool es_company_leave(struct es_company *company)
{
    if (!company->all_live || (company->owns && company->n_parked == 0))
        return false;
    es_company_drop_leases(company);
    return es_lock_leave(company->config.lock, company->owns ? company->heir : NULL);
}

static bool is_own(const char *id, const void *context)
{
    const struct es_company *company = context;
    return strcmp(id, es_lock_id(company->config.lock)) == 0;
}

void es_company_drop_leases(struct es_company *company)
{
    int fd = es_lease_open_folder(company->run_dir_fd);
    if (fd >= 0)
        (void)es_lease_sweep(fd, is_own, company);
    es_fd_close(&fd);
}
