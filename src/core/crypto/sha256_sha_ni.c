/*
 * SHA-256 of two lanes with the CPU's SHA instructions. One stream leaves their
 * pipeline half empty, since each round waits for the one before.
 */
#include "core/crypto/sha256_kernel.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define TARGET __attribute__((target("sha,sse4.1")))

enum { LANES = 2 };

/* The order in which the instructions keep the eight words. */
struct words {
    __m128i abef, cdgh;
};

static TARGET inline struct words
load_state(const uint32_t *s)
{
    return (struct words){
        _mm_set_epi32((int)s[0], (int)s[LANES], (int)s[4 * LANES], (int)s[5 * LANES]),
        _mm_set_epi32((int)s[2 * LANES], (int)s[3 * LANES], (int)s[6 * LANES],
                      (int)s[7 * LANES]),
    };
}

static TARGET inline void
store_state(uint32_t *s, struct words x)
{
    s[0] = (uint32_t)_mm_extract_epi32(x.abef, 3);
    s[LANES] = (uint32_t)_mm_extract_epi32(x.abef, 2);
    s[2 * LANES] = (uint32_t)_mm_extract_epi32(x.cdgh, 3);
    s[3 * LANES] = (uint32_t)_mm_extract_epi32(x.cdgh, 2);
    s[4 * LANES] = (uint32_t)_mm_extract_epi32(x.abef, 1);
    s[5 * LANES] = (uint32_t)_mm_extract_epi32(x.abef, 0);
    s[6 * LANES] = (uint32_t)_mm_extract_epi32(x.cdgh, 1);
    s[7 * LANES] = (uint32_t)_mm_extract_epi32(x.cdgh, 0);
}

static TARGET inline __m128i
load_four(const uint8_t *at)
{
    const __m128i swap =
        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);

    return _mm_shuffle_epi8(_mm_loadu_si128((const void *)at), swap);
}

/* Rounds 4 * i .. 4 * i + 3. From i = 4 on, w[i % 4] is first extended in place. */
#define FOUR_ROUNDS(x, w, i)                                                        \
    do {                                                                            \
        __m128i *now = &w[(i) % 4], last = w[((i) + 3) % 4], t;                     \
        if ((i) >= 4)                                                               \
            *now = _mm_sha256msg2_epu32(                                            \
                _mm_add_epi32(_mm_sha256msg1_epu32(*now, w[((i) + 1) % 4]),         \
                              _mm_alignr_epi8(last, w[((i) + 2) % 4], 4)),          \
                last);                                                              \
        t = _mm_add_epi32(*now,                                                     \
                          _mm_loadu_si128((const void *)(p2p_sha256_k + 4 * (i)))); \
        x.cdgh = _mm_sha256rnds2_epu32(x.cdgh, x.abef, t);                          \
        x.abef = _mm_sha256rnds2_epu32(x.abef, x.cdgh, _mm_shuffle_epi32(t, 0x0e)); \
    } while (0)

static TARGET void
compress(uint32_t *state, const uint8_t *const *lane, size_t blocks)
{
    struct words x = load_state(state), y = load_state(state + 1);
    __m128i v[4], w[4];

    for (size_t at = 0; at < blocks * P2P_SHA256_BLOCK; at += P2P_SHA256_BLOCK) {
        struct words x0 = x, y0 = y;

#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            v[i] = load_four(lane[0] + at + 16 * i);
            w[i] = load_four(lane[1] + at + 16 * i);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            FOUR_ROUNDS(x, v, i);
            FOUR_ROUNDS(y, w, i);
        }
        x.abef = _mm_add_epi32(x.abef, x0.abef);
        x.cdgh = _mm_add_epi32(x.cdgh, x0.cdgh);
        y.abef = _mm_add_epi32(y.abef, y0.abef);
        y.cdgh = _mm_add_epi32(y.cdgh, y0.cdgh);
    }
    store_state(state, x);
    store_state(state + 1, y);
}

static bool
is_supported(void)
{
    unsigned a, b, c, d;

    return __builtin_cpu_supports("sse4.1") &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) != 0;
}

const struct p2p_sha256_kernel p2p_sha256_sha_ni = {"sha-ni", LANES, is_supported,
                                                    compress};

#endif
