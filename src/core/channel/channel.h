/*
 * channel - a stream of bytes between two peers over datagrams: ICE finds the way, DTLS
 * proves that the other end is the one that signed the call or its answer, and SCTP
 * makes a reliable stream of it. Datagrams and time in, datagrams out: no sockets.
 * Nothing is given to SCTP that DTLS has not opened. Trust boundary: p2p_channel_input.
 * One channel, one thread at a time.
 */
#ifndef P2P_CHANNEL_CHANNEL_H
#define P2P_CHANNEL_CHANNEL_H

#include "core/channel/ice.h"
#include "core/channel/sctp.h"
#include "core/crypto/dtls.h"

struct p2p_channel; /* *returned owned*, free with p2p_channel_free */

struct p2p_channel_options {
    struct p2p_ice_login own, peer;
    const struct p2p_dtls_identity *identity; /* copied */
    struct p2p_digest fingerprint;            /* the peer's */
    bool calls;                /* the caller: controls ICE, and is the server of DTLS */
    struct p2p_budget *budget; /* of its buffers; see sctp.h. NULL: no bound */
};

/* Makes one that checks nothing until p2p_channel_add names an address. NOMEM, CRYPTO.
 */
P2P_MUST_CHECK enum p2p_err p2p_channel_new(const struct p2p_channel_options *opt,
                                            uint64_t now_us, struct p2p_channel **out);
/* NULL is fine. */
void p2p_channel_free(struct p2p_channel *c);
/* An address that the peer has named; see p2p_ice_add. */
void p2p_channel_add(struct p2p_channel *c, const struct p2p_endpoint *remote,
                     uint32_t priority);

/* A datagram that has arrived. */
void p2p_channel_input(struct p2p_channel *c, const struct p2p_endpoint *from,
                       const uint8_t *data, size_t len, uint64_t now_us);
/* Writes the next datagram and whom it is for; 0: none is due. */
size_t p2p_channel_output(struct p2p_channel *c, uint64_t now_us,
                          struct p2p_endpoint *to, uint8_t out[P2P_DTLS_DATAGRAM_MAX]);
/* When p2p_channel_output should be called again. */
uint64_t p2p_channel_due_us(const struct p2p_channel *c, uint64_t now_us);

/* The stream, to read and write (p2p_sctp_write, _peek, _drop, _close); NULL: not yet.
 */
struct p2p_sctp *p2p_channel_stream(struct p2p_channel *c);
/* True once bytes can be written. */
bool p2p_channel_is_open(const struct p2p_channel *c);
/* True once it has failed, or its stream has ended both ways. */
bool p2p_channel_is_over(const struct p2p_channel *c);
/* OK; TIMEOUT: no pair of addresses works (any longer); AUTH: somebody else is at the
 * other end; else what the stream or DTLS says. */
enum p2p_err p2p_channel_error(const struct p2p_channel *c);
/* Round trip; 0: unknown. */
uint64_t p2p_channel_rtt_us(const struct p2p_channel *c);
/* The other end; NULL: unknown yet. Valid until the next call. */
const struct p2p_endpoint *p2p_channel_remote(const struct p2p_channel *c);

#endif
