#include "p2p/box.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/bytes.h"
#include "p2p/code.h"
#include "p2p/log.h"
#include "p2p/public_url.h"

enum {
    ANSWER_MAX = 512 * 1024,
    BEYOND_WAIT_MS = 10000,
    LOGIN_S = 600, /* how long a permission to read is valid */
    MESSAGES_MAX = 64,
    DROP_MS = 1000,
    DROPS_MAX = 16, /* at once */
    OFFER_MS = 300 * 1000,
};

size_t
p2p_discovery_count(const struct p2p_discovery *d)
{
    return d->count;
}

uint64_t
p2p_discovery_time_s(struct p2p_discovery *d, size_t registry)
{
    return p2p_registry_time_ms(d, &d->at[registry]) / 1000;
}

void
p2p_box_of_peer(const struct p2p_id *id, char out[P2P_BOX_TEXT])
{
    p2p_hex_format(id->b, sizeof(id->b), out);
}

void
p2p_box_of_number(const struct p2p_box_number *number, char out[P2P_BOX_TEXT])
{
    p2p_hex_format(number->b, sizeof(number->b), out);
}

static void
note_clock(struct p2p_discovery *d, size_t registry, const struct p2p_http_call *call)
{
    if (call->err != P2P_OK || call->date_s <= 0)
        return;
    p2p_lock(&d->lock);
    d->at[registry].date_s = call->date_s;
    d->at[registry].date_at_ms = p2p_now_ms();
    p2p_unlock(&d->lock);
}

/* One call, and the error that its status stands for. */
static enum p2p_err
run(struct p2p_discovery *d, size_t registry, struct p2p_http_call *call,
    uint64_t timeout_ms, const struct p2p_stop *stop)
{
    call->answer_max = ANSWER_MAX;
    if (call->url == NULL)
        return P2P_ERR_NOMEM;
    p2p_http_run(call, 1, timeout_ms, 0, stop);
    note_clock(d, registry, call);
    return call->err != P2P_OK ? call->err : p2p_http_status_err(call->status);
}

enum p2p_err
p2p_box_post(struct p2p_discovery *d, size_t registry, const char *box,
             const char *json, const struct p2p_stop *stop)
{
    struct p2p_http_call call = {
        .method = "POST",
        .url = p2p_http_url(d->at[registry].url, "/box/%s", &box, 1),
        .body = strdup(json),
    };
    enum p2p_err err = call.body == NULL ? P2P_ERR_NOMEM
                                         : run(d, registry, &call, d->timeout_ms, stop);

    p2p_http_call_clear(&call);
    return err;
}

/* ---- reading ---- */

static enum p2p_err
make_login(struct p2p_discovery *d, size_t registry, const struct p2p_rsa *key,
           char **out)
{
    uint64_t expires_s = p2p_discovery_time_s(d, registry) + LOGIN_S;
    char signature_text[P2P_BASE64_TEXT(P2P_RSA_LEN)];
    struct p2p_signature signature;
    struct p2p_id id;
    enum p2p_err err;

    if ((err = p2p_spki_id(p2p_rsa_spki(key), &id)) != P2P_OK ||
        (err = p2p_box_sign(key, &id, expires_s, &signature)) != P2P_OK)
        return err;
    p2p_base64_format(signature.b, sizeof(signature.b), signature_text);
    if (asprintf(out, "Authorization: P2P %llu.%s", (unsigned long long)expires_s,
                 signature_text) < 0) {
        *out = NULL;
        return P2P_ERR_NOMEM;
    }
    return P2P_OK;
}

static void
visit_one(const cJSON *item, p2p_box_visit *visit, void *arg)
{
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(item, "m");
    char *text = cJSON_IsObject(message) ? cJSON_PrintUnformatted(message) : NULL;

    if (text != NULL)
        visit(arg, text, strlen(text));
    cJSON_free(text);
}

