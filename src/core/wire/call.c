/* The bytes that are signed of calls and answers, and for boxes. */
#include "p2p/call.h"

#include <string.h>

#include "p2p/bytes.h"

static const char label_call[] = "p2p/2 reach"; /* each with its NUL */
static const char label_poll[] = "p2p/2 poll";
static const char label_relay[] = "p2p/2 relay";

enum { CANONICAL_MAX = 2560, SETUP_ACTIVE = 1, SETUP_PASSIVE = 2 };

static void
put_short(struct p2p_wr *wr, const char *text)
{
    size_t len = strlen(text);

    wr->failed = wr->failed || len > UINT8_MAX;
    p2p_wr_put_u8(wr, (uint8_t)len);
    p2p_wr_put_bytes(wr, text, len);
}

static void
put_hex(struct p2p_wr *wr, const uint8_t *bytes, size_t len)
{
    char text[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(bytes, len, text);
    put_short(wr, text);
}

/* All of it is empty if there is no channel. Whoever answers speaks first in DTLS. */
static void
put_channel(struct p2p_wr *wr, const struct p2p_call *call)
{
    const struct p2p_call_channel *c = &call->channel;
    uint8_t setup = call->type == P2P_CALL ? SETUP_PASSIVE : SETUP_ACTIVE;

    put_short(wr, c->ufrag);
    put_short(wr, c->pwd);
    p2p_wr_put_bytes(wr, c->fingerprint.b, sizeof(c->fingerprint.b));
    p2p_wr_put_u8(wr, c->ufrag[0] != '\0' ? setup : 0);
    p2p_wr_put_u8(wr, c->candidate_count);
    for (size_t i = 0; i < c->candidate_count; i++)
        put_short(wr, c->candidates[i]);
}

/* An answer is valid only for one call and for what this call offered. */
static void
put_answer(struct p2p_wr *wr, const struct p2p_call *call)
{
    char relay[P2P_ADDR_TEXT] = "";

    if (call->relay.host[0] != '\0')
        p2p_addr_format(&call->relay, relay, sizeof(relay));
    put_short(wr, relay);
    put_short(wr, call->token);
    if (call->channel.ufrag[0] != '\0')
        p2p_wr_put_bytes(wr, call->called.b, sizeof(call->called.b));
}

static enum p2p_err
put_call(const struct p2p_call *call, uint8_t out[CANONICAL_MAX], size_t *len)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, out, CANONICAL_MAX);
    p2p_wr_put_bytes(&wr, label_call, sizeof(label_call));
    p2p_wr_put_u8(&wr, (uint8_t)call->type);
    p2p_wr_put_bytes(&wr, call->session.b, sizeof(call->session.b));
    p2p_wr_put_bytes(&wr, call->from.b, sizeof(call->from.b));
    put_hex(&wr, call->to.b, sizeof(call->to.b));
    if (call->type == P2P_CALL)
        put_hex(&wr, call->reply.b, sizeof(call->reply.b));
    else
        put_short(&wr, "");
    p2p_wr_put_u64(&wr, call->expires_s);
    put_channel(&wr, call);
    if (call->type == P2P_CALL_ANSWER)
        put_answer(&wr, call);
    return p2p_wr_end(&wr, len);
}

enum p2p_err
p2p_call_sign(struct p2p_call *call, const struct p2p_rsa *key)
{
    uint8_t bytes[CANONICAL_MAX];
    size_t len;
    enum p2p_err err;

    call->key = *p2p_rsa_spki(key);
    if ((err = p2p_spki_id(&call->key, &call->from)) != P2P_OK ||
        (err = put_call(call, bytes, &len)) != P2P_OK)
        return err;
    return p2p_pss_sign(key, bytes, len, &call->signature);
}

enum p2p_err
p2p_call_check(const struct p2p_call *call, uint64_t now_s)
{
    uint8_t bytes[CANONICAL_MAX];
    struct p2p_id id;
    size_t len;
    enum p2p_err err;

    if (call->expires_s + P2P_CALL_LATE_MAX_S < now_s ||
        call->expires_s > now_s + P2P_CALL_AHEAD_MAX_S)
        return P2P_ERR_TIMEOUT;
    if ((err = p2p_spki_id(&call->key, &id)) != P2P_OK)
        return err;
    if (!p2p_id_equal(&id, &call->from))
        return P2P_ERR_WRONG_PEER;
    if ((err = put_call(call, bytes, &len)) != P2P_OK)
        return err;
    return p2p_pss_verify(&call->key, bytes, len, &call->signature);
}

/* ---- for a registry ---- */

static enum p2p_err
put_poll(const struct p2p_id *id, uint64_t expires_s, uint8_t out[CANONICAL_MAX],
         size_t *len)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, out, CANONICAL_MAX);
    p2p_wr_put_bytes(&wr, label_poll, sizeof(label_poll));
    p2p_wr_put_bytes(&wr, id->b, sizeof(id->b));
    p2p_wr_put_u64(&wr, expires_s);
    return p2p_wr_end(&wr, len);
}

enum p2p_err
p2p_box_sign(const struct p2p_rsa *key, const struct p2p_id *id, uint64_t expires_s,
             struct p2p_signature *out)
{
    uint8_t bytes[CANONICAL_MAX];
    size_t len;
    enum p2p_err err = put_poll(id, expires_s, bytes, &len);

    return err == P2P_OK ? p2p_pss_sign(key, bytes, len, out) : err;
}

enum p2p_err
p2p_box_verify(const struct p2p_spki *key, const struct p2p_id *id, uint64_t expires_s,
               const struct p2p_signature *signature)
{
    uint8_t bytes[CANONICAL_MAX];
    size_t len;
    enum p2p_err err = put_poll(id, expires_s, bytes, &len);

    return err == P2P_OK ? p2p_pss_verify(key, bytes, len, signature) : err;
}

static enum p2p_err
put_relay_request(const struct p2p_call *call, uint64_t expires_s,
                  uint8_t out[CANONICAL_MAX], size_t *len)
{
    struct p2p_wr wr;

    p2p_wr_init(&wr, out, CANONICAL_MAX);
    p2p_wr_put_bytes(&wr, label_relay, sizeof(label_relay));
    p2p_wr_put_bytes(&wr, call->session.b, sizeof(call->session.b));
    p2p_wr_put_bytes(&wr, call->from.b, sizeof(call->from.b));
    p2p_wr_put_bytes(&wr, call->to.b, sizeof(call->to.b));
    p2p_wr_put_u64(&wr, expires_s);
    return p2p_wr_end(&wr, len);
}

enum p2p_err
p2p_relay_request_sign(const struct p2p_rsa *key, const struct p2p_call *call,
                       uint64_t expires_s, struct p2p_signature *out)
{
    uint8_t bytes[CANONICAL_MAX];
    size_t len;
    enum p2p_err err = put_relay_request(call, expires_s, bytes, &len);

    return err == P2P_OK ? p2p_pss_sign(key, bytes, len, out) : err;
}

enum p2p_err
p2p_relay_request_verify(const struct p2p_spki *key, const struct p2p_call *call,
                         uint64_t expires_s, const struct p2p_signature *signature)
{
    uint8_t bytes[CANONICAL_MAX];
    size_t len;
    enum p2p_err err = put_relay_request(call, expires_s, bytes, &len);

    return err == P2P_OK ? p2p_pss_verify(key, bytes, len, signature) : err;
}
