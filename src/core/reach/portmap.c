#include "core/reach/portmap.h"

#include <string.h>

#include "p2p/bytes.h"

enum {
    FIRST_PAUSE_MS = 250, /* doubled each time */
    TRIES = 5,            /* until a protocol counts as unknown: 7.75 s */
    LIFE_MIN_S = 120,
    LIFE_MAX_S = 24 * 3600,
    PROTOCOL_TCP = 6,
};

/* PCP: the header of 24 bytes, then a MAP of 36. */
enum { PCP_VERSION = 2, PCP_HEADER = 24, PCP_MAP = 60, OP_ANNOUNCE = 0, OP_MAP = 1 };
/* NAT-PMP. */
enum { PMP_ADDRESS = 0, PMP_MAP_TCP = 2, PMP_ADDRESS_LEN = 12, PMP_MAP_LEN = 16 };
/* In answers, with the operation. */
enum { ANSWER = 0x80 };

const char *
p2p_portmap_by_name(enum p2p_portmap_by by)
{
    static const char *const names[] = {"none", "PCP", "NAT-PMP", "UPnP"};

    return names[by];
}

void
p2p_portmap_init(struct p2p_portmap *m, const uint8_t own_ip[4], uint16_t port,
                 const uint8_t nonce[12], uint64_t now_ms)
{
    *m =
        (struct p2p_portmap){.port = port, .trying = P2P_PORTMAP_PCP, .due_ms = now_ms};
    memcpy(m->own_ip, own_ip, sizeof(m->own_ip));
    memcpy(m->nonce, nonce, sizeof(m->nonce));
}

uint64_t
p2p_portmap_due_ms(const struct p2p_portmap *m)
{
    bool is_mapped = m->mapping.by != P2P_PORTMAP_NONE;

    return is_mapped && m->end_ms < m->due_ms ? m->end_ms : m->due_ms;
}

/* ---- what is sent ---- */

static const uint8_t v4_in_v6[12] = {[10] = 0xff, [11] = 0xff};

/* Asks for the former port again, so that the address does not change. */
static size_t
put_pcp_map(const struct p2p_portmap *m, uint32_t life_s, uint8_t *out)
{
    static const uint8_t nothing[4];
    struct p2p_wr wr;
    size_t len = 0;

    p2p_wr_init(&wr, out, P2P_PORTMAP_MESSAGE_MAX);
    p2p_wr_put_u8(&wr, PCP_VERSION);
    p2p_wr_put_u8(&wr, OP_MAP);
    p2p_wr_put_u16(&wr, 0);
    p2p_wr_put_u32(&wr, life_s);
    p2p_wr_put_bytes(&wr, v4_in_v6, sizeof(v4_in_v6));
    p2p_wr_put_bytes(&wr, m->own_ip, sizeof(m->own_ip));
    p2p_wr_put_bytes(&wr, m->nonce, sizeof(m->nonce));
    p2p_wr_put_u32(&wr, (uint32_t)PROTOCOL_TCP << 24);
    p2p_wr_put_u16(&wr, m->port);
    p2p_wr_put_u16(&wr, m->mapping.port != 0 ? m->mapping.port : m->port);
    p2p_wr_put_bytes(&wr, v4_in_v6, sizeof(v4_in_v6));
    p2p_wr_put_bytes(&wr, m->mapping.by != P2P_PORTMAP_NONE ? m->mapping.ip : nothing,
                     sizeof(nothing));
    return p2p_wr_end(&wr, &len) == P2P_OK ? len : 0;
}

static size_t
put_pmp_map(const struct p2p_portmap *m, uint32_t life_s, uint8_t *out)
{
    struct p2p_wr wr;
    size_t len = 0;

    p2p_wr_init(&wr, out, P2P_PORTMAP_MESSAGE_MAX);
    p2p_wr_put_u16(&wr, PMP_MAP_TCP);
    p2p_wr_put_u16(&wr, 0);
    p2p_wr_put_u16(&wr, m->port);
    p2p_wr_put_u16(&wr, life_s == 0            ? 0
                        : m->mapping.port != 0 ? m->mapping.port
                                               : m->port);
    p2p_wr_put_u32(&wr, life_s);
    return p2p_wr_end(&wr, &len) == P2P_OK ? len : 0;
}

static size_t
put_question(const struct p2p_portmap *m, uint8_t *out)
{
    if (m->trying == P2P_PORTMAP_PCP)
        return put_pcp_map(m, P2P_PORTMAP_LIFE_S, out);
    if (m->has_ip)
        return put_pmp_map(m, P2P_PORTMAP_LIFE_S, out);
    out[0] = out[1] = 0; /* the question for the address */
    return 2;
}

static void
try(struct p2p_portmap *m, enum p2p_portmap_by by, uint64_t now_ms)
{
    m->trying = by;
    m->tries = 0;
    m->has_ip = false;
    m->due_ms = by == P2P_PORTMAP_NONE ? now_ms + P2P_PORTMAP_AGAIN_MS : now_ms;
}

