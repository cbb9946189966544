/* GET /reach, POST /reach/relay: relays, and what opens them for one session. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/http/app.h"
#include "http/link_page.h"
#include "http/source/ratelimit.h"
#include "http/text/json.h"
#include "p2p/bytes.h"
#include "p2p/call.h"
#include "p2p/clock.h"

/* The same host as that of the request: the registry does not know its own name. */
static void
put_stun(struct http_json_out *o, struct http_request *req, const struct app *app)
{
    const char *host = http_header(req, "Host");
    char text[P2P_ADDR_TEXT];
    struct p2p_addr addr;

    http_json_begin(o, "stun", '[');
    if (host != NULL && p2p_addr_parse(host, 80, &addr) == P2P_OK)
        for (size_t i = 0; i < sizeof(app->stun_ports) / sizeof(app->stun_ports[0]);
             i++)
            if (app->stun_ports[i] != 0) {
                addr.port = app->stun_ports[i];
                http_json_put_string(o, NULL,
                                     p2p_addr_format(&addr, text, sizeof(text)));
            }
    http_json_end(o, ']');
}

/* Only with the number of a link that is answered now, and within the budget of the
 * address: otherwise guests have to do without. */
static bool
may_use_turn(struct http_request *req, const struct app *app)
{
    const char *text = http_query(req, "box");
    const struct meeting *m = &app->meeting;
    struct box_id id = {.is_peer = false};

    return m->turn.count > 0 && text != NULL &&
           p2p_hex_parse(text, id.b, sizeof(id.b) / 2) == P2P_OK &&
           boxes_has_link(m->boxes, &id, p2p_now_ms()) &&
           (http_client_is_loopback(req) ||
            http_ratelimit_take_ip(m->turn_logins, http_client_ip(req), 1,
                                   p2p_now_ms()) == 0);
}

static void
put_turn(struct http_json_out *o, struct http_request *req, const struct app *app)
{
    const struct turn *turn = &app->meeting.turn;
    struct p2p_turn_login login;
    struct box_source source;

    if (!may_use_turn(req, app))
        return;
    http_box_source(req, &source);
    if (turn_login(turn, &source, p2p_time_s(), &login) != P2P_OK)
        return;
    http_json_begin(o, "turn", '[');
    http_json_begin(o, NULL, '{');
    http_json_begin(o, "urls", '[');
    for (size_t i = 0; i < turn->count; i++)
        http_json_put_string(o, NULL, turn->urls[i]);
    http_json_end(o, ']');
    http_json_put_string(o, "username", login.username);
    http_json_put_string(o, "credential", login.password);
    http_json_end(o, '}');
    http_json_end(o, ']');
    p2p_wipe(&login, sizeof(login));
}

void
get_reach(struct http_request *req, void *arg)
{
    struct app *app = arg;
    char relay[P2P_ADDR_TEXT];
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 128);
    http_json_begin(&o, NULL, '{');
    http_json_put_bool(&o, "boxes", true);
    http_json_put_bool(&o, "links", true);
    http_json_begin(&o, "relays", '[');
    if (app->meeting.has_relay)
        http_json_put_string(
            &o, NULL, p2p_addr_format(&app->meeting.relay, relay, sizeof(relay)));
    http_json_end(&o, ']');
    put_stun(&o, req, app);
    put_turn(&o, req, app);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_set_header(req, "Cache-Control", "no-store");
    http_reply_owned(req, 200, "application/json", text, len);
}

/* The call as its text, since its form is checked in one place. */
static enum p2p_err
parse_call(const struct cJSON *json, struct p2p_call *call)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(json, "call");
    char *text = cJSON_IsObject(object) ? cJSON_PrintUnformatted(object) : NULL;
    enum p2p_err err =
        text != NULL ? p2p_call_parse(text, strlen(text), call) : P2P_ERR_MALFORMED;

    cJSON_free(text);
    if (err == P2P_OK && call->type != P2P_CALL)
        err = P2P_ERR_MALFORMED;
    return err;
}

