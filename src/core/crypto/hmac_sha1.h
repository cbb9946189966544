/* HMAC-SHA1 (RFC 2104), which STUN asks for. Nothing else here uses it. Thread-safe. */
#ifndef P2P_CORE_CRYPTO_HMAC_SHA1_H
#define P2P_CORE_CRYPTO_HMAC_SHA1_H

#include "p2p/crypto.h"

#define P2P_HMAC_SHA1_LEN 20

/* The code of `len` bytes under the key. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_hmac_sha1(const void *key, size_t key_len,
                                          const void *data, size_t len,
                                          uint8_t out[P2P_HMAC_SHA1_LEN]);

#endif
