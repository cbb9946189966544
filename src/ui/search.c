/* GET /api/search: the names of all peers, grouped by content. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/contents.h"
#include "p2p/net.h"
#include "ui/api.h"
#include "ui/app.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"

#define RESULTS_MAX \
    1000 /* a registry answers with at most this many: the last cursor \ */

/* How many listed peers are asked about a root. Several, because a registry may list
 * peers that are gone. */
#define ASKED_MAX 8

struct search {
    char text[256];
    enum p2p_search_mode mode;
    size_t offset, limit;
    struct p2p_search_results results;
    enum p2p_err err;
};

/* ---- asking ---- */

/* A root has no name. A peer that has the content tells it, with size and SHA-256. */
static enum p2p_err
describe(struct ui_app *app, struct p2p_search_result *r)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    for (size_t i = 0; i < r->peers.count && i < ASKED_MAX && err != P2P_OK; i++) {
        const struct p2p_peer_info *peer = &r->peers.at[i];
        struct p2p_conn *conn = NULL;
        struct p2p_meta meta;

        if (p2p_id_equal(&peer->id, p2p_identity_id(app->identity)) ||
            ui_peers_connect(app->peers, &peer->addr, &peer->id, &conn) != P2P_OK)
            continue;
        err = p2p_conn_meta_by_root(conn, &r->root, &meta);
        p2p_conn_close(conn);
        if (err != P2P_OK)
            continue;
        memcpy(r->name, meta.name, sizeof(r->name));
        r->size = meta.geometry.size;
        r->sha256 = meta.sha256;
        r->sha256_known = meta.sha256_known;
    }
    return err;
}

/* Finds the peers that have the content through the registries, which know no name for
 * it. */
static enum p2p_err
search_root(struct ui_app *app, const struct p2p_digest *root,
            struct p2p_search_results *out)
{
    struct p2p_peer_list peers = {0};
    enum p2p_err err = p2p_discovery_find_root(app->discovery, root, &peers);

    if (err == P2P_OK) /* the first of them are asked for its name */
        err = p2p_peers_rank(app->identity, &peers);
    if (err == P2P_OK && peers.count > 0 &&
        (out->at = calloc(1, sizeof(*out->at))) == NULL)
        err = P2P_ERR_NOMEM;
    if (err != P2P_OK || peers.count == 0) {
        p2p_peer_list_clear(&peers);
        return err;
    }
    out->at[out->count++] =
        (struct p2p_search_result){.root = *root, .root_known = true, .peers = peers};
    /* No listed peer answers: there is no result. */
    if (describe(app, &out->at[0]) != P2P_OK)
        p2p_search_results_clear(out);
    return P2P_OK;
}

/* ---- neighbors (mDNS, added by hand), which no registry lists ---- */

/* A registry that does not answer is an error only if there are no other results. */
static void
search_neighbors(struct ui_app *app, struct search *s,
                 const struct ui_file_filter *filter)
{
    ui_peers_refresh(app->peers);
    ui_peers_add_neighbor_results(app->peers, filter, RESULTS_MAX, &s->results);
    if (s->results.count > 0)
        s->err = P2P_OK;
}

static void
work(void *context, void *arg)
{
    struct ui_app *app = context;
    struct search *s = arg;
    struct ui_file_filter filter = {.part = s->text};
    struct p2p_digest root;

    if (strlen(s->text) == 2 * P2P_DIGEST_LEN &&
        p2p_hex_parse(s->text, root.b, sizeof(root.b)) == P2P_OK) {
        filter = (struct ui_file_filter){.root = &root};
        s->err = search_root(app, &root, &s->results);
    } else
        s->err = p2p_discovery_search(app->discovery, s->text, s->mode, RESULTS_MAX,
                                      &s->results);
    search_neighbors(app, s, &filter);
    if (s->err == P2P_OK) /* trust decides which of them are on the first page */
        s->err = p2p_results_rank(app->identity, &s->results);
}

/* ---- answering ---- */

