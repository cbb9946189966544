/* SHA-256 of 8 lanes: AVX2. */
#include "core/crypto/sha256_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET                  __attribute__((target("avx2")))
#define VEC                     __m256i
#define LANES                   8
#define ADD(a, b)               _mm256_add_epi32(a, b)
#define SPLAT(word)             _mm256_set1_epi32((int)(word))
#define LOAD(p)                 _mm256_loadu_si256((const void *)(p))
#define STORE(p, v)             _mm256_storeu_si256((void *)(p), v)
#define XOR(a, b)               _mm256_xor_si256(a, b)
#define AND(a, b)               _mm256_and_si256(a, b)
#define SHR(x, n)               _mm256_srli_epi32(x, n)
#define ROR(x, n)               XOR(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define CH(e, f, g)             XOR(g, AND(e, XOR(f, g)))
#define MAJ(a, b, c)            XOR(AND(a, b), AND(c, XOR(a, b)))
#define SIGMA(x, i, j, k)       XOR(XOR(ROR(x, i), ROR(x, j)), ROR(x, k))
#define SMALL_SIGMA(x, i, j, k) XOR(XOR(ROR(x, i), ROR(x, j)), SHR(x, k))

/* Eight words of eight lanes: an 8 x 8 transpose. */
static TARGET inline void
load_half(__m256i w[8], const uint8_t *const *lane, size_t at)
{
    const __m256i swap = _mm256_broadcastsi128_si256(
        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    __m256i r[8], t[8];

#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_shuffle_epi8(LOAD(lane[i] + at), swap);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        w[i] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
        w[i + 4] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
    }
}

static TARGET inline void
load_words(__m256i w[16], const uint8_t *const *lane, size_t at)
{
    load_half(w, lane, at);
    load_half(w + 8, lane, at + 32);
}

#include "core/crypto/sha256_rounds.h"

static TARGET void
compress(uint32_t *state, const uint8_t *const *lane, size_t blocks)
{
    VEC w[16];

    for (size_t at = 0; at < blocks * P2P_SHA256_BLOCK; at += P2P_SHA256_BLOCK)
        COMPRESS_BLOCK(state, lane, at);
}

static bool
is_supported(void)
{
    return __builtin_cpu_supports("avx2");
}

const struct p2p_sha256_kernel p2p_sha256_avx2 = {"avx2", LANES, is_supported,
                                                  compress};

#endif
