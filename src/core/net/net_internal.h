/* Declarations shared by the files of the net module. */
#ifndef P2P_NET_INTERNAL_H
#define P2P_NET_INTERNAL_H

#include "p2p/net.h"

struct addrinfo;

/* Looks up the TCP addresses of a name, with the port; free with freeaddrinfo. Errors:
 * UNREACHABLE, TIMEOUT, CANCELLED (stop_fd as in net.h). The system's resolver has no
 * deadline, so names (not literals) are looked up in a thread. */
P2P_MUST_CHECK enum p2p_err p2p_net_resolve(const struct p2p_addr *addr,
                                            uint64_t deadline_ms, int stop_fd,
                                            struct addrinfo **out);

/* Waits for one of `events`. TIMEOUT at the deadline, CANCELLED when `stop_fd` is
 * readable (-1: no stop_fd). */
P2P_MUST_CHECK enum p2p_err p2p_net_wait(int fd, short events, uint64_t deadline_ms,
                                         int stop_fd);

#endif
