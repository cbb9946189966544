#include "core/channel/stun.h"

#include <string.h>

#include "core/channel/crc32.h"
#include "core/crypto/hmac_sha1.h"
#include "p2p/bytes.h"

#define COOKIE          0x2112a442u
#define FINGERPRINT_XOR 0x5354554eu

enum {
    HEADER_LEN = 20,
    METHOD_BINDING = 1,
    INTEGRITY_LEN = 4 + P2P_HMAC_SHA1_LEN,
    FINGERPRINT_LEN = 8,
};

/* Types of attributes. Those from 0x8000 on may be ignored by whoever does not know
 * them. */
enum {
    CHANGE_REQUEST = 0x0003,
    USERNAME = 0x0006,
    MESSAGE_INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    XOR_MAPPED_ADDRESS = 0x0020,
    PRIORITY = 0x0024,
    USE_CANDIDATE = 0x0025,
    OPTIONAL = 0x8000,
    SOFTWARE = 0x8022,
    FINGERPRINT = 0x8028,
    ICE_CONTROLLED = 0x8029,
    ICE_CONTROLLING = 0x802a,
};

enum { CHANGE_PORT = 2, CHANGE_IP = 4 };

/* ---- the header ---- */

/* The bits of class and method are mixed (RFC 8489, section 5). */
static uint16_t type_of(enum p2p_stun_class class)
{
    return (uint16_t)(METHOD_BINDING | (class & 1) << 4 | (class & 2) << 7);
}

static enum p2p_stun_class
class_of(uint16_t type)
{
    return (enum p2p_stun_class)((type >> 4 & 1) | (type >> 7 & 2));
}

bool
p2p_stun_is(const uint8_t *data, size_t len)
{
    return len >= HEADER_LEN && len <= P2P_STUN_MAX && data[0] < 0x40 &&
           p2p_load_u32(data + 4) == COOKIE &&
           HEADER_LEN + (size_t)(data[2] << 8 | data[3]) == len && len % 4 == 0;
}

/* ---- addresses: mixed with the cookie and the id, since some NATs replace what looks
 * like an address ---- */

static void
mix_address(uint8_t *ip, size_t len, const struct p2p_stun_id *id)
{
    uint8_t mask[16];

    p2p_store_u32(mask, COOKIE);
    memcpy(mask + 4, id->b, sizeof(id->b));
    for (size_t i = 0; i < len; i++)
        ip[i] ^= mask[i];
}

static void
get_address(struct p2p_rd *rd, const struct p2p_stun_id *id, struct p2p_endpoint *out)
{
    uint8_t ip[16];
    size_t ip_len;

    p2p_rd_get_u8(rd);
    ip_len = p2p_rd_get_u8(rd) == P2P_FAMILY_6 ? 16 : 4;
    uint16_t port = p2p_rd_get_u16(rd) ^ (uint16_t)(COOKIE >> 16);
    p2p_rd_get_bytes(rd, ip, ip_len);
    if (rd->failed)
        return;
    mix_address(ip, ip_len, id);
    *out = p2p_endpoint_make(ip, ip_len, port);
}

static void
put_address(struct p2p_wr *wr, const struct p2p_stun *m)
{
    size_t ip_len = m->mapped.family == P2P_FAMILY_6 ? 16 : 4;
    uint8_t ip[16];

    memcpy(ip, m->mapped.ip, sizeof(ip));
    mix_address(ip, ip_len, &m->id);
    p2p_wr_put_u16(wr, XOR_MAPPED_ADDRESS);
    p2p_wr_put_u16(wr, (uint16_t)(4 + ip_len));
    p2p_wr_put_u8(wr, 0);
    p2p_wr_put_u8(wr, m->mapped.family);
    p2p_wr_put_u16(wr, m->mapped.port ^ (uint16_t)(COOKIE >> 16));
    p2p_wr_put_bytes(wr, ip, ip_len);
}

/* ---- reading ---- */

