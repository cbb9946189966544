/* conn_internal - what the files of a connection share. For this room only. */
#ifndef P2P_CONN_INTERNAL_H
#define P2P_CONN_INTERNAL_H

#include <stdatomic.h>

#include "core/remote/conn_messages.h"
#include "p2p/session.h"
#include "p2p/stop.h"

struct p2p_conn {
    int fd;
    struct p2p_stop *stop; /* ends connecting */
    _Atomic int cut;       /* what interrupt shuts down: fd, once it is connected */
    int protocol;
    uint64_t timeout_ms;
    enum p2p_path_kind path;
    uint64_t shake_rtt_us;         /* of a channel, or from M1 to M2: the whole path */
    struct p2p_id peer;            /* protocol 2 */
    uint32_t info_req;             /* of the INFO? that waits for its answer; 0: none */
    bool has_about;                /* it has answered */
    struct p2p_about about;        /* its claims about itself */
    struct p2p_identity *identity; /* borrowed */
    struct p2p_addr addr;          /* as requested */
    /* The peer's address: as requested, and as reported by the socket ("" if unknown).
     */
    char asked[P2P_ADDR_TEXT], reached[P2P_ADDR_TEXT];
    struct p2p_direction send, receive;
    struct p2p_session1 *session1; /* protocol 1 */
    uint8_t *in;                   /* received; in_start..in_end is not yet parsed */
    size_t in_cap, in_start, in_end;
    uint8_t *out; /* sealed, not yet sent */
    size_t out_cap, out_used;
    uint32_t last_req;
    bool broken;    /* nothing more may be sent */
    char said[128]; /* text of the other side's last ERROR, escaped */
};

/* The clock for the age of keys: monotonic, because the time of day may be changed by
 * hours. */
uint64_t p2p_conn_clock_s(void);

/* Sends the claims about this device and asks for those of the peer (INFO?). The answer
 * may come at any time, and receive stores it. A peer that does not know INFO? answers
 * with ERROR, which is ignored. */
P2P_MUST_CHECK enum p2p_err p2p_conn_say_info(struct p2p_conn *conn);
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
