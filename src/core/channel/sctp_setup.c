/*
 * The beginning: INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, from both sides at once (RFC
 * 9260, section 5). The association exists before the first packet, and only the peer
 * behind DTLS can send to it. So the cookie needs to hold no state and no code: it is a
 * random number that comes back. And each side uses the same tag and first TSN in INIT
 * and INIT ACK, so that it does not matter whose INIT gets through. The end: SHUTDOWN.
 */
#include <string.h>

#include "core/channel/sctp_internal.h"

enum {
    TIMER_FIRST_US = 300000,
    TIMER_MAX_US = 5000000,
    PARAM_COOKIE = 7,
    PARAM_RESET = 13,
    PARAM_RESPONSE = 16,
    PARAM_EXTENSIONS = 0x8008,
    RESPONSE_DONE = 1,
    RESPONSE_IN_PROGRESS = 6,
    RESET_TRIES = 3,
    RESET_LEN = 18,
    DCEP_OPEN = 3,
    DCEP_OPEN_LEN = 12,
};

void
p2p_sctp_start_timer(struct p2p_sctp *s, uint64_t now_us)
{
    s->tries = 0;
    s->timer_span_us = TIMER_FIRST_US;
    s->timer_set_us = now_us;
    s->timer_us = now_us + s->timer_span_us;
}

/* ---- in ---- */

static void
take_parameter(struct p2p_sctp *s, uint16_t type, const uint8_t *bytes, size_t len)
{
    if (type == PARAM_COOKIE && len > 0 && len <= SCTP_COOKIE_MAX) {
        memcpy(s->peer_cookie, bytes, len);
        s->peer_cookie_len = len;
    } else if (type == PARAM_EXTENSIONS && len > 0) {
        s->peer_resets = memchr(bytes, SCTP_RE_CONFIG, len) != NULL;
    }
}

/* Of INIT and INIT ACK; others do not matter here. */
static void
take_parameters(struct p2p_sctp *s, struct p2p_rd *rd)
{
    while (rd->left >= 4) {
        uint16_t type = p2p_rd_get_u16(rd);
        size_t len = p2p_rd_get_u16(rd);
        const uint8_t *bytes;

        if (len < 4 || (bytes = p2p_rd_get_ref(rd, len - 4)) == NULL)
            return;
        take_parameter(s, type, bytes, len - 4);
        p2p_rd_get_ref(rd, rd->left < (-len & 3) ? rd->left : (-len & 3));
    }
}

static void
learn_peer(struct p2p_sctp *s, uint32_t tag, uint32_t window, uint32_t tsn)
{
    s->peer_tag = tag;
    s->peer_tsn = tsn;
    s->out.peer_window = window;
    s->in.last_tsn = s->in.highest = tsn - 1;
}

/* A round trip of the setup, if nothing was sent twice. */
static void
take_round_trip(struct p2p_sctp *s, uint64_t now_us)
{
    if (s->tries == 0 && now_us > s->timer_set_us)
        p2p_pace_on_rtt(&s->pace, now_us - s->timer_set_us, now_us);
}

void
p2p_sctp_on_init(struct p2p_sctp *s, struct p2p_rd *value, bool is_ack, uint64_t now_us)
{
    uint32_t tag = p2p_rd_get_u32(value), window = p2p_rd_get_u32(value);
    uint16_t streams = p2p_rd_get_u16(value), streams_in = p2p_rd_get_u16(value);
    uint32_t tsn = p2p_rd_get_u32(value);

    if (value->failed || tag == 0 || streams == 0 || streams_in == 0)
        return;
    /* A peer that is known keeps its facts: this is an old packet, or one that came
     * twice. */
    if (s->peer_tag != 0 && (tag != s->peer_tag || tsn != s->peer_tsn))
        return;
    if (!is_ack) {
        if (s->peer_tag == 0)
            learn_peer(s, tag, window, tsn);
        take_parameters(s, value);
        s->init_ack_is_due = true;
        return;
    }
    if (s->state != SCTP_COOKIE_WAIT)
        return;
    take_parameters(s, value);
    if (s->peer_cookie_len == 0)
        return;
    if (s->peer_tag == 0)
        learn_peer(s, tag, window, tsn);
    take_round_trip(s, now_us);
    s->state = SCTP_COOKIE_ECHOED;
    s->init_is_due = false;
    s->cookie_is_due = true;
    p2p_sctp_start_timer(s, now_us);
}

