/*
 * nat - what kind of router stands between this machine and the Internet: asks two UDP
 * ports of a registry (STUN) under which address they see one socket of this machine.
 * What they answer is a claim. Thread-safe.
 */
#ifndef P2P_NAT_H
#define P2P_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/addr.h"
#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

enum p2p_nat {
    P2P_NAT_UNKNOWN,  /* only one of the ports has answered */
    P2P_NAT_BLOCKED,  /* none has: UDP does not pass */
    P2P_NAT_NONE,     /* they see this machine's own address */
    P2P_NAT_STEADY,   /* another address, and the same port at both */
    P2P_NAT_CONE,     /* the same, and it lets in what comes from elsewhere, too */
    P2P_NAT_CHANGING, /* another port at each: "symmetric" */
};
#define P2P_NAT_SERVERS 2

/* Does not test whether the router accepts packets from other senders, so the result is
 * never CONE. It has the outside address that each server saw; port 0: no answer. `own`
 * is this machine's side. */
enum p2p_nat p2p_nat_of(const struct p2p_addr *own,
                        const struct p2p_addr seen[P2P_NAT_SERVERS]);

/* Asks both; several times, as UDP may lose a question. `outside` gets the address that
 * was seen first (port 0: none). UNREACHABLE: there is no way to send at all. */
P2P_MUST_CHECK enum p2p_err
p2p_nat_check(const struct p2p_addr servers[P2P_NAT_SERVERS], uint64_t timeout_ms,
              enum p2p_nat *out, struct p2p_addr *outside);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
