#include "http/metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_SIZE 4096u

void
http_metrics_init(struct http_metrics *m)
{
    *m = (struct http_metrics){.text = malloc(FIRST_SIZE), .cap = FIRST_SIZE};
    m->failed = m->text == NULL;
}

static bool
grow(struct http_metrics *m, size_t need)
{
    size_t cap = m->cap * 2 + need;
    char *text = realloc(m->text, cap);

    if (text == NULL)
        return false;
    m->text = text;
    m->cap = cap;
    return true;
}

static void __attribute__((format(printf, 2, 3)))
add(struct http_metrics *m, const char *format, ...)
{
    while (!m->failed) {
        size_t room = m->cap - m->len;
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(m->text + m->len, room, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < room) {
            m->len += (size_t)n;
            return;
        }
        m->failed = n < 0 || !grow(m, (size_t)n);
    }
}

void
http_metrics_family(struct http_metrics *m, const char *name, const char *type,
                    const char *help)
{
    add(m, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void
http_metrics_sample(struct http_metrics *m, const char *name, const char *labels,
                    uint64_t value)
{
    add(m, "%s{%s} %llu\n", name, labels, (unsigned long long)value);
}

void
http_metrics_sample_us(struct http_metrics *m, const char *name, const char *labels,
                       uint64_t microseconds)
{
    add(m, "%s{%s} %llu.%06llu\n", name, labels,
        (unsigned long long)microseconds / 1000000,
        (unsigned long long)microseconds % 1000000);
}

static void
add_one(struct http_metrics *m, const char *name, const char *type, const char *help,
        uint64_t value)
{
    http_metrics_family(m, name, type, help);
    add(m, "%s %llu\n", name, (unsigned long long)value);
}

void
http_metrics_gauge(struct http_metrics *m, const char *name, const char *help,
                   uint64_t value)
{
    add_one(m, name, "gauge", help, value);
}

void
http_metrics_counter(struct http_metrics *m, const char *name, const char *help,
                     uint64_t value)
{
    add_one(m, name, "counter", help, value);
}

void
http_metrics_server(struct http_metrics *m, struct http_server *s)
{
    static const char answers[] = "p2p_http_answers_total";
    struct http_counters n;
    char label[16];

    http_server_counters(s, &n);
    http_metrics_gauge(m, "p2p_http_connections", "Open connections.", n.connections);
    http_metrics_counter(m, "p2p_http_requests_total", "Requests.", n.requests);
    http_metrics_counter(m, "p2p_http_refused_total",
                         "Requests refused before they were processed.", n.refused);
    http_metrics_counter(m, "p2p_http_rate_limited_total",
                         "Requests refused because their address sent too many (429).",
                         n.limited);
    http_metrics_counter(m, "p2p_http_timed_out_total",
                         "Connections closed because the client sent too slowly.",
                         n.timed_out);
    http_metrics_counter(m, "p2p_http_given_up_total",
                         "Connections closed to make room for others.", n.given_up);
    http_metrics_counter(m, "p2p_http_turned_away_total",
                         "Connections refused because there was no room.",
                         n.turned_away);
    http_metrics_family(m, answers, "counter", "Answers by status class.");
    for (unsigned i = 1; i < sizeof(n.by_class) / sizeof(n.by_class[0]); i++) {
        snprintf(label, sizeof(label), "status=\"%uxx\"", i);
        http_metrics_sample(m, answers, label, n.by_class[i]);
    }
}

void
http_metrics_text(struct http_metrics *m, const char *text)
{
    add(m, "%s", text);
}

void
http_metrics_reply(struct http_request *req, struct http_metrics *m)
{
    if (m->failed) {
        http_fail_err(req, P2P_ERR_NOMEM, NULL);
        free(m->text);
    } else
        http_reply_owned(req, 200, "text/plain; version=0.0.4; charset=utf-8", m->text,
                         m->len);
    *m = (struct http_metrics){.failed = true};
}
