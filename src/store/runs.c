#include "store/runs.h"

#include "core/attributes.h"
#include "core/mem.h"
#include "core/num.h"
#include "store/contents.h"
#include "store/evaluator.h"

#include <stdlib.h>
#include <string.h>

static int add(struct es_runs_attributes *attributes, uint32_t run, const char *name,
               const char *value)
{
    const uint32_t n = attributes->names.n;
    void *values = attributes->values;
    uint32_t code;
    if (es_mem_grow(&values, &attributes->values_cap, ((size_t)n + 1) * attributes->n_runs,
                    sizeof *attributes->values) < 0)
        return ES_ERR_NOMEM;
    attributes->values = values;
    if (es_strtab_add(&attributes->names, name, strlen(name), &code) < 0)
        return ES_ERR_NOMEM;
    char **of_name = attributes->values + (size_t)code * attributes->n_runs;
    if (code == n)
        memset(of_name, 0, attributes->n_runs * sizeof *of_name);
    free(of_name[run]);
    of_name[run] = es_mem_strdup(value);
    return of_name[run] ? 0 : ES_ERR_NOMEM;
}

/* As a text, whatever it is: in another run it may be of another kind. */
static int add_evaluator(struct es_runs_attributes *attributes, uint32_t run,
                         const struct es_attribute_item *item)
{
    struct es_buf name = {0}, text = {0};
    es_buf_printf(&name, ES_EVALUATOR_PREFIX "%.*s", (int)item->name_len, item->name);
    switch (es_attribute_kind(item)) {
    case ES_ATTRIBUTE_TEXT:
        es_attribute_text(item, &text);
        break;
    case ES_ATTRIBUTE_NUMBER:
        es_buf_json_double(&text, es_attribute_number(item));
        break;
    case ES_ATTRIBUTE_BOOL:
        es_buf_puts(&text, es_attribute_number(item) != 0 ? "true" : "false");
        break;
    }
    int rc = name.failed || text.failed
                 ? ES_ERR_NOMEM
                 : add(attributes, run, name.data, text.len ? text.data : "");
    es_buf_clear(&name);
    es_buf_clear(&text);
    return rc;
}

void es_runs_attributes_add(struct es_h5 *h5, struct es_runs_attributes *attributes, uint32_t run,
                            const struct es_store_run *values)
{
    const char *at = es_units_attributes(values->units);
    struct es_attribute_item item;
    int rc = 0;
    for (size_t i = 0; i < values->n_attributes && rc == 0; i++)
        rc = add(attributes, run, values->attributes[i].name, values->attributes[i].value);
    while (rc == 0 && es_attributes_next(&at, &item))
        rc = add_evaluator(attributes, run, &item);
    if (rc < 0)
        es_h5_nomem(h5);
}

void es_runs_attributes_put(struct es_h5 *h5, hid_t file,
                            const struct es_runs_attributes *attributes, hid_t run_scale)
{
    for (uint32_t code = 0; code < attributes->names.n && h5->rc == 0; code++) {
        const struct es_store_variable variable = {.path = attributes->names.text[code]};
        struct es_buf texts = {0};
        for (uint32_t run = 0; run < attributes->n_runs; run++) {
            const char *value = attributes->values[(size_t)code * attributes->n_runs + run];
            es_buf_puts_utf8(&texts, value ? value : "");
            es_buf_putc(&texts, '\0');
        }
        hid_t dataset =
            es_contents_put_texts(h5, file, &variable, &texts, attributes->n_runs, run_scale);
        es_h5_close(&dataset);
        es_buf_clear(&texts);
    }
}

void es_runs_attributes_clear(struct es_runs_attributes *attributes)
{
    for (size_t i = 0; i < (size_t)attributes->names.n * attributes->n_runs; i++)
        free(attributes->values[i]);
    free(attributes->values);
    es_strtab_clear(&attributes->names);
    *attributes = (struct es_runs_attributes){0};
}
