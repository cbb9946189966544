/* GET /search. */
#include <string.h>

#include "discovery/http/app.h"
#include "discovery/http/json.h"
#include "discovery/registry/search.h"
#include "http/offload.h"
#include "p2p/net.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     200

/* An answer begins with this much room for each result, so that it seldom has to grow.
 */
#define RESULT_BYTES 1024u

static bool
parse_mode(const char *text, enum match_mode *mode)
{
    *mode = MATCH_SUBSTRING;
    if (text == NULL)
        return true;
    for (unsigned i = 0; i < MATCH_MODES; i++) {
        if (strcmp(text, match_mode_names[i]) == 0) {
            *mode = (enum match_mode)i;
            return true;
        }
    }
    return false;
}

static void
put_result(struct http_json_out *o, struct registry *r, const struct search_result *res)
{
    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "name", res->name);
    if (res->has_content) {
        http_json_put_u64(o, "size", res->size);
        http_json_put_hex(o, "root", res->root.b, sizeof(res->root.b));
    } else {
        http_json_put_null(o, "size");
        http_json_put_null(o, "root");
    }
    if (json_digest_is_known(&res->sha256))
        http_json_put_hex(o, "sha256", res->sha256.b, sizeof(res->sha256.b));
    else
        http_json_put_null(o, "sha256");
    http_json_put_u64(o, "sources", res->sources);
    json_put_sources(o, r, res->peers, res->n_peers);
    http_json_end(o, '}');
}

static void
reply_results(struct http_request *req, struct app *app,
              const struct search_results *results)
{
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 4096 + results->count * RESULT_BYTES);
    http_json_begin(&o, NULL, '{');
    http_json_begin(&o, "results", '[');
    for (uint32_t i = 0; i < results->count; i++)
        put_result(&o, app->registry, &results->at[i]);
    http_json_end(&o, ']');
    if (results->next[0] != '\0')
        http_json_put_string(&o, "next", results->next);
    /* Too many names match, so not all were examined: a longer text finds the others.
     */
    http_json_put_bool(&o, "truncated", results->is_cut);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

/* Measures from here to the answer: the registry's own time, without the network. */
static void
search(struct http_request *req, struct app *app, const struct search_query *q)
{
    uint64_t start = p2p_now_us();
    struct search_results results;
    enum p2p_err err =
        q->text != NULL ? search_run(app->registry, q, &results) : P2P_ERR_RANGE;

    if (err == P2P_ERR_RANGE)
        http_fail(req, 400, "bad_parameter", "q must be text of 1 to %u bytes",
                  MATCH_QUERY_MAX);
    else if (err == P2P_ERR_MALFORMED)
        http_fail(req, 400, "bad_parameter", "invalid cursor");
    else if (err != P2P_OK)
        http_fail_err(req, err, NULL);
    if (err != P2P_OK)
        return;
    reply_results(req, app, &results);
    search_results_clear(&results);
    timing_add(&app->searches[q->mode], p2p_now_us() - start);
}

void
get_search(struct http_request *req, void *arg)
{
    struct search_query q = {
        .text = http_query(req, "q"),
        .cursor = http_query(req, "cursor"),
    };
    uint64_t limit;

    if (!http_query_u64(req, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &limit))
        return;
    q.limit = (uint32_t)limit;
    if (!parse_mode(http_query(req, "mode"), &q.mode)) {
        http_fail(req, 400, "bad_parameter",
                  "mode must be exact, prefix, substring or fuzzy");
        return;
    }
    /* A search may take milliseconds, so it runs on a thread of the pool. */
    if (q.mode != MATCH_EXACT && q.mode != MATCH_PREFIX && http_offload(req))
        return;
    search(req, arg, &q);
}
