/*
 * callers - which calls a doorman has taken lately: no session twice, and a budget for
 * each caller and for all. Bounded. Pure: time is an argument. One thread at a time.
 */
#ifndef P2P_CALLERS_H
#define P2P_CALLERS_H

#include "p2p/relay.h"

enum {
    P2P_CALLERS_KEPT = 512,
    P2P_CALLERS_MEMORY_MS = 120000, /* longer than a call is valid */
    P2P_CALLS_PER_CALLER = 30,      /* a minute */
    P2P_CALLS_IN_TOTAL = 120,       /* a minute */
};

struct p2p_callers {
    struct {
        uint64_t at_ms; /* 0: free */
        struct p2p_session_id session;
        struct p2p_id from;
    } at[P2P_CALLERS_KEPT];
    size_t next; /* the oldest one is replaced */
};

/* True if this session came before. */
bool p2p_callers_knows(const struct p2p_callers *c,
                       const struct p2p_session_id *session, uint64_t now_ms);
/* Counts the call; false, and it is not counted, if a budget is used up. */
bool p2p_callers_take(struct p2p_callers *c, const struct p2p_session_id *session,
                      const struct p2p_id *from, uint64_t now_ms);

#endif