static bool
put_source(struct http_json_out *o, struct ui_app *app,
           const struct p2p_peer_info *peer)
{
    struct p2p_about said;

    http_json_begin(o, NULL, '{');
    ui_json_id(o, &peer->id);
    ui_peers_said(app->peers, &peer->id, &said);
    ui_json_name(o, app->identity, &peer->id, &said);
    http_json_put_string(o, "ip", peer->addr.host);
    http_json_put_u64(o, "port", peer->addr.port);
    http_json_put_bool(o, "verified", peer->verified);
    http_json_put_string(o, "trust",
                         p2p_rank_name(p2p_rank_of(app->identity, &peer->id)));
    http_json_put_bool(o, "self",
                       p2p_id_equal(&peer->id, p2p_identity_id(app->identity)));
    http_json_end(o, '}');
    return peer->verified;
}

static void
put_have(struct http_json_out *o, struct ui_app *app, const struct p2p_search_result *r)
{
    struct p2p_share_entry *e = malloc(sizeof(*e));
    const char *have = NULL;

    if (r->root_known && e != NULL &&
        p2p_shares_find_root(app->folders.shares, &r->root, e) == P2P_OK)
        have = "shared";
    else if (r->root_known && ui_transfers_have(app->transfers, &r->root))
        have = "downloaded";
    ui_json_text(o, "have", have);
    free(e);
}

static void
put_result(struct http_json_out *o, struct ui_app *app,
           const struct p2p_search_result *r)
{
    bool is_verified = false;

    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "name", r->name);
    if (r->root_known)
        ui_json_size(o, r->size);
    else {
        http_json_put_null(o, "size");
        http_json_put_null(o, "size_mb");
    }
    ui_json_digest(o, "root", r->root_known, &r->root);
    ui_json_digest(o, "sha256", r->sha256_known, &r->sha256);
    http_json_begin(o, "sources", '[');
    for (size_t i = 0; i < r->peers.count; i++)
        is_verified |= put_source(o, app, &r->peers.at[i]);
    http_json_end(o, ']');
    http_json_put_bool(o, "verified", is_verified && r->root_known);
    put_have(o, app, r);
    http_json_end(o, '}');
}

static void
answer(struct http_request *req, void *context, void *arg)
{
    struct ui_app *app = context;
    const struct search *s = arg;
    struct http_json_out o;
    size_t end = s->offset + s->limit;

    if (s->err != P2P_OK && s->err != P2P_ERR_NOT_FOUND) {
        http_fail(req, 503, "discovery_unreachable",
                  "no registry answers; check that p2p-discovery is running");
        return;
    }
    if (end > s->results.count)
        end = s->results.count;
    ui_json_begin(&o, 4096);
    http_json_put_string(&o, "query", s->text);
    http_json_begin(&o, "results", '[');
    for (size_t i = s->offset; i < end; i++)
        put_result(&o, app, &s->results.at[i]);
    http_json_end(&o, ']');
    ui_json_cursor(&o, end < s->results.count ? end : 0);
    http_json_put_bool(&o, "truncated", s->results.is_cut);
    ui_json_reply(&o, req, 200);
}

static void
release(void *arg)
{
    struct search *s = arg;

    if (s != NULL)
        p2p_search_results_clear(&s->results);
    free(s);
}

static bool
parse_mode(const char *text, enum p2p_search_mode *out)
{
    static const char *const names[] = {"exact", "prefix", "substring", "fuzzy"};

    *out = P2P_SEARCH_SUBSTRING;
    for (int i = 0; i < 4 && text != NULL; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum p2p_search_mode)i;
            return true;
        }
    return text == NULL;
}

void
ui_api_search(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {work, answer, release, false};
    struct ui_app *app = arg;
    const char *text = http_query(req, "q");
    enum p2p_search_mode mode;
    size_t offset, limit;
    struct search *s;

    if (ui_job_resume(app->jobs, req))
        return;
    if (text == NULL || *text == '\0') {
        http_fail(req, 400, "missing_parameter", "missing parameter q");
        return;
    }
    if (strlen(text) >= sizeof(s->text) ||
        !parse_mode(http_query(req, "mode"), &mode)) {
        http_fail(req, 400, "malformed",
                  "invalid search: q may have at most 255 bytes; mode must be exact, "
                  "prefix, substring or fuzzy");
        return;
    }
    if (!ui_query_page(req, 100, &offset, &limit))
        return;
    if ((s = calloc(1, sizeof(*s))) != NULL) {
        memcpy(s->text, text, strlen(text) + 1);
        s->mode = mode;
        s->offset = offset < RESULTS_MAX ? offset : RESULTS_MAX;
        s->limit = limit;
    }
    ui_job_begin(app->jobs, req, &kind, app, s);
}
