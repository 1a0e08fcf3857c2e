#include "run/tally.h"

#include "helper/tempdir.h"
#include "sys/fd.h"
#include "sys/json.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define N_CHECKPOINTS 3
#define N_UNITS 900 /* 300 of each checkpoint */

static char run_dir[TEMPDIR_SIZE];
static struct es_grid *grid;
static struct es_units *units;
static struct es_layout *layout;
static struct es_tally *tally;
static cJSON *told;

static int setup(void **state)
{
    (void)state;
    const char *const checkpoints[] = {"step0", "step\"1\"", "step2"};
    const char *const tasks[] = {"A", "B", "C"};
    int32_t layers[100];
    for (int32_t i = 0; i < 100; i++)
        layers[i] = i;
    return tempdir_create(run_dir) < 0 ||
           es_grid_create(checkpoints, N_CHECKPOINTS, layers, 100, tasks, 3, &grid, NULL) < 0 ||
           es_units_create(grid, &units, NULL) < 0 ||
           es_layout_create("{checkpoint}/{layer}/{task}", &layout, NULL) < 0 ||
           es_tally_create(units, layout, run_dir, &tally, NULL) < 0;
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(told);
    told = NULL;
    es_tally_free(tally);
    es_layout_free(layout);
    es_units_free(units);
    es_grid_free(grid);
    tempdir_remove(run_dir);
    return 0;
}

static void set(uint32_t unit_id, enum es_status status)
{
    es_units_columns(units).status[unit_id] = (int8_t)status;
}

static void lose(uint32_t unit_id, const char *reason)
{
    set(unit_id, ES_STATUS_FAILED);
    es_tally_note(tally, unit_id, reason);
}

