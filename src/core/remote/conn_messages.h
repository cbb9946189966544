/*
 * conn_messages - a connection as downloads use it: many requests in flight, message by
 * message. p2p/conn.h is for one request at a time.
 */
#ifndef P2P_CONN_MESSAGES_H
#define P2P_CONN_MESSAGES_H

#include "p2p/conn.h"
#include "p2p/session.h"

/* Returns a new request number, never 0. */
uint32_t p2p_conn_next_req(struct p2p_conn *conn);

/* Encrypts a message and appends it to those not yet sent; flush sends them all. */
P2P_MUST_CHECK enum p2p_err p2p_conn_put(struct p2p_conn *conn,
                                         const struct p2p_msg *msg);
P2P_MUST_CHECK enum p2p_err p2p_conn_put1(struct p2p_conn *conn,
                                          const struct p2p_msg1 *msg);
P2P_MUST_CHECK enum p2p_err p2p_conn_flush(struct p2p_conn *conn);

/*
 * Receives the next message; it borrows the connection's buffer until the next call.
 * Waits until `deadline_ms` (TIMEOUT; the connection stays usable). Answers PINGs,
 * keeps what INFO says. An ERROR about the connection is returned as the matching
 * error, a CLOSE as CLOSED.
 */
P2P_MUST_CHECK enum p2p_err p2p_conn_receive(struct p2p_conn *conn,
                                             uint64_t deadline_ms, struct p2p_msg *msg);
P2P_MUST_CHECK enum p2p_err
p2p_conn_receive1(struct p2p_conn *conn, uint64_t deadline_ms, struct p2p_msg1 *msg);
/* True if the next receive returns a message without reading from the socket. */
bool p2p_conn_is_ready(const struct p2p_conn *conn);

/* The error that an ERROR message stands for; its text is kept in conn->said. */
enum p2p_err p2p_conn_refusal(struct p2p_conn *conn, const struct p2p_msg *msg);

/* Like p2p_conn_open, but calls `on_socket` with the connection before there is a
 * socket (so that connecting can be interrupted) and again when there is one, and with
 * NULL before it frees a connection that failed. */
typedef void p2p_conn_on_socket(void *arg, struct p2p_conn *conn);
P2P_MUST_CHECK enum p2p_err p2p_conn_open_shown(const struct p2p_conn_options *opt,
                                                p2p_conn_on_socket *on_socket,
                                                void *arg, struct p2p_conn **out);

/* How long the peer may be silent. */
uint64_t p2p_conn_timeout_ms(const struct p2p_conn *conn);
/* Protocol 1: true if fewer than `margin` messages may follow under its keys: connect
 * again. */
bool p2p_conn_is_worn(const struct p2p_conn *conn, size_t margin);

#endif
