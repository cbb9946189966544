/*
 * The operations on 16 lanes of AVX-512, for the kernels that use them. The including
 * file defines TARGET before, and includes sha256_rounds.h after this file.
 */
#include <immintrin.h>

#define VEC           __m512i
#define LANES         16
#define ADD(a, b)     _mm512_add_epi32(a, b)
#define SPLAT(word)   _mm512_set1_epi32((int)(word))
#define LOAD(p)       _mm512_loadu_si512(p)
#define STORE(p, v)   _mm512_storeu_si512(p, v)
#define XOR3(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define CH(e, f, g)   _mm512_ternarylogic_epi32(e, f, g, 0xca)
#define MAJ(a, b, c)  _mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define SIGMA(x, i, j, k) \
    XOR3(_mm512_ror_epi32(x, i), _mm512_ror_epi32(x, j), _mm512_ror_epi32(x, k))
#define SMALL_SIGMA(x, i, j, k) \
    XOR3(_mm512_ror_epi32(x, i), _mm512_ror_epi32(x, j), _mm512_srli_epi32(x, k))

/* Turns one row per lane into one vector per word: a 16 x 16 transpose in four
 * passes. */
static TARGET inline void
load_words(__m512i w[16], const uint8_t *const *lane, size_t at)
{
    const __m512i swap = _mm512_broadcast_i32x4(
        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    __m512i r[16], t[16];

#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        r[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(lane[i] + at), swap);
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16;
         i += 4) { /* r[i + n]: word 4q + n of lanes i..i+3, quarter q */
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] =
            _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88); /* quarters 0, 2; lanes 0..7 */
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd); /* quarters 1, 3 */
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
        w[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        w[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        w[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        w[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
