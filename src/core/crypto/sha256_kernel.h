/*
 * sha256_kernel - the compression function of SHA-256 (FIPS 180-4) over several lanes
 * in step, one implementation per instruction set. Internal to sha256_lanes.
 */
#ifndef P2P_CORE_CRYPTO_SHA256_KERNEL_H
#define P2P_CORE_CRYPTO_SHA256_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { P2P_SHA256_LANES_MAX = 16, P2P_SHA256_BLOCK = 64 };

/*
 * Word w of lane l is state[w * lanes + l], in host order. Processes `blocks` blocks of
 * each lane[l]. Reads no byte beyond them, needs no alignment, and never writes to
 * lane.
 */
struct p2p_sha256_kernel {
    const char *name;
    unsigned lanes;
    bool (*is_supported)(void); /* whether this CPU and operating system support it */
    void (*compress)(uint32_t *state, const uint8_t *const *lane, size_t blocks);
};

#if defined(__x86_64__)
extern const struct p2p_sha256_kernel p2p_sha256_avx512;
extern const struct p2p_sha256_kernel p2p_sha256_avx2;
extern const struct p2p_sha256_kernel p2p_sha256_sha_ni;
#endif

extern const uint32_t p2p_sha256_k[64], p2p_sha256_initial[8];

#endif
