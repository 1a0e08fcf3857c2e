#include "sys/git.h"

#include "sys/fd.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILE_LIMIT_BYTES = 4096,
    PACKED_LIMIT_BYTES = 64 << 20, /* a line for each ref; some have hundreds of thousands */
    MAX_LINKS = 5,                 /* refs that name refs, as git has it */
};

static bool join(char ret_path[PATH_MAX], const char *folder, const char *name)
{
    int n = name[0] == '/' ? snprintf(ret_path, PATH_MAX, "%s", name)
                           : snprintf(ret_path, PATH_MAX, "%s/%s", folder, name);
    return n > 0 && n < PATH_MAX;
}

/* The content of <folder>/<name> without the newline at its end. */
static bool read_line(const char *folder, const char *name, struct es_buf *text)
{
    char path[PATH_MAX];
    es_buf_reset(text);
    if (!join(path, folder, name) ||
        es_file_read_at(AT_FDCWD, path, FILE_LIMIT_BYTES, text, NULL) < 0 || !text->len)
        return false;
    text->data[strcspn(text->data, "\r\n")] = '\0';
    return true;
}

/* The folder that <folder>/.git is or names. */
static bool find_git_dir(const char *folder, struct es_buf *text, char ret_git_dir[PATH_MAX])
{
    static const char key[] = "gitdir: ";
    char path[PATH_MAX];
    if (!join(path, folder, ".git/HEAD"))
        return false;
    if (access(path, F_OK) == 0)
        return join(ret_git_dir, folder, ".git");
    return read_line(folder, ".git", text) && strncmp(text->data, key, strlen(key)) == 0 &&
           join(ret_git_dir, folder, text->data + strlen(key));
}

static bool is_commit(const char *text)
{
    size_t len = strspn(text, "0123456789abcdef");
    return (len == 40 || len == 64) && text[len] == '\0';
}

/* A line of packed-refs is "commit ref"; others begin with # or ^. */
static bool find_packed(const char *common_dir, const char *ref, struct es_buf *text)
{
    char path[PATH_MAX];
    bool found = false;
    es_buf_reset(text);
    if (!join(path, common_dir, "packed-refs") ||
        es_file_read_at(AT_FDCWD, path, PACKED_LIMIT_BYTES, text, NULL) < 0 || !text->len)
        return false;
    char *rest = text->data;
    for (char *line; !found && (line = strsep(&rest, "\n"));) {
        char *space = strchr(line, ' ');
        found = space && strcmp(space + 1, ref) == 0;
        if (found) {
            *space = '\0';
            memmove(text->data, line, strlen(line) + 1);
        }
    }
    return found;
}

/* Follows HEAD to a commit, which then stands in text. Refs of a work tree that was added to a
 * repository are with the others, in its common folder. */
static bool follow(const char *git_dir, const char *common_dir, struct es_buf *text)
{
    static const char key[] = "ref: ";
    char ref[FILE_LIMIT_BYTES + 1];
    bool found = read_line(git_dir, "HEAD", text);
    for (int i = 0; found && strncmp(text->data, key, strlen(key)) == 0; i++) {
        (void)snprintf(ref, sizeof ref, "%s", text->data + strlen(key));
        if (i == MAX_LINKS || strncmp(ref, "refs/", strlen("refs/")) != 0 || strstr(ref, ".."))
            return false;
        found = read_line(git_dir, ref, text) || read_line(common_dir, ref, text) ||
                find_packed(common_dir, ref, text);
    }
    return found && is_commit(text->data);
}

static bool read_commit(const char *git_dir, struct es_buf *text)
{
    char common_dir[PATH_MAX];
    if (!read_line(git_dir, "commondir", text))
        return follow(git_dir, git_dir, text);
    return join(common_dir, git_dir, text->data) && follow(git_dir, common_dir, text);
}

bool es_git_commit(const char *folder, char ret_commit[ES_GIT_COMMIT_SIZE])
{
    char git_dir[PATH_MAX], *path = realpath(folder, NULL);
    struct es_buf text = {0};
    bool is_tree = false, found = false;
    for (char *slash = path; slash && !is_tree;) {
        is_tree = find_git_dir(path, &text, git_dir);
        slash = strrchr(path, '/');
        if (slash)
            *slash = '\0'; /* "" is the root: names below it begin with a slash */
    }
    if (is_tree)
        found = read_commit(git_dir, &text);
    if (found)
        (void)snprintf(ret_commit, ES_GIT_COMMIT_SIZE, "%s", text.data);
    es_buf_clear(&text);
    free(path);
    return found;
}
