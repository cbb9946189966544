/*
 * small_factor - whether a 2048-bit modulus has a prime factor below 2^16. Fast,
 * because it runs for every stranger before anything is proven. Arithmetic only;
 * thread-safe.
 */
#ifndef P2P_CORE_CRYPTO_SMALL_FACTOR_H
#define P2P_CORE_CRYPTO_SMALL_FACTOR_H

#include <stdbool.h>
#include <stdint.h>

/* n: 256 bytes, big endian, odd. Public value: takes no constant time. */
bool p2p_has_small_factor(const uint8_t n[256]);

#endif
