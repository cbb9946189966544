/*
 * siphash - a keyed hash of short texts (Aumasson and Bernstein, 2012): without the key
 * nobody can choose texts that collide, or whose order is known. Not for signatures.
 * The key is two random words; results differ between machines of other byte order.
 * Thread-safe.
 */
#ifndef P2P_SIPHASH_H
#define P2P_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* SipHash-2-4. */
uint64_t p2p_siphash24(const uint64_t key[2], const void *data, size_t len);
/* SipHash-1-3: faster, for hash tables. */
uint64_t p2p_siphash13(const uint64_t key[2], const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
