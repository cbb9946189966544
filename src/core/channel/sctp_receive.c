/* DATA that arrives, and the acknowledgement of it. */
#include <stdlib.h>
#include <string.h>

#include "core/channel/sctp_internal.h"

enum {
    DCEP_ACK = 2,
    DCEP_OPEN = 3,
    DCEP_OPEN_LEN = 12,
    EARLY_COST = 64,
    READY_MAX = 256 * 1024, /* bytes in the ring */
    FIRST_RTT_US = 100000,
};

/* One chunk of DATA. */
struct data {
    uint32_t tsn;
    uint8_t flags;
    uint16_t stream, ssn;
    uint32_t ppid;
    const uint8_t *bytes;
    size_t len;
};

static size_t
room_of(const struct p2p_sctp *s)
{
    size_t used = s->in.bytes.used + s->in.early_bytes + s->in.ready_bytes;

    return used < s->in.bytes.max ? s->in.bytes.max - used : 0;
}

/* A sender that heard of less than a packet again and again would take us for gone. */
uint32_t
p2p_sctp_own_window(const struct p2p_sctp *s)
{
    size_t room = room_of(s);

    return room >= P2P_SCTP_PACKET_MAX + EARLY_COST ? (uint32_t)room : 0;
}

/* NULL: there is no room, or no memory. */
static struct sctp_early *
copy_chunk(const struct p2p_sctp *s, const struct data *d)
{
    struct sctp_early *e = NULL;

    if (room_of(s) >= d->len + EARLY_COST)
        e = malloc(sizeof(*e) + d->len);
    if (e == NULL)
        return NULL;
    e->next = NULL;
    e->len = (uint16_t)d->len;
    e->flags = d->flags;
    e->stream = d->stream;
    e->ssn = d->ssn;
    e->ppid = d->ppid;
    memcpy(e->bytes, d->bytes, d->len);
    return e;
}

/* ---- what waits for the reader ---- */

/* `kept` is the chunk itself if it is ours already; it is taken. False: no room. */
static bool
put_ready(struct p2p_sctp *s, const struct data *d, struct sctp_early *kept)
{
    struct sctp_receiver *in = &s->in;

    if (in->ready == NULL && in->bytes.used + d->len <= READY_MAX &&
        p2p_ring_put(&in->bytes, d->bytes, d->len)) {
        free(kept);
        return true;
    }
    if (kept == NULL && (kept = copy_chunk(s, d)) == NULL)
        return false;
    if (in->ready == NULL)
        in->ready = kept;
    else
        in->ready_last->next = kept;
    in->ready_last = kept;
    in->ready_bytes += d->len + EARLY_COST;
    return true;
}

void
p2p_sctp_refill(struct p2p_sctp *s)
{
    struct sctp_receiver *in = &s->in;
    struct sctp_early *e;

    while ((e = in->ready) != NULL && in->bytes.used + e->len <= READY_MAX &&
           p2p_ring_put(&in->bytes, e->bytes, e->len)) {
        in->ready = e->next;
        in->ready_bytes -= e->len + EARLY_COST;
        free(e);
    }
}

void
p2p_sctp_clear_ready(struct p2p_sctp *s)
{
    struct sctp_early *e;

    while ((e = s->in.ready) != NULL) {
        s->in.ready = e->next;
        free(e);
    }
    s->in.ready_bytes = 0;
}

/* ---- what it says, in order ---- */

/* The peer opens the channel, or says that ours is open (RFC 8832). */
static void
on_control(struct p2p_sctp *s, const struct data *d)
{
    static const uint8_t ack[] = {DCEP_ACK};

    if ((d->flags & (SCTP_FIRST | SCTP_LAST)) != (SCTP_FIRST | SCTP_LAST)) {
        p2p_sctp_fail(s, P2P_ERR_PROTOCOL);
    } else if (d->len == 1 && d->bytes[0] == DCEP_ACK) {
        return;
    } else if (s->opt.opens || s->knows_stream || d->len < DCEP_OPEN_LEN ||
               d->bytes[0] != DCEP_OPEN || d->bytes[1] != 0 || d->stream != 0) {
        p2p_sctp_fail(s, P2P_ERR_PROTOCOL);
    } else if (!p2p_sctp_send_control(s, ack, sizeof(ack))) {
        p2p_sctp_fail(s, P2P_ERR_NOMEM);
    } else {
        s->is_open = s->knows_stream = true;
    }
}

