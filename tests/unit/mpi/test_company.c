/* Other drivers on the run, in files alone: their leases, markers and ends. */
#include "mpi/company.h"

#include "core/mem.h"
#include "helper/tempdir.h"
#include "run/folder.h"
#include "run/lease.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* 2 checkpoints x 3 layers x 1 task: units 0 to 2 are one bundle, 3 to 5 the other. */
struct fixture {
    char run_dir[TEMPDIR_SIZE];
    int run_dir_fd;
    int leases_fd;
    struct es_grid *grid;
    struct es_layout *layout;
    struct es_lock *owner;
    struct es_lock *joiner;
    struct es_company *company;
    struct es_buf news;
    struct es_message message;
    struct es_wire_reader reader;
    struct es_result result;
};

static const uint32_t pending[] = {0, 1, 2, 3, 4, 5};

static int setup(void **state)
{
    static const char *const checkpoints[] = {"step0", "step1"}, *const tasks[] = {"A"};
    static const int32_t layers[] = {1, 2, 3};
    static struct fixture f;
    memset(&f, 0, sizeof f);
    *state = &f;
    es_result_init(&f.result);
    if (tempdir_create(f.run_dir) < 0 || es_folder_make(f.run_dir, NULL) < 0 ||
        es_grid_create(checkpoints, 2, layers, 3, tasks, 1, &f.grid, NULL) < 0 ||
        es_layout_create(ES_LAYOUT_DEFAULT, &f.layout, NULL) < 0)
        return -1;
    f.run_dir_fd = open(f.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f.leases_fd = es_lease_open_folder(f.run_dir_fd);
    return f.leases_fd < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    es_mem_fail_after(-1);
    es_company_free(f->company);
    es_lock_release(f->joiner);
    es_lock_release(f->owner);
    es_message_clear(&f->message);
    es_result_clear(&f->result);
    es_buf_clear(&f->news);
    es_layout_free(f->layout);
    es_grid_free(f->grid);
    es_fd_close(&f->leases_fd);
    es_fd_close(&f->run_dir_fd);
    tempdir_remove(f->run_dir);
    return 0;
}

static void lock_both(struct fixture *f)
{
    assert_int_equal(es_lock_acquire(f->run_dir, 60, &f->owner, NULL), 0);
    es_lock_set_ready(f->owner);
    assert_int_equal(es_lock_join(f->run_dir, 60, &f->joiner, NULL), 0);
}

static void create(struct fixture *f, struct es_lock *lock, int64_t started_ns)
{
    struct es_company_config config = {.lock = lock,
                                       .layout = f->layout,
                                       .pending = pending,
                                       .n_pending = 6,
                                       .not_before_ns = INT64_MIN,
                                       .started_ns = started_ns,
                                       .previous_ns = INT64_MAX,
                                       .stale_s = 60};
    assert_int_equal(es_company_create(&config, f->run_dir, f->grid, &f->company, NULL), 0);
}

static const char *name_of(const char *checkpoint)
{
    static char name[ES_LEASE_NAME_SIZE];
    es_lease_name(checkpoint, "A", name);
    return name;
}

static void take(struct fixture *f, const char *checkpoint, const char *id)
{
    bool is_ours = false;
    assert_int_equal(es_lease_take(f->leases_fd, name_of(checkpoint), id, &is_ours), 0);
    assert_true(is_ours);
}

static bool is_leased(struct fixture *f, const char *checkpoint)
{
    char id[ES_HOLDER_ID_SIZE];
    assert_int_equal(es_lease_read(f->leases_fd, name_of(checkpoint), id), 0);
    return id[0];
}

static void write_file(struct fixture *f, uint32_t unit_id, const char *name, const char *text)
{
    struct es_buf path = {0};
    es_layout_unit_dir(f->layout, f->grid, es_grid_unit(f->grid, unit_id), &path);
    assert_true(es_mkdir_all_at(f->run_dir_fd, path.data) >= 0);
    es_buf_printf(&path, "/%s", name);
    int fd = openat(f->run_dir_fd, path.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
    es_buf_clear(&path);
}

static void look(struct fixture *f)
{
    es_message_clear(&f->message);
    es_company_look(f->company, &f->news);
    if (f->news.len == 0)
        return;
    assert_int_equal(es_message_take(&f->news, &f->message), 0);
    f->reader = es_wire_read(&f->message);
}

static void assert_next(struct fixture *f, uint32_t unit_id, enum es_result_kind kind)
{
    struct es_result_entry entry;
    assert_true(es_results_next(&f->reader, &entry, &f->result));
    assert_int_equal(entry.unit_id, unit_id);
    assert_int_equal(entry.kind, kind);
}

static void assert_no_more(struct fixture *f)
{
    struct es_result_entry entry;
    assert_false(es_results_next(&f->reader, &entry, &f->result));
    assert_false(f->reader.failed);
}

/* A driver in a process that dies at once, without leaving, with the lease of a bundle: its id. */
static void let_one_die(struct fixture *f, const char *checkpoint, char ret_id[ES_HOLDER_ID_SIZE])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct es_lock *lock = NULL;
        char id[ES_HOLDER_ID_SIZE] = "";
        if (es_lock_join(f->run_dir, 60, &lock, NULL) == 0) {
            (void)snprintf(id, sizeof id, "%s", es_lock_id(lock));
            es_lock_set_ready(lock);
        }
        (void)!write(ends[1], id, sizeof id);
        (void)pause();
    }
    assert_int_equal(read(ends[0], ret_id, ES_HOLDER_ID_SIZE), ES_HOLDER_ID_SIZE);
    assert_true(ret_id[0]);
    take(f, checkpoint, ret_id);
    if (!f->owner) /* it owns the run: somebody joins it before it dies */
        assert_int_equal(es_lock_join(f->run_dir, 60, &f->joiner, NULL), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ends[0]);
    close(ends[1]);
}

