/* /api/peers */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "ui/api.h"
#include "ui/app.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/state/watch.h"

#define PEER_PORT 9000

/* ---- GET /api/peers, GET /api/peers/{id} ---- */

static void
refresh(void *context, void *arg)
{
    struct ui_app *app = context;
    (void)arg;
    ui_peers_refresh(app->peers);
}

static void
answer_list(struct http_request *req, void *context, void *arg)
{
    struct ui_app *app = context;
    const char *files = http_query(req, "file_list");
    size_t offset, limit;
    struct http_json_out o;

    (void)arg;
    if (!ui_query_page(req, 1000, &offset, &limit))
        return;
    ui_json_begin(&o, 4096);
    ui_peers_put_list(app->peers, &o, offset, limit,
                      files == NULL || strcmp(files, "0") != 0);
    ui_json_reply(&o, req, 200);
}

void
ui_api_peers(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {refresh, answer_list, free, false};
    struct ui_app *app = arg;

    if (!ui_job_resume(app->jobs, req))
        ui_job_begin(app->jobs, req, &kind, app, malloc(1));
}

static bool
take_id(struct http_request *req, struct p2p_id *id)
{
    if (p2p_hex_parse(http_param(req, "id"), id->b, sizeof(id->b)) == P2P_OK)
        return true;
    http_fail(req, 400, "malformed", "a peer's id is 64 hexadecimal digits");
    return false;
}

static void
reply_peer(struct http_request *req, struct ui_app *app, unsigned status,
           const struct p2p_id *id)
{
    struct http_json_out o;

    ui_json_begin(&o, 512);
    if (ui_peers_put_one(app->peers, id, &o)) {
        ui_json_reply(&o, req, status);
        return;
    }
    http_json_clear(&o);
    ui_fail(req, P2P_ERR_NOT_FOUND,
            "there is no such peer among the online and the known peers");
}

static void
answer_one(struct http_request *req, void *context, void *arg)
{
    struct ui_app *app = context;
    reply_peer(req, app, 200, arg);
}

void
ui_api_peer(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {refresh, answer_one, free, false};
    struct ui_app *app = arg;
    struct p2p_id id, *copy;

    if (ui_job_resume(app->jobs, req) || !take_id(req, &id))
        return;
    if ((copy = malloc(sizeof(*copy))) != NULL)
        *copy = id;
    ui_job_begin(app->jobs, req, &kind, app, copy);
}

/* ---- POST /api/peers: by address ---- */

struct meeting {
    struct p2p_addr addr;
    struct p2p_id id;
    enum p2p_err err;
};

static void
meet(void *context, void *arg)
{
    struct ui_app *app = context;
    struct meeting *m = arg;

    m->err = ui_peers_add(app->peers, &m->addr, &m->id);
}

static void
answer_met(struct http_request *req, void *context, void *arg)
{
    struct ui_app *app = context;
    const struct meeting *m = arg;

    if (m->err == P2P_OK)
        reply_peer(req, app, 201, &m->id);
    else if (m->err == P2P_ERR_EXISTS)
        http_fail(req, 409, "own_peer", "this is the address of this machine itself");
    else if (m->err == P2P_ERR_KEY_CHANGED || m->err == P2P_ERR_NOT_ALLOWED)
        ui_fail(req, m->err, ui_peers_explain(m->err));
    else
        http_fail(req, 503, "peer_offline", "%s", ui_peers_explain(m->err));
}

void
ui_api_peers_add(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {meet, answer_met, free, true};
    struct ui_app *app = arg;
    struct meeting *m;
    const char *text;
    cJSON *body;

    if (ui_job_resume(app->jobs, req) || (body = http_json(req)) == NULL)
        return;
    text = http_json_string(body, "address");
    if ((m = calloc(1, sizeof(*m))) == NULL)
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
    else if (text == NULL || p2p_addr_parse(text, PEER_PORT, &m->addr) != P2P_OK) {
        ui_fail_value(req, "address", "host:port, [ipv6]:port, or a host alone");
        free(m);
    } else
        ui_job_begin(app->jobs, req, &kind, app, m);
}

/* ---- GET /api/peers/search ---- */

struct lookup {
    char name[P2P_NAME_MAX + 1];
    struct p2p_peer_list found;
    enum p2p_err err;
};

static void
look_up(void *context, void *arg)
{
    struct ui_app *app = context;
    struct lookup *l = arg;

    l->err = p2p_discovery_find(app->discovery, l->name, &l->found);
}

static void
free_lookup(void *arg)
{
    struct lookup *l = arg;

    if (l != NULL)
        p2p_peer_list_clear(&l->found);
    free(l);
}

struct hits {
    struct http_json_out *o;
    uint64_t count;
};

static void
put_hit(struct hits *h, const struct p2p_id *id, const struct p2p_addr *addr)
{
    http_json_begin(h->o, NULL, '{');
    ui_json_id(h->o, id);
    http_json_put_string(h->o, "ip", addr->host);
    http_json_put_u64(h->o, "port", addr->port);
    http_json_end(h->o, '}');
    h->count++;
}

static void
put_neighbour(void *arg, const struct ui_peer *peer, const char *name,
              const struct ui_content *content)
{
    (void)name, (void)content;
    put_hit(arg, &peer->id, &peer->addr);
}

