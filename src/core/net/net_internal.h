/* net_internal - what the files of this room share. */
#ifndef P2P_NET_INTERNAL_H
#define P2P_NET_INTERNAL_H

#include "p2p/net.h"

/* Waits for one of `events`. TIMEOUT at the deadline, CANCELLED when `stop_fd` is
 * readable (-1: no stop_fd). */
P2P_MUST_CHECK enum p2p_err p2p_net_wait(int fd, short events, uint64_t deadline_ms,
                                         int stop_fd);

#endif
