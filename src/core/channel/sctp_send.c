/*
 * DATA that is sent, and what SACK says about it. A packet holds one chunk. A chunk is
 * lost when one that was sent a quarter of a round trip later has arrived (after RACK,
 * RFC 8985); the last ones, behind which nothing was sent, are found by a timer of two
 * round trips, and then by one that doubles.
 */
#include <stdlib.h>
#include <string.h>

#include "core/channel/sctp_internal.h"

enum {
    MESSAGE_LEN = 64 * 1024, /* browsers take this as one event */
    FIRST_CAP = 256,
    RTO_MIN_US = 200000,
    RTO_MAX_US = 5000000,
    RTO_FIRST_US = 500000,
};

static struct sctp_sent *
sent_at(const struct sctp_sender *out, uint32_t tsn)
{
    return &out->sent[tsn & (out->sent_cap - 1)];
}

static uint32_t
outstanding(const struct sctp_sender *out)
{
    return out->next_tsn - out->first_tsn;
}

bool
p2p_sctp_all_is_acked(const struct p2p_sctp *s)
{
    return s->out.bytes.used == 0;
}

static uint64_t
unsent(const struct sctp_sender *out)
{
    return out->acked_offset + out->bytes.used - out->next_offset;
}

bool
p2p_sctp_send_control(struct p2p_sctp *s, const uint8_t *message, size_t len)
{
    if (s->out.bytes.used > 0 || !p2p_ring_put(&s->out.bytes, message, len))
        return false;
    s->out.control_end = s->out.next_offset + len;
    return true;
}

/* ---- timers ---- */

static uint64_t
timeout_us(const struct p2p_sctp *s)
{
    uint64_t us = s->pace.srtt_us;

    if (us == 0)
        us = RTO_FIRST_US;
    else if (s->out.tries == 0)
        us = 2 * us; /* a probe: one packet */
    else
        us += 4 * s->out.rttvar_us;
    if (us < RTO_MIN_US)
        us = RTO_MIN_US;
    for (unsigned i = 1; i < s->out.tries && us < RTO_MAX_US; i++)
        us *= 2;
    return us < RTO_MAX_US ? us : RTO_MAX_US;
}

static void
restart_timer(struct p2p_sctp *s, uint64_t now_us)
{
    s->out.timer_us = outstanding(&s->out) > 0 ? now_us + timeout_us(s) : 0;
}

static void
mark_lost(struct p2p_sctp *s, uint32_t tsn)
{
    struct sctp_sent *c = sent_at(&s->out, tsn);

    c->state = SENT_LOST;
    s->out.in_flight--;
    s->out.packets_lost++;
    if (s->out.lost++ == 0 || p2p_tsn_before(tsn, s->out.lost_from))
        s->out.lost_from = tsn;
    p2p_pace_on_lost(&s->pace, c->len);
}

/* The first time only the oldest chunk is sent again: its acknowledgement shows what
 * else is missing. Then all of them. */
static void
on_timeout(struct p2p_sctp *s, uint64_t now_us)
{
    struct sctp_sender *out = &s->out;

    if (++out->tries > SCTP_TRIES_MAX) {
        p2p_sctp_fail(s, P2P_ERR_TIMEOUT);
        return;
    }
    for (uint32_t tsn = out->first_tsn; tsn != out->next_tsn; tsn++) {
        if (sent_at(out, tsn)->state == SENT_IN_FLIGHT)
            mark_lost(s, tsn);
        if (out->tries == 1)
            break;
    }
    restart_timer(s, now_us);
}

void
p2p_sctp_check_sender(struct p2p_sctp *s, uint64_t now_us)
{
    if (s->state == SCTP_ESTABLISHED && s->out.timer_us != 0 &&
        now_us >= s->out.timer_us)
        on_timeout(s, now_us);
}

/* ---- SACK ---- */

static void
take_rtt(struct p2p_sctp *s, uint64_t rtt_us, uint64_t now_us)
{
    uint64_t srtt = s->pace.srtt_us;
    uint64_t off = rtt_us > srtt ? rtt_us - srtt : srtt - rtt_us;

    s->out.rttvar_us =
        s->out.rttvar_us == 0 ? rtt_us / 2 : (3 * s->out.rttvar_us + off) / 4;
    p2p_pace_on_rtt(&s->pace, rtt_us, now_us);
}

