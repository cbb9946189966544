/*
 * SHA-256 of two messages at once with the CPU's SHA instructions. One stream would
 * leave half of the pipeline empty, because each round waits for the one before.
 */
#include "core/crypto/sha256_kernel.h"

#if defined(__x86_64__)

#include <cpuid.h>

#define TARGET __attribute__((target("sha,sse4.1")))

enum { LANES = 2 };

#include "core/crypto/sha256_sha_ni.h"

static TARGET void
compress(uint32_t *state, const uint8_t *const *lane, size_t blocks)
{
    struct words x = load_state(state, LANES), y = load_state(state + 1, LANES);
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
    store_state(state, LANES, x);
    store_state(state + 1, LANES, y);
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
