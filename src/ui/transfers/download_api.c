/* The documented POST /api/download and GET /api/download-progress/{filename}. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/transfers/handlers.h"

/* ---- POST /api/download ---- */

struct asked {
    struct ui_request request;          /* with one source */
    char short_id[UI_SHORT_ID_LEN + 1]; /* empty: the id of the source is known */
    char id[UI_TRANSFER_ID_LEN + 1];    /* id of the transfer that was started */
    bool is_unknown, is_blocked;
    enum p2p_err err;
};

static void
start(struct ui_transfers_api *api, struct asked *a)
{
    bool is_new;

    a->is_blocked = ui_peers_is_blocked(api->network.peers, &a->request.sources[0]);
    if (!a->is_blocked)
        a->err = ui_transfers_add(api->transfers, &a->request, a->id, &is_new);
}

/* A short id is looked up among the online peers, so the list of peers is needed first.
 */
static void
look_up_and_start(void *context, void *arg)
{
    struct ui_transfers_api *api = context;
    struct asked *a = arg;

    ui_peers_refresh(api->network.peers);
    a->is_unknown = ui_peers_resolve(api->network.peers, a->short_id,
                                     &a->request.sources[0].id) != P2P_OK;
    a->request.sources[0].id_known = !a->is_unknown;
    if (!a->is_unknown)
        start(api, a);
}

static void
answer_started(struct http_request *req, void *context, void *arg)
{
    const struct asked *a = arg;
    char where[P2P_HOST_MAX + 16];
    struct http_json_out o;

    (void)context;
    if (a->is_unknown)
        ui_request_fail_id(req);
    else if (a->is_blocked)
        ui_fail(req, P2P_ERR_NOT_ALLOWED, "you have blocked this peer");
    else if (a->err != P2P_OK)
        ui_fail(req, a->err, NULL);
    else {
        ui_json_begin(&o, 256);
        http_json_put_string(&o, "status", "downloading");
        http_json_put_string(&o, "filename", a->request.filename);
        http_json_put_string(
            &o, "peer",
            p2p_addr_format(&a->request.sources[0].addr, where, sizeof(where)));
        http_json_put_string(&o, "id", a->id);
        ui_json_reply(&o, req, 200);
    }
}

static bool
parse_asked(struct http_request *req, struct ui_transfers_api *api, const cJSON *body,
            struct asked *a)
{
    const char *filename = http_json_string(body, "filename");
    const char *id = http_json_string(body, "peer_id");

    if (!ui_request_check_name(req, filename))
        return false;
    a->request.source_count = 1;
    a->request.priority = UI_NORMAL;
    snprintf(a->request.filename, sizeof(a->request.filename), "%s", filename);
    if (id == NULL || strlen(id) != UI_SHORT_ID_LEN)
        return ui_request_parse_source(req, api->network.peers, body, true,
                                       &a->request.sources[0]);
    snprintf(a->short_id, sizeof(a->short_id), "%s", id);
    return ui_request_parse_address(req, body, &a->request.sources[0]);
}

void
ui_api_download(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {look_up_and_start, answer_started, free,
                                            true};
    struct ui_transfers_api *api = arg;
    struct asked *a;
    cJSON *body;

    if (ui_job_resume(api->jobs, req) || (body = http_json(req)) == NULL)
        return;
    if ((a = calloc(1, sizeof(*a))) == NULL) {
        ui_fail(req, P2P_ERR_NOMEM, NULL);
        return;
    }
    if (parse_asked(req, api, body, a)) {
        if (a->short_id[0] != '\0') {
            ui_job_begin(api->jobs, req, &kind, api, a); /* takes it */
            return;
        }
        start(api, a);
        answer_started(req, api, a);
    }
    free(a);
}

static const char *
documented_state(enum ui_state state)
{
    if (state == UI_COMPLETED)
        return "completed";
    return state == UI_FAILED || state == UI_CANCELLED ? "failed" : "downloading";
}

void
ui_api_download_progress(struct http_request *req, void *arg)
{
    struct ui_transfers_api *api = arg;
    const char *name = ui_param_name(req);
    struct ui_progress p;
    struct http_json_out o;

    if (name == NULL)
        return;
    if (ui_transfers_progress(api->transfers, name, &p) != P2P_OK) {
        ui_fail(req, P2P_ERR_NOT_FOUND, "no download of this file was ever started");
        return;
    }
    ui_json_begin(&o, 256);
    http_json_put_string(&o, "status", documented_state(p.state));
    http_json_put_u64(&o, "progress", p.percent);
    http_json_put_string(&o, "peer", p.peer);
    if (p.state == UI_FAILED || p.state == UI_CANCELLED)
        http_json_put_string(&o, "error",
                             p.state == UI_CANCELLED ? "cancelled" : p.error);
    http_json_put_string(&o, "id", p.id);
    ui_json_reply(&o, req, 200);
}
