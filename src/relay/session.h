/*
 * session - two connections that were joined: two flows, a rate, the accounts that pay,
 * and when it has to end. Belongs to the relay's loop, which alone touches it.
 */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include <sys/queue.h>

#include "p2p/rate.h"
#include "p2p/relay.h"
#include "relay/accounts.h"
#include "relay/flow.h"

/* What epoll's pointers point to: the first member of a client and of each end of a
 * session. */
enum watched_kind { WATCHED_LISTENER, WATCHED_WAKE, WATCHED_CLIENT, WATCHED_SESSION };
struct watched {
    enum watched_kind kind;
};

struct session;
struct session_side {
    struct watched watched; /* first member */
    struct session *session;
    struct flow_end end;
};

struct session {
    TAILQ_ENTRY(session) link;
    struct session_side sides[2];
    struct flow flows[2]; /* from side 0 to 1, and back */
    struct p2p_rate rate;
    struct accounts_bill bill;
    struct p2p_relay_token token;
    uint64_t bytes;                    /* that have passed, both ways */
    uint64_t started_ms, last_byte_ms; /* for the limits of time */
    uint64_t resume_at_us;             /* by the rate; 0: now */
    bool is_due;                       /* an event or the clock wants it to run */
};
TAILQ_HEAD(session_list, session);

/* *Takes* both descriptors, also when it fails. `all`: the rate of all sessions
 * together (borrowed). */
P2P_MUST_CHECK enum p2p_err session_new(int caller_fd, int callee_fd, size_t pipe_cap,
                                        uint64_t bytes_per_s, struct p2p_rate *all,
                                        struct session **out);
/* Closes everything. The accounts must have been closed. */
void session_free(struct session *s);

/* Why a session ended. */
enum session_end {
    SESSION_RUNS,   /* it has not: it waits for an event or for its rate */
    SESSION_AGAIN,  /* it has not: run it again after the others */
    SESSION_DONE,   /* both directions have ended */
    SESSION_BROKEN, /* a connection failed */
    SESSION_QUOTA,  /* of a peer, a source, all, or of the token */
};
/* Moves bytes for one turn. */
enum session_end session_run(struct session *s, struct accounts *accounts,
                             uint64_t now_us, uint64_t now_s);

#endif
