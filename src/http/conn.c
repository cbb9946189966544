/*
 * Connections: their addresses, their phases, and closing slow senders. The time-out of
 * libmicrohttpd begins again with every byte; these deadlines do not.
 */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>
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

const char *
http_local_ip(const struct http_request *req)
{
    struct http_conn *c = req->conn;
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct http_address address;

    if (c->local_ip[0] == '\0' &&
        getsockname(c->fd, (struct sockaddr *)&sa, &len) == 0) {
        http_address_from((struct sockaddr *)&sa, &address);
        http_address_format(&address, c->local_ip);
    }
    return c->local_ip;
}

bool
http_connection_ends(const struct http_request *req, struct sockaddr_storage *ours,
                     struct sockaddr_storage *theirs)
{
    socklen_t our_len = sizeof(*ours), their_len = sizeof(*theirs);

    memset(ours, 0, sizeof(*ours));
    memset(theirs, 0, sizeof(*theirs));
    return getsockname(req->conn->fd, (struct sockaddr *)ours, &our_len) == 0 &&
           getpeername(req->conn->fd, (struct sockaddr *)theirs, &their_len) == 0;
}

_Atomic uint64_t *
http_connection_note(const struct http_request *req)
{
    return &req->conn->note;
}

static struct http_conn *
conn_new(struct http_server *s, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info;
    struct http_conn *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->server = s;
    c->fd = -1;
    c->since_ms = p2p_now_ms();
    if ((info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)))
        c->fd = info->connect_fd;
    if ((info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)))
        http_address_from(info->client_addr, &c->address);
    http_address_format(&c->address, c->ip);
    c->is_loopback = http_address_is_loopback(&c->address);
    c->is_favored = c->is_loopback && !http_networks_contain(&s->proxies, &c->address);
    c->source = http_source_hold(&s->sources, &c->address);
    if (c->source == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

static void
conn_link(struct http_conn *c)
{
    struct http_server *s = c->server;

    p2p_lock(&s->lock);
    c->next = s->conns;
    if (c->next != NULL)
        c->next->prev = c;
    s->conns = c;
    http_place_take(c);
    p2p_unlock(&s->lock);
    atomic_fetch_add(&s->n_connections, 1);
}

static void
conn_unlink(struct http_conn *c)
{
    struct http_server *s = c->server;

    p2p_lock(&s->lock);
    http_place_leave(c);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    p2p_unlock(&s->lock);
    atomic_fetch_sub(&s->n_connections, 1);
}

void
http_conn_notify(void *server, struct MHD_Connection *mhd, void **context,
                 enum MHD_ConnectionNotificationCode code)
{
    struct http_conn *c = *context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        if ((c = conn_new(server, mhd)) == NULL)
            return; /* its requests are closed in http_on_uri() */
        conn_link(c);
        http_conn_set_phase(c, HTTP_IDLE);
        *context = c;
    } else if (c != NULL) {
        /* Still open here: after it is unlinked, the clock thread cannot meet a reused
         * descriptor. */
        conn_unlink(c);
        http_request_end(&c->req);
        http_source_release(&c->server->sources, c->source);
        free(c);
        *context = NULL;
    }
}

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

size_t
http_close_groups(struct http_server *s, bool (*may_stay)(uint64_t group, void *arg),
                  void *arg)
{
    size_t count = 0;

    p2p_lock(&s->lock);
    for (struct http_conn *c = s->conns; c != NULL; c = c->next) {
        uint64_t group = c->req.group;

        if (group == 0 || (may_stay != NULL && may_stay(group, arg)))
            continue;
        if (may_stay != NULL)
            shutdown(c->fd, SHUT_RDWR);
        count++;
    }
    p2p_unlock(&s->lock);
    return count;
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