/* DATA_CHANNEL_OPEN (RFC 8832, section 5.1): reliable, ordered, without a name. */
static void
open_channel(struct p2p_sctp *s)
{
    static const uint8_t message[DCEP_OPEN_LEN] = {DCEP_OPEN};

    if (p2p_sctp_send_control(s, message, sizeof(message)))
        s->is_open = s->knows_stream = true;
    else
        p2p_sctp_fail(s, P2P_ERR_NOMEM);
}

static void
establish(struct p2p_sctp *s, uint64_t now_us)
{
    s->state = SCTP_ESTABLISHED;
    s->timer_us = 0;
    s->init_is_due = s->cookie_is_due = false;
    s->probe_us = now_us;
    if (s->opt.opens)
        open_channel(s);
}

void
p2p_sctp_on_cookie_echo(struct p2p_sctp *s, struct p2p_rd *value, uint64_t now_us)
{
    uint8_t cookie[SCTP_COOKIE_LEN];

    p2p_rd_get_bytes(value, cookie, sizeof(cookie));
    if (p2p_rd_end(value) != P2P_OK || s->peer_tag == 0 ||
        memcmp(cookie, s->cookie, sizeof(cookie)) != 0)
        return;
    s->cookie_ack_is_due = true;
    if (s->state < SCTP_ESTABLISHED)
        establish(s, now_us);
}

void
p2p_sctp_on_cookie_ack(struct p2p_sctp *s, uint64_t now_us)
{
    if (s->state == SCTP_COOKIE_ECHOED)
        establish(s, now_us);
}

void
p2p_sctp_on_shutdown(struct p2p_sctp *s, struct p2p_rd *value, uint64_t now_us)
{
    uint32_t tsn = p2p_rd_get_u32(value);

    if (p2p_rd_end(value) != P2P_OK || s->state < SCTP_ESTABLISHED)
        return;
    s->peer_has_ended = true;
    if (s->state == SCTP_ESTABLISHED)
        p2p_sctp_on_cumulative(s, tsn, now_us);
    else /* both end it at once, or our answer was lost */
        s->shutdown_ack_is_due = true;
}

void
p2p_sctp_on_shutdown_ack(struct p2p_sctp *s)
{
    bool is_reset = s->state == SCTP_ESTABLISHED && s->reset == RESET_SENT;

    if (s->state != SCTP_SHUTDOWN_SENT && s->state != SCTP_SHUTDOWN_ACK_SENT &&
        !is_reset)
        return;
    s->peer_has_ended = true;
    s->complete_is_due = true;
    s->state = SCTP_CLOSED;
}

/* The peer's answer to our reset. If the reset is done, the peer's own one follows, or
 * the timer expires. */
static void
on_reset_response(struct p2p_sctp *s, struct p2p_rd *value, uint32_t number)
{
    uint32_t result = p2p_rd_get_u32(value);

    if (!value->failed && s->reset == RESET_SENT && number == s->own_tsn &&
        result > RESPONSE_DONE && result != RESPONSE_IN_PROGRESS)
        s->reset = RESET_OVER;
}

/* A browser closes its channel by a reset of its stream (RFC 6525). */
void
p2p_sctp_on_re_config(struct p2p_sctp *s, struct p2p_rd *value)
{
    uint16_t type = p2p_rd_get_u16(value);
    uint16_t len = p2p_rd_get_u16(value);
    uint32_t number = p2p_rd_get_u32(value);

    if (value->failed)
        return;
    if (type == PARAM_RESPONSE)
        on_reset_response(s, value, number);
    if (type != PARAM_RESET || len < 16)
        return;
    s->reset_number = number;
    s->reset_is_due = true;
    s->peer_has_ended = true;
}

