/*
 * handshake - M1 to M5 of protocol 2 as a state machine (PROTOCOL.md, "Handshake").
 *
 * Bytes in, bytes out; randomness comes in as an argument (RSA padding takes
 * OpenSSL's). One implementation for server, client, tests and fuzzers. Secrets are
 * wiped as soon as the next step no longer needs them, and on every path by clear.
 * Every failure is one of a few errors for the local log; nothing is ever said to the
 * other side (the caller closes).
 *
 *   client: start -> output M1 -> input M2 -> input M4 ... -> output M5 -> done
 *   server: input M1 -> output M2 -> input M3 -> [trust decision] -> [sign, slow] ->
 * output M4
 *           -> input M5 -> done
 *
 * The caller loops: look at p2p_handshake_next and do what it says.
 */
#ifndef P2P_HANDSHAKE_H
#define P2P_HANDSHAKE_H

#include "p2p/crypto.h"
#include "p2p/session.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_M1_SIZE 75
#define P2P_M2_SIZE 75
#define P2P_M3_SIZE (4 + 579)
#define P2P_M4_SIZE (4 + 835)
#define P2P_M5_SIZE (4 + 29)

/* What the state machine waits for. */
enum p2p_handshake_step {
    P2P_HS_READ,  /* p2p_handshake_read with p2p_handshake_want bytes */
    P2P_HS_WRITE, /* call p2p_handshake_write, then send its bytes */
    P2P_HS_TRUST, /* decide about p2p_handshake_peer, then call p2p_handshake_trust */
    P2P_HS_WORK,  /* call p2p_handshake_work: an RSA private-key operation, not on an
                   * event loop */
    P2P_HS_DONE,  /* p2p_handshake_take_session */
    P2P_HS_FAILED,
};

/* Random values of a role, besides nonces and RSA padding. Programs take them from
 * p2p_random; known-answer tests use fixed ones. */
struct p2p_handshake_random {
    uint8_t hello[32];             /* random_c or random_s */
    struct p2p_secret x25519;      /* ephemeral key */
    struct p2p_secret session_key; /* k: server only */
};

struct p2p_handshake; /* *returned owned*, free with p2p_handshake_free */

/* `own` is borrowed until free; `rnd` is copied and wiped. */
P2P_MUST_CHECK enum p2p_err p2p_handshake_new(enum p2p_role role,
                                              const struct p2p_rsa *own,
                                              struct p2p_handshake_random *rnd,
                                              struct p2p_handshake **out);
void p2p_handshake_free(struct p2p_handshake *hs); /* wipes; NULL is fine */

/* Returns what the caller has to do now. Changes nothing. */
enum p2p_handshake_step p2p_handshake_next(const struct p2p_handshake *hs);

/* FAILED: the failed check, in words for the local log; "" before. Never send it to the
 * other side. */
const char *p2p_handshake_reason(const struct p2p_handshake *hs);

/* READ: the exact number of bytes of the next message. */
size_t p2p_handshake_want(const struct p2p_handshake *hs);
/*
 * READ: processes exactly that many bytes (and changes them). After an error, the step
 * is FAILED and all secrets are wiped: MALFORMED (magic, length, version, type), AUTH
 * (a point, key, signature or tag). A call that does not match the step fails the
 * handshake (PROTOCOL).
 */
P2P_MUST_CHECK enum p2p_err p2p_handshake_read(struct p2p_handshake *hs, uint8_t *data,
                                               size_t len);
/* WRITE: writes the next message, at most P2P_M4_SIZE bytes. `nonce` must be new and
 * random for each of M3, M4 and M5; it is not used, and may be NULL, for M1 and M2. */
P2P_MUST_CHECK enum p2p_err p2p_handshake_write(struct p2p_handshake *hs,
                                                const struct p2p_nonce *nonce,
                                                uint8_t out[P2P_M4_SIZE], size_t *len);
/* WORK: the RSA operations (server: OAEP and SIG_S; client: SIG_C, later SIG_S checked
 * and OAEP opened). May run on another thread than the other steps, not at once. */
P2P_MUST_CHECK enum p2p_err p2p_handshake_work(struct p2p_handshake *hs);

/* From TRUST on: the id of the other side. A server can rely on it, because SIG_C was
 * verified. For a client it is only a claim until SIG_S, which is checked after the
 * verdict. */
const struct p2p_id *p2p_handshake_peer(const struct p2p_handshake *hs);
/* The key that belongs to p2p_handshake_peer; borrowed until free. */
const struct p2p_spki *p2p_handshake_peer_spki(const struct p2p_handshake *hs);
/* The verdict. P2P_OK continues; any other error fails the handshake with this error.
 */
P2P_MUST_CHECK enum p2p_err p2p_handshake_trust(struct p2p_handshake *hs,
                                                enum p2p_err verdict);

/* DONE: the two directions, seen from this side; their epochs begin now. M5 has used
 * seq 1 of c2s. Once: the handshake keeps nothing. */
P2P_MUST_CHECK enum p2p_err p2p_handshake_take_session(struct p2p_handshake *hs,
                                                       uint64_t now_s,
                                                       struct p2p_direction *send,
                                                       struct p2p_direction *receive);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
