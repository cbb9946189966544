/* GET /peers and GET /peers/{peer_id}. */
#include <stdio.h>
#include <string.h>

#include "discovery/http/app.h"
#include "discovery/http/json.h"
#include "http/offload.h"
#include "p2p/bytes.h"
#include "p2p/limits.h"

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX     10000
/* Bytes after which a page ends even before its limit. A page with a single peer may be
 * longer. */
#define PAGE_BYTES (8u * 1024 * 1024)

struct page {
    struct http_json_out out;
    uint64_t limit, names, count;
    struct p2p_id last;
    bool has_more;
};

static bool
add_peer(void *arg, const struct registry_peer *p)
{
    struct page *page = arg;

    if (page->count == page->limit || page->out.len >= PAGE_BYTES) {
        page->has_more = true;
        return false;
    }
    json_put_peer(&page->out, p, (uint32_t)page->names);
    page->last = p->id;
    page->count++;
    return true;
}

static bool
parse_digest(struct http_request *req, const char *name, struct p2p_digest *out,
             const struct p2p_digest **result)
{
    const char *text = http_query(req, name);

    *result = NULL;
    if (text == NULL)
        return true;
    if (strlen(text) != 2 * sizeof(out->b) ||
        p2p_hex_parse(text, out->b, sizeof(out->b)) != P2P_OK) {
        http_fail(req, 400, "bad_parameter", "%s must be 64 hex digits", name);
        return false;
    }
    *result = out;
    return true;
}

static void
reply_page(struct http_request *req, struct app *app,
           const struct registry_filter *filter, const struct p2p_id *after,
           uint64_t limit, uint64_t names)
{
    struct page page = {.limit = limit, .names = names};
    char next[2 * P2P_DIGEST_LEN + 1];
    size_t len;
    char *text;

    http_json_init(&page.out, 4096);
    http_json_begin(&page.out, NULL, '{');
    http_json_begin(&page.out, "peers", '[');
    registry_visit_peers(app->registry, filter, after, add_peer, &page);
    http_json_end(&page.out, ']');
    if (page.has_more) {
        p2p_hex_format(page.last.b, sizeof(page.last.b), next);
        http_json_put_string(&page.out, "next", next);
    }
    http_json_end(&page.out, '}');
    text = http_json_take(&page.out, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

void
get_peers(struct http_request *req, void *arg)
{
    struct app *app = arg;
    struct registry_filter filter = {.file = http_query(req, "file")};
    struct p2p_digest root, sha256, cursor;
    const struct p2p_digest *after;
    struct p2p_id after_id;
    uint64_t limit, names;
    char tag[64];

    if (!http_query_u64(req, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &limit) ||
        !http_query_u64(req, "names", 0, UINT32_MAX, UINT32_MAX, &names) ||
        !parse_digest(req, "root", &root, &filter.root) ||
        !parse_digest(req, "sha256", &sha256, &filter.sha256) ||
        !parse_digest(req, "cursor", &cursor, &after))
        return;
    /* Pages take megabytes, so they are made on a thread of the pool. */
    if (http_offload(req))
        return;
    /* The version is read first: an answer may be newer than its tag, but not older. */
    snprintf(tag, sizeof(tag), "%s-%llu", changes_epoch(app->changes),
             (unsigned long long)changes_version(app->changes));
    if (http_not_modified(req, tag))
        return;
    if (after != NULL)
        memcpy(after_id.b, after->b, sizeof(after_id.b));
    reply_page(req, app, &filter, after != NULL ? &after_id : NULL, limit, names);
}

struct one {
    struct http_json_out o;
    bool is_short;
    uint32_t names;
};

static bool
put_one(void *arg, const struct registry_peer *p)
{
    struct one *one = arg;

    if (one->is_short)
        json_put_peer_in_short(&one->o, p, one->names);
    else
        json_put_peer_in_full(&one->o, p);
    return true;
}

void
get_peer(struct http_request *req, void *arg)
{
    const char *hex = http_param(req, "peer_id");
    struct app *app = arg;
    struct one one = {.is_short = http_query(req, "names") != NULL};
    struct p2p_id id;
    uint64_t names;
    size_t len;
    char *text;

    if (strlen(hex) != P2P_ID_HEX_LEN ||
        p2p_hex_parse(hex, id.b, sizeof(id.b)) != P2P_OK) {
        http_fail(req, 400, "bad_parameter", "invalid peer id: use 64 hex digits");
        return;
    }
    if (!http_query_u64(req, "names", 0, UINT32_MAX, UINT32_MAX, &names))
        return;
    one.names = (uint32_t)names;
    if (http_offload(req)) /* all names of one peer may take megabytes, too */
        return;
    http_json_init(&one.o, 4096);
    if (registry_visit_one(app->registry, &id, put_one, &one)) {
        text = http_json_take(&one.o, &len);
        http_reply_owned(req, 200, "application/json", text, len);
        return;
    }
    http_json_clear(&one.o);
    http_fail(req, 404, "peer_not_found", "peer not found");
}
