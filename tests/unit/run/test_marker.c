/* Markers on disk: what counts, what does not, and scores beside them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "run/marker.h"
#include "run/result_internal.h"
#include "sys/fd.h"
#include "unit/run/tree.h"

#include <math.h>
#include <sys/socket.h>
#include <sys/un.h>

#define UNIT "step0/layer_3/STS12"
#define MARKER UNIT "/done.json"
#define LEN(array) (sizeof(array) / sizeof(array)[0])

struct fixture {
    struct tree tree;
    struct es_buf scratch;
    struct es_result result;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    tree_make(&f->tree);
    es_result_init(&f->result);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tree_remove(&f->tree);
    es_buf_clear(&f->scratch);
    es_result_clear(&f->result);
    free(f);
    return 0;
}

static enum es_marker_state look(struct fixture *f)
{
    return es_marker_read(f->tree.fd, UNIT, "STS12", INT64_MIN, &f->scratch, &f->result, NULL);
}

static void test_missing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(look(f), ES_MARKER_NONE);
    tree_folder(&f->tree, UNIT);
    assert_int_equal(look(f), ES_MARKER_NONE);
    tree_write(&f->tree, "step1/layer_3", "a file where a folder should be");
    assert_int_equal(es_marker_read(f->tree.fd, "step1/layer_3/STS12", "STS12", INT64_MIN,
                                    &f->scratch, &f->result, NULL),
                     ES_MARKER_NONE);
}

static void test_valid(void **state)
{
    struct fixture *f = *state;
    struct es_file_id id = {0};
    struct stat st;
    tree_write(&f->tree, MARKER, "{\"main_score\": 0.5, \"attempt\": 2}\n");
    assert_int_equal(
        es_marker_read(f->tree.fd, UNIT, "STS12", INT64_MIN, &f->scratch, &f->result, &id),
        ES_MARKER_VALID);
    assert_true(f->result.main_score == 0.5);
    assert_int_equal(f->result.attempt, 2);
    assert_int_equal(fstatat(f->tree.fd, MARKER, &st, 0), 0);
    struct es_file_id expected = es_file_id(&st);
    assert_memory_equal(&id, &expected, sizeof id);
}

static void test_contents(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t n;
        enum es_marker_state state;
    } cases[] = {
        {"", 0, ES_MARKER_EMPTY},
        {"\n", 1, ES_MARKER_MALFORMED},
        {"{\"main_score\": 0.", 17, ES_MARKER_MALFORMED},
        {"\x89PNG\r\n\x1a\n\0\0", 10, ES_MARKER_MALFORMED},
        {"\0\0\0\0\0\0", 6, ES_MARKER_MALFORMED},
        {"{}", 2, ES_MARKER_VALID},
        {"\"done\"", 6, ES_MARKER_VALID},
        {"{\"status\":\"failed\"}", 19, ES_MARKER_VALID},
        {"{\"main_score\":NaN}", 18, ES_MARKER_VALID},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        tree_write_n(&f->tree, MARKER, cases[i].bytes, cases[i].n);
        assert_int_equal(look(f), cases[i].state);
        assert_true(isnan(f->result.main_score));
    }
}

static void test_huge(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, MARKER, "{}");
    int fd = openat(f->tree.fd, MARKER, O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, (off_t)ES_MARKER_LIMIT_BYTES + 1), 0);
    assert_int_equal(look(f), ES_MARKER_HUGE);
    assert_int_equal(ftruncate(fd, (off_t)ES_MARKER_LIMIT_BYTES), 0);
    assert_int_equal(look(f), ES_MARKER_MALFORMED); /* "{}", then zeros: it was read */
    es_fd_close(&fd);
}

static void test_no_file(void **state)
{
    struct fixture *f = *state;
    tree_folder(&f->tree, MARKER);
    assert_int_equal(look(f), ES_MARKER_NOT_FILE);
    assert_int_equal(unlinkat(f->tree.fd, MARKER, AT_REMOVEDIR), 0);
    assert_int_equal(mkfifoat(f->tree.fd, MARKER, 0666), 0); /* must not wait for a writer */
    assert_int_equal(look(f), ES_MARKER_NOT_FILE);
    assert_int_equal(unlinkat(f->tree.fd, MARKER, 0), 0);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" MARKER,
                   f->tree.fd);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(look(f), ES_MARKER_NOT_FILE);
    es_fd_close(&fd);
}

