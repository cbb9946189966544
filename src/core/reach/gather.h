/* Makes a port for a channel, with the outside address that a registry sees. */
#ifndef P2P_REACH_GATHER_H
#define P2P_REACH_GATHER_H

#include "core/reach/channel_port.h"
#include "p2p/discovery.h"

/* *Returned owned*; NULL: it cannot be made, and there is only a relay. */
struct p2p_channel_port *p2p_gather(struct p2p_discovery *d, size_t registry,
                                    const struct p2p_stop *stop);

#endif
