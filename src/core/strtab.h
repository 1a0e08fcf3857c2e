/* Strings by small codes: each distinct text is kept once and numbered from 0 in order of arrival.
 */
#ifndef ES_CORE_STRTAB_H
#define ES_CORE_STRTAB_H

#include <stddef.h>
#include <stdint.h>

#define ES_STRTAB_NONE UINT32_MAX

struct es_strtab {
    char **text; /* [n]: NUL-terminated, owned; a code is an index here */
    uint32_t n;
    size_t text_cap;
    uint32_t *slot; /* open addressing; ES_STRTAB_NONE where free */
    size_t n_slots;
};

/* The code of text (len bytes, or up to a NUL among them), added if it is new. 0, or ES_ERR_NOMEM
 * with the table unchanged. */
int es_strtab_add(struct es_strtab *tab, const char *text, size_t len, uint32_t *ret_code);

/* The code of text, or ES_STRTAB_NONE. */
uint32_t es_strtab_find(const struct es_strtab *tab, const char *text, size_t len);

/* Releases everything; the table is empty and usable again. */
void es_strtab_clear(struct es_strtab *tab);

#endif
