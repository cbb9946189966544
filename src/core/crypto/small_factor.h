/*
 * small_factor - tells whether a 2048-bit modulus has a prime factor below 2^16. Must
 * be fast, because it runs for every unknown peer before anything is proven. Arithmetic
 * only; thread-safe.
 */
#ifndef P2P_CORE_CRYPTO_SMALL_FACTOR_H
#define P2P_CORE_CRYPTO_SMALL_FACTOR_H

#include <stdbool.h>
#include <stdint.h>

/* n: 256 bytes, big endian, odd. The value is public, so the time may depend on it. */
bool p2p_has_small_factor(const uint8_t n[256]);

#endif
