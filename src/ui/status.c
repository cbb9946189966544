#include "ui/status.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "p2p/limits.h"
#include "p2p/net.h"
#include "ui/access/access.h"
#include "ui/access/addresses.h"
#include "ui/app.h"
#include "ui/folders/files.h"
#include "ui/folders/place.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/reply/json.h"
#include "ui/reply/refuse.h"
#include "ui/state/events.h"
#include "ui/state/watch.h"
#include "ui/web.h"

#define REGISTRIES_MAX P2P_OPTION_LIST_MAX
#define COPY_MAX       400

/* ---- facts from the network or from this machine's p2p-peer ---- */

struct standing {
    bool is_registered, peer_runs;
    uint16_t port;
    char copy_at[COPY_MAX]; /* where another device has this identity; "": not seen */
};

/* Only checks that something listens there, not that it is our p2p-peer. */
static bool
answers(uint16_t port)
{
    struct p2p_addr addr = {.host = "127.0.0.1", .port = port};
    int fd = -1;
    bool ok = p2p_net_connect(&addr, p2p_now_ms() + 500, &fd) == P2P_OK;

    p2p_fd_close(&fd);
    return ok;
}

/* p2p-peer notices it, and tells at its control socket. */
static void
find_copy(struct ui_app *app, struct standing *s)
{
    cJSON *answer = ui_activity_ask(&app->activity, "status");
    const char *at = http_json_string(answer, "copy_at");

    snprintf(s->copy_at, sizeof(s->copy_at), "%s", at != NULL ? at : "");
    cJSON_Delete(answer);
}

static void
find_standing(struct ui_app *app, struct standing *s)
{
    s->port = (uint16_t)app->opt.peer_port;
    s->is_registered = ui_peers_own(app->peers, &s->port);
    s->peer_runs = answers(s->port);
    find_copy(app, s);
}

/* ---- the object ---- */

static void
put_registries(struct http_json_out *o, struct ui_app *app)
{
    struct p2p_registry_state states[REGISTRIES_MAX];
    size_t count = p2p_discovery_states(app->discovery, states, REGISTRIES_MAX);

    http_json_begin(o, "discovery", '[');
    for (size_t i = 0; i < count && i < REGISTRIES_MAX; i++) {
        http_json_begin(o, NULL, '{');
        http_json_put_string(o, "url", states[i].url);
        http_json_put_bool(o, "reachable", states[i].reachable);
        http_json_end(o, '}');
    }
    http_json_end(o, ']');
}

static void
put_urls(struct http_json_out *o, struct ui_app *app, const struct http_request *req)
{
    struct ui_urls urls;

    ui_urls_find(&app->access, req, &urls);
    http_json_begin(o, "urls", '[');
    for (size_t i = 0; i < urls.count; i++)
        http_json_put_string(o, NULL, urls.at[i]);
    http_json_end(o, ']');
}