static enum p2p_err
take_messages(const struct p2p_http_call *call, uint64_t *after, p2p_box_visit *visit,
              void *arg)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "messages"), *item;
    enum p2p_err err = P2P_ERR_NOT_REGISTRY;
    uint64_t next;
    size_t count = 0;

    if (cJSON_IsArray(list) && p2p_json_u64(json, "next", UINT64_MAX, &next)) {
        *after = next;
        err = P2P_OK;
        cJSON_ArrayForEach(item, list) if (count++ < MESSAGES_MAX)
            visit_one(item, visit, arg);
    }
    cJSON_Delete(json);
    return err;
}

enum p2p_err
p2p_box_read(struct p2p_discovery *d, size_t registry, const struct p2p_box_wait *wait,
             uint64_t *after, p2p_box_visit *visit, void *arg)
{
    char from[P2P_U64_TEXT_MAX], seconds[P2P_U64_TEXT_MAX];
    const char *const arguments[] = {wait->box, from, seconds};
    const char *path = wait->is_code   ? "/box/%s?after=%s&wait=%s&code=1"
                       : wait->is_link ? "/box/%s?after=%s&wait=%s&link=1"
                                       : "/box/%s?after=%s&wait=%s";
    struct p2p_http_call call = {.method = "GET"};
    enum p2p_err err = P2P_OK;

    p2p_u64_format(*after, from);
    p2p_u64_format(wait->wait_s, seconds);
    call.url = p2p_http_url(d->at[registry].url, path, arguments, 3);
    if (wait->key != NULL)
        err = make_login(d, registry, wait->key, &call.header);
    if (err == P2P_OK)
        err = run(d, registry, &call, wait->wait_s * 1000 + BEYOND_WAIT_MS, wait->stop);
    if (err == P2P_OK)
        err = take_messages(&call, after, visit, arg);
    p2p_http_call_clear(&call);
    return err;
}

void
p2p_box_drop(struct p2p_discovery *d, size_t registry,
             const struct p2p_box_number *number)
{
    char box[P2P_BOX_TEXT];
    const char *const arguments[] = {box};
    struct p2p_http_call call = {.method = "DELETE"};
    enum p2p_err err;

    p2p_box_of_number(number, box);
    call.url = p2p_http_url(d->at[registry].url, "/box/%s", arguments, 1);
    if ((err = run(d, registry, &call, DROP_MS, NULL)) != P2P_OK)
        p2p_log_debug("cannot end a box error=%s", p2p_err_name(err));
    p2p_http_call_clear(&call);
}

struct drop {
    struct p2p_discovery *discovery;
    size_t registry;
    struct p2p_box_number number;
};

static void *
drop_main(void *arg)
{
    struct drop *drop = arg;
    struct p2p_discovery *d = drop->discovery;

    p2p_box_drop(d, drop->registry, &drop->number);
    free(drop);
    p2p_lock(&d->lock);
    d->drops--;
    pthread_cond_broadcast(&d->dropped);
    p2p_unlock(&d->lock);
    return NULL;
}

static bool
start_drop(struct drop *drop)
{
    pthread_attr_t detached;
    pthread_t thread;
    bool is_started;

    if (drop == NULL || pthread_attr_init(&detached) != 0)
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    is_started = pthread_create(&thread, &detached, drop_main, drop) == 0;
    pthread_attr_destroy(&detached);
    return is_started;
}

void
p2p_box_drop_soon(struct p2p_discovery *d, size_t registry,
                  const struct p2p_box_number *number)
{
    struct drop *drop = NULL;

    p2p_lock(&d->lock);
    bool has_place = d->drops < DROPS_MAX;
    d->drops += has_place;
    p2p_unlock(&d->lock);
    if (!has_place) /* the registry ends it after its minute */
        return;
    if ((drop = malloc(sizeof(*drop))) != NULL)
        *drop = (struct drop){d, registry, *number};
    if (start_drop(drop))
        return;
    free(drop);
    p2p_lock(&d->lock);
    d->drops--;
    p2p_unlock(&d->lock);
}

void
p2p_box_settle(struct p2p_discovery *d)
{
    p2p_lock(&d->lock);
    while (d->drops > 0) /* each ends within DROP_MS */
        p2p_wait(&d->dropped, &d->lock);
    p2p_unlock(&d->lock);
}

