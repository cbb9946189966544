/*
 * channel_port - one UDP socket for one path, and what the other side has to be told to
 * find it: addresses of this machine, the one that a registry sees, a login and the
 * fingerprint of a certificate made for this path. When the other side has told the
 * same, p2p_channel_port_open finds the way and hands out one end of a pair of sockets;
 * a thread of its own serves the other end until both sides have closed it. Thread-safe
 * for different ports.
 */
#ifndef P2P_REACH_CHANNEL_PORT_H
#define P2P_REACH_CHANNEL_PORT_H

#include "core/channel/channel.h"
#include "p2p/call.h"
#include "p2p/stop.h"

struct p2p_channel_port; /* *returned owned*, free with p2p_channel_port_close */

/* Opens the socket, and asks the STUN servers (at most `stun_count`, for half a second
 * in all) for the outside address. SYS, CRYPTO, NOMEM; CANCELLED;
 * BUSY: there are as many channels as there may be. */
P2P_MUST_CHECK enum p2p_err p2p_channel_port_new(const struct p2p_endpoint *stun,
                                                 size_t stun_count,
                                                 const struct p2p_stop *stop,
                                                 struct p2p_channel_port **out);
/* NULL is fine. */
void p2p_channel_port_close(struct p2p_channel_port *port);
/* Fills in what the other side has to know. */
void p2p_channel_port_tell(const struct p2p_channel_port *port,
                           struct p2p_call_channel *out);

struct p2p_channel_way {
    int fd; /* a connected stream, non-blocking; its owner closes it */
    uint64_t rtt_us;
};
/*
 * Finds the way to the other side, until `deadline_ms`. `calls`: this side has made the
 * call. Frees the port in any case. TIMEOUT: no pair of addresses works; AUTH: somebody
 * else is at the other end; CANCELLED; MALFORMED: what the other side told.
 */
P2P_MUST_CHECK enum p2p_err p2p_channel_port_open(struct p2p_channel_port *port,
                                                  const struct p2p_call_channel *peer,
                                                  bool calls, uint64_t deadline_ms,
                                                  const struct p2p_stop *stop,
                                                  struct p2p_channel_way *out);

#endif
