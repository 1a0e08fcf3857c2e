#include "core/mem.h"

#include "evalsweep/error.h"

#include <stdlib.h>
#include <string.h>

static _Atomic long requests_left = -1; /* tests set it while threads allocate */

void es_mem_fail_after(long n)
{
    requests_left = n;
}

static int must_fail(void)
{
    if (requests_left < 0)
        return 0;
    if (requests_left == 0)
        return 1;
    requests_left--;
    return 0;
}

static int too_large(size_t n, size_t size_bytes)
{
    return size_bytes && n > (size_t)-1 / 2 / size_bytes;
}

void *es_mem_calloc(size_t n, size_t size_bytes)
{
    if (must_fail() || too_large(n, size_bytes))
        return NULL;
    return calloc(n ? n : 1, size_bytes ? size_bytes : 1);
}

void *es_mem_resize(void *block, size_t n, size_t size_bytes)
{
    if (must_fail() || too_large(n, size_bytes))
        return NULL;
    return realloc(block, n && size_bytes ? n * size_bytes : 1);
}

int es_mem_grow(void **block, size_t *n_cap, size_t n_need, size_t size_bytes)
{
    if (n_need <= *n_cap)
        return 0;
    size_t n = *n_cap ? *n_cap : 8;
    while (n < n_need) {
        if (n > (size_t)-1 / 4)
            return ES_ERR_NOMEM;
        n *= 2;
    }
    void *grown = es_mem_resize(*block, n, size_bytes);
    if (!grown)
        return ES_ERR_NOMEM;
    *block = grown;
    *n_cap = n;
    return 0;
}

char *es_mem_strndup(const char *text, size_t len)
{
    char *copy = es_mem_calloc(len + 1, 1);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

char *es_mem_strdup(const char *text)
{
    return es_mem_strndup(text, strlen(text));
}
