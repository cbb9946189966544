#include "relay/admin.h"

#include <stdio.h>

#include "http/metrics.h"
#include "http/text/json.h"
#include "p2p/clock.h"

static void
get_health(struct http_request *req, void *arg)
{
    const struct admin *admin = arg;
    struct relay_stats s;
    struct http_json_out o;
    size_t len;
    char *text;

    relay_stats(admin->relay, &s);
    http_json_init(&o, 128);
    http_json_begin(&o, NULL, '{');
    http_json_put_string(&o, "status", "ok");
    http_json_put_string(&o, "version", P2P_VERSION);
    http_json_put_u64(&o, "sessions", s.sessions);
    http_json_put_u64(&o, "uptime", (p2p_now_ms() - admin->started_ms) / 1000);
    http_json_end(&o, '}');
    text = http_json_take(&o, &len);
    http_reply_owned(req, 200, "application/json", text, len);
}

static void
add_refusals(struct http_metrics *m, const struct relay_stats *s)
{
    static const char name[] = "p2p_relay_refused_total";
    char label[40];

    http_metrics_family(m, name, "counter",
                        "Connections that were refused, by reason.");
    for (int i = 0; i < RELAY_REFUSALS; i++) {
        snprintf(label, sizeof(label), "reason=\"%s\"",
                 relay_refusal_name((enum relay_refusal)i));
        http_metrics_sample(m, name, label, s->refused[i]);
    }
}

static void
get_metrics(struct http_request *req, void *arg)
{
    struct admin *admin = arg;
    struct relay_stats s;
    struct http_metrics m;

    relay_stats(admin->relay, &s);
    http_metrics_init(&m);
    http_metrics_gauge(&m, "p2p_relay_sessions", "Sessions now.", s.sessions);
    http_metrics_gauge(&m, "p2p_relay_waiting",
                       "Connections that wait for the other side.", s.waiting);
    http_metrics_gauge(&m, "p2p_relay_accounts",
                       "Peers and addresses that used the relay today.", s.accounts);
    http_metrics_counter(&m, "p2p_relay_sessions_total", "Sessions since the start.",
                         s.sessions_total);
    http_metrics_counter(&m, "p2p_relay_bytes_total",
                         "Bytes that passed, in both directions.", s.bytes_total);
    add_refusals(&m, &s);
    http_metrics_server(&m, admin->server);
    http_metrics_gauge(&m, "p2p_uptime_seconds",
                       "Seconds since the start of the program.",
                       (p2p_now_ms() - admin->started_ms) / 1000);
    http_metrics_reply(req, &m);
}

static const struct http_route routes[] = {
    {"GET", "/health", get_health, 0, 0, 0},
    {"GET", "/metrics", get_metrics, 0, 0, 0},
    {0},
};

enum p2p_err
admin_open(struct admin *admin, int listener)
{
    static const struct http_header headers[] = {
        {"X-Content-Type-Options", "nosniff"},
        {"Cache-Control", "no-store"},
        {NULL, NULL},
    };
    const struct http_options opt = {
        .has_listener = true,
        .listener = listener,
        .threads = 2,
        .max_connections = 64,
        .max_connections_per_ip = 32,
        .rate = 50,
        .guard = {.check_browser_host = true, .check_origin = true, .check_site = true},
        .headers = headers,
        .routes = routes,
        .app = admin,
    };

    admin->started_ms = p2p_now_ms();
    return http_server_open(&opt, &admin->server);
}

void
admin_close(struct admin *admin)
{
    http_server_close(admin->server);
    admin->server = NULL;
}
