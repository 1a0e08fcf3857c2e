/* Command lines from tables: parsing, and the help text from the same table. */
#ifndef ES_CLI_OPT_H
#define ES_CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>

#define ES_EXIT_OK 0
#define ES_EXIT_FAILED_UNITS 1
#define ES_EXIT_USAGE 2
#define ES_EXIT_BUSY 3
#define ES_EXIT_INTERNAL 70
#define ES_EXIT_RESUBMIT 75

/* Values of an option that may be given several times; borrowed from argv. */
struct es_opt_list {
    const char **values;
    size_t n;
};

/* One option: exactly one of the three targets is set. */
struct es_opt {
    const char *name;       /* without the dashes; "o,output" has a short form, too */
    const char *value_name; /* NULL: a flag */
    const char *help;
    bool *flag;
    const char **text;
    struct es_opt_list *list;
};

struct es_opt_spec {
    const char *synopsis;         /* "evalsweep run [OPTION]... JOB" */
    const char *summary;          /* what the command does, a few lines */
    const struct es_opt *options; /* [n_options] */
    size_t n_options;
    size_t n_operands;            /* all of them are needed */
    struct es_opt_list *operands; /* takes these and any number more; NULL: there are no more */
};

enum es_opt_result { ES_OPT_OK, ES_OPT_HELP, ES_OPT_BAD };

/* Parses argv[1..]; operands go to ret_operands [n_operands], unless
 * the spec has a list for them. HELP: --help was answered on stdout.
 * BAD: said on stderr. Lists are allocated: es_opt_list_clear. */
enum es_opt_result es_opt_parse(const struct es_opt_spec *spec, int argc, char **argv,
                                const char **ret_operands);

/* The exit code unless the command goes on: that of a bad command line, or of --help. */
int es_opt_exit_code(enum es_opt_result result);

/* -1: there is no memory, which was said. */
int es_opt_list_add(struct es_opt_list *list, const char *value);
void es_opt_list_clear(struct es_opt_list *list);

#endif
