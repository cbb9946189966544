/* /api/transfers */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/bytes.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/transfers/handlers.h"

/* ---- reading ---- */

static void
reply_transfer(struct http_request *req, struct ui_transfers_api *api, unsigned status,
               const char *id)
{
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 1024);
    if (!ui_transfers_put(api->transfers, id, &o, NULL)) {
        http_json_clear(&o);
        ui_fail(req, P2P_ERR_NOT_FOUND, "there is no such transfer");
        return;
    }
    text = http_json_take(&o, &len);
    http_reply_owned(req, status, "application/json", text, len);
}

/* Parses "queued,paused" into a set. False: a word is not a state. */
static bool
parse_states(const char *text, bool states[UI_STATES])
{
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        enum ui_state state;

        if (!ui_state_parse(text, len, &state))
            return false;
        states[state] = true;
        text += len + (text[len] == ',');
    }
    return true;
}

void
ui_api_transfers(struct http_request *req, void *arg)
{
    struct ui_transfers_api *api = arg;
    const char *text = http_query(req, "state");
    bool states[UI_STATES] = {false};
    struct ui_page page = {.states = text != NULL ? states : NULL};
    struct http_json_out o;

    if (!ui_query_page(req, 0, &page.offset, &page.limit))
        return;
    if (text != NULL && !parse_states(text, states)) {
        http_fail(req, 400, "malformed",
                  "state must be a list of states separated by commas");
        return;
    }
    ui_json_begin(&o, 4096);
    ui_transfers_put_page(api->transfers, &page, &o);
    ui_json_reply(&o, req, 200);
}

void
ui_api_transfer(struct http_request *req, void *api)
{
    reply_transfer(req, api, 200, http_param(req, "id"));
}

/* ---- adding ---- */

struct addition {
    struct ui_request *request;
    char id[UI_TRANSFER_ID_LEN + 1];
    bool is_new;
    enum p2p_err err;
};

static void
free_addition(void *arg)
{
    struct addition *a = arg;

    if (a != NULL)
        ui_request_free(a->request);
    free(a);
}

/* Starts the transfer here and not with the answer, so that it is also started if the
 * client has gone. */
static void
find_and_add(void *context, void *arg)
{
    struct ui_transfers_api *api = context;
    struct addition *a = arg;

    ui_request_find(&api->network, a->request);
    if ((a->err = a->request->err) == P2P_OK)
        a->err = ui_transfers_add(api->transfers, a->request, a->id, &a->is_new);
}

/* ---- a name with several contents ---- */

enum { CONTENTS_SHOWN = 100, HOLDERS_SHOWN = 20 };

static void
put_holders(struct http_json_out *o, const struct p2p_content *c,
            struct ui_transfers_api *api)
{
    http_json_begin(o, "sources", '[');
    for (size_t i = 0; i < c->peers.count && i < HOLDERS_SHOWN; i++) {
        const struct p2p_peer_info *peer = &c->peers.at[i];
        http_json_begin(o, NULL, '{');
        ui_json_id(o, &peer->id);
        ui_json_name(o, api->network.identity, &peer->id, &peer->about);
        http_json_put_string(o, "ip", peer->addr.host);
        http_json_put_u64(o, "port", peer->addr.port);
        http_json_put_string(
            o, "trust", p2p_rank_name(p2p_rank_of(api->network.identity, &peer->id)));
        http_json_end(o, '}');
    }
    http_json_end(o, ']');
}

