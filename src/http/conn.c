/*
 * Connections: their addresses, what phase they are in, and cutting off slow senders.
 * libmicrohttpd's own time-out starts again with every byte; these deadlines do not.
 */
#include "http/internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* An upload must move this much in each body time-out. */
#define UPLOAD_MIN_BYTES (64u * 1024)

static const char timed_out_answer[] =
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
    "Content-Type: application/problem+json\r\nContent-Length: 134\r\n\r\n"
    "{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408,"
    "\"detail\":\"request too slow\",\"code\":\"timeout\",\"error\":\"request too "
    "slow\"}\n";

static void
format_ip(const struct sockaddr *sa, char out[HTTP_IP_TEXT], bool *is_loopback)
{
    const struct sockaddr_in6 *in6 = (const void *)sa;
    const struct sockaddr_in *in4 = (const void *)sa;
    const uint8_t *v4 = NULL;

    out[0] = '\0';
    *is_loopback = false;
    if (sa == NULL)
        return;
    if (sa->sa_family == AF_INET)
        v4 = (const uint8_t *)&in4->sin_addr;
    else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        v4 = in6->sin6_addr.s6_addr + 12;
    if (v4 != NULL) {
        inet_ntop(AF_INET, v4, out, HTTP_IP_TEXT);
        *is_loopback = v4[0] == 127;
    } else if (sa->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &in6->sin6_addr, out, HTTP_IP_TEXT);
        *is_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
}

const char *
http_local_ip(const struct http_request *req)
{
    struct http_conn *c = req->conn;
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    bool is_loopback;

    if (c->local_ip[0] == '\0' && getsockname(c->fd, (struct sockaddr *)&sa, &len) == 0)
        format_ip((struct sockaddr *)&sa, c->local_ip, &is_loopback);
    return c->local_ip;
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
    if ((info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)))
        c->fd = info->connect_fd;
    if ((info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)))
        format_ip(info->client_addr, c->ip, &c->is_loopback);
    return c;
}

static void
conn_link(struct http_conn *c)
{
    struct http_server *s = c->server;

    pthread_mutex_lock(&s->lock);
    c->next = s->conns;
    if (c->next != NULL)
        c->next->prev = c;
    s->conns = c;
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add(&s->n_connections, 1);
}

static void
conn_unlink(struct http_conn *c)
{
    struct http_server *s = c->server;

    pthread_mutex_lock(&s->lock);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&s->lock);
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
        /* Still open here: once unlinked, the reaper cannot meet a reused descriptor.
         */
        conn_unlink(c);
        http_request_clear(&c->req);
        free(c);
        *context = NULL;
    }
}

void
http_conn_set_phase(struct http_conn *c, enum http_phase phase)
{
    const struct http_options *opt = &c->server->opt;
    unsigned seconds[] = {
        [HTTP_IDLE] = opt->idle_timeout_s,
        [HTTP_HEADERS] = opt->header_timeout_s,
        [HTTP_BODY] = opt->body_timeout_s,
        [HTTP_UPLOAD] = opt->body_timeout_s,
        [HTTP_ANSWER] = 0,
    };
    uint64_t deadline =
        seconds[phase] == 0 ? HTTP_NO_DEADLINE : http_now_ms() + seconds[phase] * 1000u;

    c->upload_mark = 0;
    atomic_store(&c->phase, (int)phase);
    atomic_store(&c->deadline_ms, deadline);
    http_clock_at(c->server, deadline);
}

/* An upload that still moves gets another span; the mark is only touched here. */
static bool
upload_moves(struct http_conn *c, uint64_t now_ms)
{
    uint64_t received = c->req.received;

    if (c->phase != HTTP_UPLOAD || received < c->upload_mark + UPLOAD_MIN_BYTES)
        return false;
    c->upload_mark = received;
    atomic_store(&c->deadline_ms, now_ms + c->server->opt.body_timeout_s * 1000u);
    return true;
}

static void
cut_off(struct http_conn *c)
{
    /* In these phases nothing has been answered yet, so the bytes cannot mix. */
    if (c->phase == HTTP_HEADERS || c->phase == HTTP_BODY || c->phase == HTTP_UPLOAD) {
        (void)!send(c->fd, timed_out_answer, sizeof(timed_out_answer) - 1,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
        atomic_fetch_add(&c->server->n_timed_out, 1);
    }
    shutdown(c->fd, SHUT_RDWR);
    atomic_store(&c->deadline_ms, HTTP_NO_DEADLINE);
}

/* Called with the server's lock held; returns the earliest deadline left. */
uint64_t
http_conn_reap(struct http_server *s, uint64_t now_ms)
{
    uint64_t next = HTTP_NO_DEADLINE;

    for (struct http_conn *c = s->conns; c != NULL; c = c->next) {
        if (c->deadline_ms <= now_ms && !upload_moves(c, now_ms))
            cut_off(c);
        if (c->deadline_ms < next)
            next = c->deadline_ms;
    }
    return next;
}
