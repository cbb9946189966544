/* Connections: their addresses, and the list of those that are open. */
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "p2p/lock.h"

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
