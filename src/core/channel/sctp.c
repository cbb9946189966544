/* An association: life, packets in and out, heartbeats. */
#include <stdlib.h>
#include <string.h>

#include "core/channel/crc32.h"
#include "core/channel/sctp_internal.h"
#include "p2p/crypto.h"

enum {
    SEND_MAX = 16 * 1024 * 1024,
    RECEIVE_MAX = 8 * 1024 * 1024,
    BUFFER_FREE = 256 * 1024, /* is not taken from the budget */
    BUFFER_FIRST = 1024 * 1024,
    PROBES_MAX = 3,
    PROBE_US = 500000,
};

/* ---- buffers ---- */

static void
begin_buffer(struct p2p_sctp *s, struct p2p_ring *ring, size_t max)
{
    ring->max = max < BUFFER_FREE ? max : BUFFER_FREE;
    while (ring->max < BUFFER_FIRST && p2p_sctp_grow_buffer(s, ring, max))
        continue;
}

static void
end_buffer(struct p2p_sctp *s, struct p2p_ring *ring)
{
    if (ring->max > BUFFER_FREE)
        p2p_budget_give(s->opt.budget, ring->max - BUFFER_FREE);
    p2p_ring_clear(ring);
}

/* ---- life ---- */

enum p2p_err
p2p_sctp_new(const struct p2p_sctp_options *opt, uint64_t now_us, struct p2p_sctp **out)
{
    struct p2p_sctp *s = calloc(1, sizeof(*s));
    enum p2p_err err;

    *out = NULL;
    if (s == NULL)
        return P2P_ERR_NOMEM;
    if ((err = p2p_random(&s->own_tag, sizeof(s->own_tag))) != P2P_OK ||
        (err = p2p_random(&s->own_tsn, sizeof(s->own_tsn))) != P2P_OK ||
        (err = p2p_random(s->cookie, sizeof(s->cookie))) != P2P_OK) {
        free(s);
        return err;
    }
    s->own_tag |= 1; /* 0 is not a tag */
    s->opt = *opt;
    if (opt->first_tsn != 0)
        s->own_tsn = opt->first_tsn;
    s->out.first_tsn = s->out.next_tsn = s->out.lost_from = s->own_tsn;
    if (s->opt.send_max == 0)
        s->opt.send_max = SEND_MAX;
    if (s->opt.receive_max == 0)
        s->opt.receive_max = RECEIVE_MAX;
    begin_buffer(s, &s->out.bytes, s->opt.send_max);
    begin_buffer(s, &s->in.bytes, s->opt.receive_max);
    s->packet_max = P2P_SCTP_PACKET_FIRST;
    p2p_pace_init(&s->pace, P2P_SCTP_PACKET_FIRST, now_us);
    if (opt->rtt_us > 0)
        p2p_pace_on_rtt(&s->pace, opt->rtt_us, now_us);
    s->init_is_due = true;
    p2p_sctp_start_timer(s, now_us);
    *out = s;
    return P2P_OK;
}

void
p2p_sctp_free(struct p2p_sctp *s)
{
    if (s == NULL)
        return;
    p2p_sctp_clear_receiver(s);
    end_buffer(s, &s->in.bytes);
    end_buffer(s, &s->out.bytes);
    free(s->out.sent);
    free(s);
}

void
p2p_sctp_abort(struct p2p_sctp *s)
{
    p2p_sctp_fail(s, P2P_ERR_CANCELLED);
}

/* ---- packets in ---- */

/* Answers carry the peer's own text back. */
static void
on_heartbeat(struct p2p_sctp *s, struct p2p_rd *value)
{
    if (value->left < 4 || value->left > SCTP_INFO_MAX)
        return;
    s->heartbeat_info_len = value->left;
    p2p_rd_get_bytes(value, s->heartbeat_info, value->left);
}

/* The padded one came through: packets may be that long. */
static void
on_heartbeat_ack(struct p2p_sctp *s, struct p2p_rd *value)
{
    p2p_rd_get_u32(value);
    if (p2p_rd_get_u32(value) != s->own_tag || value->failed)
        return;
    s->packet_max = P2P_SCTP_PACKET_MAX;
    s->pace.packet_bytes = P2P_SCTP_PACKET_MAX;
    s->probe_us = 0;
}

