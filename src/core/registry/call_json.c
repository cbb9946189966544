/* Calls and answers as JSON, as they lie in boxes. */
#include <cjson/cJSON.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/bytes.h"
#include "p2p/call.h"

/* ---- writing ---- */

static bool
add_hex(cJSON *object, const char *name, const uint8_t *bytes, size_t len)
{
    char text[P2P_ID_HEX_LEN + 1];

    p2p_hex_format(bytes, len, text);
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

static bool
add_relay(cJSON *object, const struct p2p_call *call)
{
    cJSON *relay = cJSON_AddObjectToObject(object, "relay");

    return relay != NULL &&
           cJSON_AddStringToObject(relay, "host", call->relay.host) != NULL &&
           cJSON_AddNumberToObject(relay, "port", call->relay.port) != NULL &&
           cJSON_AddStringToObject(relay, "token", call->token) != NULL;
}

/* Words of WebRTC: what a browser needs to hear. */
bool
p2p_call_channel_put(cJSON *object, const struct p2p_call_channel *c, const char *setup)
{
    cJSON *list;

    if (c->ufrag[0] == '\0')
        return true;
    if (cJSON_AddStringToObject(object, "ufrag", c->ufrag) == NULL ||
        cJSON_AddStringToObject(object, "pwd", c->pwd) == NULL ||
        !add_hex(object, "fingerprint", c->fingerprint.b, sizeof(c->fingerprint.b)) ||
        cJSON_AddStringToObject(object, "setup", setup) == NULL ||
        (list = cJSON_AddArrayToObject(object, "candidates")) == NULL)
        return false;
    for (size_t i = 0; i < c->candidate_count; i++)
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(c->candidates[i])))
            return false;
    return true;
}

static bool
add_all(cJSON *object, const struct p2p_call *call)
{
    bool is_call = call->type == P2P_CALL;
    char pem[P2P_PEM_LEN + 1], signature[P2P_BASE64_TEXT(P2P_RSA_LEN)];

    p2p_spki_to_pem(&call->key, pem);
    p2p_base64_format(call->signature.b, sizeof(call->signature.b), signature);
    return cJSON_AddNumberToObject(object, "v", 1) != NULL &&
           cJSON_AddStringToObject(object, "type", is_call ? "offer" : "answer") !=
               NULL &&
           add_hex(object, "session", call->session.b, sizeof(call->session.b)) &&
           add_hex(object, "from", call->from.b, sizeof(call->from.b)) &&
           add_hex(object, "to", call->to.b, sizeof(call->to.b)) &&
           cJSON_AddStringToObject(object, "key", pem) != NULL &&
           cJSON_AddNumberToObject(object, "expires", (double)call->expires_s) !=
               NULL &&
           (is_call ? add_hex(object, "reply", call->reply.b, sizeof(call->reply.b))
                    : call->relay.host[0] == '\0' || add_relay(object, call)) &&
           p2p_call_channel_put(object, &call->channel,
                                is_call ? "passive" : "active") &&
           cJSON_AddStringToObject(object, "sig", signature) != NULL;
}

char *
p2p_call_format(const struct p2p_call *call)
{
    cJSON *object = cJSON_CreateObject();
    char *text = NULL;

    if (object != NULL && add_all(object, call))
        text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return text;
}

/* ---- reading ---- */

static bool
get_hex(const cJSON *object, const char *name, uint8_t *out, size_t len)
{
    const char *text = p2p_json_text(object, name);

    return text != NULL && p2p_hex_parse(text, out, len) == P2P_OK;
}

static bool
copy_text(const cJSON *object, const char *name, char *out, size_t cap)
{
    const char *text = p2p_json_text(object, name);

    if (text == NULL || text[0] == '\0' || strlen(text) >= cap)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool
get_candidates(const cJSON *object, struct p2p_call_channel *out)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "candidates"), *item;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > P2P_CALL_CANDIDATES_MAX)
        return false;
    cJSON_ArrayForEach(item, list)
    {
        const char *text = cJSON_GetStringValue(item);

        if (text == NULL || strlen(text) >= P2P_CALL_CANDIDATE_TEXT)
            return false;
        memcpy(out->candidates[out->candidate_count++], text, strlen(text) + 1);
    }
    return true;
}

