/*
 * handshake_internal - declarations shared by the files of the handshake: the state,
 * and two functions for each message: make_ builds it, take_ checks it, in the order
 * that PROTOCOL.md lists. handshake.c calls them as its tables of steps say. Each
 * function either succeeds or has called p2p_hs_fail.
 */
#ifndef P2P_CORE_WIRE_HANDSHAKE_INTERNAL_H
#define P2P_CORE_WIRE_HANDSHAKE_INTERNAL_H

#include "core/wire/schedule.h"
#include "core/wire/transcript.h"
#include "p2p/handshake.h"

struct p2p_hs_step; /* handshake.c */

struct p2p_handshake {
    const struct p2p_hs_step *step;
    const struct p2p_rsa *own;
    enum p2p_role role;
    const char *reason;
    struct p2p_transcript said;
    struct p2p_id peer_id;
    /* Secrets. The function that uses a secret last wipes it. */
    struct p2p_handshake_random rnd;
    struct p2p_secret dh;
    struct p2p_secret_pair keys; /* hs c2s, hs s2c */
    struct p2p_direction c2s, s2c;
};

/* Wipes all secrets, sets the state FAILED and returns `err`. The reason of the first
 * failure is kept. */
enum p2p_err p2p_hs_fail(struct p2p_handshake *hs, enum p2p_err err,
                         const char *reason);
void p2p_hs_wipe(struct p2p_handshake *hs);

/* handshake_hello.c: M1 and M2, ephemeral keys, the keys of M3 and M4. */
P2P_MUST_CHECK enum p2p_err p2p_hs_client_make_m1(struct p2p_handshake *hs,
                                                  const struct p2p_nonce *nonce,
                                                  uint8_t *out);
P2P_MUST_CHECK enum p2p_err p2p_hs_server_take_m1(struct p2p_handshake *hs,
                                                  uint8_t *data);
P2P_MUST_CHECK enum p2p_err p2p_hs_server_make_m2(struct p2p_handshake *hs,
                                                  const struct p2p_nonce *nonce,
                                                  uint8_t *out);
P2P_MUST_CHECK enum p2p_err p2p_hs_client_take_m2(struct p2p_handshake *hs,
                                                  uint8_t *data);

/* handshake_proof.c: M3 and M4 (the identities of both sides), M5. */
P2P_MUST_CHECK enum p2p_err p2p_hs_client_sign(struct p2p_handshake *hs);
P2P_MUST_CHECK enum p2p_err p2p_hs_client_make_m3(struct p2p_handshake *hs,
                                                  const struct p2p_nonce *nonce,
                                                  uint8_t *out);
P2P_MUST_CHECK enum p2p_err p2p_hs_server_take_m3(struct p2p_handshake *hs,
                                                  uint8_t *data);
P2P_MUST_CHECK enum p2p_err p2p_hs_server_sign(struct p2p_handshake *hs);
P2P_MUST_CHECK enum p2p_err p2p_hs_server_make_m4(struct p2p_handshake *hs,
                                                  const struct p2p_nonce *nonce,
                                                  uint8_t *out);
P2P_MUST_CHECK enum p2p_err p2p_hs_client_take_m4(struct p2p_handshake *hs,
                                                  uint8_t *data);
P2P_MUST_CHECK enum p2p_err p2p_hs_client_prove_server(struct p2p_handshake *hs);
P2P_MUST_CHECK enum p2p_err p2p_hs_client_make_m5(struct p2p_handshake *hs,
                                                  const struct p2p_nonce *nonce,
                                                  uint8_t *out);
P2P_MUST_CHECK enum p2p_err p2p_hs_server_take_m5(struct p2p_handshake *hs,
                                                  uint8_t *data);

#endif
