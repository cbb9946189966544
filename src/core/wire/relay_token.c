#include "p2p/relay.h"

#include <string.h>

#include "p2p/bytes.h"

enum { SIGNED_LEN = P2P_RELAY_TOKEN_LEN - P2P_RELAY_MAC_LEN };

static bool
is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum p2p_err
p2p_relay_key(const void *secret, size_t len, struct p2p_secret *key)
{
    const uint8_t *at = secret;
    struct p2p_digest digest;
    enum p2p_err err;

    memset(key, 0, sizeof(*key));
    while (len > 0 && is_space(at[len - 1]))
        len--;
    if (len < P2P_RELAY_SECRET_MIN)
        return P2P_ERR_USAGE;
    err = p2p_sha256(secret, len, &digest);
    if (err == P2P_OK)
        memcpy(key->b, digest.b, sizeof(key->b));
    p2p_wipe(&digest, sizeof(digest));
    return err;
}

/* HMAC-SHA-256, which is what HKDF-Extract computes (RFC 5869, 2.2). */
static enum p2p_err
make_mac(const struct p2p_secret *key, const uint8_t *data, size_t len,
         uint8_t mac[P2P_RELAY_MAC_LEN])
{
    struct p2p_digest as_salt;
    struct p2p_secret full;
    enum p2p_err err;

    memcpy(as_salt.b, key->b, sizeof(as_salt.b));
    err = p2p_hkdf_extract(&as_salt, data, len, &full);
    if (err == P2P_OK)
        memcpy(mac, full.b, P2P_RELAY_MAC_LEN);
    p2p_wipe(&as_salt, sizeof(as_salt));
    p2p_wipe(&full, sizeof(full));
    return err;
}

enum p2p_err
p2p_relay_token_format(const struct p2p_secret *key,
                       const struct p2p_relay_token *token,
                       char out[P2P_RELAY_TOKEN_TEXT])
{
    uint8_t bytes[P2P_RELAY_TOKEN_LEN];
    struct p2p_wr wr;
    size_t len;
    enum p2p_err err;

    out[0] = '\0';
    p2p_wr_init(&wr, bytes, SIGNED_LEN);
    p2p_wr_put_u64(&wr, token->expires_s);
    p2p_wr_put_bytes(&wr, token->session.b, sizeof(token->session.b));
    p2p_wr_put_bytes(&wr, token->from.b, sizeof(token->from.b));
    p2p_wr_put_bytes(&wr, token->to.b, sizeof(token->to.b));
    p2p_wr_put_u8(&wr, (uint8_t)token->side);
    p2p_wr_put_u64(&wr, token->bytes);
    if ((err = p2p_wr_end(&wr, &len)) != P2P_OK ||
        (err = make_mac(key, bytes, len, bytes + SIGNED_LEN)) != P2P_OK)
        return err;
    p2p_base64url_format(bytes, sizeof(bytes), out);
    return P2P_OK;
}

bool
p2p_relay_token_is_text(const char *text)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(text);

    return len > 0 && len < P2P_RELAY_TOKEN_TEXT && text[strspn(text, digits)] == '\0';
}

static enum p2p_err
get_token(const uint8_t *bytes, struct p2p_relay_token *out)
{
    struct p2p_rd rd;
    uint8_t side;

    p2p_rd_init(&rd, bytes, SIGNED_LEN);
    out->expires_s = p2p_rd_get_u64(&rd);
    p2p_rd_get_bytes(&rd, out->session.b, sizeof(out->session.b));
    p2p_rd_get_bytes(&rd, out->from.b, sizeof(out->from.b));
    p2p_rd_get_bytes(&rd, out->to.b, sizeof(out->to.b));
    side = p2p_rd_get_u8(&rd);
    out->side = side == P2P_RELAY_CALLEE ? P2P_RELAY_CALLEE : P2P_RELAY_CALLER;
    out->bytes = p2p_rd_get_u64(&rd);
    return side > P2P_RELAY_CALLEE ? P2P_ERR_MALFORMED : p2p_rd_end(&rd);
}

enum p2p_err
p2p_relay_token_parse(const struct p2p_secret *key, const char *text, size_t len,
                      struct p2p_relay_token *out)
{
    uint8_t bytes[P2P_RELAY_TOKEN_LEN], mac[P2P_RELAY_MAC_LEN];
    enum p2p_err err;

    memset(out, 0, sizeof(*out));
    if (!p2p_base64url_parse(text, len, bytes, sizeof(bytes)))
        return P2P_ERR_MALFORMED;
    if ((err = make_mac(key, bytes, SIGNED_LEN, mac)) != P2P_OK)
        return err;
    if (!p2p_equal_ct(mac, bytes + SIGNED_LEN, sizeof(mac)))
        return P2P_ERR_AUTH;
    return get_token(bytes, out);
}
