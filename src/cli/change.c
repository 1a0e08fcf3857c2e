#include "cli/change.h"

#include "cli/say.h"
#include "run/folder.h"

#include <stdlib.h>
#include <string.h>

/* Why the run cannot be compared with the job that it was started with. */
static int no_comparison(bool accept_change, const struct es_err *fault, struct es_err *err)
{
    char text[1024];
    es_err_text(fault, text, sizeof text);
    if (!accept_change)
        return es_err_set(err, fault->code, "comparing with the saved job", fault->subject,
                          "%s: --accept-change goes on without it", fault->why);
    es_say("%s (going on without it: --accept-change)", text);
    return 0;
}

static void say_difference(const char *run_dir, char *lines)
{
    es_say("the job differs from the one that %s was started with:", run_dir);
    for (char *line; (line = strsep(&lines, "\n")) && lines;)
        es_say("  %s", line);
}

int es_change_check(const char *run_dir, const struct es_job *job, bool accept_change,
                    const char *doing, const char *why, struct es_err *err)
{
    char *difference = NULL;
    struct es_job *before = NULL;
    struct es_err fault = {0};
    int rc = es_folder_load_job(run_dir, NULL, &before, &fault);
    if (rc == ES_ERR_NOENT)
        return 0;
    if (rc < 0)
        return no_comparison(accept_change, &fault, err);
    if (es_job_differs(before, job, &difference) > 0) {
        if (!accept_change)
            rc = es_err_set(err, ES_ERR_USAGE, doing, run_dir, "%s", why);
        say_difference(run_dir, difference);
    }
    free(difference);
    es_job_free(before);
    return rc;
}