/* Messages follow each other; nothing between them is missing. */
static bool
fits_message(struct sctp_receiver *in, const struct data *d)
{
    bool is_first = (d->flags & SCTP_FIRST) != 0;

    if (is_first == in->in_message || d->stream != 0)
        return false;
    if ((d->flags & SCTP_UNORDERED) == 0 && d->ssn != in->ssn)
        return false;
    in->message_len = is_first ? d->len : in->message_len + d->len;
    in->in_message = (d->flags & SCTP_LAST) == 0;
    if (!in->in_message && (d->flags & SCTP_UNORDERED) == 0)
        in->ssn++;
    return in->message_len <= SCTP_MESSAGE_MAX;
}

/* `kept` is the chunk itself if it is ours already; it is taken, and there is room for
 * it. False: there is no room, and it is as if it had not come. */
static bool
deliver(struct p2p_sctp *s, const struct data *d, struct sctp_early *kept)
{
    bool is_bytes = d->ppid == SCTP_PPID_BYTES || d->ppid == SCTP_PPID_TEXT;
    bool is_read = is_bytes && !s->wants_close;

    if (is_read && !put_ready(s, d, kept))
        return false;
    /* Nobody reads any longer: as TCP does, tell a sender that does not hear of the end
     * otherwise, since it still sends. */
    if (is_bytes && s->wants_close && p2p_sctp_all_is_acked(s))
        p2p_sctp_fail(s, P2P_ERR_CANCELLED);
    else if (!fits_message(&s->in, d) || (is_bytes && !s->knows_stream))
        p2p_sctp_fail(s, P2P_ERR_PROTOCOL);
    else if (d->ppid == SCTP_PPID_CONTROL)
        on_control(s, d);
    s->in.last_tsn = d->tsn;
    if (!is_read)
        free(kept);
    return true;
}

/* ---- what came too early ---- */

static struct sctp_early **
place_of(struct sctp_receiver *in, uint32_t tsn)
{
    return &in->early[tsn % SCTP_WINDOW];
}

static void
keep_early(struct p2p_sctp *s, const struct data *d)
{
    struct sctp_receiver *in = &s->in;
    struct sctp_early **place;

    if (in->early == NULL &&
        (in->early = calloc(SCTP_WINDOW, sizeof(*in->early))) == NULL)
        return;
    place = place_of(in, d->tsn);
    if (*place != NULL || (*place = copy_chunk(s, d)) == NULL)
        return;
    in->early_bytes += d->len + EARLY_COST;
    if (p2p_tsn_before(in->highest, d->tsn))
        in->highest = d->tsn;
}

/* Those that are no longer early. */
static void
deliver_early(struct p2p_sctp *s)
{
    struct sctp_receiver *in = &s->in;

    while (in->early_bytes > 0 && s->state != SCTP_CLOSED) {
        uint32_t tsn = in->last_tsn + 1;
        struct sctp_early **place = place_of(in, tsn), *e = *place;

        if (e == NULL)
            return;
        struct data d = {tsn, e->flags, e->stream, e->ssn, e->ppid, e->bytes, e->len};
        in->early_bytes -= d.len + EARLY_COST;
        *place = NULL;
        if (!deliver(s, &d, e))
            free(e); /* cannot be: it had its room */
    }
}

void
p2p_sctp_clear_receiver(struct p2p_sctp *s)
{
    for (size_t i = 0; s->in.early != NULL && i < SCTP_WINDOW; i++)
        free(s->in.early[i]);
    free(s->in.early);
    s->in.early = NULL;
    p2p_sctp_clear_ready(s);
}

