/*
 * ways - opens the ways that a call and its answer make possible, side by side: the
 * channel at once, the relay when the channel has failed or after a while. The first
 * one that opens is taken. Each side may see another one open first, so the side that
 * was called takes both for a moment, and the caller decides.
 */
#ifndef P2P_REACH_WAYS_H
#define P2P_REACH_WAYS_H

#include "core/reach/channel_port.h"
#include "p2p/reach.h"

/* Not before: a channel opens in some round trips, and a session of a relay costs its
 * owner something. */
#define P2P_WAYS_RELAY_AFTER_MS 1500

struct p2p_ways; /* *returned owned*, free with p2p_ways_free */

struct p2p_ways_options {
    struct p2p_channel_port *port;       /* taken in any case; NULL: no channel */
    const struct p2p_call_channel *peer; /* what the other side told; copied */
    bool calls;                          /* this side has made the call */
    const struct p2p_addr *relay;        /* copied; NULL: none */
    const char *token;                   /* this side's for it; copied */
    const struct p2p_stop *stop;         /* borrowed until the end */
};

/* Starts. NOMEM, SYS; UNREACHABLE: there is neither a channel nor a relay. */
P2P_MUST_CHECK enum p2p_err p2p_ways_start(const struct p2p_ways_options *opt,
                                           struct p2p_ways **out);
/*
 * Waits for the first one that opens. The error is that of the relay if it was tried,
 * otherwise that of the channel; CANCELLED: `stop`.
 */
P2P_MUST_CHECK enum p2p_err p2p_ways_first(struct p2p_ways *w, struct p2p_way *out);
/* One more that opens within a second, of those that are under way: the other side may
 * have taken that one. */
P2P_MUST_CHECK enum p2p_err p2p_ways_other(struct p2p_ways *w, struct p2p_way *out);
/* Ends the others. NULL is fine. */
void p2p_ways_free(struct p2p_ways *w);

#endif
