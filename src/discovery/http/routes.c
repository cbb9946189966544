#include <stdlib.h>
#include <string.h>

#include "discovery/http/app.h"
#include "http/text/json.h"
#include "p2p/bytes.h"
#include "p2p/call.h"
#include "p2p/limits.h"
#include "p2p/net.h"

#define CHANGES_WAIT_MAX_S 60

const struct http_route discovery_routes[] = {
    {"GET", "/heartbeat", get_heartbeat, 0, 0, 0},
    {"POST", "/register", post_register, P2P_REGISTER_BODY_MAX, 0, 0},
    {"DELETE", "/register", delete_register, 4096, 0, 0},
    {"POST", "/register/delta", post_delta, P2P_REGISTER_BODY_MAX, 0, 0},
    {"GET", "/peers", get_peers, 0, 0, 0},
    {"GET", "/peers/{peer_id}", get_peer, 0, 0, 0},
    {"GET", "/search", get_search, 0, 0, 0},
    {"GET", "/changes", get_changes, 0, 0, 0},
    {"POST", "/box/{id}", post_box, P2P_CALL_TEXT_MAX, 0, 0},
    {"GET", "/box/{id}", get_box_messages, 0, 0, 0},
    {"DELETE", "/box/{id}", delete_box, 0, 0, 0},
    {"POST", "/code", post_code, 64, 0, 0},
    {"POST", "/code/{number}/claim", post_claim, 64, 0, 0},
    {"GET", "/reach", get_reach, 0, 0, 0},
    {"POST", "/reach/relay", post_relay, 2 * P2P_CALL_TEXT_MAX, 0, 0},
    {"GET", "/l", get_page, 0, 0, 0},
    {"GET", "/l/{name}", get_page_part, 0, 0, 0},
    {"GET", "/health", get_health, 0, 0, 0},
    {"GET", "/metrics", get_metrics, 0, 0, 0},
    {0},
};

/* A peer that has moved must register again, like one that is not known. */
static void
reply_heartbeat(struct http_request *req, struct app *app,
                enum registry_beat_result result)
{
    if (result == REGISTRY_BEAT_OK)
        http_reply_prepared(req, 200, app->heartbeat_answer);
    else
        http_fail(req, 404,
                  result == REGISTRY_BEAT_MOVED ? "peer_moved" : "peer_not_found",
                  "peer not found");
}

void
get_heartbeat(struct http_request *req, void *arg)
{
    const char *text = http_query(req, "peer_id");
    struct app *app = arg;
    struct p2p_id id;

    if (text == NULL)
        http_fail(req, 400, "bad_parameter", "missing peer_id");
    else if (p2p_hex_parse(text, id.b, sizeof(id.b)) != P2P_OK)
        http_fail(req, 404, "peer_not_found", "peer not found");
    else
        reply_heartbeat(
            req, app, registry_heartbeat_from(app->registry, &id, http_client_ip(req)));
}

void
get_health(struct http_request *req, void *arg)
{
    struct app *app = arg;
    struct registry_stats stats;
    struct store_stats store;
    struct http_json_out o;
    bool is_degraded = false;
    size_t len;
    char *text;

    if (app->store != NULL) {
        store_stats(app->store, &store);
        is_degraded = !store.is_connected;
    }
    registry_stats(app->registry, &stats);
    http_json_init(&o, 256);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "status", is_degraded ? "degraded" : "ok");
    http_json_put_string(&o, "version", P2P_VERSION);
    http_json_put_string(&o, "store", app->store != NULL ? "redis" : "memory");
    http_json_put_u64(&o, "peers", stats.peers);
    http_json_put_u64(&o, "uptime", (p2p_now_ms() - app->started_ms) / 1000);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

/* ---- changes ---- */

static void
put_change(struct http_json_out *o, const struct change *c)
{
    http_json_begin(o, NULL, '{');
    http_json_put_hex(o, "peer_id", c->id.b, sizeof(c->id.b));
    http_json_put_bool(o, "gone", c->is_gone);
    http_json_end(o, '}');
}

static void
reply_changes(struct http_request *req, struct app *app, uint64_t since)
{
    struct change *list = malloc(CHANGES_KEPT * sizeof(*list));
    struct http_json_out o;
    uint64_t version = 0;
    size_t count = 0, len;
    bool is_known;
    char *text;

    if (list == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return;
    }
    is_known = changes_since(app->changes, since, list, &count, &version);
    http_json_init(&o, 128 + count * 96);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "epoch", changes_epoch(app->changes));
    http_json_put_u64(&o, "version", version);
    /* Some changes are no longer known: the client has to get the list again. */
    http_json_put_bool(&o, "full", !is_known);
    http_json_begin(&o, "peers", '[');
    for (size_t i = 0; i < count; i++)
        put_change(&o, &list[i]);
    http_json_end(&o, ']');
    http_json_end(&o, '}');
    free(list);
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

void
get_changes(struct http_request *req, void *arg)
{
    struct app *app = arg;
    uint64_t seen = http_waitlist_generation(app->waiters);
    uint64_t version = changes_version(app->changes), since, wait_s;
    const char *epoch = http_query(req, "epoch");

    if (!http_query_u64(req, "since", 0, UINT64_MAX - 10, version, &since) ||
        !http_query_u64(req, "wait", 0, CHANGES_WAIT_MAX_S, 0, &wait_s))
        return;
    if (epoch != NULL && strcmp(epoch, changes_epoch(app->changes)) != 0)
        since = UINT64_MAX; /* another epoch: everything may have changed */
    if (since == version && http_query(req, "since") != NULL &&
        http_wait(req, app->waiters, seen, (unsigned)wait_s * 1000))
        return;
    reply_changes(req, app, since);
}
