#include "store/seal.h"

#include "core/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAGIC_SIZE = 16, SEAL_SIZE = 24, BLOCK_SIZE = 1 << 20 };
static const char magic[MAGIC_SIZE] = "evalsweep-seal1";

static uint64_t get_u64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static void put_u64(unsigned char *bytes, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
}

/* Each step is a bijection of the sum, so that a change within any eight bytes always shows. */
static uint64_t sum_block(uint64_t sum, const unsigned char *bytes, size_t n)
{
    unsigned char last[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        sum = (sum ^ get_u64(bytes + i)) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 32;
    }
    if (i < n) {
        memcpy(last, bytes + i, n - i);
        sum = (sum ^ get_u64(last)) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 32;
    }
    return sum;
}

/* Reads exactly n bytes unless the file ends: how many, or -1. */
static ssize_t read_full(int fd, unsigned char *bytes, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = read(fd, bytes + got, n - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

/* The sum of the first n bytes; -1 with errno (EIO when they are not there). */
static int sum_file(int fd, uint64_t n, uint64_t *ret_sum)
{
    unsigned char *block = es_mem_calloc(BLOCK_SIZE, 1);
    if (!block) {
        errno = ENOMEM;
        return -1;
    }
    uint64_t sum = n;
    int rc = lseek(fd, 0, SEEK_SET) < 0 ? -1 : 0;
    while (rc == 0 && n) {
        size_t want = n < BLOCK_SIZE ? (size_t)n : BLOCK_SIZE;
        ssize_t got = read_full(fd, block, want);
        if (got >= 0 && (size_t)got < want)
            errno = EIO;
        rc = got < 0 || (size_t)got < want ? -1 : 0;
        sum = sum_block(sum, block, want);
        n -= want;
    }
    int saved = errno;
    free(block);
    errno = saved;
    if (rc == 0)
        *ret_sum = sum;
    return rc;
}

int es_seal_put(int fd)
{
    unsigned char seal[SEAL_SIZE];
    uint64_t sum;
    off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0 || sum_file(fd, (uint64_t)end, &sum) < 0)
        return -1;
    memcpy(seal, magic, MAGIC_SIZE);
    put_u64(seal + MAGIC_SIZE, sum);
    return es_fd_write_all(fd, seal, SEAL_SIZE);
}

int es_seal_check(int fd, const char *path, struct es_err *err)
{
    static const char doing[] = "reading the store";
    unsigned char seal[SEAL_SIZE];
    uint64_t sum;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return es_err_sys(err, errno, doing, path);
    if (!S_ISREG(st.st_mode))
        return es_err_set(err, ES_ERR_STORE, doing, path, "it is not a file");
    const off_t end = st.st_size - SEAL_SIZE;
    if (end < 0 || pread(fd, seal, SEAL_SIZE, end) != SEAL_SIZE ||
        memcmp(seal, magic, MAGIC_SIZE) != 0)
        return es_err_set(err, ES_ERR_STORE, doing, path,
                          "no seal: it is no store, was cut, or another program wrote to it");
    if (sum_file(fd, (uint64_t)end, &sum) < 0)
        return es_err_sys(err, errno, doing, path);
    if (get_u64(seal + MAGIC_SIZE) != sum)
        return es_err_set(err, ES_ERR_STORE, doing, path,
                          "it is damaged: its checksum does not match its content");
    return 0;
}