static void test_links(void **state)
{
    struct fixture *f = *state;
    tree_folder(&f->tree, UNIT);
    assert_int_equal(symlinkat("elsewhere.json", f->tree.fd, MARKER), 0);
    assert_int_equal(look(f), ES_MARKER_DANGLING);
    tree_write(&f->tree, UNIT "/elsewhere.json", "{\"main_score\":0.25}");
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(f->result.main_score == 0.25);
    assert_int_equal(unlinkat(f->tree.fd, MARKER, 0), 0);
    assert_int_equal(symlinkat("done.json", f->tree.fd, MARKER), 0); /* to itself */
    assert_int_equal(look(f), ES_MARKER_DANGLING);
    assert_int_equal(unlinkat(f->tree.fd, MARKER, 0), 0);
    assert_int_equal(symlinkat(".", f->tree.fd, MARKER), 0);
    assert_int_equal(look(f), ES_MARKER_NOT_FILE);
}

static void test_unreadable(void **state)
{
    struct fixture *f = *state;
    if (geteuid() == 0)
        skip(); /* root may read everything */
    tree_write(&f->tree, MARKER, "{}");
    assert_int_equal(fchmodat(f->tree.fd, MARKER, 0, 0), 0);
    assert_int_equal(look(f), ES_MARKER_UNREADABLE);
}

static void test_age(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, MARKER, "{\"main_score\":1}");
    tree_set_mtime(&f->tree, MARKER, 1000);
    static const struct {
        int64_t not_before_ns;
        enum es_marker_state state;
    } cases[] = {{INT64_MIN, ES_MARKER_VALID},
                 {1000000000000, ES_MARKER_VALID},
                 {1000000000001, ES_MARKER_NONE}};
    for (size_t i = 0; i < LEN(cases); i++)
        assert_int_equal(es_marker_read(f->tree.fd, UNIT, "STS12", cases[i].not_before_ns,
                                        &f->scratch, &f->result, NULL),
                         cases[i].state);
}

/* Where the scores of a marker without any are found; the main score tells the file. */
static void test_scores_beside(void **state)
{
    struct fixture *f = *state;
#define MTEB(score) "{\"scores\":{\"test\":[{\"main_score\":" score "}]}}"
    tree_write(&f->tree, MARKER, "{\"status\":\"done\",\"evaluation_time\":9}");
    tree_write(&f->tree, UNIT "/other.json", MTEB("0.99"));
    tree_write(&f->tree, UNIT "/a/b/c/d/e/f/STS12.json", MTEB("0.98")); /* six folders down */
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(isnan(f->result.main_score));

    const char *below[] = {UNIT "/results/model/rev/STS12.json",
                           UNIT "/results/model/rev/experiments/layer_21/STS12.json"};
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        tree_write(&f->tree, below[i], MTEB("0.375"));
        assert_int_equal(look(f), ES_MARKER_VALID);
        assert_true(f->result.main_score == 0.375);
        assert_int_equal(unlinkat(f->tree.fd, below[i], 0), 0);
    }

    tree_write(&f->tree, UNIT "/model/rev1/STS12.json", MTEB("0.25"));
    tree_write(&f->tree, UNIT "/model/rev2/STS12.json", MTEB("0.5"));
    tree_set_mtime(&f->tree, UNIT "/model/rev1/STS12.json", 1000);
    tree_set_mtime(&f->tree, UNIT "/model/rev2/STS12.json", 2000);
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(f->result.main_score == 0.5);
    tree_set_mtime(&f->tree, UNIT "/model/rev1/STS12.json", 3000);
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(f->result.main_score == 0.25);
    assert_int_equal(f->result.n_metrics, 1);

    tree_write(&f->tree, UNIT "/STS12.json", MTEB("0.75"));
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(f->result.main_score == 0.75);

    tree_write(&f->tree, UNIT "/result.json", "{\"main_score\":0.125,\"evaluation_time_s\":8}");
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(f->result.main_score == 0.125);    /* and the metrics from where there are some */
    assert_true(f->result.evaluation_time_s == 9); /* the marker's own goes first */
    assert_int_equal(f->result.n_metrics, 1);
    assert_true(f->result.metrics[0].value == 0.75);

    tree_write(&f->tree, MARKER, "{\"main_score\":0.0625}");
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(f->result.main_score == 0.0625);
    assert_int_equal(f->result.n_metrics, 1);

    tree_write(&f->tree, MARKER, "{\"schema\":1,\"main_score\":null,\"metrics\":[]}");
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_true(isnan(f->result.main_score)); /* ours says all there is to say */
    assert_int_equal(f->result.n_metrics, 0);
}

