/*
 * conn - a client's connection as download uses it: many requests in flight. source.h
 * is its public face, for one request at a time.
 */
#ifndef P2P_CONN_INTERNAL_H
#define P2P_CONN_INTERNAL_H

#include <stdatomic.h>

#include "p2p/conn.h"
#include "p2p/session.h"

struct p2p_conn {
    int fd;
    int stop_fd;     /* an eventfd: ends connecting */
    _Atomic int cut; /* what interrupt shuts down: fd once it is connected */
    int protocol;
    uint64_t timeout_ms;
    struct p2p_id peer;            /* protocol 2 */
    struct p2p_identity *identity; /* borrowed */
    /* Where it is: as it was asked for, and as the socket says ("" when unknown). */
    char asked[P2P_ADDR_TEXT], reached[P2P_ADDR_TEXT];
    struct p2p_direction send, receive;
    struct p2p_session1 *session1; /* protocol 1 */
    uint8_t *in;                   /* received; in_start..in_end is not yet parsed */
    size_t in_cap, in_start, in_end;
    uint8_t *out; /* sealed, not yet sent */
    size_t out_cap, out_used;
    uint32_t last_req;
    bool broken;    /* nothing more may be sent */
    char said[128]; /* the other side's last ERROR text, escaped */
};

/* What keys age by: monotonic, since the time of day may be set by hours at once. */
uint64_t p2p_conn_clock_s(void);

/* A fresh request number, never 0. */
uint32_t p2p_conn_next_req(struct p2p_conn *conn);

/* Seals a message behind those not yet sent; flush sends them all. */
P2P_MUST_CHECK enum p2p_err p2p_conn_put(struct p2p_conn *conn,
                                         const struct p2p_msg *msg);
P2P_MUST_CHECK enum p2p_err p2p_conn_put1(struct p2p_conn *conn,
                                          const struct p2p_msg1 *msg);
P2P_MUST_CHECK enum p2p_err p2p_conn_flush(struct p2p_conn *conn);

/*
 * The next message; it borrows the connection's buffer until the next call. Waits until
 * `deadline_ms` (TIMEOUT; the connection stays usable). PINGs are answered here, an
 * ERROR that is about the connection is returned as what it means, a CLOSE as CLOSED.
 */
P2P_MUST_CHECK enum p2p_err p2p_conn_receive(struct p2p_conn *conn,
                                             uint64_t deadline_ms, struct p2p_msg *msg);
P2P_MUST_CHECK enum p2p_err
p2p_conn_receive1(struct p2p_conn *conn, uint64_t deadline_ms, struct p2p_msg1 *msg);
/* True when the next receive has a whole message without reading. */
bool p2p_conn_is_ready(const struct p2p_conn *conn);

/* What an ERROR answer means; its text is kept in conn->said. */
enum p2p_err p2p_conn_refusal(struct p2p_conn *conn, const struct p2p_msg *msg);

/* Smallest round trip the kernel has seen, in microseconds; 0 when unknown. */
uint64_t p2p_conn_rtt_us(const struct p2p_conn *conn);

/* Wakes a thread that waits in receive, which then gets CLOSED, or that still connects
 * (CANCELLED). From any thread. */
void p2p_conn_interrupt(struct p2p_conn *conn);

/* p2p_conn_open that shows the connection to `on_socket` before there is a socket, so
 * that connecting can be interrupted, and again when there is one; and shows NULL
 * before it frees a connection that failed. */
typedef void p2p_conn_on_socket(void *arg, struct p2p_conn *conn);
P2P_MUST_CHECK enum p2p_err p2p_conn_open_shown(const struct p2p_conn_options *opt,
                                                p2p_conn_on_socket *on_socket,
                                                void *arg, struct p2p_conn **out);

/* Shaking hands (conn_handshake.c). */
P2P_MUST_CHECK enum p2p_err p2p_conn_shake(struct p2p_conn *conn,
                                           const struct p2p_conn_options *opt,
                                           uint64_t deadline_ms);
P2P_MUST_CHECK enum p2p_err p2p_conn_shake1(struct p2p_conn *conn,
                                            const struct p2p_conn_options *opt,
                                            uint64_t deadline_ms);
/* Appends bytes to what flush will send. */
P2P_MUST_CHECK enum p2p_err p2p_conn_append(struct p2p_conn *conn, const void *data,
                                            size_t len);

#endif
