#include "cli/provenance.h"

#include "core/mem.h"
#include "evalsweep/version.h"
#include "mpi/transport.h"
#include "run/adopt.h"
#include "run/starts.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "sys/git.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_LIMIT_BYTES = 1 << 20 };

static int put_versions(struct es_buf *text, struct es_err *err)
{
    char hdf5[40];
    es_store_hdf5_version(hdf5);
    es_buf_printf(text, "{\"evalsweep\":\"%s\",\"mpi\":", ES_VERSION);
    es_buf_json_string(text, es_mpi_version(), strlen(es_mpi_version()));
    es_buf_printf(text, ",\"hdf5\":\"%s\",\"cjson\":\"%s\"}", hdf5, cJSON_Version());
    return text->failed ? es_err_nomem(err, "noting the versions") : 0;
}

/* Adds a copy of the value; NULL or empty: it is not known. */
static void add_copy(struct es_provenance *provenance, const char *name, const char *value)
{
    if (!value || !value[0] || provenance->n_texts == ES_PROVENANCE_MAX)
        return;
    char *copy = es_mem_strdup(value);
    if (!copy)
        return;
    provenance->texts[provenance->n_texts++] = copy;
    es_provenance_add(provenance, name, copy);
}

/* The user's name as the environment has it: a directory service could keep a run waiting. */
static void add_user(struct es_provenance *provenance)
{
    char number[32];
    const char *user = getenv("USER");
    if (!user || !user[0])
        user = getenv("LOGNAME");
    if (!user || !user[0]) {
        (void)snprintf(number, sizeof number, "uid %lu", (unsigned long)geteuid());
        user = number;
    }
    add_copy(provenance, "user", user);
}

/* The command line as a JSON list. */
static void add_command(struct es_provenance *provenance)
{
    struct es_buf arguments = {0}, text = {0};
    if (es_file_read_at(AT_FDCWD, "/proc/self/cmdline", COMMAND_LIMIT_BYTES, &arguments, NULL) ==
        0) {
        for (size_t at = 0; at < arguments.len; at += strlen(arguments.data + at) + 1) {
            es_buf_putc(&text, at ? ',' : '[');
            es_buf_json_string(&text, arguments.data + at, strlen(arguments.data + at));
        }
        es_buf_putc(&text, ']');
        if (!text.failed && arguments.len)
            add_copy(provenance, "command", text.data);
    }
    es_buf_clear(&text);
    es_buf_clear(&arguments);
}

static void add_place(struct es_provenance *provenance)
{
    char host[256] = "", folder[PATH_MAX], commit[ES_GIT_COMMIT_SIZE];
    (void)gethostname(host, sizeof host - 1);
    add_copy(provenance, "host", host);
    add_user(provenance);
    add_command(provenance);
    if (!getcwd(folder, sizeof folder))
        return;
    add_copy(provenance, "working_folder", folder);
    if (es_git_commit(folder, commit))
        add_copy(provenance, "git_commit", commit);
}

static void add_slurm(struct es_provenance *provenance)
{
    static const char *const names[][2] = {
        {"slurm_cluster", "SLURM_CLUSTER_NAME"},
        {"slurm_job_id", "SLURM_JOB_ID"},
        {"slurm_restart_count", "SLURM_RESTART_COUNT"},
        {"slurm_array_job_id", "SLURM_ARRAY_JOB_ID"},
        {"slurm_array_task_id", "SLURM_ARRAY_TASK_ID"},
    };
    if (!getenv("SLURM_JOB_ID"))
        return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        add_copy(provenance, names[i][0], getenv(names[i][1]));
}

int es_provenance_init(struct es_provenance *provenance, const struct es_target *target,
                       struct es_err *err)
{
    *provenance = (struct es_provenance){0};
    int rc = put_versions(&provenance->versions, err);
    if (rc < 0)
        return rc;
    es_provenance_add(provenance, "versions", provenance->versions.data);
    add_place(provenance);
    add_slurm(provenance);
    provenance->n_own = provenance->n;
    if (!target || !target->job)
        return 0;
    es_provenance_add(provenance, "run_id", target->job->run.id);
    rc = es_job_text(target->job, &provenance->job_text, &provenance->job_text_n, err);
    if (rc == 0)
        es_provenance_add(provenance, "job", provenance->job_text);
    return rc;
}

/* Whether an attribute's value is JSON, or a text. */
static bool is_json(const char *name)
{
    return strcmp(name, "versions") == 0 || strcmp(name, "command") == 0;
}

void es_provenance_note_start(const struct es_provenance *provenance,
                              const struct es_target *target)
{
    char started[24];
    struct es_buf line = {0};
    es_clock_format_utc(es_clock_wall_s(), started);
    es_buf_printf(&line, "{\"started\":\"%s\"", started);
    for (size_t i = 0; i < provenance->n_own; i++) {
        const struct es_attribute *attribute = &provenance->attributes[i];
        es_buf_printf(&line, ",\"%s\":", attribute->name);
        if (is_json(attribute->name))
            es_buf_puts(&line, attribute->value);
        else
            es_buf_json_string(&line, attribute->value, strlen(attribute->value));
    }
    es_buf_putc(&line, '}');
    if (!line.failed)
        (void)es_starts_add(target->run_dir, line.data, NULL);
    es_buf_clear(&line);
}

int es_provenance_add_history(struct es_provenance *provenance, const struct es_target *target,
                              struct es_err *err)
{
    int rc = es_adopt_sources(target->run_dir, &provenance->adopted, err);
    if (rc == 0 && provenance->adopted.len)
        es_provenance_add(provenance, "adopted_from", provenance->adopted.data);
    if (rc == 0 && es_starts_read(target->run_dir, &provenance->starts, NULL) == 0 &&
        provenance->starts.len)
        es_provenance_add(provenance, "starts", provenance->starts.data);
    return rc;
}

void es_provenance_add(struct es_provenance *provenance, const char *name, const char *value)
{
    if (provenance->n < ES_PROVENANCE_MAX)
        provenance->attributes[provenance->n++] = (struct es_attribute){name, value};
}

void es_provenance_clear(struct es_provenance *provenance)
{
    es_buf_clear(&provenance->versions);
    es_buf_clear(&provenance->adopted);
    es_buf_clear(&provenance->starts);
    for (size_t i = 0; i < provenance->n_texts; i++)
        free(provenance->texts[i]);
    free(provenance->job_text);
    *provenance = (struct es_provenance){0};
}
