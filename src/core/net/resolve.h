/* resolve - the addresses of a host name, before a deadline. */
#ifndef P2P_RESOLVE_H
#define P2P_RESOLVE_H

#include "p2p/net.h"

struct addrinfo;

/* Looks up the TCP addresses of a name, with the port; free with freeaddrinfo. Errors:
 * UNREACHABLE, TIMEOUT, CANCELLED (stop_fd as in net.h). The system's resolver has no
 * deadline, so names (not literals) are looked up in a thread. */
P2P_MUST_CHECK enum p2p_err p2p_net_resolve(const struct p2p_addr *addr,
                                            uint64_t deadline_ms, int stop_fd,
                                            struct addrinfo **out);

#endif
