#include "store/evaluator.h"

#include "core/attributes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_item(struct es_h5 *h5, hid_t file, const struct es_attribute_item *item)
{
    char name[sizeof ES_EVALUATOR_PREFIX + ES_ATTRIBUTE_NAME_LIMIT];
    const double number = es_attribute_number(item);
    const int8_t truth = number != 0;
    struct es_buf text = {0};
    (void)snprintf(name, sizeof name, ES_EVALUATOR_PREFIX "%.*s", (int)item->name_len, item->name);
    switch (es_attribute_kind(item)) {
    case ES_ATTRIBUTE_TEXT:
        es_attribute_text(item, &text);
        if (text.failed)
            es_h5_nomem(h5);
        es_h5_put_text(h5, file, name, text.len ? text.data : "");
        break;
    case ES_ATTRIBUTE_NUMBER:
        es_h5_put_numbers(h5, file, name, H5T_IEEE_F64LE, &number, 1);
        break;
    case ES_ATTRIBUTE_BOOL:
        es_h5_put_numbers(h5, file, name, H5T_STD_I8LE, &truth, 1);
        break;
    }
    es_buf_clear(&text);
}

void es_evaluator_attributes_put(struct es_h5 *h5, hid_t file, const struct es_units *units)
{
    const char *at = es_units_attributes(units);
    struct es_attribute_item item;
    while (h5->rc == 0 && es_attributes_next(&at, &item))
        put_item(h5, file, &item);
}

struct getting {
    struct es_h5 *h5;
    struct es_units *units;
};

/* Adds the value of an attribute to a set; of a kind that is none of ours, nothing. */
static void get_item(struct es_h5 *h5, hid_t attribute, const char *name, struct es_attributes *set)
{
    hid_t type = es_h5_id(h5, H5Aget_type(attribute));
    hid_t space = es_h5_id(h5, H5Aget_space(attribute));
    const H5T_class_t class = H5Tget_class(type);
    const bool is_single = h5->rc == 0 && H5Sget_simple_extent_npoints(space) == 1;
    double number = 0;
    es_h5_close(&space);
    es_h5_close(&type);
    if (class == H5T_STRING) {
        char *text = es_h5_get_text(h5, attribute);
        if (text)
            es_attributes_add_text(set, name, text);
        free(text);
    } else if (is_single && (class == H5T_FLOAT || class == H5T_INTEGER) &&
               es_h5_ok(h5, H5Aread(attribute, H5T_NATIVE_DOUBLE, &number))) {
        if (class == H5T_FLOAT)
            es_attributes_add_number(set, name, number);
        else
            es_attributes_add_bool(set, name, number != 0);
    }
}

static herr_t get_attribute(hid_t file, const char *name, const H5A_info_t *info, void *data)
{
    const struct getting *getting = data;
    struct es_attributes set = {0};
    struct es_buf text = {0};
    (void)info;
    if (strncmp(name, ES_EVALUATOR_PREFIX, strlen(ES_EVALUATOR_PREFIX)) != 0)
        return 0;
    hid_t attribute = es_h5_id(getting->h5, H5Aopen(file, name, H5P_DEFAULT));
    get_item(getting->h5, attribute, name + strlen(ES_EVALUATOR_PREFIX), &set);
    es_h5_close(&attribute);
    es_attributes_write(&set, &text);
    if (set.entries.failed || text.failed ||
        es_units_add_attributes(getting->units, text.len ? text.data : "") < 0)
        es_h5_nomem(getting->h5);
    es_attributes_clear(&set);
    es_buf_clear(&text);
    return getting->h5->rc == 0 ? 0 : -1;
}

void es_evaluator_attributes_get(struct es_h5 *h5, hid_t file, struct es_units *units)
{
    struct getting getting = {h5, units};
    if (h5->rc == 0)
        es_h5_ok(h5,
                 H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, get_attribute, &getting));
}
