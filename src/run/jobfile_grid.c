#include "run/jobfile_internal.h"

#include "core/mem.h"
#include "run/layout.h"
#include "sys/json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- layers ---- */

#define LAYER "a whole number from 0 to 10000"
#define LAYER_FORMS "a list of whole numbers, \"21-24\" or {\"last\": 4, \"of\": 24}"
_Static_assert(JOBFILE_MAX_LAYER == 10000, "LAYER says so");

static int add_layer(const struct jobfile_reader *reader, const cJSON *item, long number)
{
    struct jobfile_layers *layers = reader->layers;
    if (layers->seen[number])
        return es_jobfile_fault(reader, item, "layer %ld stands there twice", number);
    layers->seen[number] = true;
    layers->number[layers->n++] = (int32_t)number;
    return 0;
}

/* A layer's number at *p, which is moved behind it; -1 if there is none. */
static long number_at(const char **p)
{
    long number = -1;
    while (**p == ' ')
        (*p)++;
    for (; isdigit((unsigned char)**p) && number <= JOBFILE_MAX_LAYER; (*p)++)
        number = (number < 0 ? 0 : number * 10) + (**p - '0');
    while (**p == ' ')
        (*p)++;
    return number <= JOBFILE_MAX_LAYER ? number : -1;
}

/* "0,5,21-24" */
static int read_layer_ranges(const struct jobfile_reader *reader, const cJSON *item)
{
    const char *p = item->valuestring;
    int rc = 0;
    do {
        long first = number_at(&p), last = first;
        if (*p == '-') {
            p++;
            last = number_at(&p);
        }
        if (first < 0 || last < first || (*p && *p != ','))
            return es_jobfile_mismatch(reader, item, LAYER_FORMS);
        for (long number = first; number <= last && rc == 0; number++)
            rc = add_layer(reader, item, number);
    } while (rc == 0 && *p++ == ',');
    return rc;
}

static int read_last_layers(const struct jobfile_reader *reader, const cJSON *item)
{
    const cJSON *last = es_json_get(item, "last"), *of = es_json_get(item, "of");
    if (!last || !of || cJSON_GetArraySize(item) != 2)
        return es_jobfile_mismatch(reader, item, LAYER_FORMS);
    if (!es_jobfile_is_whole(of, 0, JOBFILE_MAX_LAYER))
        return es_jobfile_mismatch(reader, of, LAYER);
    if (!es_jobfile_is_whole(last, 1, of->valuedouble + 1)) {
        char expected[60];
        (void)snprintf(expected, sizeof expected, "a whole number from 1 to %.0f",
                       of->valuedouble + 1);
        return es_jobfile_mismatch(reader, last, expected);
    }
    int rc = 0;
    long end = (long)of->valuedouble;
    for (long number = end - (long)last->valuedouble + 1; number <= end && rc == 0; number++)
        rc = add_layer(reader, item, number);
    return rc;
}

int es_jobfile_read_layers(struct jobfile_reader *reader, const cJSON *item)
{
    reader->layers = es_mem_calloc(1, sizeof *reader->layers);
    if (!reader->layers)
        return es_jobfile_nomem(reader);
    if (cJSON_IsString(item))
        return read_layer_ranges(reader, item);
    if (cJSON_IsObject(item))
        return read_last_layers(reader, item);
    if (!cJSON_IsArray(item))
        return es_jobfile_mismatch(reader, item, LAYER_FORMS);
    if (!item->child)
        return es_jobfile_fault(reader, item, "the list is empty");
    int rc = 0;
    for (const cJSON *child = item->child; child && rc == 0; child = child->next) {
        if (!es_jobfile_is_whole(child, 0, JOBFILE_MAX_LAYER))
            return es_jobfile_mismatch(reader, child, LAYER);
        rc = add_layer(reader, child, (long)child->valuedouble);
    }
    return rc;
}

/* ---- exclusions ---- */

enum axis { AXIS_CHECKPOINT, AXIS_LAYER, AXIS_TASK, N_AXES };

static const char *const axis_keys[N_AXES] = {"checkpoint", "layer", "task"};

/* The indices of an axis that an exclusion names. */
struct selection {
    uint32_t *index; /* [n]; NULL: it does not name the axis, and n is 1 */
    uint32_t n;
};

struct excluding {
    const struct jobfile_reader *reader;
    uint32_t *named_by[N_AXES]; /* for each index the number of the last exclusion that names it */
    uint32_t number;            /* of the one that is read, from 1 */
};

static int unknown_name(const struct jobfile_reader *reader, const cJSON *item, enum axis axis,
                        const char *name)
{
    char quoted[JOBFILE_QUOTED_SIZE], near[JOBFILE_QUOTED_SIZE];
    const struct es_grid *grid = reader->job->grid;
    es_jobfile_quote(name, quoted);
    for (uint32_t i = 0; axis == AXIS_TASK && i < es_grid_n_tasks(grid); i++)
        if (es_jobfile_is_near(name, es_grid_task(grid, i)))
            return es_jobfile_fault(reader, item, "%s is no task of the grid; did you mean %s?",
                                    quoted, es_jobfile_quote(es_grid_task(grid, i), near));
    return es_jobfile_fault(reader, item, "%s is no %s of the grid", quoted, axis_keys[axis]);
}