static void
get_username(struct p2p_rd *rd, struct p2p_stun *out)
{
    size_t len = rd->left;
    const uint8_t *name = p2p_rd_get_ref(rd, len);

    if (len == 0 || len > P2P_STUN_NAME_MAX || memchr(name, '\0', len) != NULL) {
        rd->failed = true;
        return;
    }
    memcpy(out->username, name, len);
}

static void
get_error_code(struct p2p_rd *rd, struct p2p_stun *out)
{
    p2p_rd_get_u16(rd);
    uint8_t hundreds = p2p_rd_get_u8(rd) & 7, rest = p2p_rd_get_u8(rd);

    rd->failed = rd->failed || hundreds < 3 || hundreds > 6 || rest > 99;
    out->error_code = (uint16_t)(hundreds * 100 + rest);
    p2p_rd_get_ref(rd, rd->left); /* the reason, for people */
}

static void
get_role(struct p2p_rd *rd, enum p2p_stun_role role, struct p2p_stun *out)
{
    uint64_t tie_breaker = p2p_rd_get_u64(rd);

    rd->failed = rd->failed || out->role != P2P_STUN_NO_ROLE;
    out->role = role;
    out->tie_breaker = tie_breaker;
}

/* Another port is possible, another address is not. */
static void
get_change(struct p2p_rd *rd, struct p2p_stun *out)
{
    uint32_t flags = p2p_rd_get_u32(rd);

    rd->failed = rd->failed || rd->left > 0;
    out->change_port = (flags & CHANGE_PORT) != 0;
    out->has_unknown = out->has_unknown || (flags & CHANGE_IP) != 0;
}

/* What an attribute says, unless it came before. */
static void
get_value(struct p2p_rd *rd, uint16_t type, struct p2p_stun *out)
{
    switch (type) {
    case CHANGE_REQUEST:
        get_change(rd, out);
        break;
    case USERNAME:
        if (out->username[0] == '\0')
            get_username(rd, out);
        break;
    case XOR_MAPPED_ADDRESS:
        if (out->mapped.family == P2P_FAMILY_NONE)
            get_address(rd, &out->id, &out->mapped);
        break;
    case ERROR_CODE:
        if (out->error_code == 0)
            get_error_code(rd, out);
        break;
    case PRIORITY:
        if (!out->has_priority)
            out->priority = p2p_rd_get_u32(rd);
        out->has_priority = true;
        break;
    case USE_CANDIDATE:
        out->use_candidate = true;
        break;
    case ICE_CONTROLLED:
        get_role(rd, P2P_STUN_CONTROLLED, out);
        break;
    case ICE_CONTROLLING:
        get_role(rd, P2P_STUN_CONTROLLING, out);
        break;
    default:
        out->has_unknown = out->has_unknown || type < OPTIONAL;
    }
}

static bool
fingerprint_fits(const uint8_t *data, const uint8_t *at, struct p2p_rd *value)
{
    size_t before = (size_t)(at - data);

    return p2p_rd_get_u32(value) == (p2p_crc32(data, before) ^ FINGERPRINT_XOR) &&
           p2p_rd_end(value) == P2P_OK;
}

/* One attribute. False: the message is malformed. */
static bool
get_attribute(const uint8_t *data, struct p2p_rd *rd, struct p2p_stun *out)
{
    const uint8_t *at = rd->at;
    uint16_t type = p2p_rd_get_u16(rd);
    size_t len = p2p_rd_get_u16(rd);
    const uint8_t *bytes = p2p_rd_get_ref(rd, len);
    struct p2p_rd value;

    p2p_rd_get_ref(rd, -len & 3); /* filled up to a multiple of four */
    if (rd->failed)
        return false;
    p2p_rd_init(&value, bytes, len);
    if (type == FINGERPRINT) /* the last one */
        return rd->left == 0 && fingerprint_fits(data, at, &value);
    if (out->integrity_offset != 0)
        return true;
    if (type == MESSAGE_INTEGRITY) {
        out->integrity_offset = (size_t)(at - data);
        return len == P2P_HMAC_SHA1_LEN;
    }
    get_value(&value, type, out);
    return !value.failed;
}

