/*
 * The phases of a connection, and closing slow senders. The time-out of libmicrohttpd
 * begins again with every byte; these deadlines do not.
 */
#include "http/internal.h"

#include <sys/socket.h>

#include "p2p/lock.h"

/* A body gets one more second for each time this many bytes have arrived. */
#define BODY_MIN_RATE (8u * 1024)
/* An upload must transfer this many bytes in each span of time. */
#define UPLOAD_MIN_BYTES (64u * 1024)
#define UPLOAD_SPAN_S    30u
/* How long a client may go on sending after an early answer. */
#define LINGER_S 10u

static const char timed_out_answer[] =
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
    "Content-Type: application/problem+json\r\nContent-Length: 134\r\n\r\n"
    "{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408,"
    "\"detail\":\"request too slow\",\"code\":\"timeout\",\"error\":\"request too "
    "slow\"}\n";

/* The maximum milliseconds of a phase; 0: another deadline applies. */
static uint64_t
limit_ms(const struct http_conn *c, enum http_phase phase)
{
    const struct http_options *opt = &c->server->opt;
    switch (phase) {
    case HTTP_IDLE:
        return opt->idle_timeout_ms;
    case HTTP_HEADERS:
        return opt->header_timeout_ms;
    case HTTP_BODY:
        return opt->body_timeout_ms; /* and more as bytes arrive, see moves() */
    case HTTP_UPLOAD:
        return UPLOAD_SPAN_S * 1000u;
    case HTTP_LINGER:
        return LINGER_S * 1000u;
    case HTTP_ANSWER:
        if (c->req.response != NULL && c->req.answer_bytes > 0)
            return opt->answer_timeout_ms +
                   1000 * c->req.answer_bytes / opt->answer_min_rate;
        break;
    }
    return 0;
}

void
http_conn_set_phase(struct http_conn *c, enum http_phase phase)
{
    uint64_t limit = limit_ms(c, phase);
    uint64_t now = p2p_now_ms();
    uint64_t deadline = limit == 0 ? HTTP_NO_DEADLINE : now + limit;

    c->upload_mark = 0;
    atomic_store(&c->since_ms, now);
    atomic_store(&c->is_sending, phase == HTTP_ANSWER && c->req.response != NULL &&
                                     c->req.charged_bytes > 0);
    atomic_store(&c->phase, (int)phase);
    atomic_store(&c->deadline_ms, deadline);
    http_clock_at(c->server, deadline);
}

/* A body that arrives fast enough gets more time for its bytes. */
static bool
body_moves(struct http_conn *c, uint64_t now_ms)
{
    uint64_t deadline = c->since_ms + c->server->opt.body_timeout_ms +
                        c->req.received / BODY_MIN_RATE * 1000;

    if (c->phase != HTTP_BODY || deadline <= now_ms)
        return false;
    atomic_store(&c->deadline_ms, deadline);
    return true;
}

/* An upload that makes progress gets another span of time. */
static bool
upload_moves(struct http_conn *c, uint64_t now_ms)
{
    uint64_t received = c->req.received;

    if (c->phase != HTTP_UPLOAD || received < c->upload_mark + UPLOAD_MIN_BYTES)
        return false;
    c->upload_mark = received;
    atomic_store(&c->deadline_ms, now_ms + UPLOAD_SPAN_S * 1000u);
    return true;
}

static void
cut_off(struct http_conn *c)
{
    /* In these phases no answer was begun, so the bytes cannot mix with it. */
    if (c->phase == HTTP_HEADERS || c->phase == HTTP_BODY || c->phase == HTTP_UPLOAD) {
        if (c->server->opt.tls.cert ==
            NULL) /* with TLS, these bytes would not be a TLS record */
            (void)!send(c->fd, timed_out_answer, sizeof(timed_out_answer) - 1,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
        atomic_fetch_add(&c->server->n_timed_out, 1);
    }
    shutdown(c->fd, SHUT_RDWR);
    atomic_store(&c->deadline_ms, HTTP_NO_DEADLINE);
}

/* Returns the earliest remaining deadline. */
uint64_t
http_conn_reap(struct http_server *s, uint64_t now_ms)
{
    uint64_t next = HTTP_NO_DEADLINE;

    for (struct http_conn *c = s->conns; c != NULL; c = c->next) {
        if (c->deadline_ms <= now_ms && !upload_moves(c, now_ms) &&
            !body_moves(c, now_ms))
            cut_off(c);
        if (c->deadline_ms < next)
            next = c->deadline_ms;
    }
    return next;
}