/* This protocol does not help. */
static void
give_up(struct p2p_portmap *m, uint64_t now_ms)
{
    enum p2p_portmap_by next = P2P_PORTMAP_NONE;

    if (m->trying == P2P_PORTMAP_PCP)
        next = P2P_PORTMAP_NAT_PMP;
    else if (m->trying == P2P_PORTMAP_NAT_PMP && m->has_upnp)
        next = P2P_PORTMAP_UPNP;
    try(m, next, now_ms);
}

/* Asks, or asks again. */
size_t
p2p_portmap_on_time(struct p2p_portmap *m, uint64_t now_ms,
                    uint8_t out[P2P_PORTMAP_MESSAGE_MAX])
{
    if (m->mapping.by != P2P_PORTMAP_NONE && now_ms >= m->end_ms)
        m->mapping.by = P2P_PORTMAP_NONE;
    if (now_ms < m->due_ms)
        return 0;
    if (m->tries == TRIES)
        give_up(m, now_ms);
    else if (m->trying == P2P_PORTMAP_NONE)
        try(m, P2P_PORTMAP_PCP, now_ms);
    if (m->trying == P2P_PORTMAP_UPNP) {
        m->wants_upnp = true;
        m->due_ms = UINT64_MAX;
    }
    if (m->trying == P2P_PORTMAP_NONE || m->trying == P2P_PORTMAP_UPNP)
        return 0;
    m->due_ms = now_ms + ((uint64_t)FIRST_PAUSE_MS << m->tries);
    m->tries++;
    return put_question(m, out);
}

size_t
p2p_portmap_end(const struct p2p_portmap *m, uint8_t out[P2P_PORTMAP_MESSAGE_MAX])
{
    switch (m->mapping.by) {
    case P2P_PORTMAP_PCP:
        return put_pcp_map(m, 0, out);
    case P2P_PORTMAP_NAT_PMP:
        return put_pmp_map(m, 0, out);
    case P2P_PORTMAP_UPNP:
    case P2P_PORTMAP_NONE:
        break;
    }
    return 0;
}

/* ---- what arrives ---- */

/* True if the router has begun anew since the last answer, and has forgotten the
 * mapping (RFC 6887, section 8.5). */
static bool
has_restarted(struct p2p_portmap *m, uint32_t epoch_s, uint64_t now_ms)
{
    uint64_t own_s = (now_ms - m->epoch_at_ms) / 1000, its_s = epoch_s - m->epoch_s;
    bool has = m->has_epoch &&
               (epoch_s + 1 < m->epoch_s ||
                (epoch_s >= m->epoch_s &&
                 (own_s + 2 < its_s - its_s / 16 || its_s + 2 < own_s - own_s / 16)));

    m->has_epoch = true;
    m->epoch_s = epoch_s;
    m->epoch_at_ms = now_ms;
    return has;
}

/* An address that others could have: not this network, loopback, multicast. */
static bool
is_unicast(const uint8_t ip[4])
{
    return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
}

static void
take(struct p2p_portmap *m, uint16_t port, uint32_t life_s, uint64_t now_ms)
{
    if (life_s < LIFE_MIN_S)
        life_s = LIFE_MIN_S;
    if (life_s > LIFE_MAX_S)
        life_s = LIFE_MAX_S;
    m->mapping.by = m->trying;
    m->mapping.port = port;
    m->end_ms = now_ms + (uint64_t)life_s * 1000;
    m->due_ms = now_ms + (uint64_t)life_s * 500;
    m->tries = 0;
    if (m->trying == P2P_PORTMAP_NAT_PMP)
        m->has_ip = false; /* asked for again with the next renewal */
}

static void
on_pcp_map(struct p2p_portmap *m, struct p2p_rd *rd, uint32_t life_s, uint64_t now_ms)
{
    uint8_t nonce[12], reserved[3], high[12], ip[4];
    uint16_t inner, outer;
    uint8_t protocol;

    p2p_rd_get_bytes(rd, nonce, sizeof(nonce));
    protocol = p2p_rd_get_u8(rd);
    p2p_rd_get_bytes(rd, reserved, sizeof(reserved));
    inner = p2p_rd_get_u16(rd);
    outer = p2p_rd_get_u16(rd);
    p2p_rd_get_bytes(rd, high, sizeof(high));
    p2p_rd_get_bytes(rd, ip, sizeof(ip));
    if (memcmp(nonce, m->nonce, sizeof(nonce)) != 0 || protocol != PROTOCOL_TCP ||
        inner != m->port || outer == 0 || life_s == 0 ||
        memcmp(high, v4_in_v6, sizeof(high)) != 0 || !is_unicast(ip))
        return;
    memcpy(m->mapping.ip, ip, sizeof(ip));
    take(m, outer, life_s, now_ms);
}