static void test_find(void **state)
{
    struct fixture *f = *state;
    tree_folder(&f->tree, UNIT "/result.json"); /* a folder of that name is passed over */
    assert_false(es_result_find(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    tree_write(&f->tree, UNIT "/STS12.json", "{\"main_score\":");
    assert_false(es_result_find(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    tree_write(&f->tree, UNIT "/STS12.json", "{\"seed\":3}");
    assert_false(es_result_find(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    tree_write(&f->tree, UNIT "/STS12.json", "{\"main_score\":NaN}");
    assert_true(es_result_find(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    assert_true(isnan(f->result.main_score));
    assert_false(es_result_find(f->tree.fd, "nowhere", "STS12", &f->scratch, &f->result));
}

/* A link that leads back up must not be followed for ever, nor many of them in all orders. */
static void test_find_in_a_circle(void **state)
{
    struct fixture *f = *state;
    struct es_buf path = {0};
    uint64_t n_calls = 0;
    tree_folder(&f->tree, UNIT "/a");
    assert_int_equal(symlinkat("..", f->tree.fd, UNIT "/a/up"), 0);
    assert_int_equal(symlinkat(".", f->tree.fd, UNIT "/here"), 0);
    assert_false(es_result_find(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    for (int i = 0; i < 10; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, UNIT "/here%d", i);
        assert_int_equal(symlinkat(".", f->tree.fd, name), 0);
    }
    es_buf_puts(&path, UNIT);
    assert_false(
        es_result_find_counted(f->tree.fd, &path, "STS12", &f->scratch, &f->result, &n_calls));
    assert_in_range(n_calls, 1000, 10000);
    es_buf_clear(&path);
}

/* A one-shot evaluator says them in its result.json; a marker's own stand above those. */
static void test_attributes_beside(void **state)
{
    struct fixture *f = *state;
    tree_write(&f->tree, UNIT "/result.json",
               "{\"main_score\":1,\"attributes\":{\"dtype\":\"f\",\"x\":[1]}}");
    es_result_reset(&f->result);
    assert_true(es_result_find(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    assert_string_equal(es_result_text(&f->result, f->result.attributes), "{\"dtype\":\"f\"}");
    tree_write(&f->tree, UNIT "/done.json", "{\"attributes\":{\"dtype\":\"g\"}}");
    assert_int_equal(
        es_marker_read(f->tree.fd, UNIT, "STS12", INT64_MIN, &f->scratch, &f->result, NULL),
        ES_MARKER_VALID);
    assert_true(f->result.main_score == 1);
    assert_string_equal(es_result_text(&f->result, f->result.attributes), "{\"dtype\":\"g\"}");
}

static struct es_grid *make_grid(void)
{
    static const char *const checkpoints[] = {"step1000"}, *const tasks[] = {"STS12"};
    static const int32_t layers[] = {22};
    struct es_grid *grid;
    assert_int_equal(es_grid_create(checkpoints, 1, layers, 1, tasks, 1, &grid, NULL), 0);
    return grid;
}

static void fill(struct es_result *result)
{
    result->main_score = 0.61;
    result->evaluation_time_s = 12.3;
    result->started_s = 1768452734;
    result->finished_s = 1768452746;
    result->rank = 3;
    result->attempt = 1;
    result->host = es_result_keep(result, "n1", 2);
    result->device = es_result_keep(result, "cuda:0", 6);
    es_result_add_metric(result, "test", "default", "cosine_spearman", 0.61);
    es_result_add_metric(result, "test", "default", "ap", (double)NAN);
}

static void test_text_of_done(void **state)
{
    struct fixture *f = *state;
    struct es_grid *grid = make_grid();
    struct es_buf text = {0};
    fill(&f->result);
    es_marker_text(grid, es_grid_unit(grid, 0), &f->result, "{\"evalsweep\":\"0.1.0\"}", "", NULL,
                   0, &text);
    assert_string_equal(
        text.data,
        "{\"schema\":1,\"checkpoint\":\"step1000\",\"layer\":22,\"task\":\"STS12\","
        "\"status\":\"done\",\"main_score\":0.61,\"metrics\":["
        "{\"split\":\"test\",\"subset\":\"default\",\"metric\":\"cosine_spearman\",\"value\":0.61},"
        "{\"split\":\"test\",\"subset\":\"default\",\"metric\":\"ap\",\"value\":null}],"
        "\"evaluation_time_s\":12.3,\"started\":\"2026-01-15T04:52:14Z\","
        "\"finished\":\"2026-01-15T04:52:26Z\",\"host\":\"n1\",\"device\":\"cuda:0\",\"rank\":3,"
        "\"attempt\":1,\"versions\":{\"evalsweep\":\"0.1.0\"}}\n");

    es_result_reset(&f->result);
    f->result.load_s = 0;
    f->result.pass_s = 2.5;
    es_marker_text(grid, es_grid_unit(grid, 0), &f->result, "{}", "", NULL, 0, &text);
    assert_string_equal(text.data,
                        "{\"schema\":1,\"checkpoint\":\"step1000\",\"layer\":22,\"task\":\"STS12\","
                        "\"status\":\"done\",\"main_score\":null,\"metrics\":[],"
                        "\"evaluation_time_s\":null,\"load_s\":0,\"pass_s\":2.5,\"started\":null,"
                        "\"finished\":null,\"host\":\"\",\"device\":\"\",\"rank\":null,"
                        "\"attempt\":0,\"versions\":{}}\n");

    f->result.attributes = es_result_keep(&f->result, "{\"dtype\":\"f\",\"n\":24}", 20);
    es_marker_text(grid, es_grid_unit(grid, 0), &f->result, "{}", "", NULL, 0, &text);
    assert_non_null(
        strstr(text.data, ",\"versions\":{},\"attributes\":{\"dtype\":\"f\",\"n\":24}}\n"));
    tree_write_n(&f->tree, UNIT "/done.json", text.data, text.len);
    assert_int_equal(
        es_marker_read(f->tree.fd, UNIT, "STS12", INT64_MIN, &f->scratch, &f->result, NULL),
        ES_MARKER_VALID);
    assert_string_equal(es_result_text(&f->result, f->result.attributes),
                        "{\"dtype\":\"f\",\"n\":24}");
    es_buf_clear(&text);
    es_grid_free(grid);
}

static void test_failed(void **state)
{
    struct fixture *f = *state;
    struct es_grid *grid = make_grid();
    struct es_buf text = {0};
    static const char log[] = "Traceback\n\0\xff \"\\\x1b[0m";
    assert_false(es_failed_read(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    fill(&f->result);
    f->result.reason = es_result_keep(&f->result, "timed out", 9);
    es_marker_text(grid, es_grid_unit(grid, 0), &f->result, "{}", "signal 9", log, sizeof log - 1,
                   &text);
    assert_non_null(strstr(text.data, "\"status\":\"failed\""));
    assert_non_null(strstr(text.data, "\"reason\":\"timed out\",\"exit\":\"signal 9\",\"log_tail\":"
                                      "\"Traceback\\n\\u0000\xef\xbf\xbd \\\"\\\\\\u001b[0m\","
                                      "\"versions\":{}}\n"));
    tree_write_n(&f->tree, UNIT "/failed.json", text.data, text.len);
    assert_true(es_failed_read(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    assert_string_equal(es_result_text(&f->result, f->result.reason), "timed out");
    assert_int_equal(f->result.attempt, 1);
    struct stat st;
    assert_int_equal(fstatat(f->tree.fd, UNIT "/failed.json", &st, 0), 0);
    int64_t failed_ns = es_file_id(&st).mtime_ns;
    for (int later = 0; later < 2; later++)
        assert_int_equal(
            es_failed_in_run(f->tree.fd, UNIT, "STS12", failed_ns + later, &f->scratch, &f->result),
            !later);

    tree_write(&f->tree, UNIT "/failed.json", ""); /* still says that it failed */
    assert_true(es_failed_read(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    assert_int_equal(f->result.reason, 0);
    es_buf_clear(&text);
    es_grid_free(grid);
}

/* Earlier tries are written and read as they are; only the newest, and their texts cut. */
static void test_earlier(void **state)
{
    struct fixture *f = *state;
    struct es_grid *grid = make_grid();
    struct es_buf text = {0};
    char reason[ES_TRY_TEXT_LIMIT + 100];
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    memcpy(reason + ES_TRY_TEXT_LIMIT - 1, "\xc3\xa9", 2);
    fill(&f->result);
    for (int i = 0; i < ES_TRIES_LIMIT + 3; i++) {
        const struct es_try try = {.evaluation_time_s = 1.5,
                                   .started_s = 1.7e9,
                                   .finished_s = i % 2 ? (double)NAN : 1.7e9 + 1,
                                   .load_s = (double)NAN,
                                   .pass_s = (double)NAN,
                                   .score_s = 0.25,
                                   .attempt = i,
                                   .rank = i % 2 - 1};
        es_result_add_try(&f->result, &try,
                          &(struct es_try_texts){"node \"1\"", "", reason, "signal 9"});
    }
    es_marker_text(grid, es_grid_unit(grid, 0), &f->result, "{}", "", NULL, 0, &text);
    tree_write_n(&f->tree, MARKER, text.data, text.len);
    assert_int_equal(look(f), ES_MARKER_VALID);
    assert_int_equal(f->result.n_earlier, ES_TRIES_LIMIT);
    for (int i = 0; i < ES_TRIES_LIMIT; i++) {
        const struct es_try *try = &f->result.earlier[i];
        assert_int_equal(try->attempt, i + 3);
        assert_int_equal(try->rank, (i + 3) % 2 - 1);
        assert_true(try->started_s == 1.7e9 && try->score_s == 0.25 && isnan(try->pass_s));
        assert_true((i + 3) % 2 ? isnan(try->finished_s) : try->finished_s == 1.7e9 + 1);
        assert_string_equal(es_result_text(&f->result, try->host), "node \"1\"");
        assert_string_equal(es_result_text(&f->result, try->exit), "signal 9");
        assert_int_equal(strlen(es_result_text(&f->result, try->reason)), ES_TRY_TEXT_LIMIT - 1);
    }
    es_buf_clear(&text);
    es_grid_free(grid);
}

/* Whatever stands under the key in a marker of others: it is done, with the tries that are some. */
static void test_earlier_of_others(void **state)
{
    static const struct {
        const char *earlier;
        size_t n;
    } rows[] = {
        {"null", 0},
        {"{}", 0},
        {"\"twice\"", 0},
        {"[1,null,[],\"x\"]", 0},
        {"[{}]", 1},
        {"[{\"attempt\":-1,\"rank\":1e99,\"host\":3,\"reason\":[],\"started\":\"soon\"}]", 1},
        {"[{\"earlier\":[{},{}]},{\"load_s\":NaN}]", 2},
        {"[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{\"attempt\":7}]", ES_TRIES_LIMIT},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < LEN(rows); i++) {
        char text[400];
        (void)snprintf(text, sizeof text, "{\"main_score\":0.5,\"earlier\":%s}", rows[i].earlier);
        tree_write(&f->tree, MARKER, text);
        assert_int_equal(look(f), ES_MARKER_VALID);
        assert_true(f->result.main_score == 0.5 && !f->result.failed);
        assert_int_equal(f->result.n_earlier, rows[i].n);
        for (size_t k = 0; k < f->result.n_earlier; k++) {
            assert_true(f->result.earlier[k].rank == -1 && isnan(f->result.earlier[k].started_s));
            assert_int_equal(f->result.earlier[k].attempt, i == 7 && k == 15 ? 7 : 0);
        }
    }
}

/* What the next try will be a retry of leaves its unit pending, and tells of it all the same. */
static void test_interim(void **state)
{
    struct fixture *f = *state;
    struct es_grid *grid = make_grid();
    struct es_result result, spare;
    struct es_buf text = {0};
    fill(&f->result);
    f->result.is_interim = true;
    es_marker_text(grid, es_grid_unit(grid, 0), &f->result, "{}", "exit code 3", "", 0, &text);
    tree_write_n(&f->tree, UNIT "/failed.json", text.data, text.len);
    assert_true(es_failed_read(f->tree.fd, UNIT, "STS12", &f->scratch, &f->result));
    assert_true(f->result.is_interim);
    es_result_init(&result);
    es_result_init(&spare);
    int fd = openat(f->tree.fd, UNIT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(es_earlier_take(fd, "STS12", INT64_MIN, &f->scratch, &spare, &result));
    assert_true(es_earlier_take(fd, "STS12", INT64_MIN, &f->scratch, &spare, &result));
    assert_int_equal(result.n_earlier, 1); /* however often it is asked */
    assert_string_equal(es_result_text(&result, result.earlier[0].exit), "exit code 3");
    assert_int_equal(unlinkat(fd, "failed.json", 0), 0);
    assert_false(es_earlier_take(fd, "STS12", INT64_MIN, &f->scratch, &spare, &result));
    assert_int_equal(result.n_earlier, 0);
    es_fd_close(&fd);
    es_result_clear(&result);
    es_result_clear(&spare);
    es_buf_clear(&text);
    es_grid_free(grid);
}

static void test_state_texts(void **state)
{
    (void)state;
    for (int a = 0; a < ES_MARKER_N_STATES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(es_marker_state_text((enum es_marker_state)a),
                                    es_marker_state_text((enum es_marker_state)b));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_missing),          TEST(test_valid),
        TEST(test_contents),         TEST(test_huge),
        TEST(test_no_file),          TEST(test_links),
        TEST(test_unreadable),       TEST(test_age),
        TEST(test_scores_beside),    TEST(test_find),
        TEST(test_find_in_a_circle), TEST(test_attributes_beside),
        TEST(test_text_of_done),     TEST(test_failed),
        TEST(test_earlier),          TEST(test_earlier_of_others),
        TEST(test_interim),          cmocka_unit_test(test_state_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
