#include "p2p/siphash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t
rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static inline void
rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1], v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

/* Inlined into both functions, with their numbers of rounds. */
static inline uint64_t
siphash(const uint64_t key[2], const uint8_t *in, size_t len, int each, int last)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    uint64_t word;
    size_t i = 0;

    for (; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, in + i, sizeof(word));
        word = le64toh(word);
        v[3] ^= word;
        rounds(v, each);
        v[0] ^= word;
    }
    word = (uint64_t)len << 56;
    for (size_t k = 0; i + k < len; k++)
        word |= (uint64_t)in[i + k] << (8 * k);
    v[3] ^= word;
    rounds(v, each);
    v[0] ^= word;
    v[2] ^= 0xff;
    rounds(v, last);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
p2p_siphash24(const uint64_t key[2], const void *data, size_t len)
{
    return siphash(key, data, len, 2, 4);
}

uint64_t
p2p_siphash13(const uint64_t key[2], const void *data, size_t len)
{
    return siphash(key, data, len, 1, 3);
}