static uint64_t
free_space(const struct p2p_root *root)
{
    struct statvfs fs;

    return fstatvfs(p2p_root_fd(root), &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize
                                                 : 0;
}

static void
put_disk(void *arg, const char *place, uint64_t files)
{
    struct http_json_out *o = arg;

    http_json_begin(o, NULL, '{');
    http_json_put_string(o, "place", place);
    http_json_put_u64(o, "files", files);
    http_json_end(o, '}');
}

/* Each shared folder, as p2p-peer tells them at its control socket. */
static void
put_shared_folders(struct http_json_out *o, const struct ui_folders *folders,
                   const struct ui_listing *l)
{
    const struct p2p_shares_folders *all = p2p_shares_folders(folders->shares);
    uint32_t away = ui_folder_away(folders, UI_SHARED);

    http_json_begin(o, "shared_folders", '[');
    for (size_t i = 0; i < all->count; i++) {
        struct p2p_share *share = p2p_shares_at(folders->shares, i);
        const char *name = all->at[i].name;
        struct p2p_share_totals totals;
        p2p_share_totals(share, &totals);
        http_json_begin(o, NULL, '{');
        ui_json_text(o, "name", name[0] != '\0' ? name : NULL);
        http_json_put_string(o, "path", p2p_root_path(p2p_share_root(share)));
        http_json_put_string(o, "state", (away & 1u << i) != 0 ? "away" : "ok");
        http_json_put_u64(o, "files", l->of[i].files);
        http_json_put_u64(o, "bytes", l->of[i].bytes);
        http_json_put_u64(o, "not_shared", l->of[i].problems);
        http_json_put_u64(o, "missing_files", totals.missing_files);
        http_json_begin(o, "away_disks", '[');
        if (totals.away_files > 0)
            (void)!p2p_share_disks(share, put_disk, o);
        http_json_end(o, ']');
        http_json_end(o, '}');
    }
    http_json_end(o, ']');
}

static void
put_folders(struct http_json_out *o, struct ui_app *app, bool with_list)
{
    static const struct ui_listing nothing;
    const struct ui_listing *shared = NULL, *downloads = NULL;

    if (ui_listing_get(&app->folders, UI_SHARED, &shared) == P2P_OK) {
        ui_files_put_status(o, shared, with_list);
        put_shared_folders(o, &app->folders, shared);
        ui_listing_release(shared);
    } else {
        ui_files_put_status(o, &nothing, with_list);
        put_shared_folders(o, &app->folders, &nothing);
    }
    if (ui_listing_get(&app->folders, UI_DOWNLOADS, &downloads) == P2P_OK) {
        http_json_put_u64(o, "downloads_count", downloads->count);
        ui_listing_release(downloads);
    } else
        http_json_put_u64(o, "downloads_count", 0);
    http_json_put_u64(o, "free_space", free_space(app->folders.downloads));
    http_json_put_string(o, "shared_state", ui_folder_state(&app->folders, UI_SHARED));
    http_json_put_u64(o, "shared_missing_files",
                      ui_folder_missing_files(&app->folders));
    http_json_put_string(o, "downloads_state",
                         ui_folder_state(&app->folders, UI_DOWNLOADS));
    http_json_put_string(o, "shared_dir", app->opt.shared_dir);
    http_json_put_string(o, "downloads_dir", p2p_root_path(app->folders.downloads));
    http_json_put_string(o, "keys_dir", app->opt.keys_dir);
}

static void
put_status(struct http_json_out *o, struct ui_app *app, const struct standing *s,
           bool with_list, const struct http_request *req)
{
    struct ui_settings set;

    ui_config_get(&app->config, &set);
    ui_json_begin(o, 2048);
    ui_json_id(o, p2p_identity_id(app->identity));
    http_json_put_u64(o, "port", s->port);
    http_json_put_bool(o, "registered", s->is_registered);
    put_folders(o, app, with_list);
    http_json_put_string(o, "name", set.name);
    http_json_put_string(o, "version", P2P_VERSION);
    http_json_put_string(o, "pages", ui_web_version(app->web));
    http_json_put_bool(o, "peer_running", s->peer_runs);
    ui_json_text(o, "copy_at", s->copy_at);
    put_registries(o, app);
    put_urls(o, app, req);
    http_json_put_bool(o, "pairing_required", app->opt.pairing);
    http_json_put_u64(o, "uptime_s", p2p_now_ms() / 1000 - app->started_s);
}

/* ---- GET /api/status ---- */

static void
work(void *context, void *arg)
{
    struct ui_app *app = context;
    ui_peers_refresh(app->peers);
    find_standing(app, arg);
}

static void
answer(struct http_request *req, void *context, void *arg)
{
    struct ui_app *app = context;
    const char *list = http_query(req, "shared_files");
    struct http_json_out o;

    put_status(&o, app, arg, list == NULL || strcmp(list, "0") != 0, req);
    http_json_put_string(&o, "caller",
                         ui_caller_name(ui_access_caller(&app->access, req, NULL)));
    ui_access_renew(&app->access, req); /* each page requests this when it opens */
    ui_json_reply(&o, req, 200);
}

void
ui_status_handle(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {work, answer, free, false};
    struct ui_app *app = arg;

    if (!ui_job_resume(app->jobs, req))
        ui_job_begin(app->jobs, req, &kind, app, calloc(1, sizeof(struct standing)));
}

/* One event for all pages, so it has no `caller`, which differs for each. */
void
ui_status_publish(struct ui_app *app)
{
    struct standing s = {0};
    struct http_json_out o;

    find_standing(app, &s);
    put_status(&o, app, &s, false, NULL);
    http_json_end(&o, '}');
    ui_event_publish(&app->events, "status", &o);
}

void
ui_status_handle_health(struct http_request *req, void *arg)
{
    struct ui_app *app = arg;
    struct p2p_registry_state states[REGISTRIES_MAX];
    size_t count = p2p_discovery_states(app->discovery, states, REGISTRIES_MAX);
    bool is_well = false;
    struct http_json_out o;

    /* Health probes do not wait for the registry; each starts a refresh whose result
     * the next one reports. */
    if (app->access.is_ready && ui_peers_is_old(app->peers))
        ui_watch_report(app->watch, UI_NEWS_PEERS);
    for (size_t i = 0; i < count && i < REGISTRIES_MAX; i++)
        is_well |= states[i].reachable;
    ui_json_begin(&o, 64);
    http_json_put_string(&o, "status", is_well ? "ok" : "degraded");
    http_json_put_string(&o, "version", P2P_VERSION);
    ui_json_reply(&o, req, 200);
}

/* ---- POST /api/register: registers now, at the given port. p2p-peer does the same
 * automatically ---- */

struct registration {
    uint16_t port;
    enum p2p_err err;
    char why[512]; /* which registry did not take it, and why */
};

static enum p2p_err
register_files(struct ui_app *app, uint16_t port, const struct ui_listing *l)
{
    struct p2p_reg_file *files = calloc(l->count + 1, sizeof(*files));
    struct p2p_addr others[P2P_PEER_OTHERS_MAX];
    struct p2p_about about;
    struct p2p_reg reg = {.key = p2p_identity_key(app->identity),
                          .about = &about,
                          .others = others,
                          .port = port,
                          .ttl_s = P2P_REGISTRY_TTL_S * 10,
                          .files = files};
    enum p2p_err err;

    if (files == NULL)
        return P2P_ERR_NOMEM;
    p2p_identity_get_about(app->identity, &about);
    reg.other_count = p2p_net_own_addresses(port, others, P2P_PEER_OTHERS_MAX);
    for (size_t i = 0; i < l->count && reg.count < P2P_REGISTER_FILES_MAX; i++) {
        const struct ui_file *f = &l->files[i];
        if (f->state == UI_FILE_READY)
            files[reg.count++] = (struct p2p_reg_file){
                .name = f->name,
                .size = f->size,
                .root = f->root,
                .sha256 = f->sha256,
                .sha256_known = f->sha256_known,
                .mtime_s = f->mtime_s > 0 ? (uint64_t)f->mtime_s : 0,
                .version = f->version};
    }
    err = p2p_discovery_register(app->discovery, &reg, true);
    free(files);
    return err;
}

/* The last registry that refused it: most people have only one. */
static void
explain(struct ui_app *app, struct registration *r)
{
    struct p2p_registry_state states[P2P_OPTION_LIST_MAX];
    size_t count = p2p_discovery_states(app->discovery, states, P2P_OPTION_LIST_MAX);

    for (size_t i = 0; i < count; i++)
        if (states[i].last_error != P2P_OK)
            snprintf(r->why, sizeof(r->why), "registry %s: %s%s%s", states[i].url,
                     p2p_err_text(states[i].last_error),
                     states[i].detail[0] != '\0' ? ": " : "", states[i].detail);
}

static void
register_now(void *context, void *arg)
{
    struct ui_app *app = context;
    struct registration *r = arg;
    const struct ui_listing *l;

    if ((r->err = ui_listing_get(&app->folders, UI_SHARED, &l)) != P2P_OK)
        return;
    r->err = register_files(app, r->port, l);
    if (r->err != P2P_OK)
        explain(app, r);
    ui_listing_release(l);
}

static void
answer_registered(struct http_request *req, void *context, void *arg)
{
    struct ui_app *app = context;
    const struct registration *r = arg;
    char id[UI_SHORT_ID_LEN + 1];
    struct http_json_out o;

    if (r->err != P2P_OK) {
        http_fail(req, 503, "discovery_unreachable", "%s",
                  r->why[0] != '\0' ? r->why : p2p_err_text(r->err));
        return;
    }
    ui_json_begin(&o, 96);
    http_json_put_string(&o, "status", "registered");
    http_json_put_string(&o, "peer_id",
                         ui_short_id(p2p_identity_id(app->identity), id));
    http_json_put_u64(&o, "port", r->port);
    ui_json_reply(&o, req, 200);
}

void
ui_status_handle_register(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {register_now, answer_registered, free,
                                            true};
    struct ui_app *app = arg;
    struct registration *r;
    struct cJSON *body;
    uint64_t port;

    if (ui_job_resume(app->jobs, req) || (body = http_json(req)) == NULL)
        return;
    if (!http_json_u64(body, "port", 1, 65535, &port)) {
        ui_fail_value(req, "port", "a whole number from 1 to 65535");
        return;
    }
    if ((r = calloc(1, sizeof(*r))) != NULL)
        r->port = (uint16_t)port;
    ui_job_begin(app->jobs, req, &kind, app, r);
}