/* A chunk has arrived. The time of one that was sent twice tells nothing if the answer
 * came sooner than any answer did: it was for the first one. */
static void
on_acked(struct p2p_sctp *s, uint32_t tsn, uint64_t now_us, uint64_t *rtt_us)
{
    struct sctp_sender *out = &s->out;
    struct sctp_sent *c = sent_at(out, tsn);
    uint64_t took = now_us - c->sent_us;

    if (c->state == SENT_LOST)
        out->lost--;
    else
        out->in_flight--;
    if (c->state == SENT_IN_FLIGHT && !(c->is_repeated && took < s->pace.min_rtt_us)) {
        if (c->sent_us > out->newest_us)
            out->newest_us = c->sent_us;
        if (!c->is_repeated && took < *rtt_us)
            *rtt_us = took;
    }
    p2p_pace_on_acked(&s->pace, c->state == SENT_LOST ? 0 : c->len, c->sent_us,
                      &c->stamp, now_us);
    c->state = SENT_ACKED;
    c->acked_to = tsn;
}

/* Everything up to here has arrived: its bytes are not needed any longer. */
static bool
advance(struct p2p_sctp *s, uint32_t cumulative, uint64_t now_us, uint64_t *rtt_us)
{
    struct sctp_sender *out = &s->out;
    bool has_advanced = false;

    for (; !p2p_tsn_before(cumulative, out->first_tsn); out->first_tsn++) {
        struct sctp_sent *c = sent_at(out, out->first_tsn);

        if (c->state != SENT_ACKED)
            on_acked(s, out->first_tsn, now_us, rtt_us);
        p2p_ring_drop(&out->bytes, c->len);
        out->acked_offset += c->len;
        has_advanced = true;
    }
    if (p2p_tsn_before(out->lost_from, out->first_tsn))
        out->lost_from = out->first_tsn;
    return has_advanced;
}

/* One block. Most of it is known from the acknowledgement before: the first chunk of a
 * run remembers how far the run goes, and only what is new is walked over. */
static void
take_block(struct p2p_sctp *s, uint32_t from, uint32_t to, uint64_t now_us,
           uint64_t *rtt_us)
{
    for (uint32_t tsn = from; !p2p_tsn_before(to, tsn); tsn++) {
        const struct sctp_sent *c = sent_at(&s->out, tsn);

        if (c->state == SENT_ACKED)
            tsn = c->acked_to;
        else
            on_acked(s, tsn, now_us, rtt_us);
    }
    if (p2p_tsn_before(sent_at(&s->out, from)->acked_to, to))
        sent_at(&s->out, from)->acked_to = to;
}

/* Marks what the gap blocks name; nothing beyond what was sent. */
static void
take_gaps(struct p2p_sctp *s, struct p2p_rd *rd, size_t count, uint32_t cumulative,
          uint64_t now_us, uint64_t *rtt_us)
{
    struct sctp_sender *out = &s->out;

    for (; count > 0; count--) {
        uint16_t from = p2p_rd_get_u16(rd), to = p2p_rd_get_u16(rd);

        if (rd->failed || from < 2 || to < from || to > out->next_tsn - 1 - cumulative)
            return;
        take_block(s, cumulative + from, cumulative + to, now_us, rtt_us);
    }
}

static void
find_lost(struct p2p_sctp *s)
{
    struct sctp_sender *out = &s->out;
    uint64_t patience = s->pace.min_rtt_us / 4;

    for (uint32_t tsn = out->first_tsn; p2p_tsn_before(tsn, out->next_tsn); tsn++) {
        struct sctp_sent *c = sent_at(out, tsn);

        if (c->state == SENT_ACKED) {
            tsn = c->acked_to;
            continue;
        }
        bool is_late = c->sent_us + patience < out->newest_us;

        if (c->state == SENT_IN_FLIGHT && is_late)
            mark_lost(s, tsn);
        if (!is_late && !c->is_repeated)
            return; /* all behind it were sent later */
    }
}

/* Twice the window: what arrives behind a lost packet stays here until that one has
 * arrived, too. */