/* The index of what an item names. */
static int find_on_axis(const struct jobfile_reader *reader, enum axis axis, const cJSON *item,
                        uint32_t *ret_index)
{
    const struct es_grid *grid = reader->job->grid;
    const char *name;
    if (axis == AXIS_LAYER) {
        if (!es_jobfile_is_whole(item, 0, JOBFILE_MAX_LAYER))
            return es_jobfile_mismatch(reader, item, LAYER);
        *ret_index = es_grid_find_layer(grid, (int32_t)item->valuedouble);
        return *ret_index != ES_GRID_NONE
                   ? 0
                   : es_jobfile_fault(reader, item, "%.0f is no layer of the grid",
                                      item->valuedouble);
    }
    int rc = es_jobfile_get_text(reader, item, "a name or a list of names", &name);
    if (rc < 0)
        return rc;
    *ret_index =
        axis == AXIS_TASK ? es_grid_find_task(grid, name) : es_grid_find_checkpoint(grid, name);
    return *ret_index != ES_GRID_NONE ? 0 : unknown_name(reader, item, axis, name);
}

static int select_on_axis(const struct excluding *excluding, enum axis axis, const cJSON *item,
                          struct selection *selection)
{
    const struct jobfile_reader *reader = excluding->reader;
    const bool is_list = cJSON_IsArray(item);
    if (is_list && !item->child)
        return es_jobfile_fault(reader, item, "the list is empty");
    const size_t n = is_list ? (size_t)cJSON_GetArraySize(item) : 1;
    *selection = (struct selection){.index = es_mem_calloc(n, sizeof *selection->index)};
    if (!selection->index)
        return es_jobfile_nomem(reader);
    for (const cJSON *one = is_list ? item->child : item; one; one = is_list ? one->next : NULL) {
        uint32_t index = 0;
        int rc = find_on_axis(reader, axis, one, &index);
        if (rc < 0)
            return rc;
        if (excluding->named_by[axis][index] == excluding->number)
            return es_jobfile_fault(reader, one, "it stands in the list twice");
        excluding->named_by[axis][index] = excluding->number;
        selection->index[selection->n++] = index;
    }
    return 0;
}

static uint32_t nth_selected(const struct selection *selection, uint32_t nth)
{
    return selection->index ? selection->index[nth] : ES_GRID_ANY;
}

static void exclude_selected(struct es_grid *grid, const struct selection by[N_AXES])
{
    const struct selection *c = &by[AXIS_CHECKPOINT], *l = &by[AXIS_LAYER], *t = &by[AXIS_TASK];
    for (uint32_t i = 0; i < c->n; i++)
        for (uint32_t j = 0; j < l->n; j++)
            for (uint32_t k = 0; k < t->n; k++)
                es_grid_exclude(grid, nth_selected(c, i), nth_selected(l, j), nth_selected(t, k));
}

static int read_exclusion(const struct excluding *excluding, const cJSON *item)
{
    const struct jobfile_reader *reader = excluding->reader;
    struct selection by[N_AXES] = {{.n = 1}, {.n = 1}, {.n = 1}};
    if (!cJSON_IsObject(item) || !item->child)
        return es_jobfile_mismatch(reader, item,
                                   "an object with checkpoint, layer, task or some of them");
    int rc = 0;
    for (const cJSON *member = item->child; member && rc == 0; member = member->next) {
        unsigned axis = 0;
        while (axis < N_AXES && strcmp(member->string, axis_keys[axis]) != 0)
            axis++;
        rc = axis < N_AXES ? select_on_axis(excluding, (enum axis)axis, member, &by[axis])
                           : es_jobfile_unknown_key(reader, member, axis_keys, N_AXES);
    }
    if (rc == 0)
        exclude_selected(reader->job->grid, by);
    for (unsigned axis = 0; axis < N_AXES; axis++)
        free(by[axis].index);
    return rc;
}

/* A job may have as many exclusions as checkpoints: each costs what it names, and no more. */
static int read_exclusions(const struct jobfile_reader *reader, const cJSON *list)
{
    const struct es_grid *grid = reader->job->grid;
    const uint32_t n[N_AXES] = {es_grid_n_checkpoints(grid), es_grid_n_layers(grid),
                                es_grid_n_tasks(grid)};
    struct excluding excluding = {.reader = reader};
    int rc = 0;
    for (unsigned axis = 0; axis < N_AXES && rc == 0; axis++) {
        excluding.named_by[axis] = es_mem_calloc(n[axis], sizeof *excluding.named_by[axis]);
        if (!excluding.named_by[axis])
            rc = es_jobfile_nomem(reader);
    }
    for (const cJSON *entry = list->child; entry && rc == 0; entry = entry->next) {
        excluding.number++;
        rc = read_exclusion(&excluding, entry);
    }
    for (unsigned axis = 0; axis < N_AXES; axis++)
        free(excluding.named_by[axis]);
    return rc;
}

