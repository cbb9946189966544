/* sctp_internal - the parts of an association: sctp.c (packets, timers), sctp_setup.c
 * (beginning and end), sctp_send.c (DATA out, SACK in), sctp_receive.c (DATA in, SACK
 * out). Internal to this room. */
#ifndef P2P_CHANNEL_SCTP_INTERNAL_H
#define P2P_CHANNEL_SCTP_INTERNAL_H

#include "core/channel/pace.h"
#include "core/channel/ring.h"
#include "core/channel/sctp.h"
#include "p2p/bytes.h"

enum {
    SCTP_HEADER_LEN = 12,
    SCTP_CHUNK_HEAD = 4,
    SCTP_DATA_HEAD = 16,
    SCTP_PORT = 5000,
    SCTP_STREAMS = 16,
    SCTP_COOKIE_LEN = 16, /* of ours */
    SCTP_COOKIE_MAX = 512,
    /* Of a heartbeat that is answered: what a packet has room for. */
    SCTP_INFO_MAX = P2P_SCTP_PACKET_MAX - SCTP_HEADER_LEN - SCTP_CHUNK_HEAD,
    SCTP_WINDOW = 8192, /* TSNs that may be in flight */
    SCTP_MESSAGE_MAX = 256 * 1024,
    SCTP_TRIES_MAX = 10,
    SCTP_END_TRIES = 4,
};

enum sctp_chunk_type {
    SCTP_DATA = 0,
    SCTP_INIT = 1,
    SCTP_INIT_ACK = 2,
    SCTP_SACK = 3,
    SCTP_HEARTBEAT = 4,
    SCTP_HEARTBEAT_ACK = 5,
    SCTP_ABORT = 6,
    SCTP_SHUTDOWN = 7,
    SCTP_SHUTDOWN_ACK = 8,
    SCTP_ERROR = 9,
    SCTP_COOKIE_ECHO = 10,
    SCTP_COOKIE_ACK = 11,
    SCTP_SHUTDOWN_COMPLETE = 14,
    SCTP_RE_CONFIG = 130,
};

/* Flags of DATA: the last and the first piece of a message; not ordered. */
enum { SCTP_LAST = 1, SCTP_FIRST = 2, SCTP_UNORDERED = 4 };

/* What a message is (RFC 8831, section 8). */
enum {
    SCTP_PPID_CONTROL = 50,
    SCTP_PPID_TEXT = 51,
    SCTP_PPID_BYTES = 53,
    SCTP_PPID_TEXT_EMPTY = 56,
    SCTP_PPID_BYTES_EMPTY = 57,
};

enum sctp_state {
    SCTP_COOKIE_WAIT, /* INIT was or will be sent */
    SCTP_COOKIE_ECHOED,
    SCTP_ESTABLISHED,
    SCTP_SHUTDOWN_SENT,
    SCTP_SHUTDOWN_ACK_SENT,
    SCTP_CLOSED,
};

/* One chunk of DATA that was sent. Its TSN is its place in the queue. */
enum sent_state { SENT_IN_FLIGHT, SENT_LOST, SENT_ACKED };
struct sctp_sent {
    uint64_t sent_us;
    uint64_t offset; /* position of its bytes in all bytes that were ever sent */
    struct p2p_pace_stamp stamp;
    uint32_t acked_to; /* if it is acknowledged: all chunks up to this one are
                          acknowledged, too */
    uint16_t len;
    uint16_t ssn;
    uint8_t flags;
    uint8_t state; /* enum sent_state */
    bool is_control;
    bool is_repeated;
};

struct sctp_sender {
    struct p2p_ring bytes; /* all bytes from the oldest one that is not acknowledged */
    uint64_t acked_offset; /* of the first byte in the ring */
    uint64_t next_offset;  /* of the first byte that was never sent */
    uint64_t control_end;  /* bytes before this offset are a control message */
    struct sctp_sent *sent;
    size_t sent_cap; /* a power of two */
    uint32_t first_tsn, next_tsn;
    size_t message_left; /* bytes until the message that is being sent is full */
    uint16_t ssn;
    uint64_t peer_window;
    size_t lost;        /* chunks that wait to be sent again */
    uint32_t lost_from; /* none is lost before this one */
    uint64_t newest_us; /* when the newest chunk that was acknowledged was sent */
    uint64_t timer_us;  /* 0: off */
    unsigned tries;     /* timer ran out so many times */
    uint64_t rttvar_us;
    uint64_t packets, packets_lost;
    size_t in_flight; /* chunks */
};