/* The problem document of 409 `ambiguous`: the contents, best first. */
static void
refuse_ambiguous(struct http_request *req, struct ui_transfers_api *api,
                 const struct p2p_contents *contents)
{
    const char *detail =
        contents->at[0].root_known
            ? "several different files have this name; repeat the request with the "
              "root of one of them"
            : "several different folders have this name; repeat the request with the "
              "peers of one of them";
    struct http_json_out o;
    size_t len;
    char *text;

    http_json_init(&o, 4096);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "type", "about:blank");
    http_json_put_string(&o, "title", "Conflict");
    http_json_put_u64(&o, "status", 409);
    http_json_put_string(&o, "detail", detail);
    http_json_put_string(&o, "code", "ambiguous");
    http_json_put_string(&o, "error", detail);
    http_json_put_u64(&o, "count", contents->count);
    http_json_begin(&o, "contents", '[');
    for (size_t i = 0; i < contents->count && i < CONTENTS_SHOWN; i++) {
        const struct p2p_content *c = &contents->at[i];
        http_json_begin(&o, NULL, '{');
        ui_json_digest(&o, "root", c->root_known, &c->root);
        ui_json_size(&o, c->size);
        for (int rank = P2P_RANK_TRUSTED; rank <= P2P_RANK_NEW; rank++)
            http_json_put_u64(&o, p2p_rank_name((enum p2p_rank)rank), c->ranks[rank]);
        put_holders(&o, c, api);
        http_json_end(&o, '}');
    }
    http_json_end(&o, ']');
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 409, "application/problem+json", text, len);
}

static void
refuse(struct http_request *req, enum p2p_err err)
{
    if (err == P2P_ERR_NO_SOURCE)
        http_fail(req, 404, "no_source", "no peer shares this file now");
    else if (err == P2P_ERR_RATE_LIMITED)
        http_fail_busy(req, 60,
                       "the list of transfers is full; clear finished ones first");
    else if (err == P2P_ERR_UNREACHABLE || err == P2P_ERR_TIMEOUT)
        http_fail(req, 503, "discovery_unreachable",
                  "no registry answers; check that p2p-discovery is running");
    else
        ui_fail(req, err, NULL);
}

static void
answer_added(struct http_request *req, void *context, void *arg)
{
    struct ui_transfers_api *api = context;
    const struct addition *a = arg;
    char location[64];

    if (a->err == P2P_ERR_AMBIGUOUS) {
        refuse_ambiguous(req, api, &a->request->contents);
        return;
    }
    if (a->err != P2P_OK) {
        refuse(req, a->err);
        return;
    }
    if (a->is_new) {
        snprintf(location, sizeof(location), "/api/transfers/%s", a->id);
        http_set_header(req, "Location", location);
    }
    reply_transfer(req, api, a->is_new ? 201 : 200, a->id);
}

void
ui_api_transfers_add(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {find_and_add, answer_added, free_addition,
                                            true};
    struct ui_transfers_api *api = arg;
    struct ui_request *request;
    struct addition *a;
    cJSON *body;

    if (ui_job_resume(api->jobs, req) || (body = http_json(req)) == NULL ||
        (request = ui_request_parse(req, api->network.peers, body)) == NULL)
        return;
    if ((a = calloc(1, sizeof(*a))) != NULL)
        a->request = request;
    else
        free(request);
    ui_job_begin(api->jobs, req, &kind, api, a);
}

/* ---- changing ---- */

static void
do_all(struct http_request *req, struct ui_transfers_api *api, enum ui_verb verb)
{
    struct http_json_out o;

    ui_json_begin(&o, 48);
    http_json_put_string(&o, "status", "ok");
    http_json_put_u64(&o, "count", ui_transfers_do_all(api->transfers, verb));
    ui_json_reply(&o, req, 200);
}

void
ui_api_transfers_retry_failed(struct http_request *req, void *api)
{
    do_all(req, api, UI_RETRY);
}

void
ui_api_transfers_pause_all(struct http_request *req, void *api)
{
    do_all(req, api, UI_PAUSE);
}

void
ui_api_transfers_resume_all(struct http_request *req, void *api)
{
    do_all(req, api, UI_RESUME);
}

void
ui_api_transfers_clear_finished(struct http_request *req, void *api)
{
    do_all(req, api, UI_REMOVE);
}