bool
p2p_discovery_lists(struct p2p_discovery *d, size_t registry, const struct p2p_id *id)
{
    char hex[P2P_ID_HEX_LEN + 1];
    const char *const arguments[] = {hex};
    struct p2p_http_call call = {.method = "GET"};

    p2p_hex_format(id->b, sizeof(id->b), hex);
    call.url = p2p_http_url(d->at[registry].url, "/peers/%s", arguments, 1);
    enum p2p_err err = run(d, registry, &call, d->timeout_ms, NULL);
    p2p_http_call_clear(&call);
    return err == P2P_OK;
}

/* ---- codes ---- */

static enum p2p_err
take_code(const struct p2p_http_call *call, uint32_t *number,
          struct p2p_box_number *box)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    const char *text = p2p_json_text(json, "box");
    enum p2p_err err = P2P_ERR_NOT_REGISTRY;
    uint64_t n;

    if (text != NULL && p2p_hex_parse(text, box->b, sizeof(box->b)) == P2P_OK &&
        p2p_json_u64(json, "number", P2P_CODE_NUMBER_MAX, &n) && n > 0) {
        *number = (uint32_t)n;
        err = P2P_OK;
    }
    cJSON_Delete(json);
    return err;
}

/* Takes the URL. */
static enum p2p_err
ask_code(struct p2p_discovery *d, size_t registry, char *url,
         const struct p2p_stop *stop, uint32_t *number, struct p2p_box_number *box)
{
    struct p2p_http_call call = {.method = "POST", .url = url, .body = strdup("{}")};
    enum p2p_err err = call.body == NULL ? P2P_ERR_NOMEM
                                         : run(d, registry, &call, d->timeout_ms, stop);

    if (err == P2P_OK)
        err = take_code(&call, number, box);
    p2p_http_call_clear(&call);
    return err;
}

enum p2p_err
p2p_box_of_new_code(struct p2p_discovery *d, size_t registry,
                    const struct p2p_stop *stop, uint32_t *number,
                    struct p2p_box_number *box)
{
    return ask_code(d, registry, p2p_http_url(d->at[registry].url, "/code", NULL, 0),
                    stop, number, box);
}

enum p2p_err
p2p_box_of_code(struct p2p_discovery *d, size_t registry, uint32_t number,
                const struct p2p_stop *stop, struct p2p_box_number *box)
{
    char text[P2P_U64_TEXT_MAX];
    const char *const arguments[] = {text};
    uint32_t same;

    p2p_u64_format(number, text);
    return ask_code(d, registry,
                    p2p_http_url(d->at[registry].url, "/code/%s/claim", arguments, 1),
                    stop, &same, box);
}

/* ---- what there is ---- */

static void
take_offer(const cJSON *json, const char *url, struct p2p_reach_offer *out)
{
    const cJSON *stun = cJSON_GetObjectItemCaseSensitive(json, "stun");
    const cJSON *relays = cJSON_GetObjectItemCaseSensitive(json, "relays");
    struct p2p_addr own, addr;

    out->has_links = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "links"));
    for (int i = 0; i < 2 && p2p_url_host(url, &own); i++) {
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(stun, i));

        if (text != NULL && p2p_addr_parse(text, 0, &addr) == P2P_OK &&
            strcmp(addr.host, own.host) == 0)
            out->stun[i] = addr;
    }
    const char *relay = cJSON_GetStringValue(cJSON_GetArrayItem(relays, 0));
    if (relay != NULL && p2p_addr_parse(relay, 0, &addr) == P2P_OK)
        out->relay = addr;
}

static bool
has_offer(struct p2p_discovery *d, size_t registry, struct p2p_reach_offer *out)
{
    p2p_lock(&d->lock);
    bool has = p2p_now_ms() < d->at[registry].offer_until_ms;
    *out = d->at[registry].offer;
    p2p_unlock(&d->lock);
    return has;
}

static void
keep_offer(struct p2p_discovery *d, size_t registry,
           const struct p2p_reach_offer *offer)
{
    p2p_lock(&d->lock);
    d->at[registry].offer = *offer;
    d->at[registry].offer_until_ms = p2p_now_ms() + OFFER_MS;
    p2p_unlock(&d->lock);
}

