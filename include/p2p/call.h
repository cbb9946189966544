/*
 * call - how a peer asks another one, through a box at a registry, for a way to reach
 * it (PROTOCOL.md, "Calls"). A call says who asks and where the answer is expected; an
 * answer names a relay and the caller's token for it. Both are signed, so a registry
 * can neither forge nor move them; it can read them. Trust boundary: p2p_call_parse. No
 * sockets, no clock. Thread-safe.
 */
#ifndef P2P_CALL_H
#define P2P_CALL_H

#include <stdbool.h>

#include "p2p/addr.h"
#include "p2p/relay.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_CALL_TEXT_MAX (8u * 1024) /* size limit of one message in a box */
#define P2P_CALL_LIFE_S   30u
/* How far `expires` may lie ahead, and how long ago it may have been: clocks differ. */
#define P2P_CALL_AHEAD_MAX_S 60u
#define P2P_CALL_LATE_MAX_S  15u

/* A box for answers: whoever knows its number may use it. */
struct p2p_box_number {
    uint8_t b[16];
};

enum p2p_call_type { P2P_CALL = 1, P2P_CALL_ANSWER = 2 };

/* What one side tells the other for a channel over UDP. */
#define P2P_CALL_CANDIDATES_MAX 16
#define P2P_CALL_CANDIDATE_TEXT 80
struct p2p_call_channel {
    char ufrag[33], pwd[65];       /* of ICE; an empty ufrag: there is no channel */
    struct p2p_digest fingerprint; /* of the certificate that it will show */
    uint8_t candidate_count;
    /* "IP PORT KIND PRIORITY": its addresses; KIND is host, srflx or relay */
    char candidates[P2P_CALL_CANDIDATES_MAX][P2P_CALL_CANDIDATE_TEXT];
};

struct p2p_call {
    enum p2p_call_type type;
    struct p2p_session_id session;
    struct p2p_id from, to;
    struct p2p_spki key; /* of `from` */
    uint64_t expires_s;
    struct p2p_call_channel channel;
    struct p2p_box_number reply; /* of a call */
    /* Of an answer: */
    struct p2p_digest called; /* fingerprint of the call; signed, but not sent */
    struct p2p_addr relay;    /* an empty host: none */
    char token[P2P_RELAY_TOKEN_TEXT]; /* the caller's */
    struct p2p_signature signature;
};

/* Fills in `from`, `key` and the signature. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_call_sign(struct p2p_call *call,
                                          const struct p2p_rsa *key);
/*
 * In this order: not expired at `now_s`, nor valid for too long (TIMEOUT); `from` is
 * the id of the key (WRONG_PEER); the signature (AUTH).
 */
P2P_MUST_CHECK enum p2p_err p2p_call_check(const struct p2p_call *call, uint64_t now_s);

/* JSON, as it is in a box; *returns owned*, free(). NULL: out of memory. */
char *p2p_call_format(const struct p2p_call *call);
/* Reads it. MALFORMED, TOO_LARGE. Checks the form only: see p2p_call_check. */
P2P_MUST_CHECK enum p2p_err p2p_call_parse(const char *text, size_t len,
                                           struct p2p_call *out);

/* ---- What is signed for a registry alone; each bound to a time ---- */

/* The right to read the own box until then. */
P2P_MUST_CHECK enum p2p_err p2p_box_sign(const struct p2p_rsa *key,
                                         const struct p2p_id *id, uint64_t expires_s,
                                         struct p2p_signature *out);
/* Checks it, but not the time. AUTH. */
P2P_MUST_CHECK enum p2p_err p2p_box_verify(const struct p2p_spki *key,
                                           const struct p2p_id *id, uint64_t expires_s,
                                           const struct p2p_signature *signature);
/* The callee of this call asks for tokens. */
P2P_MUST_CHECK enum p2p_err p2p_relay_request_sign(const struct p2p_rsa *key,
                                                   const struct p2p_call *call,
                                                   uint64_t expires_s,
                                                   struct p2p_signature *out);
/* Checks it, but not the time. AUTH. */
P2P_MUST_CHECK enum p2p_err
p2p_relay_request_verify(const struct p2p_spki *key, const struct p2p_call *call,
                         uint64_t expires_s, const struct p2p_signature *signature);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