static void put_file(const char *path, const char *text)
{
    char whole[TEMPDIR_SIZE + 100];
    (void)snprintf(whole, sizeof whole, "%s/%s", run_dir, path);
    *strrchr(whole, '/') = '\0';
    assert_true(es_mkdir_all_at(AT_FDCWD, whole) >= 0);
    whole[strlen(whole)] = '/';
    int fd = open(whole, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(es_fd_write_all(fd, text, strlen(text)), 0);
    es_fd_close(&fd);
}

static void tell(void)
{
    struct es_buf text = {0};
    struct es_err err = {0};
    es_buf_putc(&text, '{');
    es_tally_json(tally, &text);
    es_buf_putc(&text, '}');
    cJSON_Delete(told);
    told = NULL;
    if (es_json_parse(text.data, text.len, "the tally", &told, &err) < 0)
        fail_msg("%s", err.why);
    es_buf_clear(&text);
}

static int n_failures(void)
{
    return cJSON_GetArraySize(es_json_get(told, "failures"));
}

static void assert_failure(int at, const char *reason, int n_units, const char *log)
{
    const cJSON *item = cJSON_GetArrayItem(es_json_get(told, "failures"), at);
    assert_string_equal(es_json_get_string(item, "reason"), reason);
    assert_int_equal((int)es_json_get_double(item, "units"), n_units);
    if (log)
        assert_string_equal(es_json_get_string(item, "log"), log);
    else
        assert_true(cJSON_IsNull(es_json_get(item, "log")));
}

static void each_checkpoint_has_its_counts(void **state)
{
    (void)state;
    set(0, ES_STATUS_DONE);
    set(300, ES_STATUS_DONE);
    set(599, ES_STATUS_DONE);
    set(600, ES_STATUS_EXCLUDED);
    lose(601, "x");
    tell();
    static const struct {
        const char *name;
        int done, pending, failed;
    } rows[] = {{"step0", 1, 299, 0}, {"step\"1\"", 2, 298, 0}, {"step2", 0, 298, 1}};
    const cJSON *list = es_json_get(told, "checkpoints");
    assert_int_equal(cJSON_GetArraySize(list), N_CHECKPOINTS);
    for (int c = 0; c < N_CHECKPOINTS; c++) {
        const cJSON *item = cJSON_GetArrayItem(list, c);
        assert_string_equal(es_json_get_string(item, "checkpoint"), rows[c].name);
        assert_int_equal((int)es_json_get_double(item, "done"), rows[c].done);
        assert_int_equal((int)es_json_get_double(item, "pending"), rows[c].pending);
        assert_int_equal((int)es_json_get_double(item, "failed"), rows[c].failed);
    }
}

static void the_five_commonest_reasons_are_told(void **state)
{
    (void)state;
    static const char *const reasons[] = {"a", "b\nb", "c", "d", "e", "f"};
    uint32_t id = 0;
    for (int r = 0; r < 6; r++)
        for (int i = 0; i <= r; i++)
            lose(id++, reasons[r]);
    put_file("step0/0/B/log.txt", ""); /* unit 1, of the first "b" */
    put_file("step0/0/B/failed.json", "");
    put_file("step0/1/A/failed.json", ""); /* unit 3, of the first "c" */
    tell();
    assert_int_equal(n_failures(), ES_TALLY_N_REASONS);
    assert_failure(0, "f", 6, NULL);
    assert_failure(1, "e", 5, NULL);
    assert_failure(3, "c", 3, "step0/1/A/failed.json");
    assert_failure(4, "b\nb", 2, "step0/0/B/log.txt");
    for (uint32_t unit_id = 15; unit_id < 21; unit_id++) /* done after all: all of "f" */
        set(unit_id, ES_STATUS_DONE);
    lose(0, ""); /* and this one failed again, nobody knows why */
    tell();
    assert_int_equal(n_failures(), 5);
    assert_failure(0, "e", 5, NULL);
    assert_failure(4, "unknown", 1, NULL);
}

static void failures_of_earlier_starts_have_their_reasons_in_failed_json(void **state)
{
    (void)state;
    set(0, ES_STATUS_FAILED);
    set(1, ES_STATUS_FAILED);
    put_file("step0/0/A/failed.json", "{\"status\":\"failed\",\"reason\":\"no GPU\"}");
    put_file("step0/0/B/failed.json", "torn");
    put_file("step0/0/C/failed.json", "{\"status\":\"failed\",\"reason\":\"is done now\"}");
    es_tally_read_reasons(tally);
    tell();
    assert_int_equal(n_failures(), 2);
    assert_failure(0, "unknown", 1, "step0/0/B/failed.json");
    assert_failure(1, "no GPU", 1, "step0/0/A/failed.json");
}

static void what_is_the_same_up_to_the_limit_is_one_reason(void **state)
{
    (void)state;
    char text[ES_TRY_TEXT_LIMIT + 10], cut[ES_TRY_TEXT_LIMIT + 1];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    memcpy(text + ES_TRY_TEXT_LIMIT - 1, "\xc3\xa9", 2); /* a character across the limit */
    (void)snprintf(cut, sizeof cut, "%.*s", ES_TRY_TEXT_LIMIT - 1, text);
    lose(0, text);
    text[sizeof text - 2] = 'y';
    lose(1, text);
    tell();
    assert_int_equal(n_failures(), 1);
    assert_failure(0, cut, 2, NULL);
}

/* Evaluators that say something else each time do not hide what they have in common, whenever it
 * comes, and take no more than the memory of 255 reasons. */
static void a_common_reason_is_seen_among_hundreds(void **state)
{
    (void)state;
    char text[40];
    for (uint32_t id = 0; id < N_UNITS; id++) {
        int n = snprintf(text, sizeof text, "out of memory at ");
        for (uint32_t bits = id, i = 0; i < 12; i++, bits /= 2) /* numbers would be all alike */
            text[n++] = bits % 2 ? 'b' : 'a';
        text[n] = '\0';
        lose(id, id % 9 == 0 ? "early" : id >= 600 && id % 9 == 1 ? "late" : text);
    }
    tell();
    const cJSON *list = es_json_get(told, "failures");
    int n_early = 0, n_late = 0, n_unknown = 0;
    for (const cJSON *item = list->child; item; item = item->next) {
        int n = (int)es_json_get_double(item, "units");
        const char *reason = es_json_get_string(item, "reason");
        n_early += strcmp(reason, "early") == 0 ? n : 0;
        n_late += strcmp(reason, "late") == 0 ? n : 0;
        n_unknown += strcmp(reason, "unknown") == 0 ? n : 0;
    }
    assert_int_equal(n_early, 100);
    assert_int_equal(n_late, 33);
    assert_in_range(n_unknown, 900 - 133 - 255, 900 - 133 - 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_checkpoint_has_its_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_five_commonest_reasons_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(
            failures_of_earlier_starts_have_their_reasons_in_failed_json, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_the_same_up_to_the_limit_is_one_reason, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_common_reason_is_seen_among_hundreds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
