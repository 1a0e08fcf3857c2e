#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/say.h"
#include "evalsweep/store.h"
#include "evalsweep/version.h"
#include "mpi/transport.h"
#include "sys/fd.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command {
    const char *name;
    const char *operands;
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"check", "JOB", "validate the job file and print the grid", es_cmd_check},
    {"plan", "RUN_DIR|JOB", "what is done, pending, failed; predicted wall time", es_cmd_plan},
    {"run", "JOB", "evaluate what is pending (under srun or mpirun, or alone)", es_cmd_run},
    {"status", "RUN_DIR|JOB", "progress by checkpoint, rate, ETA, failures", es_cmd_status},
    {"consolidate", "RUN_DIR|JOB", "rebuild results.h5 from the markers alone", es_cmd_consolidate},
    {"export", "RUN_DIR|JOB", "every metric on stdout, as CSV or JSON lines", es_cmd_export},
    {"retry", "RUN_DIR|JOB", "clear failed (or done) units, to run them again", es_cmd_retry},
    {"adopt", "RUN_DIR JOB", "let another run's finished units count in this one", es_cmd_adopt},
    {"simulate", "JOB", "the scheduler on a virtual clock: what a sweep will take",
     es_cmd_simulate},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(void)
{
    printf("usage: evalsweep COMMAND [OPTION]...\n\n"
           "One MPI job evaluates every (checkpoint, layer, task) of a sweep.\n\nCommands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].operands);
        printf("  %-24s  %s\n", left, commands[i].summary);
    }
    printf("\n  srun --mpi=pmix evalsweep run JOB     on a Slurm cluster\n"
           "  mpirun -n N evalsweep run JOB         anywhere\n\n"
           "Options:\n"
           "  %-24s  %s\n  %-24s  %s\n\nevalsweep COMMAND --help tells more.\n",
           "--help", "print this and exit", "--version", "print the versions and exit");
}

static int print_version(void)
{
    char hdf5[40];
    es_store_hdf5_version(hdf5);
    printf("evalsweep %s (%s, HDF5 %s, cJSON %s)\n", ES_VERSION, es_mpi_version(), hdf5,
           cJSON_Version());
    return ES_EXIT_OK;
}

/* What was printed is nothing if it did not arrive. */
static int close_stdout(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    es_say("writing to standard output: %s", strerror(errno));
    return exit_code == ES_EXIT_OK ? ES_EXIT_INTERNAL : exit_code;
}

/* Cron and daemons may start us without: what we open must not take the place of one of the three.
 */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    es_fd_close(&fd);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help();
        return ES_EXIT_OK;
    }
    if (strcmp(name, "--version") == 0)
        return print_version();
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return close_stdout(commands[i].run(argc - 1, argv + 1));
    if (name[0])
        es_say("reading the command line: %s: no such command (see evalsweep --help)", name);
    else
        es_say("reading the command line: a command is missing (see evalsweep --help)");
    return ES_EXIT_USAGE;
}