/* Both peers have signed: the caller its call, the callee its wish to answer. */
static enum p2p_err
check_request(struct app *app, const struct cJSON *json, struct p2p_call *call)
{
    struct p2p_signature signature;
    uint64_t expires_s, now_s = p2p_time_s();
    struct p2p_spki key;
    enum p2p_err err = parse_call(json, call);

    if (err != P2P_OK)
        return err;
    if (!http_json_u64(json, "expires", 0, UINT32_MAX, &expires_s) ||
        !p2p_base64_parse(http_json_string(json, "signature"), signature.b,
                          sizeof(signature.b)))
        return P2P_ERR_MALFORMED;
    if (expires_s < now_s || expires_s > now_s + P2P_CALL_AHEAD_MAX_S)
        return P2P_ERR_TIMEOUT;
    if ((err = p2p_call_check(call, now_s)) != P2P_OK)
        return err;
    if (!registry_key(app->registry, &call->to, &key))
        return P2P_ERR_NOT_FOUND;
    return p2p_relay_request_verify(&key, call, expires_s, &signature);
}

/* True, with the answer sent, if a budget is used up. Ids cost nothing, so the source
 * pays first. */
static bool
is_limited(struct http_request *req, const struct meeting *m,
           const struct p2p_call *call)
{
    static const char all[] = "all";

    return meeting_is_limited_for(req, m->token_peers, call->from.b,
                                  sizeof(call->from.b)) ||
           meeting_is_limited_for(req, m->token_peers, call->to.b,
                                  sizeof(call->to.b)) ||
           meeting_is_limited_for(req, m->tokens, all, sizeof(all));
}

static bool
fail(struct http_request *req, enum p2p_err err)
{
    if (err == P2P_OK)
        return false;
    if (err == P2P_ERR_NOT_FOUND)
        http_fail(req, 404, "peer_not_found",
                  "the callee has no signed record at this registry");
    else if (err == P2P_ERR_MALFORMED || err == P2P_ERR_TOO_LARGE)
        http_fail(req, 422, "bad_request",
                  "the request needs a call, expires and a signature");
    else if (err == P2P_ERR_TIMEOUT)
        http_fail(req, 422, "expired", "the request has expired");
    else
        http_fail(req, 401, "bad_signature", "a signature is wrong");
    return true;
}

static enum p2p_err
make_tokens(const struct meeting *m, const struct p2p_call *call,
            char tokens[2][P2P_RELAY_TOKEN_TEXT])
{
    struct p2p_relay_token token = {
        .expires_s = p2p_time_s() + MEETING_TOKEN_LIFE_S,
        .session = call->session,
        .from = call->from,
        .to = call->to,
        .side = P2P_RELAY_CALLER,
    };
    enum p2p_err err = p2p_relay_token_format(&m->relay_key, &token, tokens[0]);

    token.side = P2P_RELAY_CALLEE;
    return err == P2P_OK ? p2p_relay_token_format(&m->relay_key, &token, tokens[1])
                         : err;
}

static void
reply_tokens(struct http_request *req, const struct meeting *m,
             char tokens[2][P2P_RELAY_TOKEN_TEXT])
{
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 512);
    http_json_begin(&o, NULL, '{');
    http_json_begin(&o, "relays", '[');
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "host", m->relay.host);
    http_json_put_u64(&o, "port", m->relay.port);
    http_json_put_string(&o, "caller", tokens[0]);
    http_json_put_string(&o, "callee", tokens[1]);
    http_json_end(&o, '}');
    http_json_end(&o, ']');
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

void
post_relay(struct http_request *req, void *arg)
{
    struct app *app = arg;
    const struct meeting *m = &app->meeting;
    char tokens[2][P2P_RELAY_TOKEN_TEXT];
    const struct cJSON *json;
    struct p2p_call call;

    if (!m->has_relay) {
        http_fail(req, 404, "no_relay", "this registry knows no relay");
        return;
    }
    if (meeting_is_limited(req, m->token_sources) || (json = http_json(req)) == NULL ||
        fail(req, check_request(app, json, &call)) || is_limited(req, m, &call))
        return;
    if (http_ratelimit_take(m->sessions, call.session.b, sizeof(call.session.b), 1,
                            p2p_now_ms()) > 0) {
        http_fail(req, 409, "session_used", "this session has had its tokens");
        return;
    }
    if (make_tokens(m, &call, tokens) != P2P_OK)
        http_fail_err(req, P2P_ERR_CRYPTO, NULL);
    else
        reply_tokens(req, m, tokens);
}
