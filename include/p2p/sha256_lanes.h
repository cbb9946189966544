/*
 * sha256_lanes - SHA-256 of many blocks of equal length at once.
 *
 * Chooses by CPU and a short self-test at first use, which also compares speed: AVX-512
 * (16 lanes), AVX2 (8 lanes), SHA-NI (2 lanes), or OpenSSL block by block;
 * P2P_SHA256_LANES=openssl|sha-ni|avx2|avx512 in the environment forces one (tests,
 * measurements). Every way gives what OpenSSL gives. Works synchronously on data in
 * memory; no threads. Thread-safe.
 */
#ifndef P2P_SHA256_LANES_H
#define P2P_SHA256_LANES_H

#include "p2p/crypto.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/*
 * out[i] = SHA-256(data + i * stride .. + len) for i < count. stride >= len. Any
 * alignment, any len including 0. `out` may begin at `data` if stride >= 32, so that a
 * level of a tree can be folded in place.
 */
P2P_MUST_CHECK enum p2p_err p2p_sha256_lanes(const uint8_t *data, size_t stride,
                                             size_t len, size_t count,
                                             struct p2p_digest *out);

/* The chosen implementation: "avx512", "avx2", "sha-ni", "openssl". */
const char *p2p_sha256_lanes_name(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
