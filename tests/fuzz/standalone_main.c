/* Runs a fuzz target without libFuzzer: on every file named, and every file of the folders named,
 * in the order of their names. So the corpus is a regression test with any compiler.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (!file || fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
        fprintf(stderr, "%s: cannot be read\n", path);
        if (file)
            (void)fclose(file);
        return -1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    int rc = data && fread(data, 1, size, file) == size ? 0 : -1;
    (void)fclose(file);
    if (rc == 0) {
        fprintf(stderr, "%s\n", path); /* the last one named is the one that it died on */
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    return rc;
}

static int run_folder(const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    int n_run = 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        (void)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && n_run >= 0)
            n_run = run_file(file) < 0 ? -1 : n_run + 1;
        free(entries[i]);
    }
    free(entries);
    return n < 0 ? -1 : n_run;
}

int main(int argc, char **argv)
{
    int n_run = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool is_folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        int n = is_folder ? run_folder(argv[i]) : run_file(argv[i]) < 0 ? -1 : 1;
        if (n < 0)
            return 1;
        n_run += n;
    }
    if (n_run == 0) {
        fprintf(stderr, "usage: %s FILE_OR_FOLDER... (with at least one file)\n", argv[0]);
        return 2;
    }
    return 0;
}