bool
p2p_call_channel_get(const cJSON *object, const char *right, struct p2p_call_channel *c)
{
    const char *setup = p2p_json_text(object, "setup");

    return copy_text(object, "ufrag", c->ufrag, sizeof(c->ufrag)) &&
           copy_text(object, "pwd", c->pwd, sizeof(c->pwd)) &&
           get_hex(object, "fingerprint", c->fingerprint.b, sizeof(c->fingerprint.b)) &&
           setup != NULL && strcmp(setup, right) == 0 && get_candidates(object, c);
}

/* No ufrag: it cannot, or does not want to. */
static bool
get_channel(const cJSON *object, struct p2p_call *out)
{
    if (cJSON_GetObjectItemCaseSensitive(object, "ufrag") == NULL)
        return true;
    return p2p_call_channel_get(object, out->type == P2P_CALL ? "passive" : "active",
                                &out->channel);
}

/* An answer names a relay, or a channel, or both. */
static bool
get_relay(const cJSON *object, struct p2p_call *out)
{
    const cJSON *relay = cJSON_GetObjectItemCaseSensitive(object, "relay");
    const char *host = p2p_json_text(relay, "host");
    const char *token = p2p_json_text(relay, "token");
    uint64_t port;

    if (relay == NULL)
        return cJSON_GetObjectItemCaseSensitive(object, "ufrag") != NULL;
    if (host == NULL || token == NULL || strlen(token) >= sizeof(out->token) ||
        !p2p_json_u64(relay, "port", UINT16_MAX, &port) ||
        p2p_addr_make(host, (uint16_t)port, &out->relay) != P2P_OK)
        return false;
    memcpy(out->token, token, strlen(token) + 1);
    return p2p_relay_token_is_text(token); /* it is sent to the relay in a line */
}

static bool
get_type(const cJSON *object, enum p2p_call_type *out)
{
    const char *type = p2p_json_text(object, "type");

    if (type == NULL)
        return false;
    *out = strcmp(type, "offer") == 0 ? P2P_CALL : P2P_CALL_ANSWER;
    return *out == P2P_CALL || strcmp(type, "answer") == 0;
}

static bool
get_all(const cJSON *object, struct p2p_call *out)
{
    const char *pem = p2p_json_text(object, "key");
    uint64_t version;

    return p2p_json_u64(object, "v", 1, &version) && version == 1 &&
           get_type(object, &out->type) &&
           get_hex(object, "session", out->session.b, sizeof(out->session.b)) &&
           get_hex(object, "from", out->from.b, sizeof(out->from.b)) &&
           get_hex(object, "to", out->to.b, sizeof(out->to.b)) && pem != NULL &&
           p2p_spki_from_pem(pem, strlen(pem), &out->key) == P2P_OK &&
           p2p_json_u64(object, "expires", UINT32_MAX, &out->expires_s) &&
           (out->type == P2P_CALL
                ? get_hex(object, "reply", out->reply.b, sizeof(out->reply.b))
                : get_relay(object, out)) &&
           get_channel(object, out) &&
           p2p_base64_parse(p2p_json_text(object, "sig"), out->signature.b,
                            sizeof(out->signature.b));
}

enum p2p_err
p2p_call_parse(const char *text, size_t len, struct p2p_call *out)
{
    cJSON *object;
    bool is_good;

    memset(out, 0, sizeof(*out));
    if (len > P2P_CALL_TEXT_MAX)
        return P2P_ERR_TOO_LARGE;
    object = p2p_json_parse(text, len);
    is_good = cJSON_IsObject(object) && get_all(object, out);
    cJSON_Delete(object);
    if (!is_good)
        memset(out, 0, sizeof(*out));
    return is_good ? P2P_OK : P2P_ERR_MALFORMED;
}
