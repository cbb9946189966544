/* What the files of the net module share. */
#ifndef P2P_NET_INTERNAL_H
#define P2P_NET_INTERNAL_H

#include "p2p/net.h"

struct addrinfo;

/* Addresses of a name, TCP, with the port; freeaddrinfo. UNREACHABLE, TIMEOUT,
 * CANCELLED (stop_fd as in net.h): the resolver knows no deadline, so a name (not a
 * literal) is looked up in a thread. */
P2P_MUST_CHECK enum p2p_err p2p_net_resolve(const struct p2p_addr *addr,
                                            uint64_t deadline_ms, int stop_fd,
                                            struct addrinfo **out);

/* Until one of `events` is there, TIMEOUT, or CANCELLED: `stop_fd` (-1: none) is
 * readable. */
P2P_MUST_CHECK enum p2p_err p2p_net_wait(int fd, short events, uint64_t deadline_ms,
                                         int stop_fd);

#endif