static void
on_chunk(struct p2p_sctp *s, uint8_t type, uint8_t flags, struct p2p_rd *value,
         uint64_t now_us)
{
    switch (type) {
    case SCTP_DATA:
        if (s->state == SCTP_COOKIE_ECHOED)
            p2p_sctp_on_cookie_ack(s, now_us); /* it got lost on the way */
        p2p_sctp_on_data(s, flags, value, now_us);
        break;
    case SCTP_INIT_ACK:
        p2p_sctp_on_init(s, value, true, now_us);
        break;
    case SCTP_SACK:
        p2p_sctp_on_sack(s, value, now_us);
        break;
    case SCTP_HEARTBEAT:
        on_heartbeat(s, value);
        break;
    case SCTP_HEARTBEAT_ACK:
        on_heartbeat_ack(s, value);
        break;
    case SCTP_ABORT:
        p2p_sctp_fail(s, P2P_ERR_CLOSED);
        break;
    case SCTP_SHUTDOWN:
        p2p_sctp_on_shutdown(s, value, now_us);
        break;
    case SCTP_SHUTDOWN_ACK:
        p2p_sctp_on_shutdown_ack(s);
        break;
    case SCTP_COOKIE_ECHO:
        p2p_sctp_on_cookie_echo(s, value, now_us);
        break;
    case SCTP_COOKIE_ACK:
        p2p_sctp_on_cookie_ack(s, now_us);
        break;
    case SCTP_SHUTDOWN_COMPLETE:
        if (s->state == SCTP_SHUTDOWN_ACK_SENT)
            s->state = SCTP_CLOSED;
        break;
    case SCTP_RE_CONFIG:
        p2p_sctp_on_re_config(s, value);
        break;
    default:
        break;
    }
}

/* False: the packet ends here, or the rest is not to be read. */
static bool
next_chunk(struct p2p_sctp *s, struct p2p_rd *rd, uint64_t now_us)
{
    uint8_t type = p2p_rd_get_u8(rd), flags = p2p_rd_get_u8(rd);
    size_t len = p2p_rd_get_u16(rd);
    struct p2p_rd value;
    const uint8_t *bytes;

    if (rd->failed || len < SCTP_CHUNK_HEAD)
        return false;
    bytes = p2p_rd_get_ref(rd, len - SCTP_CHUNK_HEAD);
    if (rd->failed)
        return false;
    /* The last chunk may come without what fills it up. */
    p2p_rd_get_ref(rd, rd->left < (-len & 3) ? rd->left : (-len & 3));
    p2p_rd_init(&value, bytes, len - SCTP_CHUNK_HEAD);
    on_chunk(s, type, flags, &value, now_us);
    /* The two highest bits of an unknown type say what to do; here the first of them
     * matters: stop, or skip it. All types above with a clear bit are known. */
    return s->state != SCTP_CLOSED && (type <= SCTP_SHUTDOWN_COMPLETE || type >= 0x80);
}

static bool
has_right_sum(const uint8_t *data, size_t len)
{
    static const uint8_t zero[4];
    uint32_t sum = p2p_crc32c(0, data, 8);

    sum = p2p_crc32c(sum, zero, sizeof(zero));
    sum = p2p_crc32c(sum, data + SCTP_HEADER_LEN, len - SCTP_HEADER_LEN);
    return sum == __builtin_bswap32(p2p_load_u32(data + 8));
}

/* INIT comes alone and with tag 0, all others with our tag; of ABORT and the last chunk
 * of an end the sender may have lost our tag and use its own. */
static bool
has_right_tag(const struct p2p_sctp *s, uint32_t tag, const uint8_t *chunk)
{
    if (chunk[0] == SCTP_INIT)
        return tag == 0;
    if ((chunk[0] == SCTP_ABORT || chunk[0] == SCTP_SHUTDOWN_COMPLETE) &&
        (chunk[1] & 1) != 0)
        return s->peer_tag != 0 && tag == s->peer_tag;
    return tag == s->own_tag;
}