enum p2p_err
p2p_stun_parse(const uint8_t *data, size_t len, struct p2p_stun *out)
{
    struct p2p_rd rd;

    memset(out, 0, sizeof(*out));
    if (!p2p_stun_is(data, len))
        return P2P_ERR_MALFORMED;
    p2p_rd_init(&rd, data, len);
    uint16_t type = p2p_rd_get_u16(&rd);
    if (type != type_of(class_of(type)))
        return P2P_ERR_PROTOCOL;
    out->class = class_of(type);
    p2p_rd_get_ref(&rd, 6); /* length and cookie: p2p_stun_is */
    p2p_rd_get_bytes(&rd, &out->id, sizeof(out->id));
    while (rd.left > 0)
        if (!get_attribute(data, &rd, out))
            return P2P_ERR_MALFORMED;
    return P2P_OK;
}

/* ---- integrity: over the message so far, as if it ended with the attribute ---- */

static enum p2p_err
make_integrity(const uint8_t *data, size_t before, const char *password,
               uint8_t out[P2P_HMAC_SHA1_LEN])
{
    uint8_t copy[P2P_STUN_MAX];
    size_t len = before - HEADER_LEN + INTEGRITY_LEN;

    memcpy(copy, data, before);
    copy[2] = (uint8_t)(len >> 8);
    copy[3] = (uint8_t)len;
    return p2p_hmac_sha1(password, strlen(password), copy, before, out);
}

enum p2p_err
p2p_stun_check(const uint8_t *data, size_t len, const struct p2p_stun *message,
               const char *password)
{
    uint8_t mac[P2P_HMAC_SHA1_LEN];
    size_t at = message->integrity_offset;
    enum p2p_err err;

    if (at < HEADER_LEN || len > P2P_STUN_MAX || at + INTEGRITY_LEN > len)
        return P2P_ERR_AUTH;
    if ((err = make_integrity(data, at, password, mac)) != P2P_OK)
        return err;
    return p2p_equal_ct(mac, data + at + 4, sizeof(mac)) ? P2P_OK : P2P_ERR_AUTH;
}

/* ---- writing ---- */

static void
put_username(struct p2p_wr *wr, const char *name)
{
    static const uint8_t zero[4];
    size_t len = strlen(name);

    p2p_wr_put_u16(wr, USERNAME);
    p2p_wr_put_u16(wr, (uint16_t)len);
    p2p_wr_put_bytes(wr, name, len);
    p2p_wr_put_bytes(wr, zero, -len & 3);
}

static void
put_error_code(struct p2p_wr *wr, uint16_t code)
{
    p2p_wr_put_u16(wr, ERROR_CODE);
    p2p_wr_put_u16(wr, 4);
    p2p_wr_put_u16(wr, 0);
    p2p_wr_put_u8(wr, (uint8_t)(code / 100));
    p2p_wr_put_u8(wr, (uint8_t)(code % 100));
}

static void
put_attributes(struct p2p_wr *wr, const struct p2p_stun *m)
{
    if (m->mapped.family != P2P_FAMILY_NONE)
        put_address(wr, m);
    if (m->error_code != 0)
        put_error_code(wr, m->error_code);
    if (m->username[0] != '\0')
        put_username(wr, m->username);
    if (m->has_priority) {
        p2p_wr_put_u16(wr, PRIORITY);
        p2p_wr_put_u16(wr, 4);
        p2p_wr_put_u32(wr, m->priority);
    }
    if (m->use_candidate) {
        p2p_wr_put_u16(wr, USE_CANDIDATE);
        p2p_wr_put_u16(wr, 0);
    }
    if (m->role != P2P_STUN_NO_ROLE) {
        p2p_wr_put_u16(wr, m->role == P2P_STUN_CONTROLLING ? ICE_CONTROLLING
                                                           : ICE_CONTROLLED);
        p2p_wr_put_u16(wr, 8);
        p2p_wr_put_u64(wr, m->tie_breaker);
    }
}

