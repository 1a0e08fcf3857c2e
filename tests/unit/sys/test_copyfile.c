#include "sys/copyfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/run/tree.h"

#include <errno.h>

static struct tree tree;

static int set_up(void **state)
{
    (void)state;
    tree_make(&tree);
    tree_write(&tree, "from/a", "one");
    tree_set_mtime(&tree, "from/a", 1000000000);
    tree_folder(&tree, "to");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tree_remove(&tree);
    return 0;
}

static struct stat look(const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(tree.fd, path, &st, 0), 0);
    return st;
}

static void assert_content(const char *path, const char *text)
{
    struct es_buf buf = {0};
    tree_read(&tree, path, &buf);
    assert_string_equal(buf.data, text);
    es_buf_clear(&buf);
}

static void a_copy_has_its_own_content_and_the_times(void **state)
{
    (void)state;
    tree_write(&tree, "to/b", "in the way");
    assert_int_equal(es_copy_file_at(tree.fd, "from/a", tree.fd, "to/b", true), 0);
    assert_content("to/b", "one");
    assert_int_equal(look("to/b").st_mtim.tv_sec, 1000000000);
    tree_write(&tree, "to/b", "two");
    assert_content("from/a", "one");
}

static void a_large_one_and_an_empty_one(void **state)
{
    (void)state;
    static char bytes[300000];
    struct es_buf buf = {0};
    memset(bytes, 'x', sizeof bytes);
    tree_write_n(&tree, "from/large", bytes, sizeof bytes);
    tree_write(&tree, "from/empty", "");
    assert_int_equal(es_copy_file_at(tree.fd, "from/large", tree.fd, "to/large", false), 0);
    assert_int_equal(es_copy_file_at(tree.fd, "from/empty", tree.fd, "to/empty", false), 0);
    tree_read(&tree, "to/large", &buf);
    assert_int_equal(buf.len, sizeof bytes);
    assert_memory_equal(buf.data, bytes, sizeof bytes);
    assert_int_equal(look("to/empty").st_size, 0);
    es_buf_clear(&buf);
}

static void a_link_is_the_same_file(void **state)
{
    (void)state;
    tree_write(&tree, "to/b", "in the way");
    assert_int_equal(es_link_file_at(tree.fd, "from/a", tree.fd, "to/b", false), 0);
    assert_int_equal(look("to/b").st_ino, look("from/a").st_ino);
    /* and again: two names of one file are no reason to leave a third */
    assert_int_equal(es_link_file_at(tree.fd, "from/a", tree.fd, "to/b", false), 0);
    assert_int_equal(look("from/a").st_nlink, 2);
}

static void a_link_to_what_a_symbolic_link_leads_to(void **state)
{
    (void)state;
    assert_int_equal(symlinkat("a", tree.fd, "from/link"), 0);
    assert_int_equal(es_link_file_at(tree.fd, "from/link", tree.fd, "to/b", false), 0);
    assert_int_equal(look("to/b").st_ino, look("from/a").st_ino);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifoat(tree.fd, "from/fifo", 0666), 0);
    assert_int_equal(es_copy_file_at(tree.fd, "from/fifo", tree.fd, "to/b", false), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(es_copy_file_at(tree.fd, "from", tree.fd, "to/b", false), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(es_copy_file_at(tree.fd, "from/none", tree.fd, "to/b", false), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(es_copy_file_at(tree.fd, "from/a", tree.fd, "none/b", false), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(faccessat(tree.fd, "to/b", F_OK, 0), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_copy_has_its_own_content_and_the_times),
        TEST(a_large_one_and_an_empty_one),
        TEST(a_link_is_the_same_file),
        TEST(a_link_to_what_a_symbolic_link_leads_to),
        TEST(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
