/* Calls of guests and their answers (PROTOCOL.md, "Links"). The MAC is over lines of
 * text: each value as it is in the JSON, so that a page in a browser needs no encoding
 * of its own. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/json.h"
#include "p2p/bytes.h"
#include "p2p/link.h"

/* The longest text: a title, some values of at most 80 characters, the candidates. */
#define SIGNED_MAX (1024 + P2P_CALL_CANDIDATES_MAX * (P2P_CALL_CANDIDATE_TEXT + 1))

struct lines {
    size_t len;
    char text[SIGNED_MAX];
};

static void
add_line(struct lines *l, const char *value)
{
    int n = snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s\n", value);

    if (n > 0)
        l->len += (size_t)n;
    if (l->len >= sizeof(l->text))
        l->len = sizeof(l->text) - 1; /* cannot happen: every value is bounded */
}

static void
add_hex_line(struct lines *l, const uint8_t *bytes, size_t len)
{
    char hex[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(bytes, len, hex);
    add_line(l, hex);
}

static void
add_channel_lines(struct lines *l, const struct p2p_call_channel *c)
{
    add_line(l, c->ufrag);
    add_line(l, c->pwd);
    add_hex_line(l, c->fingerprint.b, sizeof(c->fingerprint.b));
    for (size_t i = 0; i < c->candidate_count; i++)
        add_line(l, c->candidates[i]);
}

/* HMAC-SHA-256, which is what HKDF-Extract computes. */
static enum p2p_err
seal(const struct p2p_link_keys *keys, const struct lines *l, struct p2p_secret *out)
{
    struct p2p_digest key;
    enum p2p_err err;

    memcpy(key.b, keys->mac.b, sizeof(key.b));
    err = p2p_hkdf_extract(&key, l->text, l->len, out);
    p2p_wipe(&key, sizeof(key));
    return err;
}

static enum p2p_err
seal_call(const struct p2p_guest_call *call, const struct p2p_link_keys *keys,
          struct p2p_secret *out)
{
    struct lines l = {.len = 0};
    char expires[P2P_U64_TEXT_MAX];

    add_line(&l, "p2p link call");
    add_hex_line(&l, call->session.b, sizeof(call->session.b));
    add_hex_line(&l, call->guest.b, sizeof(call->guest.b));
    add_hex_line(&l, call->box.b, sizeof(call->box.b));
    add_hex_line(&l, call->reply.b, sizeof(call->reply.b));
    p2p_u64_format(call->expires_s, expires);
    add_line(&l, expires);
    add_channel_lines(&l, &call->channel);
    return seal(keys, &l, out);
}

/* It names the fingerprint of the call, so it cannot be moved to another one. */
static void
put_answer(struct lines *l, const struct p2p_guest_call *call,
           const struct p2p_id *peer, const struct p2p_call_channel *channel)
{
    l->len = 0;
    add_line(l, "p2p link answer");
    add_hex_line(l, call->session.b, sizeof(call->session.b));
    add_hex_line(l, call->channel.fingerprint.b, sizeof(call->channel.fingerprint.b));
    add_hex_line(l, peer->b, sizeof(peer->b));
    add_channel_lines(l, channel);
}

/* ---- the signature: who has the link could have made the MAC as well ---- */

struct signed_lines {
    size_t len;
    char b[16 + SIGNED_MAX];
};

static void
put_signed(struct signed_lines *s, const struct lines *l)
{
    static const char label[] = "p2p/2 link"; /* with its NUL */

    memcpy(s->b, label, sizeof(label));
    memcpy(s->b + sizeof(label), l->text, l->len);
    s->len = sizeof(label) + l->len;
}

static bool
add_signature(cJSON *object, const struct p2p_rsa *key, const struct lines *l)
{
    char pem[P2P_PEM_LEN + 1], text[P2P_BASE64_TEXT(P2P_RSA_LEN)];
    struct p2p_signature signature;
    struct signed_lines s;

    if (key == NULL)
        return true;
    put_signed(&s, l);
    if (p2p_pss_sign(key, s.b, s.len, &signature) != P2P_OK)
        return false;
    p2p_spki_to_pem(p2p_rsa_spki(key), pem);
    p2p_base64_format(signature.b, sizeof(signature.b), text);
    return cJSON_AddStringToObject(object, "key", pem) != NULL &&
           cJSON_AddStringToObject(object, "sig", text) != NULL;
}

/* An older peer does not sign. What is signed must be signed by the peer. */
static enum p2p_err
check_signature(const cJSON *object, const struct p2p_id *peer, const struct lines *l)
{
    const char *pem = p2p_json_text(object, "key"),
               *text = p2p_json_text(object, "sig");
    struct p2p_signature signature;
    struct signed_lines s;
    struct p2p_spki key;
    struct p2p_id id;

    if (pem == NULL && text == NULL)
        return P2P_OK;
    if (pem == NULL || text == NULL ||
        p2p_spki_from_pem(pem, strlen(pem), &key) != P2P_OK ||
        !p2p_base64_parse(text, signature.b, sizeof(signature.b)) ||
        p2p_spki_id(&key, &id) != P2P_OK || !p2p_id_equal(&id, peer))
        return P2P_ERR_AUTH;
    put_signed(&s, l);
    return p2p_pss_verify(&key, s.b, s.len, &signature);
}

/* ---- writing ---- */

static bool
add_hex(cJSON *object, const char *name, const uint8_t *bytes, size_t len)
{
    char text[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(bytes, len, text);
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

static char *
finish(cJSON *object, bool is_good)
{
    char *text = is_good ? cJSON_PrintUnformatted(object) : NULL;

    cJSON_Delete(object);
    return text;
}

char *
p2p_guest_call_format(const struct p2p_guest_call *call,
                      const struct p2p_link_keys *keys)
{
    cJSON *object = cJSON_CreateObject();
    struct p2p_secret mac;

    return finish(
        object,
        object != NULL && seal_call(call, keys, &mac) == P2P_OK &&
            cJSON_AddNumberToObject(object, "v", 1) != NULL &&
            cJSON_AddStringToObject(object, "type", "guest") != NULL &&
            add_hex(object, "session", call->session.b, sizeof(call->session.b)) &&
            add_hex(object, "guest", call->guest.b, sizeof(call->guest.b)) &&
            add_hex(object, "to", call->box.b, sizeof(call->box.b)) &&
            add_hex(object, "reply", call->reply.b, sizeof(call->reply.b)) &&
            cJSON_AddNumberToObject(object, "expires", (double)call->expires_s) !=
                NULL &&
            p2p_call_channel_put(object, &call->channel, "passive") &&
            add_hex(object, "mac", mac.b, sizeof(mac.b)));
}

char *
p2p_guest_answer_format(const struct p2p_guest_call *call,
                        const struct p2p_link_keys *keys, const struct p2p_rsa *key,
                        const struct p2p_id *peer,
                        const struct p2p_call_channel *channel)
{
    cJSON *object = cJSON_CreateObject();
    struct p2p_secret mac;
    struct lines l;

    put_answer(&l, call, peer, channel);
    return finish(object, object != NULL && seal(keys, &l, &mac) == P2P_OK &&
                              cJSON_AddNumberToObject(object, "v", 1) != NULL &&
                              cJSON_AddStringToObject(object, "type", "host") != NULL &&
                              add_hex(object, "session", call->session.b,
                                      sizeof(call->session.b)) &&
                              add_hex(object, "from", peer->b, sizeof(peer->b)) &&
                              p2p_call_channel_put(object, channel, "active") &&
                              add_signature(object, key, &l) &&
                              add_hex(object, "mac", mac.b, sizeof(mac.b)));
}

/* ---- reading ---- */

static bool
get_hex(const cJSON *object, const char *name, uint8_t *out, size_t len)
{
    const char *text = p2p_json_text(object, name);

    return text != NULL && p2p_hex_parse(text, out, len) == P2P_OK;
}

/* A value of several lines could pass for several values. */
static bool
is_one_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

static bool
is_plain(const struct p2p_call_channel *c)
{
    bool is_good = is_one_line(c->ufrag) && is_one_line(c->pwd);

    for (size_t i = 0; i < c->candidate_count; i++)
        is_good = is_good && is_one_line(c->candidates[i]);
    return is_good;
}

static bool
get_call(const cJSON *object, struct p2p_guest_call *out, struct p2p_secret *mac)
{
    const char *type = p2p_json_text(object, "type");
    uint64_t version;

    return p2p_json_u64(object, "v", 1, &version) && version == 1 && type != NULL &&
           strcmp(type, "guest") == 0 &&
           get_hex(object, "session", out->session.b, sizeof(out->session.b)) &&
           get_hex(object, "guest", out->guest.b, sizeof(out->guest.b)) &&
           get_hex(object, "to", out->box.b, sizeof(out->box.b)) &&
           get_hex(object, "reply", out->reply.b, sizeof(out->reply.b)) &&
           p2p_json_u64(object, "expires", UINT32_MAX, &out->expires_s) &&
           get_hex(object, "mac", mac->b, sizeof(mac->b)) &&
           p2p_call_channel_get(object, "passive", &out->channel) &&
           is_plain(&out->channel);
}

static enum p2p_err
check(const struct p2p_guest_call *call, const struct p2p_link_keys *keys,
      const struct p2p_secret *mac, uint64_t now_s)
{
    struct p2p_secret right;
    enum p2p_err err = seal_call(call, keys, &right);

    if (err != P2P_OK)
        return err;
    if (!p2p_equal_ct(right.b, mac->b, sizeof(right.b)) ||
        memcmp(call->box.b, keys->box.b, sizeof(call->box.b)) != 0)
        return P2P_ERR_AUTH;
    if (call->expires_s + P2P_CALL_LATE_MAX_S < now_s ||
        call->expires_s > now_s + P2P_CALL_AHEAD_MAX_S)
        return P2P_ERR_TIMEOUT;
    return P2P_OK;
}

enum p2p_err
p2p_guest_call_parse(const char *text, size_t len, const struct p2p_link_keys *keys,
                     uint64_t now_s, struct p2p_guest_call *out)
{
    struct p2p_secret mac;
    cJSON *object;
    enum p2p_err err = P2P_ERR_MALFORMED;

    memset(out, 0, sizeof(*out));
    if (len > P2P_CALL_TEXT_MAX)
        return P2P_ERR_TOO_LARGE;
    object = p2p_json_parse(text, len);
    if (cJSON_IsObject(object) && get_call(object, out, &mac))
        err = check(out, keys, &mac, now_s);
    cJSON_Delete(object);
    if (err != P2P_OK)
        memset(out, 0, sizeof(*out));
    return err;
}

static bool
get_answer(const cJSON *object, const struct p2p_guest_call *call, struct p2p_id *peer,
           struct p2p_call_channel *channel, struct p2p_secret *mac)
{
    const char *type = p2p_json_text(object, "type");
    struct p2p_session_id session;
    uint64_t version;

    return p2p_json_u64(object, "v", 1, &version) && version == 1 && type != NULL &&
           strcmp(type, "host") == 0 &&
           get_hex(object, "session", session.b, sizeof(session.b)) &&
           memcmp(&session, &call->session, sizeof(session)) == 0 &&
           get_hex(object, "from", peer->b, sizeof(peer->b)) &&
           get_hex(object, "mac", mac->b, sizeof(mac->b)) &&
           p2p_call_channel_get(object, "active", channel) && is_plain(channel);
}

enum p2p_err
p2p_guest_answer_parse(const char *text, size_t len, const struct p2p_guest_call *call,
                       const struct p2p_link_keys *keys, struct p2p_id *peer,
                       struct p2p_call_channel *channel)
{
    struct p2p_secret mac, right;
    struct lines l;
    cJSON *object;
    enum p2p_err err = P2P_ERR_MALFORMED;

    memset(peer, 0, sizeof(*peer));
    memset(channel, 0, sizeof(*channel));
    if (len > P2P_CALL_TEXT_MAX)
        return P2P_ERR_TOO_LARGE;
    object = p2p_json_parse(text, len);
    if (cJSON_IsObject(object) && get_answer(object, call, peer, channel, &mac)) {
        put_answer(&l, call, peer, channel);
        err = seal(keys, &l, &right);
    }
    if (err == P2P_OK && !p2p_equal_ct(right.b, mac.b, sizeof(right.b)))
        err = P2P_ERR_AUTH;
    if (err == P2P_OK)
        err = check_signature(object, peer, &l);
    cJSON_Delete(object);
    if (err != P2P_OK)
        memset(channel, 0, sizeof(*channel));
    return err;
}
