/*
 * portmap - keeps a TCP port of this machine's router forwarded to it, on a thread of
 * its own: by PCP, NAT-PMP or UPnP, whichever the router knows; renewed before it
 * expires, and after the router or the network has changed; ended at the stop. The
 * router is the one of the default route; what it says is a claim (p2p_mapping.host may
 * be wrong, or another router's inside).
 */
#ifndef P2P_PORTMAP_H
#define P2P_PORTMAP_H

#include "p2p/addr.h"
#include "p2p/err.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct p2p_portmapper; /* *returned owned*, free with p2p_portmapper_stop */

/* Called on its thread when the mapping has changed. `addr`: where others reach the
 * port from outside, as the router says; NULL: nowhere any longer. `by`: the protocol.
 */
typedef void p2p_portmap_change(void *arg, const struct p2p_addr *addr, const char *by);

struct p2p_portmap_options {
    uint16_t port;
    p2p_portmap_change *on_change;
    void *arg;
};
/* SYS, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_portmapper_start(const struct p2p_portmap_options *opt,
                                                 struct p2p_portmapper **out);
/* Ends the mapping and the thread; on_change is not called for it. NULL is fine. */
void p2p_portmapper_stop(struct p2p_portmapper *p);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
