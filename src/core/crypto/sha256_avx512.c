/* SHA-256 of 16 lanes: AVX-512 F and BW. */
#include "core/crypto/sha256_kernel.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw")))

#include "core/crypto/sha256_avx512.h"
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
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

const struct p2p_sha256_kernel p2p_sha256_avx512 = {"avx512", LANES, is_supported,
                                                    compress};

#endif
