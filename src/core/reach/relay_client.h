/* The client's side of p2p-relay (PROTOCOL.md, "Relay"). */
#ifndef P2P_RELAY_CLIENT_H
#define P2P_RELAY_CLIENT_H

#include "p2p/addr.h"
#include "p2p/stop.h"

/* Connects, shows the token, and waits for the other side. `*fd` is the way. BUSY,
 * RATE_LIMITED, TIMEOUT, CLOSED: the relay said no. */
P2P_MUST_CHECK enum p2p_err p2p_relay_connect(const struct p2p_addr *relay,
                                              const char *token,
                                              const struct p2p_stop *stop, int *fd);

#endif