/* The buffer holds four times what arrives in a round trip: as much again comes while a
 * lost packet is sent a second time, and a sender that is still looking for its rate
 * doubles it each time. */
static void
adapt_buffer(struct p2p_sctp *s, size_t len, uint64_t now_us)
{
    struct sctp_receiver *in = &s->in;
    uint64_t rtt_us = s->pace.srtt_us > 0 ? s->pace.srtt_us : FIRST_RTT_US;

    in->round_bytes += len;
    if (now_us - in->round_us < rtt_us)
        return;
    while (in->bytes.max < 4 * in->round_bytes &&
           p2p_sctp_grow_buffer(s, &in->bytes, s->opt.receive_max))
        continue;
    in->round_us = now_us;
    in->round_bytes = 0;
}

void
p2p_sctp_on_data(struct p2p_sctp *s, uint8_t flags, struct p2p_rd *value,
                 uint64_t now_us)
{
    struct data d = {.tsn = p2p_rd_get_u32(value), .flags = flags};

    d.stream = p2p_rd_get_u16(value);
    d.ssn = p2p_rd_get_u16(value);
    d.ppid = p2p_rd_get_u32(value);
    d.len = value->left;
    if (value->failed || d.len == 0 || s->state < SCTP_ESTABLISHED)
        return;
    d.bytes = p2p_rd_get_ref(value, d.len);
    s->in.sack_is_due = true;
    adapt_buffer(s, d.len, now_us);
    if (!p2p_tsn_before(s->in.last_tsn, d.tsn) ||
        d.tsn - s->in.last_tsn > SCTP_WINDOW - 1)
        return;
    if (d.tsn != s->in.last_tsn + 1) {
        keep_early(s, &d);
        return;
    }
    if (!deliver(s, &d, NULL))
        return;
    if (p2p_tsn_before(s->in.highest, d.tsn))
        s->in.highest = d.tsn;
    if (s->in.early_bytes > 0) {
        /* The same chunk may have been kept when there was no room to deliver it. */
        struct sctp_early **place = place_of(&s->in, d.tsn);

        if (*place != NULL)
            s->in.early_bytes -= (*place)->len + EARLY_COST;
        free(*place);
        *place = NULL;
    }
    deliver_early(s);
}

/* ---- SACK ---- */

/* Writes the gap blocks: the chunks that have arrived behind missing ones. As many as
 * fit. */
static uint16_t
put_gaps(struct sctp_receiver *in, struct p2p_wr *wr)
{
    uint32_t span = in->highest - in->last_tsn, at = 1;
    uint16_t blocks = 0;

    if (in->early_bytes == 0)
        return 0;
    while (at <= span && wr->used + 4 <= wr->cap) {
        uint32_t from;

        while (at <= span && *place_of(in, in->last_tsn + at) == NULL)
            at++;
        for (from = at; at <= span && *place_of(in, in->last_tsn + at) != NULL;)
            at++;
        if (at == from)
            break;
        p2p_wr_put_u16(wr, (uint16_t)from);
        p2p_wr_put_u16(wr, (uint16_t)(at - 1));
        blocks++;
    }
    return blocks;
}

void
p2p_sctp_put_sack(struct p2p_sctp *s, struct p2p_wr *wr)
{
    size_t at = p2p_sctp_begin_chunk(wr, SCTP_SACK, 0);
    uint16_t blocks;

    s->in.told_window = p2p_sctp_own_window(s);
    s->in.sack_is_due = false;
    p2p_wr_put_u32(wr, s->in.last_tsn);
    p2p_wr_put_u32(wr, s->in.told_window);
    size_t count_at = wr->used;
    p2p_wr_put_u32(wr, 0); /* gaps, duplicates */
    blocks = put_gaps(&s->in, wr);
    wr->buf[count_at] = (uint8_t)(blocks >> 8);
    wr->buf[count_at + 1] = (uint8_t)blocks;
    p2p_sctp_end_chunk(wr, at);
}
