#include "core/channel/channel.h"

#include <stdlib.h>
#include <string.h>

struct p2p_channel {
    struct p2p_ice ice;
    struct p2p_dtls *dtls;
    struct p2p_sctp *sctp;
    bool calls;
    struct p2p_budget *budget;
    bool has_begun; /* DTLS */
    enum p2p_err error;
};

enum p2p_err
p2p_channel_new(const struct p2p_channel_options *opt, uint64_t now_us,
                struct p2p_channel **out)
{
    const struct p2p_ice_options ice = {opt->own, opt->peer, opt->calls};
    const struct p2p_dtls_options dtls = {opt->identity, opt->fingerprint, !opt->calls};
    struct p2p_channel *c = calloc(1, sizeof(*c));
    enum p2p_err err;

    *out = NULL;
    if (c == NULL)
        return P2P_ERR_NOMEM;
    c->calls = opt->calls;
    c->budget = opt->budget;
    err = p2p_ice_init(&c->ice, &ice, now_us);
    if (err == P2P_OK)
        err = p2p_dtls_new(&dtls, &c->dtls);
    if (err != P2P_OK) {
        p2p_channel_free(c);
        return err;
    }
    *out = c;
    return P2P_OK;
}

void
p2p_channel_free(struct p2p_channel *c)
{
    if (c == NULL)
        return;
    p2p_sctp_free(c->sctp);
    p2p_dtls_free(c->dtls);
    p2p_wipe(c, sizeof(*c));
    free(c);
}

void
p2p_channel_add(struct p2p_channel *c, const struct p2p_endpoint *remote,
                uint32_t priority)
{
    p2p_ice_add(&c->ice, remote, priority);
}

static void
keep_error(struct p2p_channel *c, enum p2p_err err)
{
    if (c->error == P2P_OK)
        c->error = err;
}

/* ---- in ---- */

/* DTLS is open: the stream can begin. The client of DTLS opens the channel in it. */
static void
begin_stream(struct p2p_channel *c, uint64_t now_us)
{
    const struct p2p_sctp_options opt = {
        .opens = !c->calls, .budget = c->budget, .rtt_us = c->ice.rtt_us};

    if (c->sctp == NULL && p2p_dtls_is_open(c->dtls))
        keep_error(c, p2p_sctp_new(&opt, now_us, &c->sctp));
}

/* A record opens the next one: a datagram can hold several. */
static void
on_dtls(struct p2p_channel *c, const uint8_t *data, size_t len, uint64_t now_us)
{
    uint8_t packet[P2P_DTLS_DATAGRAM_MAX];
    size_t packet_len;

    do {
        keep_error(c, p2p_dtls_input(c->dtls, data, len, packet, &packet_len));
        begin_stream(c, now_us);
        if (packet_len > 0 && c->sctp != NULL)
            p2p_sctp_input(c->sctp, packet, packet_len, now_us);
        data = NULL;
    } while (packet_len > 0 && c->error == P2P_OK);
}

/* Only addresses that have answered a check, or have asked with the password. */
static bool
is_known(const struct p2p_channel *c, const struct p2p_endpoint *from)
{
    const struct p2p_endpoint *selected = p2p_ice_selected(&c->ice);

    if (selected != NULL && p2p_endpoint_equal(selected, from))
        return true;
    for (size_t i = 0; i < c->ice.pair_count; i++)
        if (c->ice.pairs[i].state == P2P_PAIR_WORKS &&
            p2p_endpoint_equal(&c->ice.pairs[i].remote, from))
            return true;
    return false;
}

void
p2p_channel_input(struct p2p_channel *c, const struct p2p_endpoint *from,
                  const uint8_t *data, size_t len, uint64_t now_us)
{
    if (c->error != P2P_OK)
        return;
    if (p2p_stun_is(data, len))
        p2p_ice_input(&c->ice, from, data, len, now_us);
    else if (is_known(c, from))
        on_dtls(c, data, len, now_us);
}

/* ---- out ---- */

static void
check(struct p2p_channel *c)
{
    bool is_due = c->has_begun && p2p_dtls_timeout_us(c->dtls) == 0;

    if (c->ice.state == P2P_ICE_FAILED)
        keep_error(c, P2P_ERR_TIMEOUT);
    if (c->sctp != NULL && p2p_sctp_is_closed(c->sctp))
        keep_error(c, p2p_sctp_error(c->sctp));
    if (c->error != P2P_OK || p2p_ice_selected(&c->ice) == NULL)
        return;
    if (!c->has_begun || is_due)
        keep_error(c, p2p_dtls_advance(c->dtls));
    c->has_begun = true;
}

/* Seals packets until one comes out. */
static size_t
next_dtls(struct p2p_channel *c, uint64_t now_us, uint8_t out[P2P_DTLS_DATAGRAM_MAX])
{
    uint8_t packet[P2P_SCTP_PACKET_MAX];
    size_t len = p2p_dtls_output(c->dtls, out);

    if (len > 0 || c->sctp == NULL)
        return len;
    len = p2p_sctp_output(c->sctp, now_us, packet);
    if (len == 0)
        return 0;
    keep_error(c, p2p_dtls_seal(c->dtls, packet, len));
    return p2p_dtls_output(c->dtls, out);
}

size_t
p2p_channel_output(struct p2p_channel *c, uint64_t now_us, struct p2p_endpoint *to,
                   uint8_t out[P2P_DTLS_DATAGRAM_MAX])
{
    const struct p2p_endpoint *selected;
    size_t len;

    check(c);
    if (c->error != P2P_OK && c->error != P2P_ERR_CANCELLED)
        return 0;
    if ((len = p2p_ice_output(&c->ice, now_us, to, out)) > 0)
        return len;
    if ((selected = p2p_ice_selected(&c->ice)) == NULL)
        return 0;
    *to = *selected;
    return next_dtls(c, now_us, out);
}

static uint64_t
sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
p2p_channel_due_us(const struct p2p_channel *c, uint64_t now_us)
{
    uint64_t due, dtls;

    if (c->error != P2P_OK)
        return UINT64_MAX;
    due = p2p_ice_due_us(&c->ice, now_us);
    if (p2p_ice_selected(&c->ice) == NULL)
        return due;
    if (!c->has_begun)
        return now_us;
    dtls = p2p_dtls_timeout_us(c->dtls);
    due = sooner(due, dtls != UINT64_MAX ? now_us + dtls : dtls);
    return c->sctp != NULL ? sooner(due, p2p_sctp_due_us(c->sctp, now_us)) : due;
}

/* ---- what it is ---- */

struct p2p_sctp *
p2p_channel_stream(struct p2p_channel *c)
{
    return c->sctp;
}

bool
p2p_channel_is_open(const struct p2p_channel *c)
{
    return c->error == P2P_OK && c->sctp != NULL && p2p_sctp_is_open(c->sctp);
}

bool
p2p_channel_is_over(const struct p2p_channel *c)
{
    return c->error != P2P_OK || (c->sctp != NULL && p2p_sctp_is_closed(c->sctp));
}

enum p2p_err
p2p_channel_error(const struct p2p_channel *c)
{
    return c->error;
}

uint64_t
p2p_channel_rtt_us(const struct p2p_channel *c)
{
    uint64_t rtt_us = c->sctp != NULL ? p2p_sctp_status(c->sctp).rtt_us : 0;

    return rtt_us != 0 ? rtt_us : c->ice.rtt_us;
}

const struct p2p_endpoint *
p2p_channel_remote(const struct p2p_channel *c)
{
    return p2p_ice_selected(&c->ice);
}
