/* GET /metrics: Prometheus text. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/metrics.h"
#include "http/sse.h"
#include "http/text/json.h"
#include "p2p/net.h"
#include "ui/activity.h"
#include "ui/app.h"
#include "ui/folders/keeping.h"
#include "ui/folders/listing.h"
#include "ui/peers/peers.h"
#include "ui/reply/jobs.h"
#include "ui/status.h"

static void
add_transfers(struct http_metrics *m, struct ui_app *app)
{
    static const char transfers[] = "p2p_ui_transfers", sources[] = "p2p_ui_sources";
    struct ui_counts n;
    char label[40];

    ui_transfers_count(app->transfers, &n);
    http_metrics_family(m, transfers, "gauge", "Number of transfers in each state.");
    for (int i = 0; i < UI_STATES; i++) {
        snprintf(label, sizeof(label), "state=\"%s\"", ui_state_name((enum ui_state)i));
        http_metrics_sample(m, transfers, label, n.by_state[i]);
    }
    http_metrics_family(m, sources, "gauge",
                        "Peers from which transfers download, by path.");
    for (int i = 0; i < UI_PATH_KINDS; i++) {
        snprintf(label, sizeof(label), "path=\"%s\"",
                 p2p_path_kind_name((enum p2p_path_kind)i));
        http_metrics_sample(m, sources, label, n.by_path[i]);
    }
    http_metrics_gauge(m, "p2p_ui_download_bytes_per_second",
                       "Download speed of all downloads together.", n.speed);
}

static void
add_folders(struct http_metrics *m, struct ui_app *app)
{
    const struct ui_listing *l;

    if (ui_listing_get(&app->folders, UI_SHARED, &l) == P2P_OK) {
        http_metrics_gauge(m, "p2p_ui_shared_files", "Files shared.", l->count);
        http_metrics_gauge(m, "p2p_ui_shared_bytes", "Their size in bytes.",
                           l->total_size);
        ui_listing_release(l);
    }
    if (ui_listing_get(&app->folders, UI_DOWNLOADS, &l) == P2P_OK) {
        http_metrics_gauge(m, "p2p_ui_downloads_files", "Downloaded files.", l->count);
        http_metrics_gauge(m, "p2p_ui_downloads_bytes", "Their size in bytes.",
                           l->total_size);
        ui_listing_release(l);
    }
}

/* Old versions, of all shared folders together. */
static void
add_versions(struct http_metrics *m, struct ui_app *app)
{
    struct p2p_versions_status s;
    uint64_t used = 0, rows = 0, stopped = 0;

    for (size_t i = 0; i < p2p_shares_folders(app->folders.shares)->count; i++) {
        struct p2p_versions *v = ui_keeping_of(
            &app->folders, p2p_share_root(p2p_shares_at(app->folders.shares, i)));
        if (v == NULL || p2p_versions_status(v, &s) != P2P_OK)
            continue;
        used += s.used;
        rows += s.rows;
        stopped += s.is_stopped;
    }
    http_metrics_gauge(m, "p2p_ui_versions", "Old versions of shared files.", rows);
    http_metrics_gauge(m, "p2p_ui_versions_bytes", "Space that they take.", used);
    http_metrics_gauge(m, "p2p_ui_versions_stopped",
                       "Shared folders in which new versions have no room.", stopped);
}

/* The mirrors of this device, by state. */
static void
add_mirrors(struct http_metrics *m, struct ui_app *app)
{
    static const char mirrors[] = "p2p_ui_mirrors";
    struct p2p_mirror *jobs;
    size_t count, n[P2P_MIRROR_FAILED + 1] = {0};
    char label[40];

    if (p2p_mirrors_list(app->opt.keys_dir, &jobs, &count) != P2P_OK)
        return;
    for (size_t i = 0; i < count; i++)
        if ((size_t)jobs[i].state < sizeof(n) / sizeof(n[0]))
            n[jobs[i].state]++;
    free(jobs);
    http_metrics_family(m, mirrors, "gauge", "Number of mirrors in each state.");
    for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
        snprintf(label, sizeof(label), "state=\"%s\"",
                 p2p_mirror_state_name((enum p2p_mirror_state)i));
        http_metrics_sample(m, mirrors, label, n[i]);
    }
}

/* The counters of p2p-peer come over its control socket. */
struct question {
    cJSON *answer; /* NULL: no peer is running */
};

static void
work(void *context, void *arg)
{
    ((struct question *)arg)->answer =
        ui_activity_ask(&((struct ui_app *)context)->activity, "metrics");
}

static void
answer(struct http_request *req, void *context, void *arg)
{
    const char *of_peer =
        http_json_string(((const struct question *)arg)->answer, "text");
    struct ui_app *app = context;
    struct http_metrics m;

    http_metrics_init(&m);
    http_metrics_family(&m, "p2p_ui_info", "gauge", "Version.");
    http_metrics_sample(&m, "p2p_ui_info", "version=\"" P2P_VERSION "\"", 1);
    http_metrics_gauge(&m, "p2p_uptime_seconds",
                       "Seconds since the start of the program.",
                       p2p_now_ms() / 1000 - app->started_s);
    http_metrics_server(&m, app->http);
    http_metrics_gauge(&m, "p2p_ui_event_streams",
                       "Open event streams (dashboard pages).",
                       http_sse_count(app->events.sse));
    add_transfers(&m, app);
    add_folders(&m, app);
    add_versions(&m, app);
    add_mirrors(&m, app);
    http_metrics_gauge(&m, "p2p_ui_peers", "Peers known to be online.",
                       ui_peers_count(app->peers));
    if (of_peer != NULL)
        http_metrics_text(&m, of_peer);
    http_metrics_reply(req, &m);
}

static void
release(void *arg)
{
    cJSON_Delete(((struct question *)arg)->answer);
    free(arg);
}

void
ui_status_handle_metrics(struct http_request *req, void *arg)
{
    static const struct ui_job_kind kind = {work, answer, release, false};
    struct ui_app *app = arg;

    if (!ui_job_resume(app->jobs, req))
        ui_job_begin(app->jobs, req, &kind, app, calloc(1, sizeof(struct question)));
}
