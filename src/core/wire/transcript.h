/*
 * transcript - everything that both sides sent, in one growing buffer: PROTO || M1 ||
 * M2 || SPKI_C || SIG_C || SPKI_S || OAEP || SIG_S. Every hash of PROTOCOL.md's key
 * schedule covers the first parts of it. The parts have fixed positions and are filled
 * in this order. Public values only. Internal to wire.
 */
#ifndef P2P_CORE_WIRE_TRANSCRIPT_H
#define P2P_CORE_WIRE_TRANSCRIPT_H

#include "p2p/crypto.h"

#define P2P_HELLO2_SIZE 75 /* M1, M2 */

/* No padding between bytes: the struct is the transcript (asserted in transcript.c). */
struct p2p_transcript {
    uint8_t proto[15]; /* "p2p/2 suite 01" 00 */
    uint8_t m1[P2P_HELLO2_SIZE];
    uint8_t m2[P2P_HELLO2_SIZE];
    struct p2p_spki spki_c;
    struct p2p_signature sig_c;
    struct p2p_spki spki_s;
    uint8_t oaep[P2P_RSA_LEN];
    struct p2p_signature sig_s;
};

/* The last part that a hash covers. */
enum p2p_transcript_part {
    P2P_TO_M2,     /* TH2 */
    P2P_TO_SPKI_C, /* in SIG_C */
    P2P_TO_SPKI_S, /* THO */
    P2P_TO_OAEP,   /* in SIG_S */
    P2P_TO_SIG_S,  /* THF */
};

/* Starts empty. */
void p2p_transcript_init(struct p2p_transcript *t);
/* The hash of all messages up to this part (PROTOCOL.md, the handshake). */
P2P_MUST_CHECK enum p2p_err p2p_transcript_hash(const struct p2p_transcript *t,
                                                enum p2p_transcript_part part,
                                                struct p2p_digest *out);

/* SIG_C and SIG_S: over 64 spaces, a label that names the signer, and the hash. */
P2P_MUST_CHECK enum p2p_err p2p_transcript_sign_c(struct p2p_transcript *t,
                                                  const struct p2p_rsa *client);
P2P_MUST_CHECK enum p2p_err p2p_transcript_verify_c(const struct p2p_transcript *t);
P2P_MUST_CHECK enum p2p_err p2p_transcript_sign_s(struct p2p_transcript *t,
                                                  const struct p2p_rsa *server);
P2P_MUST_CHECK enum p2p_err p2p_transcript_verify_s(const struct p2p_transcript *t);

/* OAEP: k sealed to the client's key, bound to this transcript by its label. */
P2P_MUST_CHECK enum p2p_err p2p_transcript_seal_k(struct p2p_transcript *t,
                                                  const struct p2p_secret *k);
P2P_MUST_CHECK enum p2p_err p2p_transcript_open_k(const struct p2p_transcript *t,
                                                  const struct p2p_rsa *client,
                                                  struct p2p_secret *k);

#endif