static enum p2p_err
put_integrity(struct p2p_wr *wr, const char *password)
{
    uint8_t mac[P2P_HMAC_SHA1_LEN];
    enum p2p_err err = make_integrity(wr->buf, wr->used, password, mac);

    p2p_wr_put_u16(wr, MESSAGE_INTEGRITY);
    p2p_wr_put_u16(wr, sizeof(mac));
    p2p_wr_put_bytes(wr, mac, sizeof(mac));
    return err;
}

static void
put_length(struct p2p_wr *wr, size_t end)
{
    wr->buf[2] = (uint8_t)((end - HEADER_LEN) >> 8);
    wr->buf[3] = (uint8_t)(end - HEADER_LEN);
}

static void
put_fingerprint(struct p2p_wr *wr)
{
    put_length(wr, wr->used + FINGERPRINT_LEN); /* the sum covers the length, too */
    uint32_t sum = p2p_crc32(wr->buf, wr->used) ^ FINGERPRINT_XOR;

    p2p_wr_put_u16(wr, FINGERPRINT);
    p2p_wr_put_u16(wr, 4);
    p2p_wr_put_u32(wr, sum);
}

enum p2p_err
p2p_stun_format(const struct p2p_stun *m, const char *password,
                uint8_t out[P2P_STUN_MAX], size_t *len)
{
    struct p2p_wr wr;
    enum p2p_err err = P2P_OK;

    *len = 0;
    if (memchr(m->username, '\0', sizeof(m->username)) == NULL)
        return P2P_ERR_USAGE;
    p2p_wr_init(&wr, out, P2P_STUN_MAX);
    p2p_wr_put_u16(&wr, type_of(m->class));
    p2p_wr_put_u16(&wr, 0);
    p2p_wr_put_u32(&wr, COOKIE);
    p2p_wr_put_bytes(&wr, m->id.b, sizeof(m->id.b));
    put_attributes(&wr, m);
    if (password != NULL && (err = put_integrity(&wr, password)) == P2P_OK)
        put_fingerprint(&wr);
    put_length(&wr, wr.used);
    return err == P2P_OK ? p2p_wr_end(&wr, len) : err;
}

static void
put_change_port(struct p2p_wr *wr)
{
    p2p_wr_put_u16(wr, CHANGE_REQUEST);
    p2p_wr_put_u16(wr, 4);
    p2p_wr_put_u32(wr, CHANGE_PORT);
}

void
p2p_stun_question(const struct p2p_stun_id *id, bool change_port,
                  uint8_t out[P2P_STUN_QUESTION_LEN])
{
    struct p2p_wr wr;

    memset(out, ' ', P2P_STUN_QUESTION_LEN); /* the name of a program may be anything */
    p2p_wr_init(&wr, out, P2P_STUN_QUESTION_LEN);
    p2p_wr_put_u16(&wr, type_of(P2P_STUN_REQUEST));
    p2p_wr_put_u16(&wr, P2P_STUN_QUESTION_LEN - HEADER_LEN);
    p2p_wr_put_u32(&wr, COOKIE);
    p2p_wr_put_bytes(&wr, id->b, sizeof(id->b));
    if (change_port)
        put_change_port(&wr);
    p2p_wr_put_u16(&wr, SOFTWARE);
    p2p_wr_put_u16(&wr, (uint16_t)(P2P_STUN_QUESTION_LEN - wr.used - 2));
}

bool
p2p_stun_answer(const uint8_t *data, size_t len, const struct p2p_endpoint *from,
                bool *change_port, uint8_t out[P2P_STUN_MAX], size_t *out_len)
{
    struct p2p_stun request, answer = {.class = P2P_STUN_SUCCESS, .mapped = *from};

    *out_len = 0;
    *change_port = false;
    if (p2p_stun_parse(data, len, &request) != P2P_OK ||
        request.class != P2P_STUN_REQUEST || request.has_unknown ||
        from->family == P2P_FAMILY_NONE)
        return false;
    answer.id = request.id;
    *change_port = request.change_port;
    return p2p_stun_format(&answer, NULL, out, out_len) == P2P_OK;
}