/* A chunk that arrived before one that is missing; and then, while the reader has
 * enough, one that waits in order. */
struct sctp_early {
    struct sctp_early *next; /* of those that wait for the reader */
    uint16_t len;
    uint8_t flags;
    uint16_t stream, ssn;
    uint32_t ppid;
    uint8_t bytes[];
};

struct sctp_receiver {
    struct p2p_ring bytes;
    uint32_t last_tsn;         /* all chunks up to this one have arrived */
    uint32_t highest;          /* the newest that is here */
    struct sctp_early **early; /* SCTP_WINDOW of them, by TSN; made when needed */
    size_t early_bytes;
    /* Behind `bytes`, which is kept short: so nothing is held twice. */
    struct sctp_early *ready, *ready_last;
    size_t ready_bytes;
    uint64_t round_us;  /* a round trip began */
    size_t round_bytes; /* that have arrived since */
    bool sack_is_due;
    uint32_t told_window;
    /* the message that is being read */
    bool in_message;
    size_t message_len;
    uint16_t ssn;
    uint16_t stream;
};

struct p2p_sctp {
    enum sctp_state state;
    enum p2p_err error;
    struct p2p_sctp_options opt;
    uint32_t own_tag, peer_tag; /* peer_tag 0: unknown */
    uint32_t own_tsn, peer_tsn; /* the first ones */
    uint8_t cookie[SCTP_COOKIE_LEN];
    uint8_t peer_cookie[SCTP_COOKIE_MAX];
    size_t peer_cookie_len;
    bool is_open;        /* the channel: bytes may be written */
    bool knows_stream;   /* the peer's OPEN has come */
    bool wants_close;    /* p2p_sctp_close */
    bool peer_has_ended; /* its SHUTDOWN or a reset of its stream has come */
    bool told_first_rtt;
    /* chunks that are due */
    bool init_is_due, init_ack_is_due, cookie_is_due, cookie_ack_is_due;
    bool shutdown_is_due, shutdown_ack_is_due, complete_is_due, abort_is_due;
    uint8_t heartbeat_info[SCTP_INFO_MAX];
    size_t heartbeat_info_len; /* 0: no answer is due */
    uint32_t reset_number;
    bool reset_is_due;
    /* our own reset of the stream, before the end */
    bool peer_resets; /* it knows RE-CONFIG */
    enum sctp_reset { RESET_NOT_SENT, RESET_SENT, RESET_OVER } reset;
    bool own_reset_is_due;
    /* setup and end: one timer */
    uint64_t timer_us, timer_span_us, timer_set_us;
    unsigned tries;
    /* how long packets may be */
    size_t packet_max;
    uint64_t probe_us; /* 0: none */
    unsigned probes;
    struct p2p_pace pace;
    struct sctp_sender out;
    struct sctp_receiver in;
};

/* ---- sctp.c ---- */

/* Ends the association with this error, unless it has ended; the peer is told by an
 * ABORT, unless it was the one that ended it. */
void p2p_sctp_fail(struct p2p_sctp *s, enum p2p_err err);
/* Doubles what a buffer may hold. False: it is at `max`, or the budget is used up. */
bool p2p_sctp_grow_buffer(struct p2p_sctp *s, struct p2p_ring *ring, size_t max);
/* Writes the head of a chunk, to be closed when its value is written. */
size_t p2p_sctp_begin_chunk(struct p2p_wr *wr, enum sctp_chunk_type type,
                            uint8_t flags);
/* Fills in the length, and fills up to a multiple of four. */
void p2p_sctp_end_chunk(struct p2p_wr *wr, size_t at);

/* ---- sctp_setup.c ---- */

