/*
 * stun - messages of STUN (RFC 8489), method Binding alone, with the attributes that
 * ICE needs (RFC 8445, section 16). Clients ask a registry for their outside address
 * with it, registries answer, and the two ends of a channel check each pair of
 * addresses. Bytes only: no sockets, no clock. Trust boundary: p2p_stun_parse.
 * Thread-safe.
 */
#ifndef P2P_CHANNEL_STUN_H
#define P2P_CHANNEL_STUN_H

#include "core/channel/endpoint.h"

#define P2P_STUN_ID_LEN 12
/* The longest message that p2p_stun_format writes, and that p2p_stun_parse reads. */
#define P2P_STUN_MAX      548
#define P2P_STUN_NAME_MAX 128 /* of USERNAME */

struct p2p_stun_id {
    uint8_t b[P2P_STUN_ID_LEN];
};

enum p2p_stun_class {
    P2P_STUN_REQUEST,
    P2P_STUN_INDICATION,
    P2P_STUN_SUCCESS,
    P2P_STUN_ERROR,
};

/* The role that a request claims for its sender. */
enum p2p_stun_role { P2P_STUN_NO_ROLE, P2P_STUN_CONTROLLING, P2P_STUN_CONTROLLED };

/* Error codes. */
enum {
    P2P_STUN_BAD_REQUEST = 400,
    P2P_STUN_UNAUTHENTICATED = 401,
    P2P_STUN_UNKNOWN_ATTRIBUTE = 420,
    P2P_STUN_ROLE_CONFLICT = 487,
};

/* Zero and empty: the attribute is not there. */
struct p2p_stun {
    enum p2p_stun_class class;
    struct p2p_stun_id id;
    struct p2p_endpoint mapped; /* XOR-MAPPED-ADDRESS */
    char username[P2P_STUN_NAME_MAX + 1];
    uint32_t priority;
    bool has_priority;
    bool use_candidate;
    enum p2p_stun_role role;
    uint64_t tie_breaker; /* with a role */
    uint16_t error_code;
    bool change_port; /* CHANGE-REQUEST (RFC 5780): answer from the other port */
    /* What p2p_stun_parse adds: */
    bool has_unknown;        /* an attribute that must be understood, and is not */
    size_t integrity_offset; /* of MESSAGE-INTEGRITY; 0: there is none */
};

/* True if a datagram is STUN: two zero bits, a length that fits, the magic cookie. DTLS
 * and STUN share a port (RFC 7983). */
bool p2p_stun_is(const uint8_t *data, size_t len);

/*
 * Reads a message; checks FINGERPRINT if it is there. MALFORMED; PROTOCOL: a method
 * other than Binding. What stands behind MESSAGE-INTEGRITY is ignored, as the RFC says.
 * An attribute that comes twice counts once, the first time.
 */
P2P_MUST_CHECK enum p2p_err p2p_stun_parse(const uint8_t *data, size_t len,
                                           struct p2p_stun *out);
/* Checks MESSAGE-INTEGRITY of a message that was parsed, with the short-term password
 * as it is. AUTH: it is missing or wrong. */
P2P_MUST_CHECK enum p2p_err p2p_stun_check(const uint8_t *data, size_t len,
                                           const struct p2p_stun *message,
                                           const char *password);
/*
 * Writes a message. With a password, MESSAGE-INTEGRITY and FINGERPRINT are added; NULL:
 * neither, so that an answer to a stranger is hardly longer than its question. USAGE:
 * the username is too long.
 */
P2P_MUST_CHECK enum p2p_err p2p_stun_format(const struct p2p_stun *message,
                                            const char *password,
                                            uint8_t out[P2P_STUN_MAX], size_t *len);

/*
 * A plain Binding request, padded so that no answer is longer. So a server does not
 * amplify traffic when the sender's address is forged.
 */
#define P2P_STUN_ANSWER_MAX   44
#define P2P_STUN_QUESTION_LEN 48
void p2p_stun_question(const struct p2p_stun_id *id, bool change_port,
                       uint8_t out[P2P_STUN_QUESTION_LEN]);
/*
 * The server's side for strangers: the answer to a plain Binding request that came from
 * `from`, at most P2P_STUN_ANSWER_MAX bytes. `change_port`: it is to come from the
 * server's other port. False: what came is no such request and gets no answer.
 */
bool p2p_stun_answer(const uint8_t *data, size_t len, const struct p2p_endpoint *from,
                     bool *change_port, uint8_t out[P2P_STUN_MAX], size_t *out_len);

#endif
