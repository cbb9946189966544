/* The messages of a code, and whose turn it is. */
#include "p2p/exchange.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/json.h"
#include "p2p/base64.h"
#include "p2p/bytes.h"

#define NAME_SENDER   "p2p send"
#define NAME_RECEIVER "p2p receive"

enum { AAD_MAX = 64 };

/* ---- sealing ---- */

/* One key each way; the number of the text is the nonce. */
static enum p2p_err
seal_key(const struct p2p_exchange *x, enum p2p_exchange_side from,
         struct p2p_secret *out)
{
    static const char sender[] = "p2p/2 code sender",
                      receiver[] = "p2p/2 code receiver";

    return from == P2P_EXCHANGE_SENDER
               ? p2p_hkdf_expand(&x->keys.key, sender, sizeof(sender), out)
               : p2p_hkdf_expand(&x->keys.key, receiver, sizeof(receiver), out);
}

static struct p2p_nonce
nonce_of(uint64_t n)
{
    struct p2p_nonce nonce = {{0}};

    for (unsigned i = 0; i < 8; i++)
        nonce.b[4 + i] = (uint8_t)(n >> (56 - 8 * i));
    return nonce;
}

/* *Returns owned* base64 text, NULL after an error. */
static char *
seal(struct p2p_exchange *x, const char *type, const char *inner)
{
    size_t len = strlen(inner);
    uint8_t *bytes = malloc(len + P2P_TAG_LEN);
    char *text = malloc(P2P_BASE64_TEXT(len + P2P_TAG_LEN));
    struct p2p_nonce nonce = nonce_of(x->sealed);
    struct p2p_secret key;

    if (bytes != NULL && text != NULL && seal_key(x, x->side, &key) == P2P_OK &&
        p2p_gcm_seal(&key, &nonce, type, strlen(type), (const uint8_t *)inner, len,
                     bytes, bytes + len) == P2P_OK) {
        p2p_base64_format(bytes, len + P2P_TAG_LEN, text);
        x->sealed++;
    } else {
        free(text);
        text = NULL;
    }
    p2p_wipe(&key, sizeof(key));
    free(bytes);
    return text;
}

/* How many bytes a base64 text stands for; 0: it is not one. */
static size_t
base64_bytes(const char *text)
{
    size_t len = strlen(text), padding = 0;

    if (len == 0 || len % 4 != 0)
        return 0;
    while (padding < 2 && text[len - 1 - padding] == '=')
        padding++;
    return len / 4 * 3 - padding;
}

/* *Returns owned* text, NULL if it is not from the other side. */
static char *
open_sealed(struct p2p_exchange *x, const char *type, const char *sealed)
{
    enum p2p_exchange_side from =
        x->side == P2P_EXCHANGE_SENDER ? P2P_EXCHANGE_RECEIVER : P2P_EXCHANGE_SENDER;
    size_t len = sealed != NULL ? base64_bytes(sealed) : 0;
    struct p2p_nonce nonce = nonce_of(x->opened);
    uint8_t *bytes = len >= P2P_TAG_LEN ? malloc(len + 1) : NULL;
    struct p2p_secret key;
    bool is_good =
        bytes != NULL && p2p_base64_parse(sealed, bytes, len) &&
        seal_key(x, from, &key) == P2P_OK &&
        p2p_gcm_open(&key, &nonce, type, strlen(type), bytes, len - P2P_TAG_LEN, bytes,
                     bytes + len - P2P_TAG_LEN) == P2P_OK;

    p2p_wipe(&key, sizeof(key));
    /* A NUL would end the text early for those who read it. */
    if (is_good)
        is_good = memchr(bytes, '\0', len - P2P_TAG_LEN) == NULL;
    if (!is_good) {
        free(bytes);
        return NULL;
    }
    bytes[len - P2P_TAG_LEN] = '\0';
    x->opened++;
    return (char *)bytes;
}

/* ---- messages ---- */

static cJSON *
message(const char *type)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "v", 1);
    cJSON_AddStringToObject(json, "type", type);
    return json;
}

static char *
print(cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    return text;
}

static void
put_share(cJSON *json, const struct p2p_spake2_share *share)
{
    char text[P2P_BASE64_TEXT(P2P_SPAKE2_SHARE_LEN)];

    p2p_base64_format(share->b, sizeof(share->b), text);
    cJSON_AddStringToObject(json, "share", text);
}

