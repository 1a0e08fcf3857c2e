#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/mem.h"
#include "run/layout.h"

#include <string.h>

static struct es_grid *make_grid(void)
{
    static const char *const checkpoints[] = {"step0", "step1000"};
    static const char *const tasks[] = {"STS12", "a{layer}b"};
    static const int32_t layers[] = {0, 24};
    struct es_grid *grid = NULL;
    assert_int_equal(es_grid_create(checkpoints, 2, layers, 2, tasks, 2, &grid, NULL), 0);
    return grid;
}

static void test_faults(void **state)
{
    static const struct {
        const char *layout, *fault; /* NULL: it is a layout */
    } rows[] = {
        {ES_LAYOUT_DEFAULT, NULL},
        {"{task}/{layer}/{checkpoint}", NULL},
        {"{checkpoint}_{layer}_{task}", NULL},
        {"{checkpoint}/{checkpoint}-{layer}/{task}/out", NULL},
        {"gr\xc3\xb6\xc3\x9f"
         "e/{checkpoint}/{layer}/{task}",
         NULL},
        {"...x/.{checkpoint}/{layer}/{task}", NULL},
        {"", "is empty"},
        {"/abs/{checkpoint}/{layer}/{task}", "begins with a '/'"},
        {"a//{checkpoint}/{layer}/{task}", "part"},
        {"{checkpoint}/{layer}/{task}/", "part"},
        {"../{checkpoint}/{layer}/{task}", "part"},
        {"a/./{checkpoint}/{layer}/{task}", "part"},
        {"{checkpoint}/{layer}/{task}/..", "part"},
        {"{layer}/{task}", "has no {checkpoint}"},
        {"{checkpoint}/{task}", "has no {layer}"},
        {"{checkpoint}/{layer}", "has no {task}"},
        {"{checkpoint}/{layer}/{task}/{run}", "braces"},
        {"{checkpoint}/{layer}/{task}/{", "braces"},
        {"{checkpoint}/{layer}/{task}}", "braces"},
        {"{checkpoint}/{{layer}/{task}", "braces"},
        {"{checkpoint}/{layer }/{task}", "braces"},
        {"{checkpoint}/{layer}{task}", "touch"},
        {"{checkpoint}/\n{layer}/{task}", "control"},
        {"{checkpoint}/\xff/{layer}/{task}", "UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *fault = es_layout_fault(rows[i].layout);
        if (!fault != !rows[i].fault || (fault && !strstr(fault, rows[i].fault)))
            fail_msg("%s: %s", rows[i].layout, fault ? fault : "no fault");
        struct es_layout *layout = NULL;
        struct es_err err = {0};
        assert_int_equal(es_layout_create(rows[i].layout, &layout, &err),
                         rows[i].fault ? ES_ERR_USAGE : 0);
        assert_int_equal(layout != NULL, !rows[i].fault);
        es_layout_free(layout);
    }
}

static void test_levels(void **state)
{
    static const struct {
        const char *layout;
        const char *names[8]; /* of unit (step1000, 24, a{layer}b) */
        unsigned axes[8];
    } rows[] = {
        {ES_LAYOUT_DEFAULT,
         {"outputs/mteb/Pythia/410m", "step1000", "layer_24", "a{layer}b"},
         {0, ES_LAYOUT_CHECKPOINT, ES_LAYOUT_LAYER, ES_LAYOUT_TASK}},
        {"{task}/{layer}/{checkpoint}",
         {"a{layer}b", "24", "step1000"},
         {ES_LAYOUT_TASK, ES_LAYOUT_LAYER, ES_LAYOUT_CHECKPOINT}},
        {"x/{checkpoint}/y/z/{task}.{layer}-{layer}/out",
         {"x", "step1000", "y/z", "a{layer}b.24-24", "out"},
         {0, ES_LAYOUT_CHECKPOINT, 0, ES_LAYOUT_TASK | ES_LAYOUT_LAYER, 0}},
    };
    (void)state;
    struct es_grid *grid = make_grid();
    struct es_unit unit = {1, 1, 1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct es_layout *layout = NULL;
        struct es_buf whole = {0}, joined = {0};
        assert_int_equal(es_layout_create(rows[i].layout, &layout, NULL), 0);
        uint32_t n = 0;
        for (; rows[i].names[n]; n++) {
            struct es_buf name = {0};
            es_layout_level_name(layout, n, grid, unit, &name);
            assert_string_equal(name.data, rows[i].names[n]);
            assert_int_equal(es_layout_level_axes(layout, n), rows[i].axes[n]);
            es_buf_printf(&joined, "%s%s", n ? "/" : "", name.data);
            es_buf_clear(&name);
        }
        assert_int_equal(es_layout_n_levels(layout), n);
        es_layout_unit_dir(layout, grid, unit, &whole);
        assert_string_equal(whole.data, joined.data);
        es_buf_clear(&whole);
        es_buf_clear(&joined);
        es_layout_free(layout);
    }
    es_grid_free(grid);
}

static void test_unit_dir(void **state)
{
    (void)state;
    struct es_grid *grid = make_grid();
    struct es_layout *layout = NULL;
    struct es_buf path = {0};
    assert_int_equal(es_layout_create(ES_LAYOUT_DEFAULT, &layout, NULL), 0);
    es_buf_puts(&path, "runs/demo/");
    es_layout_unit_dir(layout, grid, (struct es_unit){0, 0, 0}, &path);
    assert_string_equal(path.data, "runs/demo/outputs/mteb/Pythia/410m/step0/layer_0/STS12");
    es_buf_clear(&path);
    es_layout_free(layout);
    es_layout_free(NULL);
    es_grid_free(grid);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    bool done = false;
    for (long n = 0; !done; n++) {
        struct es_layout *layout = NULL;
        es_mem_fail_after(n);
        int rc = es_layout_create(ES_LAYOUT_DEFAULT, &layout, NULL);
        es_mem_fail_after(-1);
        done = rc == 0;
        assert_int_equal(layout != NULL, done);
        assert_true(done || rc == ES_ERR_NOMEM);
        assert_true(n < 100);
        es_layout_free(layout);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_unit_dir),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
