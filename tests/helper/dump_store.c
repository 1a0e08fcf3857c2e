/* dump_store PATH: what a store holds, and it alone, as `evalsweep export` writes what the markers
 * hold. Ends with 1, saying why, when it cannot be read.
 */
#include "evalsweep/export.h"
#include "evalsweep/store.h"

#include <stdio.h>

static int write_stdout(void *ctx, const char *bytes, size_t n)
{
    (void)ctx;
    return fwrite(bytes, 1, n, stdout) == n ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct es_err err = {0};
    struct es_grid *grid = NULL;
    struct es_units *units = NULL;
    if (argc != 2)
        return 2;
    int rc = es_store_read_grid(argv[1], &grid, &err);
    if (rc == 0)
        rc = es_units_create(grid, &units, &err);
    if (rc == 0)
        rc = es_store_read(argv[1], units, NULL, &err);
    if (rc == 0)
        rc = es_export_table(&(struct es_export){0}, units, write_stdout, NULL, &err);
    if (rc < 0)
        fprintf(stderr, "dump_store: %s: %s\n", argv[1], err.why);
    es_units_free(units);
    es_grid_free(grid);
    return rc < 0 || fflush(stdout) != 0;
}
