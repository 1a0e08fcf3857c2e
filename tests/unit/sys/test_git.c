#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sys/git.h"

#include "helper/tempdir.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "0123456789abcdef0123456789abcdef01234567"
#define LONG "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char root[TEMPDIR_SIZE];

static int setup(void **state)
{
    (void)state;
    return tempdir_create(root);
}

static int teardown(void **state)
{
    (void)state;
    tempdir_remove(root);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

/* Writes a file, and the folders above it. */
static void put(const char *name, const char *text)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path_of(name));
    *strrchr(folder, '/') = '\0';
    assert_true(es_mkdir_all_at(AT_FDCWD, folder) >= 0);
    FILE *file = fopen(path_of(name), "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The commit of a folder, "" for none. */
static const char *commit_of(const char *folder)
{
    static char commit[ES_GIT_COMMIT_SIZE];
    (void)snprintf(commit, sizeof commit, "untouched");
    if (es_git_commit(path_of(folder), commit))
        return commit;
    assert_string_equal(commit, "untouched");
    return "";
}

static void a_branch(void **state)
{
    (void)state;
    put("r/.git/HEAD", "ref: refs/heads/topic/x\n");
    put("r/.git/refs/heads/topic/x", A "\n");
    put("r/jobs/deep/file", "");
    assert_string_equal(commit_of("r"), A);
    assert_string_equal(commit_of("r/jobs/deep"), A);
    put("r/.git/packed-refs", "# pack-refs with: peeled\n" B " refs/heads/topic/x\n");
    assert_string_equal(commit_of("r"), A); /* packed ones are older */
}

static void a_packed_branch(void **state)
{
    (void)state;
    put("r/.git/HEAD", "ref: refs/heads/main\n");
    put("r/.git/packed-refs",
        "# pack-refs with: peeled fully-peeled sorted\n" A " refs/heads/mai\n" A
        " refs/heads/main2\n" B " refs/heads/main\n^" A "\n");
    assert_string_equal(commit_of("r"), B);
}

static void a_detached_head(void **state)
{
    (void)state;
    put("r/.git/HEAD", LONG "\n");
    assert_string_equal(commit_of("r"), LONG);
    put("r/.git/HEAD", B);
    assert_string_equal(commit_of("r"), B);
}

static void an_added_work_tree(void **state)
{
    char text[PATH_MAX + 16];
    (void)state;
    put("r/.git/HEAD", "ref: refs/heads/main\n");
    put("r/.git/refs/heads/main", A "\n");
    put("r/.git/worktrees/w/HEAD", "ref: refs/heads/other\n");
    put("r/.git/worktrees/w/commondir", "../..\n");
    put("r/.git/packed-refs", B " refs/heads/other\n");
    (void)snprintf(text, sizeof text, "gitdir: %s\n", path_of("r/.git/worktrees/w"));
    put("w/.git", text);
    assert_string_equal(commit_of("w"), B);
    put("r/.git/refs/heads/other", A "\n");
    assert_string_equal(commit_of("w"), A);
    put("w/.git", "gitdir: ../r/.git/worktrees/w\n"); /* as a submodule has it */
    assert_string_equal(commit_of("w"), A);
}

static void what_cannot_be_told(void **state)
{
    static const char *const heads[] = {
        "",
        "\n",
        "ref: refs/heads/unborn\n",
        "ref: refs/heads/../../../secret\n",
        "ref: /etc/passwd\n",
        "ref: refs/heads/loop\n",
        "ref: ",
        "0123\n",
        "0123456789ABCDEF0123456789ABCDEF01234567\n",
        (LONG "0\n"),
    };
    (void)state;
    put("r/.git/HEAD", "");
    put("r/secret", A "\n");
    put("r/.git/refs/heads/loop", "ref: refs/heads/loop\n");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        put("r/.git/HEAD", heads[i]);
        assert_string_equal(commit_of("r"), "");
    }
    assert_string_equal(commit_of("missing"), "");
    put("w/.git", "gitdir: /nonexistent\n");
    assert_string_equal(commit_of("w"), "");
    put("w/.git", "no link\n");
    assert_string_equal(commit_of("w"), "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_branch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_packed_branch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_detached_head, setup, teardown),
        cmocka_unit_test_setup_teardown(an_added_work_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
