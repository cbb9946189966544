#include "core/channel/crc32.h"

#include <pthread.h>
#include <string.h>

#ifdef __x86_64__
#include <nmmintrin.h>
#endif

/* Both run over reversed bits, eight bytes at a time by eight tables. */
#define CRC32_POLYNOMIAL  0xedb88320u
#define CRC32C_POLYNOMIAL 0x82f63b78u

static pthread_once_t once = PTHREAD_ONCE_INIT;
struct tables {
    uint32_t at[8][256];
};
static struct tables crc32_tables, crc32c_tables;

static void
fill(struct tables *t, uint32_t polynomial)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t sum = i;

        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? polynomial : 0);
        t->at[0][i] = sum;
    }
    for (int n = 1; n < 8; n++)
        for (int i = 0; i < 256; i++)
            t->at[n][i] = t->at[n - 1][i] >> 8 ^ t->at[0][t->at[n - 1][i] & 0xff];
}

static void
fill_all(void)
{
    fill(&crc32_tables, CRC32_POLYNOMIAL);
    fill(&crc32c_tables, CRC32C_POLYNOMIAL);
}

static uint32_t
sum_by_tables(const struct tables *t, uint32_t sum, const uint8_t *at, size_t len)
{
    for (; len >= 8; at += 8, len -= 8) {
        sum ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
               (uint32_t)at[3] << 24;
        sum = t->at[7][sum & 0xff] ^ t->at[6][sum >> 8 & 0xff] ^
              t->at[5][sum >> 16 & 0xff] ^ t->at[4][sum >> 24] ^ t->at[3][at[4]] ^
              t->at[2][at[5]] ^ t->at[1][at[6]] ^ t->at[0][at[7]];
    }
    for (; len > 0; at++, len--)
        sum = sum >> 8 ^ t->at[0][(sum ^ *at) & 0xff];
    return sum;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
sum_by_instruction(uint32_t sum, const uint8_t *at, size_t len)
{
    uint64_t wide = sum, eight;

    for (; len >= 8; at += 8, len -= 8) {
        memcpy(&eight, at, sizeof(eight));
        wide = _mm_crc32_u64(wide, eight);
    }
    sum = (uint32_t)wide;
    for (; len > 0; at++, len--)
        sum = _mm_crc32_u8(sum, *at);
    return sum;
}
#endif

uint32_t
p2p_crc32(const void *data, size_t len)
{
    pthread_once(&once, fill_all);
    return ~sum_by_tables(&crc32_tables, ~0u, data, len);
}

uint32_t
p2p_crc32c(uint32_t before, const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~sum_by_instruction(~before, data, len);
#endif
    return p2p_crc32c_by_tables(before, data, len);
}

uint32_t
p2p_crc32c_by_tables(uint32_t before, const void *data, size_t len)
{
    pthread_once(&once, fill_all);
    return ~sum_by_tables(&crc32c_tables, ~before, data, len);
}