static char *
print_sealed(struct p2p_exchange *x, const char *type, const char *inner, bool proves)
{
    char proof[P2P_BASE64_TEXT(P2P_DIGEST_LEN)], *sealed = seal(x, type, inner);
    cJSON *json = sealed != NULL ? message(type) : NULL;

    if (json != NULL && proves) {
        p2p_base64_format(x->keys.own_proof.b, sizeof(x->keys.own_proof.b), proof);
        cJSON_AddStringToObject(json, "proof", proof);
    }
    if (json != NULL)
        cJSON_AddStringToObject(json, "sealed", sealed);
    free(sealed);
    return json != NULL ? print(json) : NULL;
}

char *
p2p_exchange_hello(const struct p2p_exchange *x)
{
    char box[2 * sizeof(x->reply.b) + 1];
    cJSON *json = message("hello");

    p2p_hex_format(x->reply.b, sizeof(x->reply.b), box);
    cJSON_AddStringToObject(json, "reply", box);
    put_share(json, &x->run.share);
    return print(json);
}

/* ---- taking ---- */

static enum p2p_err
agree(struct p2p_exchange *x, const cJSON *json)
{
    char box[2 * sizeof(x->box.b) + 1], aad[AAD_MAX];
    struct p2p_spake2_context context = {NAME_SENDER, NAME_RECEIVER, aad, 0};
    struct p2p_spake2_share theirs;

    p2p_hex_format(x->box.b, sizeof(x->box.b), box);
    context.aad_len = (size_t)snprintf(aad, sizeof(aad), "p2p/2 code %u %s",
                                       (unsigned)x->number, box);
    if (!p2p_base64_parse(p2p_json_text(json, "share"), theirs.b, sizeof(theirs.b)))
        return P2P_ERR_MALFORMED;
    return p2p_spake2_finish(&x->run, &context, &theirs, &x->keys);
}

static enum p2p_exchange_news
give_up(struct p2p_exchange *x, char **answer)
{
    x->state = P2P_EXCHANGE_USED_UP;
    p2p_wipe(&x->keys, sizeof(x->keys));
    if (x->side == P2P_EXCHANGE_SENDER)
        *answer = print(message("wrong"));
    return P2P_EXCHANGE_WRONG;
}

/* Sender: the first one who comes has the guess. */
static enum p2p_exchange_news
take_hello(struct p2p_exchange *x, const cJSON *json, char **answer)
{
    const char *box = p2p_json_text(json, "reply");
    cJSON *share;

    if (x->state != P2P_EXCHANGE_OPEN || box == NULL ||
        p2p_hex_parse(box, x->reply.b, sizeof(x->reply.b)) != P2P_OK)
        return P2P_EXCHANGE_NOTHING;
    if (agree(x, json) != P2P_OK)
        return give_up(x, answer);
    x->state = P2P_EXCHANGE_SHARED;
    share = message("share");
    put_share(share, &x->run.share);
    *answer = print(share);
    return P2P_EXCHANGE_SHARE;
}

static bool
is_proven(const struct p2p_exchange *x, const cJSON *json)
{
    struct p2p_digest proof;

    return p2p_base64_parse(p2p_json_text(json, "proof"), proof.b, sizeof(proof.b)) &&
           p2p_spake2_check(&x->keys, &proof) == P2P_OK;
}

/* Either side: the other one's proof with its text. */
static enum p2p_exchange_news
take_proof(struct p2p_exchange *x, const char *type, const cJSON *json, char **answer,
           char **inner)
{
    if (x->state != P2P_EXCHANGE_SHARED)
        return P2P_EXCHANGE_NOTHING;
    if (!is_proven(x, json) ||
        (*inner = open_sealed(x, type, p2p_json_text(json, "sealed"))) == NULL)
        return give_up(x, answer);
    x->state = P2P_EXCHANGE_AGREED;
    return P2P_EXCHANGE_PROVEN;
}

/* The receiver gets the sender's share of the key. Its answer proves that it knows the
 * words of the code. */
static enum p2p_exchange_news
take_share(struct p2p_exchange *x, const cJSON *json, const char *own, char **answer)
{
    if (x->state != P2P_EXCHANGE_OPEN)
        return P2P_EXCHANGE_NOTHING;
    if (agree(x, json) != P2P_OK)
        return give_up(x, answer);
    x->state = P2P_EXCHANGE_SHARED;
    *answer = print_sealed(x, "proof", own, true);
    return *answer != NULL ? P2P_EXCHANGE_SHARE : P2P_EXCHANGE_NOTHING;
}

