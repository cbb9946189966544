/* GET /metrics: Prometheus text format 0.0.4. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/app.h"
#include "p2p/net.h"

#define TEXT_MAX (16u * 1024)

struct text {
    char *at;
    size_t len;
};

static void __attribute__((format(printf, 2, 3)))
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
    add(t, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
        (unsigned long long)value);
}

static void
add_registry(struct text *t, struct app *app)
{
    struct registry_stats s;
    struct dict_stats d;

    registry_stats(app->registry, &s);
    dict_stats(registry_dict(app->registry), &d);
    add_one(t, "p2p_discovery_peers", "gauge", "Live peers.", s.peers);
    add_one(t, "p2p_discovery_peers_verified", "gauge",
            "Live peers with a signed record.", s.signed_peers);
    add_one(t, "p2p_discovery_peers_remembered", "gauge",
            "Peers that are gone but whose seq is remembered.", s.remembered);
    add_one(t, "p2p_discovery_postings", "gauge", "Files of all peers.", s.postings);
    add_one(t, "p2p_discovery_names", "gauge", "Distinct file names.", s.names);
    add_one(t, "p2p_discovery_contents", "gauge", "Distinct contents.", s.contents);
    add_one(t, "p2p_discovery_index_bytes", "gauge", "Memory of the search index.",
            d.bytes);
    add_one(t, "p2p_discovery_index_segments", "gauge", "Sealed parts of the index.",
            d.segments);
    add_one(t, "p2p_discovery_index_waiting", "gauge", "Names not sealed yet.",
            d.waiting);
    add_one(t, "p2p_discovery_changes_total", "counter",
            "Changes of the list of peers.", changes_version(app->changes));
    add_one(t, "p2p_discovery_watchers", "gauge", "Long polls that wait.",
            http_waitlist_count(app->waiters));
}

static void
add_server(struct text *t, struct app *app)
{
    struct http_counters c;

    http_server_counters(app->server, &c);
    add_one(t, "p2p_http_connections", "gauge", "Open connections.", c.connections);
    add_one(t, "p2p_http_requests_total", "counter", "Requests.", c.requests);
    add_one(t, "p2p_http_refused_total", "counter",
            "Requests refused before a handler.", c.refused);
    add_one(t, "p2p_http_rate_limited_total", "counter", "Answers 429 by address.",
            c.limited);
    add_one(t, "p2p_http_timed_out_total", "counter", "Slow senders cut off.",
            c.timed_out);
    add(t, "# HELP p2p_http_answers_total Answers by class of status.\n"
           "# TYPE p2p_http_answers_total counter\n");
    for (unsigned i = 1; i < 6; i++)
        add(t, "p2p_http_answers_total{status=\"%uxx\"} %llu\n", i,
            (unsigned long long)c.by_class[i]);
}

static void
add_store(struct text *t, struct app *app)
{
    struct store_stats s;

    if (app->store == NULL)
        return;
    store_stats(app->store, &s);
    add_one(t, "p2p_store_connected", "gauge", "1 while in step with Redis.",
            s.is_connected);
    add_one(t, "p2p_store_waiting_bytes", "gauge", "Changes that wait for Redis.",
            s.waiting_bytes);
    add_one(t, "p2p_store_sent_total", "counter", "Changes written.", s.sent);
    add_one(t, "p2p_store_received_total", "counter", "Changes read.", s.received);
    add_one(t, "p2p_store_resyncs_total", "counter", "Times all was read again.",
            s.resyncs);
}

void
get_metrics(struct http_request *req, void *arg)
{
    struct text t = {.at = malloc(TEXT_MAX)};
    struct app *app = arg;

    if (t.at != NULL) {
        add_registry(&t, app);
        add_server(&t, app);
        add_store(&t, app);
        add_one(&t, "p2p_uptime_seconds", "gauge", "Since the start.",
                (p2p_now_ms() - app->started_ms) / 1000);
    }
    http_reply_owned(req, 200, "text/plain; version=0.0.4; charset=utf-8", t.at, t.len);
}