/* The router's news, to all: only the time in it counts. */
static void
on_news(struct p2p_portmap *m, uint32_t epoch_s, uint64_t now_ms)
{
    if (m->mapping.by != P2P_PORTMAP_NONE && has_restarted(m, epoch_s, now_ms))
        try(m, m->mapping.by, now_ms);
}

static void
on_pcp(struct p2p_portmap *m, const uint8_t *data, size_t len, uint64_t now_ms)
{
    uint8_t operation, result;
    uint32_t life_s, epoch_s;
    struct p2p_rd rd;

    if (len < PCP_HEADER)
        return;
    p2p_rd_init(&rd, data, len);
    (void)p2p_rd_get_u8(&rd);
    operation = p2p_rd_get_u8(&rd);
    (void)p2p_rd_get_u8(&rd);
    result = p2p_rd_get_u8(&rd);
    life_s = p2p_rd_get_u32(&rd);
    epoch_s = p2p_rd_get_u32(&rd);
    (void)p2p_rd_get_ref(&rd, PCP_HEADER - 12);
    if (operation == (ANSWER | OP_ANNOUNCE) && result == 0)
        on_news(m, epoch_s, now_ms);
    if (operation != (ANSWER | OP_MAP) || m->trying != P2P_PORTMAP_PCP || m->tries == 0)
        return;
    if (result != 0) {
        give_up(m, now_ms);
    } else if (len >= PCP_MAP) {
        (void)has_restarted(m, epoch_s, now_ms);
        on_pcp_map(m, &rd, life_s, now_ms);
    }
}

static void
on_pmp_address(struct p2p_portmap *m, struct p2p_rd *rd, uint64_t now_ms)
{
    const uint8_t *ip = p2p_rd_get_ref(rd, 4);

    if (ip == NULL || !is_unicast(ip) || m->has_ip)
        return;
    memcpy(m->mapping.ip, ip, sizeof(m->mapping.ip));
    m->has_ip = true;
    m->tries = 0;
    m->due_ms = now_ms;
}

static void
on_pmp_map(struct p2p_portmap *m, struct p2p_rd *rd, uint64_t now_ms)
{
    uint16_t inner = p2p_rd_get_u16(rd), outer = p2p_rd_get_u16(rd);
    uint32_t life_s = p2p_rd_get_u32(rd);

    if (inner == m->port && outer != 0 && life_s != 0 && m->has_ip)
        take(m, outer, life_s, now_ms);
}

static void
on_pmp(struct p2p_portmap *m, const uint8_t *data, size_t len, uint64_t now_ms)
{
    uint16_t result;
    uint8_t operation;
    uint32_t epoch_s;
    struct p2p_rd rd;

    if (len < 4)
        return;
    p2p_rd_init(&rd, data, len);
    (void)p2p_rd_get_u8(&rd);
    operation = p2p_rd_get_u8(&rd);
    result = p2p_rd_get_u16(&rd);
    /* A router without PCP answers its questions so: unknown version. */
    if (m->trying == P2P_PORTMAP_PCP && m->tries > 0 && result == 1) {
        give_up(m, now_ms);
        return;
    }
    if (len < PMP_ADDRESS_LEN)
        return;
    epoch_s = p2p_rd_get_u32(&rd);
    if (m->trying != P2P_PORTMAP_NAT_PMP || m->tries == 0) {
        if (operation == (ANSWER | PMP_ADDRESS) && result == 0)
            on_news(m, epoch_s, now_ms);
        return;
    }
    if (result != 0) {
        give_up(m, now_ms);
        return;
    }
    (void)has_restarted(m, epoch_s, now_ms);
    if (operation == (ANSWER | PMP_ADDRESS))
        on_pmp_address(m, &rd, now_ms);
    else if (operation == (ANSWER | PMP_MAP_TCP) && len >= PMP_MAP_LEN)
        on_pmp_map(m, &rd, now_ms);
}

void
p2p_portmap_on_datagram(struct p2p_portmap *m, const uint8_t *data, size_t len,
                        uint64_t now_ms)
{
    if (len > 0 && data[0] == PCP_VERSION)
        on_pcp(m, data, len, now_ms);
    else if (len > 0 && data[0] == 0)
        on_pmp(m, data, len, now_ms);
}

void
p2p_portmap_on_refusal(struct p2p_portmap *m, uint64_t now_ms)
{
    if (m->tries > 0 && m->mapping.by == P2P_PORTMAP_NONE)
        give_up(m, now_ms);
}

void
p2p_portmap_on_upnp(struct p2p_portmap *m, const struct p2p_mapping *mapping,
                    uint64_t now_ms)
{
    if (!m->wants_upnp || m->trying != P2P_PORTMAP_UPNP)
        return;
    m->wants_upnp = false;
    if (mapping == NULL || mapping->port == 0 || !is_unicast(mapping->ip)) {
        give_up(m, now_ms);
        return;
    }
    memcpy(m->mapping.ip, mapping->ip, sizeof(m->mapping.ip));
    take(m, mapping->port, P2P_PORTMAP_LIFE_S, now_ms);
}