static void what_another_held_is_told_once_it_is_through(void **state)
{
    struct fixture *f = *state;
    lock_both(f);
    create(f, f->owner, 0);
    take(f, "step0", es_lock_id(f->joiner));
    for (uint32_t id = 0; id < 3; id++)
        es_company_park(f->company, id);
    es_company_park(f->company, 2); /* told twice */
    write_file(f, 0, "done.json", "{\"main_score\":0.5}");
    look(f);
    assert_int_equal(f->message.n, 0);
    assert_int_equal(es_company_n_parked(f->company), 3);
    assert_true(es_company_had_others(f->company));
    write_file(f, 1, "failed.json", "{\"reason\":\"it burns\"}");
    assert_int_equal(es_lease_drop(f->leases_fd, name_of("step0"), es_lock_id(f->joiner)), 0);
    look(f);
    assert_next(f, 0, ES_RESULT_FOUND);
    assert_true(f->result.main_score == 0.5);
    assert_next(f, 1, ES_RESULT_FOUND_FAILED);
    assert_string_equal(es_result_text(&f->result, f->result.reason), "it burns");
    assert_next(f, 2, ES_RESULT_RETURNED);
    assert_no_more(f);
    assert_int_equal(es_company_n_parked(f->company), 0);
    look(f);
    assert_int_equal(f->message.n, 0);
}

static void a_failure_of_an_earlier_run_does_not_count(void **state)
{
    struct fixture *f = *state;
    lock_both(f);
    create(f, f->owner, INT64_MAX);
    write_file(f, 4, "failed.json", "{\"reason\":\"it burned\"}");
    es_company_park(f->company, 4);
    look(f); /* nobody has its lease */
    assert_next(f, 4, ES_RESULT_RETURNED);
    assert_no_more(f);
}

static void what_a_dead_driver_held_comes_back(void **state)
{
    struct fixture *f = *state;
    char id[ES_HOLDER_ID_SIZE], path[TEMPDIR_SIZE + 256];
    lock_both(f);
    create(f, f->owner, 0);
    take(f, "step0", es_lock_id(f->joiner));
    let_one_die(f, "step1", id);
    es_company_park(f->company, 0);
    es_company_park(f->company, 5);
    look(f);
    assert_next(f, 5, ES_RESULT_RETURNED);
    assert_no_more(f);
    assert_false(is_leased(f, "step1"));
    assert_true(is_leased(f, "step0"));
    (void)snprintf(path, sizeof path, "%s/.evalsweep/drivers/%s", f->run_dir, id);
    assert_int_equal(access(path, F_OK), -1);
}

/* Nobody here waits for them, but who comes next may. */
static void a_dead_drivers_leases_go_at_the_first_look(void **state)
{
    struct fixture *f = *state;
    char id[ES_HOLDER_ID_SIZE];
    lock_both(f);
    let_one_die(f, "step1", id);
    create(f, f->owner, 0);
    look(f);
    assert_int_equal(f->message.n, 0);
    assert_false(is_leased(f, "step1"));
}

/* One that has left without its lease: no file tells of it any more. */
static void a_lease_of_nobody_holds_nothing(void **state)
{
    struct fixture *f = *state;
    lock_both(f);
    create(f, f->owner, 0);
    look(f);
    take(f, "step1", "nobody-1");
    es_company_park(f->company, 5);
    look(f);
    assert_next(f, 5, ES_RESULT_RETURNED);
    assert_no_more(f);
    assert_false(is_leased(f, "step1"));
}

