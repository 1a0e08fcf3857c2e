/* Allocation with overflow-checked sizes, through which out-of-memory tests can fail any request.
 *
 * All memory is released with free(). Threads: any.
 */
#ifndef ES_CORE_MEM_H
#define ES_CORE_MEM_H

#include <stddef.h>

/* Zeroed memory for n items; never NULL for n == 0. NULL when out of memory. */
void *es_mem_calloc(size_t n, size_t size_bytes);

/* Resizes to n items, contents kept; on NULL the old block is still there. */
void *es_mem_resize(void *block, size_t n, size_t size_bytes);

/* Grows *block (n_cap items) to hold at least n_need items, doubling. 0, or ES_ERR_NOMEM with
 * everything as it was. */
int es_mem_grow(void **block, size_t *n_cap, size_t n_need, size_t size_bytes);

/* A copy of text, or of its first len bytes. */
char *es_mem_strdup(const char *text);
char *es_mem_strndup(const char *text, size_t len);

/* Tests: after n more requests every request fails; a negative n ends that. */
void es_mem_fail_after(long n);

#endif
