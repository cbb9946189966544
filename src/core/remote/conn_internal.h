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
    _Atomic int cut; /* the descriptor that an interruption shuts down: fd, once it is
                        connected */
    int protocol;
    uint64_t timeout_ms;
    enum p2p_path_kind path;
    uint64_t shake_rtt_us;         /* of a channel, or from M1 to M2: the whole path */
    struct p2p_id peer;            /* protocol 2 */
    uint32_t info_req;             /* of the INFO? that waits for its answer; 0: none */
    bool has_about;                /* it has answered */
    struct p2p_about about;        /* its claims about itself */
    uint32_t features;             /* likewise */
    struct p2p_identity *identity; /* borrowed */
    struct p2p_addr addr;          /* as requested */
    /* The peer's address: as requested, and as reported by the socket ("" if unknown).
     */
    char asked[P2P_ADDR_TEXT], reached[P2P_ADDR_TEXT];
    struct p2p_direction send, receive;
    struct p2p_session1 *session1; /* protocol 1 */
    bool is_guest; /* of a link: the messages of protocol 2, which the channel seals */
    struct p2p_welcome welcome;
    uint8_t *in; /* received; in_start..in_end is not yet parsed */
    size_t in_cap, in_start, in_end;
    uint8_t *out; /* sealed, not yet sent */
    size_t out_cap, out_used;
    uint32_t last_req;
    bool broken;    /* nothing more may be sent */
    char said[128]; /* text of the other side's last ERROR, escaped */
};

/* ---- conn.c ---- */

/* Room for several records, so that one read brings several of them and few bytes have
 * to be moved. */
#define P2P_CONN_IN2       (4 * P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX))
#define P2P_CONN_IN1       (P2P_FRAME_SIZE(P2P_FRAME1_CHUNK_MAX))
#define P2P_CONN_IN1_FIRST (2 * P2P_MIB)
/* Makes one that is not connected yet; p2p_conn_free. `*out` is set after an error,
 * too, unless there was no memory at all. */
P2P_MUST_CHECK enum p2p_err p2p_conn_new(const struct p2p_conn_options *opt,
                                         struct p2p_conn **out);
/* Without a goodbye. */
void p2p_conn_free(struct p2p_conn *conn);
/* What one attempt to connect reports. */
struct p2p_conn_watcher {
    p2p_conn_on_socket *on_socket;     /* see p2p_conn_open_shown */
    struct p2p_reach_listener calling; /* its function may be NULL */
    void *arg;
};
/* Makes one attempt to connect. As p2p_conn_open_shown, without opt->others. */
P2P_MUST_CHECK enum p2p_err p2p_conn_open_one(const struct p2p_conn_options *opt,
                                              enum p2p_path_kind path,
                                              const struct p2p_conn_watcher *watcher,
                                              struct p2p_conn **out);

/* ---- conn_remember.c ---- */

/* With a peer that is remembered: stores what it says of itself. Of others nothing is
 * written. */
void p2p_conn_keep_claim(struct p2p_conn *conn);

/* ---- conn_records.c ---- */

/* The clock for the age of keys: monotonic, because the time of day may be changed by
 * hours. */
uint64_t p2p_conn_clock_s(void);

/* Sends the claims about this device and asks for those of the peer (INFO?). The answer
 * may come at any time, and receive stores it. A peer that does not know INFO? answers
 * with ERROR, which is ignored. */
P2P_MUST_CHECK enum p2p_err p2p_conn_say_info(struct p2p_conn *conn);
/* The next frame, opened; it borrows the buffer until the next call. A length of 0: a
 * REKEY, and there is nothing to act on. TIMEOUT leaves the connection usable. */
P2P_MUST_CHECK enum p2p_err p2p_conn_read_frame(struct p2p_conn *conn,
                                                uint64_t deadline_ms, uint8_t **plain,
                                                size_t *len);
/* Frames of guests: as p2p_direction_peek, and the end of one that was written behind
 * room for its length. */
P2P_MUST_CHECK enum p2p_err p2p_conn_guest_peek(const uint8_t *data, size_t len,
                                                size_t *size);
void p2p_conn_guest_seal(uint8_t *frame, size_t plain_len);
/* Appends bytes to what flush will send. */
P2P_MUST_CHECK enum p2p_err p2p_conn_append(struct p2p_conn *conn, const void *data,
                                            size_t len);

/* ---- conn_handshake.c, conn_guest.c ---- */

/* Shaking hands. */
P2P_MUST_CHECK enum p2p_err p2p_conn_shake(struct p2p_conn *conn,
                                           const struct p2p_conn_options *opt,
                                           uint64_t deadline_ms);
P2P_MUST_CHECK enum p2p_err p2p_conn_shake1(struct p2p_conn *conn,
                                            const struct p2p_conn_options *opt,
                                            uint64_t deadline_ms);
/* A guest of opt->reach->visit hears the WELCOME, and proves that it knows the
 * PIN. */
P2P_MUST_CHECK enum p2p_err p2p_conn_enter(struct p2p_conn *conn,
                                           const struct p2p_conn_options *opt,
                                           uint64_t deadline_ms);
/* Reads a WELCOME. A text that cannot be shown, or is too long, becomes "". PROTOCOL:
 * it is another message; MALFORMED; UNSUPPORTED: of a later version. */
P2P_MUST_CHECK enum p2p_err p2p_conn_take_welcome(const uint8_t *plain, size_t len,
                                                  struct p2p_welcome *out);

#endif
