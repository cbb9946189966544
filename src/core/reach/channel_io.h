/* channel_io - datagrams in batches over one UDP socket, both families. Internal to
 * this room. One thread at a time. */
#ifndef P2P_REACH_CHANNEL_IO_H
#define P2P_REACH_CHANNEL_IO_H

#include "core/channel/channel.h"

struct p2p_channel_io; /* *returned owned*, free with p2p_channel_io_free */

/* Opens a socket at a port that is free. SYS, NOMEM. */
P2P_MUST_CHECK enum p2p_err p2p_channel_io_new(struct p2p_channel_io **out);
/* Closes the socket. NULL is fine. */
void p2p_channel_io_free(struct p2p_channel_io *io);
/* The socket, to wait for. Borrowed. */
int p2p_channel_io_fd(const struct p2p_channel_io *io);
/* The port that it has; 0: unknown. */
uint16_t p2p_channel_io_port(const struct p2p_channel_io *io);

/* Called for each datagram. */
typedef void p2p_channel_io_visit(void *arg, const struct p2p_endpoint *from,
                                  const uint8_t *data, size_t len);
/* Reads the datagrams that have arrived, at most some hundred. False: there were none.
 */
bool p2p_channel_io_read(struct p2p_channel_io *io, p2p_channel_io_visit *visit,
                         void *arg);
/* Keeps a datagram, and sends those that are kept when there are enough, or when the
 * next one does not go to the same place. What the kernel refuses is lost. */
void p2p_channel_io_send(struct p2p_channel_io *io, const struct p2p_endpoint *to,
                         const uint8_t *data, size_t len);
/* Sends what is kept. */
void p2p_channel_io_flush(struct p2p_channel_io *io);

#endif
