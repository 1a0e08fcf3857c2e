/* The subcommands, a file each. argv[0] is the command's name; they return the exit code. */
#ifndef ES_CLI_COMMANDS_H
#define ES_CLI_COMMANDS_H

int es_cmd_check(int argc, char **argv);
int es_cmd_plan(int argc, char **argv);
int es_cmd_run(int argc, char **argv);
int es_cmd_status(int argc, char **argv);
int es_cmd_consolidate(int argc, char **argv);
int es_cmd_export(int argc, char **argv);
int es_cmd_retry(int argc, char **argv);
int es_cmd_adopt(int argc, char **argv);
int es_cmd_simulate(int argc, char **argv);

#endif