static void
answer_lookup(struct http_request *req, void *context, void *arg)
{
    struct ui_app *app = context;
    struct lookup *l = arg;
    struct http_json_out o;
    struct hits hits = {.o = &o};

    ui_json_begin(&o, 256);
    http_json_put_string(&o, "filename", l->name);
    http_json_begin(&o, "peers", '[');
    for (size_t i = 0; i < l->found.count; i++)
        put_hit(&hits, &l->found.at[i].id, &l->found.at[i].addr);
    ui_peers_each_neighbor_file(app->peers, &(struct ui_file_filter){.name = l->name},
                                put_neighbour, &hits);
    http_json_end(&o, ']');
    http_json_put_u64(&o, "found", hits.count);
    if (l->err == P2P_OK || l->err == P2P_ERR_NOT_FOUND || hits.count > 0) {
        ui_json_reply(&o, req, 200);
        return;
    }
    http_json_clear(&o);
    http_fail(req, 503, "discovery_unreachable",
              "no registry answers; check that p2p-discovery is running");
}

void
ui_api_peers_search(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {look_up, answer_lookup, free_lookup, false};
    struct ui_app *app = arg;
    const char *name;
    struct lookup *l;

    if (ui_job_resume(app->jobs, req))
        return;
    if ((name = http_query(req, "filename")) == NULL) {
        http_fail(req, 400, "missing_parameter", "missing parameter filename");
        return;
    }
    if (!ui_check_name(req, name))
        return;
    if ((l = calloc(1, sizeof(*l))) != NULL)
        memcpy(l->name, name, strlen(name) + 1); /* a checked name fits */
    ui_job_begin(app->jobs, req, &kind, app, l);
}

/* ---- trust, block, forget ---- */

static bool
is_known(struct ui_app *app, const struct p2p_id *id, struct p2p_addr *addr)
{
    struct p2p_known_peer known;

    return ui_peers_locate(app->peers, id, addr) == P2P_OK ||
           p2p_known_find(app->identity, id, &known) == P2P_OK;
}

static void
set_trust(struct http_request *req, struct ui_app *app, enum p2p_trust trust)
{
    char where[P2P_ADDRESS_MAX] = "";
    struct p2p_addr addr = {.port = 0};
    struct p2p_id id;
    enum p2p_err err;

    if (!take_id(req, &id))
        return;
    /* A peer can be blocked before it is known. */
    if (!is_known(app, &id, &addr) && trust != P2P_TRUST_BLOCKED) {
        ui_fail(req, P2P_ERR_NOT_FOUND,
                "there is no such peer among the online and the known peers");
        return;
    }
    if (addr.port != 0)
        p2p_addr_format(&addr, where, sizeof(where));
    err = p2p_known_set(app->identity, &id, trust, NULL, addr.port != 0 ? where : NULL);
    if (err != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    if (trust == P2P_TRUST_BLOCKED)
        ui_transfers_without(app->transfers, &id);
    ui_watch_report(app->watch, UI_NEWS_PEERS);
    reply_peer(req, app, 200, &id);
}

void
ui_api_peer_trust(struct http_request *req, void *app)
{
    set_trust(req, app, P2P_TRUST_TRUSTED);
}

void
ui_api_peer_block(struct http_request *req, void *app)
{
    set_trust(req, app, P2P_TRUST_BLOCKED);
}

void
ui_api_peer_forget(struct http_request *req, void *arg)
{
    struct ui_app *app = arg;
    struct p2p_addr addr = {.port = 0};
    struct http_json_out o;
    struct p2p_id id;
    enum p2p_err err;

    if (!take_id(req, &id))
        return;
    if (!is_known(app, &id, &addr)) {
        ui_fail(req, P2P_ERR_NOT_FOUND,
                "there is no such peer among the online and the known peers");
        return;
    }
    ui_peers_drop(app->peers, &id);
    err = p2p_known_forget(app->identity, &id);
    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND) {
        ui_fail(req, err, NULL);
        return;
    }
    ui_watch_report(app->watch, UI_NEWS_PEERS);
    ui_json_begin(&o, 512);
    if (!ui_peers_put_one(app->peers, &id, &o))
        ui_peers_put_stranger(app->peers, &id, &addr, &o);
    ui_json_reply(&o, req, 200);
}

/* ---- a name of the owner's ---- */

/* The member `name`: a valid name, or "" or null to have none. NULL: answered with an
 * error. */
static const char *
take_name(struct http_request *req)
{
    const cJSON *body = http_json(req), *name;

    if (body == NULL)
        return NULL;
    name = cJSON_GetObjectItemCaseSensitive(body, "name");
    if (cJSON_IsNull(name))
        return "";
    if (cJSON_IsString(name) &&
        (name->valuestring[0] == '\0' ||
         p2p_about_name_check(name->valuestring, strlen(name->valuestring)) == P2P_OK))
        return name->valuestring;
    ui_fail_value(req, "name", "a name of at most 63 printable bytes, or null");
    return NULL;
}

void
ui_api_peer_name(struct http_request *req, void *arg)
{
    struct ui_app *app = arg;
    struct p2p_known_peer known;
    enum p2p_trust trust = P2P_TRUST_SEEN;
    struct p2p_addr addr;
    struct p2p_id id;
    const char *name;
    enum p2p_err err;

    if (!take_id(req, &id) || (name = take_name(req)) == NULL)
        return;
    if (!is_known(app, &id, &addr)) {
        ui_fail(req, P2P_ERR_NOT_FOUND,
                "there is no such peer among the online and the known peers");
        return;
    }
    if (p2p_known_find(app->identity, &id, &known) == P2P_OK &&
        known.trust != P2P_TRUST_UNKNOWN)
        trust = known.trust;
    if ((err = p2p_known_set(app->identity, &id, trust, name, NULL)) != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    ui_watch_report(app->watch, UI_NEWS_PEERS);
    reply_peer(req, app, 200, &id);
}