/* Only the owner does that: two that both did might take a lease just taken by one of them. */
static void who_joined_leaves_a_dead_drivers_lease_to_the_owner(void **state)
{
    struct fixture *f = *state;
    char id[ES_HOLDER_ID_SIZE];
    lock_both(f);
    create(f, f->joiner, 0);
    let_one_die(f, "step1", id);
    es_company_park(f->company, 5);
    look(f);
    assert_int_equal(f->message.n, 0);
    assert_true(is_leased(f, "step1"));
    assert_false(es_company_leave(f->company)); /* nobody is at work on it */
}

static void who_joined_owns_the_run_of_a_dead_owner(void **state)
{
    struct fixture *f = *state;
    char id[ES_HOLDER_ID_SIZE];
    let_one_die(f, "step1", id);
    create(f, f->joiner, 0);
    assert_false(es_company_owns(f->company));
    es_company_park(f->company, 5);
    look(f);
    assert_true(es_company_owns(f->company));
    assert_next(f, 5, ES_RESULT_RETURNED);
    assert_no_more(f);
    assert_false(is_leased(f, "step1"));
}

static void a_lease_goes_with_the_last_unit_of_its_bundle(void **state)
{
    struct fixture *f = *state;
    lock_both(f);
    create(f, f->owner, 0);
    take(f, "step0", es_lock_id(f->owner));
    take(f, "step1", es_lock_id(f->joiner));
    es_company_settle(f->company, 0);
    es_company_settle(f->company, 2);
    es_company_settle(f->company, 2); /* once more does no harm */
    assert_true(is_leased(f, "step0"));
    es_company_settle(f->company, 1);
    assert_false(is_leased(f, "step0"));
    for (uint32_t id = 3; id < 6; id++) /* found done: the lease is another's */
        es_company_settle(f->company, id);
    assert_true(is_leased(f, "step1"));
}

static void an_owner_leaves_to_who_holds_what_is_left(void **state)
{
    struct fixture *f = *state;
    lock_both(f);
    create(f, f->owner, 0);
    take(f, "step0", es_lock_id(f->owner)); /* forgotten */
    take(f, "step1", es_lock_id(f->joiner));
    assert_false(es_company_leave(f->company)); /* nothing is parked */
    es_company_park(f->company, 3);
    look(f);
    assert_true(es_company_leave(f->company));
    assert_false(is_leased(f, "step0"));
    assert_true(is_leased(f, "step1"));
    assert_true(es_lock_owns(f->joiner));
}

static void nobody_leaves_to_who_may_be_dead(void **state)
{
    struct fixture *f = *state;
    lock_both(f);
    create(f, f->owner, 0);
    char path[TEMPDIR_SIZE + 256];
    (void)snprintf(path, sizeof path, "%s/.evalsweep/drivers/far-1", f->run_dir);
    const char *text = "{\"counter\":1,\"id\":\"far-1\",\"host\":\"far\",\"boot\":\"b\",\"pid\":1}";
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
    take(f, "step1", "far-1");
    es_company_park(f->company, 3);
    look(f);
    assert_int_equal(f->message.n, 0); /* nor is it known to be dead */
    assert_false(es_company_leave(f->company));
    assert_true(es_lock_owns(f->owner));
}

/* What is parked stays so, or it shows that something was not told: nobody waits in vain. */
static void out_of_memory_nothing_is_forgotten_in_silence(void **state)
{
    struct fixture *f = *state;
    uint32_t n_failed = 0;
    lock_both(f);
    create(f, f->owner, 0);
    es_mem_fail_after(0);
    assert_int_equal(es_company_park(f->company, 0), ES_ERR_NOMEM);
    assert_int_equal(es_company_n_parked(f->company), 0);
    for (long n = 0; n_failed == 0 || f->news.failed; n++) {
        es_mem_fail_after(-1);
        es_buf_clear(&f->news);
        for (uint32_t id = 0; id < 3; id++)
            assert_int_equal(es_company_park(f->company, id), 0);
        es_mem_fail_after(n);
        es_company_look(f->company, &f->news);
        n_failed += f->news.failed;
        assert_true(f->news.failed || f->news.len || es_company_n_parked(f->company) == 3);
    }
    es_mem_fail_after(-1);
}

#define TEST_OF(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_OF(what_another_held_is_told_once_it_is_through),
        TEST_OF(a_failure_of_an_earlier_run_does_not_count),
        TEST_OF(what_a_dead_driver_held_comes_back),
        TEST_OF(a_dead_drivers_leases_go_at_the_first_look),
        TEST_OF(a_lease_of_nobody_holds_nothing),
        TEST_OF(who_joined_leaves_a_dead_drivers_lease_to_the_owner),
        TEST_OF(who_joined_owns_the_run_of_a_dead_owner),
        TEST_OF(a_lease_goes_with_the_last_unit_of_its_bundle),
        TEST_OF(an_owner_leaves_to_who_holds_what_is_left),
        TEST_OF(nobody_leaves_to_who_may_be_dead),
        TEST_OF(out_of_memory_nothing_is_forgotten_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