/* ---- out ---- */

static void
put_extensions(struct p2p_wr *wr)
{
    p2p_wr_put_u16(wr, PARAM_EXTENSIONS);
    p2p_wr_put_u16(wr, 5);
    p2p_wr_put_u8(wr, SCTP_RE_CONFIG);
    p2p_wr_put_u8(wr, 0);
    p2p_wr_put_u16(wr, 0);
}

static void
put_init(struct p2p_sctp *s, struct p2p_wr *wr, enum sctp_chunk_type type)
{
    size_t at = p2p_sctp_begin_chunk(wr, type, 0);

    p2p_wr_put_u32(wr, s->own_tag);
    p2p_wr_put_u32(wr, p2p_sctp_own_window(s));
    p2p_wr_put_u16(wr, SCTP_STREAMS);
    p2p_wr_put_u16(wr, SCTP_STREAMS);
    p2p_wr_put_u32(wr, s->own_tsn);
    if (type == SCTP_INIT_ACK) {
        p2p_wr_put_u16(wr, PARAM_COOKIE);
        p2p_wr_put_u16(wr, 4 + SCTP_COOKIE_LEN);
        p2p_wr_put_bytes(wr, s->cookie, sizeof(s->cookie));
    }
    put_extensions(wr);
    p2p_sctp_end_chunk(wr, at);
}

static void
put_bytes(struct p2p_wr *wr, enum sctp_chunk_type type, const uint8_t *data, size_t len)
{
    size_t at = p2p_sctp_begin_chunk(wr, type, 0);

    p2p_wr_put_bytes(wr, data, len);
    p2p_sctp_end_chunk(wr, at);
}

static void
put_shutdown(struct p2p_sctp *s, struct p2p_wr *wr)
{
    uint8_t tsn[4];

    p2p_store_u32(tsn, s->in.last_tsn);
    put_bytes(wr, SCTP_SHUTDOWN, tsn, sizeof(tsn));
}

static void
put_reset_response(struct p2p_sctp *s, struct p2p_wr *wr)
{
    size_t at = p2p_sctp_begin_chunk(wr, SCTP_RE_CONFIG, 0);

    p2p_wr_put_u16(wr, PARAM_RESPONSE);
    p2p_wr_put_u16(wr, 12);
    p2p_wr_put_u32(wr, s->reset_number);
    p2p_wr_put_u32(wr, RESPONSE_DONE);
    p2p_sctp_end_chunk(wr, at);
}

/* Asks the peer to reset the stream that goes to it: a browser closes its channel then,
 * and does not when the association ends. */
static void
put_own_reset(struct p2p_sctp *s, struct p2p_wr *wr)
{
    size_t at = p2p_sctp_begin_chunk(wr, SCTP_RE_CONFIG, 0);

    p2p_wr_put_u16(wr, PARAM_RESET);
    p2p_wr_put_u16(wr, RESET_LEN);
    p2p_wr_put_u32(wr, s->own_tsn); /* our first request has the first TSN's number */
    p2p_wr_put_u32(wr, s->peer_tsn - 1);
    p2p_wr_put_u32(wr, s->out.next_tsn - 1);
    p2p_wr_put_u16(wr, 0); /* stream */
    p2p_sctp_end_chunk(wr, at);
}

static bool
take_flag(bool *flag)
{
    bool was = *flag;

    *flag = false;
    return was;
}

/* The chunks that may go out although the association is closed. */
static bool
put_last_words(struct p2p_sctp *s, struct p2p_wr *wr)
{
    if (take_flag(&s->abort_is_due)) {
        put_bytes(wr, SCTP_ABORT, NULL, 0);
        return true;
    }
    if (take_flag(&s->complete_is_due)) {
        put_bytes(wr, SCTP_SHUTDOWN_COMPLETE, NULL, 0);
        return true;
    }
    return false;
}

