#include "core/strtab.h"

#include "core/mem.h"
#include "evalsweep/error.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_text(const char *text, size_t len) /* FNV-1a */
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h ^ (h >> 32);
}

/* The slot that holds text, or the free one where it belongs. */
static size_t slot_of(const struct es_strtab *tab, const char *text, size_t len)
{
    size_t i = hash_text(text, len) & (tab->n_slots - 1);
    for (;; i = (i + 1) & (tab->n_slots - 1)) {
        uint32_t code = tab->slot[i];
        if (code == ES_STRTAB_NONE ||
            (strncmp(tab->text[code], text, len) == 0 && tab->text[code][len] == '\0'))
            return i;
    }
}

static int grow_slots(struct es_strtab *tab)
{
    size_t n_slots = tab->n_slots ? tab->n_slots * 2 : 64;
    uint32_t *old = tab->slot, *slot = es_mem_calloc(n_slots, sizeof *slot);
    if (!slot)
        return ES_ERR_NOMEM;
    memset(slot, 0xff, n_slots * sizeof *slot);
    tab->slot = slot;
    tab->n_slots = n_slots;
    for (uint32_t code = 0; code < tab->n; code++)
        slot[slot_of(tab, tab->text[code], strlen(tab->text[code]))] = code;
    free(old);
    return 0;
}

int es_strtab_add(struct es_strtab *tab, const char *text, size_t len, uint32_t *ret_code)
{
    len = strnlen(text, len);
    if (2 * ((size_t)tab->n + 1) > tab->n_slots && grow_slots(tab) < 0)
        return ES_ERR_NOMEM;
    size_t slot = slot_of(tab, text, len);
    if (tab->slot[slot] == ES_STRTAB_NONE) {
        void *texts = tab->text;
        if (es_mem_grow(&texts, &tab->text_cap, (size_t)tab->n + 1, sizeof *tab->text) < 0)
            return ES_ERR_NOMEM;
        tab->text = texts;
        char *copy = es_mem_strndup(text, len);
        if (!copy)
            return ES_ERR_NOMEM;
        tab->text[tab->n] = copy;
        tab->slot[slot] = tab->n++;
    }
    *ret_code = tab->slot[slot];
    return 0;
}

uint32_t es_strtab_find(const struct es_strtab *tab, const char *text, size_t len)
{
    return tab->n_slots ? tab->slot[slot_of(tab, text, strnlen(text, len))] : ES_STRTAB_NONE;
}

void es_strtab_clear(struct es_strtab *tab)
{
    for (uint32_t i = 0; i < tab->n; i++)
        free(tab->text[i]);
    free(tab->text);
    free(tab->slot);
    *tab = (struct es_strtab){0};
}