/* INIT and INIT ACK: learns the peer's tag and first TSN, and answers. Later ones that
 * say something else are dropped. */
void p2p_sctp_on_init(struct p2p_sctp *s, struct p2p_rd *value, bool is_ack,
                      uint64_t now_us);
/* COOKIE ECHO: establishes the association if the cookie is ours. */
void p2p_sctp_on_cookie_echo(struct p2p_sctp *s, struct p2p_rd *value, uint64_t now_us);
/* COOKIE ACK, or DATA that shows that the cookie has arrived: establishes it, too. */
void p2p_sctp_on_cookie_ack(struct p2p_sctp *s, uint64_t now_us);
/* SHUTDOWN: the peer writes nothing more, and has received all up to the TSN in it. */
void p2p_sctp_on_shutdown(struct p2p_sctp *s, struct p2p_rd *value, uint64_t now_us);
/* SHUTDOWN ACK: the end, if we have asked for it. */
void p2p_sctp_on_shutdown_ack(struct p2p_sctp *s);
/* RE-CONFIG: a reset of the stream is the end of what the peer writes, and is answered;
 * a response says what became of ours. */
void p2p_sctp_on_re_config(struct p2p_sctp *s, struct p2p_rd *value);
/* Writes a chunk of the beginning or the end that is due. False: none. */
bool p2p_sctp_put_setup(struct p2p_sctp *s, struct p2p_wr *wr, uint32_t *tag,
                        uint64_t now_us);
/* When the timer of beginning and end has run out; and the end, once all is sent. */
void p2p_sctp_check_setup(struct p2p_sctp *s, uint64_t now_us);
/* Starts the timer of beginning and end with its first span. */
void p2p_sctp_start_timer(struct p2p_sctp *s, uint64_t now_us);

/* ---- sctp_send.c ---- */

/* SACK: what has arrived, what is lost by now, and how much the peer has room for. */
void p2p_sctp_on_sack(struct p2p_sctp *s, struct p2p_rd *value, uint64_t now_us);
/* All up to this TSN have arrived. */
void p2p_sctp_on_cumulative(struct p2p_sctp *s, uint32_t tsn, uint64_t now_us);
/* Writes one chunk of DATA, lost ones first, if rate and window allow it now. False:
 * none. */
bool p2p_sctp_put_data(struct p2p_sctp *s, struct p2p_wr *wr, uint64_t now_us);
/* Takes chunks for lost whose timer has run out; too many times in a row end it. */
void p2p_sctp_check_sender(struct p2p_sctp *s, uint64_t now_us);
/* When p2p_sctp_put_data or p2p_sctp_check_sender has something to do; UINT64_MAX:
 * never. */
uint64_t p2p_sctp_sender_due_us(const struct p2p_sctp *s, uint64_t now_us);
/* Puts a control message (RFC 8832) before all bytes. */
bool p2p_sctp_send_control(struct p2p_sctp *s, const uint8_t *message, size_t len);
/* True if everything that was written has arrived. */
bool p2p_sctp_all_is_acked(const struct p2p_sctp *s);

/* ---- sctp_receive.c ---- */

/* DATA: delivers it, or keeps it until what is missing before it has come. */
void p2p_sctp_on_data(struct p2p_sctp *s, uint8_t flags, struct p2p_rd *value,
                      uint64_t now_us);
/* Writes a SACK with as many gap blocks as fit into the packet. */
void p2p_sctp_put_sack(struct p2p_sctp *s, struct p2p_wr *wr);
/* The reader has taken something: what waits behind it gets its place. */
void p2p_sctp_refill(struct p2p_sctp *s);
/* Frees what waits for the reader, but for the ring. */
void p2p_sctp_clear_ready(struct p2p_sctp *s);
/* Frees the chunks that came too early, and those that wait for the reader. */
void p2p_sctp_clear_receiver(struct p2p_sctp *s);
/* How many bytes the peer may send now. */
uint32_t p2p_sctp_own_window(const struct p2p_sctp *s);

/* True if `a` comes before `b`, across the end of the 32 bits. */
static inline bool
p2p_tsn_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

#endif