bool
p2p_sctp_put_setup(struct p2p_sctp *s, struct p2p_wr *wr, uint32_t *tag,
                   uint64_t now_us)
{
    (void)now_us;
    if (put_last_words(s, wr))
        return true;
    if (s->state == SCTP_CLOSED)
        return false;
    if (take_flag(&s->init_is_due)) {
        *tag = 0;
        put_init(s, wr, SCTP_INIT);
    } else if (take_flag(&s->init_ack_is_due)) {
        put_init(s, wr, SCTP_INIT_ACK);
    } else if (take_flag(&s->cookie_ack_is_due)) {
        put_bytes(wr, SCTP_COOKIE_ACK, NULL, 0);
    } else if (take_flag(&s->cookie_is_due)) {
        put_bytes(wr, SCTP_COOKIE_ECHO, s->peer_cookie, s->peer_cookie_len);
    } else if (take_flag(&s->reset_is_due)) {
        put_reset_response(s, wr);
    } else if (take_flag(&s->own_reset_is_due)) {
        put_own_reset(s, wr);
    } else if (take_flag(&s->shutdown_ack_is_due)) {
        put_bytes(wr, SCTP_SHUTDOWN_ACK, NULL, 0);
    } else if (take_flag(&s->shutdown_is_due)) {
        put_shutdown(s, wr);
    } else {
        return false;
    }
    return true;
}

/* ---- time ---- */

/* True while the peer has not reset its stream in answer to ours. */
static bool
waits_for_reset(struct p2p_sctp *s, uint64_t now_us)
{
    if (s->peer_has_ended || !s->peer_resets || s->reset == RESET_OVER)
        return false;
    if (s->reset == RESET_NOT_SENT) {
        s->reset = RESET_SENT;
        s->own_reset_is_due = true;
        p2p_sctp_start_timer(s, now_us);
    }
    return true;
}

/* All is delivered, and one side wants to end. */
static void
begin_end(struct p2p_sctp *s, uint64_t now_us)
{
    if (s->state != SCTP_ESTABLISHED || !(s->wants_close || s->peer_has_ended) ||
        !p2p_sctp_all_is_acked(s) || waits_for_reset(s, now_us))
        return;
    if (s->peer_has_ended) {
        s->state = SCTP_SHUTDOWN_ACK_SENT;
        s->shutdown_ack_is_due = true;
    } else {
        s->state = SCTP_SHUTDOWN_SENT;
        s->shutdown_is_due = true;
    }
    p2p_sctp_start_timer(s, now_us);
}

static void
send_again(struct p2p_sctp *s)
{
    switch (s->state) {
    case SCTP_COOKIE_WAIT:
        s->init_is_due = true;
        break;
    case SCTP_COOKIE_ECHOED:
        s->cookie_is_due = true;
        break;
    case SCTP_SHUTDOWN_SENT:
        s->shutdown_is_due = true;
        break;
    case SCTP_SHUTDOWN_ACK_SENT:
        s->shutdown_ack_is_due = true;
        break;
    case SCTP_ESTABLISHED:
        s->own_reset_is_due = s->reset == RESET_SENT;
        break;
    case SCTP_CLOSED:
        break;
    }
}

void
p2p_sctp_check_setup(struct p2p_sctp *s, uint64_t now_us)
{
    begin_end(s, now_us);
    if (s->timer_us == 0 || now_us < s->timer_us || s->state == SCTP_CLOSED)
        return;
    /* Everything was delivered in both directions, but the peer's last message was
     * lost, and the peer does not repeat it. */
    if (++s->tries >= SCTP_END_TRIES && s->state == SCTP_SHUTDOWN_ACK_SENT) {
        s->state = SCTP_CLOSED;
        return;
    }
    if (s->tries >= RESET_TRIES && s->state == SCTP_ESTABLISHED) {
        s->reset = RESET_OVER; /* it does not do it */
        s->timer_us = 0;
        return;
    }
    if (s->tries >= SCTP_TRIES_MAX) {
        p2p_sctp_fail(s, P2P_ERR_TIMEOUT);
        return;
    }
    s->timer_span_us =
        s->timer_span_us * 2 < TIMER_MAX_US ? s->timer_span_us * 2 : TIMER_MAX_US;
    s->timer_us = now_us + s->timer_span_us;
    send_again(s);
}
