/* GET /metrics: Prometheus text. */
#include <stdio.h>

#include "discovery/http/app.h"
#include "discovery/meet/prober.h"
#include "discovery/meet/stun_server.h"
#include "http/metrics.h"
#include "p2p/net.h"

static void
add_registry(struct http_metrics *m, struct app *app)
{
    struct registry_stats s;
    struct dict_stats d;

    registry_stats(app->registry, &s);
    dict_stats(registry_dict(app->registry), &d);
    http_metrics_gauge(m, "p2p_discovery_peers", "Live peers.", s.peers);
    http_metrics_gauge(m, "p2p_discovery_peers_verified",
                       "Online peers with a signed registration.", s.signed_peers);
    http_metrics_gauge(m, "p2p_discovery_peers_remembered",
                       "Peers that are offline but whose seq is remembered.",
                       s.remembered);
    http_metrics_gauge(m, "p2p_discovery_memory_bytes",
                       "Memory used by registrations, as counted by the registry.",
                       s.bytes);
    http_metrics_gauge(m, "p2p_discovery_memory_limit_bytes",
                       "The limit set with --max-memory; 0: no limit.", s.max_bytes);
    http_metrics_counter(m, "p2p_discovery_evicted_total",
                         "Peers removed to make room for others.", s.evicted);
    http_metrics_gauge(m, "p2p_discovery_postings", "Files registered by all peers.",
                       s.postings);
    http_metrics_gauge(m, "p2p_discovery_names", "Different file names.", s.names);
    http_metrics_gauge(m, "p2p_discovery_contents", "Distinct contents.", s.contents);
    http_metrics_gauge(m, "p2p_discovery_index_bytes", "Memory of the search index.",
                       d.bytes);
    http_metrics_gauge(m, "p2p_discovery_index_segments",
                       "Compressed segments of the index.", d.segments);
    http_metrics_gauge(m, "p2p_discovery_index_waiting",
                       "Names that are not compressed yet.", d.waiting);
    http_metrics_counter(m, "p2p_discovery_changes_total",
                         "Changes to the list of peers.",
                         changes_version(app->changes));
    http_metrics_gauge(m, "p2p_discovery_watchers",
                       "Requests that wait for a change (long polls).",
                       http_waitlist_count(app->waiters));
}

static void
add_searches(struct http_metrics *m, const struct app *app)
{
    static const char name[] = "p2p_discovery_search_seconds";
    char label[32];

    http_metrics_family(m, name, "histogram",
                        "Time from a search query to its answer.");
    for (unsigned i = 0; i < MATCH_MODES; i++) {
        snprintf(label, sizeof(label), "mode=\"%s\"", match_mode_names[i]);
        timing_put(m, name, label, &app->searches[i]);
    }
}

static void
add_meeting(struct http_metrics *m, const struct app *app)
{
    static const char name[] = "p2p_discovery_probes_total";
    struct prober_stats s;

    prober_stats(app->prober, &s);
    http_metrics_family(m, name, "counter",
                        "Attempts to reach peers at the address they register from.");
    http_metrics_sample(m, name, "result=\"yes\"", s.reached);
    http_metrics_sample(m, name, "result=\"no\"", s.failed);
    http_metrics_counter(m, "p2p_discovery_stun_answers_total",
                         "Answers to STUN requests.", stun_server_answers(app->stun));
}

static void
add_boxes(struct http_metrics *m, const struct app *app)
{
    struct boxes_stats s;

    boxes_stats(app->meeting.boxes, &s);
    http_metrics_gauge(m, "p2p_discovery_boxes",
                       "Boxes in use, of peers and for answers.", s.boxes);
    http_metrics_gauge(m, "p2p_discovery_box_messages", "Messages that wait in boxes.",
                       s.messages);
    http_metrics_gauge(m, "p2p_discovery_box_bytes", "Memory of these messages.",
                       s.bytes);
    http_metrics_counter(m, "p2p_discovery_box_messages_total",
                         "Messages that were left in boxes.", s.posted);
}

static void
add_store(struct http_metrics *m, struct store *store)
{
    struct store_stats s;

    if (store == NULL)
        return;
    store_stats(store, &s);
    http_metrics_gauge(m, "p2p_store_connected",
                       "1 while the registry is synchronized with Redis.",
                       s.is_connected);
    http_metrics_gauge(m, "p2p_store_waiting_bytes",
                       "Changes that are waiting to be written to Redis.",
                       s.waiting_bytes);
    http_metrics_counter(m, "p2p_store_sent_total", "Changes written.", s.sent);
    http_metrics_counter(m, "p2p_store_received_total", "Changes read.", s.received);
    http_metrics_counter(m, "p2p_store_resyncs_total",
                         "Number of full reads of the Redis database.", s.resyncs);
}

void
get_metrics(struct http_request *req, void *arg)
{
    struct app *app = arg;
    struct http_metrics m;

    http_metrics_init(&m);
    add_registry(&m, app);
    add_searches(&m, app);
    add_boxes(&m, app);
    add_meeting(&m, app);
    http_metrics_server(&m, app->server);
    add_store(&m, app->store);
    http_metrics_gauge(&m, "p2p_uptime_seconds",
                       "Seconds since the start of the program.",
                       (p2p_now_ms() - app->started_ms) / 1000);
    http_metrics_reply(req, &m);
}
