/* SHA-1 of a stream, for clients of the tus protocol, which must support it. It finds
 * damage, and proves nothing against a person who chooses the bytes. One object, one
 * thread. */
#ifndef P2P_CORE_CRYPTO_SHA1_H
#define P2P_CORE_CRYPTO_SHA1_H

#include "p2p/crypto.h"

#define P2P_SHA1_LEN 20

struct p2p_sha1;
/* *Returns owned*, free with p2p_sha1_free. CRYPTO, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_sha1_new(struct p2p_sha1 **out);
/* NULL is fine. */
void p2p_sha1_free(struct p2p_sha1 *sha);
/* Adds `len` bytes. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_sha1_update(struct p2p_sha1 *sha, const void *data,
                                            size_t len);
/* The digest; only p2p_sha1_free may follow. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_sha1_finish(struct p2p_sha1 *sha,
                                            uint8_t out[P2P_SHA1_LEN]);

#endif
