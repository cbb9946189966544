/*
 * SHA-256 with the CPU's SHA instructions: one state, four rounds at a time. The
 * including file defines TARGET. A state has eight words, `stride` words apart.
 */
#include <immintrin.h>

/* The order in which the instructions expect the eight words. */
struct words {
    __m128i abef, cdgh;
};

static TARGET inline struct words
load_state(const uint32_t *s, size_t stride)
{
    return (struct words){
        _mm_set_epi32((int)s[0], (int)s[stride], (int)s[4 * stride],
                      (int)s[5 * stride]),
        _mm_set_epi32((int)s[2 * stride], (int)s[3 * stride], (int)s[6 * stride],
                      (int)s[7 * stride]),
    };
}

static TARGET inline void
store_state(uint32_t *s, size_t stride, struct words x)
{
    s[0] = (uint32_t)_mm_extract_epi32(x.abef, 3);
    s[stride] = (uint32_t)_mm_extract_epi32(x.abef, 2);
    s[2 * stride] = (uint32_t)_mm_extract_epi32(x.cdgh, 3);
    s[3 * stride] = (uint32_t)_mm_extract_epi32(x.cdgh, 2);
    s[4 * stride] = (uint32_t)_mm_extract_epi32(x.abef, 1);
    s[5 * stride] = (uint32_t)_mm_extract_epi32(x.abef, 0);
    s[6 * stride] = (uint32_t)_mm_extract_epi32(x.cdgh, 1);
    s[7 * stride] = (uint32_t)_mm_extract_epi32(x.cdgh, 0);
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
