/* The documented POST /api/download and GET /api/download-progress/{filename}. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "ui/api.h"
#include "ui/app.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/transfers/request.h"

static void
begin(struct http_request *req, struct ui_app *app, const cJSON *body)
{
    const char *filename = http_json_string(body, "filename");
    char id[UI_TRANSFER_ID_LEN + 1], where[P2P_HOST_MAX + 16];
    struct ui_source source;
    struct http_json_out o;
    bool is_new;
    enum p2p_err err;

    if (!ui_wish_check_name(req, filename) ||
        !ui_wish_parse_source(req, app, body, true, &source))
        return;
    if (ui_peers_is_blocked(app, &source)) {
        ui_fail(req, P2P_ERR_NOT_ALLOWED, "you have blocked this peer");
        return;
    }
    err = ui_transfers_add(app->transfers,
                           &(struct ui_wish){.filename = filename,
                                             .sources = &source,
                                             .source_count = 1,
                                             .priority = UI_NORMAL},
                           id, &is_new);
    if (err != P2P_OK) {
        ui_fail(req, err, NULL);
        return;
    }
    ui_json_begin(&o, 256);
    http_json_put_string(&o, "status", "downloading");
    http_json_put_string(&o, "filename", filename);
    http_json_put_string(&o, "peer",
                         p2p_addr_format(&source.addr, where, sizeof(where)));
    http_json_put_string(&o, "id", id);
    ui_json_reply(&o, req, 200);
}

/* A short id is looked up among those online: the list has to be there first. */
static void
refresh(struct ui_app *app, void *arg)
{
    (void)arg;
    ui_peers_refresh(app);
}

static void
begin_refreshed(struct http_request *req, struct ui_app *app, void *arg)
{
    cJSON *body = http_json(req);

    (void)arg;
    if (body != NULL)
        begin(req, app, body);
}

void
ui_api_download(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {refresh, begin_refreshed, free};
    struct ui_app *app = arg;
    const char *id;
    cJSON *body;

    if (ui_job_resume(app->jobs, req) || (body = http_json(req)) == NULL)
        return;
    id = http_json_string(body, "peer_id");
    if (id != NULL && strlen(id) == UI_SHORT_ID_LEN)
        ui_job_begin(app->jobs, req, &kind, malloc(1));
    else
        begin(req, app, body);
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
    struct ui_app *app = arg;
    const char *name = ui_param_name(req);
    struct ui_progress p;
    struct http_json_out o;

    if (name == NULL)
        return;
    if (ui_transfers_progress(app->transfers, name, &p) != P2P_OK) {
        ui_fail(req, P2P_ERR_NOT_FOUND, "this file was never asked for");
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
