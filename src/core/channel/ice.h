/*
 * ice - finds a pair of addresses between two peers over which datagrams pass both ways
 * (RFC 8445, full, one component), and watches that it stays so (consent, RFC 7675).
 * All packets leave from one socket a family, so a pair is known by its remote address.
 * Each side checks every address that the other one has named; a request from an
 * unknown address makes a pair, too (peer reflexive), since that is what routers do to
 * ports. The caller of a path controls: it nominates the pair that is used. Checks are
 * bounded, so that nobody can be made to flood an address that another one has named.
 * Datagrams and time in, datagrams out: no sockets, no clock (microseconds). Trust
 * boundary: p2p_ice_input. One agent, one thread at a time.
 */
#ifndef P2P_CHANNEL_ICE_H
#define P2P_CHANNEL_ICE_H

#include "core/channel/stun.h"

enum {
    P2P_ICE_REMOTES_MAX = 16, /* addresses that a peer may name */
    P2P_ICE_PAIRS_MAX = 24,   /* with those that were found */
    P2P_ICE_CHECKS_MAX = 25,  /* packets to one address that did not answer */
    P2P_ICE_UFRAG_LEN = 8,    /* of ours; of others up to ... */
    P2P_ICE_UFRAG_MAX = 32,
    P2P_ICE_PWD_LEN = 24,
    P2P_ICE_PWD_MAX = 64,
    P2P_ICE_ANSWERS_MAX = 16, /* that wait to be sent */
};

/* The name and the password of one side, made for one path. */
struct p2p_ice_login {
    char ufrag[P2P_ICE_UFRAG_MAX + 1];
    char pwd[P2P_ICE_PWD_MAX + 1];
};
/* A random one. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_ice_login_make(struct p2p_ice_login *out);
/* True for a login that RFC 8839 allows: 4 to 32 and 22 to 64 characters of base64. */
bool p2p_ice_login_is_valid(const struct p2p_ice_login *login);

/* Where an address comes from. */
enum p2p_ice_kind { P2P_ICE_HOST, P2P_ICE_OUTSIDE, P2P_ICE_FOUND };
/* The priority of an address: own ones before those that a STUN server saw; IPv6 before
 * IPv4; `nth` among the others of its kind. */
uint32_t p2p_ice_priority(enum p2p_ice_kind kind, enum p2p_family family, unsigned nth);

enum p2p_ice_state { P2P_ICE_CHECKING, P2P_ICE_CONNECTED, P2P_ICE_FAILED };

/* One address of the peer. */
enum p2p_pair_state {
    P2P_PAIR_WAITING,
    P2P_PAIR_OPEN,
    P2P_PAIR_WORKS,
    P2P_PAIR_FAILED
};
struct p2p_ice_pair {
    struct p2p_endpoint remote;
    uint32_t priority;
    enum p2p_pair_state state;
    struct p2p_stun_id id; /* of the check that is open; kept when it is sent again */
    unsigned sent;         /* packets of this check */
    uint64_t due_us, first_us;
    bool nominates;     /* the check that is open carries USE-CANDIDATE */
    bool was_nominated; /* by the peer */
};

struct p2p_ice_answer {
    struct p2p_endpoint to;
    struct p2p_stun_id id;
    uint16_t error_code; /* 0: success */
};

struct p2p_ice {
    struct p2p_ice_login own, peer;
    bool is_controlling;
    uint64_t tie_breaker;
    enum p2p_ice_state state;
    struct p2p_ice_pair pairs[P2P_ICE_PAIRS_MAX];
    size_t pair_count;
    size_t selected; /* of `pairs`; behind them: none */
    struct p2p_ice_answer answers[P2P_ICE_ANSWERS_MAX];
    size_t answer_count;
    struct p2p_endpoint mapped;  /* what the peer sees of us; family 0: unknown */
    uint64_t began_us, works_us; /* works_us 0: no pair works yet */
    uint64_t pace_us;            /* no new check before */
    uint64_t consent_us;         /* the last answer over the selected pair */
    uint64_t rtt_us;
};

struct p2p_ice_options {
    struct p2p_ice_login own, peer;
    bool is_controlling;
};

/* Begins; nothing is checked until p2p_ice_add names an address. CRYPTO. */
P2P_MUST_CHECK enum p2p_err
p2p_ice_init(struct p2p_ice *ice, const struct p2p_ice_options *opt, uint64_t now_us);
/* An address that the peer has named. Left out: the same one again, more than
 * P2P_ICE_REMOTES_MAX, and what no machine can have. */
void p2p_ice_add(struct p2p_ice *ice, const struct p2p_endpoint *remote,
                 uint32_t priority);

/* A datagram that p2p_stun_is accepts. Others and strangers' are dropped. */
void p2p_ice_input(struct p2p_ice *ice, const struct p2p_endpoint *from,
                   const uint8_t *data, size_t len, uint64_t now_us);
/* Writes the next datagram and whom it is for; 0: none is due. */
size_t p2p_ice_output(struct p2p_ice *ice, uint64_t now_us, struct p2p_endpoint *to,
                      uint8_t out[P2P_STUN_MAX]);
/* When p2p_ice_output should be called again. */
uint64_t p2p_ice_due_us(const struct p2p_ice *ice, uint64_t now_us);

/* The pair that is used; NULL: none yet. Valid until the next call. */
const struct p2p_endpoint *p2p_ice_selected(const struct p2p_ice *ice);

#endif
