/*
 * leaves - what LEAVES says of each block of 16 KiB (PROTOCOL.md, "Messages"): its
 * hash, and a sum that can be moved along a file byte by byte. Pure; thread-safe.
 */
#ifndef P2P_LEAVES_H
#define P2P_LEAVES_H

#include "p2p/crypto.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_leaf {
    struct p2p_digest hash;
    uint32_t sum;
};

/* a | b << 16, both modulo 2^16: a is the sum of the bytes, b the sum of what a was
 * after each byte. */
uint32_t p2p_leaf_sum(const uint8_t *data, size_t len);
/* Hash and sum of each block of `data`; `out` has room for one per P2P_BLOCK_SIZE, the
 * last one may be short. */
P2P_MUST_CHECK enum p2p_err p2p_leaves_make(const uint8_t *data, size_t len,
                                            struct p2p_leaf *out);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