void
p2p_sctp_input(struct p2p_sctp *s, const uint8_t *data, size_t len, uint64_t now_us)
{
    struct p2p_rd rd;
    uint32_t tag;

    if (s->state == SCTP_CLOSED || len < SCTP_HEADER_LEN + SCTP_CHUNK_HEAD ||
        !has_right_sum(data, len))
        return;
    p2p_rd_init(&rd, data, len);
    if (p2p_rd_get_u16(&rd) != SCTP_PORT || p2p_rd_get_u16(&rd) != SCTP_PORT)
        return;
    tag = p2p_rd_get_u32(&rd);
    p2p_rd_get_u32(&rd);
    if (!has_right_tag(s, tag, rd.at))
        return;
    if (rd.at[0] == SCTP_INIT) {
        size_t chunk = (size_t)(rd.at[2] << 8 | rd.at[3]);

        if (chunk < SCTP_CHUNK_HEAD || chunk > rd.left)
            return;
        p2p_rd_init(&rd, rd.at + SCTP_CHUNK_HEAD, chunk - SCTP_CHUNK_HEAD);
        p2p_sctp_on_init(s, &rd, false, now_us);
        return;
    }
    while (rd.left >= SCTP_CHUNK_HEAD && next_chunk(s, &rd, now_us))
        continue;
}

/* ---- packets out ---- */

static void
put_header(struct p2p_wr *wr, uint32_t tag)
{
    p2p_wr_put_u16(wr, SCTP_PORT);
    p2p_wr_put_u16(wr, SCTP_PORT);
    p2p_wr_put_u32(wr, tag);
    p2p_wr_put_u32(wr, 0);
}

static void
put_heartbeat_ack(struct p2p_sctp *s, struct p2p_wr *wr)
{
    size_t at = p2p_sctp_begin_chunk(wr, SCTP_HEARTBEAT_ACK, 0);

    p2p_wr_put_bytes(wr, s->heartbeat_info, s->heartbeat_info_len);
    p2p_sctp_end_chunk(wr, at);
    s->heartbeat_info_len = 0;
}

/* A heartbeat whose information makes the packet as long as we want packets to be. It
 * comes back as long as it went. A chunk PAD (RFC 4820) would do without that, but some
 * implementations end when they see one. */
static void
put_probe(struct p2p_sctp *s, struct p2p_wr *wr, uint64_t now_us)
{
    static const uint8_t zero[P2P_SCTP_PACKET_MAX];
    size_t at = p2p_sctp_begin_chunk(wr, SCTP_HEARTBEAT, 0);
    size_t left = wr->cap - wr->used;

    p2p_wr_put_u16(wr, 1); /* Heartbeat Info */
    p2p_wr_put_u16(wr, (uint16_t)left);
    p2p_wr_put_u32(wr, s->own_tag);
    p2p_wr_put_bytes(wr, zero, wr->cap - wr->used);
    p2p_sctp_end_chunk(wr, at);
    s->probes++;
    s->probe_us = s->probes < PROBES_MAX ? now_us + PROBE_US : 0;
}

/* Writes the chunk that is due first. False: nothing is due. */
static bool
put_chunk(struct p2p_sctp *s, struct p2p_wr *wr, uint32_t *tag, uint64_t now_us)
{
    if (p2p_sctp_put_setup(s, wr, tag, now_us))
        return true;
    if (s->state < SCTP_ESTABLISHED || s->state == SCTP_CLOSED)
        return false;
    if (s->heartbeat_info_len > 0) {
        wr->cap = P2P_SCTP_PACKET_MAX;
        put_heartbeat_ack(s, wr);
        return true;
    }
    if (s->in.sack_is_due) {
        p2p_sctp_put_sack(s, wr);
        return true;
    }
    if (s->probe_us != 0 && s->probe_us <= now_us) {
        wr->cap = P2P_SCTP_PACKET_MAX;
        put_probe(s, wr, now_us);
        return true;
    }
    return p2p_sctp_put_data(s, wr, now_us);
}

static size_t
seal(struct p2p_wr *wr, uint32_t tag)
{
    size_t len;

    if (p2p_wr_end(wr, &len) != P2P_OK)
        return 0;
    p2p_store_u32(wr->buf + 4, tag);
    p2p_store_u32(wr->buf + 8, __builtin_bswap32(p2p_crc32c(0, wr->buf, len)));
    return len;
}

size_t
p2p_sctp_output(struct p2p_sctp *s, uint64_t now_us, uint8_t out[P2P_SCTP_PACKET_MAX])
{
    uint32_t tag = s->peer_tag;
    struct p2p_wr wr;

    p2p_sctp_check_setup(s, now_us);
    p2p_sctp_check_sender(s, now_us);
    p2p_wr_init(&wr, out, s->packet_max);
    put_header(&wr, 0);
    return put_chunk(s, &wr, &tag, now_us) ? seal(&wr, tag) : 0;
}