static void
adapt_buffer(struct p2p_sctp *s)
{
    while (s->out.bytes.max < 2 * p2p_pace_window(&s->pace) &&
           p2p_sctp_grow_buffer(s, &s->out.bytes, s->opt.send_max))
        continue;
}

static void
end_ack(struct p2p_sctp *s, bool has_advanced, uint64_t rtt_us, uint64_t now_us)
{
    if (rtt_us != UINT64_MAX)
        take_rtt(s, rtt_us, now_us);
    p2p_pace_on_ack_end(&s->pace, now_us);
    adapt_buffer(s);
    if (has_advanced) {
        s->out.tries = 0;
        restart_timer(s, now_us);
    }
}

/* True if the peer can have received this: nothing old, nothing that was never sent. */
static bool
is_possible(const struct p2p_sctp *s, uint32_t cumulative)
{
    const struct sctp_sender *out = &s->out;

    return cumulative - (out->first_tsn - 1) <= outstanding(out);
}

void
p2p_sctp_on_cumulative(struct p2p_sctp *s, uint32_t tsn, uint64_t now_us)
{
    uint64_t rtt_us = UINT64_MAX;

    if (is_possible(s, tsn))
        end_ack(s, advance(s, tsn, now_us, &rtt_us), rtt_us, now_us);
}

void
p2p_sctp_on_sack(struct p2p_sctp *s, struct p2p_rd *value, uint64_t now_us)
{
    struct sctp_sender *out = &s->out;
    uint32_t cumulative = p2p_rd_get_u32(value), window = p2p_rd_get_u32(value);
    uint16_t gaps = p2p_rd_get_u16(value);
    uint64_t rtt_us = UINT64_MAX, delivered = s->pace.delivered;
    bool has_advanced;

    p2p_rd_get_u16(value); /* duplicates: do not matter here */
    if (value->failed || s->state < SCTP_ESTABLISHED || !is_possible(s, cumulative))
        return;
    has_advanced = advance(s, cumulative, now_us, &rtt_us);
    take_gaps(s, value, gaps, cumulative, now_us, &rtt_us);
    /* A peer that has no room is alive. */
    has_advanced = has_advanced || s->pace.delivered != delivered || window == 0;
    out->peer_window = window;
    find_lost(s);
    end_ack(s, has_advanced, rtt_us, now_us);
}

/* ---- DATA ---- */

static void
put_sent(struct p2p_sctp *s, struct p2p_wr *wr, uint32_t tsn)
{
    const struct sctp_sent *c = sent_at(&s->out, tsn);
    size_t at = p2p_sctp_begin_chunk(wr, SCTP_DATA, c->flags);

    p2p_wr_put_u32(wr, tsn);
    p2p_wr_put_u16(wr, 0); /* stream */
    p2p_wr_put_u16(wr, c->ssn);
    p2p_wr_put_u32(wr, c->is_control ? SCTP_PPID_CONTROL : SCTP_PPID_BYTES);
    if (wr->used + c->len > wr->cap) {
        wr->failed = true;
        return;
    }
    p2p_ring_copy(&s->out.bytes, (size_t)(c->offset - s->out.acked_offset),
                  wr->buf + wr->used, c->len);
    wr->used += c->len;
    p2p_sctp_end_chunk(wr, at);
}

static void
note_sent(struct p2p_sctp *s, struct sctp_sent *c, uint64_t now_us)
{
    c->state = SENT_IN_FLIGHT;
    c->sent_us = now_us;
    s->out.in_flight++;
    s->out.packets++;
    p2p_pace_on_sent(&s->pace, c->len, now_us, &c->stamp);
    if (s->out.timer_us == 0)
        restart_timer(s, now_us);
}

static void
send_lost(struct p2p_sctp *s, struct p2p_wr *wr, uint64_t now_us)
{
    struct sctp_sender *out = &s->out;

    while (sent_at(out, out->lost_from)->state != SENT_LOST)
        out->lost_from++;
    struct sctp_sent *c = sent_at(out, out->lost_from);
    out->lost--;
    c->is_repeated = true;
    note_sent(s, c, now_us);
    put_sent(s, wr, out->lost_from++);
}

