/*
 * spake2 - two sides that know the same short secret agree on a key (SPAKE2, RFC 9382,
 * with P-256, SHA-256, HKDF and HMAC). Somebody between them who does not know the
 * secret can try one guess in each run, and learns nothing that could be tried later.
 *
 * Side A and side B each make a share, send it, and finish with the other side's share.
 * Then each sends its proof, and checks the proof of the other side before it uses the
 * key. Pure: no clock, no sockets. One object, one thread at a time.
 */
#ifndef P2P_SPAKE2_H
#define P2P_SPAKE2_H

#include "p2p/crypto.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_SPAKE2_SHARE_LEN  65 /* an uncompressed point of P-256 */
#define P2P_SPAKE2_SCALAR_LEN 32

enum p2p_spake2_side { P2P_SPAKE2_A, P2P_SPAKE2_B };

struct p2p_spake2_share {
    uint8_t b[P2P_SPAKE2_SHARE_LEN];
};

/* One side of one run. Wipe it after use. */
struct p2p_spake2 {
    enum p2p_spake2_side side;
    uint8_t w[P2P_SPAKE2_SCALAR_LEN]; /* of the password */
    uint8_t x[P2P_SPAKE2_SCALAR_LEN]; /* random */
    struct p2p_spake2_share share;    /* to send */
};

/* What both sides say about the run. The texts are borrowed for the call. */
struct p2p_spake2_context {
    const char *name_a, *name_b; /* of the sides */
    const void *aad;             /* what the run is about */
    size_t aad_len;
};

/* The result. The key is not proven before the other side's proof was checked. */
struct p2p_spake2_keys {
    struct p2p_digest own_proof, their_proof;
    struct p2p_secret key;
};

/* Begins a run. The password may be any bytes. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_spake2_begin(enum p2p_spake2_side side,
                                             const void *password, size_t len,
                                             struct p2p_spake2 *out);
/* AUTH: the share is not a point of the curve, or one that would give the key away. */
P2P_MUST_CHECK enum p2p_err p2p_spake2_finish(const struct p2p_spake2 *run,
                                              const struct p2p_spake2_context *context,
                                              const struct p2p_spake2_share *theirs,
                                              struct p2p_spake2_keys *out);
/* AUTH: the other side does not know the password. Constant time. */
P2P_MUST_CHECK enum p2p_err p2p_spake2_check(const struct p2p_spake2_keys *keys,
                                             const struct p2p_digest *proof);

/* ---- For the known answers of the RFC ---- */

/* Begins with these scalars; RANGE: one is zero or not below the order of the group. */
P2P_MUST_CHECK enum p2p_err
p2p_spake2_begin_with(enum p2p_spake2_side side, const uint8_t w[P2P_SPAKE2_SCALAR_LEN],
                      const uint8_t x[P2P_SPAKE2_SCALAR_LEN], struct p2p_spake2 *out);
/* The first half of the transcript's hash. */
#define P2P_SPAKE2_KE_LEN 16
P2P_MUST_CHECK enum p2p_err p2p_spake2_shared(const struct p2p_spake2 *run,
                                              const struct p2p_spake2_context *context,
                                              const struct p2p_spake2_share *theirs,
                                              uint8_t ke[P2P_SPAKE2_KE_LEN]);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