static uint64_t
sooner(uint64_t due, uint64_t timer)
{
    return timer != 0 && timer < due ? timer : due;
}

static bool
has_chunk_due(const struct p2p_sctp *s)
{
    if (s->abort_is_due || s->complete_is_due)
        return true;
    return s->state != SCTP_CLOSED &&
           (s->init_is_due || s->init_ack_is_due || s->cookie_is_due ||
            s->cookie_ack_is_due || s->shutdown_is_due || s->shutdown_ack_is_due ||
            s->reset_is_due || s->own_reset_is_due ||
            (s->state >= SCTP_ESTABLISHED &&
             (s->heartbeat_info_len > 0 || s->in.sack_is_due)));
}

uint64_t
p2p_sctp_due_us(const struct p2p_sctp *s, uint64_t now_us)
{
    uint64_t due = UINT64_MAX;

    if (has_chunk_due(s))
        return now_us;
    if (s->state == SCTP_CLOSED)
        return UINT64_MAX;
    if (s->state == SCTP_ESTABLISHED && (s->wants_close || s->peer_has_ended) &&
        p2p_sctp_all_is_acked(s) && (s->peer_has_ended || s->reset != RESET_SENT))
        return now_us;
    due = sooner(due, s->timer_us);
    due = sooner(due, s->probe_us);
    return sooner(due, p2p_sctp_sender_due_us(s, now_us));
}

/* ---- above ---- */

bool
p2p_sctp_is_open(const struct p2p_sctp *s)
{
    return s->is_open && s->state == SCTP_ESTABLISHED && !s->wants_close &&
           !s->peer_has_ended;
}

size_t
p2p_sctp_room(const struct p2p_sctp *s)
{
    return p2p_sctp_is_open(s) ? s->out.bytes.max - s->out.bytes.used : 0;
}

size_t
p2p_sctp_write(struct p2p_sctp *s, const void *data, size_t len)
{
    size_t room = p2p_sctp_room(s);
    size_t taken = len < room ? len : room;

    return p2p_ring_put(&s->out.bytes, data, taken) ? taken : 0;
}

const uint8_t *
p2p_sctp_peek(const struct p2p_sctp *s, size_t *len)
{
    return p2p_ring_front(&s->in.bytes, len);
}

void
p2p_sctp_drop(struct p2p_sctp *s, size_t len)
{
    p2p_ring_drop(&s->in.bytes, len);
    p2p_sctp_refill(s);
    /* A sender that has stopped hears that there is room again. */
    if (s->in.told_window < s->in.bytes.max / 4 &&
        p2p_sctp_own_window(s) >= s->in.bytes.max / 2)
        s->in.sack_is_due = true;
}

void
p2p_sctp_close(struct p2p_sctp *s)
{
    s->wants_close = true;
    p2p_ring_clear(&s->in.bytes);
    p2p_sctp_clear_ready(s);
    if (s->state < SCTP_ESTABLISHED)
        p2p_sctp_fail(s, P2P_ERR_CANCELLED);
}

bool
p2p_sctp_is_ended(const struct p2p_sctp *s)
{
    return s->peer_has_ended || s->state == SCTP_CLOSED;
}

bool
p2p_sctp_is_closed(const struct p2p_sctp *s)
{
    return s->state == SCTP_CLOSED && !s->abort_is_due && !s->complete_is_due;
}

enum p2p_err
p2p_sctp_error(const struct p2p_sctp *s)
{
    return s->error;
}

struct p2p_sctp_status
p2p_sctp_status(const struct p2p_sctp *s)
{
    return (struct p2p_sctp_status){
        .rtt_us = s->pace.srtt_us,
        .rate = p2p_pace_rate(&s->pace),
        .sent_packets = s->out.packets,
        .lost_packets = s->out.packets_lost,
        .packet_max = s->packet_max,
        .memory = s->out.bytes.cap + s->in.bytes.cap + s->in.early_bytes +
                  s->in.ready_bytes + s->out.sent_cap * sizeof(*s->out.sent) +
                  (s->in.early != NULL ? SCTP_WINDOW * sizeof(*s->in.early) : 0),
    };
}
