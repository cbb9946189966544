/*
 * candidate - one address in a call or its answer: "IP PORT KIND PRIORITY"
 * (PROTOCOL.md, "Calls"). Most are addresses of a channel over UDP; those of kind "tcp"
 * are where the peer listens for protocol 2. Trust boundary: what the other side told.
 * Pure. Thread-safe.
 */
#ifndef P2P_REACH_CANDIDATE_H
#define P2P_REACH_CANDIDATE_H

#include "core/channel/endpoint.h"
#include "p2p/addr.h"
#include "p2p/call.h"

struct p2p_candidate {
    struct p2p_endpoint at;
    bool is_tcp;
    uint32_t priority;
};
/* False: another form, for example a name in .local. */
bool p2p_candidate_parse(const char *text, struct p2p_candidate *out);
/* Adds one, if there is room. */
void p2p_candidate_add(struct p2p_call_channel *list, const struct p2p_endpoint *at,
                       const char *kind, uint32_t priority);

/* Adds those of these addresses for TCP that are literal, as many as there is room for.
 */
void p2p_candidate_add_tcp(struct p2p_call_channel *list, const struct p2p_addr *at,
                           size_t count);
/* The addresses for TCP in this list, at most `max`, in its order; returns their
 * number. Leaves out those that no other machine has: they would lead to this one. */
size_t p2p_candidate_tcp(const struct p2p_call_channel *list, struct p2p_addr *out,
                         size_t max);

#endif
