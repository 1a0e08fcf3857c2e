/* The small files that a driver finds in a run folder: the lock ('l'), the saved job ('j'), the
 * epoch
 * ('e') and status.json ('s'), each the first byte and then the file.
 */
#include "fuzz.h"

#include "evalsweep/jobfile.h"
#include "run/folder.h"
#include "run/lock.h"
#include "run/status.h"

/* Whatever stands in a lock, once its counter has not moved for long enough it is taken over. (That
 * of a live process would have to name this machine's boot.) */
static void take_lock(const uint8_t *data, size_t size)
{
    struct es_lock *lock = NULL;
    fuzz_write(ES_FOLDER_NAME "/lock", data, size, NULL);
    FUZZ_ASSERT(es_lock_acquire(fuzz_folder(), 0, &lock, NULL) == 0);
    es_lock_release(lock);
}

static void read_job(const uint8_t *data, size_t size)
{
    struct es_job *job = NULL;
    struct es_err err = {0};
    fuzz_write(ES_FOLDER_NAME "/job.json", data, size, NULL);
    if (es_folder_load_job(fuzz_folder(), NULL, &job, &err) < 0)
        FUZZ_ASSERT(strcmp(err.subject, fuzz_folder()) != 0); /* the file is named */
    es_job_free(job);
}

static void read_epoch(const uint8_t *data, size_t size)
{
    int64_t not_before_ns = INT64_MIN;
    fuzz_write(ES_FOLDER_NAME "/epoch", data, size, NULL);
    FUZZ_ASSERT(es_folder_epoch(fuzz_folder(), &not_before_ns, NULL) == 0);
    FUZZ_ASSERT(not_before_ns != INT64_MIN);
    FUZZ_ASSERT(es_folder_begin_epoch(fuzz_folder(), "77", NULL) == 0);
}

static void read_status(const uint8_t *data, size_t size)
{
    struct es_status_seen seen = {0};
    fuzz_write(ES_STATUS_NAME, data, size, NULL);
    if (es_status_read(fuzz_folder(), 1e9, &seen, NULL) < 0)
        return;
    FUZZ_ASSERT(memchr(seen.host, 0, sizeof seen.host));
    for (uint32_t i = 0; i < seen.n_workers; i++)
        FUZZ_ASSERT(seen.workers[i].host && seen.workers[i].device && seen.workers[i].task);
    for (uint32_t i = 0; i < seen.n_checkpoints; i++)
        FUZZ_ASSERT(seen.checkpoints[i].name);
    for (uint32_t i = 0; i < seen.n_failures; i++)
        FUZZ_ASSERT(seen.failures[i].reason);
    es_status_clear(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    FUZZ_ASSERT(es_folder_make(fuzz_folder(), NULL) == 0);
    switch (data[0]) {
    case 'l':
        take_lock(data + 1, size - 1);
        break;
    case 'j':
        read_job(data + 1, size - 1);
        break;
    case 'e':
        read_epoch(data + 1, size - 1);
        break;
    case 's':
        read_status(data + 1, size - 1);
        break;
    default:
        return 0;
    }
    return 0;
}
