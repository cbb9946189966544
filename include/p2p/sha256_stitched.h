/*
 * sha256_stitched - SHA-256 of the blocks of a file and of the file itself, in one
 * pass.
 *
 * Where the CPU has SHA instructions and AVX-512, both together take about as long as
 * the stream alone. Chosen at first use by a short self-test, which also compares
 * speed; elsewhere it is two passes, with the same result. P2P_SHA256_STITCHED=yes|no
 * in the environment decides instead of the speed (tests, measurements). Thread-safe; a
 * running hash is one thread's at a time.
 */
#ifndef P2P_SHA256_STITCHED_H
#define P2P_SHA256_STITCHED_H

#include "p2p/crypto.h"
#include "p2p/limits.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum { P2P_STITCHED_LEAVES = 16 };
#define P2P_STITCHED_SIZE ((size_t)P2P_STITCHED_LEAVES * P2P_BLOCK_SIZE)

/* True if one pass does both. */
bool p2p_sha256_is_stitched(void);

/*
 * Takes `groups` times P2P_STITCHED_SIZE bytes into `sha`, and gives the hash of each
 * block of P2P_BLOCK_SIZE in them. `sha` has taken a multiple of 64 bytes so far, else
 * RANGE. When it fails `sha` may have to be restored.
 */
P2P_MUST_CHECK enum p2p_err p2p_sha256_stitched(struct p2p_sha256 *sha,
                                                const uint8_t *data, size_t groups,
                                                struct p2p_digest *leaves);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
