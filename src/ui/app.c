#include "ui/app.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "http/sse.h"
#include "p2p/crypto.h"
#include "p2p/guardian.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "ui/access/revoke.h"
#include "ui/chores.h"
#include "ui/folders/archive.h"
#include "ui/folders/chosen.h"
#include "ui/folders/keeping.h"
#include "ui/folders/listing.h"
#include "ui/folders/thumbs.h"
#include "ui/folders/trash.h"
#include "ui/folders/versions_config.h"
#include "ui/offers/offers.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/routes.h"
#include "ui/state/checksums.h"
#include "ui/state/events.h"
#include "ui/state/store.h"
#include "ui/state/watch.h"
#include "ui/web.h"

/* A short time-out: a registry answers quickly or not at all, and a person waits for
 * the list. */
#define REGISTRY_TIMEOUT_MS 4000
/* The server's threads write uploads to disk, so there are more of them than cores:
 * pages stay fast. */
#define THREADS 6

static enum p2p_err
fail(enum p2p_err err, const char *what, const char *which)
{
    if (err != P2P_OK)
        p2p_log_error("%s %s: %s", what, which, p2p_err_text(err));
    return err;
}

static void
on_share_change(void *folders)
{
    ui_listing_changed(folders, UI_SHARED);
}

/* To the peers that it talks to. */
static void
say_name(struct ui_app *app)
{
    struct p2p_about about = {.kind = app->opt.about.kind};
    struct ui_settings set;

    ui_config_get(&app->config, &set);
    (void)p2p_about_set_name(&about, set.name, strlen(set.name));
    p2p_identity_set_about(app->identity, &about);
}

static void
on_config_change(void *arg)
{
    struct ui_app *app = arg;

    say_name(app);
    ui_transfers_reconfigure(app->transfers);
}

/* From the transfer that brought the file, also when it was removed from the list. */
static bool
known_sha256(void *arg, const char *name, struct p2p_digest *out)
{
    struct ui_app *app = arg;

    return ui_transfers_find_path(app->transfers, name, out) ||
           ui_checksum_find(app->store, app->folders.downloads, name, out);
}

/* ---- what lies on disk ---- */

static enum p2p_err
open_identity(struct ui_app *app)
{
    char why[512] = "";
    enum p2p_err err =
        p2p_identity_open(app->opt.keys_dir, true, p2p_guardian_passphrase, NULL,
                          &app->identity, why, sizeof(why));

    if (err != P2P_OK)
        p2p_log_error("keys: %s", why[0] != '\0' ? why : p2p_err_text(err));
    if (err != P2P_OK)
        return err;
    err = fail(p2p_owner_token_obtain(app->opt.keys_dir, app->access.owner_token),
               "cannot create owner.token in", app->opt.keys_dir);
    if (err != P2P_OK)
        return err;
    return fail(p2p_devices_open(app->opt.keys_dir, &app->access.devices),
                "cannot open the list of devices in", app->opt.keys_dir);
}

static enum p2p_err
open_folders(struct ui_app *app)
{
    const struct p2p_share_options share = {
        .on_change = on_share_change,
        .arg = &app->folders,
        .keys_dir = app->opt.keys_dir,
        .program = "p2p-ui",
    };
    size_t failed;
    enum p2p_err err =
        ui_downloads_are_missing(app->opt.keys_dir, app->opt.downloads_dir)
            ? p2p_root_open_away(app->opt.downloads_dir, app->opt.keys_dir,
                                 &app->folders.downloads)
            : p2p_root_open(app->opt.downloads_dir, true, 0755,
                            &app->folders.downloads);

    if (err != P2P_OK)
        return fail(err, "cannot open the downloads folder", app->opt.downloads_dir);
    err = ui_store_open(app->folders.downloads, app->opt.keys_dir, &app->store);
    if (err == P2P_ERR_BUSY) {
        p2p_log_error("another p2p-ui uses %s; give this one its own --downloads-dir",
                      app->opt.downloads_dir);
        return err;
    }
    if (err != P2P_OK)
        return fail(err, "cannot open the list of transfers in",
                    app->opt.downloads_dir);
    if (app->shared.count == 0) /* no parent has looked which ones are there */
        app->shared = app->opt.folders;
    err = p2p_shares_open(&app->shared, &share, &app->folders.shares, &failed);
    if (err != P2P_OK)
        return fail(err, "cannot open the shared folder", app->shared.at[failed].path);
    app->folders.store = app->store;
    app->folders.max_upload = app->opt.max_upload;
    return P2P_OK;
}

/* Without pages the API is still served. A folder of pages that was named must exist.
 */
static enum p2p_err
open_pages(struct ui_app *app)
{
    char path[PATH_MAX] = "";
    enum p2p_err err = ui_options_find_web(&app->opt, path, sizeof(path));
    int fd = err == P2P_OK ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        err = ui_web_open(fd, &app->web);
        close(fd);
    }
    if (fd >= 0 && err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        return fail(err, "cannot read the dashboard's pages in", path);
    if (app->web == NULL && app->opt.web_dir != NULL)
        return fail(P2P_ERR_NOT_FOUND, "there is no index.html in --web-dir",
                    app->opt.web_dir);
    if (app->web == NULL)
        p2p_log_warn("cannot find the dashboard's pages, so only the API is served; "
                     "name their folder with --web-dir");
    return P2P_OK;
}