static enum p2p_exchange_news
take_done(struct p2p_exchange *x, const cJSON *json)
{
    char *inner = x->state == P2P_EXCHANGE_AGREED && !x->is_done
                      ? open_sealed(x, "done", p2p_json_text(json, "sealed"))
                      : NULL;

    x->is_done = x->is_done || inner != NULL;
    enum p2p_exchange_news news =
        inner != NULL ? P2P_EXCHANGE_DONE : P2P_EXCHANGE_NOTHING;
    free(inner);
    return news;
}

static enum p2p_exchange_news
take(struct p2p_exchange *x, const cJSON *json, const char *own, char **answer,
     char **inner)
{
    const char *type = p2p_json_text(json, "type");
    bool is_sender = x->side == P2P_EXCHANGE_SENDER;

    if (type == NULL)
        return P2P_EXCHANGE_NOTHING;
    if (is_sender && strcmp(type, "claimed") == 0)
        return x->state == P2P_EXCHANGE_OPEN ? P2P_EXCHANGE_CLAIMED
                                             : P2P_EXCHANGE_NOTHING;
    if (is_sender && strcmp(type, "hello") == 0)
        return take_hello(x, json, answer);
    if (is_sender && strcmp(type, "proof") == 0)
        return take_proof(x, type, json, answer, inner);
    if (is_sender && strcmp(type, "done") == 0)
        return take_done(x, json);
    if (!is_sender && strcmp(type, "share") == 0)
        return take_share(x, json, own, answer);
    if (!is_sender && strcmp(type, "offer") == 0)
        return take_proof(x, type, json, answer, inner);
    if (!is_sender && strcmp(type, "wrong") == 0 && x->state != P2P_EXCHANGE_AGREED)
        return give_up(x, answer);
    return P2P_EXCHANGE_NOTHING;
}

enum p2p_exchange_news
p2p_exchange_take(struct p2p_exchange *x, const char *text, size_t len, const char *own,
                  char **answer, char **inner)
{
    cJSON *json = len <= P2P_EXCHANGE_TEXT_MAX ? p2p_json_parse(text, len) : NULL;
    enum p2p_exchange_news news = P2P_EXCHANGE_NOTHING;

    *answer = *inner = NULL;
    if (cJSON_IsObject(json))
        news = take(x, json, own, answer, inner);
    cJSON_Delete(json);
    return news;
}

/* ---- the rest ---- */

static enum p2p_err
send_sealed(struct p2p_exchange *x, const char *type, const char *inner, bool proves,
            char **out)
{
    *out = NULL;
    if (x->state != P2P_EXCHANGE_AGREED)
        return P2P_ERR_PROTOCOL;
    if (strlen(inner) > P2P_EXCHANGE_INNER_MAX)
        return P2P_ERR_TOO_LARGE;
    *out = print_sealed(x, type, inner, proves);
    return *out != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

enum p2p_err
p2p_exchange_offer(struct p2p_exchange *x, const char *inner, char **out)
{
    return send_sealed(x, "offer", inner, true, out);
}

enum p2p_err
p2p_exchange_finish(struct p2p_exchange *x, char **out)
{
    return send_sealed(x, "done", "{}", false, out);
}

enum p2p_err
p2p_exchange_begin(struct p2p_exchange *x, enum p2p_exchange_side side,
                   const struct p2p_code *code, const struct p2p_box_number *box,
                   const struct p2p_box_number *reply)
{
    char secret[P2P_CODE_SECRET];

    *x = (struct p2p_exchange){.side = side, .number = code->number, .box = *box};
    if (reply != NULL)
        x->reply = *reply;
    p2p_code_secret(code, secret);
    enum p2p_err err =
        p2p_spake2_begin(side == P2P_EXCHANGE_SENDER ? P2P_SPAKE2_A : P2P_SPAKE2_B,
                         secret, strlen(secret), &x->run);
    p2p_wipe(secret, sizeof(secret));
    return err;
}

void
p2p_exchange_clear(struct p2p_exchange *x)
{
    p2p_wipe(x, sizeof(*x));
}