static bool
make_room(struct sctp_sender *out)
{
    size_t cap = out->sent_cap > 0 ? 2 * out->sent_cap : FIRST_CAP;
    struct sctp_sent *sent;

    if (outstanding(out) < out->sent_cap)
        return true;
    if ((sent = calloc(cap, sizeof(*sent))) == NULL)
        return false;
    for (uint32_t tsn = out->first_tsn; tsn != out->next_tsn; tsn++)
        sent[tsn & (cap - 1)] = *sent_at(out, tsn);
    free(out->sent);
    out->sent = sent;
    out->sent_cap = cap;
    return true;
}

/* A message ends when it is long, and where there is nothing more to send now. */
static void
cut_message(struct sctp_sender *out, struct sctp_sent *c)
{
    if (out->message_left == 0) {
        c->flags |= SCTP_FIRST;
        out->message_left = MESSAGE_LEN;
    }
    c->ssn = out->ssn;
    out->message_left -= c->len;
    if (out->message_left == 0 || unsent(out) == c->len ||
        out->next_offset + c->len == out->control_end) {
        c->flags |= SCTP_LAST;
        out->message_left = 0;
        out->ssn++;
    }
}

static void
send_new(struct p2p_sctp *s, struct p2p_wr *wr, uint64_t now_us)
{
    struct sctp_sender *out = &s->out;
    size_t len = s->packet_max - SCTP_HEADER_LEN - SCTP_DATA_HEAD;
    struct sctp_sent *c = sent_at(out, out->next_tsn);

    if (len > unsent(out))
        len = (size_t)unsent(out);
    if (out->message_left > 0 && len > out->message_left)
        len = out->message_left;
    *c = (struct sctp_sent){.offset = out->next_offset};
    c->is_control = out->next_offset < out->control_end;
    if (c->is_control)
        len = (size_t)(out->control_end - out->next_offset);
    c->len = (uint16_t)len;
    cut_message(out, c);
    out->next_offset += len;
    note_sent(s, c, now_us);
    put_sent(s, wr, out->next_tsn++);
}

/* How much the peer has room for; one packet even without room, to learn when there is
 * room again. */
static bool
peer_has_room(const struct p2p_sctp *s)
{
    return s->out.in_flight == 0 ||
           s->pace.in_flight + s->packet_max <= s->out.peer_window;
}

/* What could go if the rate and the window were endless. */
static bool
has_something(const struct p2p_sctp *s)
{
    const struct sctp_sender *out = &s->out;

    return s->state == SCTP_ESTABLISHED &&
           (out->lost > 0 || (unsent(out) > 0 && outstanding(out) < SCTP_WINDOW - 1 &&
                              peer_has_room(s)));
}

/* The writer is slower than the path. A peer without room or a full buffer is no such
 * case: these are limits of the path, and the search for its rate has to end there. */
static bool
has_nothing(const struct p2p_sctp *s)
{
    const struct p2p_ring *bytes = &s->out.bytes;

    return unsent(&s->out) == 0 && s->out.lost == 0 &&
           bytes->used < bytes->max - bytes->max / 8 && p2p_pace_has_room(&s->pace);
}

bool
p2p_sctp_put_data(struct p2p_sctp *s, struct p2p_wr *wr, uint64_t now_us)
{
    if (!has_something(s)) {
        if (has_nothing(s))
            p2p_pace_on_idle(&s->pace);
        return false;
    }
    if (!p2p_pace_has_room(&s->pace) || p2p_pace_due_us(&s->pace) > now_us)
        return false;
    if (s->out.lost > 0) {
        send_lost(s, wr, now_us);
        return true;
    }
    if (!make_room(&s->out)) {
        p2p_sctp_fail(s, P2P_ERR_NOMEM);
        return false;
    }
    send_new(s, wr, now_us);
    return true;
}

uint64_t
p2p_sctp_sender_due_us(const struct p2p_sctp *s, uint64_t now_us)
{
    uint64_t timer = s->out.timer_us != 0 ? s->out.timer_us : UINT64_MAX;
    uint64_t due = p2p_pace_due_us(&s->pace);

    if (!has_something(s) || !p2p_pace_has_room(&s->pace))
        return timer;
    due = due <= now_us ? now_us : due + P2P_PACE_BATCH_US;
    return due < timer ? due : timer;
}