static void
do_one(struct http_request *req, struct ui_transfers_api *api, enum ui_verb verb)
{
    const char *id = http_param(req, "id");
    enum p2p_err err = ui_transfers_do(api->transfers, id, verb);

    if (err == P2P_OK)
        reply_transfer(req, api, 200, id);
    else if (err == P2P_ERR_USAGE)
        http_fail(req, 409, "wrong_state",
                  "the transfer's current state does not allow this");
    else
        ui_fail(req, err, "there is no such transfer");
}

void
ui_api_transfer_pause(struct http_request *req, void *api)
{
    do_one(req, api, UI_PAUSE);
}

void
ui_api_transfer_resume(struct http_request *req, void *api)
{
    do_one(req, api, UI_RESUME);
}

void
ui_api_transfer_cancel(struct http_request *req, void *api)
{
    do_one(req, api, UI_CANCEL);
}

void
ui_api_transfer_retry(struct http_request *req, void *api)
{
    do_one(req, api, UI_RETRY);
}

void
ui_api_transfer_delete(struct http_request *req, void *arg)
{
    struct ui_transfers_api *api = arg;
    const char *id = http_param(req, "id");
    struct http_json_out o;

    if (ui_transfers_do(api->transfers, id, UI_REMOVE) != P2P_OK) {
        ui_fail(req, P2P_ERR_NOT_FOUND, "there is no such transfer");
        return;
    }
    ui_json_begin(&o, 80);
    http_json_put_string(&o, "status", "deleted");
    http_json_put_string(&o, "id", id);
    ui_json_reply(&o, req, 200);
}

/* True if the member is missing or valid; `*given` tells which. Otherwise answers
 * 422. */
static bool
take_number(struct http_request *req, const cJSON *body, const char *name,
            uint64_t *out, bool *given)
{
    *given = cJSON_GetObjectItemCaseSensitive(body, name) != NULL;
    if (!*given || http_json_u64(body, name, 0, 1ull << 53, out))
        return true;
    ui_fail_value(req, name, "a whole number that is not negative");
    return false;
}

void
ui_api_transfer_patch(struct http_request *req, void *arg)
{
    struct ui_transfers_api *api = arg;
    const char *id = http_param(req, "id");
    cJSON *body = http_json(req);
    struct ui_change change = {.save_as = NULL};
    enum p2p_err err;
    enum ui_priority priority;
    uint64_t position, limit;
    bool has_position, has_limit;

    if (body == NULL)
        return;
    if (cJSON_GetObjectItemCaseSensitive(body, "priority") != NULL) {
        if (!ui_priority_parse(http_json_string(body, "priority"), &priority)) {
            ui_fail_value(req, "priority", "low, normal or high");
            return;
        }
        change.priority = &priority;
    }
    if (!take_number(req, body, "position", &position, &has_position) ||
        !take_number(req, body, "limit_rate", &limit, &has_limit))
        return;
    change.position = has_position ? &position : NULL;
    change.limit_rate = has_limit ? &limit : NULL;
    if (cJSON_GetObjectItemCaseSensitive(body, "save_as") != NULL) {
        change.save_as = http_json_string(body, "save_as");
        if (change.save_as == NULL) {
            ui_fail_value(req, "save_as", "a file name");
            return;
        }
        if (!ui_request_check_name(req, change.save_as))
            return;
    }
    if (change.priority == NULL && !has_position && !has_limit && !change.save_as)
        http_fail(req, 422, "invalid_value",
                  "nothing to change: give priority, position, limit_rate or save_as");
    else if ((err = ui_transfers_change(api->transfers, id, &change)) == P2P_ERR_USAGE)
        http_fail(req, 409, "wrong_state",
                  "the transfer's current state does not allow this");
    else if (err != P2P_OK)
        ui_fail(req, err, "there is no such transfer");
    else
        reply_transfer(req, api, 200, id);
}