static enum p2p_err
ask_offer(struct p2p_discovery *d, size_t registry, const struct p2p_stop *stop,
          struct p2p_reach_offer *out)
{
    struct p2p_http_call call = {
        .method = "GET", .url = p2p_http_url(d->at[registry].url, "/reach", NULL, 0)};
    enum p2p_err err = run(d, registry, &call, d->timeout_ms, stop);
    cJSON *json = err == P2P_OK ? p2p_json_parse(call.answer, call.len) : NULL;

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK && !cJSON_IsObject(json))
        err = P2P_ERR_NOT_REGISTRY;
    if (err == P2P_OK)
        take_offer(json, d->at[registry].url, out);
    if (err == P2P_OK)
        keep_offer(d, registry, out);
    cJSON_Delete(json);
    p2p_http_call_clear(&call);
    return err;
}

enum p2p_err
p2p_reach_offer(struct p2p_discovery *d, size_t registry, struct p2p_reach_offer *out)
{
    return ask_offer(d, registry, NULL, out);
}

enum p2p_err
p2p_reach_offer_soon(struct p2p_discovery *d, size_t registry,
                     const struct p2p_stop *stop, struct p2p_reach_offer *out)
{
    return has_offer(d, registry, out) ? P2P_OK : ask_offer(d, registry, stop, out);
}

/* ---- relays ---- */

static char *
relay_body(struct p2p_discovery *d, size_t registry, const struct p2p_rsa *key,
           const struct p2p_call *call)
{
    uint64_t expires_s = p2p_discovery_time_s(d, registry) + P2P_CALL_LIFE_S;
    char signature_text[P2P_BASE64_TEXT(P2P_RSA_LEN)], *body = NULL;
    struct p2p_signature signature;
    char *json;

    if (p2p_relay_request_sign(key, call, expires_s, &signature) != P2P_OK ||
        (json = p2p_call_format(call)) == NULL)
        return NULL;
    p2p_base64_format(signature.b, sizeof(signature.b), signature_text);
    if (asprintf(&body, "{\"call\":%s,\"expires\":%llu,\"signature\":\"%s\"}", json,
                 (unsigned long long)expires_s, signature_text) < 0)
        body = NULL;
    free(json);
    return body;
}

static bool
copy_token(const cJSON *relay, const char *name, char out[P2P_RELAY_TOKEN_TEXT])
{
    const char *text = p2p_json_text(relay, name);

    if (text == NULL || strlen(text) >= P2P_RELAY_TOKEN_TEXT)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return p2p_relay_token_is_text(out);
}

/* The first one. */
static enum p2p_err
take_relay(const struct p2p_http_call *call, struct p2p_relay_pass *out)
{
    cJSON *json = p2p_json_parse(call->answer, call->len);
    const cJSON *relay =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "relays"), 0);
    const char *host = p2p_json_text(relay, "host");
    uint64_t port;
    bool is_good = host != NULL && p2p_json_u64(relay, "port", UINT16_MAX, &port) &&
                   p2p_addr_make(host, (uint16_t)port, &out->relay) == P2P_OK &&
                   copy_token(relay, "caller", out->caller) &&
                   copy_token(relay, "callee", out->callee);

    cJSON_Delete(json);
    return is_good ? P2P_OK : P2P_ERR_NOT_REGISTRY;
}

enum p2p_err
p2p_relay_request(struct p2p_discovery *d, size_t registry, const struct p2p_rsa *key,
                  const struct p2p_call *call, const struct p2p_stop *stop,
                  struct p2p_relay_pass *out)
{
    struct p2p_http_call request = {
        .method = "POST",
        .url = p2p_http_url(d->at[registry].url, "/reach/relay", NULL, 0),
        .body = relay_body(d, registry, key, call),
    };
    enum p2p_err err = request.body == NULL
                           ? P2P_ERR_NOMEM
                           : run(d, registry, &request, d->timeout_ms, stop);

    if (err == P2P_OK)
        err = take_relay(&request, out);
    p2p_http_call_clear(&request);
    return err;
}
