/*
 * upnp - asks a router for a port from outside by UPnP IGD, where neither PCP nor
 * NAT-PMP works; needs libminiupnpc. It blocks, so each question is a job on a thread
 * of its own, which nobody has to wait for. Only the router of the default route is
 * asked: others on the network could send the question anywhere. Trust boundary: what
 * the router says.
 */
#ifndef P2P_REACH_UPNP_H
#define P2P_REACH_UPNP_H

#include "core/reach/portmap.h"
#include "p2p/err.h"

/* True if this build has libminiupnpc. */
bool p2p_upnp_is_built(void);
/* True if the URL's host is this IPv4 address, written as numbers. */
bool p2p_upnp_is_at(const char *url, const uint8_t router[4]);

struct p2p_upnp_job; /* *returned owned*, free with p2p_upnp_drop */

/* Asks for a mapping of this TCP port to `own_ip`. UNSUPPORTED, SYS, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_upnp_ask(const uint8_t router[4],
                                         const uint8_t own_ip[4], uint16_t port,
                                         struct p2p_upnp_job **out);
/* Readable when there is an answer; -1 for NULL. */
int p2p_upnp_fd(const struct p2p_upnp_job *job);
/* The answer. False: the router maps nothing by UPnP. */
bool p2p_upnp_result(const struct p2p_upnp_job *job, struct p2p_mapping *out);
/* Ends the mapping of a job that has its answer; blocks for some seconds at most. */
void p2p_upnp_unmap(const struct p2p_upnp_job *job);
/* NULL is fine, and a job without an answer, too: its thread frees it. */
void p2p_upnp_drop(struct p2p_upnp_job *job);

#endif