static int read_exclude(struct jobfile_reader *reader, const cJSON *item)
{
    if (!cJSON_IsArray(item))
        return es_jobfile_mismatch(reader, item, "a list of objects");
    int rc = read_exclusions(reader, item);
    if (rc < 0)
        return rc;
    char *printed = cJSON_PrintUnformatted(item);
    reader->job->exclude = printed ? es_mem_strdup(printed) : NULL;
    cJSON_free(printed);
    return reader->job->exclude ? 0 : es_jobfile_nomem(reader);
}

/* ---- the grid as a whole ---- */

#define LONGEST_FOLDER_NAME 255 /* NAME_MAX of every file system that has sweeps on it */

static uint32_t longest(const char *(*name_of)(const struct es_grid *, uint32_t), uint32_t n,
                        const struct es_grid *grid)
{
    uint32_t found = 0;
    for (uint32_t i = 1; i < n; i++)
        if (strlen(name_of(grid, i)) > strlen(name_of(grid, found)))
            found = i;
    return found;
}

/* The layout may put so much around a name of 240 bytes that no folder can be made: better said now
 * than unit by unit. */
static int check_folder_names(const struct jobfile_reader *reader, const cJSON *item)
{
    const struct es_grid *grid = reader->job->grid;
    struct es_layout *layout = NULL;
    struct es_buf name = {0};
    struct es_unit unit = {.checkpoint =
                               longest(es_grid_checkpoint, es_grid_n_checkpoints(grid), grid),
                           .task = longest(es_grid_task, es_grid_n_tasks(grid), grid)};
    for (uint32_t i = 1; i < es_grid_n_layers(grid); i++)
        if (es_grid_layer(grid, i) > es_grid_layer(grid, unit.layer))
            unit.layer = i;
    int rc =
        es_layout_create(reader->job->layout, &layout, NULL) < 0 ? es_jobfile_nomem(reader) : 0;
    for (uint32_t i = 0; rc == 0 && i < es_layout_n_levels(layout); i++) {
        char quoted[JOBFILE_QUOTED_SIZE];
        es_buf_reset(&name);
        es_layout_level_name(layout, i, grid, unit, &name);
        if (name.failed)
            rc = es_jobfile_nomem(reader);
        else if (es_layout_level_axes(layout, i) && name.len > LONGEST_FOLDER_NAME)
            rc = es_jobfile_fault(reader, item,
                                  "the layout makes a folder name of %zu bytes, and "
                                  "%d are the most: %s",
                                  name.len, LONGEST_FOLDER_NAME,
                                  es_jobfile_quote(name.data, quoted));
    }
    es_buf_clear(&name);
    es_layout_free(layout);
    return rc;
}

int es_jobfile_read_grid(struct jobfile_reader *reader, const cJSON *item)
{
    struct es_err why = {0};
    struct es_job *job = reader->job;
    int rc =
        es_grid_create((const char *const *)reader->checkpoints.text, reader->checkpoints.n,
                       reader->layers->number, reader->layers->n,
                       (const char *const *)reader->tasks.text, reader->tasks.n, &job->grid, &why);
    if (rc == ES_ERR_NOMEM)
        return es_jobfile_nomem(reader);
    if (rc < 0)
        return es_jobfile_fault(reader, item, "%s", why.why);
    job->schedule.task_cost_s = es_mem_calloc(reader->tasks.n, sizeof(double));
    if (!job->schedule.task_cost_s)
        return es_jobfile_nomem(reader);
    for (uint32_t i = 0; i < reader->tasks.n; i++)
        job->schedule.task_cost_s[i] = (double)NAN;
    rc = check_folder_names(reader, item);
    if (rc < 0)
        return rc;
    const cJSON *exclude = es_json_get(item, "exclude");
    return exclude ? read_exclude(reader, exclude) : 0;
}

int es_jobfile_read_task_costs(struct jobfile_reader *reader, const cJSON *item)
{
    if (!cJSON_IsObject(item))
        return es_jobfile_mismatch(reader, item, "an object of seconds by task");
    for (const cJSON *cost = item->child; cost; cost = cost->next) {
        uint32_t task = es_grid_find_task(reader->job->grid, cost->string);
        if (task == ES_GRID_NONE)
            return unknown_name(reader, cost, AXIS_TASK, cost->string);
        if (!cJSON_IsNumber(cost) ||
            !(cost->valuedouble >= 0 && cost->valuedouble <= JOBFILE_LONGEST_S))
            return es_jobfile_mismatch(reader, cost, "a number from 0 to 1000000000");
        reader->job->schedule.task_cost_s[task] = cost->valuedouble;
    }
    return 0;
}
