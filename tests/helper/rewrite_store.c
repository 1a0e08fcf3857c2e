/* rewrite_store RUN_DIR [in-place]: writes the run's store again and again, as fast as it can,
 * until its stdin ends. In round k every done unit has k as its main score, and the root attribute
 * `round` says k. `in-place` is how not to do it: for a test to see that it would notice.
 */
#include "core/buf.h"
#include "evalsweep/store.h"
#include "helper/sample.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { TEMP_PATH_SIZE = 4096 };

static void set_round(struct es_units *units, uint32_t round)
{
    const struct es_units_columns columns = es_units_columns(units);
    for (uint32_t id = 0; id < columns.n_units; id++)
        if (columns.status[id] == ES_STATUS_DONE)
            columns.main_score[id] = round;
}

/* Puts the bytes of a whole file into one that readers have open. */
static int copy_into(const char *from, const char *to)
{
    struct es_buf bytes = {0};
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc = fd < 0 ? -1 : es_file_read_at(AT_FDCWD, from, SIZE_MAX / 8, &bytes, NULL);
    if (rc == 0)
        rc = es_fd_write_all(fd, bytes.data, bytes.len);
    es_fd_close(&fd);
    es_buf_clear(&bytes);
    return rc;
}

static int write_round(const char *run_dir, const char *aside, uint32_t round,
                       struct es_units *units)
{
    char number[16], path[TEMP_PATH_SIZE];
    const struct es_attribute attribute = {"round", number};
    (void)snprintf(number, sizeof number, "%u", round);
    (void)snprintf(path, sizeof path, "%s/%s", run_dir, ES_STORE_NAME);
    if (aside)
        return es_store_write_file(aside, &attribute, 1, units, NULL) < 0 ? -1
                                                                          : copy_into(aside, path);
    const struct es_store_write request = {
        .run_dir = run_dir, .attributes = &attribute, .n_attributes = 1};
    return es_store_write(&request, units, NULL);
}

int main(int argc, char **argv)
{
    static const struct sample_size size = {20, 10, 30, 3};
    struct sample sample;
    char aside[TEMP_PATH_SIZE];
    if (argc < 2 || argc > 3 || sample_create(size, &sample) < 0)
        return 2;
    (void)snprintf(aside, sizeof aside, "%s/aside.h5", argv[1]);
    int rc = 0;
    struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
    for (uint32_t round = 1; rc == 0 && poll(&end, 1, 0) == 0; round++) {
        set_round(sample.units, round);
        rc = write_round(argv[1], argc == 3 ? aside : NULL, round, sample.units);
        if (rc == 0 && round == 1 && write(STDOUT_FILENO, "\n", 1) != 1) /* there is one now */
            rc = -1;
    }
    sample_free(&sample);
    return rc < 0;
}
