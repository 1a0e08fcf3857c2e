#include "cli/opt.h"

#include "cli/say.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_letter(const struct es_opt *opt)
{
    return opt->name[0] && opt->name[1] == ',';
}

static const char *long_name(const struct es_opt *opt)
{
    return has_letter(opt) ? opt->name + 2 : opt->name;
}

static void print_help(const struct es_opt_spec *spec)
{
    printf("usage: %s\n\n%s\n\nOptions:\n", spec->synopsis, spec->summary);
    for (size_t i = 0; i < spec->n_options; i++) {
        const struct es_opt *opt = &spec->options[i];
        char left[64], letter[8] = "";
        if (has_letter(opt))
            (void)snprintf(letter, sizeof letter, "-%c, ", opt->name[0]);
        (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, long_name(opt),
                       opt->value_name ? "=" : "", opt->value_name ? opt->value_name : "");
        printf("  %-26s  %s\n", left, opt->help);
    }
    printf("  %-26s  %s\n", "--help", "print this and exit");
}

/* The option that an argument is: -o, --output or --output=FILE. */
static const struct es_opt *find(const struct es_opt_spec *spec, const char *arg)
{
    size_t len = strcspn(arg, "=");
    for (size_t i = 0; i < spec->n_options; i++) {
        const struct es_opt *opt = &spec->options[i];
        const char *name = long_name(opt);
        if (has_letter(opt) && arg[1] == opt->name[0] && !arg[2])
            return opt;
        if (arg[1] == '-' && strlen(name) + 2 == len && memcmp(name, arg + 2, len - 2) == 0)
            return opt;
    }
    return NULL;
}

int es_opt_list_add(struct es_opt_list *list, const char *value)
{
    void *grown = es_mem_resize(list->values, list->n + 1, sizeof *list->values);
    if (!grown) {
        es_say("reading the command line: out of memory");
        return -1;
    }
    list->values = grown;
    list->values[list->n++] = value;
    return 0;
}

static bool store(const struct es_opt *opt, const char *value)
{
    if (opt->flag)
        *opt->flag = true;
    if (opt->text)
        *opt->text = value;
    return !opt->list || es_opt_list_add(opt->list, value) == 0;
}

/* Takes the option at argv[*at], with its value; false: said what is wrong. */
static bool take_option(const struct es_opt_spec *spec, int argc, char **argv, int *at)
{
    const struct es_opt *opt = find(spec, argv[*at]);
    if (!opt) {
        es_say("reading the command line: %s: no such option (see --help)", argv[*at]);
        return false;
    }
    const char *equals = strchr(argv[*at], '=');
    const char *value = equals ? equals + 1 : NULL;
    if (!opt->value_name && value) {
        es_say("reading the command line: --%s: takes no value", long_name(opt));
        return false;
    }
    if (opt->value_name && !value) {
        if (*at + 1 >= argc) {
            es_say("reading the command line: --%s: expected %s", long_name(opt), opt->value_name);
            return false;
        }
        value = argv[++*at];
    }
    return store(opt, value);
}

enum es_opt_result es_opt_parse(const struct es_opt_spec *spec, int argc, char **argv,
                                const char **ret_operands)
{
    size_t n = 0;
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!options_end && strcmp(arg, "--") == 0) {
            options_end = true;
        } else if (!options_end && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            print_help(spec);
            return ES_OPT_HELP;
        } else if (!options_end && arg[0] == '-' && arg[1]) {
            if (!take_option(spec, argc, argv, &i))
                return ES_OPT_BAD;
        } else if (spec->operands) {
            if (es_opt_list_add(spec->operands, arg) < 0)
                return ES_OPT_BAD;
            n++;
        } else if (n == spec->n_operands) {
            es_say("reading the command line: %s: one operand too many (usage: %s)", arg,
                   spec->synopsis);
            return ES_OPT_BAD;
        } else {
            ret_operands[n++] = arg;
        }
    }
    if (n < spec->n_operands) {
        es_say("reading the command line: an operand is missing (usage: %s)", spec->synopsis);
        return ES_OPT_BAD;
    }
    return ES_OPT_OK;
}

int es_opt_exit_code(enum es_opt_result result)
{
    return result == ES_OPT_BAD ? ES_EXIT_USAGE : ES_EXIT_OK;
}

void es_opt_list_clear(struct es_opt_list *list)
{
    free(list->values);
    *list = (struct es_opt_list){0};
}
