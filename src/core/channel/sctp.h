/*
 * sctp - one association of SCTP (RFC 9260) that carries one WebRTC data channel (RFC
 * 8831, 8832): a reliable stream of bytes over datagrams, both ways. It runs inside
 * DTLS, so only the peer whose fingerprint was signed can send to it; it still checks
 * everything. Packets and time in, packets out: no sockets, no clock (microseconds of
 * any clock that does not go back). Trust boundary: p2p_sctp_input. One association,
 * one thread at a time.
 *
 * The profile: both sides send INIT; DATA, SACK with gaps, HEARTBEAT, ABORT, SHUTDOWN,
 * RE-CONFIG (a stream that is reset is the end, on both sides). One channel, ordered
 * and reliable, on stream 0. The borders of messages mean nothing. Losses are found by
 * time (as RACK does), not by three duplicates; pace.h decides how fast to send.
 */
#ifndef P2P_CHANNEL_SCTP_H
#define P2P_CHANNEL_SCTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/channel/budget.h"
#include "p2p/err.h"

struct p2p_sctp; /* *returned owned*, free with p2p_sctp_free */

/* Without the headers of DTLS, UDP and IP. The first one fits every path that IPv6 may
 * use; the second one is used once a heartbeat of this length was answered. */
#define P2P_SCTP_PACKET_FIRST 1172
#define P2P_SCTP_PACKET_MAX   1400

struct p2p_sctp_options {
    bool opens;      /* sends DATA_CHANNEL_OPEN; the other side waits for it */
    size_t send_max; /* bytes that wait or are in flight; 0: 16 MiB. A power of two */
    size_t receive_max; /* bytes that were received and not read; 0: 8 MiB */
    /* Both buffers begin with less, and grow as far as the path needs it and this
     * allows; borrowed until free. NULL: no bound together with others. */
    struct p2p_budget *budget;
    uint64_t rtt_us;    /* of the path, if it is known: sets the first rate */
    uint32_t first_tsn; /* 0: random. For tests */
};

/* Makes an association that wants to send INIT at once. NOMEM, CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_sctp_new(const struct p2p_sctp_options *opt,
                                         uint64_t now_us, struct p2p_sctp **out);
/* NULL is fine. */
void p2p_sctp_free(struct p2p_sctp *s);

/* ---- below ---- */

/* One packet of the peer. What is malformed is dropped; a packet that breaks the
 * protocol ends the association (p2p_sctp_error). Call p2p_sctp_output when all packets
 * that have arrived are in: one acknowledgement for all. */
void p2p_sctp_input(struct p2p_sctp *s, const uint8_t *data, size_t len,
                    uint64_t now_us);
/* Writes the next packet and returns its length; 0: none is due now. */
size_t p2p_sctp_output(struct p2p_sctp *s, uint64_t now_us,
                       uint8_t out[P2P_SCTP_PACKET_MAX]);
/* When p2p_sctp_output should be called again, if nothing arrives before; UINT64_MAX:
 * never. */
uint64_t p2p_sctp_due_us(const struct p2p_sctp *s, uint64_t now_us);

/* ---- above ---- */

/* True once bytes can be written. */
bool p2p_sctp_is_open(const struct p2p_sctp *s);
/* Takes as many bytes as there is room for; returns their number. */
size_t p2p_sctp_write(struct p2p_sctp *s, const void *data, size_t len);
/* How many p2p_sctp_write would take. */
size_t p2p_sctp_room(const struct p2p_sctp *s);
/* Borrows bytes that have arrived in order, until the next call; p2p_sctp_drop says how
 * many were read. NULL: none. */
const uint8_t *p2p_sctp_peek(const struct p2p_sctp *s, size_t *len);
/* Those bytes were read: the peer may send as many more. */
void p2p_sctp_drop(struct p2p_sctp *s, size_t len);
/* Nothing more is written: what was written is delivered, then the association ends.
 * What arrives is thrown away; once all is delivered, it aborts the association. */
void p2p_sctp_close(struct p2p_sctp *s);
/* Ends it now; the next output tells the peer. */
void p2p_sctp_abort(struct p2p_sctp *s);
/* True once the peer has written its last byte (or the association has failed). */
bool p2p_sctp_is_ended(const struct p2p_sctp *s);
/* True once nothing is left to do: all was delivered both ways, or it failed. */
bool p2p_sctp_is_closed(const struct p2p_sctp *s);
/* OK; CLOSED: the peer aborted; TIMEOUT: it answers no longer; PROTOCOL, NOMEM. */
enum p2p_err p2p_sctp_error(const struct p2p_sctp *s);

struct p2p_sctp_status {
    uint64_t rtt_us; /* smoothed; 0: unknown */
    uint64_t rate;   /* bytes a second that it may send now */
    uint64_t sent_packets, lost_packets;
    size_t packet_max;
    size_t memory; /* bytes of its buffers */
};
/* What it is doing, for those who watch it. */
struct p2p_sctp_status p2p_sctp_status(const struct p2p_sctp *s);

#endif
