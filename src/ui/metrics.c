/* GET /metrics: Prometheus text (exposition format 0.0.4). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/sse.h"
#include "p2p/net.h"
#include "ui/app.h"
#include "ui/listing.h"
#include "ui/peers.h"
#include "ui/status.h"

#define TEXT_MAX 8192

struct text {
    char at[TEXT_MAX];
    size_t len;
};

static void add(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
add(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at + t->len, TEXT_MAX - t->len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < TEXT_MAX - t->len)
        t->len += (size_t)n;
}

static void
add_one(struct text *t, const char *name, const char *type, const char *help,
        uint64_t value)
{
    add(t, "# HELP p2p_ui_%s %s\n# TYPE p2p_ui_%s %s\np2p_ui_%s %llu\n", name, help,
        name, type, name, (unsigned long long)value);
}

static void
add_http(struct text *t, struct ui_app *app)
{
    struct http_counters n;

    http_server_counters(app->http, &n);
    add_one(t, "http_connections", "gauge", "Open connections.", n.connections);
    add_one(t, "http_requests_total", "counter", "Requests.", n.requests);
    add_one(t, "http_refused_total", "counter",
            "Requests refused before their handler.", n.refused);
    add_one(t, "http_limited_total", "counter", "Requests over the rate limit.",
            n.limited);
    add_one(t, "http_timed_out_total", "counter", "Slow senders that were cut off.",
            n.timed_out);
    add(t, "# HELP p2p_ui_http_answers_total Answers by class of status.\n"
           "# TYPE p2p_ui_http_answers_total counter\n");
    for (int i = 1; i < 6; i++)
        add(t, "p2p_ui_http_answers_total{class=\"%dxx\"} %llu\n", i,
            (unsigned long long)n.by_class[i]);
    add_one(t, "event_streams", "gauge", "Pages that follow the events.",
            http_sse_count(app->events));
}

static void
add_transfers(struct text *t, struct ui_app *app)
{
    struct ui_counts n;

    ui_transfers_count(app->transfers, &n);
    add(t,
        "# HELP p2p_ui_transfers Transfers by state.\n# TYPE p2p_ui_transfers gauge\n");
    for (int i = 0; i < UI_STATES; i++)
        add(t, "p2p_ui_transfers{state=\"%s\"} %zu\n", ui_state_name((enum ui_state)i),
            n.by_state[i]);
    add_one(t, "download_bytes_per_second", "gauge", "Of all downloads.", n.speed);
}

static void
add_folder(struct text *t, struct ui_app *app, enum ui_folder folder, const char *name)
{
    const struct ui_listing *l;

    if (ui_listing_get(app, folder, &l) != P2P_OK)
        return;
    add(t, "# HELP p2p_ui_%s_files Files.\n# TYPE p2p_ui_%s_files gauge\n", name, name);
    add(t, "p2p_ui_%s_files %zu\n", name, l->count);
    add(t, "# HELP p2p_ui_%s_bytes Their size.\n# TYPE p2p_ui_%s_bytes gauge\n", name,
        name);
    add(t, "p2p_ui_%s_bytes %llu\n", name, (unsigned long long)l->total_size);
    ui_listing_release(l);
}

void
ui_status_handle_metrics(struct http_request *req, void *arg)
{
    struct ui_app *app = arg;
    struct text *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        return;
    }
    add(t, "# HELP p2p_ui_info Version.\n# TYPE p2p_ui_info gauge\n"
           "p2p_ui_info{version=\"" P2P_VERSION "\"} 1\n");
    add_one(t, "uptime_seconds", "gauge", "Since the start.",
            p2p_now_ms() / 1000 - app->started_s);
    add_http(t, app);
    add_transfers(t, app);
    add_folder(t, app, UI_SHARED, "shared");
    add_folder(t, app, UI_DOWNLOADS, "downloads");
    add_one(t, "peers", "gauge", "Peers known to be online.", ui_peers_count(app));
    http_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", t->at, t->len);
    free(t);
}