/* ---- what works with it ---- */

static enum p2p_err
make_parts(struct ui_app *app)
{
    enum p2p_err err =
        p2p_discovery_open(app->opt.discovery.at, app->opt.discovery.count,
                           REGISTRY_TIMEOUT_MS, &app->discovery);

    const struct ui_peers_parts peers = {.identity = app->identity,
                                         .discovery = app->discovery,
                                         .store = app->store,
                                         .watch = app->watch,
                                         .reach = &app->reach,
                                         .timeout_ms = app->opt.timeout_ms};

    if (err == P2P_ERR_USAGE)
        p2p_log_error("invalid --discovery: use a URL such as "
                      "http://192.168.1.2:8000");
    if (err != P2P_OK)
        return err == P2P_ERR_USAGE ? err : fail(err, "cannot use", "--discovery");
    p2p_discovery_keep_seq(app->discovery, app->identity);
    app->reach = (struct p2p_reach){
        .identity = app->identity,
        .discovery = app->discovery,
        .wish = app->opt.reach ? P2P_WISH_AUTO : P2P_WISH_DIRECT,
    };
    ui_config_init(&app->config, &app->opt, app->store, &app->events);
    if ((app->chores = ui_chores_new(app)) == NULL ||
        (app->folders.trash = ui_trash_new(&app->folders)) == NULL ||
        (app->folders.keeping = ui_keeping_new(&app->folders)) == NULL ||
        (app->folders.archives = ui_archives_new()) == NULL ||
        (app->folders.chosen = ui_chosen_new()) == NULL ||
        (app->folders.thumbs = ui_thumbs_new(app->pictures)) == NULL ||
        (app->peers = ui_peers_new(&peers)) == NULL)
        return fail(P2P_ERR_NOMEM, "cannot", "start");
    say_name(app);
    ui_config_on_change(&app->config, on_config_change, app);
    app->config.other = ui_versions_config(&app->folders);
    return fail(ui_transfers_new(
                    &(struct ui_transfers_parts){
                        .identity = app->identity,
                        .discovery = app->discovery,
                        .reach = &app->reach,
                        .peers = app->peers,
                        .folders = &app->folders,
                        .store = app->store,
                        .config = &app->config,
                        .events = &app->events,
                        .timeout_ms = app->opt.timeout_ms,
                        .keep_free = app->opt.keep_free,
                    },
                    &app->transfers),
                "cannot", "start");
}

static void
on_request_end(uint64_t serial, void *app)
{
    ui_job_on_end(((struct ui_app *)app)->jobs, serial);
}

static bool
admit(struct http_request *req, const struct http_route *route, void *app)
{
    return ui_access_admit(req, route, &((struct ui_app *)app)->access);
}

/* The names that are accepted as Host: those of --allow-host, and the name under which
 * a container is published. */
static void
list_hosts(const struct ui_options *opt, const char *hosts[P2P_OPTION_LIST_MAX + 2])
{
    size_t n = 0;

    for (; n < opt->allow_host.count; n++)
        hosts[n] = opt->allow_host.at[n];
    if (opt->published != NULL)
        hosts[n++] = opt->published_at.host;
    hosts[n] = NULL;
}

static enum p2p_err
open_server(struct ui_app *app)
{
    const struct ui_options *opt = &app->opt;
    const char *hosts[P2P_OPTION_LIST_MAX + 2];
    const struct http_options http = {
        .has_listener = true,
        .listener = app->listener,
        .threads = THREADS,
        .max_connections = (unsigned)opt->max_connections,
        .max_connections_per_ip = (unsigned)opt->max_connections_per_address,
        .body_budget = (size_t)opt->max_body_memory,
        .rate = (double)opt->requests_per_second,
        .trusted_proxies = opt->trusted_proxy.at,
        .tls = {opt->tls.cert, opt->tls.key, p2p_guardian_open},
        .guard = {.check_host = true,
                  .check_origin = true,
                  .check_site = true,
                  .allow_hosts = hosts},
        .headers = ui_headers,
        .routes = ui_routes,
        .admit = admit,
        .on_end = on_request_end,
        .app = app,
    };
    enum p2p_err err;

    list_hosts(opt, hosts);
    app->access.opt = opt;
    app->access.identity = app->identity;
    app->access.events = &app->events;
    app->access.shares = app->folders.shares;
    err = http_server_open(&http, &app->http);
    app->access.http = app->http;
    return fail(err, "cannot serve", "pages");
}

/* Without it the dashboard works as well. */
static void
start_keeper(struct ui_app *app)
{
    const struct p2p_keeper_options options = {
        .keys_dir = app->opt.keys_dir,
        .identity = app->identity,
        .reach = &app->reach,
        .rate = ui_transfers_rate(app->transfers),
        .on_change = ui_mirrors_tell,
        .arg = &app->mirrors,
    };
    enum p2p_err err = p2p_keeper_start(&options, &app->mirrors.keeper);

    if (err != P2P_OK)
        p2p_log_warn("mirrors do not run: %s", p2p_err_text(err));
}

static enum p2p_err
start_parts(struct ui_app *app)
{
    app->events.sse = http_sse_new(app->http, UI_EVENTS_KEPT, UI_EVENTS_CLIENTS);
    app->jobs = ui_jobs_new(app->http);
    app->transfers_api = (struct ui_transfers_api){
        .transfers = app->transfers,
        .network = {app->peers, app->discovery, app->identity, app->opt.timeout_ms},
        .jobs = app->jobs};
    app->browse = (struct ui_browse){app->peers, app->jobs};
    app->activity = (struct ui_activity){app->opt.keys_dir, app->identity, app->jobs};
    app->links =
        (struct ui_links_api){app->opt.keys_dir, app->discovery, &app->folders};
    app->mirrors.keys_dir = app->opt.keys_dir;
    app->mirrors.folders = &app->folders;
    app->mirrors.events = &app->events;
    ui_peers_use_jobs(app->peers, app->jobs);
    app->access.revoker = ui_revoker_new(&app->access);
    if (app->events.sse == NULL || app->jobs == NULL || app->access.revoker == NULL ||
        ui_transfers_use_server(app->transfers, app->http) != P2P_OK ||
        ui_guests_open(&app->guests, app->http) != P2P_OK ||
        ui_transfers_start(app->transfers) != P2P_OK ||
        ui_watch_start(app->watch, ui_chores_run, app->chores) != P2P_OK)
        return fail(P2P_ERR_NOMEM, "cannot", "start");
    app->offers = ui_offers_new(&(struct ui_offers_parts){
        .keys_dir = app->opt.keys_dir,
        .identity = app->identity,
        .access = &app->access,
        .folders = &app->folders,
        .peers = app->peers,
        .transfers = app->transfers,
        .store = app->store,
        .events = &app->events,
        .jobs = app->jobs,
    });
    if (app->offers == NULL)
        return fail(P2P_ERR_NOMEM, "cannot", "start");
    ui_events_open_log(&app->events);
    start_keeper(app);
    app->access.is_ready = true;
    /* So that the first answers know whether a registry answers. */
    ui_watch_report(app->watch, UI_NEWS_PEERS);
    return P2P_OK;
}

enum p2p_err
ui_app_open(struct ui_app *app)
{
    enum p2p_err err =
        fail(p2p_crypto_init(), "cannot start the", "cryptographic library");

    app->started_s = p2p_now_ms() / 1000;
    ui_pairing_init(&app->access.pairing);
    ui_links_init(&app->access.links);
    /* Before the share, whose thread reports to them. */
    if (err == P2P_OK &&
        ((app->watch = ui_watch_new()) == NULL ||
         (app->folders.listings = ui_listings_new(known_sha256, app)) == NULL))
        err = P2P_ERR_NOMEM;
    app->folders.watch = app->watch;
    app->folders.events = &app->events;
    if (err == P2P_OK)
        err = open_identity(app);
    if (err == P2P_OK)
        err = open_folders(app);
    if (err == P2P_OK)
        err = make_parts(app);
    if (err == P2P_OK)
        err = open_pages(app);
    if (err != P2P_OK)
        return err;
    if ((err = open_server(app)) == P2P_OK)
        err = start_parts(app);
    return err;
}

/*
 * In the order from outside to inside: stop requests, work and events first, then
 * release what they used.
 */
void
ui_app_close(struct ui_app *app)
{
    app->access.is_ready = false;
    p2p_keeper_stop(app->mirrors.keeper);
    ui_events_close_log();
    ui_revoker_free(app->access.revoker);
    http_server_close(app->http);
    ui_guests_close(&app->guests);
    ui_peers_stop(app->peers);
    ui_watch_stop(app->watch);
    ui_jobs_free(app->jobs);
    ui_offers_free(app->offers);
    ui_transfers_free(app->transfers);
    (void)p2p_reach_settle(P2P_REACH_SETTLE_MS);
    p2p_tender_stop(app->folders.keeping);
    p2p_shares_close(app->folders.shares);
    ui_watch_free(app->watch);
    ui_chores_free(app->chores);
    http_sse_free(app->events.sse);
    ui_peers_free(app->peers);
    ui_archives_free(app->folders.archives);
    ui_chosen_free(app->folders.chosen);
    ui_thumbs_free(app->folders.thumbs);
    ui_trash_free(app->folders.trash);
    ui_listings_free(app->folders.listings);
    ui_config_clear(&app->config);
    p2p_discovery_close(app->discovery);
    ui_store_close(app->store);
    p2p_root_close(app->folders.downloads);
    p2p_devices_close(app->access.devices);
    p2p_identity_close(app->identity);
    ui_pairing_clear(&app->access.pairing);
    ui_links_clear(&app->access.links);
    p2p_wipe(app->access.owner_token, sizeof(app->access.owner_token));
    ui_web_free(app->web);
}
